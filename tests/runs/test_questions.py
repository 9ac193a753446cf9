"""Queries and probes in whole runs, on the real machinery: kept, resumed, judged, asked once.

One table that changes and one store; the kinds are the tests' own (`own_question_kinds.py`).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError, StoreError
from engine.execution import answers, evaluate
from engine.kinds import KINDS
from engine.metrics import METRICS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent.parent
MODULE = "own_question_kinds"
# The kinds that the documents show.
DOCUMENTED = ("my_queries", "my_probes")
SLICES = [
    "overall",
    {"by": ["country"]},
    {"by": ["country", "device"]},
    {"bins": {"age": [20, 40]}},
    {"name": "young", "where": "age < 25"},
    {"name": "nobody", "where": "age > 1000"},
]
REPEATS = {"repeats": "card", "max": 0.2}
BATCH = {"batch_row": 12, "max": 1e-6}


@dataclass
class Desk:
    """A table, suites on it, what runs them, and what they ask."""

    world: Any
    spark: SparkSession
    folder: Path
    run: Callable[..., RunResult]
    asked: list[str]

    @property
    def table(self) -> str:
        return str(self.folder / "table")

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def suite(self, store: str, *tests: dict[str, Any], **over: Any) -> dict[str, Any]:
        path = self.folder / store
        if not path.exists():
            self.world.make_store(path)
        evaluation = {
            "name": "desk",
            "dataset": {"delta": self.table, "task": "binary", "label": "fraud", "key": ["id"]},
            "models": [{"uri": self.world.model(name)} for name in ("good", "other")],
            "baseline": "good",
            "slices": SLICES,
            "tests": list(tests),
            **over,
        }
        top = {"store": str(path), "plugins": [MODULE], "gate": {"on_inconclusive": "pass"}}
        return {"name": "desk", **top, "evaluations": [evaluation]}

    def costs(self) -> tuple[list[str], int, int]:
        """What was asked since this was called last: queries, probes, predictions of the scan."""
        asked, self.asked[:] = list(self.asked), []
        probes = len(self.journal.read_text().split()) if self.journal.exists() else 0
        self.journal.unlink(missing_ok=True)
        predicted = sum(sum(self.world.journal(name)) for name in ("good", "other"))
        for name in ("good", "other"):
            self.world.forget(name)
        return asked, probes, predicted


def rows_of(seed: int, rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.arange(rows) + 1000 * seed})
    frame["f0"], frame["f1"] = rng.normal(size=rows), rng.normal(size=rows)
    frame["country"] = rng.choice(["DE", "FR", None], rows)
    frame["device"] = rng.choice(["ios", "web"], rows)
    frame["age"] = rng.choice([18.0, 20.0, 25.0, 40.0, 60.0, np.nan], rows)
    frame["card"] = [None if draw < 0 else f"card {draw}" for draw in rng.integers(-9, 1500, rows)]
    frame["fraud"] = (frame["f0"] > 0).astype(int)
    return frame


@pytest.fixture(scope="module")
def desk(
    world: Any,
    spark: SparkSession,
    evaluated: Callable[..., RunResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("questions")
    shutil.copy(Path(__file__).with_name(f"{MODULE}.py"), folder)
    page = (ROOT / "docs" / "kinds" / "README.md").read_text(encoding="utf-8")
    for name in DOCUMENTED:
        code = re.search(rf"```python\n(# {name}\.py\n.*?)```", page, re.DOTALL)
        assert code is not None, name
        (folder / f"{name}.py").write_text(code[1], encoding="utf-8")
    for name in (MODULE, *DOCUMENTED):
        # As `spark-submit --py-files` gives it to the workers.
        spark.sparkContext.addPyFile(str(folder / f"{name}.py"))
    sys.path.insert(0, str(folder))
    desk = Desk(world, spark, folder, evaluated, [])
    write(desk, rows_of(1), "table")
    original = answers._answer_query

    def counted(session: Any, plan: Any, question: Any, frames: Any) -> Any:
        desk.asked.append(f"{question.test.kind} {question.slice_set.name}")
        return original(session, plan, question, frames)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBE_JOURNAL", str(desk.journal))
        patch.setattr(answers, "_answer_query", counted)
        yield desk
    sys.path.remove(str(folder))
    # Other tests look at the kinds that are shipped.
    for key in [kind.key for kind in sys.modules[MODULE].OWN] + ["repeated", "batch_equals_row"]:
        KINDS._things.pop(key, None)
    for name in (MODULE, *DOCUMENTED):
        METRICS._loaded.discard(f"module {name}")
        sys.modules.pop(name, None)


def write(desk: Desk, rows: pd.DataFrame, name: str, mode: str = "append") -> None:
    path = desk.folder / "rows.parquet"
    rows.to_parquet(path, index=False)
    frame = desk.spark.read.parquet(str(path)).repartition(3)
    frame.write.format("delta").mode(mode).save(str(desk.folder / name))


def cells_of(result: RunResult, kind: str) -> dict[tuple[str, str], Any]:
    cells = [cell for cell in result.outcome.cells if cell.test.kind == kind]
    return {(cell.model.name, cell.slice.name): cell for cell in cells}


@pytest.fixture(scope="module")
def first(desk: Desk) -> RunResult:
    desk.costs()
    return desk.run(desk.suite("store", REPEATS, BATCH), run_id="first")


def test_a_query_gives_what_pandas_does_on_all_kinds_of_slices(
    desk: Desk, first: RunResult
) -> None:
    rows = rows_of(1)
    repeats = rows.groupby("card", dropna=False)["id"].transform("size") > 1
    cells = cells_of(first, "repeats")
    country = rows["country"].fillna("<null>")
    masks: dict[str, pd.Series] = {"overall": rows["id"] >= 0, "young": rows["age"] < 25}
    for name in country.unique():
        masks[f"country={name}"] = country == name
        for device in ("ios", "web"):
            crossed = (country == name) & (rows["device"] == device)
            masks[f"country={name} & device={device}"] = crossed
    masks |= {
        "age < 20": rows["age"] < 20,
        "age in [20, 40)": (rows["age"] >= 20) & (rows["age"] < 40),
        "age >= 40": rows["age"] >= 40,
        "age=NaN": rows["age"].isna(),
    }
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    names = {name for _, name in cells} - {"nobody"}
    # parquet has null for pandas' NaN.
    assert names == {name.replace("age=NaN", "age=<null>") for name in masks}
    for name, mask in masks.items():
        cell = cells["", name.replace("age=NaN", "age=<null>")]
        assert cell.counts.n == mask.sum(), name
        assert cell.measured.value == pytest.approx(repeats[mask].mean(), abs=1e-12), name
    nobody = cells["", "nobody"]
    assert nobody.verdict.value == "ERROR" and "matched no row" in nobody.reason
    assert cells["", "overall"].verdict.value == "FAIL", "planted: cards that repeat"


def test_a_probe_and_a_query_without_a_scan(desk: Desk, first: RunResult) -> None:
    for (model, where), cell in cells_of(first, "batch_row").items():
        assert where == "overall" and model in ("good", "other")
        assert (cell.verdict.value, cell.counts.n) == ("PASS", 12), cell.reason
    asked, probes, _ = desk.costs()
    sets = ("overall", "country", "country x device", "age", "young", "nobody")
    assert asked == [f"repeats {name}" for name in sets]
    assert probes == 2
    assert first.outcome.evaluations[0].timings.get("rows", 0) == 0, "nothing was scanned"


def test_nothing_new_costs_nothing(
    desk: Desk, first: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.costs()

    def refuse(*args: Any) -> None:
        raise AssertionError("a question was asked again")

    tracker = desk.spark.sparkContext.statusTracker()
    jobs = set(tracker.getJobIdsForGroup(None))
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "answer_questions", refuse)
        suite = desk.suite("store", {**REPEATS, "max": 0.9, "name": "cards"}, BATCH)
        again = desk.run(suite, run_id="again")
        # A resumed run that is finished answers from what it has.
        resumed = desk.run(suite, resume="again")
    assert desk.costs() == ([], 0, 0)
    assert set(tracker.getJobIdsForGroup(None)) == jobs, "Spark had nothing to do"
    values = [cell.measured.value for cell in first.outcome.cells]
    assert [cell.measured.value for cell in again.outcome.cells] == values
    assert [cell.measured.value for cell in resumed.outcome.cells] == values
    # Without reuse nothing is taken from others.
    desk.run({**desk.suite("store", REPEATS), "reuse": False}, run_id="anew")
    assert len(desk.costs()[0]) == 6


def test_judging_again_and_the_report_read_what_is_kept(desk: Desk, first: RunResult) -> None:
    from engine import judge, plan, report

    store = str(desk.folder / "store")
    desk.costs()
    loose = desk.suite("store", {**REPEATS, "max": 1, "severity": "warn"}, {**BATCH, "max": 1})
    judged = judge("first", suite=desk.world.write("loose", loose), store=store)
    assert {cell.verdict.value for cell in judged.outcome.cells} == {"PASS", "ERROR"}
    other = desk.suite("store", {"repeats": "device"}, {"batch_row": 5})
    with pytest.raises(InputError) as refused:
        judge("first", suite=desk.world.write("other", other), store=store)
    assert "'repeats device' needs the answer to the query on the slices by" in str(refused.value)
    assert "'batch_row 5' needs the answer to the probe" in str(refused.value)
    page = report(store=store, run="first", out=desk.folder / "again").read_text()
    assert "repeats card" in page and "batch_row 12" in page
    path = desk.world.write("planned", desk.suite("store", REPEATS, BATCH, {"slower": "any"}))
    (planned,) = plan(path, spark=desk.spark)
    assert dict(planned.costs) == {
        "repeats card": "a query on each of 6 slice sets; its answers are kept",
        "batch_row 12": "a probe of 12 rows in each of 2 models; its answers are kept",
        "slower any": "a probe of 10 rows in each of 2 models, one after the other, in every run",
    }
    assert planned.predictions == planned.rows == 0
    assert desk.costs() == ([], 0, 0)


def test_a_run_that_was_stopped_keeps_what_it_has_found(
    desk: Desk, first: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.costs()
    suite = desk.suite("stopped", REPEATS, BATCH, {"slower": "any"}, {"metric": "accuracy"})
    original = answers._probe_models

    def stop(sample: Any, plan: Any, tasks: Any) -> Any:
        if tasks[0].alone:
            raise StoreError("stopped")
        return original(sample, plan, tasks)

    with monkeypatch.context() as patch:
        patch.setattr(answers, "_probe_models", stop)
        with pytest.raises(StoreError, match="stopped"):
            desk.run(suite, run_id="one")
    asked, probes, predicted = desk.costs()
    # Of 12 rows each model is asked once for all and once for each.
    assert (len(asked), probes, predicted) == (6, 2, 2 * (400 + 12 + 12))
    result = desk.run(suite, resume="one")
    # The two that were not tried, of which one asks both models for 10 rows; and nothing else.
    assert desk.costs() == ([], 2, 20)
    slower = cells_of(result, "slower")
    assert slower["good", "overall"].measured.value is None
    assert slower["other", "overall"].measured.value > 0
    # What measures time is measured in each run, all else is known.
    desk.run(suite, run_id="two")
    assert desk.costs() == ([], 2, 20)
    # And judged again from what the run itself has found.
    from engine import judge

    judged = judge("two", store=str(desk.folder / "stopped"))
    assert len(judged.outcome.cells) == len(result.outcome.cells)
    assert desk.costs() == ([], 0, 0)


def test_a_model_that_dies_in_its_probe_costs_its_own_cells_and_is_tried_again(desk: Desk) -> None:
    suite = desk.suite("died", BATCH, {"metric": "accuracy", "slices": ["overall"]})
    desk.run(desk.suite("died", {"metric": "accuracy", "slices": ["overall"]}), run_id="zero")
    desk.world.hook("other", "kill -9 $PPID")
    result = desk.run(suite, run_id="one")
    died, sound = (cells_of(result, "batch_row")[name, "overall"] for name in ("other", "good"))
    assert died.verdict.value == "ERROR"
    assert "the model failed in the probe: its process was ended by SIGKILL" in died.reason
    assert sound.verdict.value == "PASS"
    measured = cells_of(result, "metric")
    assert {cell.verdict.value for cell in measured.values()} == {"RECORDED"}
    # A run that is resumed has tried it; another tries again, that model alone.
    desk.costs()
    assert desk.run(suite, resume="one").exit_code == result.exit_code == 3
    assert desk.costs() == ([], 0, 0)
    again = desk.run(suite, run_id="two")
    assert cells_of(again, "batch_row")["other", "overall"].verdict.value == "PASS"
    assert desk.costs()[1] == 1


def test_mistakes_in_a_query_cost_its_own_cells(desk: Desk) -> None:
    fine = "SELECT _slice, count(*) AS n, avg(f0) AS value FROM {rows} GROUP BY _slice"
    mistakes = {
        "SELEC _slice FROM {rows}": "PARSE_SYNTAX_ERROR",
        "SELECT _slice, count(*) AS n, avg(f9) AS value FROM {rows} GROUP BY _slice": "f9",
        "SELECT _slice, 1 AS n, country AS value FROM {rows}": "'value' is of type string",
        "SELECT _slice, 1 AS n, f0 AS value FROM {rows}": "400 rows for 1 slices",
        "SELECT _slice, avg(f0) AS value FROM {rows} GROUP BY _slice": "expected '_slice', 'n'",
        "SELECT 1 AS _slice, 1 AS n, 2 AS value FROM {rows}": "is not that of the rows",
        "SELECT _slice, 1 AS n, CAST(country AS INT) AS value FROM {rows}": "CAST_INVALID_INPUT",
        "SELECT _slice, 1 AS n, 1 AS value FROM {rows} WHERE id < 0": "it gave no row",
        fine.replace("avg(f0)", "double('NaN')"): "not finite",
        fine.replace("avg(f0) AS value", "avg(f0) AS other"): "the kind failed: KeyError",
    }
    tests = [
        {"broken_query": text, "name": f"mistake {number}", "slices": ["overall", "country"]}
        for number, text in enumerate([*mistakes, fine])
    ]
    result = desk.run(desk.suite("mistakes", *tests), run_id="one")
    by_test: dict[str, list[Any]] = {}
    for cell in result.outcome.cells:
        by_test.setdefault(cell.test.name, []).append(cell)
    for number, (text, reason) in enumerate(mistakes.items()):
        for cell in by_test[f"mistake {number}"]:
            assert cell.verdict.value == "ERROR", (text, cell.slice.name, cell.reason)
        told = {cell.reason for cell in by_test[f"mistake {number}"]}
        assert any(reason in text for text in told), (text, told)
        assert not any("DE" in cell.reason for cell in by_test[f"mistake {number}"])
    *_, sound = by_test.values()
    assert {cell.slice.name for cell in sound} == {
        "overall", "country=DE", "country=FR", "country=<null>",
    }  # fmt: skip
    assert {cell.verdict.value for cell in sound} == {"RECORDED"}
    assert result.exit_code == 3


def test_a_query_looks_into_the_reference(desk: Desk, command: Callable[..., Any]) -> None:
    train = rows_of(1).assign(id=lambda frame: np.where(frame.index < 30, frame["id"], -1))
    write(desk, train.drop(columns=["f0", "f1"]), "train")
    tests = [{"shared_keys": "id", "max": 0, "slices": ["overall", "country"]}]
    reference = {"delta": str(desk.folder / "train")}
    suite = desk.suite("beside", *tests, reference=reference)
    desk.costs()
    path = desk.world.write("beside", suite)
    done = command("run", path, "--run-id", "one", "--json")
    assert done.exit_code == 1, done.stderr
    assert json.loads(done.stdout)["gate"] == "failed"
    results = command("results", "--store", suite["store"], "--format", "json")
    rows = {row["slice"]: row for row in json.loads(results.stdout)}
    assert rows["overall"]["value"] == pytest.approx(30 / 400)
    assert rows["overall"]["n"] == 400 and rows["overall"]["model"] in (None, "")
    known = rows_of(1)
    german = known["country"] == "DE"
    expected = (known.index[german] < 30).mean()
    assert rows["country=DE"]["value"] == pytest.approx(expected)
    assert len(desk.costs()[0]) == 2
    # Another version of the reference is another question, the same one is none.
    assert command("run", path, "--run-id", "two").exit_code == 1
    assert desk.costs()[0] == []
    write(desk, train.assign(id=-5).drop(columns=["f0", "f1"]), "train", mode="overwrite")
    assert command("run", path, "--run-id", "three").exit_code == 0
    assert len(desk.costs()[0]) == 2
    told = command("explain", "three", "overall/shared_keys id", "--store", suite["store"])
    assert told.exit_code == 0, told.stderr


def test_the_kinds_of_the_documents_do_what_they_say(desk: Desk) -> None:
    tests = [{"repeated": "card", "max": 0.5}, {"batch_equals_row": True, "max": 1e-9}]
    suite = desk.suite("documents", *tests, slices=["overall", {"by": ["device"]}])
    result = desk.run({**suite, "plugins": list(DOCUMENTED)}, run_id="one")
    cells = cells_of(result, "repeated")
    rows = rows_of(1)
    repeats = rows.groupby("card", dropna=False)["id"].transform("size") > 1
    assert cells["", "overall"].measured.value == pytest.approx(repeats.mean())
    web = repeats[rows["device"] == "web"].mean()
    assert cells["", "device=web"].measured.value == pytest.approx(web)
    probed = cells_of(result, "batch_equals_row")
    assert {cell.verdict.value for cell in probed.values()} == {"PASS"} and len(probed) == 2


def test_another_version_of_the_dataset_is_asked_anew(desk: Desk, first: RunResult) -> None:
    write(desk, rows_of(2, rows=50), "table")
    desk.costs()
    suite = desk.suite("store", REPEATS, BATCH)
    result = desk.run(suite, run_id="newer")
    assert len(desk.costs()[0]) == 6
    assert cells_of(result, "repeats")["", "overall"].counts.n == 450
    # Of whatever partitioning: the sample is the same.
    whole = desk.spark.read.format("delta").load(desk.table).coalesce(1)
    whole.write.format("delta").save(str(desk.folder / "table one"))
    evaluation = suite["evaluations"][0]
    evaluation["dataset"]["delta"] = str(desk.folder / "table one")
    one = desk.run(suite, run_id="one-part")
    for kind in ("repeats", "batch_row"):
        ours, theirs = cells_of(result, kind), cells_of(one, kind)
        assert [cell.measured for cell in ours.values()] == [
            cell.measured for cell in theirs.values()
        ]


def test_a_contract_and_speed_of_models_of_scikit_learn(desk: Desk) -> None:
    import mlflow.sklearn
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from engine import report

    rows = rows_of(1)
    x = rows[["f0", "f1"]]
    models = []
    for name, model in (
        ("line", LogisticRegression()),
        ("forest", RandomForestClassifier(60, max_depth=3, random_state=0)),
    ):
        path, signature = desk.folder / name, mlflow.models.infer_signature(x, rows["fraud"])
        how = {"serialization_format": "cloudpickle", "pip_requirements": []}
        mlflow.sklearn.save_model(
            model.fit(x, rows["fraud"]), str(path), signature=signature, **how
        )
        models.append({"uri": str(path), "name": name})
    tests = [{"contract": "all"}, {"speed": "latency_p50", "batch": 1, "max_ratio": 1.1}]
    suite = desk.suite("behaviour", *tests, models=models, baseline="line", slices=["overall"])
    result = desk.run(suite, run_id="one")
    verdicts = {
        (cell.model.name, cell.test.name): cell.verdict.value for cell in result.outcome.cells
    }
    contract = {test: verdict for (_, test), verdict in verdicts.items() if "contract" in test}
    assert len(contract) == 12 and set(contract.values()) == {"PASS"}, verdicts
    assert verdicts["line", "speed latency_p50"] == "RECORDED"
    slower = cells_of(result, "speed")["forest", "overall"]
    assert slower.verdict.value == "FAIL" and slower.measured.ci_low > 1.1, slower.reason
    page = report(store=suite["store"], run="one", out=desk.folder / "behaviour").read_text()
    assert "Contract" in page and "Speed" in page and "batch_equals_row" in page
