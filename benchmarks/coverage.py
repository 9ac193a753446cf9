"""How often an interval holds the truth: a simulation of many samples from known populations.

From each population many samples are drawn, with weights or in clusters where it says so. Their
rows take the way that all rows take: states in 20 buckets, a slice for each sample, the metric, its
interval at 95 % and that of its paired difference to a baseline. Counted is how many of the
intervals hold what the metric is in the population.

    python benchmarks/coverage.py [--quick] [--only TEXT] [--out FILE]

writes its tables into the page between two markers. It exits with 1 where coverage leaves the band
that the page promises and is not among the exceptions that the page names.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from populations import ALL, CLUSTER, SHARES, Population, Rows, metric_of, populations
from scipy.special import ndtri

from engine.core.vocabulary import RowCounts
from engine.metrics import Metric, Problem, Sampling, SliceStates, comparison_of, spread_of
from engine.states import BUCKETS, Ints, Pair, PairFamily, Scored, States
from engine.statistics import Share

PAGE = Path(__file__).resolve().parent.parent / "docs" / "intervals.md"
BEGIN, END = "<!-- begin: benchmarks/coverage.py -->", "<!-- end -->"

LEVEL = 0.95
BAND, LEAST_OF_FEW = (0.93, 0.97), 0.90
FEW = 30
# How many samples of each size; a tenth of them, and none of the largest, with --quick.
SAMPLES = {FEW: 2000, 200: 2000, 1_000: 2000, 10_000: 1000, 100_000: 300}
ROWS_AT_ONCE = 1_000_000

Truths = dict[str, tuple[float, float]]

# What is outside of the band, and up to how many rows: docs/intervals.md says why.
EXCEPTIONS = {
    ("15 % positive", "ece"): 200,
    ("15 % positive, weights", "ece"): 200,
    ("15 % positive, clusters", "ece"): 200,
    ("3 % positive", "difference of precision"): 1_000,
    ("skewed errors", "root_mean_squared_error"): 200,
    ("skewed errors, weights", "root_mean_squared_error"): 1_000,
    ("skewed errors, clusters", "root_mean_squared_error"): 1_000,
}


# From rows to intervals


def scored(problem: Problem, rows: Rows, which: int, bucket: Ints) -> Scored:
    """The rows with the predictions of one of the models."""
    scores = rows.scores[which]
    predicted = scores.argmax(axis=1) if problem.n_classes else None
    weight = np.ones(len(bucket)) if rows.weight is None else rows.weight
    return Scored(rows.truth, weight, bucket, scores, predicted, rows.weight is None)


def states_of(of: Population, rows: Rows, bucket: Ints, samples: int) -> Iterator[SliceStates]:
    """The states of the candidate on each of so many samples, the baseline's beside them."""
    n = len(bucket) // samples
    groups = np.arange(len(bucket)) // n
    pair = Pair(scored(of.problem, rows, 1, bucket), scored(of.problem, rows, 0, bucket))
    made: tuple[dict[str, States], dict[str, States]] = ({}, {})
    for name in dict.fromkeys((*of.metrics, *of.pairs)):
        for family in metric_of(name).families(of.problem, compared=True):
            if isinstance(family, PairFamily):
                made[0][family.key] = family.of(pair, groups, samples)
            elif family.key not in made[0]:
                for into, batch in zip(made, (pair.candidate, pair.baseline), strict=True):
                    into[family.key] = family.of(batch, groups, samples)
    cells = groups * BUCKETS + bucket
    sizes = np.bincount(cells, pair.candidate.weight, samples * BUCKETS).reshape(samples, BUCKETS)
    sampling = Sampling(rows.weight is not None, of.clustered, CLUSTER if of.clustered else 1.0)
    for each in range(samples):
        about: Any = {"buckets": sizes[each], "sampling": sampling}
        counts = RowCounts(n, float(sizes[each].sum()))
        own, other = ({key: states.take(each) for key, states in m.items()} for m in made)
        yield SliceStates(counts, own, baseline=SliceStates(counts, other, **about), **about)


def truths_of(of: Population) -> Truths:
    """What each metric is in the population, of the candidate and of the baseline."""
    rows = of.whole()
    bucket = np.arange(len(rows.truth)) % BUCKETS
    states = next(states_of(of, rows, bucket, 1))
    assert states.baseline is not None, "a population has two models"
    found: dict[str, Any] = {}
    for name in of.metrics:
        metric = metric_of(name)
        both = (metric.value(of.problem, each).value for each in (states, states.baseline))
        found[name] = tuple(both)
    return found


# Estimate, and the ends of the interval; NaN where there is none.
Found = tuple[float, float, float]
NOTHING: Found = (math.nan, math.nan, math.nan)


def value_of(metric: Metric, problem: Problem, states: SliceStates) -> Found | None:
    """A metric with its interval; None where it is undefined."""
    value = metric.value(problem, states).value
    if value is None:
        return None
    spread = spread_of(metric, problem, states)
    return NOTHING if spread is None else (value, *spread.interval(LEVEL))


def delta_of(metric: Metric, problem: Problem, states: SliceStates) -> Found | None:
    """A paired difference with its interval; None where one of the two is undefined."""
    assert states.baseline is not None, "samples have two models"
    if any(metric.value(problem, each).value is None for each in (states, states.baseline)):
        return None
    compared = comparison_of(metric, problem, states)
    return NOTHING if compared is None else (compared.delta, *compared.spread.interval(LEVEL))


Key = tuple[str, bool]


def simulate(of: Population, n: int, samples: int) -> dict[Key, list[Found]]:
    """What came out of each sample, by metric and whether it is the difference."""
    rng = np.random.default_rng([n, *of.name.encode()])
    found: dict[Key, list[Found]] = defaultdict(list)
    left = samples
    while left > 0:
        some = max(1, min(left, ROWS_AT_ONCE // n))
        left -= some
        rows = of.sample(rng, some * n)
        together = CLUSTER if of.clustered else 1
        bucket = np.repeat(rng.integers(0, BUCKETS, some * n // together), together)
        for states in states_of(of, rows, bucket, some):
            for name in of.metrics:
                if (one := value_of(metric_of(name), of.problem, states)) is not None:
                    found[name, False].append(one)
            for name in of.pairs:
                if (one := delta_of(metric_of(name), of.problem, states)) is not None:
                    found[name, True].append(one)
    return found


# The tables


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how many intervals what share holds the truth, and how wide they are.

    `width` is their mean width by that of an interval whose standard error is known: 2 x 1.96
    times what the estimates really spread by. `without` is the share that has no interval.
    """

    share: float
    count: int
    width: float
    without: float

    @classmethod
    def of(cls, found: Sequence[Found], truth: float) -> Coverage:
        estimate, low, high = np.array(found).T
        has = ~np.isnan(low)
        held = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
        ideal = 2 * ndtri((1 + LEVEL) / 2) * estimate[has].std()
        width = float(np.mean(high[has] - low[has]) / ideal)
        return cls(float(held[has].mean()), int(has.sum()), width, float(1 - has.mean()))

    def ends(self, level: float) -> tuple[float, float]:
        """Between what it can be, after so many samples."""
        return Share(self.share * self.count, self.count).interval(level)

    def outside(self, n: int, name: str) -> bool:
        """Whether it is surely outside of what is promised."""
        low, high = self.ends(0.99)
        if n == FEW:
            return name in SHARES and high < LEAST_OF_FEW
        return high < BAND[0] or low > BAND[1]

    def text(self, n: int) -> str:
        """A cell of the table; bold outside of the band."""
        low, high = self.ends(LEVEL)
        shown = f"{100 * self.share:.1f} ± {50 * (high - low):.1f}"
        shown = shown if BAND[0] <= self.share <= BAND[1] else f"**{shown}**"
        missing = f", {100 * self.without:.0f} % none" if self.without >= 0.005 else ""
        return f"{shown} ({self.width:.2f}{missing})"


def section(of: Population, truths: Truths, quick: bool) -> tuple[str, list[str]]:
    """A population's table as Markdown, and what in it is outside of what is promised."""
    sizes = [n for n in of.sizes if not (quick and n == ALL[-1])]
    by_size = {n: simulate(of, n, SAMPLES[n] // (10 if quick else 1)) for n in sizes}
    columns = ["metric", "in the population", *(f"{n:,} rows" for n in sizes)]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    outside = []
    for name, paired in [*((m, False) for m in of.metrics), *((m, True) for m in of.pairs)]:
        own, other = truths[name]
        truth = own - other if paired else own
        title = f"difference of {name}" if paired else name
        cells = []
        for n in sizes:
            covered = Coverage.of(by_size[n][name, paired], truth)
            cells.append(covered.text(n))
            if covered.outside(n, title) and n > EXCEPTIONS.get((of.name, title), 0):
                outside.append(f"{of.name}, {n:,} rows, {title}: {covered.text(n)}")
        lines.append(f"| {' | '.join([title, f'{truth:.4f}', *cells])} |")
    return "\n".join([f"### {of.name[0].upper()}{of.name[1:]}", "", *lines]), outside


def tables(of: Sequence[Population], quick: bool) -> tuple[str, list[str]]:
    """All tables, and what in them is outside of what is promised."""
    known: dict[tuple[int, str], Truths] = {}
    sections, outside = [], []
    for each in of:
        key = (id(each.make), "" if each.weights == "of rows" else each.weights)
        if key not in known:
            known[key] = truths_of(each)
        text, more = section(each, known[key], quick)
        print(f"{text}\n", flush=True)
        sections.append(text)
        outside += more
    return "\n\n".join(sections), outside


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the simulation and writes the page; 1 where coverage is not what is promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, no page")
    parser.add_argument("--only", default="", help="populations whose name has this; no page")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page with the two markers")
    options = parser.parse_args(arguments)
    before, begin, rest = options.out.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        parser.error(f"{options.out}: expected the lines {BEGIN!r} and {END!r}")
    chosen = [each for each in populations() if options.only in each.name]
    if not chosen:
        parser.error(f"--only {options.only!r}: no such population")
    text, outside = tables(chosen, options.quick)
    if not (options.quick or options.only):
        options.out.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    for line in outside:
        print(f"outside of what is promised: {line}", file=sys.stderr)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
