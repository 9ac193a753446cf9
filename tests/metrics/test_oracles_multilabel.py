"""Metrics of rows with any number of labels against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.vocabulary import MetricValue, RowCounts, TaskKind
from engine.metrics import METRICS, Problem, SliceStates, comparison_of
from engine.states import BUCKETS, Pair, Scored, decode


@dataclass(frozen=True)
class LabelRows:
    """Rows with labels and the probability of each."""

    truth: np.ndarray
    scores: np.ndarray
    weight: np.ndarray
    bucket: np.ndarray
    unweighted: bool = False

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def predicted(self) -> np.ndarray:
        return (self.scores >= 0.5).astype(np.int64)

    @property
    def problem(self) -> Problem:
        return Problem(TaskKind.MULTILABEL, tuple("abcdefghij"[: self.truth.shape[1]]))

    def at(self, which: np.ndarray) -> LabelRows:
        columns = (self.truth, self.scores, self.weight, self.bucket)
        return LabelRows(*(each[which] for each in columns), unweighted=self.unweighted)

    def scored(self) -> Scored:
        return Scored(
            self.truth, self.weight, self.bucket, self.scores, self.predicted, self.unweighted
        )


def make(seed: int, n: int = 200, k: int = 5, *, weights: str = "zeros") -> LabelRows:
    """Random rows: ties of scores, a label that is rare and one that is not there at all."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, k)) < np.linspace(0.6, 0.02, k)).astype(np.int64)
    truth[:, -1] = 0
    scores = np.round(np.clip(0.4 * truth + 0.6 * rng.random((n, k)) - 0.05, 0, 1), 1)
    scores[:, -1] *= 0.4
    weight = {
        "none": np.ones(n),
        "random": rng.uniform(0.01, 3.0, n),
        "zeros": rng.choice([0.0, 0.5, 1.0, 2.0], n),
    }[weights]
    return LabelRows(truth, scores, weight, rng.integers(0, BUCKETS, n), weights == "none")


def states_of(name: str, rows: LabelRows) -> SliceStates:
    """States made in three unequal batches, merged and sent as bytes."""
    batch, states = rows.scored(), {}
    part = np.arange(len(rows)) % 7 % 3
    for family in METRICS.get(name).needs(rows.problem):
        total = family.zero(1)
        for each in range(3):
            of = np.flatnonzero(part == each)
            total = total.merge(family.of(batch.at(of), np.zeros(len(of), np.int64), 1))
        states[family.key] = decode(total.take(0).encode())
    return SliceStates(RowCounts(len(rows), float(rows.weight.sum())), states)


def measure(name: str, rows: LabelRows) -> MetricValue:
    return METRICS.get(name).value(rows.problem, states_of(name, rows))


Oracle = Callable[[Any], float | str]


def averaged(function: Callable[..., float], average: str) -> Oracle:
    def oracle(rows: LabelRows) -> float | str:
        if average == "weighted" and not rows.truth.any():
            return "one_class"
        if average != "samples" and not (rows.truth | rows.predicted).any():
            return "one_class"
        return function(
            rows.truth,
            rows.predicted,
            average=average,
            sample_weight=rows.weight,
            zero_division=0.0,
        )

    return oracle


def of_predictions(function: Callable[..., float]) -> Oracle:
    return lambda rows: function(rows.truth, rows.predicted, sample_weight=rows.weight)


def of_scores(function: Callable[..., float]) -> Oracle:
    return lambda rows: function(rows.truth, rows.scores, sample_weight=rows.weight)


def log_loss(rows: LabelRows) -> float:
    each = [
        sk.log_loss(truth, scores, labels=[0, 1], sample_weight=rows.weight)
        for truth, scores in zip(rows.truth.T, rows.scores.T, strict=True)
    ]
    return float(np.mean(each))


FUNCTIONS = {"f1": sk.f1_score, "jaccard": sk.jaccard_score}

ORACLES: dict[str, Oracle] = {
    **{
        f"multilabel_{name}_{average}": averaged(function, average)
        for name, function in FUNCTIONS.items()
        for average in ("micro", "macro", "weighted", "samples")
    },
    "hamming_loss": of_predictions(sk.hamming_loss),
    "subset_accuracy": of_predictions(sk.accuracy_score),
    "multilabel_log_loss": log_loss,
    "label_ranking_average_precision": of_scores(sk.label_ranking_average_precision_score),
    "coverage_error": of_scores(sk.coverage_error),
    "label_ranking_loss": of_scores(sk.label_ranking_loss),
}

PATTERNS: dict[str, Callable[..., float | str]] = {}


def check(name: str, rows: LabelRows) -> None:
    some = rows.at(np.flatnonzero(rows.weight > 0))
    measured = measure(name, rows)
    if not len(some):
        expected: float | str = "zero_weight" if len(rows) else "empty"
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ORACLES[name](some)
    if isinstance(expected, str):
        assert (measured.value, measured.reason) == (None, expected), name
    else:
        assert measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        assert measured.error_bound == 0.0


@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
@pytest.mark.parametrize("name", ORACLES)
def test_random_rows(name: str, weights: str) -> None:
    for seed in range(3):
        check(name, make(seed, k=4 + seed, weights=weights))


@pytest.mark.parametrize("name", ORACLES)
def test_few_rows_and_none(name: str) -> None:
    rows = make(2, 40)
    for which in ([], *([i] for i in range(12)), *([i, i + 1] for i in range(12))):
        check(name, rows.at(np.array(which, np.int64)))


@settings(max_examples=80)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 8),
    st.integers(2, 4),
    st.sampled_from(["nothing true", "all true", "nothing predicted", "any"]),
)
def test_small_rows(seed: int, n: int, k: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    truth = {"nothing true": np.zeros((n, k)), "all true": np.ones((n, k))}.get(
        shape, rng.integers(0, 2, (n, k))
    )
    scores = rng.choice([0.0, 0.2, 0.5, 1.0], (n, k))
    if shape == "nothing predicted":
        scores = np.minimum(scores, 0.2)
    weight, bucket = rng.choice([0.0, 0.3, 1.0, 2.5], n), rng.integers(0, BUCKETS, n)
    rows = LabelRows(truth.astype(np.int64), scores, weight, bucket)
    for name in ORACLES:
        check(name, rows)


@pytest.mark.parametrize("name", ORACLES)
def test_a_replicate_is_the_metric_without_its_bucket(name: str) -> None:
    rows = make(3, 80)
    replicates = METRICS.get(name).figures(rows.problem, states_of(name, rows)).replicates[0]
    for b in range(-1, BUCKETS):
        kept = rows.at(np.flatnonzero((rows.bucket != b) & (rows.weight > 0)))
        assert replicates[1 + b] == pytest.approx(ORACLES[name](kept), rel=1e-9), b


@pytest.mark.parametrize("name", ["subset_accuracy", "hamming_loss", "multilabel_f1_samples"])
def test_means_are_compared_row_by_row(name: str) -> None:
    rows = make(4, 300, weights="none")
    other = LabelRows(rows.truth, rows.scores[::-1].copy(), rows.weight, rows.bucket, True)
    metric = METRICS.get(name)
    (family,) = metric.paired(rows.problem)
    pair = Pair(other.scored(), rows.scored())
    pairs = family.of(pair, np.zeros(len(rows), np.int64), 1)
    own, base = states_of(name, rows), states_of(name, other)
    states = SliceStates(own.counts[0], {**own.families, family.key: pairs}, baseline=base)
    comparison = comparison_of(metric, rows.problem, states)
    of_row = [
        np.array([ORACLES[name](each.at(np.array([i]))) for i in range(len(rows))])
        for each in (rows, other)
    ]
    gaps = of_row[0] - of_row[1]
    assert comparison.delta == pytest.approx(gaps.mean(), rel=1e-9)
    assert comparison.se_delta == pytest.approx(gaps.std(ddof=1) / len(gaps) ** 0.5, rel=1e-9)
    assert comparison.errors()[0] == pytest.approx(of_row[0].std() / len(gaps) ** 0.5, rel=0.01)
