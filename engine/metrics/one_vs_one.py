"""The area under the ROC curve of many classes, each against each (Hand and Till 2001).

Reference: scikit-learn's `roc_auc_score(multi_class="ovo")`. For a pair of classes i and j, among
their rows alone, it is the mean of the area of i's score for i above j and that of j's for j above
i. `roc_auc_ovo` is the plain mean over pairs, whatever the classes' frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from engine.metrics.base import MULTICLASS, Problem, metric
from engine.metrics.roc import area_under_roc, roc_bound, scarcest
from engine.metrics.score_grid import UNIT
from engine.metrics.values import Value
from engine.states import Bools, Floats, PairScores, ScoresView


def _pairs(problem: Problem) -> tuple[PairScores, ...]:
    return tuple(PairScores(i, j) for i, j in permutations(range(problem.n_classes), 2))


def _ovo(problem: Problem, views: Sequence[ScoresView], *, by_prevalence: bool) -> Value:
    by_pair = dict(zip(permutations(range(problem.n_classes), 2), views, strict=True))
    pairs = list(combinations(range(problem.n_classes), 2))
    areas = np.stack([(_area(by_pair[i, j]) + _area(by_pair[j, i])) / 2 for i, j in pairs])
    weights = np.ones_like(areas)
    if by_prevalence:
        weights = np.stack(
            [by_pair[pair].positive.sum(-1) + by_pair[pair].negative.sum(-1) for pair in pairs]
        )
    weights = weights / weights.sum(0)
    bound = sum(
        float(weight) * (roc_bound(by_pair[i, j]) + roc_bound(by_pair[j, i])) / 2
        for weight, (i, j) in zip(weights[:, 0], pairs, strict=True)
    )
    missing: Bools = np.any(np.isnan(areas), axis=0)
    support = min(scarcest(view) for view in views)
    return Value((areas * weights).sum(0), (("one_class", missing),), bound, support=support)


def _area(view: ScoresView) -> Floats:
    return area_under_roc(view)


@metric(
    "roc_auc_ovo",
    tasks=MULTICLASS,
    needs=_pairs,
    aliases=["roc_auc_ovo_macro"],
    needs_scores=True,
    bounds=UNIT,
)
def roc_auc_ovo(problem: Problem, *views: ScoresView) -> Value:
    """The mean area under the ROC curves of each class against each other."""
    return _ovo(problem, views, by_prevalence=False)


@metric("roc_auc_ovo_weighted", tasks=MULTICLASS, needs=_pairs, needs_scores=True, bounds=UNIT)
def roc_auc_ovo_weighted(problem: Problem, *views: ScoresView) -> Value:
    """The mean of the one-against-one ROC areas, weighted by how frequent the pairs are."""
    return _ovo(problem, views, by_prevalence=True)
