"""The times of calls side by side: what a report shows of latencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.conditions import Limit
from engine.core.vocabulary import Cell, Numbers
from engine.kinds.pictures import Distribution, Distributions, value_limits
from engine.kinds.speed.probe import MEASURES, QUANTILES

COLD, BASELINE = "cold", "baseline "

Timing = tuple[str, int | None, Cell]


def shown_numbers(answer: Numbers) -> dict[str, float | None]:
    """Of what was timed the numbers that a picture needs, in milliseconds."""
    names = [*QUANTILES, COLD, *(BASELINE + name for name in QUANTILES)]
    return {name: answer[name] for name in names if answer.get(name) is not None}


def latency_pictures(timings: Sequence[Timing]) -> Iterator[Distributions]:
    """For each test the times of calls of all models: figure, batch and cell of each."""
    by_test: dict[str, list[Timing]] = {}
    for timing in timings:
        if timing[1] is not None and _quantiles(timing[2], ""):
            by_test.setdefault(timing[2].test.name, []).append(timing)
    for name, of_test in by_test.items():
        figure, batch, cell = of_test[0]
        rows = "1 row" if batch == 1 else f"{batch:,} rows"
        yield Distributions(
            name,
            f"milliseconds of a call of {rows}",
            [group for _, _, own in of_test for group in _groups(own)],
            dict(_limits(figure, cell)),
        )


def _groups(cell: Cell) -> Iterator[Distribution]:
    """The calls of a model, and those of the baseline that it was called in turns with."""
    numbers = cell.measured.numbers or {}
    cold = numbers.get(COLD)
    first = {} if cold is None else {"first call": cold}
    yield Distribution(cell.model.name, _quantiles(cell, ""), first, cell)
    beside = _quantiles(cell, BASELINE)
    if beside:
        yield Distribution(
            f"{cell.baseline_model or 'the baseline'}, beside {cell.model.name}", beside
        )


def _quantiles(cell: Cell, stem: str) -> Mapping[str, float]:
    numbers = cell.measured.numbers or {}
    known = {name: numbers.get(stem + name) for name in QUANTILES}
    return {name: number for name, number in known.items() if number is not None and number > 0}


def _limits(figure: str, cell: Cell) -> Iterator[tuple[str, Limit]]:
    """The limits of a test that are milliseconds of a call."""
    if MEASURES[figure].unit == "_ms" and cell.test.metric.endswith("_ms"):
        for limit in value_limits(cell.test):
            yield f"{limit.at:g} ms for {figure.removeprefix('latency_')}", limit
