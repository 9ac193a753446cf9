"""How often a matrix cries wolf, and what it still hears: a simulation of nights.

On every night a candidate is compared with its baseline on 1,000 slices of 200 rows, and is just
as good. What a night brings is judged by the plain difference, by intervals, and by intervals with
the corrections of `engine.statistics`. Then one slice of many rows is made five points worse, and
counted is how often it is found.

    python benchmarks/false_alarms.py [--nights N] [--out FILE]

writes its tables into the page between two markers. It exits with 1 where the corrected judges
raise more false alarms than the level they promise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.statistics import PairedShare, Share
from engine.statistics.corrections import benjamini_hochberg, benjamini_yekutieli, simes
from engine.statistics.online_fdr import METHODS, Judged, next_level

PAGE = Path(__file__).resolve().parent.parent / "docs" / "false-alarms.md"
BEGIN, END = "<!-- begin: benchmarks/false_alarms.py -->", "<!-- end -->"

SLICES, ROWS = 1000, 200
LEVEL, CONFIDENCE = 0.05, 0.95
DROP, DROPPED_ROWS = 0.05, 1000
YEAR, LOOKED_AT = 365, (1, 30, 365)
# With both models right on 90 % of the rows they differ on 18 % if their errors are independent.
DIFFER = (0.04, 0.10, 0.18)
CHUNK, CHECKED = 1000, 200

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Condition:
    """What is demanded of the difference: not to be below `limit`."""

    name: str
    limit: float


MARGIN = Condition("max_drop 0.02", -0.02)
NO_WORSE = Condition("no_worse", 0.0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All that one slice can bring, sorted by p: [outcomes] each.

    `odds` are the probabilities, `below` is whether the plain difference breaks the limit,
    `beyond` whether the whole interval does. Outcomes that no judge can object to are left out.
    """

    p: Floats
    odds: Floats
    below: Bools
    beyond: Bools


def outcomes(condition: Condition, rows: int, gains: float, losses: float) -> Outcomes:
    """What a slice can bring whose rows are gained and lost with these probabilities."""
    odds = np.zeros((rows + 1, rows + 1))
    for gained, chance in enumerate(_binomial(rows, gains)):
        left = rows - gained
        odds[gained, : left + 1] = chance * _binomial(left, losses / (1 - gains))
    gained, lost = np.argwhere(odds > 1e-13).T
    spread = PairedShare(gained.astype(np.float64), lost.astype(np.float64), float(rows))
    p, below = spread.p_below(condition.limit), spread.value < condition.limit
    beyond = spread.interval(CONFIDENCE)[1] < condition.limit
    # No step-up at a level below a half looks at larger p-values than that.
    order = np.argsort(p, kind="stable")
    order = order[(p <= 0.5)[order] | below[order]]
    return Outcomes(p[order], odds[gained, lost][order], below[order], beyond[order])


def _binomial(trials: int, share: float) -> Floats:
    """The probabilities of 0, ..., `trials` hits."""
    steps = np.log(np.arange(1, trials + 1))
    choose = np.concatenate([[0.0], np.cumsum(steps[::-1] - steps)])
    hits = np.arange(trials + 1)
    logs: Floats = choose + hits * np.log(share) + (trials - hits) * np.log1p(-share)
    return np.asarray(np.exp(logs))


def nights(of: Outcomes, count: int, slices: int, rng: np.random.Generator) -> Iterator[Counts]:
    """How many slices had each outcome: some nights at a time, [nights, outcomes]."""
    odds = np.append(of.odds, max(1 - of.odds.sum(), 0.0))
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        yield rng.multinomial(slices, odds / odds.sum(), size)[:, :-1]


def stepped(of: Outcomes, seen: Counts, slices: int) -> Floats:
    """Every p * slices / rank, infinite where no slice is as low: [nights, outcomes]."""
    rank = np.cumsum(seen, axis=1)
    none = np.full(rank.shape, np.inf)
    return np.asarray(np.divide(of.p * slices, rank, out=none, where=rank > 0))


def alarms(of: Outcomes, seen: Counts, scaled: Floats, level: float) -> Counts:
    """How many slices fail in each night, by interval and step-up at `level`."""
    held = scaled <= level
    last = held.shape[1] - 1 - np.argmax(held[:, ::-1], axis=1)
    failing = np.cumsum(seen * of.beyond, axis=1)
    return np.where(held.any(axis=1), failing[np.arange(last.size), last], 0)


def check(of: Outcomes, seen: Counts, by_level: float) -> None:
    """Holds the counting of outcomes against the engine's own functions, slice by slice."""
    scaled = stepped(of, seen, SLICES)
    short = alarms(of, seen, scaled, LEVEL), alarms(of, seen, scaled, by_level)
    for night, counts in enumerate(seen):
        p = np.append(np.repeat(of.p, counts), np.ones(SLICES - counts.sum()))
        beyond = np.append(np.repeat(of.beyond, counts), np.zeros(SLICES - counts.sum(), bool))
        for method, each in zip((benjamini_hochberg, benjamini_yekutieli), short, strict=True):
            assert each[night] == ((method(p) <= LEVEL) & beyond).sum()
        assert abs(min(scaled[night].min(), 1.0) - simes(p)) < 1e-12


# False alarms

JUDGES = ("difference", "interval", "interval + BH", "interval + BY")
COLUMNS = ("condition", "rows that differ")
INTERVAL_OF = "95 % interval of that"


@dataclass(frozen=True, slots=True)
class Case:
    """A condition, the share of rows on which the models differ, and how much is truly lost."""

    condition: Condition
    differ: float
    drop: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.condition.name} | {100 * self.differ:.0f} %"

    @property
    def outcomes(self) -> Outcomes:
        return outcomes(self.condition, ROWS, self.differ / 2, self.differ / 2 + self.drop)


def false_alarms(case: Case, count: int, rng: np.random.Generator) -> Counts:
    """The slices that fail by each judge: [judges, nights]."""
    of = case.outcomes
    by_level = LEVEL / float((1 / np.arange(1, SLICES + 1)).sum())
    parts = []
    for chunk, seen in enumerate(nights(of, count, SLICES, rng)):
        if chunk == 0:
            check(of, seen[:CHECKED], by_level)
        scaled = stepped(of, seen, SLICES)
        corrected = [alarms(of, seen, scaled, level) for level in (LEVEL, by_level)]
        parts.append(np.stack([seen @ of.below, seen @ of.beyond, *corrected]))
    return np.concatenate(parts, axis=1)


def false_alarm_rows(cases: Sequence[Case], count: int) -> tuple[list[str], bool]:
    """A line of the table for each case and judge, and whether what is promised is held."""
    lines, kept = [], True
    for seed, case in enumerate(cases):
        failing = false_alarms(case, count, np.random.default_rng([1, seed]))
        for judge, found in zip(JUDGES, failing, strict=True):
            hits = int((found > 0).sum())
            low, high = Share(hits, count).interval(CONFIDENCE)
            kept &= "+" not in judge or low <= LEVEL
            lines.append(
                f"| {case.name} | {judge} | {found.mean():.3g} | {percent(hits / count)} | "
                f"{percent(low)} to {percent(high)} |"
            )
    return lines, kept


# A sequence of nights


@dataclass(frozen=True, slots=True)
class Years:
    """Years of nights judged by one online method: what was rejected, and the levels: [years]."""

    rejected: Bools
    levels: Floats


def years(case: Case, count: int, seed: int) -> dict[str, Years]:
    """Years in which nothing is wrong, by each method: arrays are [years, nights]."""
    of, rng = case.outcomes, np.random.default_rng([2, seed])
    drawn = [stepped(of, seen, SLICES).min(1) for seen in nights(of, count * YEAR, SLICES, rng)]
    p = np.minimum(np.concatenate(drawn), 1.0).reshape(count, YEAR)
    result = {}
    for method in METHODS:
        levels, rejected = np.zeros(p.shape), np.zeros(p.shape, bool)
        for year, of_year in enumerate(p.tolist()):
            past: list[Judged] = []
            for each in of_year:
                alpha = next_level(past, level=LEVEL, method=method)
                past.append(Judged(each, alpha, each <= alpha))
            levels[year] = [each.alpha for each in past]
            rejected[year] = [each.rejected for each in past]
        result[method] = Years(rejected, levels)
    return result


def year_rows(case: Case, found: dict[str, Years]) -> tuple[list[str], bool]:
    """A line of the table for each method, and whether what is promised is held."""
    lines, kept = [], True
    for method, of in found.items():
        count, hits = of.rejected.shape[0], int(of.rejected.any(1).sum())
        low, high = Share(hits, count).interval(CONFIDENCE)
        kept &= low <= LEVEL
        levels = " | ".join(f"{np.median(of.levels[:, t - 1]):.2g}" for t in LOOKED_AT)
        lines.append(
            f"| {case.name} | {method.upper()} | {percent(of.rejected.mean())} | "
            f"{percent(hits / count)} | {percent(low)} to {percent(high)} | {levels} |"
        )
    return lines, kept


# Power


def power(case: Case, rows: int, count: int, levels: Sequence[float]) -> list[float]:
    """How often one slice of `rows` that lost DROP fails, by each judge, then at each level."""
    of, rng = case.outcomes, np.random.default_rng([3, round(case.differ * 100), rows])
    half = case.differ / 2
    drawn = rng.multinomial(rows, [half, half + DROP, 1 - case.differ - DROP], count)
    gained, lost, _ = drawn.astype(np.float64).T
    spread, limit = PairedShare(gained, lost, float(rows)), case.condition.limit
    below, beyond = spread.value < limit, spread.interval(CONFIDENCE)[1] < limit
    its_p = spread.p_below(limit)
    q = np.zeros((2, count))
    others = np.concatenate(list(nights(of, count, SLICES - 1, rng)))
    for night, counts in enumerate(others):
        equal = np.append(np.repeat(of.p, counts), np.ones(SLICES - 1 - counts.sum()))
        p = np.append(equal, its_p[night])
        q[:, night] = benjamini_hochberg(p)[-1], benjamini_yekutieli(p)[-1]
    hits = [below, beyond, *((q <= LEVEL) & beyond)]
    hits += [(q[0] <= level) & beyond for level in levels]
    return [float(hit.mean()) for hit in hits]


def power_rows(levels: dict[str, list[float]], count: int) -> list[str]:
    """A line of the table for each condition, share of rows that differ, and size of the slice."""
    sizes = [(differ, DROPPED_ROWS) for differ in DIFFER] + [(DIFFER[1], 3 * DROPPED_ROWS)]
    lines = []
    for condition in (MARGIN, NO_WORSE):
        for differ, rows in sizes:
            case = Case(condition, differ)
            shares = power(case, rows, count, levels[condition.name])
            columns = [case.name, f"{rows:,}", *(f"{100 * share:.0f} %" for share in shares)]
            lines.append(f"| {' | '.join(columns)} |")
    return lines


# The page


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def section(title: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    """A heading and a table in Markdown."""
    head = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([f"### {title}", "", *head, *rows])


def tables(count: int) -> tuple[str, bool]:
    """All tables as Markdown, and whether all that is promised is held."""
    equal = [Case(condition, differ) for condition in (MARGIN, NO_WORSE) for differ in DIFFER]
    edge = [Case(MARGIN, differ, drop=-MARGIN.limit) for differ in DIFFER]
    first, kept_equal = false_alarm_rows(equal, count)
    second, kept_edge = false_alarm_rows(edge, count)
    n_years, n_power = max(count // 25, 1), max(count // 5, 1)
    third, levels, kept_years = all_years(n_years)
    fourth = power_rows(levels, n_power)

    shares = ("false alarms a night", "nights with one", INTERVAL_OF)
    columns = (*COLUMNS, "judge", *shares)
    nights_of = [f"night {t}" for t in LOOKED_AT]
    online = [f"{method.upper()}, {night}" for method in METHODS for night in nights_of]
    spent = [f"level, {night}" for night in nights_of]
    of_years = (*COLUMNS, "method", "nights with a false alarm", "years with one", INTERVAL_OF)
    sections = [
        section(f"An equally good candidate ({count:,} nights each)", columns, first),
        section(f"Two points worse on every slice ({count:,} nights each)", columns, second),
        section(
            f"Years of an equally good candidate ({n_years:,} each)", [*of_years, *spent], third
        ),
        section(
            f"One slice that lost {100 * DROP:.0f} points: how often it fails "
            f"({n_power:,} nights each)",
            [*COLUMNS, "its rows", *JUDGES, *online],
            fourth,
        ),
    ]
    return "\n\n".join(sections), kept_equal and kept_edge and kept_years


def all_years(count: int) -> tuple[list[str], dict[str, list[float]], bool]:
    """The lines of both conditions, the levels at the nights of LOOKED_AT, and the promise."""
    lines: list[str] = []
    levels: dict[str, list[float]] = {}
    all_kept = True
    for seed, condition in enumerate((MARGIN, NO_WORSE)):
        # Independent errors raise the most false alarms, as the first table shows.
        case = Case(condition, DIFFER[-1])
        found = years(case, count, seed)
        more, kept = year_rows(case, found)
        lines, all_kept = lines + more, all_kept and kept
        levels[condition.name] = [
            float(np.median(of.levels[:, t - 1])) for of in found.values() for t in LOOKED_AT
        ]
    return lines, levels, all_kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the simulation and writes the page; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nights", type=int, default=10_000, help="simulated nights of each case")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page with the two markers")
    options = parser.parse_args(arguments)
    if options.nights < 1:
        parser.error(f"--nights: expected at least 1, got {options.nights}")
    before, begin, rest = options.out.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        parser.error(f"{options.out}: expected the lines {BEGIN!r} and {END!r}")
    text, kept = tables(options.nights)
    options.out.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    print(text)
    if not kept:
        print("more false alarms than promised: see the tables", file=sys.stderr)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
