"""The rows of both samples by bin, which a report draws side by side.

They stand beside a distance as its numbers, each under its sample, its place and its bin's name, so
that a report that is built again from the states has them as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.core.vocabulary import Numbers
from engine.kinds.drift.bins import edge_texts, equal_parts, range_names, short_texts
from engine.kinds.drift.estimate import Floats, Samples
from engine.kinds.estimates import SliceEstimates

REFERENCE, CURRENT, EDGE = "reference", "current", "edge"
NO_NUMBER = "no number"


@dataclass(frozen=True, slots=True)
class BinRows:
    """Rows of both samples by bin; the first bins lie between `edges`, where there are some."""

    names: Sequence[str]
    edges: Sequence[str]
    reference: Sequence[float]
    current: Sequence[float]

    def numbers(self) -> dict[str, float | None]:
        """As numbers beside a value."""
        sides = ((REFERENCE, self.reference), (CURRENT, self.current))
        numbers: dict[str, float | None] = {
            f"{side} {place} {name}": float(count)
            for side, counts in sides
            for place, (name, count) in enumerate(zip(self.names, counts, strict=True))
        }
        return numbers | {f"{EDGE} {place} {text}": None for place, text in enumerate(self.edges)}

    @classmethod
    def of(cls, numbers: Numbers | None) -> BinRows | None:
        """Those that stand beside a value; None where none do, or a sample has no rows."""
        rows: Mapping[str, list[tuple[str, float]]] = {REFERENCE: [], CURRENT: [], EDGE: []}
        for key, number in (numbers or {}).items():
            part, _, name = key.split(" ", 2)
            rows[part].append((name, number or 0.0))
        before, now = ([count for _, count in rows[side]] for side in (REFERENCE, CURRENT))
        if not sum(before) or not sum(now):
            return None
        edges = [text for text, _ in rows[EDGE]]
        return cls([name for name, _ in rows[REFERENCE]], edges, before, now)


def bin_rows(samples: Samples, edges: Sequence[str] = ()) -> BinRows:
    """The rows of the first slice by the bins of a distance; the texts of `edges` where ordered."""
    before, now = _both(samples)
    return BinRows(samples.names, edges, before.tolist(), now.tolist())


def fine_rows(samples: Samples, edges: Sequence[float] | Floats, kind: str = "double") -> BinRows:
    """The rows of the first slice, of fine bins put together to about equal parts of the reference.

    What the samples count behind the bins is of rows without a number, in the last column.
    """
    before, now = _both(samples)
    count = len(edges) + 1
    part = equal_parts(before[:count])
    first = np.flatnonzero(np.diff(part, prepend=-1))
    # Parts without a row of either sample are one with what is before them, or behind the first.
    is_seen = np.add.reduceat(before[:count] + now[:count], first) > 0
    first = np.append(0, first[is_seen][1:])
    parts = [np.add.reduceat(side[:count], first) for side in (before, now)]
    if len(before) > count:
        parts = [np.append(one, side[-1]) for one, side in zip(parts, (before, now), strict=True)]
    between = [float(edges[at - 1]) for at in first[1:]]
    texts = edge_texts(between, kind)
    names = range_names(texts) if texts else ["all numbers"]
    rest = [NO_NUMBER] if len(before) > count else []
    return BinRows([*names, *rest], short_texts(between, kind), *(one.tolist() for one in parts))


def _both(samples: Samples) -> tuple[Floats, Floats]:
    return samples.reference[0].sum(axis=0), samples.current[0].sum(axis=0)


def with_rows(estimates: SliceEstimates, rows: BinRows) -> SliceEstimates:
    """The estimate of one slice, with the rows by bin beside its value."""
    (value,) = estimates.values
    if value.value is None:
        return estimates
    return replace(estimates, values=[replace(value, numbers=rows.numbers())])
