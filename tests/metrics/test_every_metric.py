"""Every registered metric on any rows: value, interval and comparison; none raises."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import TaskKind
from engine.kinds import estimate_metric
from engine.metrics import GROUPED, METRICS, Metric, Problem, RowsOf, Sampling, Slices
from engine.states import BUCKETS, Pair, PairFamily, RowFlags, Scored, States, rows_of

BINARY, MULTICLASS, MULTILABEL = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.MULTILABEL
REGRESSION, RANKING = TaskKind.REGRESSION, TaskKind.RANKING
PROBLEMS = {
    BINARY: Problem(BINARY, (0, 1), costs=((0.0, 1.0), (5.0, 0.0))),
    MULTICLASS: Problem(
        MULTICLASS, ("a", "b", "c"), costs=((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (2.0, 1.0, 0.0))
    ),
    MULTILABEL: Problem(MULTILABEL, ("x", "y", "z")),
    REGRESSION: Problem(REGRESSION),
    RANKING: Problem(RANKING),
}
OF_PATTERNS = {
    BINARY: ["roc_auc_max_fpr_0.2", "precision_at_recall_0.5", "ece_4", "f1_at_threshold_0.7",
             "recall_class_0", "roc_auc_class_0", "ece_top_label_5"],
    MULTICLASS: ["top_2_accuracy", "recall_class_b", "roc_auc_class_c",
                 "average_precision_class_a", "specificity_class_b", "ece_top_label_9"],
    MULTILABEL: ["multilabel_recall_label_x", "multilabel_f1_label_y", "multilabel_roc_auc_label_z",
                 "multilabel_precision_label_x", "multilabel_average_precision_label_y"],
    REGRESSION: ["d2_tweedie_1.5", "d2_pinball_0.3", "mean_pinball_loss_0.7"],
    RANKING: ["ndcg_at_3", "ndcg_exp_at_3", "map_at_3_relevance_2", "hit_rate_at_2_relevance_2"],
}  # fmt: skip
CASES = ("ordinary", "one class", "constant", "perfect", "weightless")
# Of labels that are numbers.
OF_NUMBERS = ("zeros", "negative")
GROUPS = 3


def metrics_of(task: TaskKind) -> list[Metric]:
    named = [metric for metric in METRICS if task in metric.tasks and metric.name not in GROUPED]
    return named + [METRICS.get(name) for name in OF_PATTERNS.get(task, [])]


def batch_of(problem: Problem, case: str, rows: int, *, weighted: bool) -> Scored:
    """Rows of a case; groups of them may have one row, or none."""
    rng = np.random.default_rng(1)
    classes, query = max(problem.n_classes, 1), None
    bucket = rng.integers(0, BUCKETS, rows)
    truth: Any
    predicted: Any = None
    if problem.task in (BINARY, MULTICLASS):
        truth = rng.integers(0, classes, rows) * (case != "one class")
        scores = rng.random((rows, classes)) + 0.7 * np.eye(classes)[truth]
        scores /= scores.sum(axis=1, keepdims=True)
        if case == "constant":
            scores[:] = 1 / classes
        elif case == "perfect":
            scores = np.eye(classes)[truth]
        predicted = scores.argmax(axis=1)
    elif problem.task is MULTILABEL:
        truth = rng.integers(0, 2, (rows, classes)) * (case != "one class")
        scores = np.clip(0.4 * truth + 0.6 * rng.random((rows, classes)), 0, 1)
        if case == "constant":
            scores[:] = 0.5
        elif case == "perfect":
            scores = truth.astype(float)
        predicted = (scores > 0.5).astype(np.int64)
    else:
        truth = np.abs(rng.normal(2, 1, rows))
        if problem.task is RANKING:
            truth = rng.integers(0, 3, rows).astype(float)
            query = np.sort(rng.integers(0, max(rows // 5, 1), rows))
            bucket = query % BUCKETS
        scores = np.abs(truth + rng.normal(0, 0.3, rows))
        if case in ("one class", "zeros"):
            truth[:] = float(case == "one class")
        elif case == "constant":
            scores[:] = 1.0
        elif case == "perfect":
            scores = truth.copy()
        elif case == "negative":
            truth = -truth
    weight = rng.choice([0.0, 0.5, 2.0], rows) if weighted else np.ones(rows)
    if case == "weightless":
        weight = np.zeros(rows)
    unweighted = not weighted and case != "weightless"
    return Scored(truth, weight, bucket, scores, predicted, unweighted, query)


def slices_of(metric: Metric, problem: Problem, batch: Scored, base: Scored | None) -> Slices:
    groups = (np.arange(len(batch)) if batch.query is None else batch.query) % 2

    def states(own: Scored, other: Scored | None) -> dict[str, States]:
        families = [*metric.families(problem, compared=True)]
        families += metric.of_baseline(problem) if metric.of_baseline else ()
        made: dict[str, States] = {}
        for family in families:
            if not isinstance(family, PairFamily):
                made[family.key] = family.of(own, groups, GROUPS)
            elif other is not None:
                made[family.key] = family.of(Pair(other, own), groups, GROUPS)
        return made

    none = np.zeros(len(batch), bool)
    cells = groups * BUCKETS + batch.bucket
    rows = RowsOf.of(rows_of(batch.weight, RowFlags(none, none, none), cells, GROUPS))
    sampling = Sampling(not batch.unweighted)
    beside = None if base is None else Slices(rows, states(base, None), sampling=sampling)
    return Slices(rows, states(batch, base), sampling=sampling, baseline=beside)


@pytest.mark.parametrize("task", list(TaskKind))
def test_none_raises_and_each_says_why_it_has_no_value(task: TaskKind) -> None:
    problem = PROBLEMS[task]
    cases = (*CASES, *OF_NUMBERS) if task in (REGRESSION, RANKING) else CASES
    # No rows are no rows, whatever they would be.
    sizes = [("ordinary", 0), *itertools.product(cases, (1, 60))]
    for (case, rows), weighted in itertools.product(sizes, (False, True)):
        batch = batch_of(problem, case, rows, weighted=weighted)
        base = batch_of(problem, "ordinary", rows, weighted=weighted)
        other = Scored(
            batch.truth, batch.weight, batch.bucket, base.scores, base.predicted, batch.unweighted,
            batch.query,
        )  # fmt: skip
        for metric in metrics_of(task):
            for beside in (other, None):
                if metric.against and beside is None:
                    continue
                on = slices_of(metric, problem, batch, beside)
                alone = metric.against or beside is None
                found = estimate_metric(metric, problem, on, level=0.95, alone=alone)
                assert len(found.values) == GROUPS and found.failures == [None] * GROUPS
                for value in found.values:
                    place = metric.name, case, rows, weighted, value
                    assert (value.value is None) == (value.reason is not None), place
                    assert value.value is None or not math.isnan(value.value), place
