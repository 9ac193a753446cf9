"""How often an interval holds the truth: a simulation of many samples from known populations.

From each population many samples are drawn, weighted or in clusters where it says so. Their rows
take the way that all rows take: states in 20 buckets, one slice for each sample, the metric, its
interval at 95 % and that of its paired difference to a baseline. Counted is how many of the
intervals hold what the metric is in the population.

    python benchmarks/coverage.py [--quick] [--only TEXT] [--out FILE]

writes its tables into the page between two markers. It exits with 1 where coverage is outside the
band that the page promises and not among the exceptions that it names.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from scipy.stats import norm, qmc

from engine.metrics import METRICS, Metric, Problem, Sampling, SliceStates, mean
from engine.metrics.base import REGRESSION, Value
from engine.metrics.inference import comparison_of, spread_of
from engine.states import BUCKETS, Pair, PairFamily, Scored, States
from engine.vocabulary import RowCounts, TaskKind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "intervals.md"
BEGIN, END = "<!-- begin: benchmarks/coverage.py -->", "<!-- end -->"

LEVEL = 0.95
SIZES = (30, 200, 1_000, 10_000, 100_000)
ROWS_AT_ONCE = 1_000_000
CLUSTER = 20
# How alike the rows of a cluster are: the correlation of their latent numbers.
ALIKE = 0.3
SPREAD_OF_WEIGHTS = 0.8
WEIGHT_OF_POSITIVES = 4.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


# Populations


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with the predictions of two models: `scores` of the candidate, then the baseline."""

    truth: NDArray[np.float64] | Ints
    scores: tuple[Floats, Floats]
    weight: Floats | None = None
    cluster: Ints | None = None


Normals = Callable[[int], Floats]


@dataclass(frozen=True, slots=True)
class Population:
    """Where samples come from.

    `rows` makes them of standard normal numbers, [rows] for each that it asks for: those of a
    sample, or a grid over them for the population itself. `weights` is what a row weighs by its
    truth, None where rows have none.
    """

    name: str
    problem: Problem
    make: Callable[[Normals, int], tuple[NDArray[np.float64], tuple[Floats, Floats]]]
    dimensions: int
    metrics: tuple[str, ...]
    pairs: tuple[str, ...]
    sizes: tuple[int, ...] = SIZES
    weights: str = "none"
    clustered: bool = False

    def sample(self, rng: np.random.Generator, rows: int) -> Rows:
        """Rows at random; those of a cluster follow each other."""
        cluster = np.arange(rows) // CLUSTER if self.clustered else None
        draws = self._normals(rng, rows)
        truth, scores = self.make(lambda _: next(draws), rows)
        return Rows(truth, scores, self._weight(truth, rng), cluster)

    def _normals(self, rng: np.random.Generator, rows: int) -> Iterator[Floats]:
        while True:
            own = rng.standard_normal(rows)
            if self.clustered:
                of_cluster = np.repeat(rng.standard_normal(-(-rows // CLUSTER)), CLUSTER)[:rows]
                own = math.sqrt(ALIKE) * of_cluster + math.sqrt(1 - ALIKE) * own
            yield own

    def _weight(self, truth: NDArray[np.float64], rng: np.random.Generator) -> Floats | None:
        if self.weights == "none":
            return None
        weight = self.of_truth(truth)
        return weight * np.exp(SPREAD_OF_WEIGHTS * rng.standard_normal(len(truth)))

    def of_truth(self, truth: NDArray[np.float64]) -> Floats:
        """The part of the weight that hangs on the truth."""
        if self.weights != "of the class":
            return np.ones(len(truth))
        return np.where(truth == self.problem.positive, WEIGHT_OF_POSITIVES, 1.0)

    def whole(self) -> Rows:
        """The population itself: an even grid over the normal numbers."""
        points = ndtri(qmc.Sobol(self.dimensions, seed=1).random_base2(20))
        columns = iter(points.T)
        truth, scores = self.make(lambda _: next(columns), len(points))
        return Rows(truth, scores, self.of_truth(truth))


def binary(positives: float) -> Callable[..., tuple[NDArray[np.float64], tuple[Floats, Floats]]]:
    """Scores that are normal in each class, as probabilities that are a little too sure."""

    def make(normal: Normals, rows: int) -> tuple[NDArray[np.float64], tuple[Floats, Floats]]:
        truth = (normal(rows) > ndtri(1 - positives)).astype(np.int64)
        shared, own, other = normal(rows), normal(rows), normal(rows)
        prior = math.log(positives / (1 - positives))
        scores = []
        for apart, noise in ((1.9, own), (1.7, other)):
            latent = apart * truth + math.sqrt(0.8) * shared + math.sqrt(0.2) * noise
            scores.append(expit(prior + 1.15 * (apart * latent - apart**2 / 2)))
        return truth, tuple(np.stack([1 - p, p], axis=1) for p in scores)

    return make


def three_classes(normal: Normals, rows: int):
    place = normal(rows)
    truth = (place > ndtri(0.6)).astype(np.int64) + (place > ndtri(0.9))
    shared = [normal(rows) for _ in range(3)]
    scores = []
    for apart in (2.0, 1.8):
        logits = np.stack(shared, axis=1) * 0.9 + np.stack([normal(rows) for _ in range(3)], 1) * 0.44
        logits += apart * np.eye(3)[truth] + np.log([0.6, 0.3, 0.1])
        odds = np.exp(1.5 * logits)
        scores.append(odds / odds.sum(1, keepdims=True))
    return truth, tuple(scores)


def values(skewed: bool):
    def make(normal: Normals, rows: int):
        explained, error, other = normal(rows), normal(rows), normal(rows)
        if skewed:
            error = 2 * (np.exp(0.5 * error) - math.exp(0.125))
        truth = 10 + 2 * explained + error
        return truth, (10.1 + 2 * explained, 10.2 + 2 * explained + 0.5 * other)

    return make


def within_one(problem, errors, targets):
    """A user's metric"""
    return Value(errors.mean / targets.mean)


BINARY_TASK = Problem(TaskKind.BINARY, (0, 1))
THREE = Problem(TaskKind.MULTICLASS, (0, 1, 2))
NUMBERS = Problem(TaskKind.REGRESSION)

BINARY_METRICS = (
    "accuracy recall precision f1 log_loss brier_score balanced_accuracy matthews_corrcoef "
    "roc_auc average_precision ece"
).split()
BINARY_PAIRS = (
    "accuracy recall precision log_loss brier_score f1 matthews_corrcoef roc_auc average_precision"
).split()
OF_THREE = ("accuracy", "f1_macro", "balanced_accuracy", "matthews_corrcoef", "log_loss")
OF_NUMBERS = ("mean_absolute_error", "root_mean_squared_error", "r2", "wape", "pearson")

POPULATIONS = [
    Population("half", BINARY_TASK, binary(0.5), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS)),
    Population("15 %", BINARY_TASK, binary(0.15), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS)),
    Population("3 %", BINARY_TASK, binary(0.03), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS), sizes=SIZES[2:]),
    Population("15 %, weights", BINARY_TASK, binary(0.15), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS), weights="lognormal"),
    Population("15 %, class weights", BINARY_TASK, binary(0.15), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS), weights="of the class"),
    Population("15 %, clusters", BINARY_TASK, binary(0.15), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS), clustered=True, sizes=SIZES[1:]),
    Population("half, clusters", BINARY_TASK, binary(0.5), 4, tuple(BINARY_METRICS), tuple(BINARY_PAIRS), clustered=True, sizes=SIZES[1:]),
    Population("three", THREE, three_classes, 10, OF_THREE, OF_THREE),
    Population("three, clusters", THREE, three_classes, 10, OF_THREE, OF_THREE, clustered=True, sizes=SIZES[1:]),
    Population("normal", NUMBERS, values(False), 3, OF_NUMBERS, OF_NUMBERS),
    Population("skewed", NUMBERS, values(True), 3, OF_NUMBERS, OF_NUMBERS),
    Population("normal, weights", NUMBERS, values(False), 3, OF_NUMBERS, OF_NUMBERS, weights="lognormal"),
    Population("skewed, weights", NUMBERS, values(True), 3, OF_NUMBERS, OF_NUMBERS, weights="lognormal"),
    Population("normal, clusters", NUMBERS, values(False), 3, OF_NUMBERS, OF_NUMBERS, clustered=True, sizes=SIZES[1:]),
    Population("skewed, clusters", NUMBERS, values(True), 3, OF_NUMBERS, OF_NUMBERS, clustered=True, sizes=SIZES[1:]),
]


# From rows to intervals


def scored(problem: Problem, rows: Rows, which: int, bucket: Ints) -> Scored:
    scores = rows.scores[which]
    predicted = scores.argmax(axis=1) if problem.n_classes else None
    weight = np.ones(len(bucket)) if rows.weight is None else rows.weight
    return Scored(rows.truth, weight, bucket, scores, predicted, rows.weight is None)


def states_of(of: Population, rows: Rows, bucket: Ints, samples: int) -> Iterator[SliceStates]:
    """The states of the candidate on each of so many samples, the baseline's beside them."""
    groups = np.arange(len(bucket)) // (len(bucket) // samples)
    pair = Pair(*(scored(of.problem, rows, which, bucket) for which in (1, 0)))
    families = {}
    for name in {*of.metrics, *of.pairs}:
        for family in METRICS.get(name).families(of.problem, compared=True):
            families[family.key] = family
    made: list[dict[str, States]] = [{}, {}]
    for key, family in families.items():
        if isinstance(family, PairFamily):
            made[0][key] = family.of(pair, groups, samples)
            continue
        for which, batch in enumerate((pair.candidate, pair.baseline)):
            made[which][key] = family.of(batch, groups, samples)
    sizes = np.bincount(groups * BUCKETS + bucket, pair.candidate.weight, samples * BUCKETS)
    sizes = sizes.reshape(samples, BUCKETS)
    sampling = Sampling(rows.weight is not None, of.clustered, CLUSTER if of.clustered else 1.0)
    for each in range(samples):
        counts = RowCounts(len(bucket) // samples, float(sizes[each].sum()))
        about = {"buckets": sizes[each], "sampling": sampling}
        mine, others = ({key: value.take(each) for key, value in m.items()} for m in made)
        yield SliceStates(counts, mine, baseline=SliceStates(counts, others, **about), **about)


def truths(of: Population) -> tuple[dict[str, float], dict[str, float]]:
    """What each metric is in the population, of the candidate and of the baseline."""
    rows = of.whole()
    bucket = np.arange(len(rows.truth)) % BUCKETS
    states = next(states_of(of, rows, bucket, 1))
    found = []
    assert states.baseline is not None
    for each in (states, states.baseline):
        found.append({n: METRICS.get(n).value(of.problem, each).value for n in {*of.metrics, *of.pairs}})
    return found[0], found[1]


def simulate(of: Population, n: int, samples: int, seed: int, names=None):
    rng = np.random.default_rng([seed, n])
    own, other = truths_cached(of)
    found = defaultdict(list)
    left = samples
    while left > 0:
        some = max(1, min(left, ROWS_AT_ONCE // n))
        left -= some
        rows = of.sample(rng, some * n)
        if of.clustered:
            bucket = np.repeat(rng.integers(0, BUCKETS, some * n // CLUSTER), CLUSTER)
        else:
            bucket = rng.integers(0, BUCKETS, some * n)
        for states in states_of(of, rows, bucket, some):
            for name in of.metrics:
                metric = METRICS.get(name)
                value = metric.value(of.problem, states).value
                if value is None:
                    found[name, "value"].append((np.nan, np.nan, np.nan)); continue
                spread = spread_of(metric, of.problem, states)
                ends = (np.nan, np.nan) if spread is None else spread.interval(LEVEL)
                found[name, "value"].append((value, *ends))
            for name in of.pairs:
                metric = METRICS.get(name)
                if metric.value(of.problem, states).value is None or metric.value(of.problem, states.baseline).value is None:
                    found[name, "delta"].append((np.nan, np.nan, np.nan)); continue
                c = comparison_of(metric, of.problem, states)
                ends = (np.nan, np.nan) if c is None else c.spread.interval(LEVEL)
                found[name, "delta"].append((np.nan if c is None else c.delta, *ends))
    for (name, what), rows_ in found.items():
        arr = np.array(rows_)
        truth = own[name] - (other[name] if what == "delta" else 0.0)
        yield name, what, truth, arr

_T = {}
def truths_cached(of):
    if of.name not in _T:
        _T[of.name] = truths(of)
    return _T[of.name]

if __name__ == "__main__":
    import time, pickle
    reps = {30: 2000, 200: 2000, 1000: 1000, 10_000: 300, 100_000: 60}
    sizes = [int(x) for x in sys.argv[1].split(",")]
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    factor = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    for of in POPULATIONS:
        if only and of.name not in only.split(";"):
            continue
        for n in of.sizes:
            if n not in sizes: continue
            t = time.time()
            reps_ = int(reps[n] * factor)
            lines = []
            for name, what, truth, arr in simulate(of, n, reps_, 1):
                ok = np.isfinite(arr[:, 1]) | np.isfinite(arr[:, 2])
                hold = (arr[ok, 1] <= truth + 1e-12) & (truth - 1e-12 <= arr[ok, 2])
                lo = (arr[ok, 1] > truth).mean(); hi = (arr[ok, 2] < truth).mean()
                sd = np.nanstd(arr[ok, 0])
                width = (arr[ok, 2] - arr[ok, 1]).mean() / (3.92 * sd)
                cov = hold.mean(); se = math.sqrt(cov * (1 - cov) / ok.sum())
                flag = "  " if .93 <= cov <= .97 else "**"
                lines.append(f"{flag}{of.name:20s} {n:6d} {what:5s} {name:24s} cov {100*cov:5.1f} ±{100*se:.1f} miss lo {100*lo:.1f} hi {100*hi:.1f} w {width:.2f} none {100*(1-ok.mean()):.1f}% truth {truth:.4f} bias/sd {(np.nanmean(arr[ok,0])-truth)/sd:+.2f}")
            print("\n".join(lines)); print(f"-- {time.time()-t:.1f} s", flush=True)
