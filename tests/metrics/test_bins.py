"""Bins of scores: their edges, what their replicates are, and the interval of the mean gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from engine.core.vocabulary import RowCounts
from engine.metrics import METRICS, Sampling, SliceStates, spread_of
from engine.metrics.bins import bin_scores, middles, uniform_place
from engine.states import BUCKETS

CLASSES = ("no", "yes")


def test_a_score_on_an_edge_belongs_to_the_bin_below() -> None:
    scores = np.array([0.0, 0.1, 0.25, 0.2500001, 0.5, 0.75, 1.0])
    assert uniform_place(scores, 4).tolist() == [0, 0, 0, 1, 1, 2, 3]


def test_uniform_bins_are_scikit_learns(measure: Any, random_rows: Any) -> None:
    rows = random_rows(0, 300, classes=CLASSES, decimals=2)
    bins = bin_scores(measure.states("ece", rows).view_at("scores(1)", 0), 10, quantile=False)
    observed, said = calibration_curve(rows.truth, rows.scores[:, 1], n_bins=10)
    used = bins.weight[0] > 0
    np.testing.assert_allclose(bins.positive_share[0, used], observed)
    np.testing.assert_allclose((bins.score / bins.weight)[0, used], said)


def test_quantile_bins_hold_equal_weights_and_do_not_part_ties() -> None:
    assert middles(np.ones(12), 4).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    # Half of the weight is one score's, whose middle lies in the second of the bins.
    assert middles(np.array([1.0, 1.0, 6.0, 2.0, 2.0]), 4).tolist() == [0, 0, 1, 3, 3]
    assert middles(np.array([3.0]), 4).tolist() == [2]


@pytest.mark.parametrize("name", ["mce", "mce_quantile_4"])
def test_replicates_have_the_bins_of_all_rows(measure: Any, random_rows: Any, name: str) -> None:
    rows = random_rows(0, 200, classes=CLASSES)
    scores, count = rows.scores[:, 1], 4 if "4" in name else 15
    if count == 15:
        place = np.digitize(scores, np.linspace(0, 1, 16)[1:-1], right=True)
    else:
        middle = np.array([(scores < s).sum() + (scores == s).sum() / 2 for s in scores])
        place = np.floor(middle / 200 * 4 + 1e-9).astype(int)
    replicates = measure.replicates(name, rows)
    for b in range(BUCKETS):
        kept = rows.bucket != b
        gaps = [
            abs(scores[of].mean() - rows.truth[of].mean())
            for of in (kept & (place == k) for k in range(count))
            if of.any()
        ]
        assert replicates[1 + b] == pytest.approx(max(gaps))


def test_the_interval_of_the_mean_gap_lies_around_what_chance_leaves(
    measure: Any, rows_from: Any
) -> None:
    """Of a calibrated model the plain value is far from 0, and its interval is not."""
    rng = np.random.default_rng(0)
    scores = rng.random(300)
    rows = rows_from(rng.random(300) < scores, scores, classes=CLASSES)
    value, freed = (measure(name, rows).value for name in ("ece", "ece_debiased"))
    assert measure.replicates("ece", rows) == pytest.approx(
        measure.replicates("ece_debiased", rows)
    )
    spread = spread_of(METRICS.get("ece"), rows.problem, measure.states("ece", rows))
    assert spread is not None
    low, high = spread.interval(0.95)
    assert (low + high) / 2 == pytest.approx(freed)
    assert low < 0.02 < freed < value


@pytest.mark.parametrize("weights", ["none", "random"])
def test_a_calibrated_models_interval_holds_zero_or_nearly(rows_from: Any, weights: str) -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores = rng.random(200)
        weight = None if weights == "none" else rng.random(200) + 0.5
        bucket = rng.integers(0, BUCKETS, 200)
        rows = rows_from(
            rng.random(200) < scores, scores, classes=CLASSES, weight=weight, bucket=bucket
        )
        metric = METRICS.get("ece")
        states = {
            family.key: family.of(rows.scored(), np.zeros(200, np.int64), 1)
            for family in metric.needs(rows.problem)
        }
        spread = spread_of(metric, rows.problem, slice_states(rows, states))
        assert spread is not None
        held += spread.interval(0.95)[0] <= 0.01
    assert held >= 80


def slice_states(rows: Any, states: Any) -> SliceStates:
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    return SliceStates(counts, states, sampling=Sampling(weighted=not rows.unweighted))
