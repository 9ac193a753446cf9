"""Thresholds in names, the best ones, and those of a suite's costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from engine.core.vocabulary import RowCounts
from engine.metrics import METRICS, Problem, RowsOf, Slices, SliceStates
from engine.metrics.slices import Sampling
from engine.metrics.thresholds import ABOVE_ALL, AT
from engine.states import BUCKETS, Scores


def value(name: str, problem: Problem, rows: Any) -> float | None:
    family = Scores(problem.positive)
    states = {family.key: family.of(rows.scored(), np.zeros(len(rows), np.int64), 1)}
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    return METRICS.get(name).value(problem, SliceStates(counts, states)).value


@pytest.mark.parametrize("positive", [0, 1])
def test_the_cheapest_threshold(random_rows: Any, positive: int) -> None:
    for seed, costs in enumerate(
        (((0.0, 1.0), (5.0, 0.0)), ((0.0, 3.0), (1.0, -1.0)), ((0.0, 1.0), (0.1, 0.0)))
    ):
        rows = random_rows(seed, 150, classes=("x", "y"), weights="random", positive=positive)
        problem = replace(rows.problem, costs=costs)
        scores = rows.scores[:, positive]
        totals = {}
        for threshold in (ABOVE_ALL, *np.unique(scores)[::-1]):
            predicted = np.where(scores >= threshold, positive, 1 - positive)
            of_row = np.array(costs)[rows.truth, predicted]
            totals[float(threshold)] = np.average(of_row, weights=rows.weight)
        least = min(totals.values())
        cheapest = next(t for t, total in totals.items() if total <= least + 1e-12)
        assert value("best_threshold_cost", problem, rows) == cheapest


def test_no_row_is_taken_when_a_false_alarm_costs_too_much(rows_from: Any) -> None:
    rows = rows_from([0, 1, 0, 1], [0.9, 0.8, 0.7, 0.1], classes=(0, 1))
    problem = replace(rows.problem, costs=((0.0, 100.0), (1.0, 0.0)))
    threshold = value("best_threshold_cost", problem, rows)
    assert threshold == ABOVE_ALL
    assert value(f"recall_at_threshold_{threshold!r}", problem, rows) == 0.0


def test_a_best_threshold_can_be_tried_on_other_rows(measure: Any, random_rows: Any) -> None:
    """Chosen on one dataset, written into a name, evaluated on another."""
    chosen_on, tried_on = (random_rows(s, 300, classes=("n", "y"), decimals=9) for s in (1, 2))
    threshold = measure("best_threshold_f1", chosen_on).value
    assert threshold in chosen_on.scores[:, 1]
    for text in (repr(threshold), f"{threshold:.17e}", f"+{threshold!r}"):
        measured = measure(f"f1_at_threshold_{text}", tried_on).value
        predicted = tried_on.scores[:, 1] >= threshold
        assert measured == pytest.approx(sk.f1_score(tried_on.truth == 1, predicted))


@pytest.mark.parametrize("text", ["0", "1", "0.5", ".5", "1.", "-0.1", "1e-300", "5E+3", "+2"])
def test_any_number_is_a_threshold(measure: Any, random_rows: Any, text: str) -> None:
    rows = random_rows(0, 60, classes=(0, 1))
    expected = (rows.scores[:, 1] >= float(text))[rows.truth == 1].mean()
    assert measure(f"recall_at_threshold_{text}", rows).value == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "0.5.1", "1e", "0x1"])
def test_other_texts_are_no_threshold(text: str) -> None:
    assert METRICS.find(f"recall_at_threshold_{text}") is None


@pytest.mark.parametrize("text", ["0", "0.0", "1.5", "10%", "-0.1", "2", "e-3"])
def test_a_share_is_above_zero_and_at_most_one(text: str) -> None:
    for stem in ("lift_at", "gain_at", "tpr_at_fpr", "precision_at_recall", "roc_auc_max_fpr"):
        assert METRICS.find(f"{stem}_{text}") is None, stem


@pytest.mark.parametrize("weights", ["none", "random"])
@pytest.mark.parametrize("name", sorted(AT))
def test_many_slices_at_once_have_the_figures_of_each(
    random_rows: Any, name: str, weights: str
) -> None:
    """Of a row and of thousands; the sums of weights may differ in their last digit."""
    sizes = [1, 2, 30, 400, 1500, 2067]
    rows = random_rows(3, sum(sizes), classes=(0, 1), decimals=9, weights=weights)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    counts = [RowCounts(n, float(rows.weight[groups == at].sum())) for at, n in enumerate(sizes)]
    family = Scores(1)
    states = {family.key: family.of(rows.scored(), groups, len(sizes))}
    slices = Slices(
        RowsOf(counts, np.ones((len(sizes), BUCKETS))),
        states,
        sampling=Sampling(weights != "none"),
    )
    metric = METRICS.get(f"{name}_at_threshold_0.5")
    at_once = metric.figures(rows.problem, slices)
    one_by_one = replace(metric, many=False).figures(rows.problem, slices.some(0, len(sizes)))
    assert at_once.reasons == one_by_one.reasons
    assert at_once.is_defined.sum() >= 4
    for figures in ("values", "bounds", "replicates"):
        ours, theirs = (
            getattr(figured, figures)[at_once.is_defined] for figured in (at_once, one_by_one)
        )
        if weights == "none":
            np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-15)
