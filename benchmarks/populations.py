"""Populations from which the simulation of intervals draws its samples.

Two models are measured on each: a candidate, and a baseline that is a little worse and errs on
mostly the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from scipy.stats import qmc

from engine.core.vocabulary import TaskKind
from engine.metrics import METRICS, Metric, Problem, mean
from engine.metrics.base import REGRESSION
from engine.metrics.regression import excess, target
from engine.states import Floats, MomentsView

# The sizes of sample that the tables have.
ALL = (30, 200, 1_000, 10_000, 100_000)
CLUSTER = 20
# How alike the rows of a cluster are: the correlation of their latent numbers.
ALIKE = 0.3
# The weights of rows are lognormal; or they are those of the class.
SPREAD_OF_WEIGHTS = 0.6
WEIGHT_OF_POSITIVES = 4.0

Numbers = NDArray[Any]
Normals = Callable[[int], Floats]
Both = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with the predictions of two models: `scores` of the candidate, then the baseline."""

    truth: Numbers
    scores: Both
    weight: Floats | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """Where samples come from.

    `make` turns standard normal numbers into truths and the scores of both models. It asks for
    [rows] of them as often as it needs, `dimensions` times: at random for a sample, from an even
    grid for the population itself.
    """

    name: str
    problem: Problem
    make: Callable[[Normals, int], tuple[Numbers, Both]]
    dimensions: int
    metrics: tuple[str, ...]
    pairs: tuple[str, ...]
    sizes: tuple[int, ...] = ALL
    weights: str = "none"
    clustered: bool = False

    def sample(self, rng: np.random.Generator, rows: int) -> Rows:
        """Rows at random; those of a cluster follow each other."""

        def normals(count: int) -> Floats:
            own = rng.standard_normal(count)
            if not self.clustered:
                return own
            of_cluster = np.repeat(rng.standard_normal(count // CLUSTER), CLUSTER)
            return math.sqrt(ALIKE) * of_cluster + math.sqrt(1 - ALIKE) * own

        truth, scores = self.make(normals, rows)
        weight = None if self.weights == "none" else self.weight_of(truth)
        if self.weights == "of rows":
            weight = np.exp(SPREAD_OF_WEIGHTS * rng.standard_normal(rows))
        return Rows(truth, scores, weight)

    def weight_of(self, truth: Numbers) -> Floats:
        """The weight that hangs on the truth; the population has no other."""
        if self.weights != "of the class":
            return np.ones(len(truth))
        return np.where(truth == self.problem.positive, WEIGHT_OF_POSITIVES, 1.0)

    def whole(self) -> Rows:
        """The population itself, up to what an even grid of a million points leaves open."""
        points = ndtri(qmc.Sobol(self.dimensions, seed=1).random_base2(20))
        columns = iter(points.T)
        truth, scores = self.make(lambda _: next(columns), len(points))
        return Rows(truth, scores, self.weight_of(truth))


def of_two_classes(positives: float) -> Callable[[Normals, int], tuple[Numbers, Both]]:
    """Scores that are normal in each class, as probabilities that are a little too sure."""

    def make(normal: Normals, rows: int) -> tuple[Numbers, Both]:
        truth = (normal(rows) > ndtri(1 - positives)).astype(np.int64)
        shared = normal(rows)

        def scores(apart: float) -> Floats:
            latent = apart * truth + math.sqrt(0.8) * shared + math.sqrt(0.2) * normal(rows)
            odds = math.log(positives / (1 - positives)) + apart * latent - apart**2 / 2
            p = expit(1.15 * odds)
            return np.stack([1 - p, p], axis=1)

        return truth, (scores(1.9), scores(1.7))

    return make


def of_three_classes(normal: Normals, rows: int) -> tuple[Numbers, Both]:
    """Classes of 60, 30 and 10 %."""
    place = normal(rows)
    truth = (place > ndtri(0.6)).astype(np.int64) + (place > ndtri(0.9))
    shared = np.stack([normal(rows) for _ in range(3)], axis=1)

    def scores(apart: float) -> Floats:
        own = np.stack([normal(rows) for _ in range(3)], axis=1)
        latent = math.sqrt(0.8) * shared + math.sqrt(0.2) * own + apart * np.eye(3)[truth]
        odds = np.exp(1.5 * (latent + np.log([0.6, 0.3, 0.1])))
        return odds / odds.sum(axis=1, keepdims=True)

    return truth, (scores(2.0), scores(1.8))


def of_numbers(skewed: bool) -> Callable[[Normals, int], tuple[Numbers, Both]]:
    """Targets around predictions, with normal errors or with lognormal ones of skewness 1.75."""

    def make(normal: Normals, rows: int) -> tuple[Numbers, Both]:
        explained, error = 2 * normal(rows), normal(rows)
        if skewed:
            error = 2 * (np.exp(0.5 * error) - math.exp(0.125))
        return 10 + explained + error, (10.1 + explained, 10.2 + explained + 0.5 * normal(rows))

    return make


def own_ratio(problem: Problem, errors: MomentsView, targets: MomentsView) -> Floats:
    """A metric as a user writes one: the sum of the errors by that of the targets."""
    return errors.mean / targets.mean


OWN_RATIO = Metric(
    "own_ratio",
    REGRESSION,
    lambda problem: (mean(excess, problem), mean(target, problem)),
    own_ratio,
)


def metric_of(name: str) -> Metric:
    """A registered metric, or the user's own."""
    return OWN_RATIO if name == OWN_RATIO.name else METRICS.get(name)


CLASSES = Problem(TaskKind.BINARY, (0, 1))
THREE = Problem(TaskKind.MULTICLASS, (0, 1, 2))
NUMBERS = Problem(TaskKind.REGRESSION)

# What the page promises something of at n = 30.
SHARES = ("accuracy", "recall", "precision")
OF_CLASSES = (
    *(*SHARES, "f1", "balanced_accuracy", "matthews_corrcoef", "log_loss", "brier_score"),
    *("roc_auc", "average_precision"),
)
OF_THREE = ("accuracy", "balanced_accuracy", "f1_macro", "matthews_corrcoef", "log_loss")
OF_NUMBERS = ("mean_absolute_error", "root_mean_squared_error", "r2", "pearson", "own_ratio")


def populations() -> Iterator[Population]:
    """All of them, with the sizes of sample that the table has."""
    half, some, rare = (
        Population(name, CLASSES, of_two_classes(share), 4, (*OF_CLASSES, "ece"), OF_CLASSES)
        for name, share in (("half positive", 0.5), ("15 % positive", 0.15), ("3 % positive", 0.03))
    )
    yield replace(half, sizes=ALL[:4])
    yield some
    yield replace(rare, sizes=ALL[2:])
    yield replace(some, name=f"{some.name}, weights", weights="of rows", sizes=ALL[:4])
    yield replace(some, name=f"{some.name}, class weights", weights="of the class", sizes=ALL[:4])
    yield replace(some, name=f"{some.name}, clusters", clustered=True, sizes=ALL[1:4])
    three = Population("three classes", THREE, of_three_classes, 10, OF_THREE, OF_THREE, ALL[:4])
    yield three
    yield replace(three, name=f"{three.name}, clusters", clustered=True, sizes=ALL[1:4])
    normal, skewed = (
        Population(name, NUMBERS, of_numbers(skewed), 3, OF_NUMBERS, OF_NUMBERS)
        for name, skewed in (("normal errors", False), ("skewed errors", True))
    )
    yield normal
    yield skewed
    yield replace(skewed, name=f"{skewed.name}, weights", weights="of rows", sizes=ALL[:4])
    for each in (normal, skewed):
        yield replace(each, name=f"{each.name}, clusters", clustered=True, sizes=ALL[1:])
