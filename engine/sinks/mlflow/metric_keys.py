"""Which of a run's numbers go to MLflow, and under which keys.

A key that MLflow's own evaluation has is used where there is one, so that its pages compare. Two
things never share a key: where replaced characters would make them alike, both get a mark.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.core.vocabulary import NO_MODEL, Cell, MetricValue, StepCost, Verdict
from engine.kinds import kind_of
from engine.metrics import METRICS

MAX_KEY = 250
_REFUSED = re.compile(r"[^\w.\- :]")
# Parts of keys that are not slices; a slice of such a name is marked.
_OWN = frozenset({"worst", "verdicts", "cost", "system"})
_MARK = 9


@dataclass(frozen=True, slots=True)
class Number:
    """A number with the parts of its key; `identity` tells it from another with the same key."""

    parts: tuple[str, ...]
    value: float
    identity: tuple[str, ...] = ()
    is_slice: bool = False


def metric_key(*parts: str) -> str:
    """A key that MLflow takes: refused characters replaced, no empty part, at most 250 long."""
    return _key(parts, "")


def _key(parts: Sequence[str], mark: str) -> str:
    """The parts joined by `/`, of which the first is marked, and shortened where it is too long."""
    first, *others = [_clean(part) for part in parts]
    most = min(MAX_KEY // 2, (MAX_KEY - _MARK - 1) // max(1, len(others)) - 1)
    tail = "".join(f"/{part[:most]}" for part in others)
    room = MAX_KEY - len(tail) - _MARK
    if len(first) > room:
        first, mark = first[:room], mark or _digest(parts)
    return f"{first}.{mark}{tail}" if mark else first + tail


def _clean(part: str) -> str:
    """One part without what MLflow refuses, and without what a path would leave out."""
    cleaned = _REFUSED.sub("_", part).strip()
    if not cleaned.strip("."):
        return "_"
    # MLflow takes no key that begins like a path upwards.
    return f"_{cleaned}" if cleaned.startswith("..") else cleaned


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[
        : _MARK - 1
    ]


def numbers_by_key(numbers: Iterable[Number]) -> dict[str, float]:
    """Numbers by their keys, each its own; what is not finite is left out."""
    candidates: dict[str, dict[tuple[str, ...], Number]] = defaultdict(dict)
    for number in numbers:
        if math.isfinite(number.value):
            identity = ("slice" if number.is_slice else "", *number.identity, "", *number.parts)
            candidates[metric_key(*number.parts)].setdefault(identity, number)
    values: dict[str, float] = {}
    for key, alike in candidates.items():
        own = sum(not number.is_slice for number in alike.values())
        for identity, number in alike.items():
            reserved = number.is_slice and number.parts[0] in _OWN
            # A slice gives way to what is not one.
            shared = len(alike) > 1 if number.is_slice else own > 1
            mark = _digest(identity) if reserved or shared else ""
            values[_key(number.parts, mark) if mark else key] = number.value
    return values


def model_numbers(cells: Sequence[Cell], limit: int) -> list[Number]:
    """All that is logged of a model: overall, worst slices, verdicts, and slices up to `limit`."""
    return [
        *overall_numbers(cells),
        *worst_numbers(cells),
        *verdict_numbers(cells),
        *slice_numbers(cells, limit),
    ]


def _metric_name(cell: Cell) -> str:
    """A metric's key; one between groups has one for each column, `<metric>.<column>`.

    One of a variant has its name behind it, and one of the data is called by its test.
    """
    metric = METRICS.find(cell.test.metric)
    name = metric.mlflow_key if metric else cell.test.metric
    if cell.variant != "clean":
        return f"{name}.{cell.variant}"
    if cell.model.name == NO_MODEL.name:
        return cell.test.name
    return f"{name}.{cell.test.group}" if cell.test.group else name


def _with_interval(parts: tuple[str, ...], measured: MetricValue) -> Iterable[Number]:
    *before, name = parts
    ends = (("", measured.value), (".ci_low", measured.ci_low), (".ci_high", measured.ci_high))
    for end, value in ends:
        if value is not None:
            yield Number((*before, f"{name}{end}"), value)


def overall_numbers(cells: Iterable[Cell]) -> list[Number]:
    """Values and intervals on all rows, differences to the baseline, and how many rows that are."""
    numbers: list[Number] = []
    for cell in cells:
        if cell.slice.kind == "overall":
            name = _metric_name(cell)
            numbers.append(Number(("example_count",), float(cell.counts.n)))
            numbers += _with_interval((name,), cell.measured)
            if cell.delta is not None:
                numbers.append(Number((f"{name}.delta",), cell.delta))
    return numbers


def worst_numbers(cells: Iterable[Cell]) -> list[Number]:
    """For each metric the worst value of a slice, as `worst/<metric>`, and that slice's rows."""
    worst: dict[str, Cell] = {}
    for cell in cells:
        if cell.slice.kind == "overall" or cell.measured.value is None:
            continue
        key = _metric_name(cell)
        if key not in worst or _is_worse(cell, worst[key]):
            worst[key] = cell
    numbers: list[Number] = []
    for key, cell in worst.items():
        assert cell.measured.value is not None, "only cells with a value are looked at"
        numbers.append(Number(("worst", key), cell.measured.value))
        numbers.append(Number(("worst", f"{key}.n"), float(cell.counts.n)))
    return numbers


def _is_worse(cell: Cell, than: Cell) -> bool:
    metric = METRICS.find(cell.test.metric)
    if metric is None and cell.test.kind != "metric":
        metric = kind_of(cell.test).metric(cell.test)
    better = None if metric is None else metric.higher_is_better
    assert cell.measured.value is not None and than.measured.value is not None
    if better is False:
        return cell.measured.value > than.measured.value
    return cell.measured.value < than.measured.value


def verdict_numbers(cells: Iterable[Cell]) -> list[Number]:
    """How many cells have each verdict, as `verdicts/<verdict>`."""
    counts = dict.fromkeys(Verdict, 0)
    for cell in cells:
        counts[cell.verdict] += 1
    return [Number(("verdicts", verdict.value), float(count)) for verdict, count in counts.items()]


def slice_numbers(cells: Iterable[Cell], limit: int) -> list[Number]:
    """Values by slice as `<slice>/<metric>`, of what failed first, at most `limit` of them."""
    first = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.RECORDED)
    sliced = [cell for cell in cells if cell.slice.kind != "overall"]
    numbers: dict[tuple[str, str, str], Number] = {}
    for cell in sorted(sliced, key=lambda cell: first.index(cell.verdict)):
        if cell.measured.value is None:
            continue
        if len(numbers) >= limit:
            break
        name = _metric_name(cell)
        numbers[cell.slice.set_name, cell.slice.name, name] = Number(
            (cell.slice.name, name), cell.measured.value, (cell.slice.set_name,), is_slice=True
        )
    return list(numbers.values())


def system_numbers(steps: Sequence[StepCost], evaluation: str) -> list[Number]:
    """What an evaluation took of the machine, as `system/<what>`: MLflow's system metrics.

    CPU is a sum, memory the largest at any time. MLflow's own, which it samples by the clock, are
    of the whole machine (`system/cpu_utilization_percentage`, ...), so these have other names.
    """
    step = next(
        (one for one in steps if one.kind == "evaluation" and one.evaluation == evaluation), None
    )
    if step is None:
        return []
    amounts = {
        "driver_cpu_seconds": step.cpu_seconds,
        "jvm_cpu_seconds": step.jvm_cpu_seconds,
        "workers_cpu_seconds": step.worker_cpu_seconds,
        "driver_peak_memory_megabytes": _megabytes(step.peak_bytes),
        "jvm_peak_memory_megabytes": _megabytes(step.jvm_peak_bytes),
        "worker_peak_memory_megabytes": _megabytes(step.worker_peak_bytes),
        "spilled_memory_megabytes": _megabytes(step.spilled_memory_bytes),
        "spilled_disk_megabytes": _megabytes(step.spilled_disk_bytes),
    }
    return [
        Number(("system", name), amount) for name, amount in amounts.items() if amount is not None
    ]


def _megabytes(amount: int | None) -> float | None:
    """In MLflow's megabytes, which are a million bytes."""
    return None if amount is None else amount / 1e6


def cost_numbers(timings: Mapping[str, float]) -> list[Number]:
    """What an evaluation cost, as `cost/<what>`."""
    return [Number(("cost", name), value) for name, value in timings.items()]
