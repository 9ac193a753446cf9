"""What a run takes from earlier ones: a full run's figures, for the price of what is new.

By processes of this machine, and where a test says so by Spark's workers, or by both in turn.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.commands.progress import Reporter
from engine.core.background import BackgroundWriter
from engine.core.locations import Store
from engine.core.vocabulary import Cell, EvaluationResult
from engine.errors import DataError
from engine.evaluation.measure import measure
from engine.execution.computation import Computation
from engine.execution.evaluate import evaluate
from engine.execution.incremental import StatePlan, plan_states
from engine.execution.kernel import scan
from engine.execution.kernel.merge import merge
from engine.execution.piece_rows import all_pieces
from engine.metrics import METRICS
from engine.planning.model_finder import ModelFinder
from engine.planning.planner import prepare
from engine.planning.projection import column_names, select_columns
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.states.rows import STATE_KEY, STATE_SCHEMA, StateRow
from engine.store.prediction_rows import PREDICTED
from engine.store.states import find_states
from engine.store.tables import StoreTables
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

TESTS = [
    {"metric": name}
    for name in (
        "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss",
        "brier_score", "expected_calibration_error", "missed_amount", "flip_rate",
    )
]  # fmt: skip
SLICES = ["overall", {"by": ["country"]}, {"by": ["country", "device"]}, {"bins": {"age": [30]}},
          {"name": "old", "where": "age > 70"}]  # fmt: skip


class Silent(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


@dataclass
class Shop:
    """A table of its own that changes, a store of its own, and what runs on them."""

    world: Any
    spark: SparkSession
    folder: Path
    evaluation: dict[str, Any]
    runs: Iterator[int] = field(default_factory=itertools.count)
    reporter: Silent = field(default_factory=Silent)
    executor: str = "local"

    @property
    def table(self) -> str:
        return str(self.folder / "table")

    @property
    def delta(self) -> DeltaTable:
        return DeltaTable(self.table)

    def append(self, rows: pd.DataFrame) -> None:
        write_rows(self.table, rows)

    def prepared(self, **over: Any) -> tuple[Any, StoreTables]:
        evaluation = {**self.evaluation, **over}
        data = {
            "name": "shop", "store": str(self.folder / "store"), "evaluations": [evaluation],
            "plugins": ["money_metrics"],
        }  # fmt: skip
        suite = read_suite(self.world.write("shop", data))
        store = Store(suite.store)
        store.check_writable()
        self.world.know_scripts(store.files)
        tables = StoreTables(store, LazySession(self.spark, executor=self.executor))
        (made,) = prepare(tables.session, suite, finder=ModelFinder(suite))
        return made.plan, tables

    def steps(self, **over: Any) -> StatePlan:
        """What the next run would do."""
        plan, tables = self.prepared(**over)
        stock = find_states(tables["states"], plan, run_id="")
        todo = plan_states(tables.session, stock)
        todo.release()
        return todo

    def run(self, *, reuse: bool = True, **over: Any) -> EvaluationResult:
        """An evaluation with what the store keeps, as far as its cells."""
        for name in ("good", "other"):
            self.world.forget(name)
        plan, tables = self.prepared(**over)
        run_id = f"run{next(self.runs)}"
        with BackgroundWriter() as beside:
            of = Computation(tables, "shop", run_id, self.reporter, beside, reuse=reuse)
            return evaluate(of, plan, ())

    def predicted(self) -> int:
        return sum(map(sum, map(self.world.journal, ("good", "other"))))

    def in_one_process(self, *, by_spark: bool = False, **over: Any) -> EvaluationResult:
        """The same evaluation of all rows, without a store; Spark may read them."""
        plan, tables = self.prepared(**over)
        if by_spark:
            frame = self.spark.read.format("delta").option("versionAsOf", plan.dataset.version)
            rows = select_columns(frame.load(plan.dataset.uri), plan).toArrow()
            batches = rows.rename_columns(column_names(plan)).to_batches()
        else:
            given = all_pieces(tables.session, plan)
            batches = list(given.reader.batches(given.pieces))
        states = pa.Table.from_batches(scan.scan(batches, plan), STATE_SCHEMA)
        states = states.filter(pa.compute.not_equal(states["family"], PREDICTED))
        ordered = states.sort_by([(name, "ascending") for name in STATE_KEY])
        merged = pa.Table.from_batches(merge(ordered.to_batches()), STATE_SCHEMA)
        found = [{k: v for k, v in row.items() if k != "sign"} for row in merged.to_pylist()]
        return measure(plan, [StateRow(**row) for row in found])

    def check(self, **over: Any) -> None:
        """A run with what is kept has the figures of one without."""
        same(self.run(**over).cells, self.in_one_process(**over).cells)


def same(found: Sequence[Cell], expected: Sequence[Cell]) -> None:
    """Cells are equal: figures to 1e-9, everything else exactly."""
    assert [(c.model.name, c.slice.name, c.test.name) for c in found] == [
        (c.model.name, c.slice.name, c.test.name) for c in expected
    ]
    for ours, theirs in zip(found, expected, strict=True):
        place = (ours.model.name, ours.slice.name, ours.test.name)
        for one, other in (
            (ours.measured.value, theirs.measured.value),
            (ours.measured.ci_low, theirs.measured.ci_low),
            (ours.measured.ci_high, theirs.measured.ci_high),
            (ours.measured.error_bound, theirs.measured.error_bound),
            (ours.delta, theirs.delta),
            (ours.delta_ci_low, theirs.delta_ci_low),
            (ours.counts.weight_sum, theirs.counts.weight_sum),
        ):
            assert (one is None) == (other is None), place
            if one is not None and other is not None:
                assert one == pytest.approx(other, rel=1e-9, abs=1e-9), place
        assert ours.measured.reason == theirs.measured.reason, place
        assert (ours.counts.n, ours.counts.null_labels) == (
            theirs.counts.n, theirs.counts.null_labels,
        ), place  # fmt: skip
        assert ours.verdict == theirs.verdict, place


@pytest.fixture(scope="module")
def rows(world: Any) -> pd.DataFrame:
    found = world.rows[:3_000].copy()
    found["id"] = np.arange(len(found))
    return found


@pytest.fixture(scope="module")
def own_metrics(spark: SparkSession) -> Iterator[None]:
    """A metric that reads other columns, as a module that the driver and workers find."""
    folder = Path(__file__).parent
    # As `spark-submit --py-files` gives it to the workers.
    spark.sparkContext.addPyFile(str(folder / "money_metrics.py"))
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    # Other tests look at the metrics that are shipped.
    METRICS._things.pop("missed_amount", None)
    METRICS._loaded.discard("module money_metrics")
    sys.modules.pop("money_metrics", None)


def open_shop(world: Any, spark: SparkSession, folder: Path) -> Shop:
    evaluation = {
        "name": "claims",
        "dataset": {
            "delta": str(folder / "table"), "task": "binary", "label": "fraud", "key": "id",
            "weight": "w",
        },
        "models": [{"uri": world.model("good")}, {"uri": world.model("other")}],
        "baseline": "good",
        "slices": SLICES,
        "tests": TESTS,
    }  # fmt: skip
    return Shop(world, spark, folder, evaluation)


@pytest.fixture
def shop(
    world: Any, spark: SparkSession, tmp_path: Path, rows: pd.DataFrame, own_metrics: None
) -> Shop:
    """A shop of a thousand rows that nobody has evaluated."""
    made = open_shop(world, spark, tmp_path)
    made.append(rows[:1_000])
    return made


@pytest.fixture(scope="module")
def first_night(
    world: Any,
    spark: SparkSession,
    rows: pd.DataFrame,
    own_metrics: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    made = open_shop(world, spark, tmp_path_factory.mktemp("shop"))
    made.append(rows[:1_000])
    made.run()
    assert made.predicted() == 2 * labelled(rows[:1_000])
    return made


@pytest.fixture
def run_shop(world: Any, spark: SparkSession, tmp_path: Path, first_night: Shop) -> Shop:
    """A shop that was evaluated once, in a copy of its own: a table is known by its id."""
    shutil.copytree(first_night.folder, tmp_path, dirs_exist_ok=True)
    made = open_shop(world, spark, tmp_path)
    next(made.runs)
    return made


def labelled(rows: pd.DataFrame) -> int:
    return int(rows["fraud"].notna().sum())


@pytest.mark.parametrize("executor", ["spark", "local"])
def test_only_rows_that_came_are_predicted(
    run_shop: Shop, rows: pd.DataFrame, executor: str
) -> None:
    shop = run_shop
    shop.executor = executor
    shop.append(rows[1_000:1_010])
    todo = shop.steps()
    assert (todo.base, todo.rows, todo.predictions, todo.full) == (0, 10, 20, ())
    assert todo.reused == 2 * 1_000
    result = shop.run()
    assert shop.predicted() == 2 * labelled(rows[1_000:1_010])
    assert result.timings["rows"] == 10
    same(result.cells, shop.in_one_process(by_spark=True).cells)


def test_the_same_version_again_reads_no_row(shop: Shop) -> None:
    first = shop.run()
    todo = shop.steps()
    assert todo.nothing_to_do and (todo.rows, todo.predictions) == (0, 0)
    again = shop.run()
    assert shop.predicted() == 0
    assert again.cells == first.cells
    shop.run(reuse=False)
    assert shop.predicted() > 0


def test_what_needs_only_kept_states_reads_no_row(shop: Shop) -> None:
    shop.run(tests=[{"metric": "accuracy"}, {"metric": "log_loss"}])
    more = [{"metric": name} for name in ("f1", "matthews_corrcoef", "log_loss")]
    todo = shop.steps(tests=more, min_slice_rows=50, slices=["overall"])
    assert todo.nothing_to_do


def test_a_new_model_reads_all_rows_and_the_others_none(shop: Shop, rows: pd.DataFrame) -> None:
    one = [shop.evaluation["models"][0]]
    alone = {"models": one, "baseline": None, "tests": TESTS[:-1]}
    shop.run(**alone)
    todo = shop.steps(baseline=None, tests=TESTS[:-1])
    assert {need.model for need in todo.full} == {1} and todo.predictions == 1_000
    shop.check(baseline=None, tests=TESTS[:-1])
    # A comparison row by row needs the baseline's predictions as well.
    assert shop.steps().predictions == 2_000


def test_a_new_slice_reads_all_rows_for_its_own_states_only(shop: Shop) -> None:
    shop.run(slices=SLICES[:2])
    todo = shop.steps(slices=SLICES[:3])
    assert {need.slice_set for need in todo.full} == {"country x device"}
    assert todo.predictions == 2_000 and todo.found
    shop.check(slices=SLICES[:3])


def change(shop: Shop, what: str, rows: pd.DataFrame, seed: int) -> None:
    """Changes the table in one of the ways that Delta has."""
    few = rows.sample(40, random_state=seed)
    if what == "append":
        shop.append(few.assign(id=few["id"] + 10_000 * (seed + 1)))
    elif what == "delete":
        shop.delta.delete(f"id % 7 = {seed % 7}")
    elif what == "empty a slice":
        shop.delta.delete("country = 'XX' OR age > 70")
    elif what == "update":
        values = {"f0": "f0 + 0.25", "w": "w * 3.7", "device": "'web'"}
        shop.delta.update(values, predicate=f"id % 11 = {seed % 11}")
        # Nothing but what a loss reads.
        shop.delta.update({"amount": "amount * 2"}, predicate=f"id % 5 = {seed % 5}")
    elif what == "merge":
        path = shop.folder / "merge.parquet"
        few.assign(f1=-few["f1"]).to_parquet(path, index=False)
        source = f"parquet.`{path}` AS s ON t.id = s.id"
        shop.spark.sql(
            f"MERGE INTO delta.`{shop.table}` AS t USING {source} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
    elif what == "optimize":
        shop.delta.optimize.compact()
    elif what == "vacuum":
        vacuum(shop)


def vacuum(shop: Shop) -> None:
    """Removes all files that the table's last version has not."""
    shop.delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


WAYS = ("append", "delete", "empty a slice", "update", "merge", "optimize", "vacuum")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ways=st.lists(st.sampled_from(WAYS), min_size=2, max_size=4),
    runs=st.lists(st.booleans(), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_any_sequence_of_changes_gives_the_figures_of_a_full_run(
    shop: Shop, rows: pd.DataFrame, ways: list[str], runs: list[bool], seed: int
) -> None:
    folder = shop.folder / f"example{next(shop.runs)}"
    folder.mkdir()
    dataset = {**shop.evaluation["dataset"], "delta": str(folder / "table")}
    shop = replace(shop, folder=folder, evaluation={**shop.evaluation, "dataset": dataset})
    shop.append(rows[:600])
    shop.run()
    for number, (way, now) in enumerate(zip(ways, runs, strict=False)):
        change(shop, way, rows, seed + number)
        if now:
            shop.check()
    shop.check()


@pytest.mark.slow
def test_each_change_gives_the_figures_of_a_full_run(run_shop: Shop, rows: pd.DataFrame) -> None:
    """By Spark's workers and by processes of this machine in turn: each goes on from the other."""
    shop = run_shop
    version = 0
    for number, way in enumerate(WAYS):
        shop.executor = ("local", "spark")[number % 2]
        change(shop, way, rows, seed=3)
        todo = shop.steps()
        assert todo.base == version and not todo.full, (way, todo.why)
        assert todo.moved is None or todo.moved.by_pieces, way
        found = shop.run()
        if way in ("optimize", "vacuum"):
            assert shop.predicted() == 0
        same(found.cells, shop.in_one_process(by_spark=way in ("update", "vacuum")).cells)
        version = found.dataset.version


def test_old_rows_that_are_gone_cost_a_full_run(run_shop: Shop, rows: pd.DataFrame) -> None:
    shop = run_shop
    shop.delta.delete("id % 3 = 0")
    shop.delta.optimize.compact()
    vacuum(shop)
    todo = shop.steps()
    assert todo.full and not todo.updated and "gone" in todo.why
    shop.check()


def test_damaged_states_are_computed_anew(run_shop: Shop, rows: pd.DataFrame) -> None:
    shop = run_shop
    damage_states(shop, "confusion(2)")
    shop.check()
    assert any("damaged" in text for text in shop.reporter.told)
    shop.append(rows[1_000:1_020])
    damage_states(shop, "scores(1)")
    shop.check()


def damage_states(shop: Shop, family: str) -> None:
    """Puts other bytes at the ends of all states of a family that the store has."""
    table = DeltaTable(str(shop.folder / "store" / "states"))
    kept = table.to_pyarrow_table()
    states = zip(kept["family"].to_pylist(), kept["payload"].to_pylist(), strict=True)
    damaged = [state[:-3] + b"xyz" if name == family else state for name, state in states]
    assert damaged != kept["payload"].to_pylist()
    place = kept.schema.get_field_index("payload")
    column = pa.array(damaged, kept.schema.field(place).type)
    by = table.metadata().partition_columns
    write_deltalake(table, kept.set_column(place, "payload", column), mode="overwrite",
                    partition_by=by or None)  # fmt: skip


KEEP: dict[str, Any] = {"predictions": "keep"}


@pytest.mark.parametrize(("first", "then"), [("spark", "local"), ("local", "spark")])
def test_a_new_slice_needs_no_inference_where_predictions_are_kept(
    shop: Shop, rows: pd.DataFrame, first: str, then: str
) -> None:
    shop.executor = first
    shop.run(**KEEP, slices=SLICES[:1])
    shop.executor = then
    assert shop.predicted() == 2 * labelled(rows[:1_000])
    todo = shop.steps(**KEEP)
    assert todo.full and todo.rows == 1_000 and todo.predictions == 0
    shop.check(**KEEP)
    assert shop.predicted() == 2 * labelled(rows[:1_000]), "only what the check predicts itself"

    # Rows that changed since are predicted, and no others.
    few = (rows["id"] < 1_000) & (rows["id"] % 100 == 1)
    shop.delta.update({"f0": "f0 + 1.0"}, predicate="id % 100 = 1")
    shop.append(rows[1_000:1_005])
    new = [*SLICES, {"by": ["device"]}]
    todo = shop.steps(**KEEP, slices=new)
    assert todo.predictions == 2 * (int(few.sum()) + 5)
    result = shop.run(**KEEP, slices=new)
    assert shop.predicted() == 2 * (labelled(rows[few]) + labelled(rows[1_000:1_005]))
    same(result.cells, shop.in_one_process(**KEEP, slices=new, by_spark=True).cells)

    kept = DeltaTable(str(shop.folder / "store" / "predictions")).schema().fields
    assert not {"f0", "f1", "f2", "country", "fraud"} & {field.name for field in kept}


def test_a_row_is_forgotten(shop: Shop, rows: pd.DataFrame) -> None:
    from engine import forget

    store = shop.folder / "store"
    shop.run(**KEEP, slices=SLICES[:1])
    someone = int(rows[:1_000].dropna(subset=["fraud"])["id"].iloc[0])
    assert forget([f"id={someone}"], store=str(store)) == 2
    assert forget([str(someone), '{"id": 1000000}'], store=str(store)) == 0
    key = f'{{"id":{someone}}}'.encode()
    assert not any(key in path.read_bytes() for path in store.rglob("*.parquet"))
    shop.check(**KEEP)


def test_without_reuse_no_file_of_another_run_is_opened(shop: Shop) -> None:
    """A store of many runs costs such a run no more than an empty one."""
    first = shop.run()
    for file in (shop.folder / "store" / "states").rglob("*.parquet"):
        file.unlink()
    same(shop.run(reuse=False).cells, first.cells)


def test_keys_of_kept_predictions_name_one_row(shop: Shop, rows: pd.DataFrame) -> None:
    shop.append(rows[:10])
    with pytest.raises(DataError, match=r"10 values of 'id' stand in more than one row"):
        shop.run(**KEEP)


def test_a_store_is_maintained(shop: Shop, rows: pd.DataFrame) -> None:
    from engine import maintain

    shop.run(**KEEP)
    shop.append(rows[1_000:1_020])
    expected = shop.run(**KEEP)
    store = str(shop.folder / "store")
    done = {each.table: each for each in maintain(store=store, days=30)}
    assert done["states"].rows_expired == 0 and done["states"].files <= done["states"].files_before
    assert shop.run(**KEEP).cells == expected.cells and shop.predicted() == 0
    done = {each.table: each for each in maintain(store=store, days=0)}
    assert done["states"].rows_expired > 0 and done["predictions"].rows_expired > 0
    shop.run(**KEEP)
    assert shop.predicted() == 2 * labelled(rows[:1_020])


def test_the_commands_say_what_is_reused(
    run_shop: Shop, rows: pd.DataFrame, command: Callable[..., Any]
) -> None:
    shop = run_shop
    shop.append(rows[1_000:1_010])
    shop.prepared()
    suite = shop.world.folder / "suites" / "shop.yml"
    found = command("plan", suite)
    assert found.exit_code == 0, found.stderr
    assert "10 rows read, 20 predictions" in found.stdout
    assert "2,000 predictions, from version 0" in found.stdout
    assert "10 rows came" in found.stdout
    found = command("plan", suite, "--set", "reuse=false")
    assert "1,010 rows read, 2,020 predictions" in found.stdout
