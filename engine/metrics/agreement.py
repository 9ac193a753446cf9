"""How far labels and predicted classes agree beyond chance, and what their disagreement costs.

References: scikit-learn's `cohen_kappa_score`; the cost of a row is that of its true and predicted
class in the suite's `costs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np

from engine.metrics.base import CLASSIFICATION, METRICS, Metric, Problem, metric
from engine.metrics.basis import Averaged
from engine.metrics.classification import confusion_of
from engine.metrics.values import Value
from engine.states import (
    BUCKETS,
    ConfusionView,
    Floats,
    MomentsView,
    PairedMean,
    Scored,
    sums_by_cell,
    with_left_out,
)


def sum_of(confusion: ConfusionView, number: Floats) -> Floats:
    """The sum over rows of a number of the true and the predicted class: [replicate]."""
    width = confusion.n_classes**2
    bucket, cell = np.divmod(confusion.state.keys, width)
    weighted = confusion.state.weights * number.reshape(-1)[cell]
    buckets = sums_by_cell(bucket, weighted, confusion.state.n_groups * BUCKETS)
    return with_left_out(
        buckets.reshape(*confusion.total.shape[:-1], BUCKETS), axis=confusion.total.ndim - 1
    )


# How far apart two classes are, by the distance of their places in the order of the classes.
_WEIGHTS: dict[str, tuple[Callable[[Floats], Floats], str]] = {
    "cohen_kappa": (lambda gap: np.minimum(gap, 1.0), "all disagreements alike"),
    "cohen_kappa_linear": (lambda gap: gap, "disagreements counted by their distance"),
    "cohen_kappa_quadratic": (lambda gap: gap * gap, "disagreements by their squared distance"),
}


def _kappa(name: str, problem: Problem, confusion: ConfusionView) -> Value:
    place = np.arange(confusion.n_classes, dtype=np.float64)
    apart = _WEIGHTS[name][0](np.abs(place[:, None] - place))
    by_chance = ((confusion.actual @ apart) * confusion.predicted).sum(-1)
    values = 1 - sum_of(confusion, apart) * confusion.total / by_chance
    return Value(values, (("zero_weight", confusion.total == 0), ("one_class", by_chance == 0)))


for _name, (_, _words) in _WEIGHTS.items():
    METRICS.add(
        _name,
        Metric(
            _name,
            CLASSIFICATION,
            confusion_of,
            partial(_kappa, _name),
            bounds=(-1.0, 1.0),
            many=True,
            needs_order=_name != "cohen_kappa",
            summary=f"The agreement beyond chance (Cohen 1960), {_words}.",
        ),
        aliases=[_name.replace("kappa", "kappa_score")],
    )


def _pairs_of_costs(problem: Problem) -> tuple[PairedMean, ...]:
    if not problem.costs:
        return ()
    costs = np.array(problem.costs, np.float64)

    def cost_of_row(batch: Scored) -> Floats:
        assert batch.predicted is not None, "costs need predicted classes"
        of_row: Floats = costs[batch.truth, batch.predicted]
        return of_row

    # Other costs make other states.
    digest = hashlib.sha256(costs.tobytes()).hexdigest()[:12]
    return (PairedMean(f"cost_{digest}", cost_of_row),)


@metric(
    "cost",
    tasks=CLASSIFICATION,
    needs=confusion_of,
    aliases=["mean_cost"],
    higher_is_better=False,
    paired=_pairs_of_costs,
)
def cost(problem: Problem, confusion: ConfusionView) -> Value:
    """The mean over rows of what the suite's `costs` say of their true and predicted class."""
    if not problem.costs:
        none = np.full(confusion.total.shape, np.nan)
        return Value(none, (("no_costs", np.ones(none.shape, bool)),))
    costs = np.array(problem.costs, np.float64)
    means = sum_of(confusion, costs) / confusion.total
    center = means[0] if confusion.total[0] > 0 else 0.0
    m2 = sum_of(confusion, (costs - center) ** 2) - confusion.total * (means - center) ** 2
    # The squared weights are known of all rows together only.
    squares = np.full(confusion.total.shape, np.nan)
    squares[0] = confusion.squares.sum()
    moments = MomentsView(confusion.total, squares, means, np.maximum(m2, 0.0))
    return Value(means, (("zero_weight", confusion.total == 0),), basis=Averaged(moments))
