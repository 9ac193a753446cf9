"""Metrics at a threshold of the positive class's score, and the thresholds that are best.

A row is predicted positive when its score is at least the threshold. All are read from the score
histogram, so a threshold that one dataset chose can be tried on another, and a threshold more
costs no scan. On the grid the rows of the threshold's own step are taken as evenly spread over it,
and the bound is what the step could change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from engine.metrics.base import BINARY, METRICS, Metric, Problem
from engine.metrics.basis import Counted
from engine.metrics.classification import F1_OF_JACCARD
from engine.metrics.roc import scarcest
from engine.metrics.score_grid import (
    REACHED,
    UNIT,
    RocCurve,
    best_curve,
    positive_scores,
    share,
    steps,
)
from engine.metrics.values import Value, ratio
from engine.states import Floats, ScoresView

# A threshold as a number may be written: 0.5, .25, 1e-05, 0.30000000000000004.
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"

# Above all scores: no row is predicted positive.
ABOVE_ALL = float(np.nextafter(1.0, 2.0))


@dataclass(frozen=True, slots=True)
class Taken:
    """Weights of positives and negatives at or above a threshold, and of all: [..., replicate]."""

    hits: Floats
    false: Floats
    positives: Floats
    negatives: Floats

    @classmethod
    def at(cls, view: ScoresView, threshold: float) -> Taken:
        low, high = steps(view)
        width = high - low
        part = np.divide(high - threshold, width, out=np.zeros_like(width), where=width > 0)
        part = np.where(width > 0, np.clip(part, 0.0, 1.0), low >= threshold)
        return cls._of(view, part)

    @classmethod
    def corners(cls, view: ScoresView, threshold: float) -> tuple[Taken, Taken]:
        """The best and the worst that the grid allows of the first replicate.

        Best: of the step that holds the threshold all positives are taken and no negatives.
        """
        low, high = steps(view)
        first = replace(
            view, positive=view.positive[..., :1, :], negative=view.negative[..., :1, :]
        )
        least, most = (mask.astype(np.float64) for mask in (low >= threshold, high >= threshold))
        few, many = cls._of(first, least), cls._of(first, most)
        return replace(many, false=few.false), replace(few, false=many.false)

    @classmethod
    def _of(cls, view: ScoresView, part: Floats) -> Taken:
        taken = part[..., None, :]
        return cls(
            (view.positive * taken).sum(-1),
            (view.negative * taken).sum(-1),
            view.positive.sum(-1),
            view.negative.sum(-1),
        )


@dataclass(frozen=True, slots=True)
class At:
    """A metric at a threshold: hits and misses of which it is the share, and why it has none."""

    parts: Callable[[Taken], tuple[Floats, Floats]]
    undefined: str
    summary: str


AT = {
    "precision": At(
        lambda counts: (counts.hits, counts.false),
        "no_predicted_positive",
        "The precision of the positive class",
    ),
    "recall": At(
        lambda counts: (counts.hits, counts.positives - counts.hits),
        "one_class",
        "The recall of the positive class",
    ),
    "f1": At(
        lambda counts: (counts.hits, counts.positives - counts.hits + counts.false),
        "one_class",
        "The f1 of the positive class",
    ),
    "specificity": At(
        lambda counts: (counts.negatives - counts.false, counts.false),
        "one_class",
        "The share of the negatives that are predicted so",
    ),
    "accuracy": At(
        lambda counts: (
            counts.hits + counts.negatives - counts.false,
            counts.positives - counts.hits + counts.false,
        ),
        "zero_weight",
        "The share of rows whose class was predicted",
    ),
}


def _share_at(name: str, taken: Taken) -> Value:
    hits, misses = AT[name].parts(taken)
    value = ratio(hits, hits + misses, AT[name].undefined)
    # What is left of a class can be a rounding below 0.
    counted = Counted.of_rows(np.maximum(hits[..., 0], 0.0), np.maximum(misses[..., 0], 0.0))
    if name != "f1":
        return replace(value, basis=counted)
    f1 = 2 * value.values / (1 + value.values)
    return replace(value, values=f1, basis=counted, map=F1_OF_JACCARD)


def _at_threshold(name: str, threshold: float, problem: Problem, view: ScoresView) -> Value:
    value = _share_at(name, Taken.at(view, threshold))
    if view.exact:
        return value
    ends = [_share_at(name, taken).values[..., 0] for taken in Taken.corners(view, threshold)]
    gaps = np.abs(np.array(ends) - value.values[..., 0])
    return replace(value, bound=np.where(np.isfinite(gaps), gaps, 0.0).max(axis=0))


def _for_threshold(name: str, threshold: str) -> Metric:
    """The metric `<name>_at_threshold_<threshold>`."""
    return Metric(
        f"{name}_at_threshold_{threshold}",
        BINARY,
        positive_scores,
        partial(_at_threshold, name, float(threshold)),
        needs_scores=True,
        bounds=UNIT,
        many=True,
        summary=f"{AT[name].summary}, where a score of at least {threshold} predicts it.",
    )


Gain = Callable[[Problem, RocCurve], Floats]


def _f1(problem: Problem, curve: RocCurve) -> Floats:
    return 2 * curve.hits / (curve.hits[:, -1:] + curve.hits + curve.false)


def _youden(problem: Problem, curve: RocCurve) -> Floats:
    return curve.recall - curve.false_share


def _less_cost(problem: Problem, curve: RocCurve) -> Floats:
    """Minus the mean cost of a row."""
    yes, no = problem.positive, 1 - problem.positive
    costs = problem.costs
    missed, spared = curve.hits[:, -1:] - curve.hits, curve.false[:, -1:] - curve.false
    total = (
        costs[yes][yes] * curve.hits
        + costs[yes][no] * missed
        + costs[no][yes] * curve.false
        + costs[no][no] * spared
    )
    return -share(total, curve.hits[:, -1:] + curve.false[:, -1:])


def _best(gain: Gain, problem: Problem, view: ScoresView, *, none: bool) -> tuple[Floats, float]:
    """The highest threshold with the largest gain: [replicate], and the first one's bound.

    With `none` it may be one that takes no row. Gains that differ by rounding only are equal.
    """
    low, high = steps(view)
    if len(low) == 0:
        return np.full(len(view.positive), np.nan), 0.0
    # Point i + 1 takes all rows from the low end of the step i from the top.
    falling = np.concatenate([[ABOVE_ALL], low[::-1]])
    tied = RocCurve.of(view.positive, view.negative)
    gains = gain(problem, tied)
    if not none:
        gains = np.where(tied.hits + tied.false > 0, gains, -np.inf)
    most = gains.max(-1, keepdims=True)
    enough = most - REACHED * np.maximum(np.abs(most), 1.0)
    values = falling[(gains >= enough).argmax(-1)]
    if view.exact or len(values) > 1:
        return values, 0.0
    # No threshold within a step gains more than the step's best order does.
    able = gain(problem, best_curve(view))[0, 1::2] >= enough[0]
    ends = np.concatenate([low[::-1][able], high[::-1][able]])
    return values, float(np.abs(ends - values[0]).max(initial=0.0))


def _best_f1(problem: Problem, view: ScoresView) -> Value:
    values, bound = _best(_f1, problem, view, none=False)
    return Value(values, (("one_class", view.positive.sum(-1) == 0),), bound)


def _best_youden(problem: Problem, view: ScoresView) -> Value:
    values, bound = _best(_youden, problem, view, none=False)
    missing = (view.positive.sum(-1) == 0) | (view.negative.sum(-1) == 0)
    return Value(values, (("one_class", missing),), bound, support=scarcest(view))


def _best_cost(problem: Problem, view: ScoresView) -> Value:
    if not problem.costs:
        missing = np.ones(len(view.positive), bool)
        return Value(np.full(len(missing), np.nan), (("no_costs", missing),))
    values, bound = _best(_less_cost, problem, view, none=True)
    nothing = (view.positive + view.negative).sum(-1) == 0
    return Value(values, (("zero_weight", nothing),), bound)


def _register() -> None:
    for name in AT:
        pattern = rf"{name}_at_threshold_(?P<threshold>{_NUMBER})"
        METRICS.add_pattern(pattern, partial(_for_threshold, name))
    for name, function, words in (
        ("f1", _best_f1, "the largest f1 of the positive class"),
        ("youden", _best_youden, "the largest recall + specificity - 1 (Youden 1950)"),
        ("cost", _best_cost, "the lowest mean of the suite's `costs`"),
    ):
        METRICS.add(
            f"best_threshold_{name}",
            Metric(
                f"best_threshold_{name}",
                BINARY,
                positive_scores,
                function,
                higher_is_better=None,
                needs_scores=True,
                bounds=(0.0, ABOVE_ALL),
                # Where a maximum lies hangs on few rows: no jackknife gives its spread.
                intervals=False,
                summary=f"The highest score that, as a threshold, has {words}.",
            ),
        )


_register()
