"""Many slices at once: a failure must be sure enough for as many as were judged.

A family is what one test says of one model on all its slices, and of all columns it is about.
Within it the false discovery rate is controlled: of an equally good candidate the probability of
any FAIL at all is at most the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.conditions import rule
from engine.core.vocabulary import Cell, Verdict, Within
from engine.states import Floats, Ints
from engine.statistics import adjust_p_values, family_levels, simes

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
class CorrectedVerdicts:
    """Cells with their corrected p-values and verdicts, and what they say together.

    `p` is the p-value of nothing being wrong anywhere, `rejected` whether any cell failed by it.
    """

    cells: list[Cell]
    p: float
    rejected: bool


def correct_verdicts(cells: Sequence[Cell], how: Correction) -> CorrectedVerdicts:
    """The cells of one evaluation, with `q_value`s, and failures that are too unsure withdrawn.

    A withdrawn FAIL is INCONCLUSIVE, or PASS where only a significant difference was asked for.
    """
    family = _families(cells)
    differences = np.array([cell.p_value for cell in cells], np.float64)
    # What a test found by itself is corrected already, for all that it tested.
    violations = np.array(
        [
            cell.violation_p_value
            if cell.test.corrected and cell.violation_q_value is None
            else None
            for cell in cells
        ],
        np.float64,
    )
    q_values = np.full(len(cells), np.nan)
    for places in _family_places(family, differences):
        q_values[places] = adjust_p_values(differences[places], how.method)
    violation_q = np.full(len(cells), np.nan)
    count = np.zeros(len(cells), np.int64)
    together = []
    for places in _family_places(family, violations):
        family_q = violation_q[places] = adjust_p_values(violations[places], how.method)
        count[places] = len(places)
        bh = how.method is Within.BH
        together.append(float(family_q.min()) if bh else simes(violations[places]))
    level = how.level
    if how.whole:
        level = family_levels(together, how.level) if together else 0.0
    corrected_cells = [
        _with_q(cell, q, violation, (count, level, how))
        for cell, q, violation, count in zip(
            cells,
            _optional_floats(q_values),
            _optional_floats(violation_q),
            count.tolist(),
            strict=True,
        )
    ]
    rejected = any(
        cell.verdict is Verdict.FAIL and cell.violation_q_value is not None
        for cell in corrected_cells
    )
    return CorrectedVerdicts(corrected_cells, simes(together), rejected)


def _families(cells: Sequence[Cell]) -> Ints:
    """The number of each cell's family."""
    numbers: dict[Family, int] = {}
    # Most tests and models of cells are the same objects: their names need no hashing.
    known: dict[tuple[int, int], int] = {}
    family_numbers = []
    for cell in cells:
        at = (id(cell.test), id(cell.model))
        number = known.get(at)
        if number is None:
            family = (cell.test.family or cell.test.name, cell.model.name)
            number = known[at] = numbers.setdefault(family, len(numbers))
        family_numbers.append(number)
    return np.array(family_numbers, np.int64)


def _family_places(family: Ints, p: Floats) -> list[Ints]:
    """The places of each family's cells that have a p-value, families in their order."""
    places = np.flatnonzero(~np.isnan(p))
    places = places[np.argsort(family[places], kind="stable")]
    starts = np.flatnonzero(np.diff(family[places], prepend=-1))
    return np.split(places, starts[1:]) if len(places) else []


def _optional_floats(figures: Floats) -> list[float | None]:
    listed: list[float | None] = figures.tolist()
    for place in np.flatnonzero(np.isnan(figures)).tolist():
        listed[place] = None
    return listed


def _correction_words(count: int, how: Correction, columns: bool) -> str:
    """What a failure was not sure enough for; of a test of several `columns` it is one of these."""
    if how.whole:
        return f"the error budget that the suite's runs have left here ({how.level:.2g})"
    if columns:
        return f"one of {count:,} figures of columns and slices (level {how.level:.2g})"
    return f"one of {count:,} slice{'' if count == 1 else 's'} (level {how.level:.2g})"


def _with_q(
    cell: Cell, q: float | None, violation: float | None, among: tuple[int, float, Correction]
) -> Cell:
    """The cell with its corrected p-values, `among` so many at a level."""
    if q is None and violation is None:
        return cell
    verdict, reason = cell.verdict, cell.reason
    count, level, how = among
    if violation is not None and verdict is Verdict.FAIL and not violation <= level:
        unsure = {rule(condition).unsure for condition in cell.test.conditions}
        verdict = Verdict.PASS if unsure == {Verdict.PASS} else Verdict.INCONCLUSIVE
        among_text = _correction_words(count, how, bool(cell.test.family))
        not_sure = f"with q {violation:.2g} not sure enough for {among_text}"
        reason = f"{reason}; but {not_sure}"
    # By its fields: `replace` takes several times as long, and there are millions of cells.
    return Cell(
        cell.evaluation, cell.model, cell.dataset, cell.slice, cell.test, cell.counts,
        cell.measured, verdict, reason, cell.baseline_model, cell.baseline_value, cell.delta,
        cell.delta_ci_low, cell.delta_ci_high, cell.p_value, q, cell.violation_p_value,
        violation, cell.variant,
    )  # fmt: skip
