"""How a test of speed is written in a suite, and what is made of what was timed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from engine.core.vocabulary import Cell, MetricValue, ModelTest, Numbers
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates
from engine.kinds.pictures import intervals_by_test
from engine.kinds.questions import Probe, figure
from engine.kinds.setting import Context, Section, Setting
from engine.kinds.speed.pictures import latency_pictures, shown_numbers
from engine.kinds.speed.probe import MEASURES, ROWS, SpeedProbe
from engine.kinds.speed.rules import RATIOS
from engine.metrics import Metric, Slices
from engine.statistics import (
    Mapped,
    QuantileOf,
    Several,
    Share,
    SignedRanks,
    Spread,
    pairs_needed,
)

FigureField = Literal[
    "latency_p50", "latency_p95", "latency_p99", "rows_per_second", "load_time", "size",
    "peak_memory",
]  # fmt: skip
BatchField = Annotated[int, Field(strict=True, ge=1, le=10_000)]
RATIO = "_ratio"
# By how much the same model may be faster in one process than in another: where its code and its
# weights came to lie is drawn once for all the calls of a process. Criterion's noise threshold.
PROCESS_SLACK = 1.01

Estimated = tuple[MetricValue, Spread | None]


class SpeedKind(Kind):
    """What a model costs where it serves: time, and space."""

    key = "speed"
    description = "How fast a model answers, loads, and how much it takes, by itself or in pairs."
    conditions = ("max_ratio", "min_ratio", "max_ms", "max_mb", "min_rate")
    on_slices = False
    is_told_by_name = True

    def keys(self) -> Mapping[str, Any]:
        batch = "The rows of a call; default: 1 for a latency, 100 for a rate and for memory."
        return {
            self.key: (FigureField, Field(description="What is measured.")),
            "batch": (BatchField | None, Field(None, description=batch)),
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        name = test.get(self.key)
        measure = MEASURES.get(name) if isinstance(name, str) else None
        if measure is None:
            return
        given = [key for key in self.conditions if test.get(key) is not None]
        for key in given:
            if key not in measure.conditions:
                fitting = " or ".join(measure.conditions)
                yield (key,), f"found {key} for {name}, expected {fitting}"
        if len(given) > 1:
            yield (given[1],), f"found {given[1]} with {given[0]}, expected one of the two"
        if test.get("batch") is not None and measure.batch is None:
            yield ("batch",), f"found batch for {name}, for which no rows are asked; expected none"

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        name, batch = getattr(file, self.key), file.batch
        compares = any(getattr(file, key) is not None for key in RATIOS)
        asked = {self.key: name} if batch is None else {self.key: name, "batch": batch}
        end = RATIO if compares else MEASURES[name].unit
        return {"metric": f"{name}{end}", "parameters": parameters_text(asked)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(test.parameters)
        return asked

    def title(self, test: ModelTest) -> str:
        name, batch = _figure_and_batch(test)
        of_batch = "" if batch in (None, MEASURES[name].batch) else f" batch {batch}"
        return f"speed {name}{of_batch}"

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        if _compares(test) and setting.baseline is None:
            name, _ = _figure_and_batch(test)
            other = next(key for key in MEASURES[name].conditions if key not in RATIOS)
            yield (
                f"{test.conditions[0].kind} compares with the baseline, and the evaluation has "
                f"none; expected a baseline, or {other}"
            )
        name, served = _figure_and_batch(test)[0], [m.name for m in setting.models if m.is_endpoint]
        if served and name in ("load_time", "size", "peak_memory"):
            yield (
                f"{name} is of a model's files and process, and {', '.join(map(repr, served))} is "
                "served elsewhere; leave it to another evaluation, or ask by the kind endpoint"
            )

    def probe(self, test: ModelTest, setting: Setting) -> Probe:
        name, batch = _figure_and_batch(test)
        size = batch or 1
        # Sizes are compared by what each model's own process says.
        beside = _compares(test) and MEASURES[name].effort is not None
        return SpeedProbe(name, size, beside, max(ROWS, size))

    def metric(self, test: ModelTest) -> Metric:
        measure = MEASURES[_figure_and_batch(test)[0]]
        return figure(
            test.metric, higher_is_better=measure.is_rate, bounds=(0.0, math.inf),
            intervals=measure.effort is not None,
        )  # fmt: skip

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if _compares(test) and context.is_baseline:
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        others: Sequence[Numbers] = [{}] * len(on) if on.baseline is None else on.baseline.answers
        estimated = [
            _estimate(test, answer, other, context.level)
            for answer, other in zip(on.answers, others, strict=True)
        ]
        parts = tuple(
            (np.array([place]), spread)
            for place, (_, spread) in enumerate(estimated)
            if spread is not None
        )
        return SliceEstimates.of_values(
            [value for value, _ in estimated], Several(len(on), parts) if parts else None
        )

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The figures with their intervals, and what they rest on."""
        if not cells:
            return None
        rows = [
            [
                cell.test.name, cell.model.name, cell.test.metric,
                _number_text(cell.measured.value),
                _interval_text(cell.measured),
                cell.measured.detail or "",
            ]
            for cell in cells
        ]  # fmt: skip
        return Section(
            "Speed",
            "Milliseconds, megabytes and rows in a second are those of the machine of the run; "
            "ratios are to the baseline, called in turns with it.",
            ["test", "model", "metric", "value", "interval", "measured"],
            rows,
            pictures=[
                *latency_pictures([(*_figure_and_batch(cell.test), cell) for cell in cells]),
                *intervals_by_test([cell for cell in cells if _compares(cell.test)], _axis_text),
            ],
        )


def _figure_and_batch(test: ModelTest) -> tuple[str, int | None]:
    """The figure, and the rows of a call where there are calls."""
    asked = json.loads(test.parameters)
    name = str(asked[SpeedKind.key])
    return name, asked.get("batch", MEASURES[name].batch)


def _axis_text(test: ModelTest) -> str:
    return f"{_figure_and_batch(test)[0]}, times the baseline's"


def _compares(test: ModelTest) -> bool:
    return test.metric.endswith(RATIO)


def _estimate(test: ModelTest, answer: Numbers, other: Numbers, level: float) -> Estimated:
    name, batch = _figure_and_batch(test)
    measure = MEASURES[name]
    if measure.effort is None:
        return _of_point(test, answer, other), None
    if not answer.get("calls"):
        return MetricValue(None, "no call ended in time"), None
    if _compares(test):
        return estimate_pairs(answer, measure.effort.share, measure.is_rate, level)
    rows = (batch or 1) if measure.is_rate else 0
    return _of_calls(answer, measure.effort.share, rows, level)


def _of_point(test: ModelTest, answer: Numbers, other: Numbers) -> MetricValue:
    """A figure that is measured once in a process."""
    value = answer["value"]
    if value is None:
        return MetricValue(None, "the system does not tell")
    if not _compares(test):
        return MetricValue(value, detail="measured once, in a fresh process on this machine")
    base = other.get("value")
    if not base:
        return MetricValue(None, "the baseline has no figure")
    return MetricValue(value / base, detail=f"{value:.4g} MB beside {base:.4g} MB of the baseline")


def estimate_pairs(answer: Numbers, share: float, is_rate: bool, level: float) -> Estimated:
    """The ratio of two models that were called in turns."""
    logs = SignedRanks(_numbers(answer, "ratio "), math.log(PROCESS_SLACK))
    pairs, needed = len(logs.differences), pairs_needed(level)
    if not pairs:
        return MetricValue(None, "no pair of calls ended in time"), None
    ratio = Mapped(logs, _exp, _log)
    if is_rate:
        ratio = Mapped(logs, _inverse_exp, _minus_log, rising=False)
    named = f"p{100 * share:.0f}"
    told = (
        f"{named} {_ms(answer[named])} beside {_ms(answer['baseline'])} of the baseline, in "
        f"{pairs:,} pairs of calls in random order; first call {_ms(answer['cold'])}"
    )
    if pairs < needed:
        told += f"; expected {needed:,} pairs or more for an interval"
    return _with_ends(ratio.function(logs.middle), ratio, level, told, answer), ratio


def _of_calls(answer: Numbers, share: float, rows: int, level: float) -> Estimated:
    """A quantile of the times of calls; with `rows`, so many in a call, the rate at that time."""
    times = np.array(_numbers(answer, "call "))
    values = np.sort(1000 * rows / times if rows else times)
    count = len(values)
    up_to = np.arange(1, count + 1) / count
    spread = QuantileOf(Share(share * count, float(count)), values, values, up_to)
    value = float(np.quantile(values, share, method="inverted_cdf"))
    warm = ", ".join(f"{name} {_ms(answer[name])}" for name in ("p50", "p95", "p99"))
    told = f"on this machine: {count:,} warm calls, {warm}; first call {_ms(answer['cold'])}"
    if count < calls_needed(share, level):
        told += f"; expected {calls_needed(share, level):,} calls or more for a bound"
    return _with_ends(value, spread, level, told, answer), spread


def calls_needed(share: float, level: float) -> int:
    """The fewest calls of which the slowest bounds a quantile from above.

    >>> calls_needed(0.95, 0.95), calls_needed(0.99, 0.95)
    (59, 299)
    """
    return math.ceil(math.log(1 - level) / math.log(share))


def _with_ends(
    value: float, spread: Spread, level: float, told: str, answer: Numbers
) -> MetricValue:
    """A value with its interval; an end that is not known is null."""
    low, high = (float(end) for end in spread.interval(level))
    known_low = low if math.isfinite(low) and low > 0 else None
    return MetricValue(
        value,
        ci_low=known_low,
        ci_high=high if math.isfinite(high) else None,
        detail=told,
        numbers=shown_numbers(answer),
    )


def _numbers(answer: Numbers, stem: str) -> tuple[float, ...]:
    return tuple(v for name, v in answer.items() if name.startswith(stem) and v is not None)


def _exp(log: float) -> float:
    return math.exp(log) if log < 700 else math.inf


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf


def _inverse_exp(log: float) -> float:
    return _exp(-log)


def _minus_log(ratio: float) -> float:
    return -_log(ratio)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def _interval_text(measured: MetricValue) -> str:
    if measured.ci_low is None:
        return "–"
    return f"{_number_text(measured.ci_low)} to {_number_text(measured.ci_high)}"


def _number_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


KINDS.add("speed", SpeedKind())
