"""`direction`, `overfit`, `baseline_models` in whole runs: pinned, kept, updated, shown.

By the local executor, and once in pieces by Spark, which gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import DataError, InputError
from tests.fixtures.desk import Desk, check_same
from tests.fixtures.desk import cells_of as cells_by

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

KEY = ["model", "slice", "test", "variant"]
FIGURES = ["n", "value", "ci_low", "ci_high", "baseline_value", "delta"]
STEP = {"increase": "f0", "by": 0.5, "score": "up"}
TESTS = [
    {"direction": STEP, "max_violations": 0.5, "name": "rises"},
    {"overfit": "accuracy", "max_gap": 0.5},
    {
        "baseline_models": ["majority", "stump", "linear"], "metric": "accuracy", "min_gain": -0.9,
        "name": "beats",
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(
    world: Any,
    spark: SparkSession,
    evaluated: Callable[..., RunResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    desk = Desk(world, spark, tmp_path_factory.mktemp("desk"), evaluated, top={"executor": "local"})
    desk.keys = {
        "reference": {"delta": desk.table, "version": 0}, "baseline": "good", "tests": TESTS,
        "models": desk.models("good", "other"),
    }  # fmt: skip
    desk.append(world.rows[:400])
    desk.append(world.rows[400:700])
    return desk


def cells_of(result: RunResult) -> pd.DataFrame:
    return cells_by(result, KEY)


def trivial_answers(train: pd.DataFrame, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """What scikit-learn's own trivial models, fitted by hand, say of rows."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    kinds: dict[str, Any] = {
        "majority": DummyClassifier(strategy="prior"),
        "stump": DecisionTreeClassifier(max_depth=1, random_state=0),
        "linear": LogisticRegression(),
    }
    names = ["f0", "f1"]
    label = train["fraud"].astype(int)
    return {
        kind: make_pipeline(StandardScaler(), model).fit(train[names], label).predict(rows[names])
        for kind, model in kinds.items()
    }


def same(one: RunResult, other: RunResult) -> None:
    check_same(cells_of(one), cells_of(other), FIGURES)


def test_they_are_measured_kept_and_brought_up_to_date(desk: Desk) -> None:
    from engine import judge

    desk.predicted()
    world_rows = desk.world.rows
    first = desk.run(desk.suite(), "desk", run_id="first")
    cells = cells_of(first)
    tests = {(test, metric) for (_, _, test, _), metric in cells["metric"].items()}
    assert tests == {
        ("rises", "violations"), ("rises size", "violation_size"),
        ("rises left out", "steps_left_out"), ("overfit accuracy", "accuracy_gap"),
        ("overfit accuracy on the reference", "accuracy_reference"),
        ("beats majority", "accuracy_gain"), ("beats stump", "accuracy_gain"),
        ("beats linear", "accuracy_gain"),
    }  # fmt: skip
    parts = world_rows[:700], world_rows[400:700], world_rows[:400]
    whole, came, before = (len(rows.dropna(subset=["fraud"])) for rows in parts)
    # The reference is an older version of the table: the rows that came since are taken away, or,
    # where the states of all rows are not written yet, its own are read.
    assert desk.predicted() in (2 * (2 * whole + came), 2 * (2 * whole + before))
    violations = cells.loc[("other", "overall", "rises", "increase(f0)@0.5")]
    assert violations["baseline_model"] is None and 0 <= violations["value"] <= 1
    assert violations["ci_low"] <= violations["value"] < violations["ci_high"]
    gap = cells.loc[("other", "overall", "overfit accuracy", "clean")]
    beside = cells.loc[("other", "overall", "overfit accuracy on the reference", "clean")]
    assert 0 <= beside["value"] <= 1 and gap["ci_low"] < gap["value"] < gap["ci_high"]
    rows, train = (world_rows[:count].dropna(subset=["fraud"]) for count in (700, 400))
    accuracy = beside["value"] - gap["value"]
    for kind, said in trivial_answers(train, rows).items():
        gain = cells.loc[("other", "overall", f"beats {kind}", "clean")]
        right = (said == rows["fraud"].astype(int)).mean()
        assert gain["value"] == pytest.approx(accuracy - right, abs=1e-9), kind
    folder = desk.folder / "store" / "reports" / "first"
    page = (folder / "index.html").read_text(encoding="utf-8")
    for text in ("Direction", "Overfit", "Trivial models", "mean size", "on the reference",
                 "a decision tree of depth 1", "fitted on"):  # fmt: skip
        assert text in page, text

    planned = desk.plan(desk.suite())
    assert planned.steps.nothing_to_do
    assert planned.costs[0] == ("rises", "1 variant: each model predicts each row 1 time more")
    table = "of 'table' at version 0"
    assert dict(planned.costs[1:])["beats stump"].startswith(
        f"a decision tree of depth 1, fitted on {len(train)} rows {table}, columns 'f0', 'f1'"
    )
    kept = list((desk.folder / "store" / "cache" / "trivial").iterdir())
    texts = [file.read_bytes() for file in kept]
    assert len(kept) == 3
    # Rows in the middle of the column leave the range, so only they are predicted.
    middle = desk.world.rows[700:760]
    inside = middle[middle["f0"].abs() < 1]
    desk.append(inside)
    night = desk.run(desk.suite(), "desk", run_id="night")
    assert [file.read_bytes() for file in kept] == texts
    assert desk.predicted() == 2 * 2 * len(inside.dropna(subset=["fraud"]))
    pieces = desk.suite(reuse=False, checkpoint_rows=100, executor="spark")
    same(night, desk.run(pieces, "desk", run_id="pieces"))
    store = str(desk.folder / "store")
    stricter = desk.suite()
    stricter["evaluations"][0]["tests"] = [{**TESTS[0], "max_violations": 0.0}, *TESTS[1:]]
    judged = judge("night", suite=desk.world.write("stricter", stricter), store=store)
    assert cells_of(judged)["value"].equals(cells_of(night)["value"])
    stricter["evaluations"][0]["tests"] = [{**TESTS[2], "baseline_models": ["stump"]}]
    judged = judge("night", suite=desk.world.write("stump", stricter), store=store)
    other = cells_of(judged).loc[("other", "overall", "beats", "clean")]
    gain = cells_of(night).loc[("other", "overall", "beats stump", "clean")]
    assert all(other[figure] == gain[figure] for figure in ("value", "ci_low", "ci_high"))


def test_bad_input_is_refused_before_the_scan(desk: Desk) -> None:
    from engine import judge

    desk.predicted()
    suite = desk.suite()
    (evaluation,) = suite["evaluations"]
    evaluation["tests"] = [
        {"direction": {**STEP, "increase": "device"}}, {"direction": {**STEP, "increase": "f9"}},
    ]  # fmt: skip
    with pytest.raises(InputError) as refused:
        desk.run(suite, "wrong")
    assert "a step wants a numeric column, found 'device' of the type string" in str(refused.value)
    assert "the dataset has no column 'f9'" in str(refused.value)
    evaluation["tests"] = [TESTS[1]]
    for column in ("f0", "fraud"):
        poor = str(desk.folder / f"poor-{column}")
        desk.append(desk.world.rows[:700].drop(columns=column), poor)
        evaluation["reference"] = {"delta": poor}
        with pytest.raises((DataError, InputError), match=f"lacks .*column.*{column}"):
            desk.run(suite, "poor")
    evaluation["tests"] = [TESTS[2]]
    for name, where, message in [
        ("calm", "fraud == 0", "the reference 'calm' has rows of one class only, 0; expected"),
        ("dumb", "fraud.isna()", "the reference 'dumb' has no rows with a label in 'fraud' that"),
        ("flat", "f0 > 9", "the reference 'flat' has no rows"),
    ]:
        desk.append(desk.world.rows[:700].query(where), desk.folder / name)
        evaluation["reference"] = {"delta": str(desk.folder / name)}
        with pytest.raises(DataError) as refused:
            desk.run(suite, "poor")
        assert f"evaluation 'desk': {message}" in str(refused.value)
    evaluation["dataset"]["sensitive"] = ["f0", "f1"]
    with pytest.raises(InputError, match=r"none can be used: 'f0' .sensitive., 'f1' .sensitive."):
        desk.run(suite, "poor")
    assert desk.predicted() == 0
    poor_suite = desk.suite()
    poor_suite["evaluations"][0]["tests"] = [{**TESTS[2], "baseline_models": ["majority"]}]
    assert np.isfinite(cells_of(desk.run(poor_suite, "again", run_id="again"))["n"]).all()
    poor_suite["evaluations"][0]["tests"] = [TESTS[2]]
    more = desk.world.write("more", poor_suite)
    with pytest.raises(InputError, match="'beats linear' needs the trivial model 'linear'"):
        judge("again", suite=more, store=str(desk.folder / "store"))


def test_leaked_rows_are_counted_once_for_a_version(desk: Desk) -> None:
    """The reference is the table's first version: all of its rows leak, and no others."""
    tests = [
        {"leakage": "keys", "max_rows": 0, "slices": ["overall", "device"]},
        {"leakage": "rows", "max_rows": 1000},
        {"leakage": "rows", "near": 1.0, "max_rows": 1000},
        {"leakage": "target", "max": 0.9},
    ]
    # `near` is asked in Spark's SQL.
    suite = desk.suite(executor="spark")
    suite["evaluations"][0]["tests"] = tests
    first = desk.run(suite, "desk", run_id="leaks")
    cells = cells_of(first).reset_index()
    assert set(cells["model"]) == {""} and desk.predicted() == 0
    of_keys = cells[cells["test"] == "leakage keys"].set_index("slice")
    assert of_keys.loc["overall", "value"] == 400
    assert of_keys.loc["overall", "verdict"] == "FAIL"
    assert of_keys.drop("overall")["value"].sum() == 400
    (rows,) = cells[cells["test"] == "leakage rows"]["value"]
    assert rows >= 400
    # Copies with another label are near as well.
    (near,) = cells[cells["test"] == "leakage rows near 1"]["value"]
    assert near >= rows
    again = desk.run(suite, "desk", run_id="leaks-again")
    same(first, again)
