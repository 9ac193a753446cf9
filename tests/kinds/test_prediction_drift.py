"""`prediction_drift`: a model that predicts otherwise is found, samples of one population not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    ModelTest,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError
from engine.evaluation.measure import Beside, measure
from engine.kinds import KINDS, BinShares, parameters_text
from engine.kinds.drift import DISTANCES
from engine.kinds.drift.bin_rows import BinRows
from engine.planning import EvaluationPlan, check_fit, expand_tests
from engine.states import score_histogram
from tests.fixtures.kernel import BY_COUNTRY, OVERALL, Models, merged, plan_of, rows_of, scanned

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))
MULTI, BINARY, VALUES = TaskKind.MULTICLASS, TaskKind.BINARY, TaskKind.REGRESSION


def drift(
    distance: str = "psi", limit: float | None = 0.1, sets: Sequence[SliceSet] = (OVERALL,)
) -> ModelTest:
    conditions = () if limit is None else (Condition("max", limit),)
    return ModelTest(
        f"prediction_drift {distance}", distance, conditions, tuple(one.name for one in sets),
        kind="prediction_drift", parameters=parameters_text({"distance": distance}),
    )  # fmt: skip


def plan_for(
    models: Sequence[Any], *tests: ModelTest, task: TaskKind = BINARY, **more: Any
) -> EvaluationPlan:
    plan = plan_of(task, models, [], slice_sets=(OVERALL, BY_COUNTRY))
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    columns = replace(plan.columns, weight=None, **more)
    plan = replace(plan, dataset=dataset, columns=columns)
    plan = replace(plan, tests=expand_tests(tests, plan.setting))
    return plan.beside(replace(dataset, name="train", table_id="other"))


def cells_of(plan: EvaluationPlan, train: pa.Table, table: pa.Table) -> list[Cell]:
    assert plan.reference is not None
    reference = merged(scanned(plan.reference, train, 2, seed=1))
    states = merged(scanned(plan, table, 3, seed=2))
    return list(measure(plan, states, beside=Beside(reference=reference)).cells)


def rows(seed: int, shift: float = 0.0, task: TaskKind = BINARY) -> pa.Table:
    table = rows_of(task, seed=seed)
    moved = pa.array(table["a"].to_numpy() + shift)
    return table.set_column(table.schema.get_field_index("a"), "a", moved)


def fit(task: TaskKind) -> Any:
    frame = rows(99, task=task).to_pandas().dropna(subset=["label"])
    if task is VALUES:
        return LinearRegression().fit(frame[["a", "b"]], frame["label"])
    label = frame["label"] if task is MULTI else frame["label"].astype(int)
    return LogisticRegression().fit(frame[["a", "b"]], label)


@pytest.fixture(scope="module")
def line(models: Models) -> Any:
    return models.of("line", fit(BINARY))


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_figures_are_those_of_the_scores(line: Any, shift: float) -> None:
    sides = rows(2), rows(3, shift)
    tests = [drift(name, None) for name in DISTANCES if name != "wasserstein"]
    ks_test = drift("ks", None, (OVERALL, BY_COUNTRY))
    plan = plan_for([line], *tests[:-1], ks_test)
    check_fit(plan)
    cells = cells_of(plan, *sides)
    model = fit(BINARY)
    for cell in cells:
        scores = []
        for side in sides:
            frame = side.to_pandas().dropna(subset=["label"])
            if cell.slice.kind != "overall":
                value = cell.slice.columns["country"]
                own = frame["country"].isna() if value is None else frame["country"] == value
                frame = frame[own]
            scores.append(model.predict_proba(frame[["a", "b"]])[:, 1])
        if 0 in map(len, scores):
            continue
        value = cell.measured.value
        if cell.test.metric == "ks":
            exact = stats.ks_2samp(*scores).statistic
            assert abs(value - exact) <= cell.measured.error_bound + 1e-12
            assert cell.measured.error_bound < 0.06 or cell.counts.n < 100
        elif cell.test.metric == "total_variation":
            # Of ten equal parts of the reference, cut within a step of its deciles.
            edges = np.quantile(scores[0], np.arange(1, 10) / 10)
            p, q = (np.histogram(s, [0, *edges, 1])[0] / len(s) for s in scores)
            assert value == pytest.approx(np.abs(p - q).sum() / 2, abs=0.05)
        assert cell.model.name == "line" and cell.variant == "clean"
    for name, (cell,) in (
        (name, [c for c in cells if c.test.metric == name and c.slice.kind == "overall"])
        for name in ("psi", "ks")
    ):
        kept = BinRows.of(cell.measured.numbers)
        assert kept is not None and len(kept.reference) == 10, name
        frames = [side.to_pandas().dropna(subset=["label"]) for side in sides]
        given = [model.predict_proba(frame[["a", "b"]])[:, 1] for frame in frames]
        for scores_of, side in zip(given, (kept.reference, kept.current), strict=True):
            assert sum(side) == len(scores_of)
            below = [(scores_of < float(edge)).mean() for edge in kept.edges]
            assert np.cumsum(side)[:-1] / sum(side) == pytest.approx(below, abs=0.01)
    assert not any(cell.measured.numbers for cell in cells if cell.slice.kind != "overall")
    (psi,) = [cell for cell in cells if cell.test.metric == "psi"]
    assert (psi.measured.value < 0.04) == (shift == 0)


def test_moved_predictions_are_found_and_others_are_not(line: Any) -> None:
    plan = plan_for([line], drift("psi", 0.1), drift("ks", 0.15), drift("js_distance", 0.15))
    for seed in range(10):
        same = cells_of(plan, rows(2 * seed), rows(2 * seed + 1))
        assert {cell.verdict for cell in same} == {Verdict.PASS}, [c.reason for c in same]
    for seed in range(3):
        moved = cells_of(plan, rows(seed), rows(50 + seed, 1.0))
        assert {cell.verdict for cell in moved} == {Verdict.FAIL}


def test_classes_are_counted_where_there_are_many(models: Models) -> None:
    sides = rows(2, task=MULTI), rows(3, 0.8, task=MULTI)
    model = fit(MULTI)
    plan = plan_for([models.of("three", model, MULTI)], drift("total_variation"), task=MULTI)
    check_fit(plan)
    (cell,) = cells_of(plan, *sides)
    shares = []
    for side in sides:
        frame = side.to_pandas().dropna(subset=["label"])
        said = model.predict(frame[["a", "b"]])
        shares.append(np.array([(said == label).mean() for label in ("x", "y", "z")]))
    assert cell.measured.value == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert cell.verdict is Verdict.FAIL and str(cell.measured.detail)[0] in "xyz"
    section = KINDS.get("prediction_drift").section([cell])
    assert section is not None and section.rows[0][0].endswith("of three")
    (picture,) = [one for one in section.pictures if isinstance(one, BinShares)]
    assert (picture.title, list(picture.bins)) == ("three", ["x", "y", "z"])
    for sample, of_side, side in zip(picture.samples, shares, sides, strict=True):
        labelled = len(side) - side["label"].null_count
        assert [count / labelled for count in sample.rows] == pytest.approx(of_side)


@pytest.mark.parametrize(
    ("task", "distance", "message"),
    [
        (BINARY, "wasserstein", "found wasserstein of the predictions of a binary task, which are"),
        (MULTI, "ks", "ks is of scores, found a multiclass task"),
        (TaskKind.RANKING, "psi", "found a ranking task"),
    ],
)
def test_what_makes_no_sense_is_refused(
    line: Any, task: TaskKind, distance: str, message: str
) -> None:
    plan = plan_for([line], drift(distance))
    with pytest.raises(InputError) as refused:
        check_fit(replace(plan, problem=replace(plan.problem, task=task)))
    assert message in str(refused.value)


def test_a_model_of_labels_has_classes_and_no_gap_of_scores(line: Any) -> None:
    labels = replace(line, output=Output.LABEL)
    with pytest.raises(InputError, match="'line' return labels only"):
        check_fit(plan_for([labels], drift("ks")))
    plan = plan_for([labels], drift("psi"))
    check_fit(plan)
    (cell,) = cells_of(plan, rows(2), rows(3, 0.4))
    kept = BinRows.of(cell.measured.numbers)
    assert kept is not None and not kept.edges
    said = [fit(BINARY).predict(side.to_pandas().dropna(subset=["label"])[["a", "b"]])
            for side in (rows(2), rows(3, 0.4))]  # fmt: skip
    assert list(kept.names) == ["0", "1"]
    assert [list(kept.reference), list(kept.current)] == [
        [(one == label).sum() for label in (0, 1)] for one in said
    ]


@pytest.fixture(scope="module")
def slope(models: Models) -> Any:
    return models.of("slope", fit(VALUES), VALUES)


def values_of(side: pa.Table, cell: Cell) -> np.ndarray:
    """What the regression predicts of the labelled rows of a slice."""
    frame = side.to_pandas().dropna(subset=["label"])
    if cell.slice.kind != "overall":
        value = cell.slice.columns["country"]
        frame = frame[frame["country"].isna() if value is None else frame["country"] == value]
    return np.asarray(fit(VALUES).predict(frame[["a", "b"]])) if len(frame) else np.zeros(0)


def parts(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The shares of ten parts of the reference's rows, by the ranks that values have in it."""
    below, up_to = (
        np.searchsorted(np.sort(reference), values, side=side) for side in ("left", "right")
    )
    at = np.minimum((10 * (below + up_to) / (2 * len(reference))).astype(int), 9)
    return np.bincount(at, minlength=10) / len(values)


@pytest.mark.parametrize("cap", [score_histogram.EXACT_SCORES, 20])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_predicted_values_have_the_distances_of_scipy(
    slope: Any, shift: float, cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_histogram, "EXACT_SCORES", cap)
    sides = rows(2, task=VALUES), rows(3, shift, VALUES)
    sets = (OVERALL, BY_COUNTRY)
    asked = [drift(name, None, sets) for name in ("ks", "wasserstein", "total_variation", "psi")]
    plan = plan_for([slope], *asked, task=VALUES)
    check_fit(plan)
    for cell in cells_of(plan, *sides):
        before, now = (values_of(side, cell) for side in sides)
        value, bound = cell.measured.value, cell.measured.error_bound
        if not len(before) or not len(now):
            assert value is None and "in the reference" in cell.reason
            continue
        metric = cell.test.metric
        if metric in ("ks", "wasserstein"):
            exact = stats.ks_2samp(before, now).statistic
            if metric == "wasserstein":
                if len(before) < 2:
                    continue
                exact = stats.wasserstein_distance(before, now) / np.std(before, ddof=1)
            few = max(len(before), len(now)) <= cap
            assert abs(value - exact) <= (1e-9 if few else bound + 1e-9)
            least = min(len(before), len(now))
            assert bound <= (1e-12 if few else 0.005 + 2 / least), (metric, bound, least)
        else:
            p, q = parts(before, before), parts(before, now)
            near = 1e-9 if max(len(before), len(now)) <= cap else 0.03
            if metric == "total_variation":
                assert value == pytest.approx(np.abs(p - q).sum() / 2, abs=near)
        low, high = cell.measured.ci_low, cell.measured.ci_high
        assert low is None or 0 <= low <= high
        assert (cell.model.name, cell.counts.n) == ("slope", len(now))


def test_moved_values_are_found_and_others_are_not(slope: Any) -> None:
    tests = [drift("psi", 0.1), drift("ks", 0.15), drift("wasserstein", 0.2)]
    plan = plan_for([slope], *tests, task=VALUES)
    for seed in range(10):
        same = cells_of(plan, rows(2 * seed, task=VALUES), rows(2 * seed + 1, task=VALUES))
        assert {cell.verdict for cell in same} == {Verdict.PASS}, [c.reason for c in same]
    for seed in range(3):
        moved = cells_of(plan, rows(seed, task=VALUES), rows(50 + seed, 1.0, VALUES))
        assert {cell.verdict for cell in moved} == {Verdict.FAIL}
    (told,) = [cell.measured.detail for cell in moved if cell.test.metric == "psi"]
    assert told is not None and " to " in told and "%" in told


def test_values_far_from_0_and_constant_ones(models: Models) -> None:
    far = fit(VALUES)
    far.intercept_ += 1000.0
    plan = plan_for(
        [models.of("far", far, VALUES)], drift("wasserstein", 0.3), drift("ks"), task=VALUES
    )
    for cell in cells_of(plan, rows(4, task=VALUES), rows(5, 1.0, VALUES)):
        assert cell.verdict is Verdict.FAIL
    flat = fit(VALUES)
    flat.coef_ *= 0
    plan = plan_for(
        [models.of("flat", flat, VALUES)], drift("wasserstein"), drift("ks"), drift("psi"),
        task=VALUES,
    )  # fmt: skip
    constant, *others = cells_of(plan, rows(4, task=VALUES), rows(5, 1.0, VALUES))
    assert constant.measured.value is None and "in the reference" in constant.reason
    assert [cell.measured.value for cell in others] == pytest.approx([0, 0], abs=1e-3)
