"""Kinds of tests in whole runs: variants, columns and a kind from outside, on the real machinery.

One table that changes and one store: a first run, a night with rows that came and went, and a run
in chunks, all against runs that compute everything.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import DataError, InputError, SuiteError
from engine.execution import scans
from engine.kinds import KINDS
from engine.metrics import METRICS
from engine.store.state_writer import store_states
from tests.fixtures.alike import no_pieces
from tests.fixtures.desk import Desk, check_same
from tests.fixtures.desk import cells_of as cells_by
from tests.fixtures.tables import delete_rows, read_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = ["model", "slice", "test", "variant"]
FIGURES = ["n", "value", "ci_low", "ci_high", "baseline_value", "delta", "delta_ci_low",
           "delta_ci_high", "p_value"]  # fmt: skip
TESTS = [
    {"metric": "accuracy", "min": 0.1},
    {
        "robustness": {"noise": ["f0", "f1"], "severities": [1, 4]},
        "metric": "accuracy",
        "max_drop": 0.3,
        "name": "noise",
    },
    {"data_quality": {"not_null": ["age", "country"]}, "max_share": 0.5},
    {"confident": 0.6, "min": 0.01, "slices": ["overall"]},
]


def cells_of(result: RunResult) -> pd.DataFrame:
    return cells_by(result, KEY)


def same(one: RunResult, other: RunResult) -> None:
    check_same(cells_of(one), cells_of(other), FIGURES)


@pytest.fixture(scope="module")
def own_kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kind that the documents show, as a module that the driver and workers find."""
    folder = tmp_path_factory.mktemp("kinds")
    text = (ROOT / "docs" / "kinds" / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(# my_kinds\.py\n.*?)```", text, re.DOTALL)
    assert code is not None
    (folder / "my_kinds.py").write_text(code[1], encoding="utf-8")
    sys.path.insert(0, str(folder))
    shutil.copy(Path(__file__).with_name("own_reference_kind.py"), folder)
    yield folder
    sys.path.remove(str(folder))
    # Other tests look at the kinds that are shipped.
    for key, module in (("confident", "my_kinds"), ("null_rise", "own_reference_kind")):
        KINDS._things.pop(key, None)
        METRICS._loaded.discard(f"module {module}")
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def desk(
    world: Any,
    spark: SparkSession,
    evaluated: Callable[..., RunResult],
    own_kinds: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    # As `spark-submit --py-files` gives it to the workers.
    for module in own_kinds.glob("*.py"):
        spark.sparkContext.addPyFile(str(module))
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(world, spark, folder, evaluated, top={"plugins": ["my_kinds"]})
    desk.keys = {"models": desk.models("good", "other"), "baseline": "good", "tests": TESTS}
    desk.append(world.rows[:600])
    return desk


@pytest.fixture(scope="module")
def first(desk: Desk) -> RunResult:
    desk.predicted()
    return desk.run(desk.suite(), "desk", run_id="first")


def test_cells_are_of_models_variants_and_the_data(desk: Desk, first: RunResult) -> None:
    assert desk.predicted() == 2 * 3 * len(desk.world.rows[:600].dropna(subset=["fraud"]))
    cells = cells_of(first)
    tests = {
        (model, test, variant)
        for model, _, test, variant in cells.index
    }  # fmt: skip
    noise = [f"noise(f0,f1)@{n}" for n in (1, 4)]
    assert tests == {
        *((model, "accuracy", "clean") for model in ("good", "other")),
        *((model, "noise", variant) for model in ("good", "other") for variant in noise),
        *((model, "confident 0.6", "clean") for model in ("good", "other")),
        *(("", f"data_quality not_null({name})", "clean") for name in ("age", "country")),
    }
    rows = desk.world.rows[:600]
    quality = cells.loc[("", "overall", "data_quality not_null(age)", "clean")]
    assert quality["value"] == pytest.approx(rows["age"].isna().mean())
    assert (quality["metric"], quality["n"], quality["verdict"]) == ("null_share", 600, "PASS")
    assert quality["condition"] == "max_share 0.5"
    perturbed = cells.loc[("other", "overall", "noise", noise[1])]
    assert perturbed["baseline_model"] == "other"
    assert (
        perturbed["baseline_value"] == cells.loc["other", "overall", "accuracy", "clean"]["value"]
    )
    assert perturbed["metric"] == "accuracy" and perturbed["condition"] == "max_drop 0.3"


def test_every_sink_tells_of_them(desk: Desk, first: RunResult) -> None:
    folder = desk.folder / "store" / "reports" / "first"
    page = (folder / "index.html").read_text(encoding="utf-8")
    for text in ("Robustness", "Confidence", "the data", "severity 4", "the clean model"):
        assert text in page, text
    suites = ET.parse(folder / "junit.xml").getroot().findall("testsuite")
    by_name = {suite.get("name", ""): suite for suite in suites}
    cases = [case.get("name", "") for suite in suites for case in suite]
    assert any("noise(f0,f1)@4" in case for case in cases)
    (data,) = [suite for name, suite in by_name.items() if "desk.data." in name]
    assert len(data.findall("testcase")) == 6
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "the data" in summary

    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{desk.folder / 'store' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("desk")
    runs = client.search_runs([experiment.experiment_id])
    keys = {key for run in runs for key in run.data.metrics}
    assert "accuracy_score" in keys or "accuracy" in keys
    assert any(key.startswith("accuracy") and "noise_f0_f1__4" in key for key in keys), keys
    assert "data_quality not_null_age_" in keys


def test_a_run_is_read_judged_and_reported_again(desk: Desk, first: RunResult) -> None:
    from engine import explain, judge, report, results

    store = str(desk.folder / "store")
    frame = results(store=store, run="first").set_index(KEY).sort_index()
    assert frame["value"].equals(cells_of(first)["value"])
    told = explain("first", "desk/other/overall/noise [noise(f0,f1)@4]", store=store)
    assert told is not None
    report(store=store, run="first", out=desk.folder / "again")
    assert "Robustness" in (desk.folder / "again" / "index.html").read_text(encoding="utf-8")
    stricter = desk.suite()
    stricter["evaluations"][0]["tests"][2]["max_share"] = 0.001
    path = desk.world.write("stricter", stricter)
    judged = judge("first", suite=path, store=store)
    assert judged.gate.outcome.value == "failed"


def test_other_tests_judge_the_states_that_were_written(desk: Desk, first: RunResult) -> None:
    """Whatever tests are left, a state is that of the model, variant or data it was made of."""
    from engine import judge

    cells = cells_of(first)
    store = str(desk.folder / "store")
    for kept in ([2, 0], [1], [0, 3], [2]):
        suite = desk.suite()
        (evaluation,) = suite["evaluations"]
        evaluation["tests"] = [dict(TESTS[place]) for place in kept]
        if kept == [1]:
            evaluation["tests"][0]["robustness"] = {"noise": ["f0", "f1"], "severities": [4]}
        judged = judge("first", suite=desk.world.write("fewer", suite), store=store)
        again = cells_of(judged)
        assert len(again) and again["value"].equals(cells["value"].reindex(again.index)), kept
    evaluation["tests"] = [TESTS[0], {**TESTS[1], "robustness": {"noise": ["f0"]}}]
    with pytest.raises(InputError, match="did not keep the states for test 'noise'"):
        judge("first", suite=desk.world.write("other", suite), store=store)


def test_plan_tells_what_variants_cost(desk: Desk, first: RunResult) -> None:
    from engine.sinks.listing import plan_table, wide

    planned = desk.plan(desk.suite())
    assert planned.predictions == 0
    assert planned.costs == [
        ("noise", "2 variants: each model predicts each row 2 times more"),
    ]
    console = wide()
    with console.capture() as printed:
        console.print(plan_table(planned))
    assert "each model predicts each row 2 times more" in printed.get()


def test_rows_that_came_and_went_are_all_that_is_predicted(desk: Desk, first: RunResult) -> None:
    desk.append(desk.world.rows[600:630])
    delete_rows(desk.table, "id < 5")
    desk.predicted()
    night = desk.run(desk.suite(), "desk", run_id="night")
    moved = pd.concat([desk.world.rows[600:630], desk.world.rows[:5]]).dropna(subset=["fraud"])
    assert desk.predicted() == 2 * 3 * len(moved)
    anew = desk.run(desk.suite(reuse=False), "desk", run_id="anew")
    same(night, anew)
    pieces = desk.run(desk.suite(reuse=False, checkpoint_rows=100), "desk", run_id="pieces")
    same(pieces, anew)


def test_a_reference_is_pinned_scanned_and_kept_like_the_dataset(
    desk: Desk, first: RunResult
) -> None:
    """The first version of the table beside one whose web rows have lost ages."""
    from engine import judge, report

    suite = desk.suite(plugins=["own_reference_kind"], store=str(desk.folder / "beside"))
    (evaluation,) = suite["evaluations"]
    evaluation["tests"] = [{"null_rise": "age", "max": 0.1}]
    evaluation["reference"] = {"delta": desk.table, "version": 0}
    desk.predicted()
    lost = desk.world.rows[5000:5400].assign(age=np.nan, device="web", id=range(9000, 9400))
    desk.append(lost)
    result = desk.run(suite, "beside", run_id="one")
    cells = result.table.to_pandas().set_index("slice")
    then = desk.world.rows[:600]
    now = read_rows(desk.table)
    for name in ("overall", "device=web", "device=ios"):
        own, other = (
            frame if name == "overall" else frame[frame["device"] == name[7:]]
            for frame in (now, then)
        )
        rise = own["age"].isna().mean() - other["age"].isna().mean()
        assert cells.loc[name, "value"] == pytest.approx(rise, abs=1e-12)
    assert cells["verdict"].to_dict() == {
        "overall": "FAIL", "device=web": "FAIL", "device=ios": "PASS",
    }  # fmt: skip
    assert desk.predicted() == 0, "no model predicts where only the data are measured"
    planned = desk.plan(suite)
    assert planned.plan.reference is not None and planned.plan.reference.dataset.version == 0
    assert planned.steps.nothing_to_do
    again = desk.run(suite, "beside", run_id="two")
    assert again.table["value"].to_pylist() == result.table["value"].to_pylist()
    store = str(desk.folder / "beside")
    loose = {**suite, "evaluations": [{**evaluation, "tests": [{"null_rise": "age", "max": 0.9}]}]}
    judged = judge("one", suite=desk.world.write("loose", loose), store=store)
    assert judged.gate.outcome.value == "passed"
    report(store=store, run="one", out=desk.folder / "beside-again")
    del evaluation["reference"]
    with pytest.raises(SuiteError, match="found null_rise in an evaluation without a reference"):
        desk.run(suite, "lacking")
    evaluation["reference"] = {"delta": desk.world.table("few")}
    evaluation["tests"] = [{"null_rise": "agee", "max": 0.1}]
    with pytest.raises(InputError, match="the dataset has no column 'agee'; did you mean 'age'"):
        desk.run(suite, "wrong")
    # A reference whose rows lack what is asked of them.
    poor = str(desk.folder / "poor")
    desk.append(desk.world.rows[:600].drop(columns="age"), poor)
    evaluation["reference"] = {"delta": poor}
    evaluation["tests"] = [{"null_rise": "age", "max": 0.1}]
    with pytest.raises(DataError, match=r"the reference 'poor' lacks the columns \['age'\]"):
        desk.run(suite, "poor")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{robustnes: {noise: [f0]}, metric: accuracy}", "did you mean 'robustness'?"),
        ("{robustness: {nois: [f0]}, metric: accuracy}", "did you mean 'noise'?"),
        ("{robustness: {severities: [1]}, metric: accuracy}", "found no perturbation, expected"),
        ("{robustness: {noise: [f0], severities: [6]}, metric: accuracy}", "found 6, expected 1"),
        ("{robustness: {noise: [f0], severities: [1, 1]}, metric: accuracy}", "1 stands twice"),
        ("{robustness: {noise: [f0]}}", "is missing, expected the key 'metric'"),
        ("{robustness: {noise: [f0]}, metric: acuracy}", "did you mean 'accuracy'?"),
        ("{data_quality: {not_nul: age}}", "did you mean 'not_null'?"),
        ("{data_quality: {not_null: age}, max_share: 2}", "expected a number of 1 or less"),
        ("{data_quality: {not_null: age}, max: 2}", "found the unknown key 'max'"),
        ("{confident: 1.5}", "found 1.5, expected a number of 1 or less"),
        ("{confidnt: 0.5}", "did you mean 'confident'?"),
        ("{data_quality: {not_null: age}, metric: accuracy}", "found two kinds of tests, data_q"),
        ("{data_quality: 5}", "expected a mapping"),
    ],
)
def test_mistakes_have_their_line_and_the_nearest_key(
    own_kinds: Path, tmp_path: Path, test: str, message: str
) -> None:
    from engine.planning.suites import read_suite

    path = tmp_path / "suite.yml"
    path.write_text(
        "name: night\nplugins: [my_kinds]\nevaluations:\n  - name: claims\n"
        "    dataset: {delta: claims, task: binary, label: fraud}\n"
        '    models: [{uri: "models:/claims/1"}]\n    tests:\n'
        f"      - {{metric: accuracy}}\n      - {test}\n"
    )
    with pytest.raises(SuiteError) as caught:
        read_suite(path)
    assert [mistake.line for mistake in caught.value.mistakes] == [9]
    assert message in str(caught.value)


def test_the_schema_has_the_kinds_that_are_there(own_kinds: Path) -> None:
    import my_kinds  # noqa: F401

    from engine import schema

    text = json.dumps(schema())
    for word in ("robustness", "data_quality", "confident", "severities", "max_share", "between"):
        assert f'"{word}"' in text, word


def test_columns_that_are_missing_are_told_before_the_scan(desk: Desk, first: RunResult) -> None:
    suite = desk.suite()
    suite["evaluations"][0]["tests"][1]["robustness"]["noise"] = ["f0", "device", "f9"]
    desk.predicted()
    with pytest.raises(InputError) as refused:
        desk.run(suite, "wrong")
    assert "the dataset has no column 'f9'" in str(refused.value)
    assert "found 'device' of the type string" in str(refused.value)
    assert desk.predicted() == 0
    assert np.isfinite(cells_of(first)["n"]).all()


def test_values_of_columns_are_pinned_and_variants_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import judge

    # What is counted is a scan by Spark's way: one by pieces may begin, and be Spark's after all.
    monkeypatch.setattr(scans, "_short_way", no_pieces)
    suite = desk.suite(store=str(desk.folder / "shuffled"))
    (evaluation,) = suite["evaluations"]
    evaluation["tests"] = [
        {"invariance": {"shuffle": "f1"}, "tolerance": 0.1, "max_flips": 0.9, "name": "stays"},
        {
            "robustness": {"shuffle": "f0", "severities": [5]}, "metric": "flip_rate",
            "max": 0.9, "name": "flips",
        },
    ]  # fmt: skip
    desk.predicted()
    one = desk.run(suite, "shuffled", run_id="one")
    rows = read_rows(desk.table).dropna(subset=["fraud"])
    assert desk.predicted() == 2 * 3 * len(rows)
    cells = cells_of(one)
    assert {index[2:] for index in cells.index} == {
        ("stays flips", "shuffle(f1)"), ("stays moves", "shuffle(f1)"), ("flips", "shuffle(f0)@5"),
    }  # fmt: skip
    assert set(cells["metric"]) == {"flip_rate", "move_rate"}
    assert cells["value"].between(0.0, 1.0).all() and cells["ci_high"].gt(cells["value"]).all()
    page = desk.folder / "shuffled" / "reports" / "one" / "index.html"
    assert "not counterfactual fairness" in page.read_text(encoding="utf-8")
    same(desk.run(suite, "shuffled", run_id="two"), one)
    assert desk.predicted() == 0
    # No model of the world reads `f1`; all read `f0`.
    suite["evaluations"][0]["tests"][1] |= {"max": 0.0, "decide": "point"}
    judged = judge("one", suite=desk.world.write("shuffled", suite), store=suite["store"])
    assert cells_of(judged)["value"].equals(cells["value"])
    assert judged.gate.outcome.value == "failed"
    desk.append(desk.world.rows[700:705])
    night = desk.run(suite, "shuffled", run_id="night")
    same(night, desk.run({**suite, "reuse": False}, "shuffled", run_id="anew"))


# Each kind that predicts behind variants, one that probes, and what models are as they are.
MIXED = [
    {"metric": "accuracy"},
    {
        "robustness": {"noise": ["f0"], "severities": [3]}, "metric": "accuracy",
        "max_drop": 0.5, "name": "noise",
    },
    {"invariance": {"shuffle": "f0"}, "tolerance": 0.1, "max_flips": 0.9, "name": "stays"},
    {
        "direction": {"increase": "f0", "by": 0.5, "score": "up"}, "max_violations": 0.1,
        "name": "rises",
    },
    {"contract": ["deterministic", "order"], "name": "contract"},
]  # fmt: skip


class Killed(BaseException):
    """What ends a run here where a signal would."""


def test_variants_and_probes_that_were_stopped_and_that_grow_have_the_figures_of_a_whole_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = str(desk.folder / "mixed")
    # By files there are two parts, by pieces four.
    monkeypatch.setattr(scans, "_short_way", no_pieces)

    def append(first: int, end: int) -> int:
        rows = desk.world.rows[first:end]
        desk.append(rows, table)
        return int(rows["fraud"].notna().sum())

    suite = desk.suite(store=str(desk.folder / "mixed-store"), checkpoint_rows=100, plugins=[])
    (evaluation,) = suite["evaluations"]
    evaluation["dataset"]["delta"] = table
    evaluation["tests"] = MIXED
    labelled = append(0, 200) + append(200, 400)
    written: list[str] = []

    def dying(states: Any, plan: Any, target: Any, **more: Any) -> Any:
        if written:
            raise Killed("gone")
        rows = store_states(states, plan, target, **more)
        written.append(target.step)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(scans, "store_states", dying)
        with pytest.raises(Killed):
            desk.run(suite, "mixed", run_id="killed")
    assert written and written[0].startswith("part 1 of")
    desk.predicted()
    resumed = desk.run(suite, "mixed", resume="killed")
    again = desk.predicted()
    # Four predictions of each row: as it is, and behind noise, a shuffle and a step.
    assert 0 < again < 2 * 4 * labelled, "a part was there, and a part was not"
    apart = {**suite, "reuse": False, "store": str(desk.folder / "mixed-whole")}
    del apart["checkpoint_rows"]
    whole = desk.run(apart, "whole", run_id="whole")
    same(resumed, whole)
    assert {index[3] for index in cells_of(whole).index} == {
        "clean", "noise(f0)@3", "shuffle(f0)", "increase(f0)@0.5",
    }  # fmt: skip
    # The night after: rows within the range of the others, so that a step is what it was.
    append(400, 420)
    desk.predicted()
    night = desk.run(suite, "mixed", run_id="night")
    spent = desk.predicted()
    anew = desk.run(apart, "whole", run_id="anew")
    assert spent < desk.predicted()
    same(night, anew)
