"""Calibration in the large and the calibration slope: a logistic refit of the labels.

Cox (1958): the log odds of a row's label are a + b * logit(score). The slope is b, of both fitted
together; below 1 the scores are too extreme. The intercept is a with b held at 1; above 0 the
scores are too low. Scores are clipped to [eps, 1 - eps], as for the log loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.metrics.base import BINARY, Problem, metric
from engine.metrics.score_grid import positive_scores, steps
from engine.metrics.values import Value
from engine.states import Bools, Floats, ScoresView

_EPS = float(np.finfo(np.float64).eps)
_STEPS = 100
# Newton's error after a step is of the order of the square of the step.
_SMALL = 1e-8
# Where chances are next to 0 or 1 the loss is a straight line, and Newton's step without measure.
_FARTHEST = 8.0


def log_odds(scores: Floats) -> Floats:
    """The logit of scores clipped to [eps, 1 - eps]."""
    clipped = np.clip(scores, _EPS, 1 - _EPS)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


@dataclass(frozen=True, slots=True)
class Points:
    """Log odds [score], with the weights of positives and negatives there [replicate, score]."""

    odds: Floats
    positive: Floats
    negative: Floats

    @classmethod
    def of(cls, view: ScoresView) -> Points:
        """Those of a view's scores; a step of the grid has the odds of its middle."""
        low, high = steps(view)
        return cls(log_odds((low + high) / 2), view.positive, view.negative)

    @classmethod
    def at_ends(cls, view: ScoresView, *, positives: Bools, negatives: Bools) -> Points:
        """Those of the first replicate with rows at one end of their step: the upper where true."""
        low, high = (log_odds(scores) for scores in steps(view))
        positive, negative = view.positive[:1], view.negative[:1]
        return cls(
            np.concatenate([np.where(positives, high, low), np.where(negatives, high, low)]),
            np.concatenate([positive, np.zeros_like(negative)], axis=-1),
            np.concatenate([np.zeros_like(positive), negative], axis=-1),
        )

    @property
    def one_class(self) -> Bools:
        return np.asarray((self.positive.sum(-1) == 0) | (self.negative.sum(-1) == 0))

    @property
    def separable(self) -> Bools:
        """Which replicates have a cut with all positives on one side: the refit has no end."""
        (top, bottom), (top_negative, bottom_negative) = (
            (
                np.where(weight > 0, self.odds, -np.inf).max(-1, initial=-np.inf),
                np.where(weight > 0, self.odds, np.inf).min(-1, initial=np.inf),
            )
            for weight in (self.positive, self.negative)
        )
        return np.asarray((top <= bottom_negative) | (top_negative <= bottom))

    def line(self, fit: Fit) -> Floats:
        return np.asarray(fit.a[:, None] + fit.b[:, None] * self.odds)

    def loss(self, fit: Fit) -> Floats:
        """Minus the log-likelihood."""
        line = self.line(fit)
        losses = self.positive * np.logaddexp(0.0, -line) + self.negative * np.logaddexp(0.0, line)
        return np.asarray(losses.sum(-1))


@dataclass(frozen=True, slots=True)
class Fit:
    """The intercept and the slope of a refit, or a step of them: [replicate] each."""

    a: Floats
    b: Floats

    def plus(self, step: Fit) -> Fit:
        return Fit(self.a + step.a, self.b + step.b)

    def where(self, mask: Bools, other: float | Fit) -> Fit:
        """These where the mask is true, else the other."""
        a, b = (other.a, other.b) if isinstance(other, Fit) else (other, other)
        return Fit(np.where(mask, self.a, a), np.where(mask, self.b, b))

    def times(self, factor: Floats) -> Fit:
        return Fit(self.a * factor, self.b * factor)

    def small_beside(self, other: Fit) -> Bools:
        return np.asarray(
            (np.abs(self.a) <= _SMALL * (1 + np.abs(other.a)))
            & (np.abs(self.b) <= _SMALL * (1 + np.abs(other.b)))
        )


def refit(points: Points, *, slope: bool) -> Fit:
    """The fit that makes the labels likeliest, by Newton's steps, halved while they overshoot.

    Without `slope`, b stays 1. NaN where there is no such fit.
    """
    count = len(points.positive)
    fit = Fit(np.zeros(count), np.ones(count))
    none = points.one_class | (points.separable if slope else False)
    done = none.copy()
    loss = points.loss(fit)
    for _ in range(_STEPS):
        step = _newton(points, fit, slope=slope).where(~done, 0.0)
        farthest = np.abs(points.line(step)).max(-1, initial=0.0)
        step = step.times(_FARTHEST / np.maximum(farthest, _FARTHEST))
        for _ in range(_STEPS):
            after = points.loss(fit.plus(step))
            # At the end the loss falls by less than its rounding.
            fine = (after <= loss + 1e-13 * np.abs(loss)) | done
            if fine.all():
                break
            step = step.where(fine, step.times(np.array(0.5)))
        fit, loss = fit.plus(step), after
        done |= step.small_beside(fit)
        if done.all():
            break
    return fit.where(done & ~none, np.nan)


def _newton(points: Points, fit: Fit, *, slope: bool) -> Fit:
    line = points.line(fit)
    # Each by itself: where rows are sure and wrong, 1 - chance is all rounding.
    chance, against = (np.exp(-np.logaddexp(0.0, odds)) for odds in (-line, line))
    rest = points.negative * chance - points.positive * against
    weight = (points.positive + points.negative) * chance * against
    total, center, spread = _moments(points.odds, weight)
    # Of rows that are sure and wrong all but a trace is 1: whole rows cancel by their counts.
    is_wrong = points.negative * (line > 0) - points.positive * (line < 0)
    trace = np.where(line > 0, -points.negative * against, points.negative * chance)
    trace -= np.where(line < 0, -points.positive * chance, points.positive * against)
    excess = is_wrong.sum(-1) + trace.sum(-1)
    if not slope:
        return Fit(-excess / total, np.zeros(len(total)))
    by_b = -(rest * (points.odds - center[:, None])).sum(-1) / spread
    return Fit(-excess / total - center * by_b, by_b)


def _moments(odds: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """The total of the weights, the mean of the log odds, and their squares around it."""
    total = weight.sum(-1)
    center = (weight * odds).sum(-1) / total
    return total, center, (weight * (odds - center[:, None]) ** 2).sum(-1)


@metric(
    "calibration_slope",
    tasks=BINARY,
    needs=positive_scores,
    higher_is_better=None,
    needs_scores=True,
    needs_probabilities=True,
)
def calibration_slope(problem: Problem, view: ScoresView) -> Value:
    """The slope of a logistic refit of the labels on logit(score); 1 is best."""
    points = Points.of(view)
    fit = refit(points, slope=True)
    separable, bound = points.separable, 0.0
    if not view.exact and len(fit.b) == 1 and np.isfinite(fit.b[0]):
        bound = _slope_bound(view, points, fit)
        # Rows of the grid that may be separable have a slope without end.
        separable = separable | np.isnan(bound)
    undefined = (("one_class", points.one_class), ("separable", separable))
    return Value(fit.b, undefined, bound)


def _slope_bound(view: ScoresView, points: Points, fit: Fit) -> float:
    """Twice the gap to the slope with each row at that end of its step which changes it most.

    Which end that is the derivative of the slope says. It is that of the first order, hence twice.
    """
    chance = np.exp(-np.logaddexp(0.0, -points.line(fit)))[0]
    own = chance * (1 - chance)
    _, center, _ = _moments(points.odds, (points.positive + points.negative) * own)
    pull = own * fit.b[0] * (points.odds - center[0])
    up_positive, up_negative = pull - (1 - chance) < 0, pull + chance < 0
    ends = [
        refit(Points.at_ends(view, positives=positives, negatives=negatives), slope=True).b[0]
        for positives, negatives in ((up_positive, up_negative), (~up_positive, ~up_negative))
    ]
    return 2 * float(np.abs(np.array(ends) - fit.b[0]).max())


@metric(
    "calibration_intercept",
    tasks=BINARY,
    needs=positive_scores,
    aliases=["calibration_in_the_large"],
    higher_is_better=None,
    needs_scores=True,
    needs_probabilities=True,
)
def calibration_intercept(problem: Problem, view: ScoresView) -> Value:
    """What logit(score) must be raised by to have the observed share of positives; 0 is best."""
    points = Points.of(view)
    values = refit(points, slope=False).a
    bound = 0.0
    if not view.exact and len(values) == 1 and np.isfinite(values[0]):
        # It falls when any score rises.
        everywhere = np.ones(len(view.scores), bool)
        ends = [
            refit(Points.at_ends(view, positives=high, negatives=high), slope=False).a[0]
            for high in (everywhere, ~everywhere)
        ]
        bound = float(np.abs(np.array(ends) - values[0]).max())
    return Value(values, (("one_class", points.one_class),), bound)
