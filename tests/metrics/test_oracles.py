"""Every registered metric against scikit-learn, by another road: arrays of labels and weights.

An oracle takes rows that all have some weight (a row of weight 0 counts as no row here, as it has
no effect on ours) and gives the number, or the reason why there is none. A new metric needs one
line in `ORACLES`; a new pattern of names, one in `PATTERNS`. They stand here or in a file
`test_oracles_*.py` beside this one. Such a file may have a function `examples` too, which names
the metrics of it that fit some rows: they are then held to all the tests here.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import MetricValue
from engine.metrics import METRICS, label_text
from engine.states import BUCKETS

Rows = Any
Oracle = Callable[[Rows], float | str]

WORDS = ("no", "yes")
THREE = (0, 1, 2)
TEN = tuple("abcdefghij")
KINDS = [WORDS, (0, 1), (False, True), THREE, ("x", "y", "z"), TEN]


def of_classes(function: Callable[..., float], **more: Any) -> Oracle:
    """An oracle of labels and predicted labels."""
    return lambda rows: function(rows.labels, rows.predictions, sample_weight=rows.weight, **more)


def of_one_class(name: str, rows: Rows, k: int) -> float | str:
    actual, predicted = rows.truth == k, rows.predicted == k
    if name == "precision" and not predicted.any():
        return "no_predicted_positive"
    if name == "recall" and not actual.any():
        return "one_class"
    if name == "f1" and not (actual | predicted).any():
        return "one_class"
    score = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[name]
    return score(actual, predicted, sample_weight=rows.weight)


def of_positive(name: str) -> Oracle:
    return lambda rows: of_one_class(name, rows, rows.positive)


def matthews(rows: Rows) -> float | str:
    if len(set(rows.truth)) < 2:
        return "one_class"
    if len(set(rows.predicted)) < 2:
        return "constant"
    return sk.matthews_corrcoef(rows.labels, rows.predictions, sample_weight=rows.weight)


def of_positive_score(function: Callable[..., float]) -> Oracle:
    """An oracle of the positive class's probability, where both classes occur."""

    def oracle(rows: Rows) -> float | str:
        actual = rows.truth == rows.positive
        if not actual.any() or (actual.all() and function is sk.roc_auc_score):
            return "one_class"
        return function(actual, rows.scores[:, rows.positive], sample_weight=rows.weight)

    return oracle


def one_against_others(average: str, rows: Rows) -> float | str:
    if len(set(rows.truth)) < len(rows.classes):
        return "one_class"
    return sk.roc_auc_score(
        rows.truth,
        rows.scores,
        multi_class="ovr",
        average=average,
        labels=range(len(rows.classes)),
        sample_weight=rows.weight,
    )


def log_loss(rows: Rows) -> float:
    labels = range(len(rows.classes))
    return sk.log_loss(rows.truth, rows.scores, labels=labels, sample_weight=rows.weight)


def brier(rows: Rows) -> float:
    if len(rows.classes) > 2:
        labels = range(len(rows.classes))
        return sk.brier_score_loss(
            rows.truth, rows.scores, labels=labels, sample_weight=rows.weight
        )
    positive = rows.scores[:, rows.positive]
    return sk.brier_score_loss(
        rows.labels, positive, pos_label=rows.classes[rows.positive], sample_weight=rows.weight
    )


def top(k: int, rows: Rows) -> float:
    return sk.top_k_accuracy_score(
        rows.truth,
        rows.scores,
        k=k,
        labels=range(len(rows.classes)),
        sample_weight=rows.weight,
    )


def of_values(function: Callable[..., float]) -> Oracle:
    """An oracle of targets and predicted values."""
    return lambda rows: function(rows.truth, rows.scores, sample_weight=rows.weight)


def r2(rows: Rows) -> float | str:
    if len(set(rows.truth)) < 2:
        return "constant"
    return sk.r2_score(rows.truth, rows.scores, sample_weight=rows.weight)


def adjusted(rows: Rows) -> float | str:
    if len(set(rows.truth)) < 2:
        return "one_class"
    return of_classes(sk.balanced_accuracy_score, adjusted=True)(rows)


ORACLES: dict[str, Oracle] = {
    "accuracy": of_classes(sk.accuracy_score),
    "balanced_accuracy": of_classes(sk.balanced_accuracy_score),
    "balanced_accuracy_adjusted": adjusted,
    "matthews_corrcoef": matthews,
    **{name: of_positive(name) for name in ("precision", "recall", "f1")},
    **{
        f"{name}_{average}": of_classes(function, average=average, zero_division=0.0)
        for name, function in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
        )
        for average in ("macro", "weighted", "micro")
    },
    "log_loss": log_loss,
    "brier_score": brier,
    "top_k_accuracy": partial(top, 2),
    "roc_auc": of_positive_score(sk.roc_auc_score),
    "average_precision": of_positive_score(sk.average_precision_score),
    "roc_auc_ovr": partial(one_against_others, "macro"),
    "roc_auc_ovr_weighted": partial(one_against_others, "weighted"),
    "mean_absolute_error": of_values(sk.mean_absolute_error),
    "mean_squared_error": of_values(sk.mean_squared_error),
    "root_mean_squared_error": of_values(sk.root_mean_squared_error),
    "mean_absolute_percentage_error": of_values(sk.mean_absolute_percentage_error),
    "r2": r2,
    "max_error": lambda rows: sk.max_error(rows.truth, rows.scores),
}


def of_label(name: str, rows: Rows, label: str) -> float | str:
    return of_one_class(name, rows, [label_text(each) for each in rows.classes].index(label))


PATTERNS: dict[str, Callable[..., float | str]] = {
    r"precision_class_(?P<label>.*)": partial(of_label, "precision"),
    r"recall_class_(?P<label>.*)": partial(of_label, "recall"),
    r"f1_class_(?P<label>.*)": partial(of_label, "f1"),
    r"top_(?P<k>[1-9][0-9]*)_accuracy": lambda rows, k: top(int(k), rows),
    r"top_k_accuracy_(?P<k>[1-9][0-9]*)": lambda rows, k: top(int(k), rows),
}


def siblings() -> list[ModuleType]:
    """The other files with oracles."""
    found = []
    for path in sorted(Path(__file__).parent.glob("test_oracles_*.py")):
        spec = importlib.util.spec_from_file_location(f"oracles_of_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


SIBLINGS = siblings()
ALL_ORACLES = ORACLES | {name: one for each in SIBLINGS for name, one in each.ORACLES.items()}
ALL_PATTERNS = PATTERNS | {name: one for each in SIBLINGS for name, one in each.PATTERNS.items()}


def oracle_of(name: str) -> Oracle | None:
    """The oracle of a metric, by its name or a pattern of it."""
    if name in ALL_ORACLES:
        return ALL_ORACLES[name]
    for pattern, oracle in ALL_PATTERNS.items():
        match = re.fullmatch(pattern, name, re.DOTALL)
        if match:
            return partial(oracle, **match.groupdict())
    return None


def names_for(rows: Rows) -> list[str]:
    """The metrics that are measured on these rows: all that fit, and some of each pattern."""
    names = [name for name in ORACLES if rows.problem.task in METRICS.get(name).tasks]
    if rows.classes:
        ends = {label_text(rows.classes[0]), label_text(rows.classes[-1])}
        names += [f"{n}_class_{label}" for n in ("precision", "recall", "f1") for label in ends]
    if len(rows.classes) > 2:
        names += ["top_1_accuracy", "top_3_accuracy", "top_k_accuracy_2"]
    for each in SIBLINGS:
        if hasattr(each, "examples"):
            names += each.examples(rows)
    return names


def check(measured: MetricValue, name: str, rows: Rows) -> None:
    """Compares a metric's value with its oracle's."""
    some = rows.at(np.flatnonzero(rows.weight > 0))
    oracle = oracle_of(name)
    assert oracle is not None
    if len(some) == 0:
        expected: float | str = "zero_weight" if len(rows) else "empty"
    else:
        # Checking its input is most of what scikit-learn does with a few rows.
        quick = sklearn.config_context(assume_finite=True, skip_parameter_validation=True)
        with quick, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = oracle(some)
    if isinstance(expected, str):
        assert (measured.value, measured.reason) == (None, expected), name
    else:
        assert measured.reason is None, name
        assert type(measured.value) is float, name
        assert measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        assert measured.error_bound == 0.0, name


def test_every_registered_metric_has_an_oracle() -> None:
    missing = [name for name in METRICS.names() if oracle_of(name) is None]
    assert not missing, f"write an oracle in ORACLES for {missing}"
    missing = [pattern for pattern in METRICS.patterns() if pattern not in ALL_PATTERNS]
    assert not missing, f"write an oracle in PATTERNS for {missing}"


def test_every_oracle_has_its_metric_and_is_measured(random_rows: Any) -> None:
    assert set(ALL_ORACLES) <= set(METRICS.names())
    assert set(ALL_PATTERNS) == set(METRICS.patterns())
    measured = {
        n for classes in ((), WORDS, THREE) for n in names_for(random_rows(0, classes=classes))
    }
    held_here = [each for each in SIBLINGS if hasattr(each, "examples")]
    for oracles in (ORACLES, *(each.ORACLES for each in held_here)):
        assert set(oracles) <= measured, set(oracles) - measured
    for patterns in (PATTERNS, *(each.PATTERNS for each in held_here)):
        for pattern in patterns:
            assert any(re.fullmatch(pattern, name) for name in measured), pattern


@pytest.mark.parametrize(("weights", "decimals"), [("none", 2), ("random", 1), ("zeros", 3)])
@pytest.mark.parametrize("classes", [(), *KINDS], ids=str)
def test_random_rows(
    measure: Any, random_rows: Any, classes: Any, weights: str, decimals: int
) -> None:
    rows = random_rows(decimals, classes=classes, weights=weights, decimals=decimals)
    for name in names_for(rows):
        check(measure(name, rows), name, rows)


@pytest.mark.parametrize("classes", [WORDS, (1, 0), (False, True)], ids=str)
def test_the_first_class_can_be_the_positive_one(
    measure: Any, random_rows: Any, classes: Any
) -> None:
    for weights in ("none", "random"):
        rows = random_rows(5, classes=classes, weights=weights, positive=0)
        for name in names_for(rows):
            check(measure(name, rows), name, rows)


@pytest.mark.parametrize("classes", [(), WORDS, THREE, TEN], ids=str)
def test_few_rows_and_none(measure: Any, random_rows: Any, classes: Any) -> None:
    rows = random_rows(2, 60, classes=classes)
    slices = [rows.at(np.array([], np.int64)), *(rows.at(np.array([i])) for i in range(6))]
    slices += [rows.at(np.array([i, i + 1])) for i in range(6)]
    for each in slices:
        for name in names_for(each):
            check(measure(name, each), name, each)


@pytest.mark.parametrize("classes", [WORDS, THREE, TEN], ids=str)
def test_one_class_absent_classes_and_constant_predictions(
    measure: Any, random_rows: Any, rows_from: Any, classes: Any
) -> None:
    rows = random_rows(4, classes=classes, weights="random")
    some = sorted({0, 1, len(classes) - 1})
    of_one = [rows.at(np.flatnonzero(rows.truth == k)) for k in some]
    without = [rows.at(np.flatnonzero(rows.truth != k)) for k in some]
    unpredicted = [rows.at(np.flatnonzero(rows.predicted != k)) for k in some]
    constant = [
        rows_from(rows.truth, np.tile(one, (len(rows), 1)), classes=classes, weight=rows.weight)
        for one in np.eye(len(classes))[some]
    ]
    for each in (*of_one, *without, *unpredicted, *constant):
        for name in names_for(each):
            check(measure(name, each), name, each)


@pytest.mark.parametrize("positive", [0, 1])
def test_certain_probabilities(measure: Any, rows_from: Any, positive: int) -> None:
    """0 and 1, right and wrong, and what lies next to them."""
    scores = [0.0, 1.0, 0.0, 1.0, 1e-17, 1 - 1e-16, 5e-324, 0.5, 0.5]
    truth = [0, 1, 1, 0, 1, 0, 1, 1, 0]
    rows = rows_from(truth, scores, classes=WORDS, positive=positive)
    for name in names_for(rows):
        check(measure(name, rows), name, rows)
    perfect = rows_from([0, 1, 1], [0.0, 1.0, 1.0], classes=WORDS)
    for name in names_for(perfect):
        check(measure(name, perfect), name, perfect)


@pytest.mark.parametrize("weights", ["none", "random"])
def test_ties_of_all_scores(measure: Any, random_rows: Any, rows_from: Any, weights: str) -> None:
    for classes in (WORDS, THREE):
        rows = random_rows(8, classes=classes, weights=weights)
        flat = np.full(rows.scores.shape, 1 / len(classes))
        tied = rows_from(rows.truth, flat, classes=classes, weight=rows.weight)
        for name in names_for(tied):
            check(measure(name, tied), name, tied)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 4),
            st.integers(0, 4),
            st.sampled_from([0.0, 0.3, 1.0, 2.5]),
            st.integers(0, BUCKETS - 1),
        ),
        max_size=12,
    ),
    st.sampled_from([WORDS, THREE]),
    st.integers(0, 1),
)
def test_small_classifications(
    measure: Any, rows_from: Any, drawn: list[Any], classes: Any, positive: int
) -> None:
    columns = np.array(drawn, np.float64).reshape(-1, 5).T
    truth = columns[0].astype(np.int64) % len(classes)
    scores = np.stack([columns[1] / 4, columns[2] / 8, np.ones(len(truth)) / 16][: len(classes)], 1)
    scores[:, 1] += scores.sum(1) == 0
    scores = scores / scores.sum(1, keepdims=True)
    rows = rows_from(
        truth, scores, classes=classes, weight=columns[3], bucket=columns[4], positive=positive
    )
    for name in names_for(rows):
        check(measure(name, rows), name, rows)


# Targets of a decimal or two: below that, a spread that is noise is rightly called constant.
numbers = st.integers(-1000, 1000).map(lambda tenth: tenth / 10)


@given(
    st.lists(st.tuples(numbers, numbers, st.sampled_from([0.0, 0.3, 1.0, 2.5])), max_size=12),
)
def test_small_regressions(measure: Any, rows_from: Any, drawn: list[Any]) -> None:
    truth, scores, weight = np.array(drawn, np.float64).reshape(-1, 3).T
    rows = rows_from(truth, scores, weight=weight)
    for name in names_for(rows):
        check(measure(name, rows), name, rows)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9, -1e9])
def test_large_offsets_do_not_cancel(measure: Any, rows_from: Any, offset: float) -> None:
    rng = np.random.default_rng(1)
    truth = offset + rng.normal(0, 1, 2000)
    scores = truth + rng.normal(0, 0.5, 2000)
    for weight in (None, rng.random(2000)):
        rows = rows_from(truth, scores, weight=weight)
        for name in names_for(rows):
            check(measure(name, rows), name, rows)


def test_an_outlier_in_one_bucket_does_not_cancel_without_it(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, 500)
    truth[20] = 1e12
    scores = truth + rng.normal(0, 0.5, 500)
    rows = rows_from(truth, scores)
    rest = rows.at(np.flatnonzero(rows.bucket != rows.bucket[20]))
    assert measure.replicates("r2", rows)[1 + rows.bucket[20]] == pytest.approx(r2(rest), rel=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 + 0.1, -1e-9])
def test_a_constant_target_has_no_r2(measure: Any, rows_from: Any, constant: float) -> None:
    """However long the sum, whose rounding is no spread."""
    for n in (1, 2, 300_000):
        rng = np.random.default_rng(n)
        for weight in (None, rng.random(n) + 0.1):
            rows = rows_from(np.full(n, constant), np.arange(n), weight=weight, bucket=np.zeros(n))
            measured = measure("r2", rows)
            assert (measured.value, measured.reason) == (None, "constant")


def test_a_target_of_zero_is_a_huge_percentage(measure: Any, rows_from: Any) -> None:
    rows = rows_from([0.0, 1.0, -2.0], [0.5, 1.0, -1.0])
    check(measure("mape", rows), "mean_absolute_percentage_error", rows)
    assert measure("mape", rows).value > 1e14


def test_a_rare_class_among_millions(measure: Any, rows_from: Any) -> None:
    """The correlation of a class of a few rows is not lost in that of the many."""
    truth = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.9, 0.1, 0.9])
    weight = np.array([10_000_000.0, 7.0, 5.0, 3.0])
    rows = rows_from(truth, scores, classes=WORDS, weight=weight)
    tn, fp, fn, tp = (int(w) for w in weight)
    exact = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert measure("mcc", rows).value == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("n", "weights"), [(9, "none"), (150, "zeros")])
@pytest.mark.parametrize("classes", [(), WORDS, THREE], ids=str)
def test_a_replicate_is_the_metric_without_its_bucket(
    measure: Any, random_rows: Any, classes: Any, n: int, weights: str
) -> None:
    rows = random_rows(n, n, classes=classes, weights=weights)
    # Those of all rows, and without the rows of each bucket.
    rest = [rows.at(np.flatnonzero(rows.bucket != b)) for b in range(-1, BUCKETS)]
    for name in names_for(rows):
        if name.startswith(("ece", "mce")):
            continue  # theirs have the bins of all rows, and are less biased: test_bins.py
        replicates = measure.replicates(name, rows)
        assert replicates.shape == (1 + BUCKETS,), name
        values = [measure(name, kept).value for kept in rest]
        expected = [np.nan if value is None else value for value in values]
        assert replicates == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name
