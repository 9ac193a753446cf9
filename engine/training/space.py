"""The search space of a `model_config.yml`: lists of choices, and ranges for random draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.fields.wording import quote, suggestion

_KEYS = ("min", "max", "log", "step", "int")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where `whole`.

    By `log` their logarithms are uniform; by `step` they are low, low + step, ...
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def steps(self) -> list[Any]:
        """All numbers of a range with a step."""
        assert self.step is not None, "it has a step"
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        # Decimal fractions as they are written: 0.1 + 2 * 0.1 is not 0.3.
        numbers = [float(f"{self.low + index * self.step:.12g}") for index in range(count)]
        return [int(number) for number in numbers] if self.whole else numbers

    def distribution(self) -> Any:
        """What scikit-learn's `ParameterSampler` draws from: a list, or one with `rvs`."""
        # A second and more, which only a random search takes.
        from scipy import stats

        if self.step is not None:
            return self.steps
        if self.whole and self.log:
            return _WholeLog(self.low, self.high)
        if self.whole:
            return stats.randint(int(self.low), int(self.high) + 1)
        if self.log:
            return stats.loguniform(self.low, self.high)
        return stats.uniform(self.low, self.high - self.low)


@dataclass(frozen=True, slots=True)
class _WholeLog:
    """Whole numbers whose logarithms are about uniform: a log-uniform number, rounded."""

    low: float
    high: float

    def rvs(self, random_state: Any = None) -> int:
        ends = np.log([self.low - 0.5, self.high + 0.5])
        number = round(float(np.exp(random_state.uniform(*ends))))
        return int(min(max(number, self.low), self.high))


Space = Mapping[str, list[Any] | Range]


def read_space(params: Mapping[str, Any]) -> Space:
    """The space of a `search.params` without mistakes."""
    return {name: _read_range(v) if isinstance(v, dict) else v for name, v in params.items()}


def _read_range(value: Mapping[str, Any]) -> Range:
    numbers = [value[key] for key in ("min", "max", "step") if value.get(key) is not None]
    whole = value.get("int")
    if whole is None:
        whole = all(isinstance(number, int) for number in numbers)
    return Range(value["min"], value["max"], bool(value.get("log")), value.get("step"), whole)


def value_mistakes(value: Any, *, ranges: bool) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong with the values of one parameter: the keys below it, and the words.

    Args:
        value: what stands in the file.
        ranges: whether the search draws, so that a range will do.
    """
    if isinstance(value, list):
        if not value:
            return [((), "found an empty list, expected one choice or more")]
        twice = next((item for at, item in enumerate(value) if _stands_in(item, value[:at])), _NONE)
        words = f"found {quote(twice)} twice, expected choices that differ"
        return [] if twice is _NONE else [((), words)]
    if not isinstance(value, dict):
        kinds = "a list of choices" + (", or a mapping with min and max" if ranges else "")
        return [((), f"found {quote(value)}, expected {kinds}")]
    if not ranges:
        return [((), "found a range, which is for the methods random and tpe; expected a list")]
    return list(_range_mistakes(value))


_NONE = object()


def _stands_in(item: Any, others: Sequence[Any]) -> bool:
    """Whether an item is among others, where 1, 1.0 and true are three choices."""
    return any(type(item) is type(other) and item == other for other in others)


def _range_mistakes(value: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    unknown = [key for key in value if key not in _KEYS]
    mistakes: list[tuple[tuple[str, ...], str]] = [
        ((key,), f"found the unknown key, expected {suggestion(key, _KEYS)}") for key in unknown
    ]
    mistakes += [((key,), "is missing") for key in ("min", "max") if key not in value]
    for key in ("min", "max", "step"):
        if key in value and not _is_number(value[key]):
            mistakes.append(((key,), f"found {quote(value[key])}, expected a number"))
    for key in ("log", "int"):
        if key in value and not isinstance(value[key], bool):
            mistakes.append(((key,), f"found {quote(value[key])}, expected true or false"))
    return mistakes or _number_mistakes(_read_range(value))


def _number_mistakes(span: Range) -> list[tuple[tuple[str, ...], str]]:
    ends = (span.low, span.high, span.step)
    if span.whole and any(end is not None and end != int(end) for end in ends):
        return [(("int",), "found true beside a fraction, expected whole numbers")]
    if span.low >= span.high:
        return [((), f"found min {span.low} and max {span.high}, expected min below max")]
    if span.log and span.low <= 0:
        return [(("min",), f"found {span.low}, expected more than 0 beside log: true")]
    if span.log and span.step is not None:
        return [(("step",), "found a step beside log: true, expected one of the two")]
    if span.step is not None and not 0 < span.step <= span.high - span.low:
        return [(("step",), f"found {span.step}, expected more than 0, up to max - min")]
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
