"""Metrics of quantiles of errors and of targets, read from histograms.

References: scikit-learn's `median_absolute_error`, `d2_absolute_error_score`, `d2_pinball_score`;
`numpy.quantile` with `method="averaged_inverted_cdf"`. Exact while a slice has few distinct
values. On the grid a value can lie anywhere in its bin, and the bound is what that can change.
"""

from __future__ import annotations

import numpy as np

from engine.metrics.base import METRICS, REGRESSION, Metric, Problem, mean, metric
from engine.metrics.basis import Counted, Ordered
from engine.metrics.deviances import BELOW_ONE, pinball_family
from engine.metrics.regression import POSITIVE, absolute_error, target
from engine.metrics.values import Value
from engine.states import Family, Floats, Ints, MomentsView, Values, ValuesView

# Sums of weights are right but for their last digits, which are not to decide about a tie.
ROUNDING = 1e-12


def _errors(problem: Problem) -> tuple[Values]:
    return (Values("absolute_error", lambda batch: absolute_error(batch, problem)),)


def _targets(problem: Problem) -> Values:
    return Values("target", lambda batch: target(batch, problem))


def places_of(weight: Floats, share: float) -> tuple[Ints, Ints]:
    """The places of the two values whose mean is a quantile: [replicate], from [replicate, value].

    They are one, but where a share of the rows ends exactly at a value: then the next one is the
    second. The quantile so is "averaged inverted CDF" of Hyndman and Fan (1996), and their median.
    """
    up_to = np.cumsum(weight, axis=-1)
    total = weight.sum(-1)
    wanted, slack = (share * total)[:, None], (ROUNDING * total)[:, None]
    # An empty replicate has no such places; what it makes is undefined anyway.
    first = np.minimum((up_to < wanted - slack).sum(-1), weight.shape[-1] - 1)
    second = np.minimum((up_to <= wanted + slack).sum(-1), weight.shape[-1] - 1)
    return first, second


def quantile_of(view: ValuesView, share: float) -> tuple[Floats, float]:
    """The quantile of each replicate, and how far off it can be in the first.

    In a bin the rows are taken as evenly spread.
    """
    up_to = np.cumsum(view.weight, axis=-1)
    wanted = share * view.weight.sum(-1)
    ends = []
    lowest = highest = 0.0
    for place in places_of(view.weight, share):
        own = np.take_along_axis(view.weight, place[:, None], -1)[:, 0]
        before = np.take_along_axis(up_to, place[:, None], -1)[:, 0] - own
        low, high = view.low[place], view.high[place]
        into = np.clip((wanted - before) / np.where(own > 0, own, 1.0), 0.0, 1.0)
        ends.append(low + into * np.where(high > low, high - low, 0.0))
        lowest, highest = lowest + low[0] / 2, highest + high[0] / 2
    quantiles = (ends[0] + ends[1]) / 2
    bound = 0.0 if view.exact else float(max(quantiles[0] - lowest, highest - quantiles[0]))
    return quantiles, bound


def _error_quantile(share: float, view: ValuesView) -> Value:
    zero = view.weight.sum(-1) == 0
    if view.weight.shape[-1] == 0:
        return Value(np.full(len(zero), np.nan), (("zero_weight", zero),))
    values, bound = quantile_of(view, share)
    weight = view.weight[0]
    first = int(places_of(view.weight, share)[0][0])
    total, hits = float(weight.sum()), float(view.squares[: first + 1].sum())
    counted = Counted(share * total, total, hits, float(view.squares.sum()) - hits)

    def below() -> Floats:
        left_out = view.with_replicates()
        place = int(places_of(left_out.weight[:1], share)[0][0])
        up_to: Floats = left_out.weight[:, : place + 1].sum(-1) / left_out.weight.sum(-1)
        return up_to

    basis = Ordered(counted, view.low, view.high, weight, below)
    return Value(values, (("zero_weight", zero),), bound, basis=basis)


@metric(
    "median_absolute_error",
    tasks=REGRESSION,
    needs=_errors,
    higher_is_better=False,
    bounds=POSITIVE,
)
def median_absolute_error(problem: Problem, view: ValuesView) -> Value:
    """The median distance of the prediction from the target."""
    return _error_quantile(0.5, view)


def _absolute_error_quantile(q: str) -> Metric:
    """The metric `absolute_error_quantile_<q>`."""

    def function(problem: Problem, view: ValuesView) -> Value:
        return _error_quantile(float(q), view)

    return Metric(
        f"absolute_error_quantile_{q}",
        REGRESSION,
        _errors,
        function,
        higher_is_better=False,
        bounds=POSITIVE,
        summary=f"The distance from the target within which a share of {q} of the predictions is.",
    )


METRICS.add_pattern(rf"absolute_error_quantile_(?P<q>{BELOW_ONE})", _absolute_error_quantile)


def least_pinball(view: ValuesView, alpha: float) -> tuple[Floats, float]:
    """The mean pinball loss of the best constant, [replicate], and how far off the first can be.

    In a bin all rows are taken as in its middle, and the best constant is a quantile of these: no
    row, hence no mean and no smallest mean, changes by more than half a bin's width.
    """
    middle = view.low / 2 + view.high / 2
    first, second = (middle[place] for place in places_of(view.weight, alpha))
    gap = middle - ((first + second) / 2)[:, None]
    loss = np.where(gap >= 0, alpha * gap, (alpha - 1) * gap)
    total = view.weight.sum(-1)
    values = (view.weight * loss).sum(-1) / total
    if view.exact:
        return values, 0.0
    half = float((view.weight[0] * (view.high / 2 - view.low / 2)).sum() / total[0])
    return values, max(alpha, 1 - alpha) * half


def _d2(alpha: float, scale: float, losses: MomentsView, view: ValuesView) -> Value:
    """1 less the ratio of the model's mean loss to that of the best constant."""
    if view.weight.shape[-1] == 0:
        none = np.ones(len(view.weight), bool)
        return Value(np.full(len(none), np.nan), (("zero_weight", none),))
    least, off = least_pinball(view, alpha)
    # On the grid, targets in one bin need not be one target.
    alike = "constant" if view.exact else "too_close"
    undefined = (("zero_weight", view.weight.sum(-1) == 0), (alike, least == 0))
    loss = scale * losses.mean
    bound = 0.0
    if off > 0:
        nearest = float(least[0]) - off
        bound = float(loss[0] / nearest - loss[0] / least[0]) if nearest > 0 else np.inf
    return Value(1 - loss / np.where(least == 0, np.nan, least), undefined, bound)


def _absolute_and_targets(problem: Problem) -> tuple[Family, ...]:
    return mean(absolute_error, problem), _targets(problem)


@metric(
    "d2_absolute_error",
    tasks=REGRESSION,
    needs=_absolute_and_targets,
    aliases=["d2_absolute_error_score"],
    bounds=(-np.inf, 1.0),
)
def d2_absolute_error(problem: Problem, errors: MomentsView, targets: ValuesView) -> Value:
    """The share of the mean distance of the targets from their median that is explained."""
    # A pinball loss of 0.5 is half of the distance.
    return _d2(0.5, 0.5, errors, targets)


def _d2_pinball(alpha: str) -> Metric:
    """The metric `d2_pinball_<alpha>`."""

    def needs(problem: Problem) -> tuple[Family, ...]:
        return pinball_family(alpha), _targets(problem)

    def function(problem: Problem, losses: MomentsView, targets: ValuesView) -> Value:
        return _d2(float(alpha), 1.0, losses, targets)

    return Metric(
        f"d2_pinball_{alpha}",
        REGRESSION,
        needs,
        function,
        bounds=(-np.inf, 1.0),
        summary=f"The share of the best constant's pinball loss at {alpha} that is explained.",
    )


METRICS.add_pattern(rf"d2_pinball(?:_score)?_(?P<alpha>{BELOW_ONE})", _d2_pinball)
