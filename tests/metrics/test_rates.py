"""The intervals and the paired comparisons of rates, F scores and shares at a threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from engine.core.vocabulary import RowCounts, TaskKind
from engine.metrics import METRICS, Problem, Sampling, SliceStates, comparison_of, spread_of
from engine.states import BUCKETS, Pair, PairFamily
from tests.fixtures.mid_p import mid_p_interval

CLASSES = ("no", "yes")


def states_of(name: str, rows: Any, base: Any = None) -> SliceStates:
    metric, groups = METRICS.get(name), np.zeros(len(rows), np.int64)
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    baseline = None if base is None else states_of(name, base)
    states = {}
    for family in metric.families(rows.problem, compared=base is not None):
        if isinstance(family, PairFamily):
            states[family.key] = family.of(Pair(base.scored(), rows.scored()), groups, 1)
        else:
            states[family.key] = family.of(rows.scored(), groups, 1)
    sampling = Sampling(weighted=not rows.unweighted)
    return SliceStates(counts, states, sampling=sampling, baseline=baseline)


def interval(name: str, rows: Any) -> tuple[float, float]:
    spread = spread_of(METRICS.get(name), rows.problem, states_of(name, rows))
    assert spread is not None, name
    return spread.interval(0.95)


def share_interval(hits: np.ndarray) -> tuple[float, float]:
    return mid_p_interval(int(hits.sum()), len(hits))


@pytest.mark.parametrize("positive", [0, 1])
def test_a_rate_has_the_interval_of_the_binomials_mid_p(random_rows: Any, positive: int) -> None:
    rows = random_rows(0, 200, classes=CLASSES, positive=positive)
    yes, said = rows.truth == positive, rows.predicted == positive
    of = {
        "specificity": ~said[~yes],
        "npv": ~yes[~said],
        "fpr": said[~yes],
        "fnr": ~said[yes],
        "fdr": ~yes[said],
        "for": yes[~said],
        "selection_rate": said,
        "prevalence": yes,
        "jaccard": (yes & said)[yes | said],
        "jaccard_class_yes": ((rows.truth == 1) & (rows.predicted == 1))[
            (rows.truth == 1) | (rows.predicted == 1)
        ],
    }
    for name, hits in of.items():
        assert interval(name, rows) == pytest.approx(share_interval(hits)), name


def test_the_micro_jaccard_has_the_accuracys(random_rows: Any) -> None:
    rows = random_rows(0, 200, classes=("a", "b", "c"))
    ends = [share / (2 - share) for share in share_interval(rows.truth == rows.predicted)]
    assert interval("jaccard_micro", rows) == pytest.approx(tuple(ends))


def test_at_a_threshold_as_at_the_prediction(random_rows: Any) -> None:
    """Of rows without weights; the scores do not know the squares of weights."""
    rows = random_rows(0, 200, classes=CLASSES, decimals=9)
    for name in ("precision", "recall", "f1", "specificity", "accuracy"):
        # Above a half the second class is predicted.
        at = f"{name}_at_threshold_0.5000000000000001"
        assert interval(at, rows) == pytest.approx(interval(name, rows)), name
    weighted = random_rows(0, 200, classes=CLASSES, weights="random", decimals=9)
    low, high = interval("recall_at_threshold_0.4", weighted)
    yes = weighted.truth == 1
    value = np.average(weighted.scores[yes, 1] >= 0.4, weights=weighted.weight[yes])
    assert low < value < high


def test_counts_and_best_thresholds_have_none(random_rows: Any) -> None:
    rows = random_rows(0, 200, classes=CLASSES)
    for name in ("true_positives", "best_threshold_f1", "mce"):
        assert spread_of(METRICS.get(name), rows.problem, states_of(name, rows)) is None


def test_the_gini_has_twice_the_areas_standard_error(random_rows: Any) -> None:
    rows = random_rows(0, 2000, classes=CLASSES, decimals=9)
    low, high = interval("roc_auc", rows)
    ours = interval("gini", rows)
    assert ours == pytest.approx((2 * low - 1, 2 * high - 1), abs=1e-9)
    area = sk.roc_auc_score(rows.truth, rows.scores[:, 1])
    assert ours[0] < 2 * area - 1 < ours[1]


def test_the_specificity_of_two_versions_is_compared_row_by_row(random_rows: Any) -> None:
    rows = random_rows(0, 300, classes=CLASSES)
    base = replace(rows, scores=random_rows(9, 300, classes=CLASSES).scores)
    metric = METRICS.get("specificity")
    found = comparison_of(metric, rows.problem, states_of("specificity", rows, base))
    negatives = rows.truth == 0
    now, was = (each.predicted[negatives] == 0 for each in (rows, base))
    gap = now.astype(float) - was
    assert found is not None
    assert found.delta == pytest.approx(gap.mean())
    assert found.se_delta == pytest.approx(gap.std() / np.sqrt(negatives.sum()))


def test_every_classification_metric_with_an_interval_has_one(random_rows: Any) -> None:
    """Of ordinary rows none is without, and every value is in its own but for the mean gaps."""
    rows = random_rows(0, 300, classes=CLASSES, decimals=3)
    names = ["fbeta_2", "tpr_at_fpr_0.2", "fpr_at_tpr_0.8", "precision_at_recall_0.5"]
    names += ["recall_at_precision_0.9", "lift_at_0.2", "gain_at_0.2", "roc_auc_max_fpr_0.2"]
    names += ["ks_statistic", "pr_auc_trapezoid", "cohen_kappa", "cohen_kappa_linear"]
    names += ["calibration_slope", "calibration_intercept", "calibration_ratio", "ece_debiased"]
    names += ["youden_j", "balanced_accuracy_adjusted", "roc_auc_class_yes", "specificity_macro"]
    names += ["average_precision_class_no", "specificity_weighted", "specificity_micro"]
    names += ["specificity_class_yes"]
    for name in names:
        low, high = interval(name, rows)
        value = METRICS.get(name).value(rows.problem, states_of(name, rows)).value
        assert value is not None
        assert low < value < high, name


MULTICLASS = (
    "balanced_accuracy_adjusted",
    "specificity_macro",
    "specificity_weighted",
    "specificity_micro",
    "specificity_class_b",
    "roc_auc_class_b",
    "roc_auc_ovr",
    "roc_auc_ovr_weighted",
    "roc_auc_ovr_micro",
    "average_precision_class_a",
    "average_precision_macro",
    "average_precision_weighted",
    "average_precision_micro",
    "ece_top_label",
)


@pytest.mark.parametrize("weights", ["none", "random"])
def test_metrics_of_many_classes_have_intervals_and_comparisons(
    random_rows: Any, weights: str
) -> None:
    rows = random_rows(0, 400, classes=("a", "b", "c"), weights=weights)
    base = replace(rows, scores=random_rows(9, 400, classes=("a", "b", "c")).scores)
    for name in MULTICLASS:
        metric, states = METRICS.get(name), with_buckets(name, rows, base)
        spread, found = (each(metric, rows.problem, states) for each in (spread_of, comparison_of))
        assert spread is not None and found is not None, name
        value, (low, high) = metric.value(rows.problem, states).value, spread.interval(0.95)
        # The calibration error's lies around what is left without the bias.
        assert low < value and (value < high or name == "ece_top_label"), name
        low, high = found.spread.interval(0.95)
        assert low < found.delta < high, name
        assert all(error > 0 for error in found.errors()), name


@pytest.mark.parametrize("name", ["youden_j", "balanced_accuracy_adjusted"])
def test_what_is_beyond_chance_is_compared_bucket_by_bucket(random_rows: Any, name: str) -> None:
    rows = random_rows(0, 300, classes=CLASSES)
    base = replace(rows, scores=random_rows(9, 300, classes=CLASSES).scores)
    found = comparison_of(METRICS.get(name), rows.problem, with_buckets(name, rows, base))
    assert found is not None
    low, high = found.spread.interval(0.95)
    assert low < found.delta < high


@pytest.mark.parametrize("name", ["youden_j", "balanced_accuracy_adjusted"])
def test_at_best_as_sure_as_the_scarcest_class(rows_from: Any, name: str) -> None:
    """Of a model without mistakes nothing spreads."""
    truth = np.repeat([0, 1], (300, 30))
    low, high = METRICS.get(name).bounds
    found = spread_of(
        METRICS.get(name),
        Problem(TaskKind.BINARY, CLASSES),
        with_buckets(name, rows_from(truth, truth, classes=CLASSES)),
    )
    assert found is not None
    least, most = found.interval(0.95)
    assert most == high == 1.0
    assert least == pytest.approx(low + (high - low) * mid_p_interval(30, 30)[0])


def with_buckets(name: str, rows: Any, base: Any = None) -> SliceStates:
    """The states with the weight of each bucket, which the jackknife needs."""
    states = states_of(name, rows, base)
    sizes = np.bincount(rows.bucket, rows.weight, BUCKETS)
    beside = None if base is None else with_buckets(name, base)
    return SliceStates(
        states.counts[0],
        states.families,
        buckets=sizes,
        sampling=states.sampling,
        baseline=beside,
    )


@pytest.mark.parametrize("k", [0, 1, 2])
def test_the_specificity_of_a_class_is_a_share_of_the_others(random_rows: Any, k: int) -> None:
    rows = random_rows(0, 300, classes=("a", "b", "c"))
    base = replace(rows, scores=random_rows(9, 300, classes=("a", "b", "c")).scores)
    name = f"specificity_class_{'abc'[k]}"
    others = rows.truth != k
    now, was = (each.predicted[others] != k for each in (rows, base))
    assert interval(name, rows) == pytest.approx(share_interval(now))
    found = comparison_of(METRICS.get(name), rows.problem, states_of(name, rows, base))
    gap = now.astype(float) - was
    assert found is not None
    assert found.delta == pytest.approx(gap.mean())
    assert found.se_delta == pytest.approx(gap.std() / np.sqrt(others.sum()))


def test_the_micro_specificity_has_the_accuracys_interval_and_is_compared_by_rows(
    random_rows: Any,
) -> None:
    rows = random_rows(0, 300, classes=("a", "b", "c"))
    base = replace(rows, scores=random_rows(9, 300, classes=("a", "b", "c")).scores)
    ends = [1 - (1 - share) / 2 for share in share_interval(rows.truth == rows.predicted)]
    assert interval("specificity_micro", rows) == pytest.approx(tuple(ends))
    metric = METRICS.get("specificity_micro")
    found = comparison_of(metric, rows.problem, states_of(metric.name, rows, base))
    right, was = ((each.predicted == rows.truth).astype(float) for each in (rows, base))
    gap = (right - was) / 2
    assert found is not None
    assert found.delta == pytest.approx(gap.mean())
    assert found.se_delta == pytest.approx(gap.std(ddof=1) / np.sqrt(len(gap)))
