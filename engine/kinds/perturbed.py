"""What kinds of tests have in common that try a model behind perturbations of its input."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import Any

import numpy as np

from engine.core.registry import did_you_mean
from engine.core.vocabulary import MetricValue, ModelTest, ModelVersion, Variant
from engine.fields.wording import suggestion
from engine.kinds.base import Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.perturbations import PERTURBATIONS, Perturbation, variant_stem
from engine.kinds.setting import ColumnValues, Context, Ranges, Setting
from engine.metrics import Metric, Slices
from engine.states import Family, PairFamily

# Steps of a spread in a doubling: with all its digits a night's few new rows would make all that
# was kept of yesterday's noise useless.
STEPS = 4


# The key of a test of several perturbations, and of the variant that has the worst of each row.
WORST_CASE = "worst_case"
LOST_CLEAN = "the clean model failed, with whose predictions these are compared"


# A share that sums of weights can be off by.
ROUNDING = 1e-9


class Need(StrEnum):
    """What must be known of a column before the scan; the key under which a test has it."""

    SPREAD = "spread"
    VALUES = "values"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class PerturbationParts:
    """The perturbation of a test, what is asked of it, and all that its parameters say."""

    perturbation: Perturbation
    asked: Any
    parameters: dict[str, Any]

    @property
    def columns(self) -> Sequence[str]:
        """The columns that are changed."""
        return self.perturbation.columns(self.asked)

    @property
    def stem(self) -> str:
        """What it is called without its severity, `noise(f0,f1)`."""
        return variant_stem(self.perturbation.key, self.columns)

    @property
    def need(self) -> Need:
        """What must be known of its columns, where anything must."""
        return Need.VALUES if self.perturbation.needs_values else Need.SPREAD


def perturbation_parts(test: ModelTest) -> PerturbationParts:
    """The perturbation that a test's parameters name; of several the first."""
    return all_parts(test)[0]


def all_parts(test: ModelTest) -> Sequence[PerturbationParts]:
    """The perturbations that a test's parameters name: one, or those of a worst case."""
    parameters: dict[str, Any] = json.loads(test.parameters)
    known, among = PERTURBATIONS.names(), parameters.get(WORST_CASE, parameters)
    return [
        PerturbationParts(PERTURBATIONS.get(key), asked, parameters)
        for key, asked in among.items()
        if key in known
    ]


def changed_columns(test: ModelTest) -> Sequence[str]:
    """The columns that a test's perturbations change."""
    return list(dict.fromkeys(name for parts in all_parts(test) for name in parts.columns))


def variants_stem(test: ModelTest) -> str:
    """What a test's variants are called without their severity."""
    stems = ",".join(parts.stem for parts in all_parts(test))
    is_worst = WORST_CASE in json.loads(test.parameters)
    return f"{WORST_CASE}({stems})" if is_worst else stems


def unpinned_parameters(test: ModelTest) -> dict[str, Any]:
    """A test's parameters without what was found in the data."""
    parameters: dict[str, Any] = json.loads(test.parameters)
    return {key: value for key, value in parameters.items() if key not in set(Need)}


def perturbation_mistakes(
    kind: str, asked: Any, known: Sequence[str], others: Sequence[str] = ()
) -> Mistakes:
    """That a test of a suite names no perturbation, or more than one."""
    if not isinstance(asked, Mapping):
        return
    given = [name for name in known if asked.get(name) is not None]
    if len(given) != 1 and set(asked) <= {*known, *others}:
        words = " and ".join(given) or "no perturbation"
        yield (kind,), f"found {words}, expected exactly {suggestion('', known)}"


def perturbation_misfits(test: ModelTest, setting: Setting) -> Iterator[str]:
    """Why a perturbation cannot be done to these columns, or would tell of hidden ones."""
    read = {name for model in setting.models for name in model.features}
    for parts in all_parts(test):
        pinned = parts.perturbation.pinned_columns(parts.asked)
        for name in parts.columns:
            yield from _misfit_column(name, read, setting, parts.need if name in pinned else None)
        yield from parts.perturbation.misfits(parts.asked, setting)
    for name in known_facts(test, Need.SPREAD):
        if not known_facts(test, Need.SPREAD)[name] and name in read and name in setting.types:
            yield (
                f"the spread of the column {name!r} is not known: its numbers are all the "
                "same, fewer than two or too large; expected a column whose values differ"
            )
    for name, values in known_facts(test, Need.VALUES).items():
        if len(values) < 2 and name in read and name in setting.types:
            yield (
                f"the column {name!r} has {len(values)} value{'s' * (len(values) != 1)} that at "
                "least one in a thousand rows has; expected two or more"
            )


def _misfit_column(name: str, read: set[str], setting: Setting, need: Need | None) -> Iterator[str]:
    if name not in setting.types:
        yield f"the dataset has no column {name!r}{did_you_mean(name, setting.types)}"
    elif name in setting.columns.sensitive and need is not None:
        what = "spread" if need is Need.SPREAD else "values"
        yield (
            f"results would show the {what} of {name!r}, which the suite calls sensitive; expected "
            "a column that is not"
        )
    elif name not in read:
        hint = did_you_mean(name, read)
        yield f"no model reads the column {name!r}, so to perturb it changes nothing{hint}"


def columns_by_need(test: ModelTest, need: Need) -> Sequence[str]:
    """The columns of which this must be known before the scan."""
    pinned = (
        parts.perturbation.pinned_columns(parts.asked)
        for parts in all_parts(test)
        if parts.need is need
    )
    return list(dict.fromkeys(chain.from_iterable(pinned)))


def known_facts(test: ModelTest, need: Need) -> Mapping[str, Any]:
    """What a pinned test has of its columns."""
    facts: dict[str, Any] = json.loads(test.parameters).get(need.value, {})
    return facts


def pin_spreads(test: ModelTest, spreads: Mapping[str, float | None]) -> ModelTest:
    """The test with the spreads of its columns, each at the nearest step."""
    names = columns_by_need(test, Need.SPREAD)
    known = {name: spreads.get(name) for name in names}
    return _pin(test, Need.SPREAD, {name: size and _step(size) for name, size in known.items()})


def pin_column_values(test: ModelTest, values: Mapping[str, ColumnValues]) -> ModelTest:
    """The test with the values of its columns."""
    names = columns_by_need(test, Need.VALUES)
    return _pin(test, Need.VALUES, {name: values.get(name, []) for name in names})


def ranged_columns(test: ModelTest) -> Sequence[str]:
    """The columns whose least and greatest number must be known before the scan."""
    names = (p.perturbation.pinned_columns(p.asked) for p in _ranged_parts(test))
    return list(dict.fromkeys(chain.from_iterable(names)))


def _ranged_parts(test: ModelTest) -> Iterator[PerturbationParts]:
    return (parts for parts in all_parts(test) if parts.perturbation.stays_in_range)


def pin_column_ranges(test: ModelTest, ranges: Ranges) -> ModelTest:
    """The test with the ranges of its columns, rounded outwards to powers of two.

    So 0 and 1 stay ends, and a night's greatest number so far mostly changes nothing.
    """
    ends = {name: ranges.get(name) for name in ranged_columns(test)}
    known = {
        name: [_outwards(low, down=True), _outwards(high, down=False)]
        for name, (low, high) in ((name, pair) for name, pair in ends.items() if pair is not None)
    }
    return _pin(test, Need.RANGE, known)


def _outwards(number: float, *, down: bool) -> float:
    """The next power of two, or 0, that is no nearer to the middle of the column."""
    if number == 0:
        return 0.0
    mantissa, exponent = math.frexp(abs(number))
    smaller = (number > 0) == down
    # Of 0.5 * 2 ** exponent both are the number itself.
    power = exponent - 1 if smaller or mantissa == 0.5 else exponent
    return math.copysign(2.0 ** min(power, 1023), number)


def _pin(test: ModelTest, need: Need, facts: Mapping[str, Any]) -> ModelTest:
    if not facts:
        return test
    parameters = {**json.loads(test.parameters), need.value: facts}
    return replace(test, parameters=parameters_text(parameters))


def _step(spread: float) -> float:
    """The nearest step to a spread."""
    return float(f"{2 ** (round(STEPS * math.log2(spread)) / STEPS):.6g}")


def make_variant(test: ModelTest, severity: int) -> Variant:
    """The variant of a pinned test at a severity."""
    parts = perturbation_parts(test)
    return _variant(parts, test, severity)


def _variant(parts: PerturbationParts, test: ModelTest, severity: int) -> Variant:
    facts, ranges = known_facts(test, parts.need), known_facts(test, Need.RANGE)
    own = {name: ranges[name] for name in parts.columns if name in ranges}
    return parts.perturbation.variant(parts.asked, severity, facts, own)


def make_worst_case(test: ModelTest, severity: int, severities: Sequence[int]) -> Variant:
    """The variant that has of each row the worst prediction, up to a severity."""
    members = tuple(
        _variant(parts, test, graded)
        for graded in severities
        if graded <= severity
        for parts in all_parts(test)
    )
    return Variant(f"{variants_stem(test)}@{severity}", WORST_CASE, "{}", members)


def estimate_pairs(metric: Metric, on: Slices, context: Context) -> SliceEstimates:
    """The figures of a metric that compares a variant with the same model's clean predictions."""
    if on.baseline is None or not context.compares:
        return SliceEstimates.repeat_failure(len(on), LOST_CLEAN)
    if any(family.key not in on.families for family in metric.needs(context.problem)):
        # Of the model as it is: nothing was changed.
        return SliceEstimates.repeat_value(len(on), MetricValue(None, "unchanged"))
    return estimate_metric(metric, context.problem, on, level=context.level, alone=True)


def tell_unchanged(
    estimates: SliceEstimates, on: Slices, family: Family | PairFamily, *, words: str
) -> SliceEstimates:
    """The figures of slices, with the share of their rows that the variant left as they were.

    Args:
        estimates: the figures.
        on: the slices that they are of.
        family: a family of the rows that were changed.
        words: what is said of the others.
    """
    if family.key not in on.families:
        return estimates
    with np.errstate(all="ignore"):
        left = 1 - on.view(family.key).weight[:, 0] / on.weight
    values = [
        replace(value, detail=f"{share:.1%} {words}")
        if value.value is not None and share > ROUNDING
        else value
        for value, share in zip(estimates.values, left.tolist(), strict=True)
    ]
    return replace(estimates, values=values)


def untouched_note(test: ModelTest, model: ModelVersion) -> str:
    """That a model reads none of the columns that are changed; "" where it reads one."""
    if set(model.features) & set(changed_columns(test)):
        return ""
    return "the model reads none of the perturbed columns: nothing was changed for it"
