"""Fairness: how far a model's rates differ between the groups of a column.

A fairness metric is a metric like the others (it has a name, a direction, states it needs), but its
value comes from the states of several slices, one for each group: `measure_groups` instead of
`Metric.value`. Each rate that it compares is a metric of its own, a share of rows.

References: fairlearn's `demographic_parity_difference` and its kin with `between_groups` and
`worst_case`, and `MetricFrame.group_min`; where a group has no rate fairlearn leaves it out or
counts it 0, and this module says which group it is and gives no number. `average_odds_difference`
is the mean over two rates of the largest less the smallest: fairlearn's `equalized_odds_difference`
with `agg="mean"`, and of two groups AIF360's `average_abs_odds_difference`; AIF360's own
`average_odds_difference` has signs, so that gaps in opposite directions cancel, and a privileged
group. Sources of the intervals and of the debiased difference: `engine.statistics.disparity` and
`engine.statistics.extremes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NoReturn

import numpy as np

from engine.core.vocabulary import MetricValue
from engine.errors import InputError
from engine.metrics.base import BINARY, METRICS, Metric, Problem
from engine.metrics.inference.intervals import spread_of
from engine.metrics.rates import UNIT
from engine.metrics.slices import Slices
from engine.states import Family, Floats, PairFamily
from engine.statistics import Share, Spread
from engine.statistics.disparity import (
    AverageDifference,
    LargestDifference,
    Shares,
    SmallestRatio,
)
from engine.statistics.extremes import ExtremeShare

# A group whose rows are all of one cluster says next to nothing of its true rate.
NEXT_TO_NO_ROWS = 1e-9
NO_ROWS = "no labelled rows"
# What a group lacks that has no rate at all, by the reason.
LACKS = {"empty": NO_ROWS, "zero_weight": "all weights are 0"}
# So many undefined groups are named, of the others their number.
NAMED = 5


class How(StrEnum):
    """What is made of the rates of the groups.

    Of several rates the most unequal one counts, or with AVERAGE all alike. MINIMUM and MAXIMUM
    are the rate of one group, and have a single rate.
    """

    DIFFERENCE = "difference"
    RATIO = "ratio"
    DEBIASED = "debiased"
    AVERAGE = "average"
    AVERAGE_DEBIASED = "average_debiased"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"

    @property
    def is_extreme(self) -> bool:
        """Whether it is the rate of a single group."""
        return self in (How.MINIMUM, How.MAXIMUM)

    @property
    def is_average(self) -> bool:
        """Whether it is a mean over several rates."""
        return self in (How.AVERAGE, How.AVERAGE_DEBIASED)


@dataclass(frozen=True, slots=True)
class ComparedRate:
    """A share of rows that groups are compared by.

    `words` is the rate as it stands in sentences, `lacks` what a group lacks that has none.
    """

    metric: Metric
    words: str
    lacks: str


@dataclass(frozen=True, slots=True)
class Grouped:
    """How a fairness metric is made of the rates of groups."""

    rates: tuple[ComparedRate, ...]
    how: How


@dataclass(frozen=True, slots=True)
class GroupedValue:
    """A fairness metric with what is known of its true value; no spread where it is undefined.

    The value's `detail` names the groups: those without a rate, or the two that differ most.
    """

    value: MetricValue
    spread: Spread | None = None


# How each fairness metric in `METRICS` is made of groups, by its name.
GROUPED: dict[str, Grouped] = {}


def fairness_metric(
    name: str, rates: Sequence[ComparedRate], how: How, *, aliases: Sequence[str] = (), **more: Any
) -> Metric:
    """Registers the comparison of rates between groups as the metric `name`.

    `more` are fields of `Metric`. The metrics of the rates must be shares of rows.
    """

    def needs(problem: Problem) -> tuple[Family | PairFamily, ...]:
        families = [family for rate in rates for family in rate.metric.needs(problem)]
        return tuple({family.key: family for family in families}.values())

    function = partial(_refuse_plain, name)
    higher = how in (How.RATIO, How.MINIMUM)
    about: dict[str, Any] = {"higher_is_better": higher, "bounds": UNIT, **more}
    entry = Metric(name, BINARY, needs, function, **about)
    METRICS.add(name, entry, aliases=aliases)
    GROUPED[name] = Grouped(tuple(rates), how)
    return entry


def _refuse_plain(name: str, problem: Problem, *views: object) -> NoReturn:
    raise InputError(
        f"{name} compares the groups of a column; name the column in its test, as in `group: sex`"
    )


def measure_groups(name: str, problem: Problem, groups: Mapping[str, Slices]) -> GroupedValue:
    """A fairness metric of one model on one slice, from the states of the slice's groups.

    Undefined, the first that holds: `nan_input`, a group has unusable predictions; `one_group`,
    fewer than two groups have rows (where the worst group counts one is enough, and none is
    `empty`); `undefined_groups`, a group has no rate; `zero_rate`, a rate is 0 in all groups and
    has no ratio. Groups without rows do not count.

    Args:
        name: the metric's name or alias.
        problem: what is predicted.
        groups: the states of each group by its name as it is shown, `sex=f` or `sex=<null>`.

    Raises:
        InputError: when no fairness metric has that name, or a rate is no share of rows.
    """
    grouped = GROUPED.get(METRICS.canonical(name))
    if grouped is None:
        raise InputError(f"{name!r} is no fairness metric; those are {', '.join(sorted(GROUPED))}")
    present = {
        group: on for group, on in groups.items() if on.counts[0].n + on.counts[0].null_labels > 0
    }
    reason, detail = _reason(grouped, problem, present)
    if reason is not None:
        return GroupedValue(MetricValue(None, reason, detail=detail))
    kinds = tuple(_shares(rate, problem, present) for rate in grouped.rates)
    value, detail = _compare(grouped, problem, present)
    spread = _spread(grouped.how, kinds)
    if grouped.how in (How.DEBIASED, How.AVERAGE_DEBIASED):
        assert isinstance(spread, LargestDifference | AverageDifference), "a difference has noise"
        value, detail = spread.debiased_value, f"{value:.4g} with its noise; {detail}"
    return GroupedValue(MetricValue(value, detail=detail), spread)


def _spread(how: How, kinds: tuple[Shares, ...]) -> Spread:
    """What is known of what is made of rates, from each rate of the groups."""
    if how is How.RATIO:
        return SmallestRatio(kinds)
    if how.is_average:
        return AverageDifference(kinds)
    if how.is_extreme:
        (rate,) = kinds
        return ExtremeShare(Share(rate.hits, rate.trials, rate.df), how is How.MAXIMUM)
    return LargestDifference(kinds)


def _reason(
    grouped: Grouped, problem: Problem, groups: Mapping[str, Slices]
) -> tuple[str | None, str | None]:
    """Why there is no value, and for which groups."""
    bad = [group for group, on in groups.items() if on.counts[0].bad_scores]
    if bad:
        return "nan_input", f"unusable predictions for {_group_names(bad)}"
    if grouped.how.is_extreme and not groups:
        return "empty", "no group has rows"
    if len(groups) < 2 and not grouped.how.is_extreme:
        why = f"all rows are of {next(iter(groups))}" if groups else "no group has rows"
        return "one_group", f"{why}; at least two groups are compared"
    lacking = []
    for rate in grouped.rates:
        by_words: dict[str, list[str]] = {}
        for group, on in groups.items():
            reason = rate.metric.value(problem, on).reason
            if reason is not None:
                by_words.setdefault(LACKS.get(reason, rate.lacks), []).append(group)
        lacking += [
            f"{rate.words} is undefined for {_group_names(names)} ({words})"
            for words, names in by_words.items()
        ]
    if lacking:
        return "undefined_groups", "; ".join(lacking)
    if grouped.how is How.RATIO:
        zero = [
            compared_rate.words
            for compared_rate in grouped.rates
            if not _values(compared_rate, problem, groups).any()
        ]
        if zero:
            return "zero_rate", f"{' and '.join(zero)} is 0 in all groups"
    return None, None


def _group_names(groups: Sequence[str]) -> str:
    more = len(groups) - NAMED
    return ", ".join(groups[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _values(rate: ComparedRate, problem: Problem, groups: Mapping[str, Slices]) -> Floats:
    """The rate of each group."""
    return np.array([rate.metric.value(problem, on).value for on in groups.values()], np.float64)


def _compare(grouped: Grouped, problem: Problem, groups: Mapping[str, Slices]) -> tuple[float, str]:
    """What is made of the groups' rates, and the groups between which they lie."""
    figures = []
    names = list(groups)
    for rate in grouped.rates:
        values = _values(rate, problem, groups)
        low, high = int(values.argmin()), int(values.argmax())
        least, most = float(values[low]), float(values[high])
        detail = (
            f"{rate.words} from {least:.4g} for {names[low]} to {most:.4g} for {names[high]}"
            if least < most
            else f"{rate.words} is {least:.4g} in all groups"
        )
        figures.append((_figure(grouped.how, least, most), detail))
    if grouped.how.is_average:
        return sum(gap for gap, _ in figures) / len(figures), "; ".join(d for _, d in figures)
    worst = min if grouped.how is How.RATIO else max
    return worst(figures, key=lambda pair: pair[0])


def _figure(how: How, least: float, most: float) -> float:
    """What is made of the smallest and the largest rate of the groups."""
    if how.is_extreme:
        return least if how is How.MINIMUM else most
    return least / most if how is How.RATIO else most - least


def _shares(rate: ComparedRate, problem: Problem, groups: Mapping[str, Slices]) -> Shares:
    """The rate of each group in effective rows."""
    shares = []
    for on in groups.values():
        spread = spread_of(rate.metric, problem, on)
        if spread is None:
            value = rate.metric.value(problem, on).value or 0.0
            spread = Share(value * NEXT_TO_NO_ROWS, NEXT_TO_NO_ROWS)
        if not isinstance(spread, Share):
            raise InputError(f"{rate.metric.name} is no share of rows; groups cannot be compared")
        shares.append(spread)
    return Shares.of(shares)


SELECTION_RATE = ComparedRate(METRICS.get("selection_rate"), "selection rate", NO_ROWS)
FALSE_POSITIVE_RATE = ComparedRate(METRICS.get("fpr"), "false positive rate", "no negative rows")
RECALL = ComparedRate(METRICS.get("recall"), "recall", "no positive rows")
PRECISION = ComparedRate(METRICS.get("precision"), "precision", "no rows predicted positive")
ACCURACY = ComparedRate(METRICS.get("accuracy"), "accuracy", NO_ROWS)
SPECIFICITY = ComparedRate(METRICS.get("specificity"), "specificity", "no negative rows")
FALSE_NEGATIVE_RATE = ComparedRate(METRICS.get("fnr"), "false negative rate", "no positive rows")

_FAMILIES: tuple[tuple[str, tuple[ComparedRate, ...], str], ...] = (
    ("demographic_parity", (SELECTION_RATE,), "the selection rates"),
    ("equal_opportunity", (RECALL,), "the recalls"),
    ("equalized_odds", (RECALL, FALSE_POSITIVE_RATE), "the recalls or the false positive rates"),
    ("predictive_parity", (PRECISION,), "the precisions"),
    ("accuracy_parity", (ACCURACY,), "the accuracies"),
    ("false_positive_rate", (FALSE_POSITIVE_RATE,), "the false positive rates"),
    ("false_negative_rate", (FALSE_NEGATIVE_RATE,), "the false negative rates"),
)
_SUMMARIES = {
    How.DIFFERENCE: ("difference", "The largest less the smallest of {of} of the groups."),
    How.RATIO: ("ratio", "The smallest over the largest of {of} of the groups."),
    How.DEBIASED: (
        "difference_debiased",
        "The largest less the smallest of {of} of the groups, freed of the noise.",
    ),
}
_ALIASES = {
    "demographic_parity_ratio": ["disparate_impact"],
    "average_odds_difference": ["average_abs_odds_difference"],
    **{
        f"false_{kind}_rate_{end}": [f"{short}_{end}"]
        for kind, short in (("positive", "fpr"), ("negative", "fnr"))
        for end, _ in _SUMMARIES.values()
    },
}
# The rate of the group that is worst off, and what else it is called.
_EXTREMES: tuple[tuple[str, ComparedRate, How, tuple[str, ...]], ...] = (
    ("accuracy_group_min", ACCURACY, How.MINIMUM, ("accuracy_score_group_min",)),
    ("recall_group_min", RECALL, How.MINIMUM, ("recall_score_group_min",)),
    ("precision_group_min", PRECISION, How.MINIMUM, ("precision_score_group_min",)),
    ("selection_rate_group_min", SELECTION_RATE, How.MINIMUM, ()),
    ("specificity_group_min", SPECIFICITY, How.MINIMUM, ("true_negative_rate_group_min",)),
    ("fpr_group_max", FALSE_POSITIVE_RATE, How.MAXIMUM, ("false_positive_rate_group_max",)),
    ("fnr_group_max", FALSE_NEGATIVE_RATE, How.MAXIMUM, ("false_negative_rate_group_max",)),
)


def _register() -> None:
    for stem, rates, phrase in _FAMILIES:
        for how, (end, summary) in _SUMMARIES.items():
            name, words = f"{stem}_{end}", summary.format(of=phrase)
            fairness_metric(name, rates, how, aliases=_ALIASES.get(name, ()), summary=words)
    both = (FALSE_POSITIVE_RATE, RECALL)
    gaps = "The mean of the gaps between the groups' false positive rates and between their recalls"
    for name, how, end in (
        ("average_odds_difference", How.AVERAGE, ""),
        ("average_odds_difference_debiased", How.AVERAGE_DEBIASED, ", freed of the noise"),
    ):
        fairness_metric(name, both, how, aliases=_ALIASES.get(name, ()), summary=f"{gaps}{end}.")
    for name, rate, how, aliases in _EXTREMES:
        which = "smallest" if how is How.MINIMUM else "largest"
        summary = f"The {which} {rate.words} of a group."
        fairness_metric(name, [rate], how, aliases=aliases, summary=summary)


_register()
