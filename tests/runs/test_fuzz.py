"""Nasty names and values on the real Spark, Delta and MLflow: the same figures, nothing elsewhere.

Every name has the word `qx7` in it, so that whatever of it leaves the store is found.
"""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from pyspark.sql import functions as F

from engine.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1200)]

CANARY = "qx7"
HOME = "it's #1 100% [x] {y} $z 🙂 ü & co"

F0 = f'mean radius, "of" `{CANARY}`'
F1 = f"a.b*c${{x}} {CANARY}"
LABEL = f"'; DROP TABLE {CANARY}; --"
KEY = f"</script><b>{CANARY} id"
CLUSTER = f"count(*) {CANARY}"
WEIGHT = f"=w\\{CANARY}"
SECRET = f"~/.ssh/{CANARY}"
GROUP = f"{{{{7*7}}}} {CANARY}"
TEXT = f"../{CANARY} & x=1"
CROSSED = f"b=2 & c {CANARY}"
CUT = f"a < [18 {CANARY}"
SPREAD = f"x > y {CANARY}"
# But for a space at the end the names of two evaluations are one.
EVALUATIONS = (f"../../{CANARY} <b>", f"../../{CANARY} <b> ")
SUITE = f"'; DROP TABLE {CANARY}; -- ${{HOME}} 👩‍👩‍👧‍👦"
MODELS = (f"<img src=x onerror=alert(2)> {CANARY}", f"../../{CANARY}")
TESTS = (f"[red]{CANARY}[/] ::error::x", f"]]> &amp; {CANARY}")


@dataclass(frozen=True)
class Place:
    """A folder of a nasty name in which everything lies, and the rows of its table."""

    folder: Path
    rows: pd.DataFrame
    weights: tuple[tuple[float, float], ...]
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def model(self, number: int) -> Path:
        return self.folder / "models" / f"{number} {CANARY} b'#%[x]🙂"

    def predicted(self, rows: pd.DataFrame, number: int) -> pd.Series:
        """What a model predicts, by its formula."""
        a, b = self.weights[number]
        return (a * rows[F0] + b * rows[F1] > 0).astype(int)


def make_rows(values: list[str | None], rows: int, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    return pd.DataFrame(
        {
            KEY: [f"{n}'\"\\" for n in range(rows)],
            F0: x[:, 0],
            F1: x[:, 1],
            LABEL: (x[:, 0] - x[:, 1] + rng.normal(size=rows) > 0).astype(int),
            WEIGHT: np.round(rng.gamma(2.0, 1.0, rows), 3),
            CLUSTER: rng.choice(["c\n1", "c\t1", "", "`", *map(str, range(40))], rows),
            SECRET: "s",
            GROUP: rng.choice(["{% if 1 %}", "<null>", ""], rows),
            TEXT: [values[n % len(values)] for n in range(rows)],
            CROSSED: rng.choice(np.array([None, "", "<null>", "b", "a=1 & b=2"], object), rows),
            CUT: rng.choice([np.nan, -np.inf, np.inf, 17.0, 18.0, 60.0], rows),
            SPREAD: rng.normal(size=rows),
        }
    )


def save_models(place: Place) -> None:
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    for number, weights in enumerate(place.weights):
        x = place.rows[[F0, F1]]
        model = LogisticRegression().fit(x, place.rows[LABEL])
        model.coef_, model.intercept_ = np.array([weights]), np.array([0.0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.sklearn.save_model(
                model,
                str(place.model(number)),
                signature=infer_signature(x, model.predict(x)),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )


def write(spark: SparkSession, rows: pd.DataFrame, table: Path, **more: Any) -> DataFrame:
    """A Delta table of the rows, in four files, whose columns may have any name."""
    plain = rows.set_axis([f"c{n}" for n in range(len(rows.columns))], axis=1)
    place = f"c{list(rows.columns).index(CUT)}"
    frame = spark.createDataFrame(plain)
    # On its way to Spark a NaN has become a null.
    frame = frame.withColumn(place, F.coalesce(F.col(place), F.lit(float("nan"))))
    frame = frame.toDF(*rows.columns).repartition(4)
    writer = frame.write.format("delta").option("delta.columnMapping.mode", "name")
    writer.mode("append").save(str(table))
    return frame


@pytest.fixture(scope="module")
def place(world: Any, spark: SparkSession, nasty: ModuleType) -> Place:
    values = [*(text for text in nasty.CURATED if len(text) < 130), "x" * 10_000, None]
    made = Place(world.folder / HOME, make_rows(values, 4 * len(values)), ((1.0, -1.0), (1.0, 0.0)))
    (made.folder / "files").mkdir(parents=True)
    world.make_store(made.store)
    save_models(made)
    extra = {}
    for number, name in enumerate(nasty.NAMES):
        extra.setdefault(name.lower(), (name, number))
    more = pd.DataFrame(dict(extra.values()), index=made.rows.index)
    write(spark, pd.concat([made.rows, more], axis=1), made.folder / "tables" / f"{CANARY} 't' [1]")
    return made


def quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


WHERES = ["it's", "\\", 'say "hi"', "${x}", "%s%n", "'; DROP TABLE x; --", "/* x */ -- y", "a\\"]


def suite_of(place: Place, table: Path, **dataset: Any) -> dict[str, Any]:
    """A suite in which all is nasty, over a table."""
    columns = {
        "task": "binary",
        "label": LABEL,
        "features": [F0, F1],
        "key": [KEY],
        "cluster": CLUSTER,
        "weight": WEIGHT,
        "sensitive": [SECRET],
    }
    wheres = [
        {"name": f"{CANARY} {n} {value}", "where": f"{quoted(TEXT)} = {literal(value)}"}
        for n, value in enumerate(WHERES)
    ]
    evaluation = {
        "name": EVALUATIONS[0],
        "dataset": {"delta": str(table), **columns, **dataset},
        "models": [
            {"uri": str(place.model(number)), "name": name} for number, name in enumerate(MODELS)
        ],
        "baseline": MODELS[0],
        "predictions": "keep",
        "slices": [
            {"by": TEXT},
            {"by": [TEXT, CROSSED], "name": f"`{CANARY}`"},
            {"bins": {CUT: [18, 30]}},
            {"quantiles": {SPREAD: 3}},
            {"by": CROSSED, "bins": {SPREAD: [0.0]}},
            *wheres,
        ],
        "tests": [
            {"metric": "accuracy", "name": TESTS[0], "min": 0.5},
            {"metric": "recall", "name": TESTS[1], "max_drop": 0.1},
            {"metric": "demographic_parity_difference", "group": GROUP, "slices": ["overall"]},
        ],
    }
    return {
        "name": SUITE,
        "store": str(place.store),
        "checkpoint_rows": 400,
        "evaluations": [evaluation],
    }


def from_files(place: Place, suite: dict[str, Any], pattern: Path) -> dict[str, Any]:
    """A second evaluation of a suite, over CSV files, whose dataset would leave the store."""
    first = suite["evaluations"][0]
    dataset = {**first["dataset"], "csv": str(pattern), "name": f"../../../{CANARY}"}
    del dataset["delta"]
    over = {
        "name": EVALUATIONS[1],
        "dataset": dataset,
        "slices": [{"by": TEXT}],
        "predictions": "drop",
    }
    return {**first, **over}


def shown(value: Any) -> str | None:
    """A value of a column of text as the results have it."""
    return None if value is None or value != value else str(value)


def masks(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], pd.Series]]:
    """The rows of each slice by its kind and the values of its columns, found by a loop."""
    yield ("overall",), pd.Series(True, index=rows.index)
    texts = rows[TEXT].map(shown).astype(object).where(rows[TEXT].notna(), None)
    crossed = rows[CROSSED].astype(object).where(rows[CROSSED].notna(), None)
    for value in set(texts):
        yield ("by", repr({TEXT: value})), same(texts, value)
        for other in set(crossed):
            mask = same(texts, value) & same(crossed, other)
            yield ("by", repr({TEXT: value, CROSSED: other})), mask
    cut = rows[CUT]
    for name, mask in (
        ("< 18", cut < 18),
        ("[18, 30)", (cut >= 18) & (cut < 30)),
        (">= 30", cut >= 30),
        ("NaN", cut.isna()),
    ):
        yield ("bins", repr({CUT: name})), mask
    for other in set(crossed):
        for name, mask in (("< 0", rows[SPREAD] < 0), (">= 0", rows[SPREAD] >= 0)):
            yield ("bins", repr({CROSSED: other, SPREAD: name})), mask & same(crossed, other)
    for number, value in enumerate(WHERES):
        yield ("where", f"{CANARY} {number} {value}"), same(texts, value)


def same(column: pd.Series, value: str | None) -> pd.Series:
    return column.isna() if value is None else (column == value)


def check_matrix(place: Place, result: RunResult, rows: pd.DataFrame, evaluation: str) -> None:
    """All the cells of an evaluation against the loop over masks; quantiles by their sum."""
    cells = [cell for cell in result.outcome.cells if cell.evaluation == evaluation]
    names = [(cell.model.name, cell.slice.name, cell.test.name) for cell in cells]
    assert len(set(names)) == len(names), "each cell has a name of its own"
    found: dict[tuple[Any, ...], Any] = {}
    for cell in cells:
        kind = cell.slice.kind
        if kind == "quantiles":
            continue
        about = cell.slice.name if kind == "where" else repr(cell.slice.columns)
        of = (kind,) if kind == "overall" else (kind, about)
        key = (cell.model.name, cell.test.name, *of)
        assert key not in found
        found[key] = cell
    seen = 0
    for of, mask in masks(rows):
        alone = of[0] == "overall" or (of[0] == "by" and CROSSED not in of[1])
        if not mask.any() or (evaluation == EVALUATIONS[1] and not alone):
            continue
        part = rows[mask]
        for number, model in enumerate(MODELS):
            correct = place.predicted(part, number) == part[LABEL]
            accuracy = np.average(correct, weights=part[WEIGHT])
            cell = found.pop((model, TESTS[0], *of))
            assert cell.counts.n == len(part), of
            assert cell.measured.value == pytest.approx(accuracy, abs=1e-9), of
            positive = part[part[LABEL] == 1]
            cell = found.pop((model, TESTS[1], *of))
            if len(positive):
                hit = place.predicted(positive, number) == 1
                recall = np.average(hit, weights=positive[WEIGHT])
                assert cell.measured.value == pytest.approx(recall, abs=1e-9), of
            else:
                assert cell.measured.value is None
            seen += 1
    assert seen > 100
    assert all(key[1] not in TESTS for key in found), list(found)[:3]
    thirds = [c for c in cells if c.slice.kind == "quantiles" and c.test.name == TESTS[0]]
    assert not thirds or sum(c.counts.n for c in thirds) == 2 * len(rows)


def surroundings(place: Place, root: Path) -> set[str]:
    """What lies around the store: all of its own folder, and what has the canary further out."""
    near = {
        str(path)
        for path in place.folder.rglob("*")
        if not path.is_relative_to(place.store) and ".locks" not in path.parts
    }
    parents = [*place.folder.parents][:4]
    for folder in {*parents, root, Path.cwd(), Path.home(), Path("/tmp")}:
        near |= {entry.path for entry in os.scandir(folder) if CANARY in entry.name}
    return near


@pytest.fixture(scope="module")
def ran(
    place: Place, evaluated: Callable[..., RunResult], root: Path, nasty: ModuleType
) -> RunResult:
    """The run of the suite in which all is nasty, over a table and over CSV files."""
    table = place.folder / "tables" / f"{CANARY} 't' [1]"
    suite = suite_of(place, table)
    few = [text for text in nasty.CURATED if 0 < len(text) < 130 and text.isprintable()]
    files = place.folder.parent / f"files of {CANARY}"
    files.mkdir()
    rows = make_rows([text for text in few if text.strip() == text], 500, seed=6)
    rows = rows.assign(**{CUT: 20.0, CROSSED: "b", CLUSTER: "c", GROUP: rows[LABEL].map(str)})
    rows[CLUSTER] = rows[KEY]
    halves = (f"a b'#%20&=+,;(x)🙂 {CANARY}.csv", f"~$new\nline {CANARY}.csv")
    for name, part in zip(halves, (rows[:250], rows[250:]), strict=True):
        part.to_csv(files / name, index=False, quoting=csv.QUOTE_ALL)
    suite["evaluations"].append(from_files(place, suite, files / "*.csv"))
    place.seen["files"] = rows
    place.seen["before"] = surroundings(place, root)
    return evaluated(suite, "fuzz", run_id="nasty")


def test_the_whole_matrix_equals_a_loop_over_masks(place: Place, ran: RunResult) -> None:
    check_matrix(place, ran, place.rows, EVALUATIONS[0])
    check_matrix(place, ran, place.seen["files"], EVALUATIONS[1])


def test_nothing_is_written_outside_the_store(place: Place, ran: RunResult, root: Path) -> None:
    assert surroundings(place, root) == place.seen["before"]
    lake = [path.name for path in (place.store / "lake").iterdir() if path.name != ".locks"]
    assert len(lake) == 1 and lake[0].startswith(CANARY)
    kept = {path.name for path in place.store.iterdir()}
    known = {"states", "chunks", "predictions", "results", "runs", "lake", "reports", "logs",
             "audit"}  # fmt: skip
    assert kept <= known | {"artifacts", "mlflow.db", "cache", ".locks"}


def test_each_cell_is_one_row_of_the_table(
    place: Place, ran: RunResult, spark: SparkSession
) -> None:
    from engine.commands.results import results

    frame = results(store=str(place.store), run="nasty", spark=spark)
    assert len(frame) == len(ran.outcome.cells)
    named = ["evaluation", "model", "slice", "test"]
    assert not frame.duplicated(named).any()
    assert set(frame["suite"]) == {SUITE}
    columns = [c.slice.columns for c in ran.outcome.cells if c.slice.kind == "by"]
    assert {TEXT: None} in columns and {TEXT: "<null>"} in columns and {TEXT: ""} in columns
    stored = {(r.slice, repr(r.slice_columns)) for r in frame.itertuples() if r.slice_kind == "by"}
    made = {
        (c.slice.name, repr(c.slice.columns)) for c in ran.outcome.cells if c.slice.kind == "by"
    }
    assert stored == made


def test_every_output_is_read_back(place: Place, ran: RunResult, command: Any) -> None:
    folder = place.store / "reports" / "nasty"
    page = BeautifulSoup((folder / "index.html").read_text("utf-8"), "lxml")
    assert len(page.find_all("script")) == 1 and not page.find_all("img")
    assert MODELS[0] in page.get_text()
    root = etree.parse(folder / "junit.xml").getroot()
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(cases) == len(set(cases)) > 1000
    stored = yaml.safe_load((folder / "suite.yml").read_text("utf-8"))
    assert stored["name"] == SUITE
    assert stored["evaluations"][0]["dataset"]["label"] == LABEL
    assert "<img" not in (folder / "summary.md").read_text("utf-8")
    texts = {cell.slice.name for cell in ran.outcome.cells}
    store = ("--store", place.store, "--run", "nasty")
    as_csv = command("results", *store, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout, newline="")))
    assert {row["slice"] for row in rows} == texts and len(rows) == len(ran.outcome.cells)
    as_json = command("results", *store, "--format", "json")
    assert {row["slice"] for row in json.loads(as_json.stdout)} == texts
    assert not set(command("results", *store).stdout) & set("\x1b\x07\x00\r")
    cell = next(cell for cell in ran.outcome.cells if cell.slice.columns == {TEXT: "it's"})
    name = "/".join((cell.evaluation, cell.model.name, cell.slice.name, cell.test.name))
    told = command("explain", "nasty", name, "--store", place.store)
    assert told.exit_code == 0 and told.stdout.startswith(f"{name}: {cell.verdict.value}")


def test_mlflow_has_the_runs_with_their_tags(place: Place, ran: RunResult) -> None:
    from mlflow import MlflowClient

    assert ran.tracking_error is None
    client = MlflowClient(ran.tracking_uri)
    experiment = client.get_experiment_by_name(SUITE)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    tags = {
        (run.data.tags["evalmatrix.evaluation"], run.data.tags.get("evalmatrix.model")): run
        for run in runs
    }
    assert set(tags) == {(name, model) for name in EVALUATIONS for model in (None, *MODELS)}
    for run in runs:
        assert run.data.tags["evalmatrix.suite"] == SUITE
        assert len(run.info.run_name) <= 250
    overall = next(
        cell.measured.value
        for cell in ran.outcome.cells
        if (cell.evaluation, cell.model.name, cell.test.name)
        == (EVALUATIONS[0], MODELS[1], TESTS[0])
    )
    metrics = tags[EVALUATIONS[0], MODELS[1]].data.metrics
    assert metrics["accuracy_score"] == pytest.approx(overall)
    assert len(metrics) > 1000


def test_a_predicate_is_refused_that_a_callers_session_would_fill_in(
    place: Place, ran: RunResult, spark: SparkSession
) -> None:
    from engine.data.profile import check_predicates
    from engine.planning.suites import read_suite

    table = place.folder / "tables" / f"{CANARY} 't' [1]"
    frame = spark.read.format("delta").load(str(table))
    suite = read_suite(place.folder.parent / "suites" / "fuzz.yml")
    check_predicates(frame, suite.evaluations[0])
    spark.conf.set("spark.sql.variable.substitute", "true")
    try:
        with pytest.raises(InputError, match=r"in which Spark would replace what stands in"):
            check_predicates(frame, suite.evaluations[0])
    finally:
        spark.conf.set("spark.sql.variable.substitute", "false")


def test_mlflow_takes_a_dataset_of_very_many_columns(place: Place, ran: RunResult) -> None:
    from mlflow import MlflowClient

    from engine.sinks.mlflow.datasets import dataset_input

    client, dataset = MlflowClient(ran.tracking_uri), ran.outcome.evaluations[0].dataset
    wide = replace(dataset, schema=tuple((f"{'c' * 300} {n}", "int") for n in range(4000)))
    run_id = ran.parents[EVALUATIONS[0]]
    client.log_inputs(run_id, datasets=[dataset_input(replace(wide, version=99))])
    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert {each.dataset.name.rsplit("@", 1)[1] for each in inputs} == {"v0", "v99"}


@pytest.mark.parametrize(
    "given",
    [
        ("--run-id", "latest"),
        ("--run-id", "../x"),
        ("--run-id", ".x"),
        ("--run-id", "a b"),
        ("--run-id", "x" * 101),
        ("--run-id", "a\n"),
        ("--resume", ""),
        ("--resume", "../x"),
    ],
)
def test_a_run_id_that_is_none_is_refused(
    place: Place, ran: RunResult, command: Any, given: tuple[str, str]
) -> None:
    told = command("run", place.folder.parent / "suites" / "fuzz.yml", *given)
    assert told.exit_code == 2 and told.stderr.startswith("evalmatrix: a run id is ")


def test_rows_that_changed_are_found_on_such_a_table(
    place: Place, ran: RunResult, evaluated: Callable[..., RunResult], spark: SparkSession
) -> None:
    from delta.tables import DeltaTable

    table = place.folder / "tables" / f"{CANARY} 't' [1]"
    new = make_rows(["it's", "🙂", None, "\u2028"], 60, seed=9)
    new[KEY] = [f"new {n}`" for n in range(60)]
    rest = dict.fromkeys(spark.read.format("delta").load(str(table)).columns, 0)
    more = pd.DataFrame({k: v for k, v in rest.items() if k not in new}, index=new.index)
    write(spark, pd.concat([new, more], axis=1), table)
    gone = [f"{n}'\"\\" for n in range(0, 300, 7)]
    condition = f"{quoted(KEY)} IN ({', '.join(map(literal, gone))})"
    DeltaTable.forPath(spark, str(table)).delete(condition)
    rows = pd.concat([place.rows[~place.rows[KEY].isin(gone)], new], ignore_index=True)
    suite = suite_of(place, table)
    # Quantiles are cut anew, and with them the slices.
    suite["evaluations"][0]["slices"] = [
        rule for rule in suite["evaluations"][0]["slices"] if "quantiles" not in rule
    ]
    again = evaluated(suite, "fuzz-2", run_id="changed")
    check_matrix(place, again, rows, EVALUATIONS[0])
    timings = again.outcome.evaluations[0].timings
    assert timings["rows"] == 60 + len(gone), "only the rows that came and went were read"


def columns_of(nasty: ModuleType) -> st.SearchStrategy[list[str]]:
    """Names of columns that a suite can write, and that are not one for Spark."""
    return st.lists(nasty.names(), min_size=8, max_size=8, unique_by=lambda name: name.lower())


def check_example(
    data: st.DataObject, place: Place, spark: SparkSession, nasty: ModuleType, root: Path
) -> None:
    """A table, a suite and values as they are drawn: its scan equals a loop over masks."""
    from engine.commands.progress import Reporter
    from engine.core.background import BackgroundWriter
    from engine.core.locations import Store
    from engine.execution.computation import Computation
    from engine.execution.evaluate import evaluate
    from engine.planning.model_finder import ModelFinder
    from engine.planning.planner import prepare
    from engine.planning.suites import read_suite
    from engine.spark.lazy_session import LazySession
    from engine.store.tables import StoreTables

    key, label, weight, cluster, text, other, cut, spare = data.draw(columns_of(nasty))
    drawn = [None, "", "<null>", *data.draw(st.lists(nasty.texts(), min_size=2, max_size=12))]
    rng = np.random.default_rng(3)
    rows = place.rows[[F0, F1]][:200].reset_index(drop=True)
    number = len(place.seen)
    place.seen[f"example {number}"] = True
    names = {key: np.arange(200), label: place.rows[LABEL][:200].to_numpy(),
             weight: np.round(rng.gamma(2.0, 1.0, 200), 3), cluster: rng.integers(0, 30, 200),
             text: rng.choice(np.array(drawn, object), 200),
             other: rng.choice(np.array(drawn, object), 200), cut: rng.normal(size=200),
             spare: 0}  # fmt: skip
    if {F0.lower(), F1.lower()} & {name.lower() for name in names}:
        return
    rows = rows.assign(**names)
    table = place.folder / "tables" / f"{CANARY} {number}"
    plain = rows.set_axis([f"c{n}" for n in range(len(rows.columns))], axis=1)
    frame = spark.createDataFrame(plain).toDF(*rows.columns)
    frame.write.format("delta").option("delta.columnMapping.mode", "name").save(str(table))
    named = data.draw(st.lists(nasty.names(), min_size=3, max_size=3, unique=True))
    both: dict[str, Any] = {"by": [text, other]}
    if len(text) + len(other) > 190:
        # By itself the rule would be called by both names, and a name has 200 characters at most.
        both["name"] = named[0]
    evaluation = {
        "name": named[0],
        "dataset": {"delta": str(table), "task": "binary", "label": label, "key": [key],
                    "cluster": cluster, "weight": weight, "features": [F0, F1]},
        "models": [{"uri": str(place.model(0)), "name": named[1]}],
        "slices": [both, {"bins": {cut: [0, 1]}},
                   {"name": f"w {CANARY}", "where": f"{quoted(cut)} > 0.5"}],
        "tests": [{"metric": "accuracy", "name": named[2]}],
    }  # fmt: skip
    path = place.folder / "suite.yml"
    suite = {"name": named[0], "store": str(place.store), "evaluations": [evaluation]}
    path.write_text(yaml.safe_dump(suite, default_style='"'), encoding="utf-8")
    before = surroundings(place, root)
    read = read_suite(path)
    tables = StoreTables(Store(read.store), LazySession(spark))
    (made,) = prepare(tables.session, read, finder=ModelFinder(read))
    with BackgroundWriter() as beside:
        of = Computation(tables, read.name, f"example-{number}", Reporter(), beside)
        cells = evaluate(of, made.plan, []).cells
    found = {(cell.slice.kind, repr(cell.slice.columns)): cell for cell in cells}
    assert len({cell.slice.name for cell in cells}) == len(found) == len(cells)
    correct = (place.predicted(rows, 0) == rows[label]).astype(float)
    masks = {("overall", "{}"): rows[key] >= 0, ("where", "{}"): rows[cut] > 0.5}
    for interval, mask in (("< 0", rows[cut] < 0), (">= 1", rows[cut] >= 1),
                           ("[0, 1)", (rows[cut] >= 0) & (rows[cut] < 1))):  # fmt: skip
        masks["bins", repr({cut: interval})] = mask
    for one in {*drawn}:
        for two in {*drawn}:
            mask = same(rows[text], one) & same(rows[other], two)
            if mask.any():
                masks["by", repr({text: one, other: two})] = mask
    assert set(found) == set(masks)
    for of_slice, mask in masks.items():
        expected = np.average(correct[mask], weights=rows[weight][mask])
        assert found[of_slice].measured.value == pytest.approx(expected, abs=1e-9), of_slice
    assert surroundings(place, root) == before


SLOW = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(data=st.data())
def test_any_names_and_values_are_evaluated_as_they_are(
    data: st.DataObject, place: Place, spark: SparkSession, nasty: ModuleType, root: Path
) -> None:
    check_example(data, place, spark, nasty, root)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(parent=SLOW, max_examples=150)
@given(data=st.data())
def test_many_names_and_values_are_evaluated_as_they_are(
    data: st.DataObject, place: Place, spark: SparkSession, nasty: ModuleType, root: Path
) -> None:
    check_example(data, place, spark, nasty, root)
