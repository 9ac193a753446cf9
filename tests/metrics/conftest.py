"""Rows as a user has them, and the road from rows through states to a metric's value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import engine.states.score_histogram as ranking
from engine.core.vocabulary import Label, RowCounts, TaskKind
from engine.metrics import METRICS, Metric, Problem, SliceStates
from engine.states import BUCKETS, Family, Scored, States, decode


@dataclass(frozen=True)
class Rows:
    """Labels, targets and predictions of rows, as scikit-learn takes them.

    `truth` and `predicted` hold class indices; `labels` and `predictions` the classes themselves.
    """

    truth: np.ndarray
    weight: np.ndarray
    bucket: np.ndarray
    scores: np.ndarray
    classes: tuple[Label, ...] = ()
    positive: int = 1
    unweighted: bool = False
    predicted: np.ndarray = field(init=False)
    made: dict[Any, Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        regression = self.scores.ndim == 1
        predicted = self.scores if regression else self.scores.argmax(axis=1)
        object.__setattr__(self, "predicted", predicted)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def problem(self) -> Problem:
        kinds = {0: TaskKind.REGRESSION, 2: TaskKind.BINARY}
        return Problem(
            kinds.get(len(self.classes), TaskKind.MULTICLASS), self.classes, self.positive
        )

    @property
    def labels(self) -> np.ndarray:
        return np.array(self.classes)[self.truth]

    @property
    def predictions(self) -> np.ndarray:
        return np.array(self.classes)[self.predicted]

    def at(self, which: np.ndarray) -> Rows:
        return Rows(
            self.truth[which],
            self.weight[which],
            self.bucket[which],
            self.scores[which],
            self.classes,
            self.positive,
            self.unweighted,
        )

    def scored(self) -> Scored:
        predicted = self.predicted if self.classes else None
        return Scored(self.truth, self.weight, self.bucket, self.scores, predicted, self.unweighted)


def states_of(metric: Metric, rows: Rows) -> SliceStates:
    """The states a metric needs, made in three unequal batches, merged and sent as bytes."""
    states = {}
    for family in metric.needs(rows.problem):
        key = (family.key, loss_of(family), ranking.EXACT_SCORES, ranking.FINE_BITS)
        if key not in rows.made:
            rows.made[key] = sent(family, rows)
        states[family.key] = rows.made[key]
    return SliceStates(RowCounts(len(rows), float(rows.weight.sum())), states)


def loss_of(family: Family) -> Any:
    """What tells a family's loss from another of its name: its code, and what it was made with."""
    function = getattr(family, "function", None)
    if function is None:
        return None
    return function.__code__, tuple(cell.cell_contents for cell in function.__closure__ or ())


def sent(family: Family, rows: Rows) -> States:
    batch, part = rows.scored(), np.arange(len(rows)) % 7 % 3
    total = family.zero(1)
    for each in range(3):
        of = np.flatnonzero(part == each)
        total = total.merge(family.of(batch.at(of), np.zeros(len(of), np.int64), 1))
    return decode(total.take(0).encode())


@dataclass(frozen=True)
class Measure:
    """What tests need of a metric by name."""

    def __call__(self, name: str, rows: Rows) -> Any:
        metric = METRICS.get(name)
        return metric.value(rows.problem, states_of(metric, rows))

    def replicates(self, name: str, rows: Rows) -> np.ndarray:
        # Of metrics without intervals nobody else asks for them.
        metric = replace(METRICS.get(name), intervals=True)
        return metric.figures(rows.problem, states_of(metric, rows)).replicates[0]

    def states(self, name: str, rows: Rows) -> SliceStates:
        return states_of(METRICS.get(name), rows)


@pytest.fixture(scope="session")
def measure() -> Measure:
    """Measures a metric by name on rows, through states, merges and bytes."""
    return Measure()


@pytest.fixture(scope="session")
def rows_from() -> Callable[..., Rows]:
    """Makes rows of arrays: weights default to none, buckets to a cycle."""

    def make(
        truth: Any,
        scores: Any,
        *,
        classes: tuple[Label, ...] = (),
        weight: Any = None,
        bucket: Any = None,
        positive: int = 1,
    ) -> Rows:
        truth = np.asarray(truth, np.int64 if classes else np.float64)
        scores = np.asarray(scores, np.float64)
        if len(classes) == 2 and scores.ndim == 1:
            pair = [1 - scores, scores] if positive == 1 else [scores, 1 - scores]
            scores = np.stack(pair, axis=1)
        n = len(truth)
        return Rows(
            truth,
            np.ones(n) if weight is None else np.asarray(weight, np.float64),
            np.arange(n) % BUCKETS if bucket is None else np.asarray(bucket, np.int64),
            scores,
            classes,
            positive,
            weight is None,
        )

    return make


@pytest.fixture(scope="session")
def random_rows(rows_from: Callable[..., Rows]) -> Callable[..., Rows]:
    """Makes random rows: scores that know something, with ties, some classes rare."""

    def make(
        seed: int,
        n: int = 300,
        *,
        classes: tuple[Label, ...] = (),
        weights: str = "none",
        positive: int = 1,
        decimals: int = 2,
    ) -> Rows:
        rng = np.random.default_rng(seed)
        weight = {
            "none": None,
            "random": rng.uniform(0.01, 3.0, n),
            "zeros": rng.choice([0.0, 0.5, 1.0, 2.0], n),
        }[weights]
        bucket = rng.integers(0, BUCKETS, n)
        if not classes:
            truth = rng.normal(3.0, 2.0, n)
            scores = truth + rng.normal(0.2, 1.0, n)
            return rows_from(truth, scores, weight=weight, bucket=bucket)
        k = len(classes)
        truth = rng.choice(k, n, p=(np.arange(k) + 1) / (k * (k + 1) / 2))
        scores = rng.exponential(size=(n, k)) + 1.5 * np.eye(k)[truth] * rng.random((n, 1))
        scores = np.round(scores / scores.sum(1, keepdims=True), decimals)
        scores[:, 0] = 1 - scores[:, 1:].sum(1)
        scores = np.abs(np.round(scores, 12))
        scores /= scores.sum(1, keepdims=True)
        return rows_from(
            truth, scores, classes=classes, weight=weight, bucket=bucket, positive=positive
        )

    return make


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(METRICS, "_things", dict(METRICS._things))
    monkeypatch.setattr(METRICS, "_aliases", dict(METRICS._aliases))
    monkeypatch.setattr(METRICS, "_patterns", list(METRICS._patterns))
    monkeypatch.setattr(METRICS, "_loaded", set(METRICS._loaded))
