"""Metrics of rows with any number of labels against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.core.vocabulary import MetricValue, RowCounts, TaskKind
from engine.metrics import (
    METRICS,
    Metric,
    Problem,
    Sampling,
    SliceStates,
    comparison_of,
    spread_of,
)
from engine.states import BUCKETS, Pair, PairedScores, Scored, Scores, States, decode
from tests.fixtures.mid_p import mid_p_interval


@dataclass(frozen=True)
class LabelRows:
    """Rows with labels and the probability of each."""

    truth: np.ndarray
    scores: np.ndarray
    weight: np.ndarray
    bucket: np.ndarray
    unweighted: bool = False
    made: dict[str, States] = field(default_factory=dict, repr=False, compare=False)

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


@cache
def make(
    seed: int, n: int = 200, k: int = 5, *, weights: str = "zeros", absent: bool = True
) -> LabelRows:
    """Random rows: ties of scores, a label that is rare and one that is not there at all."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, k)) < np.linspace(0.6, 0.02, k)).astype(np.int64)
    truth[:, -1] = 0 if absent else truth[:, 0]
    scores = np.round(np.clip(0.4 * truth + 0.6 * rng.random((n, k)) - 0.05, 0, 1), 1)
    scores[:, -1] *= 0.4
    weight = {
        "none": np.ones(n),
        "random": rng.uniform(0.01, 3.0, n),
        "zeros": rng.choice([0.0, 0.5, 1.0, 2.0], n),
    }[weights]
    return LabelRows(truth, scores, weight, rng.integers(0, BUCKETS, n), weights == "none")


def states_of(name: str, rows: LabelRows) -> SliceStates:
    """States made in three unequal batches, merged and sent as bytes; of some rows once."""
    batch, states = rows.scored(), {}
    part = np.arange(len(rows)) % 7 % 3
    for family in METRICS.get(name).needs(rows.problem):
        key = f"{family.key} {ranking.EXACT_SCORES} {ranking.FINE_BITS}"
        if key not in rows.made:
            total = family.zero(1)
            for each in range(3):
                of = np.flatnonzero(part == each)
                total = total.merge(family.of(batch.at(of), np.zeros(len(of), np.int64), 1))
            rows.made[key] = decode(total.take(0).encode())
        states[family.key] = rows.made[key]
    return SliceStates(RowCounts(len(rows), float(rows.weight.sum())), states)


def measure(name: str, rows: LabelRows) -> MetricValue:
    return METRICS.get(name).value(rows.problem, states_of(name, rows))


Oracle = Callable[[Any], float | str]


def averaged(name: str, average: str) -> Oracle:
    def oracle(rows: LabelRows) -> float | str:
        if average == "weighted" and not rows.truth.any():
            return "one_class"
        if average != "samples" and not whole(name, rows.truth, rows.predicted).any():
            return "no_predicted_positive" if name == "precision" else "one_class"
        return FUNCTIONS[name](
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


FUNCTIONS = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "jaccard": sk.jaccard_score,
}
AREAS = {"roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


def whole(name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What a figure is a share of."""
    return {"precision": predicted, "recall": truth}.get(name, truth | predicted)


def of_label(name: str, rows: LabelRows, label: str) -> float | str:
    k = rows.problem.classes.index(label)
    truth, predicted = rows.truth[:, k], rows.predicted[:, k]
    if not whole(name, truth, predicted).any():
        return "no_predicted_positive" if name == "precision" else "one_class"
    return FUNCTIONS[name](truth, predicted, sample_weight=rows.weight)


def has_area(name: str, truth: np.ndarray) -> bool:
    return truth.any() and not (name == "roc_auc" and truth.all())


def area(name: str, average: str, rows: LabelRows) -> float | str:
    every = [rows.truth] if average == "micro" else rows.truth.T
    if not all(has_area(name, each) for each in every):
        return "one_class"
    return AREAS[name](rows.truth, rows.scores, average=average, sample_weight=rows.weight)


def area_of_label(name: str, rows: LabelRows, label: str) -> float | str:
    k = rows.problem.classes.index(label)
    if not has_area(name, rows.truth[:, k]):
        return "one_class"
    return AREAS[name](rows.truth[:, k], rows.scores[:, k], sample_weight=rows.weight)


ORACLES: dict[str, Oracle] = {
    **{
        f"multilabel_{name}_{average}": averaged(name, average)
        for name in FUNCTIONS
        for average in ("micro", "macro", "weighted", "samples")
    },
    **{
        f"multilabel_{name}_{average}": partial(area, name, average)
        for name in AREAS
        for average in ("micro", "macro", "weighted")
    },
    "hamming_loss": of_predictions(sk.hamming_loss),
    "subset_accuracy": of_predictions(sk.accuracy_score),
    "multilabel_log_loss": log_loss,
    "label_ranking_average_precision": of_scores(sk.label_ranking_average_precision_score),
    "coverage_error": of_scores(sk.coverage_error),
    "label_ranking_loss": of_scores(sk.label_ranking_loss),
}

PATTERNS: dict[str, Callable[..., float | str]] = {
    rf"multilabel_{name}_label_(?P<label>.*)": partial(oracle, name)
    for names, oracle in ((FUNCTIONS, of_label), (AREAS, area_of_label))
    for name in names
}
OF_LABELS = {
    f"multilabel_{name}_label_{label}": partial(oracle, name, label=label)
    for names, oracle in ((FUNCTIONS, of_label), (AREAS, area_of_label))
    for name in names
    for label in "ab"
}
ALL = ORACLES | OF_LABELS


def check(name: str, rows: LabelRows) -> None:
    some = rows.at(np.flatnonzero(rows.weight > 0))
    measured = measure(name, rows)
    if not len(some):
        expected: float | str = "zero_weight" if len(rows) else "empty"
    else:
        # Checking its input is most of what scikit-learn does with a few rows.
        quick = sklearn.config_context(assume_finite=True, skip_parameter_validation=True)
        with quick, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ALL[name](some)
    if isinstance(expected, str):
        assert (measured.value, measured.reason) == (None, expected), name
    else:
        assert measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        assert measured.error_bound == 0.0


@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
@pytest.mark.parametrize("name", ALL)
def test_random_rows(name: str, weights: str) -> None:
    for seed in range(2):
        check(name, make(seed, k=4 + seed, weights=weights))
        check(name, make(seed, k=3 + seed, weights=weights, absent=False))


@cache
def few() -> list[LabelRows]:
    rows = make(2, 40)
    places = [[], *([i] for i in range(12)), *([i, i + 1] for i in range(12))]
    return [rows.at(np.array(which, np.int64)) for which in places]


@pytest.mark.parametrize("name", ALL)
def test_few_rows_and_none(name: str) -> None:
    for rows in few():
        check(name, rows)


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
    for name in ALL:
        check(name, rows)


@pytest.mark.parametrize("name", ALL)
def test_a_replicate_is_the_metric_without_its_bucket(name: str) -> None:
    rows = make(3, 80, k=4, absent=name in OF_LABELS)
    replicates = METRICS.get(name).figures(rows.problem, states_of(name, rows)).replicates[0]
    for b in range(-1, BUCKETS):
        kept = rows.at(np.flatnonzero((rows.bucket != b) & (rows.weight > 0)))
        expected = ALL[name](kept)
        if isinstance(expected, str):
            assert np.isnan(replicates[1 + b]), b
        else:
            assert replicates[1 + b] == pytest.approx(expected, rel=1e-9), b


def other_version(rows: LabelRows) -> LabelRows:
    return LabelRows(
        rows.truth, rows.scores[::-1].copy(), rows.weight, rows.bucket, rows.unweighted
    )


@pytest.mark.parametrize(
    "name",
    [
        "subset_accuracy",
        "hamming_loss",
        "multilabel_f1_samples",
        "multilabel_precision_samples",
        "multilabel_recall_samples",
    ],
)
def test_means_are_compared_row_by_row(name: str) -> None:
    rows = make(4, 300, weights="none")
    other = other_version(rows)
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


def compared(name: str, rows: LabelRows, other: LabelRows) -> tuple[Metric, SliceStates]:
    """The states of a metric of one version beside another."""
    metric, zeros = METRICS.get(name), np.zeros(len(rows), np.int64)
    own, base = states_of(name, rows), states_of(name, other)
    pair = Pair(other.scored(), rows.scored())
    families = metric.paired(rows.problem) if metric.paired else ()
    pairs = {family.key: family.of(pair, zeros, 1) for family in families}
    sizes = np.bincount(rows.bucket, rows.weight, BUCKETS)
    sampling = Sampling(weighted=not rows.unweighted)
    beside = SliceStates(base.counts[0], base.families, buckets=sizes, sampling=sampling)
    families_of_both = {**own.families, **pairs}
    return metric, SliceStates(
        own.counts[0], families_of_both, buckets=sizes, sampling=sampling, baseline=beside
    )


@pytest.mark.parametrize("weights", ["none", "random"])
@pytest.mark.parametrize("name", ALL)
def test_each_has_an_interval_and_a_comparison(name: str, weights: str) -> None:
    rows = make(7, 300, k=3, weights=weights, absent=False)
    metric, states = compared(name, rows, other_version(rows))
    spread = spread_of(metric, rows.problem, states)
    assert spread is not None
    low, high = spread.interval(0.95)
    value = metric.value(rows.problem, states).value
    assert low < value < high
    comparison = comparison_of(metric, rows.problem, states)
    assert comparison is not None
    low, high = comparison.spread.interval(0.95)
    assert low < comparison.delta < high


def test_the_recall_of_a_label_is_compared_on_the_rows_that_have_it() -> None:
    rows = make(7, 300, k=3, weights="none")
    other = other_version(rows)
    metric, states = compared("multilabel_recall_label_a", rows, other)
    found = comparison_of(metric, rows.problem, states)
    own = rows.truth[:, 0] == 1
    gaps = rows.predicted[own, 0].astype(float) - other.predicted[own, 0]
    assert found is not None
    assert found.delta == pytest.approx(gaps.mean())
    assert found.se_delta == pytest.approx(gaps.std() / own.sum() ** 0.5)
    interval = spread_of(metric, rows.problem, states).interval(0.95)
    hits = int(rows.predicted[own, 0].sum())
    assert interval == pytest.approx(mid_p_interval(hits, int(own.sum())))


def test_the_f1_of_a_label_has_the_interval_of_its_jaccard() -> None:
    rows = make(7, 300, k=3, weights="none")
    ends = []
    for name in ("f1", "jaccard"):
        metric, states = compared(f"multilabel_{name}_label_b", rows, rows)
        ends.append(spread_of(metric, rows.problem, states).interval(0.95))
    assert ends[0] == pytest.approx([2 * end / (1 + end) for end in ends[1]])


def test_the_roc_area_of_a_label_is_that_of_a_binary_task() -> None:
    """With DeLong's error, and that of the difference."""
    rows = make(7, 300, k=3, weights="none")
    other = other_version(rows)
    metric, states = compared("multilabel_roc_auc_label_a", rows, other)
    found = comparison_of(metric, rows.problem, states)
    alike, ours = METRICS.get("roc_auc"), Problem(TaskKind.BINARY, (0, 1))
    batches = [
        Scored(
            each.truth[:, 0], each.weight, each.bucket,
            np.stack([1 - each.scores[:, 0], each.scores[:, 0]], 1), each.predicted[:, 0], True,
        )
        for each in (rows, other)
    ]  # fmt: skip
    zeros = np.zeros(len(rows), np.int64)
    own, base = ({"scores(1)": Scores(1).of(batch, zeros, 1)} for batch in batches)
    own["paired_scores(1)"] = PairedScores(1).of(Pair(*batches[::-1]), zeros, 1)
    counts, sizes = states.counts[0], states.buckets[0]
    beside = SliceStates(counts, base, buckets=sizes)
    expected = comparison_of(alike, ours, SliceStates(counts, own, buckets=sizes, baseline=beside))
    assert found.delta == pytest.approx(expected.delta)
    assert found.se_delta == pytest.approx(expected.se_delta)
    assert found.errors() == pytest.approx(expected.errors())


def test_labels_without_an_area_are_named() -> None:
    rows = make(0, k=4)
    measured = measure("multilabel_roc_auc_macro", rows)
    assert (measured.value, measured.reason) == (None, "one_class")
    assert measured.detail == (
        "the area under the ROC curve of a label needs rows that have it and rows that do not: d"
    )
    assert measure("multilabel_average_precision_weighted", rows).detail == (
        "the average precision of a label needs rows that have it: d"
    )
    assert measure("multilabel_roc_auc_micro", rows).value is not None
    assert measure("multilabel_roc_auc_label_q", rows).reason == "unknown_class"
    assert measure("multilabel_f1_label_q", rows).reason == "unknown_class"


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_areas_beyond_the_cap_are_within_their_bound(seed: int, bits: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(20, 120)), 3
    # Of the last label there are few scores: it is exact where the others are not.
    scores = rng.random((n, k))
    scores[:, -1] = np.round(scores[:, -1] * 3) / 3
    truth = (rng.random((n, k)) < (scores + rng.random((n, k))) / 2).astype(np.int64)
    truth[:2] = [[0] * k, [1] * k]
    weight = rng.random(n) if weighted else np.ones(n)
    rows = LabelRows(truth, scores, weight, rng.integers(0, BUCKETS, n), not weighted)
    names = [f"multilabel_{name}_{each}" for name in AREAS for each in ("micro", "macro")]
    names += [f"multilabel_{name}_weighted" for name in AREAS]
    names += [f"multilabel_{name}_label_a" for name in AREAS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        for name in names:
            measured = measure(name, rows)
            gap = abs(measured.value - ALL[name](rows))
            assert gap <= measured.error_bound + 1e-9, name


def test_many_scores_of_all_labels_together_have_a_small_bound() -> None:
    rows = make(0, 3000, k=3, weights="none", absent=False)
    scores = np.clip(rows.scores + np.random.default_rng(0).uniform(0, 0.05, (3000, 3)), 0, 1)
    rows = LabelRows(rows.truth, scores, rows.weight, rows.bucket, True)
    for name in AREAS:
        assert measure(f"multilabel_{name}_macro", rows).error_bound == 0.0
        measured = measure(f"multilabel_{name}_micro", rows)
        assert 0 < measured.error_bound < 2e-3
        assert abs(measured.value - area(name, "micro", rows)) <= measured.error_bound
