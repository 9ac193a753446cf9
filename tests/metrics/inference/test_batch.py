"""Many slices at once: every figure is that of each slice by itself.

The metrics of slices by themselves are called without an axis of slices here, as a user's own are:
so both ways of calling a function are held against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.metrics import (
    METRICS,
    Metric,
    RowsOf,
    Sampling,
    Slices,
    comparison_of,
    comparisons_of,
    spread_of,
    spreads_of,
)
from engine.states import BUCKETS, Pair, PairFamily, RowFlags, rows_of

Make = Callable[..., Any]
SLICES = 7
EMPTY, ONE_CLASS, FEW = 6, 5, 4
PLAIN, WEIGHTED, CLUSTERED = Sampling(), Sampling(weighted=True), Sampling(False, True, 3.0)
CASES = [(PLAIN, "none"), (WEIGHTED, "random"), (CLUSTERED, "none")]
OF_VALUES = ("r2", "median_absolute_error", "d2_absolute_error", "d2_pinball_0.3")
IDS = ["plain", "weighted", "clustered"]


def groups_of(rows: Any) -> np.ndarray:
    """Slices of unequal size: the last has no row, one has no positives, one has five rows."""
    groups = np.random.default_rng(3).choice(4, len(rows), p=[0.55, 0.25, 0.15, 0.05])
    groups[:5] = FEW
    if rows.classes:
        groups[(rows.truth == 0) & (np.arange(len(rows)) % 5 == 0)] = ONE_CLASS
    return groups.astype(np.int64)


def other(rows: Any, rows_from: Make) -> Any:
    """Another version on the same rows."""
    scores = rows.scores.copy()
    scores[::3] = scores[::3, ::-1] if rows.classes else scores[::3] + 0.5
    return rows_from(
        rows.truth, scores, classes=rows.classes, weight=rows.weight, bucket=rows.bucket
    )


def slices_of(metric: Metric, rows: Any, base: Any, sampling: Sampling) -> Slices:
    """The states of all slices, beside those of the baseline."""
    groups, own, theirs = groups_of(rows), rows.scored(), base.scored()
    none = np.zeros(len(rows), bool)
    cells = groups * BUCKETS + rows.bucket
    counted = RowsOf.of(rows_of(rows.weight, RowFlags(none, none, none), cells, SLICES))
    families = metric.families(rows.problem, compared=True)
    made = {
        each.key: each.of(Pair(theirs, own), groups, SLICES)
        if isinstance(each, PairFamily)
        else each.of(own, groups, SLICES)
        for each in families
    }
    beside = {
        each.key: each.of(theirs, groups, SLICES)
        for each in families
        if not isinstance(each, PairFamily)
    }
    baseline = Slices(counted, beside, sampling=sampling)
    return Slices(counted, made, sampling=sampling, baseline=baseline)


def close(found: Any, expected: Any) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def many(classes: int) -> list[str]:
    """The metrics that are computed for many slices at once, and some that are not."""
    kind = {0: "regression", 2: "binary"}.get(classes, "multiclass")
    names = [each.name for each in METRICS if each.many and kind in each.tasks]
    return sorted({*names, *{0: OF_VALUES, 2: ("ece",)}.get(classes, ())})


def check(metric: Metric, rows: Any, rows_from: Make, sampling: Sampling) -> None:
    of = slices_of(metric, rows, other(rows, rows_from), sampling)
    assert of.baseline is not None
    figured = metric.figures(rows.problem, of)
    theirs = metric.figures(rows.problem, of.baseline)
    alone = replace(metric, many=False)
    spreads = spreads_of(metric, rows.problem, of)
    comparisons = comparisons_of(metric, rows.problem, of)
    for at in range(SLICES):
        single = of.slices[at]
        value = alone.value(rows.problem, single)
        assert figured.reasons[at] == value.reason
        if value.reason is not None:
            continue
        close((figured.values[at], figured.bounds[at]), (value.value, value.error_bound))
        spread = spread_of(alone, rows.problem, single)
        assert (spread is None) == (spreads is None or not spreads.is_known[at])
        if spread is not None and spreads is not None:
            close([end[at] for end in spreads.interval(0.95)], spread.interval(0.95))
            limit = value.value * 0.97 + 0.01
            close(spreads.p_below(limit)[at], spread.p_below(limit))
        if theirs.reasons[at] is not None:
            continue
        pair = comparison_of(alone, rows.problem, single)
        if pair is None or comparisons is None:
            assert pair is None and (comparisons is None or not comparisons.spread.is_known[at])
            continue
        close(comparisons.se_delta[at], pair.se_delta)
        close([end[at] for end in comparisons.spread.interval(0.9)], pair.spread.interval(0.9))
        close([error[at] for error in comparisons.errors()], pair.errors())


@pytest.mark.parametrize("name", many(2))
@pytest.mark.parametrize(("sampling", "weights"), CASES, ids=IDS)
def test_of_two_classes_all_is_as_of_each_slice(
    random_rows: Make, rows_from: Make, name: str, sampling: Sampling, weights: str
) -> None:
    rows = random_rows(21, 600, classes=(0, 1), weights=weights)
    check(METRICS.get(name), rows, rows_from, sampling)


@pytest.mark.parametrize("name", many(3))
def test_of_many_classes_all_is_as_of_each_slice(
    random_rows: Make, rows_from: Make, name: str
) -> None:
    rows = random_rows(22, 500, classes=(0, 1, 2))
    check(METRICS.get(name), rows, rows_from, PLAIN)


@pytest.mark.parametrize("name", many(0))
@pytest.mark.parametrize(("sampling", "weights"), CASES, ids=IDS)
def test_of_numbers_all_is_as_of_each_slice(
    random_rows: Make, rows_from: Make, name: str, sampling: Sampling, weights: str
) -> None:
    """Among them metrics of a histogram beside moments, which have more replicates."""
    rows = random_rows(25, 300, weights=weights)
    check(METRICS.get(name), rows, rows_from, sampling)


@pytest.mark.parametrize("name", ["roc_auc", "gini", "average_precision", "ks_statistic"])
@pytest.mark.parametrize("rows_of_all", [3_000, 12_000], ids=["coarse replicates", "gridded"])
def test_slices_of_many_scores_have_a_view_of_their_own(
    random_rows: Make, rows_from: Make, name: str, rows_of_all: int
) -> None:
    """The largest slice has more scores than replicates may have, or than are kept exactly."""
    rows = random_rows(23, rows_of_all, classes=(0, 1), decimals=9)
    metric = METRICS.get(name)
    check(metric, rows, rows_from, PLAIN)
    of = slices_of(metric, rows, rows, PLAIN)
    bound = metric.figures(rows.problem, of).bounds
    assert (bound[0] > 0) == (rows_of_all > 10_000) and bound[3] == 0


def test_what_is_asked_of_some_slices_is_as_of_all(random_rows: Make, rows_from: Make) -> None:
    rows = random_rows(24, 400, classes=(0, 1))
    for name in ("recall", "roc_auc", "log_loss", "ece"):
        metric = METRICS.get(name)
        of = slices_of(metric, rows, rows, PLAIN)
        whole, part = metric.figures(rows.problem, of), of.some(2, 5)
        close(metric.figures(rows.problem, part).values, whole.values[2:5])
        for at, single in enumerate(of.slices):
            one = metric.figures(rows.problem, single)
            assert one.reasons == whole.reasons[at : at + 1]
            close(one.values, whole.values[at : at + 1])
            if one.is_defined[0]:
                close(one.replicates, whole.replicates[at : at + 1])
