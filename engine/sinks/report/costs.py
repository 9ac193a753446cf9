"""What the steps of a run cost, as the report shows it: a row each, with a bar for its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.core.vocabulary import StepCost
from engine.sinks import format as fmt

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class CostRow:
    """One step: `share` is its time in percent of the longest, `inner` whether it is within one."""

    name: str
    inner: bool
    share: float
    time: str
    cpu: tuple[str, str, str]
    memory: tuple[str, str, str]
    spilled: str


def cost_rows(steps: Sequence[StepCost]) -> tuple[CostRow, ...]:
    """The steps that make the results, those of an evaluation below it.

    Sinks are left out: the report is one of them, and some are over before it and some after.
    """
    shown = [step for step in steps if step.kind != "sink"]
    longest = max((step.seconds for step in shown), default=0.0) or 1.0
    return tuple(_row(step, longest) for step in _in_order(shown))


def _in_order(steps: Sequence[StepCost]) -> list[StepCost]:
    """Steps come in the order of their ends, where an evaluation is behind what it was made of."""
    outer: list[StepCost] = []
    waiting: list[StepCost] = []
    for step in steps:
        if step.kind == "evaluation":
            own = [one for one in waiting if one.evaluation == step.evaluation]
            outer += [step, *own]
            waiting = [one for one in waiting if one.evaluation != step.evaluation]
        elif step.evaluation:
            waiting.append(step)
        else:
            outer.append(step)
    return [*outer, *waiting]


def _row(step: StepCost, longest: float) -> CostRow:
    words = [step.kind, step.evaluation, step.name]
    return CostRow(
        name=fmt.one_line(" ".join(filter(None, words))),
        inner=bool(step.evaluation) and step.kind != "evaluation",
        share=round(100 * step.seconds / longest, 1),
        time=fmt.duration(step.seconds),
        cpu=(
            _seconds(step.cpu_seconds),
            _seconds(step.jvm_cpu_seconds),
            _seconds(step.worker_cpu_seconds),
        ),
        memory=(
            size_text(step.peak_bytes),
            size_text(step.jvm_peak_bytes),
            size_text(step.worker_peak_bytes),
        ),
        spilled=_spill_text(step),
    )


def _spill_text(step: StepCost) -> str:
    if step.spilled_memory_bytes is None or step.spilled_disk_bytes is None:
        return fmt.DASH
    if not step.spilled_memory_bytes and not step.spilled_disk_bytes:
        return "0"
    return f"{size_text(step.spilled_memory_bytes)}, {size_text(step.spilled_disk_bytes)} on disk"


def _seconds(seconds: float | None) -> str:
    return fmt.DASH if seconds is None else fmt.duration(max(seconds, 0.0))


def size_text(amount: float | None) -> str:
    """Bytes in a unit that leaves few digits; a dash where nothing is known."""
    if amount is None:
        return fmt.DASH
    value, place = float(amount), 0
    while value >= 1000 and place < len(_UNITS) - 1:
        value, place = value / 1024, place + 1
    digits = 0 if value >= 10 or not place else 1
    return f"{value:,.{digits}f} {_UNITS[place]}"
