"""How large a disparity noise alone makes between groups, and what is made of it: a simulation.

Groups of rows are drawn whose selection rates are alike, or differ by a known amount. The raw
difference of the largest and the smallest rate is set beside the debiased one, the intervals of the
difference and of the ratio beside the truth, and a gate `max: 0.1` that looks at the raw value
beside one that looks at the interval.

    python benchmarks/fairness_noise.py [--draws N] [--out FILE]

writes its tables into the page between two markers. It exits with 1 where an interval covers the
truth in fewer than 93 % of the draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.statistics.disparity import LargestDifference, Shares, SmallestRatio

PAGE = Path(__file__).resolve().parent.parent / "docs" / "fairness.md"
BEGIN, END = "<!-- begin: benchmarks/fairness_noise.py -->", "<!-- end -->"

BASE, LIMIT = 0.1, 0.1
CONFIDENCE, LEAST_COVERAGE = 0.95, 0.93
GROUPS, ROWS, GAPS = (2, 10, 50), (30, 200, 1000), (0.05, 0.1, 0.2)
ROUNDING = 1e-12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class World:
    """Groups with their true rates and their numbers of rows."""

    name: str
    rates: Floats
    rows: Ints

    @property
    def gap(self) -> float:
        return float(np.ptp(self.rates))

    @property
    def ratio(self) -> float:
        return float(self.rates.min() / self.rates.max())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a world: means, and shares of the draws."""

    world: World
    raw: float
    debiased: float
    covered: float
    ratio_covered: float
    fails_raw: float
    fails: float
    passes: float


def equal_worlds() -> Iterator[World]:
    """Groups that are all alike."""
    for groups in GROUPS:
        for rows in ROWS:
            yield World("", np.full(groups, BASE), np.full(groups, rows))


def unequal_worlds() -> Iterator[World]:
    """Groups whose rates rise in equal steps."""
    for gap in GAPS:
        for groups in GROUPS:
            for rows in ROWS:
                rates = np.linspace(BASE, BASE + gap, groups)
                yield World("", rates, np.full(groups, rows))


def hard_worlds() -> Iterator[World]:
    """What is hard for the one or the other."""
    for groups in (10, 50):
        rates = np.full(groups, BASE)
        rates[0] += 0.1
        yield World(f"one of {groups} groups is 0.1 above", rates, np.full(groups, 200))
        yield World(f"one of {groups} groups is 0.1 above", rates, np.full(groups, 1000))
    rows = np.array([100_000] + [30] * 49)
    yield World("equal, rate 0.02, one of 100,000 rows, 49 of 30", np.full(50, 0.02), rows)
    rows = np.array([1000] * 9 + [20])
    yield World("equal, rate 0.3, nine of 1,000 rows, one of 20", np.full(10, 0.3), rows)


def simulate(world: World, draws: int, rng: np.random.Generator) -> Outcome:
    """Draws the world's groups many times."""
    rows, known = world.rows.astype(np.float64), np.full(len(world.rows), np.inf)
    seen = []
    for hits in rng.binomial(world.rows, world.rates, (draws, len(world.rows))):
        kinds = (Shares(hits.astype(np.float64), rows, known),)
        spread = LargestDifference(kinds)
        raw, (low, high) = spread.value, spread.interval(CONFIDENCE)
        ratio_covered = True
        if hits.any():
            least, most = SmallestRatio(kinds).interval(CONFIDENCE)
            ratio_covered = least - ROUNDING <= world.ratio <= most + ROUNDING
        covered = low - ROUNDING <= world.gap <= high + ROUNDING
        decided = (raw > LIMIT + ROUNDING, low > LIMIT, high <= LIMIT)
        seen.append((raw, spread.debiased_value, covered, ratio_covered, *decided))
    return Outcome(world, *(float(mean) for mean in np.array(seen, np.float64).mean(axis=0)))


def table(title: str, outcomes: Sequence[Outcome], draws: int) -> str:
    """The outcomes as a Markdown table."""
    columns = [
        "groups" if not outcomes[0].world.name else "world",
        "rows each",
        "true difference",
        "raw, mean",
        "debiased, mean",
        "interval covers the difference",
        "the ratio",
        "`max: 0.1` fails by the raw value",
        "fails by the interval",
        "passes by it",
    ]
    lines = [f"### {title} ({draws:,} draws each)", "", _line(columns), "|" + " --- |" * 10]
    for of in outcomes:
        sizes = sorted({f"{rows:,}" for rows in of.world.rows.tolist()}, key=len)
        shares = (of.covered, of.ratio_covered, of.fails_raw, of.fails, of.passes)
        cells = [
            of.world.name or str(len(of.world.rates)),
            " and ".join(sizes),
            f"{of.world.gap:.3g}",
            f"{of.raw:.3f}",
            f"{of.debiased:.3f}",
            *(f"{share * 100:.1f} %" for share in shares),
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def page(text: str, tables: Sequence[str]) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE}: expected the lines {BEGIN!r} and {END!r}")
    body = "\n\n".join(tables)
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    worlds = {
        "Equal groups": equal_worlds(),
        "Groups that differ, in equal steps from 0.1 on": unequal_worlds(),
        "Harder ones": hard_worlds(),
    }
    rng = np.random.default_rng(20261123)
    tables, short = [], []
    for title, each in worlds.items():
        outcomes = [simulate(world, options.draws, rng) for world in each]
        tables.append(table(title, outcomes, options.draws))
        short += [of for of in outcomes if min(of.covered, of.ratio_covered) < LEAST_COVERAGE]
    options.out.write_text(page(options.out.read_text("utf-8"), tables), encoding="utf-8")
    for of in short:
        print(f"covered in only {of.covered:.3f} and {of.ratio_covered:.3f}: {of.world}")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
