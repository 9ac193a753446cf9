"""Beyond the cap: the value is within its own bound of scikit-learn's, and the bound is small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.states.score_histogram import on_grid

CLASSES = (0, 1)
ORACLES = {"roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}
ROUNDING = 1e-12


def differs_by(measured: Any, expected: float) -> float:
    """How far beyond its bound a value is from what it should be."""
    return abs(measured.value - expected) - measured.error_bound


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_uniform_scores_have_a_small_bound(
    measure: Any, rows_from: Any, name: str, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    scores = rng.random(n)
    truth = (rng.random(n) < scores).astype(np.int64)
    weight = rng.random(n) if weighted else None
    rows = rows_from(truth, scores, classes=CLASSES, weight=weight)
    measured = measure(name, rows)
    assert 0 < measured.error_bound < 1e-3
    assert differs_by(measured, ORACLES[name](truth, scores, sample_weight=weight)) <= ROUNDING


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_many_classes_against_the_others(
    measure: Any, random_rows: Any, name: str, average: str
) -> None:
    rows = random_rows(1, 12_000, classes=(0, 1, 2), weights="random", decimals=12)
    of_roc = {"macro": "roc_auc_ovr", "weighted": "roc_auc_ovr_weighted"}
    full = f"{name}_{average}" if name != "roc_auc" else of_roc.get(average, "roc_auc_ovr_micro")
    measured = measure(full, rows)
    binarized = np.eye(3, dtype=int)[rows.truth]
    expected = ORACLES[name](binarized, rows.scores, average=average, sample_weight=rows.weight)
    assert 0 < measured.error_bound < 1e-3
    assert differs_by(measured, expected) <= ROUNDING


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from(["uniform", "tiny", "near 1", "crowded"]),
    st.sampled_from(["none", "random", "zeros"]),
)
def test_any_scores_are_within_the_bound(
    measure: Any, rows_from: Any, seed: int, bits: int, shape: str, weights: str
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 200))
    scores = {
        "uniform": rng.random(n),
        "tiny": 10.0 ** rng.uniform(-12, 0, n),
        "near 1": 1 - 10.0 ** rng.uniform(-12, 0, n),
        "crowded": 0.5 + 0.01 * rng.choice(rng.normal(size=n // 2), n).clip(-5, 5),
    }[shape]
    truth = rng.integers(0, 2, n)
    weight = {"none": None, "random": rng.random(n), "zeros": rng.choice([0.0, 1.0], n)}[weights]
    rows = rows_from(truth, scores, classes=CLASSES, weight=weight)
    some = rows.at(np.flatnonzero(rows.weight > 0))
    if len(set(some.truth)) < 2:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        for name, oracle in ORACLES.items():
            expected = oracle(some.truth, some.scores[:, 1], sample_weight=some.weight)
            assert differs_by(measure(name, rows), expected) <= ROUNDING, name


def _placed(cell: np.ndarray, share: np.ndarray, bits: int) -> np.ndarray:
    """Scores in the cells of the grid that hold `cell`, at a share in (0, 1) of their width."""
    upper = cell > 0.5
    low = on_grid(np.where(upper, 1 - cell, cell), bits)
    step = 2.0 ** (np.floor(np.log2(low)) - bits)
    return np.where(upper, 1 - low - step * (1 - share), low + step * share)


def _orders(truth: np.ndarray, cell: np.ndarray, bits: int) -> dict[str, np.ndarray]:
    """Scores of the same histogram in which each cell's positives come first, last, or tied."""
    rank = (np.arange(len(truth)) + 1) / (len(truth) + 2)
    return {
        "best": _placed(cell, np.where(truth == 1, 0.75, 0.25), bits),
        "worst": _placed(cell, np.where(truth == 1, 0.4 * rank, 0.6 + 0.3 * rank), bits),
        "tied": _placed(cell, np.full(len(truth), 0.5), bits),
    }


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", ORACLES)
def test_adversarial_orders_reach_the_bound_and_no_more(
    measure: Any, rows_from: Any, name: str, weighted: bool
) -> None:
    bits = 2
    gaps = {}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        n = 3000
        cell, truth = rng.uniform(0.01, 0.99, n), rng.integers(0, 2, n)
        weight = rng.random(n) if weighted else None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranking, "EXACT_SCORES", 5)
            patch.setattr(ranking, "FINE_BITS", bits)
            for order, scores in _orders(truth, cell, bits).items():
                np.testing.assert_array_equal(on_grid(scores, bits), on_grid(cell, bits))
                measured = measure(name, rows_from(truth, scores, classes=CLASSES, weight=weight))
                expected = ORACLES[name](truth, scores, sample_weight=weight)
                gaps[order] = abs(measured.value - expected)
                assert gaps[order] <= measured.error_bound + ROUNDING, order
        assert gaps["tied"] <= ROUNDING
        # A bound that no order comes near would be a guess.
        assert max(gaps["best"], gaps["worst"]) >= 0.98 * measured.error_bound


def test_an_exact_value_has_no_bound(measure: Any, rows_from: Any) -> None:
    n = ranking.EXACT_SCORES
    for scores in (np.linspace(0, 1, n), np.repeat(np.linspace(0, 1, n), 2)):
        rows = rows_from(np.arange(len(scores)) % 3 == 0, scores, classes=CLASSES)
        for name in ORACLES:
            assert measure(name, rows).error_bound == 0.0
    scores = np.random.default_rng(0).random(n + 1)
    rows = rows_from(np.arange(n + 1) % 3 == 0, scores, classes=CLASSES)
    for name in ORACLES:
        assert measure(name, rows).error_bound > 0.0


def test_one_class_beyond_the_cap_is_undefined(measure: Any, rows_from: Any) -> None:
    scores = np.linspace(0, 1, ranking.EXACT_SCORES + 1)
    none = rows_from(np.zeros(len(scores)), scores, classes=CLASSES)
    assert measure("roc_auc", none).reason == "one_class"
    assert measure("average_precision", none).reason == "one_class"


def test_replicates_beyond_the_cap_are_near_the_truth(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    scores = rng.random(n)
    rows = rows_from(rng.random(n) < scores, scores, classes=CLASSES)
    for name, oracle in ORACLES.items():
        replicates = measure.replicates(name, rows)
        for b in (0, 7):
            kept = rows.bucket != b
            expected = oracle(rows.truth[kept], scores[kept])
            assert replicates[1 + b] == pytest.approx(expected, abs=2e-3)
