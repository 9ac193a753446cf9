"""Oracles of the calibration refit and of the debiased calibration error, and tests of them.

The refit is held against scipy's minimiser on rows, to its precision and not to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

import engine.states.score_histogram as ranking

Rows = Any
Oracle = Callable[[Rows], float | str]
CLASSES = ("no", "yes")


def columns(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    eps = np.finfo(float).eps
    odds = special.logit(np.clip(rows.scores[:, rows.positive], eps, 1 - eps))
    return odds, (rows.truth == rows.positive).astype(float)


def intercept(rows: Rows) -> float | str:
    odds, label = columns(rows)
    if len(set(label)) < 2:
        return "one_class"

    def excess(a: float) -> float:
        wrong = np.where(label > 0, -special.expit(-(a + odds)), special.expit(a + odds))
        return float((rows.weight * wrong).sum())

    return optimize.brentq(excess, -100, 100, xtol=1e-14)


def slope(rows: Rows) -> float | str:
    odds, label = columns(rows)
    if len(set(label)) < 2:
        return "one_class"
    yes, no = odds[label == 1], odds[label == 0]
    if yes.max() <= no.min() or no.max() <= yes.min():
        return "separable"
    center, scale = odds.mean(), odds.std()
    design = np.stack([np.ones(len(odds)), (odds - center) / scale], axis=1)

    def loss(fit: np.ndarray) -> float:
        line = design @ fit
        return float((rows.weight * (np.logaddexp(0, line) - label * line)).sum())

    def gradient(fit: np.ndarray) -> np.ndarray:
        return design.T @ (rows.weight * (special.expit(design @ fit) - label))

    def curvature(fit: np.ndarray) -> np.ndarray:
        p = special.expit(design @ fit)
        return design.T @ (design * (rows.weight * p * (1 - p))[:, None])

    found = optimize.minimize(
        loss,
        np.zeros(2),
        jac=gradient,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-11 * rows.weight.sum()},
    )
    return float(found.x[1] / scale)


def debiased(rows: Rows) -> float:
    """Twice the error less its mean over redrawn shares of positives, integrated by scipy."""
    scores, yes = rows.scores[:, rows.positive], rows.truth == rows.positive
    per_weight = rows.weight.sum() / (rows.weight**2).sum()
    place = np.digitize(scores, np.linspace(0, 1, 16)[1:-1], right=True)
    total = 0.0
    for bin_ in set(place):
        weight = rows.weight[place == bin_]
        share = np.average(yes[place == bin_], weights=weight)
        gap = abs(np.average(scores[place == bin_], weights=weight) - share)
        scale = np.sqrt(share * (1 - share) / (weight.sum() * per_weight))
        redrawn = stats.foldnorm.mean(gap / scale, scale=scale) if scale > 0 else gap
        total += weight.sum() * (2 * gap - redrawn)
    return total / rows.weight.sum()


def rounding(rows: Rows, intercept: float) -> float:
    """What rounding makes of the intercept where all rows are sure, and the loss next to flat."""
    odds, _ = columns(rows)
    line = intercept + odds
    curvature = (rows.weight * special.expit(line) * special.expit(-line)).sum()
    return float(4 * np.finfo(float).eps * rows.weight.sum() / curvature)


ORACLES: dict[str, Oracle] = {
    "calibration_intercept": intercept,
    "calibration_slope": slope,
    "ece_debiased": debiased,
}
PATTERNS: dict[str, Callable[..., float | str]] = {}


def check(measure: Any, rows: Rows) -> None:
    some = rows.at(np.flatnonzero(rows.weight > 0))
    for name, oracle in ORACLES.items():
        measured = measure(name, rows)
        expected = oracle(some) if len(some) else "zero_weight" if len(rows) else "empty"
        if isinstance(expected, str):
            assert (measured.value, measured.reason) == (None, expected), name
        else:
            loose = (
                max(1e-8, rounding(some, measured.value)) if name.endswith("intercept") else 1e-8
            )
            assert measured.value == pytest.approx(expected, rel=1e-6, abs=loose), name
            assert measured.error_bound == 0.0


@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
@pytest.mark.parametrize("positive", [0, 1])
def test_random_rows(measure: Any, random_rows: Any, weights: str, positive: int) -> None:
    for seed, n in enumerate((300, 40, 12)):
        check(measure, random_rows(seed, n, classes=CLASSES, weights=weights, positive=positive))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 8), st.sampled_from([0.0, 0.3, 1.0, 2.5])),
        max_size=14,
    )
)
def test_few_rows(measure: Any, rows_from: Any, drawn: list[Any]) -> None:
    truth, eighth, weight = np.array(drawn, np.float64).reshape(-1, 3).T
    check(measure, rows_from(truth, eighth / 8, classes=CLASSES, weight=weight))


def test_certain_scores_are_clipped(measure: Any, rows_from: Any) -> None:
    """Sure and wrong once among many: the refit ends, and is the minimiser's."""
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    truth = (rng.random(200) < scores).astype(int)
    rows = rows_from(np.r_[truth, 0, 1, 1], np.r_[scores, 1.0, 0.0, 5e-324], classes=CLASSES)
    check(measure, rows)


def test_rows_that_are_sure_and_wrong_keep_their_precision(measure: Any, rows_from: Any) -> None:
    """Of (no, 1), (yes, 0), (yes, 1): e^(a - s) = 2 e^-(a + s) as the log odds s grow."""
    rows = rows_from([0, 1, 1], [1.0, 0.0, 1.0], classes=CLASSES)
    assert measure("calibration_intercept", rows).value == pytest.approx(np.log(2) / 2, abs=0.02)
    check(measure, rows)


def test_separable_scores_have_no_slope(measure: Any, rows_from: Any) -> None:
    for scores in ([0.1, 0.2, 0.8, 0.9], [0.1, 0.5, 0.5, 0.9], [0.9, 0.8, 0.2, 0.1], [0.3] * 4):
        rows = rows_from([0, 0, 1, 1], scores, classes=CLASSES)
        assert measure("calibration_slope", rows).reason == "separable"
        assert measure("calibration_intercept", rows).value is not None
    one = rows_from([1, 1], [0.2, 0.4], classes=CLASSES)
    assert measure("calibration_slope", one).reason == "one_class"
    assert measure("calibration_intercept", one).reason == "one_class"


def test_a_known_distortion_is_found(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 40_000)
    truth = rng.random(40_000) < special.expit(0.5 + 0.8 * odds)
    rows = rows_from(truth, special.expit(odds), classes=CLASSES)
    assert measure("calibration_slope", rows).value == pytest.approx(0.8, abs=0.03)
    shifted = rng.random(40_000) < special.expit(odds + 0.5)
    rows = rows_from(shifted, special.expit(odds), classes=CLASSES)
    assert measure("calibration_intercept", rows).value == pytest.approx(0.5, abs=0.04)


def test_the_debiased_error_of_a_calibrated_model_is_smaller(measure: Any, rows_from: Any) -> None:
    """Of few rows chance alone makes gaps, of which it takes off two fifths, whatever the unit."""
    plain, freed, scaled = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = rng.random(200)
        truth = rng.random(200) < scores
        rows = rows_from(truth, scores, classes=CLASSES)
        plain.append(measure("ece", rows).value)
        freed.append(measure("ece_debiased", rows).value)
        heavy = rows_from(truth, scores, classes=CLASSES, weight=np.full(200, 1e-3))
        scaled.append(measure("ece_debiased", heavy).value)
    assert np.mean(plain) > 0.08
    assert 0.5 < np.mean(freed) / np.mean(plain) < 0.7
    np.testing.assert_allclose(scaled, freed, rtol=1e-9)


@pytest.mark.parametrize("weights", ["none", "random"])
def test_a_replicate_is_the_metric_without_its_bucket(
    measure: Any, random_rows: Any, weights: str
) -> None:
    rows = random_rows(3, 150, classes=CLASSES, weights=weights)
    for name in ORACLES:
        replicates = measure.replicates(name, rows)
        for b in (0, 9, 19):
            alone = measure(name, rows.at(np.flatnonzero(rows.bucket != b)))
            assert replicates[1 + b] == pytest.approx(alone.value, rel=1e-7), name


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_the_bound_beyond_the_cap(
    measure: Any, rows_from: Any, seed: int, bits: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 300))
    scores = special.expit(rng.normal(0, 2, n))
    truth = (rng.random(n) < scores ** rng.uniform(0.5, 2)).astype(int)
    assume(5 < truth.sum() < n - 5)
    rows = rows_from(truth, scores, classes=CLASSES, weight=rng.random(n) if weighted else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        for name, oracle in ORACLES.items():
            measured, expected = measure(name, rows), oracle(rows)
            if measured.reason == "separable":
                continue
            assert not isinstance(expected, str), name
            assert abs(measured.value - expected) <= measured.error_bound + 1e-7, name


def test_the_bound_of_the_true_grid_is_small(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    scores = special.expit(rng.normal(0, 2, n))
    rows = rows_from(rng.random(n) < scores, scores, classes=CLASSES)
    for name, oracle in ORACLES.items():
        measured = measure(name, rows)
        assert 0 < measured.error_bound < 5e-3, name
        assert abs(measured.value - oracle(rows)) <= measured.error_bound, name
