"""The models against the baseline on the same rows, the surest differences first.

A difference is told apart from chance where its q is at most `highlights.SURE`; what remains is
listed as not told apart, which is not the same as equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.conditions import Limit, condition_text, needs_baseline, rule
from engine.core.vocabulary import Cell, Condition, EvaluationResult
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.highlights import PairedDifference
from engine.sinks.report.axis import (
    Bar,
    Scale,
    Zone,
    around_zero,
    bar,
    change_text,
    interval_text,
    zone,
)
from engine.sinks.report.figures import colours

SHOWN = 12
FOLDED = 88
_GROUPS = {
    "worse": "Worse than the baseline",
    "better": "Better than the baseline",
    "differs": "Different, where neither way is better",
    "unsure": "Not told apart from the baseline",
}
_ORDER = ("better", "differs", "unsure", "worse")


@dataclass(frozen=True, slots=True)
class Pair:
    """One difference as a row."""

    slice: str
    model: str
    colour: str
    metric: str
    margin: str
    word: str
    reason: str
    bar: Bar
    zones: tuple[Zone, ...]
    delta: str
    interval: str
    exact: str
    values: str
    base: str
    value: str
    p: str
    q: str
    rows: str
    is_overall: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Differences of one kind: those shown, those folded away, and how many are in neither."""

    kind: str
    title: str
    amount: int
    shown: tuple[Pair, ...]
    folded: tuple[Pair, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One model's differences in numbers; `shares` are kinds with their counts, to be drawn."""

    model: str
    colour: str
    shares: tuple[tuple[str, int], ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Differences:
    """All there is of an evaluation against its baseline; up to a q of `level` it counts."""

    baseline: str
    level: str
    standings: tuple[Standing, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What rows are drawn with: by metric its line and direction, by model its colour."""

    scales: Mapping[str, Scale]
    better: Mapping[str, bool | None]
    palette: Mapping[str, str]

    def row(self, pair: PairedDifference) -> Pair:
        colour = self.palette[pair.cell.model.name]
        return _pair(pair, self.scales[pair.label], self.better[pair.label], colour=colour)


def differences(evaluation: EvaluationResult) -> Differences | None:
    """Sorts the differences of an evaluation; None where nothing was compared."""
    pairs = highlights.paired_differences(evaluation)
    if not pairs:
        return None
    palette = colours(evaluation)
    drawn = _Drawing(_scales(pairs), _directions(evaluation, pairs), palette)
    groups = [_group(kind, pairs, drawn) for kind in _GROUPS]
    return Differences(
        baseline=fmt.one_line(evaluation.baseline or ""),
        level=f"{highlights.SURE:g}",
        standings=tuple(
            Standing(
                model=fmt.one_line(name),
                colour=palette[name],
                shares=tuple((kind, counts[kind]) for kind in _ORDER if counts.get(kind)),
                sentence=highlights.tally_words(counts),
            )
            for name, counts in highlights.trend_counts(evaluation, pairs)
        ),
        groups=tuple(group for group in groups if group.amount or group.kind != "differs"),
    )


def _directions(
    evaluation: EvaluationResult, pairs: Sequence[PairedDifference]
) -> dict[str, bool | None]:
    metrics = {pair.label: pair.cell.test.metric for pair in pairs}
    return {name: highlights.direction(evaluation, metric) for name, metric in metrics.items()}


def _group(kind: str, pairs: Sequence[PairedDifference], drawn: _Drawing) -> Group:
    chosen = [pair for pair in pairs if pair.trend == kind]
    rows = tuple(drawn.row(pair) for pair in chosen[: SHOWN + FOLDED])
    # What was not told apart is asked for less often: all of it is folded away.
    shown = 0 if kind == "unsure" else SHOWN
    return Group(
        kind, _GROUPS[kind], len(chosen), rows[:shown], rows[shown:], len(chosen) - len(rows)
    )


def _scales(pairs: Sequence[PairedDifference]) -> dict[str, Scale]:
    """A line for each metric, around 0, on which the points of all sure differences are."""
    by_metric: dict[str, list[PairedDifference]] = {}
    for pair in pairs:
        by_metric.setdefault(pair.label, []).append(pair)
    scales = {name: _scale(alike) for name, alike in by_metric.items()}
    return {name: scale for name, scale in scales.items() if scale is not None}


def _scale(pairs: Sequence[PairedDifference]) -> Scale | None:
    sure = [pair for pair in pairs if pair.trend != "unsure"]
    spans, keep = [], [pair.cell.delta or 0.0 for pair in sure]
    for pair in sure or pairs:
        cell, delta = pair.cell, pair.cell.delta or 0.0
        low = delta if cell.delta_ci_low is None else cell.delta_ci_low
        high = delta if cell.delta_ci_high is None else cell.delta_ci_high
        spans.append((low, high))
        if highlights.is_overall(cell.slice):
            keep += [limit.at for _, limit in _margins(cell)]
    return around_zero(spans, keep)


def _margins(cell: Cell, better: bool | None = None) -> Iterator[tuple[Condition, Limit]]:
    """A test's margins, with what they come to on a slice."""
    for condition in cell.test.conditions:
        if needs_baseline(condition):
            for limit in rule(condition).limits(condition, cell.baseline_value, better):
                yield condition, limit


def _pair(pair: PairedDifference, scale: Scale, better: bool | None, *, colour: str) -> Pair:
    cell = pair.cell
    ends = cell.delta_ci_low, cell.delta_ci_high
    measured = cell.measured
    delta, _, interval = change_text(cell.delta, *ends).partition(" ")
    base = fmt.number(cell.baseline_value, "–")
    own = interval_text(measured.value, measured.ci_low, measured.ci_high)
    margins = list(_margins(cell, better))
    return Pair(
        slice=fmt.one_line(cell.slice.name),
        model=fmt.one_line(cell.model.name),
        colour=colour,
        metric=fmt.one_line(pair.label),
        margin=", ".join(dict.fromkeys(condition_text(condition) for condition, _ in margins)),
        word=highlights.word(cell) if margins else "",
        reason=fmt.one_line(cell.reason, 300) if margins else "",
        bar=bar(scale, cell.delta or 0.0, *ends),
        zones=tuple(zone(scale, limit) for _, limit in margins),
        delta=delta,
        interval=interval,
        exact=fmt.exact(cell.delta),
        values=f"{own}; the baseline has {base}",
        base=base,
        value=fmt.number(measured.value, "–"),
        p=fmt.chance(cell.p_value, "–"),
        q=fmt.chance(cell.q_value, "–"),
        rows=fmt.plural(cell.counts.n, "row"),
        is_overall=highlights.is_overall(cell.slice),
    )
