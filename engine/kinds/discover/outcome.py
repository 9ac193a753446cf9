"""What a search comes to: the slices that were confirmed, and what a search without one shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.core.vocabulary import MetricValue, RowCounts
from engine.kinds.discover.axes import slice_at
from engine.kinds.discover.lattice import (
    LOSS,
    OTHER,
    ROWS,
    SQUARES,
    WEIGHT,
    LatticeView,
)
from engine.kinds.discover.power import WeakSlice
from engine.kinds.discover.search import (
    Asked,
    Halves,
    Tested,
    cluster_error,
    deviation_of,
    group_mean,
    mean_of,
    search,
)
from engine.kinds.finds import Find
from engine.states import Floats
from engine.statistics import Share, StudentT, simes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The finds of a search, the worst first, among how many slices that have rows enough.

    `p` is the p-value of no slice being weak, `power` how often one of the least share that loses
    twice as much is found; `loss` is what rows lose on average.
    """

    finds: tuple[Find, ...]
    slices: int
    p: float
    power: float
    loss: float


def outcome(view: LatticeView, asked: Asked, metric: str) -> Outcome:
    """Searches a lattice."""
    tested, slices = search(view, asked)
    alpha = 1 - asked.level
    confirmed = [one for one in tested if one.q <= alpha]
    # Intervals of those that were picked out hold together (Benjamini and Yekutieli 2005).
    level = 1 - alpha * len(confirmed) / len(tested) if confirmed else asked.level
    finds = tuple(_find(view, asked, one, metric, level) for one in confirmed)
    p = simes([one.p for one in tested]) if tested else 1.0
    loss = float(mean_of(view.whole.sum(axis=0)))
    return Outcome(finds, slices, p, _power(view, asked, slices), loss)


def _power(view: LatticeView, asked: Asked, slices: int) -> float:
    whole = view.whole.sum(axis=0)
    if not whole[WEIGHT] > 0:
        return 0.0
    loss = float(whole[OTHER] / whole[WEIGHT] if asked.paired else mean_of(whole))
    rows = float(whole[WEIGHT] ** 2 / whole[SQUARES]) / 2
    halves = Halves(view)
    if halves.parts > 1:
        # Rows of clusters count for less, by as much as the error of the mean is larger.
        alone, together = group_mean(whole).error2, cluster_error(view.whole) ** 2
        rows *= min(alone / together, 1.0) if together > 0 else 1.0
    binary = asked.exact and not asked.paired
    weak = WeakSlice(rows * asked.min_share, loss, deviation_of(whole), binary)
    return weak.power(slices, asked.top, 1 - asked.level)


def _find(view: LatticeView, asked: Asked, one: Tested, metric: str, level: float) -> Find:
    """The figures of a slice: those of the half that had no part in finding it."""
    own = view.at(one.conditions)
    assert own is not None, "a slice of the lattice"
    halves, whole = Halves(view), view.whole
    inside, every = own.sum(axis=0), whole.sum(axis=0)
    confirming = halves.second_half(own)
    outside = halves.second_half(whole) - confirming
    sums, rest = confirming.sum(axis=0), outside.sum(axis=0)
    mean, elsewhere = float(mean_of(sums)), float(mean_of(rest))
    low, high = _interval(confirming, asked, level)
    share = float(inside[WEIGHT] / every[WEIGHT])
    numbers = {"share": share, "elsewhere": elsewhere, "rows": float(sums[ROWS]), "z": one.z}
    where = slice_at(view.lattice.axes, one.conditions)
    counts = RowCounts(int(inside[ROWS]), float(inside[WEIGHT]))
    if not asked.paired:
        of_all = float(inside[LOSS] / every[LOSS])
        value = MetricValue(mean, ci_low=low, ci_high=high, numbers=numbers | {"of_all": of_all})
        told = (
            f"{metric} {mean:.4g} [{low:.4g}, {high:.4g}] where it is {elsewhere:.4g} elsewhere, "
            f"on {sums[ROWS]:,.0f} rows that had no part in finding it; {share:.1%} of the rows "
            f"have {of_all:.1%} of all that is lost"
        )
        return Find(where, metric, value, counts, told, one.p, one.q)
    ours = float(sums[OTHER] / sums[WEIGHT])
    value = MetricValue(ours, numbers=numbers)
    told = (
        f"{metric} {ours:.4g} where the baseline has {ours - mean:.4g}, a difference of "
        f"{mean:+.4g} [{low:+.4g}, {high:+.4g}] where it is {elsewhere:+.4g} elsewhere, on "
        f"{sums[ROWS]:,.0f} rows that had no part in finding it; {share:.1%} of the rows"
    )
    return Find(where, metric, value, counts, told, one.p, one.q, ours - mean, mean, low, high)


def _interval(confirming: Floats, asked: Asked, level: float) -> tuple[float, float]:
    """The interval of the mean loss of a slice."""
    sums = confirming.sum(axis=0)
    mean = group_mean(sums)
    if len(confirming) > 1:
        ends = StudentT(mean.mean, cluster_error(confirming), len(confirming) - 1).interval(level)
    elif asked.exact and not asked.paired:
        ends = Share(sums[LOSS], sums[ROWS]).interval(level)
    else:
        ends = StudentT(mean.mean, np.sqrt(mean.error2), mean.rows - 1).interval(level)
    low, high = (float(end) for end in ends)
    return (max(low, 0.0) if asked.exact and not asked.paired else low), high


def names_text(finds: Sequence[Find], most: int = 3) -> str:
    """The names of the worst finds in a few words."""
    named = ", ".join(find.where.name for find in finds[:most])
    return named + (f" and {len(finds) - most:,} more" if len(finds) > most else "")
