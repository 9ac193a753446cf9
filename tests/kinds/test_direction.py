"""`direction`: violations by another road; a model that turns is found, monotone ones are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    Dimension,
    ModelTest,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.kinds import KINDS, Limit, kind_of, parameters_text
from engine.kinds.direction import _inner_range
from engine.kinds.perturbations import perturb
from engine.kinds.perturbations.step import Step
from engine.planning import EvaluationPlan, check_fit, expand_tests, needs
from engine.planning.scan_columns import ROW_COLUMN
from engine.suite import dump_suite, load_suite
from tests.fixtures.kernel import (
    BY_COUNTRY,
    OVERALL,
    Models,
    evaluated,
    plan_of,
    rows_of,
)

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))
KIND = KINDS.get("direction")
RANGES = {"a": (-2.0, 2.0), "b": (-2.0, 2.0)}


def direction(*conditions: Condition, column: str = "a", **more: Any) -> ModelTest:
    asked = {"column": column, "increase": True, "by": 0.3, "relative": False, "score": "up"}
    return ModelTest(
        "moves", "violations", conditions, ("overall", "country"),
        kind="direction", parameters=parameters_text({**asked, **more}),
    )  # fmt: skip


def table_of(rows: int = 1500, seed: int = 1, task: TaskKind = TaskKind.BINARY) -> pa.Table:
    keys = np.random.default_rng(seed + 100).integers(-(2**63), 2**63 - 1, rows)
    table = rows_of(task, rows=rows, seed=seed)
    return table.append_column(ROW_COLUMN, pa.array(keys, pa.int64()))


def plan_for(
    models: Sequence[Any], *tests: ModelTest, task: TaskKind = TaskKind.BINARY, **more: Any
) -> EvaluationPlan:
    plan = plan_of(task, models, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    plan = replace(plan, dataset=dataset, columns=replace(plan.columns, weight=None))
    expanded = expand_tests(tests, plan.setting)
    return replace(plan, tests=tuple(kind_of(test).pin_ranges(test, RANGES) for test in expanded))


def turning(share: float) -> Any:
    """A model whose score falls as `a` rises for a share of the rows: those of the smallest `b`."""
    edge = float(stats.norm.ppf(share)) if share else -np.inf
    turn = FunctionTransformer(
        lambda frame: pd.DataFrame({"f": frame["a"] * np.where(frame["b"] < edge, -1.0, 1.0)})
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "b": rng.normal(size=500)})
    label = (turn.func(frame)["f"] + rng.normal(size=500) > 0).astype(int)
    return make_pipeline(turn, LogisticRegression()).fit(frame, label)


@pytest.fixture(scope="module")
def wavy() -> Any:
    """Trees that were told nothing of a direction."""
    frame = rows_of(TaskKind.BINARY, seed=9).to_pandas().dropna(subset=["label"])
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    return model.fit(frame[["a", "b"]], frame["label"].astype(int))


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("way", ["increase", "decrease"])
def test_figures_are_those_of_rows_that_step(
    models: Models, wavy: Any, parts: int, way: str
) -> None:
    table = table_of()
    up = way == "increase"
    plan = plan_for([models.of("wavy", wavy)], direction(increase=up, score="up" if up else "down"))
    cells = evaluated(plan, table, parts, seed=parts).cells
    frame = table.to_pandas()
    step = 0.3 if up else -0.3
    target = np.clip(frame["a"] + step, -2.0, 2.0)
    moves = target > frame["a"] if up else target < frame["a"]
    before, after = (
        wavy.predict_proba(frame[["a", "b"]].assign(a=a))[:, 1] for a in (frame["a"], target)
    )
    gain = pd.Series(after - before) * (1 if up else -1)
    checked = 0
    for cell in cells:
        rows = frame["label"].notna()
        if cell.slice.kind != "overall":
            value = cell.slice.columns["country"]
            rows &= frame["country"].isna() if value is None else frame["country"] == value
        tested = rows & moves
        expected = {
            "violations": (gain[tested] < 0).mean(),
            "violation_size": -gain[tested & (gain < 0)].mean(),
            "steps_left_out": (~moves[rows]).mean(),
        }[cell.test.metric]
        assert cell.variant == f"{way}(a)@0.3"
        if np.isnan(expected):
            assert cell.measured.value is None
            continue
        assert cell.measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12), cell
        checked += 1
    assert checked >= 15
    assert gain[moves].min() < 0 < (gain[moves] == 0).mean(), "ties are no violations"


def test_a_monotone_model_has_none_and_a_bound(models: Models) -> None:
    frame = rows_of(TaskKind.BINARY, seed=9).to_pandas().dropna(subset=["label"])
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0, monotonic_cst=[1, 0])
    model.fit(frame[["a", "b"]], frame["label"].astype(int))
    plan = plan_for([models.of("monotone", model)], direction(Condition("max_violations", 0.01)))
    cells = [cell for cell in evaluated(plan, table_of()).cells if not cell.slice.columns]
    share, size, left_out = cells
    assert (share.measured.value, share.measured.ci_low) == (0.0, 0.0)
    tested = share.counts.n * (1 - left_out.measured.value)
    assert 2.5 / tested < share.measured.ci_high < 4 / tested, "none of so many rows has a bound"
    assert share.verdict is Verdict.PASS
    assert size.measured.value is None and "no score of the slice moves the wrong" in size.reason
    assert (size.verdict, left_out.verdict) == (Verdict.RECORDED, Verdict.RECORDED)


def judge(models: Models, share: float, seed: int, limit: float = 0.05) -> Verdict:
    model = models.of(f"turning-{share}", turning(share))
    plan = plan_for([model], replace(direction(Condition("max_violations", limit))))
    plan = replace(plan, tests=tuple(replace(t, slice_sets=("overall",)) for t in plan.tests))
    return evaluated(plan, table_of(600, seed)).cells[0].verdict


def test_a_turning_model_is_found_and_a_sound_one_is_not(models: Models) -> None:
    """At the limit itself false alarms are as rare as the level says, far from it there are none"""
    sound = [judge(models, 0.0, seed) for seed in range(20)]
    assert set(sound) == {Verdict.PASS}
    at_limit = [judge(models, 0.05, seed) for seed in range(60)]
    assert at_limit.count(Verdict.FAIL) <= 5, "2.5 % of 60 are 1.5"
    planted = [judge(models, 0.15, seed) for seed in range(20)]
    assert planted.count(Verdict.FAIL) == 20


def test_values_of_a_regression_and_scores_of_a_named_class(models: Models) -> None:
    regression = table_of(task=TaskKind.REGRESSION)
    frame = regression.to_pandas().dropna(subset=["label"])
    line = LinearRegression().fit(frame[["a", "b"]], frame["label"])
    forest = RandomForestRegressor(10, random_state=0).fit(frame[["a", "b"]], frame["label"])
    task = TaskKind.REGRESSION
    versions = [models.of("line", line, task), models.of("forest", forest, task)]
    plan = plan_for(versions, direction(), task=task)
    shares = {
        cell.model.name: cell.measured.value
        for cell in evaluated(plan, regression).cells
        if cell.test.metric == "violations" and not cell.slice.columns
    }
    assert shares["line"] == 0.0 and shares["forest"] > 0.1

    task = TaskKind.MULTICLASS
    many = table_of(task=task)
    frame = many.to_pandas().dropna(subset=["label"])
    version = models.of("three", LogisticRegression().fit(frame[["a", "b"]], frame["label"]), task)
    # The scores of the outer classes go one way, that of the middle one turns.
    for label, least, most in [("z", 0.0, 0.0), ("x", 1.0, 1.0), ("y", 0.2, 0.8)]:
        cells = evaluated(plan_for([version], direction(**{"class": label}), task=task), many).cells
        assert least <= cells[0].measured.value <= most, label


def test_a_model_beside_a_baseline_is_compared_with_itself(models: Models, wavy: Any) -> None:
    known = [models.of("wavy", wavy), models.of("turning-0.15", turning(0.15))]
    alone = evaluated(plan_for(known, direction()), table_of()).cells
    plan = plan_for(known, direction(), baseline="wavy")
    beside = evaluated(plan, table_of()).cells
    assert [cell.measured for cell in alone] == [cell.measured for cell in beside]
    assert {cell.baseline_model for cell in beside} == {None}


def test_a_model_that_fails_costs_its_own_cells(models: Models) -> None:
    plan = plan_for([models.odd("raises")], direction())
    for cell in evaluated(plan, table_of()).cells:
        assert cell.verdict is Verdict.ERROR and "the model failed" in cell.reason


def test_states_of_before_keep_their_names(models: Models, wavy: Any) -> None:
    plain = ModelTest("plain", "accuracy", (), ("overall", "country"))
    before = plan_for([models.of("wavy", wavy)], plain)
    after = plan_for([models.of("wavy", wavy)], plain, direction())
    assert {need.state for need in needs(before)} < {need.state for need in needs(after)}


MISFITS: list[tuple[ModelTest, str]] = [
    (direction(column="country"), "a step wants a numeric column, found 'country' of the type str"),
    (direction(column="aa"), "the dataset has no column 'aa'; did you mean 'a'?"),
    (direction(column="label"), "no model reads the column 'label'"),
    (direction(**{"class": 1}), "found class 1 in a binary task, whose score needs no class"),
]


@pytest.mark.parametrize(("test", "message"), MISFITS)
def test_what_makes_no_sense_is_refused_before_the_scan(
    models: Models, wavy: Any, test: ModelTest, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_fit(plan_for([models.of("wavy", wavy)], test))
    assert str(refused.value).count("test 'moves'") == 1
    assert message in str(refused.value)


def test_models_data_and_tasks_that_have_no_direction_are_refused(
    models: Models, wavy: Any
) -> None:
    plan = plan_for([models.of("wavy", wavy)], direction())
    check_fit(plan)
    hidden = replace(plan, columns=replace(plan.columns, sensitive=("a",)))
    with pytest.raises(InputError, match="the range of 'a', which the suite calls sensitive"):
        check_fit(hidden)
    labels = replace(plan.models[0], output=Output.LABEL)
    with pytest.raises(InputError, match="'wavy' returns labels only; expected models with scores"):
        check_fit(replace(plan, models=(labels,)))
    constant = [replace(test, parameters=direction().parameters) for test in plan.tests]
    with pytest.raises(InputError, match="'a' has no two different numbers"):
        check_fit(replace(plan, tests=tuple(constant)))
    many = replace(plan.problem, task=TaskKind.MULTICLASS, classes=("x", "y", "z"))
    with pytest.raises(InputError, match="found no class, expected the key 'class' with one of"):
        check_fit(replace(plan, problem=many))
    ranking = replace(plan.problem, task=TaskKind.RANKING)
    with pytest.raises(InputError, match="a direction is of one score"):
        check_fit(replace(plan, problem=ranking))


SUITE = """
name: s
evaluations:
  - name: e
    dataset: {delta: ./t, task: binary, label: y}
    models: [{uri: m}]
    tests: [{direction: %s, max_violations: 0.01}]
"""


@pytest.mark.parametrize(
    ("asked", "stem"),
    [
        ("{increase: income, by: 10%, score: up}", "increase income by 10%: score up"),
        ("{decrease: income, by: 250.5, score: down}", "decrease income by 250.5: score down"),
        ("{increase: age, by: 1, score: up, class: 2}", "increase age by 1: score of 2 up"),
    ],
)
def test_it_is_read_and_written(tmp_path: Path, asked: str, stem: str) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % asked)
    suite = load_suite(path)
    (test,) = suite.evaluations[0].tests
    assert test.name.startswith(f"direction {stem}")
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("{increase: a, decrease: b, by: 1, score: up}", "found increase and decrease, expected"),
        ("{by: 1, score: up}", "found no column, expected exactly one of increase, decrease"),
        ("{increase: a, by: 0, score: up}", "expected a number above 0, or a share of each value"),
        ("{increase: a, by: ten, score: up}", "expected a number above 0, or a share of each"),
        ("{increase: a, by: -5%, score: up}", "expected a number above 0, or a share of each"),
        ("{increase: a, by: 1, score: higher}", "score"),
        ("{increase: a, by: 1}", "score"),
        ("{rise: a, by: 1, score: up}", "rise"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, asked: str, message: str) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % asked)
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert message in str(refused.value)


def test_steps_stay_within_range_and_type() -> None:
    step = Step("x", True, 0.1, True, "int", low=0.0, high=50.5)
    values = np.array([0.0, 3.0, 30.0, 48.0, 50.0, 51.0, np.nan, -40.0])
    # Whole numbers go by 1 at the least; of 0 a share is nothing; -40 rises to -36.
    assert np.array_equal(
        step.targets(values), [np.nan, 4, 33, 50, np.nan, np.nan, np.nan, -36], equal_nan=True
    )
    down = replace(step, up=False, type="double")
    assert np.array_equal(down.targets(values[:5]), [np.nan, 2.7, 27, 48 - 4.8, 45], equal_nan=True)
    endless = Step("x", True, 1.0, False)
    assert np.isnan(endless.targets(np.array([np.inf, -np.inf, 1e300, np.nan]))).all()


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.float32(), pa.float64()])
def test_what_is_predicted_is_where_the_states_say(kind: pa.DataType) -> None:
    """Rows that move are told from the column as it is: both must say the same."""
    names = {pa.int8(): "tinyint", pa.int64(): "bigint", pa.float32(): "float"}
    step = Step("x", True, 0.07, True, names.get(kind, "double"), 0.0, 100.0)
    column = pa.array([None, *range(127)], kind)
    batch = pa.record_batch({"x": column, "y": column})
    changed = perturb(batch, np.arange(len(column)), step.variant)
    assert changed.schema == batch.schema and changed["y"].equals(batch["y"])
    before, after = (b["x"].to_pandas().astype(float).to_numpy() for b in (batch, changed))
    targets = step.targets(before)
    moves = ~np.isnan(targets)
    assert moves.sum() >= 99
    assert np.array_equal(after[moves], targets[moves])
    assert np.array_equal(after[~moves], before[~moves], equal_nan=True)


@given(
    st.floats(-1e9, 1e9),
    st.floats(1e-6, 1e9),
)
def test_a_pinned_range_is_within_the_range_and_stays(low: float, width: float) -> None:
    high = low + width
    pinned = _inner_range(low, high)
    assert pinned is not None
    allowed = 1e-8 * width + 1e-14 * max(abs(low), abs(high))
    assert low - allowed <= pinned[0] < pinned[1] <= high + allowed
    assert pinned[1] - pinned[0] >= 0.99 * width - allowed
    assert _inner_range(*pinned) == pytest.approx(pinned, abs=allowed)


def test_a_few_new_rows_leave_the_range() -> None:
    test = direction()
    pinned = KIND.pin_ranges(test, {"a": (0.0, 99_941.0)})
    assert pinned == KIND.pin_ranges(test, {"a": (-0.0, 99_949.0)})
    assert json.loads(pinned.parameters)["range"] == [0.0, 99_940.0]
    assert KIND.pin_ranges(test, KIND.known_ranges(pinned)) == pinned
    assert KIND.pin_ranges(test, {"a": (3.0, 3.0)}) == test
    assert KIND.pin_ranges(test, {}) == test


def test_violations_are_drawn_along_the_column(models: Models, wavy: Any) -> None:
    bins = SliceSet("a bins", "bins", (Dimension("a", (-1.0, 0.0, 1.5)),))
    other = SliceSet("b bins", "bins", (Dimension("b", (0.0,)),))
    sets = (OVERALL, other, bins)
    test = replace(
        direction(Condition("max_violations", 0.3)), slice_sets=tuple(s.name for s in sets)
    )
    known = [models.of("wavy", wavy), models.of("turning-0.15", turning(0.15))]
    table = table_of()
    plan = replace(plan_for(known, test), slice_sets=sets)
    cells = evaluated(plan, table).cells
    (chart,) = KIND.section(cells).pictures
    assert (chart.title, chart.across, chart.up) == ("moves", "a", "share of violations")
    assert chart.places == ["< -1", "[-1, 0)", "[0, 1.5)", ">= 1.5"]
    assert chart.limits == [Limit(0.3, False)]
    assert [line.name for line in chart.lines] == ["wavy", "turning-0.15"]
    frame = table.to_pandas()
    frame = frame[frame["label"].notna() & (frame["a"] < 2.0)]
    target = np.minimum(frame["a"] + 0.3, 2.0)
    before, after = (
        wavy.predict_proba(frame[["a", "b"]].assign(a=a))[:, 1] for a in (frame["a"], target)
    )
    parts = pd.cut(frame["a"], [-np.inf, -1.0, 0.0, 1.5, np.inf], right=False)
    shares = pd.Series(after < before, frame.index).groupby(parts, observed=False).mean()
    for point, share in zip(chart.lines[0].points, shares, strict=True):
        assert point.value == pytest.approx(share) and point.low <= share <= point.high


def test_its_section_and_cost(models: Models, wavy: Any) -> None:
    blind = replace(models.odd(""), name="blind", features=("b",))
    plan = plan_for([models.of("wavy", wavy)], direction())
    cells = evaluated(plan, table_of()).cells
    section = KIND.section(cells)
    assert section is not None
    ((name, model, share, interval, size, left_out, worst),) = section.rows
    assert (name, model) == ("moves", "wavy")
    assert 0 < float(share) < 1 and 0 < float(size) < 1 and 0 < float(left_out) < 0.2
    assert " to " in interval and worst.startswith("country=")
    assert section.pictures == [], "no slices cut the rows by the column"
    assert KIND.section([]) is None
    costs = [KIND.cost(test, plan.setting) for test in plan.tests]
    assert costs == ["1 variant: each model predicts each row 1 time more", "", ""]
    assert "does not read the column" in KIND.note(plan.tests[0], blind)
    assert KIND.note(plan.tests[0], plan.models[0]) == ""
