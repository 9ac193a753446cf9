"""Many slices at once: a failure must be sure enough for as many as were judged.

A family is what one test says of one model on all its slices. Within it the false discovery rate
is controlled: of an equally good candidate the probability of any FAIL at all is at most the level.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.statistics import adjusted, family_levels, simes
from engine.vocabulary import Cell, Verdict, Within

Family = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Correction:
    """How many tests at once are judged.

    `method` is bh (Benjamini-Hochberg), by (Benjamini-Yekutieli) or none. `level` is the share of
    false alarms to stay below; with `whole` it is that of all families together, else of each.
    """

    method: Within = Within.BH
    level: float = 0.05
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """Cells with their corrected p-values and verdicts, and what they say together.

    `p` is the p-value of nothing being wrong anywhere, `rejected` whether any cell failed by it.
    """

    cells: list[Cell]
    p: float
    rejected: bool


def corrected(cells: Sequence[Cell], how: Correction) -> Judged:
    """The cells of one evaluation, with `q_value`s, and failures that are too unsure withdrawn.

    A withdrawn FAIL is INCONCLUSIVE, or PASS where only a significant difference was asked for.
    """
    families: defaultdict[Family, list[int]] = defaultdict(list)
    differences: defaultdict[Family, list[int]] = defaultdict(list)
    for place, cell in enumerate(cells):
        family = (cell.test.name, cell.model.name)
        if cell.violation_p_value is not None and cell.test.corrected:
            families[family].append(place)
        if cell.p_value is not None:
            differences[family].append(place)
    judged = list(cells)
    for places in differences.values():
        values = adjusted([judged[at].p_value or 0.0 for at in places], how.method)
        for at, q in zip(places, values.tolist(), strict=True):
            judged[at] = replace(judged[at], q_value=q)
    together = {name: _simes(cells, places) for name, places in families.items()}
    level = how.level
    if how.whole:
        level = family_levels(list(together.values()), how.level) if together else 0.0
    rejected = False
    for places in families.values():
        values = adjusted([judged[at].violation_p_value or 0.0 for at in places], how.method)
        for at, q in zip(places, values.tolist(), strict=True):
            judged[at] = _with_q(judged[at], q, level, _among(len(places), how))
            rejected = rejected or judged[at].verdict is Verdict.FAIL
    return Judged(judged, simes(list(together.values())), rejected)


def _simes(cells: Sequence[Cell], places: Sequence[int]) -> float:
    return simes([cells[at].violation_p_value or 0.0 for at in places])


def _among(count: int, how: Correction) -> str:
    """What a failure was not sure enough for."""
    if how.whole:
        return f"the error budget that the suite's runs have left here ({how.level:.2g})"
    return f"one of {count:,} slice{'' if count == 1 else 's'} (level {how.level:.2g})"


def _with_q(cell: Cell, q: float, level: float, among: str) -> Cell:
    if cell.verdict is not Verdict.FAIL or q <= level:
        return replace(cell, violation_q_value=q)
    only_worse = all(condition.kind == "no_worse" for condition in cell.test.conditions)
    verdict = Verdict.PASS if only_worse else Verdict.INCONCLUSIVE
    reason = f"{cell.reason}; but with q {q:.2g} not sure enough for {among}"
    return replace(cell, violation_q_value=q, verdict=verdict, reason=reason)
