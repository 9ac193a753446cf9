"""How much a verdict on a difference depends on the key, by whose hash rows are put into buckets.

Many samples are drawn from a known population, and for each sample many keys. Nothing of the rows
changes with the key, so nothing should change of a verdict. Counted is in which share of the draws
of the key a verdict is not the one that most draws give for the sample: whether the difference to
the baseline is above a limit, below it or open, at 95 %. The limits are 0 and the one of which a
test of these rows is least sure, 1.96 true standard errors below the true difference.

    python benchmarks/key_noise.py [--quick] [--out FILE]

writes its tables into the page between two markers. It exits with 1 where a verdict on a difference
of areas depends on the key.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from coverage import scored
from populations import (
    CLASSES,
    NUMBERS,
    THREE,
    Population,
    Rows,
    metric_of,
    of_numbers,
    of_three_classes,
    of_two_classes,
)
from scipy.special import ndtri
from scipy.stats import rankdata

from engine.metrics import RowsOf, Sampling, Slices, comparisons_of
from engine.states import BUCKETS, Floats, Pair, PairFamily, RowFlags, States, rows_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "intervals.md"
BEGIN, END = "<!-- begin: benchmarks/key_noise.py -->", "<!-- end of the noise of the key -->"

LEVEL = 0.95
Z = float(ndtri((1 + LEVEL) / 2))
KEYS = 200
# How many samples of each size; a tenth of them, and none of the large ones, with --quick.
SAMPLES = {100: 40, 200: 40, 500: 40, 1_000: 40, 2_000: 20, 5_000: 12}
QUICK = 500
# What has no formula of its own, on so many rows.
OTHERS = (200, 1_000)
OTHER_SAMPLES = 12


@dataclass(frozen=True)
class Draws:
    """The intervals of one sample, [key], before and after; DeLong's own width, of an area."""

    delta: float
    before: tuple[Floats, Floats]
    after: tuple[Floats, Floats]
    delong: float


def draws_of(of: Population, name: str, rows: Rows, rng: np.random.Generator) -> Draws | None:
    """A sample as a slice for each key; None where a class has too few rows for an interval."""
    n = len(rows.truth)
    again = np.tile(np.arange(n), KEYS)
    many = Rows(rows.truth[again], (rows.scores[0][again], rows.scores[1][again]))
    bucket, groups = rng.integers(0, BUCKETS, n * KEYS), np.repeat(np.arange(KEYS), n)
    own, other = (scored(of.problem, many, which, bucket) for which in (0, 1))
    made: tuple[dict[str, States], dict[str, States]] = ({}, {})
    pairs: dict[str, States] = {}
    metric = metric_of(name)
    for family in metric.families(of.problem, compared=True):
        if isinstance(family, PairFamily):
            pairs[family.key] = family.of(Pair(other, own), groups, KEYS)
            continue
        for into, batch in zip(made, (own, other), strict=True):
            into[family.key] = family.of(batch, groups, KEYS)
    none = np.zeros(len(groups), bool)
    flags = RowFlags(none, none, none)
    counts = RowsOf.of(rows_of(own.weight, flags, groups * BUCKETS + bucket, KEYS))
    ends = []
    for families in (made[0], {**made[0], **pairs}):
        beside = Slices(counts, made[1], sampling=Sampling())
        on = Slices(counts, families, sampling=Sampling(), baseline=beside)
        found = comparisons_of(metric, of.problem, on)
        assert found is not None, "the metric has intervals"
        low, high = found.spread.interval(LEVEL)
        ends.append((np.asarray(low), np.asarray(high)))
    delta = float(np.asarray(found.delta)[0])
    known = all(np.isfinite(end).all() for both in ends for end in both)
    if not known or not np.isfinite(delta):
        return None
    return Draws(delta, ends[0], ends[1], delong_width(rows) if name == "roc_auc" else np.nan)


def delong_width(rows: Rows) -> float:
    """Of DeLong's interval of the difference, by the normal curve: from ranks, by another road."""
    positive = rows.truth == 1
    gains = []
    for scores in rows.scores:
        score = scores[:, 1]
        every = rankdata(score)
        above = (every[positive] - rankdata(score[positive])) / (~positive).sum()
        below = 1 - (every[~positive] - rankdata(score[~positive])) / positive.sum()
        gains.append((above, below))
    parts = [(one - other).var(ddof=1) / len(one) for one, other in zip(*gains, strict=True)]
    return float(2 * Z * np.sqrt(sum(parts)))


def samples(of: Population, name: str, n: int, count: int) -> Iterator[Draws]:
    """The draws of so many samples that have an interval under each key."""
    rng = np.random.default_rng([n, len(name), len(of.name)])
    tried = 0
    while count and tried < 1000:
        tried += 1
        found = draws_of(of, name, of.sample(rng, n), rng)
        if found is not None:
            count -= 1
            yield found


def flips(ends: tuple[Floats, Floats], limit: float) -> float:
    """The share of the keys that say other than most."""
    low, high = ends
    verdicts = np.where(low > limit, 1, np.where(high < limit, 2, 0))
    return float(1 - np.bincount(verdicts, minlength=3).max() / len(verdicts))


@dataclass(frozen=True)
class Noise:
    """What the key decides, of all samples of a size: shares of draws, and widths."""

    before: tuple[float, float]
    after: tuple[float, float]
    width_before: tuple[float, float]
    width_after: tuple[float, float]

    @classmethod
    def of(cls, draws: Sequence[Draws]) -> Noise:
        deltas = np.array([each.delta for each in draws])
        limits = (0.0, float(deltas.mean() - Z * deltas.std()))

        def noise(ends: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
            first, second = (np.mean([flips(both, limit) for both in ends]) for limit in limits)
            return float(first), float(second)

        def widths(ends: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
            ratios = []
            for (low, high), each in zip(ends, draws, strict=True):
                width = high - low
                by = each.delong if np.isfinite(each.delong) else float(np.median(width))
                ratios.append(width / by)
            low, high = np.quantile(np.concatenate(ratios), [0.01, 0.99])
            return float(low), float(high)

        before, after = [each.before for each in draws], [each.after for each in draws]
        return cls(noise(before), noise(after), widths(before), widths(after))


def percent(shares: tuple[float, float]) -> str:
    return " / ".join(f"{100 * share:.1f} %" for share in shares)


def between(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def areas(quick: bool) -> tuple[str, bool]:
    """The table of differences of areas, and whether the key decides anything there."""
    columns = ["positives", "rows", "flips, 20 buckets", "width by DeLong's", "flips", "width"]
    lines, noisy = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)], False
    for share in (0.5, 0.15):
        of = Population(f"{share:.0%}", CLASSES, of_two_classes(share), 4, (), ())
        for n, count in SAMPLES.items():
            if quick and n > QUICK:
                continue
            count = -(-count // 10) if quick else count
            noise = Noise.of(list(samples(of, "roc_auc", n, count)))
            noisy |= max(noise.after) > 0
            cells = [f"{share:.0%}", f"{n:,}", percent(noise.before), between(noise.width_before)]
            cells += [percent(noise.after), between(noise.width_after)]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines), noisy


def others(quick: bool) -> str:
    """The table of what keeps the jackknife."""
    two = Population("two classes", CLASSES, of_two_classes(0.15), 4, (), ())
    three = Population("three classes", THREE, of_three_classes, 10, (), ())
    numbers = Population("numbers", NUMBERS, of_numbers(skewed=False), 3, (), ())
    names: list[tuple[Population, str]] = [
        *((two, name) for name in ("average_precision", "ks_statistic", "f1")),
        *((three, name) for name in ("balanced_accuracy", "f1_macro", "roc_auc_ovr")),
        *((numbers, name) for name in ("r2", "root_mean_squared_error")),
    ]
    columns = ["difference of"]
    for n in OTHERS:
        columns += [f"{n:,} rows: flips", "width by the median"]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for of, name in names:
        cells = [f"`{name}`"]
        for n in OTHERS:
            noise = Noise.of(list(samples(of, name, n, 2 if quick else OTHER_SAMPLES)))
            cells += [percent(noise.after), between(noise.width_after)]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the simulation and writes the page; 1 where the key decides on a difference of areas."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, no page")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page with the two markers")
    options = parser.parse_args(arguments)
    before, begin, rest = options.out.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        parser.error(f"{options.out}: expected the lines {BEGIN!r} and {END!r}")
    of_areas, noisy = areas(options.quick)
    text = f"{of_areas}\n\n{others(options.quick)}"
    if not options.quick:
        options.out.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    return int(noisy)


if __name__ == "__main__":
    sys.exit(main())
