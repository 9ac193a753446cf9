"""What the grid of scores leaves open, and the curve that a histogram of scores draws.

Beyond the cap of distinct scores a histogram has steps instead of scores. Within a step the order
of its rows is unknown. A curve is exact at the ends of a step; between them lies a box, whose
corners are reached when all positives of the step stand above its negatives, or below them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.metrics.base import Problem
from engine.states import Bools, Floats, Scores, ScoresView, score_histogram

UNIT = (0.0, 1.0)

# A share above 0 and up to 1 in a metric's name: 0.1, .05, 1, 1e-3.
SHARE = r"0?\.[0-9]*[1-9][0-9]*|1(?:\.0+)?|[1-9](?:\.[0-9]+)?[eE]-0*[1-9][0-9]*"

# What is reached to this much is reached: sums of weights differ with the order of the rows.
REACHED = 1e-12

# Into how many equal parts a step is cut where its rows are taken as evenly mixed.
_PARTS = 16


def positive_scores(problem: Problem) -> tuple[Scores]:
    """The score histogram of the positive class against the other."""
    return (Scores(problem.positive),)


def steps(view: ScoresView) -> tuple[Floats, Floats]:
    """The smallest and the largest score counted at each of the view's scores: two of [..., score].

    They are that score itself while scores are exact.
    """
    if view.exact:
        return view.scores, view.scores
    alone = view.positive.shape[-2] == 1
    bits = score_histogram.FINE_BITS if alone else score_histogram.COARSE_BITS
    upper = view.scores > 0.5
    near = np.ascontiguousarray(np.where(upper, 1.0 - view.scores, view.scores), np.float64)
    # A step begins where its lowest kept bit is one more. The lower half has it from below.
    beyond = (near.view(np.uint64) + (np.uint64(1) << np.uint64(52 - bits))).view(np.float64)
    low = np.where(upper, np.minimum(np.nextafter(1.0 - beyond, 1.0), view.scores), view.scores)
    high = np.where(upper, view.scores, np.minimum(np.nextafter(beyond, 0.0), 0.5))
    return low, high


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Weights of positives and of negatives above a falling threshold: [replicate, point].

    The first point takes no row and the last all of them.
    """

    hits: Floats
    false: Floats

    @classmethod
    def of(cls, positive: Floats, negative: Floats) -> RocCurve:
        """The curve of weights by ascending score, [replicate, score]."""
        return cls(*(_from_the_top(weights) for weights in (positive, negative)))

    @property
    def recall(self) -> Floats:
        return share(self.hits, self.hits[..., -1:])

    @property
    def false_share(self) -> Floats:
        return share(self.false, self.false[..., -1:])

    @property
    def precision(self) -> Floats:
        return share(self.hits, self.hits + self.false)

    @property
    def one_class(self) -> Bools:
        """Which replicates lack positives or negatives."""
        return np.asarray((self.hits[..., -1] == 0) | (self.false[..., -1] == 0))

    @property
    def no_positives(self) -> Bools:
        return np.asarray(self.hits[..., -1] == 0)


def _from_the_top(weights: Floats) -> Floats:
    """The sums of weights by ascending score from the highest on, first of none."""
    sums = np.zeros((*weights.shape[:-1], weights.shape[-1] + 1))
    np.cumsum(weights[..., ::-1], axis=-1, out=sums[..., 1:])
    return sums


def share(part: Floats, whole: Floats) -> Floats:
    """The quotient, NaN where the whole is 0."""
    some = whole > 0
    if some.all():
        return part / whole
    part, whole, some = np.broadcast_arrays(part, whole, some)
    result: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=some)
    return result


def curve_of(view: ScoresView) -> RocCurve:
    """The view's curve, with the rows of a step tied.

    Replicates on the coarse grid have the rows of a step evenly mixed: what leaps from one end of
    a wide step to the other has no spread that says anything of chance.
    """
    if view.exact or len(view.positive) == 1:
        return RocCurve.of(view.positive, view.negative)
    return RocCurve.of(
        *(np.repeat(x / _PARTS, _PARTS, axis=-1) for x in (view.positive, view.negative))
    )


def best_curve(view: ScoresView) -> RocCurve:
    """The first replicate's curve with the positives of each step above its negatives."""
    return _split(view.negative[..., :1, :], view.positive[..., :1, :])


def worst_curve(view: ScoresView) -> RocCurve:
    """The first replicate's curve with the positives of each step below its negatives."""
    curve = _split(view.positive[..., :1, :], view.negative[..., :1, :])
    return RocCurve(curve.false, curve.hits)


def _split(below: Floats, above: Floats) -> RocCurve:
    nothing = np.zeros_like(below)
    parts = [
        np.stack(pair, axis=-1).reshape(*below.shape[:-1], -1)
        for pair in ((nothing, above), (below, nothing))
    ]
    return RocCurve.of(*parts)


Pick = Callable[[RocCurve], Floats]


def pick_from_curve(pick: Pick, view: ScoresView) -> tuple[Floats, float]:
    """What `pick` makes of the curve, [replicate], and the bound of the first.

    For what is best somewhere on the curve, such as the highest recall at some precision: then the
    ends of the steps are always to be had, and no order gives more than the best.
    """
    values = pick(curve_of(view))
    if view.exact or len(values) > 1:
        return values, 0.0
    gap = abs(float(pick(best_curve(view))[0] - values[0]))
    return values, gap if np.isfinite(gap) else 0.0
