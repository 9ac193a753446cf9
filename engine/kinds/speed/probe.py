"""What can be asked of a model's speed and size, and the probe that measures it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.kinds.questions import Predictor, Probe
from engine.kinds.speed.timing import Call, Effort, Timed, seen_quantile, time_alone, time_pairs

SEED = 20_261_129
ROWS = 100
# Distinct batches, which are asked one after the other, again and again.
BATCHES = 50
MEGABYTE = 1_000_000
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# Calls before the memory is looked at.
PEAK_CALLS = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure: what it is in, which conditions fit it, and how much is measured for it.

    Attributes:
        unit: the end of its metric's name where it is absolute.
        conditions: the keys of its conditions.
        effort: how many calls are timed, and which quantile of their times it is; None for none.
        batch: the rows of a call where a test does not say; None where it must not.
        is_rate: whether it is of rows in a second: more is better.
    """

    unit: str
    conditions: tuple[str, ...]
    effort: Effort | None = None
    batch: int | None = None
    is_rate: bool = False


TIMES, SIZES = ("max_ms", "max_ratio"), ("max_mb", "max_ratio")
RATES = ("min_rate", "min_ratio")
MEASURES: dict[str, Measure] = {
    "latency_p50": Measure("_ms", TIMES, Effort(0.5, 200, 60, 5), 1),
    "latency_p95": Measure("_ms", TIMES, Effort(0.95, 400, 60, 20), 1),
    "latency_p99": Measure("_ms", TIMES, Effort(0.99, 1000, 40, 100), 1),
    "rows_per_second": Measure("", RATES, Effort(0.5, 200, 60, 5), 100, is_rate=True),
    "load_time": Measure("_ms", ("max_ms",)),
    "size": Measure("_mb", SIZES),
    "peak_memory": Measure("_mb", SIZES, batch=100),
}


@dataclass(frozen=True)
class SpeedProbe(Probe):
    """Measures one figure, in a fresh process, while nothing else of the run is under way."""

    figure: str
    batch: int = 1
    beside_baseline: bool = False
    rows: int = ROWS
    keeps = False
    alone = True

    @property
    def key(self) -> str:
        return f"speed {self.figure} {self.batch} {self.beside_baseline}, 1"

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        effort = MEASURES[self.figure].effort
        if effort is not None:
            if self.beside_baseline and baseline is None:
                return {"calls": 0.0}
            return self._time(model, batch, baseline, effort)
        if self.figure == "load_time":
            return {"value": model.load_seconds * 1000}
        if self.figure == "size":
            return {"value": folder_bytes(model.folder) / MEGABYTE}
        for some in batches_of(batch, self.batch)[:PEAK_CALLS]:
            model.predict(some)
        peak = peak_bytes()
        return {"value": None if peak is None else peak / MEGABYTE}

    def _time(
        self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None, effort: Effort
    ) -> Numbers:
        batches, clock = batches_of(batch, self.batch), time.perf_counter_ns
        ours = _calls(model, batches)
        if baseline is None:
            return timed_numbers(time_alone(ours, effort, clock), effort.share)
        timed = time_pairs(ours, _calls(baseline, batches), effort, clock, SEED)
        return timed_numbers(timed, effort.share)


def timed_numbers(timed: Timed, share: float) -> dict[str, float | None]:
    """What was timed, as an answer: times in milliseconds, and the ratios of pairs."""
    numbers: dict[str, float | None] = {
        "calls": float(len(timed.warm)),
        "cold": 1000 * timed.cold,
    }
    if not timed.warm:
        return numbers
    for name, quantile in QUANTILES.items():
        numbers[name] = 1000 * seen_quantile(timed.warm, quantile)
    if timed.baseline:
        numbers["baseline"] = 1000 * seen_quantile(timed.baseline, share)
        for name, quantile in QUANTILES.items():
            numbers[f"baseline {name}"] = 1000 * seen_quantile(timed.baseline, quantile)
        numbers |= {f"ratio {place}": ratio for place, ratio in enumerate(timed.ratios)}
    else:
        numbers |= {f"call {place}": 1000 * time for place, time in enumerate(timed.warm)}
    return numbers


def batches_of(sample: pa.RecordBatch, rows: int) -> list[pa.RecordBatch]:
    """Batches of so many rows, all of the sample in turn; rows stand twice where there are few."""
    count = min(BATCHES, max(1, math.ceil(sample.num_rows / rows)))
    places = np.arange(count * rows) % sample.num_rows
    table = sample.take(pa.array(places))
    return [table.slice(first, rows) for first in range(0, count * rows, rows)]


def folder_bytes(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak_bytes() -> int | None:
    """The most memory that this process has had; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):  # not on Linux
        return None


def _calls(model: Predictor, batches: Sequence[pa.RecordBatch]) -> Call:
    return lambda number: model.predict(batches[number % len(batches)])
