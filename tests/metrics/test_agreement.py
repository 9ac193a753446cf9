"""Costs of a suite, their mean and its spread; the order of classes in kappa."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from engine.core.vocabulary import RowCounts
from engine.metrics import METRICS, Metric, Problem, SliceStates, comparison_of, spread_of
from engine.states import Pair, PairFamily

THREE = ("a", "b", "c")
COSTS = ((0.0, 1.0, 7.0), (2.0, 0.0, 2.5), (10.0, 5.0, -1.0))


def states_of(metric: Metric, problem: Problem, rows: Any, base: Any = None) -> SliceStates:
    groups = np.zeros(len(rows), np.int64)
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    baseline, states = None, {}
    if base is not None:
        baseline = states_of(metric, problem, base)
    for family in metric.families(problem, compared=base is not None):
        batch = rows.scored()
        if isinstance(family, PairFamily):
            states[family.key] = family.of(Pair(base.scored(), batch), groups, 1)
        else:
            states[family.key] = family.of(batch, groups, 1)
    return SliceStates(counts, states, baseline=baseline)


@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
def test_the_cost_is_the_mean_over_rows(random_rows: Any, weights: str) -> None:
    metric = METRICS.get("cost")
    for seed, n in enumerate((300, 20, 1)):
        rows = random_rows(seed, n, classes=THREE, weights=weights)
        if rows.weight.sum() == 0:
            continue
        problem = replace(rows.problem, costs=COSTS)
        of_row = np.array(COSTS)[rows.truth, rows.predicted]
        measured = metric.value(problem, states_of(metric, problem, rows))
        assert measured.value == pytest.approx(np.average(of_row, weights=rows.weight))
        replicates = metric.figures(problem, states_of(metric, problem, rows)).replicates[0]
        kept = rows.bucket != 3
        if rows.weight[kept].sum() > 0:
            expected = np.average(of_row[kept], weights=rows.weight[kept])
            assert replicates[1 + 3] == pytest.approx(expected)


def test_the_cost_has_the_interval_of_a_mean(random_rows: Any) -> None:
    rows = random_rows(0, 200, classes=THREE)
    problem, metric = replace(rows.problem, costs=COSTS), METRICS.get("cost")
    of_row = np.array(COSTS)[rows.truth, rows.predicted]
    spread = spread_of(metric, problem, states_of(metric, problem, rows))
    assert spread is not None
    low, high = spread.interval(0.95)
    half = 1.971957 * of_row.std(ddof=1) / np.sqrt(200)
    assert (low, high) == pytest.approx((of_row.mean() - half, of_row.mean() + half), rel=1e-5)


def test_two_versions_costs_are_compared_row_by_row(random_rows: Any) -> None:
    rows = random_rows(0, 200, classes=THREE)
    base = replace(rows, scores=random_rows(1, 200, classes=THREE).scores)
    problem, metric = replace(rows.problem, costs=COSTS), METRICS.get("cost")
    found = comparison_of(metric, problem, states_of(metric, problem, rows, base))
    costs = np.array(COSTS)
    gap = costs[rows.truth, rows.predicted] - costs[rows.truth, base.predicted]
    assert found is not None
    assert found.delta == pytest.approx(gap.mean())
    assert found.se_delta == pytest.approx(gap.std(ddof=1) / np.sqrt(200))


def test_other_costs_have_other_states(random_rows: Any) -> None:
    rows, metric = random_rows(0, 9, classes=THREE), METRICS.get("cost")
    assert metric.paired is not None
    keys = {
        metric.paired(replace(rows.problem, costs=costs))[0].key
        for costs in (COSTS, tuple(tuple(2 * c for c in row) for row in COSTS))
    }
    assert len(keys) == 2
    assert list(metric.paired(rows.problem)) == []


def test_costs_that_are_not_said(measure: Any, random_rows: Any) -> None:
    rows = random_rows(0, 50, classes=(0, 1))
    for name in ("cost", "best_threshold_cost"):
        assert measure(name, rows).reason == "no_costs"


def test_kappa_orders_classes_as_the_problem_does(measure: Any, random_rows: Any) -> None:
    """Not by their names: low, mid, high are in that order."""
    rows = random_rows(3, classes=("low", "mid", "high"))
    expected = sk.cohen_kappa_score(
        rows.labels, rows.predictions, labels=["low", "mid", "high"], weights="quadratic"
    )
    assert measure("cohen_kappa_quadratic", rows).value == pytest.approx(expected)
