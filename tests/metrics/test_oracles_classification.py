"""Oracles of the metrics of classes, of curves, of thresholds and of calibration by bins.

They are written on rows, with scikit-learn where it has the metric and by hand where it has not.
The tests are those of `test_oracles.py`, on the names that `examples` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import sklearn.metrics as sk

from engine.core.vocabulary import TaskKind
from engine.metrics import label_text

Rows = Any
Oracle = Callable[[Rows], float | str]


def actual(rows: Rows) -> np.ndarray:
    return rows.truth == rows.positive


def said(rows: Rows) -> np.ndarray:
    return rows.scores[:, rows.positive]


def both_classes(rows: Rows) -> bool:
    return len(set(actual(rows))) == 2


def cell(name: str, rows: Rows) -> float:
    predicted = rows.predicted == rows.positive
    is_positive, is_predicted = name in ("tp", "fn"), name in ("tp", "fp")
    of = (actual(rows) == is_positive) & (predicted == is_predicted)
    return float(rows.weight[of].sum())


def rate(hits: str, of: str, undefined: str, rows: Rows) -> float | str:
    whole = sum(cell(each, rows) for each in of.split())
    return sum(cell(each, rows) for each in hits.split()) / whole if whole > 0 else undefined


def fbeta(rows: Rows, beta: str, average: str | None = None) -> float | str:
    if average is None:
        is_positive = rows.predicted == rows.positive
        if not (actual(rows) | is_positive).any():
            return "one_class"
        return sk.fbeta_score(
            actual(rows), is_positive, beta=float(beta), sample_weight=rows.weight
        )
    return sk.fbeta_score(
        rows.truth,
        rows.predicted,
        beta=float(beta),
        average=average,
        sample_weight=rows.weight,
        zero_division=0.0,
    )


def jaccard_of(rows: Rows, k: int) -> float | str:
    own, predicted = rows.truth == k, rows.predicted == k
    if not (own | predicted).any():
        return "one_class"
    return sk.jaccard_score(own, predicted, sample_weight=rows.weight)


def jaccard_over(average: str, rows: Rows) -> float:
    return sk.jaccard_score(
        rows.truth, rows.predicted, average=average, sample_weight=rows.weight, zero_division=0.0
    )


def jaccard_of_label(rows: Rows, label: str) -> float | str:
    return jaccard_of(rows, [label_text(each) for each in rows.classes].index(label))


def kappa(weights: str | None, rows: Rows) -> float | str:
    value = sk.cohen_kappa_score(
        rows.truth,
        rows.predicted,
        labels=range(len(rows.classes)),
        weights=weights,
        sample_weight=rows.weight,
    )
    return "one_class" if np.isnan(value) else value


def one_against_one(rows: Rows, *, by_prevalence: bool) -> float | str:
    if len(set(rows.truth)) < len(rows.classes):
        return "one_class"
    areas, frequency = [], []
    for i, j in combinations(range(len(rows.classes)), 2):
        pair = (rows.truth == i) | (rows.truth == j)
        of = [
            sk.roc_auc_score(
                rows.truth[pair] == k, rows.scores[pair, k], sample_weight=rows.weight[pair]
            )
            for k in (i, j)
        ]
        areas.append(np.mean(of))
        frequency.append(rows.weight[pair].sum())
    return float(np.average(areas, weights=frequency if by_prevalence else None))


AREAS = {"roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


def has_area(name: str, own: np.ndarray) -> bool:
    return own.any() and not (name == "roc_auc" and own.all())


def area(name: str, average: str, rows: Rows) -> float | str:
    """The area of each class against the others, on binarized labels."""
    binarized = np.eye(len(rows.classes), dtype=int)[rows.truth]
    if average != "micro" and not all(has_area(name, own) for own in binarized.T):
        return "one_class"
    return AREAS[name](binarized, rows.scores, average=average, sample_weight=rows.weight)


def area_of_label(name: str, rows: Rows, label: str) -> float | str:
    k = [label_text(each) for each in rows.classes].index(label)
    own = rows.truth == k
    if not has_area(name, own):
        return "one_class"
    return AREAS[name](own, rows.scores[:, k], sample_weight=rows.weight)


def ks(rows: Rows) -> float | str:
    if not both_classes(rows):
        return "one_class"
    yes, scores = actual(rows), said(rows)
    gaps = []
    for threshold in np.unique(scores):
        below = scores <= threshold
        shares = [np.average(below[of], weights=rows.weight[of]) for of in (yes, ~yes)]
        gaps.append(abs(shares[0] - shares[1]))
    return max(gaps)


def gini(rows: Rows) -> float | str:
    if not both_classes(rows):
        return "one_class"
    return 2 * sk.roc_auc_score(actual(rows), said(rows), sample_weight=rows.weight) - 1


def trapezoid(rows: Rows) -> float | str:
    if not actual(rows).any():
        return "one_class"
    precision, recall, _ = sk.precision_recall_curve(
        actual(rows), said(rows), sample_weight=rows.weight
    )
    return sk.auc(recall, precision)


def partial_auc(rows: Rows, limit: str) -> float | str:
    if not both_classes(rows):
        return "one_class"
    return sk.roc_auc_score(
        actual(rows), said(rows), sample_weight=rows.weight, max_fpr=float(limit)
    )


def precision_recall(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    precision, recall, _ = sk.precision_recall_curve(
        actual(rows), said(rows), sample_weight=rows.weight
    )
    # The last point has no threshold.
    return precision[:-1], recall[:-1]


def precision_at_recall(rows: Rows, target: str) -> float | str:
    if not actual(rows).any():
        return "one_class"
    precision, recall = precision_recall(rows)
    return precision[recall >= float(target) - 1e-12].max()


def recall_at_precision(rows: Rows, target: str) -> float | str:
    if not actual(rows).any():
        return "one_class"
    precision, recall = precision_recall(rows)
    reached = precision >= float(target) - 1e-12
    return recall[reached].max() if reached.any() else "unreachable"


def roc(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    fpr, tpr, _ = sk.roc_curve(
        actual(rows), said(rows), sample_weight=rows.weight, drop_intermediate=False
    )
    return fpr, tpr


def tpr_at_fpr(rows: Rows, target: str) -> float | str:
    if not both_classes(rows):
        return "one_class"
    fpr, tpr = roc(rows)
    return tpr[fpr <= float(target) + 1e-12].max()


def fpr_at_tpr(rows: Rows, target: str) -> float | str:
    if not both_classes(rows):
        return "one_class"
    fpr, tpr = roc(rows)
    return fpr[tpr >= float(target) - 1e-12].min()


def gain(rows: Rows, part: str) -> float | str:
    """Each positive with the share of it that is taken when its ties share what is left."""
    if not actual(rows).any():
        return "one_class"
    scores, weight = said(rows), rows.weight
    cut = float(part) * weight.sum()
    taken = 0.0
    for i in np.flatnonzero(actual(rows)):
        above, tied = weight[scores > scores[i]].sum(), weight[scores == scores[i]].sum()
        taken += weight[i] * np.clip((cut - above) / tied, 0, 1)
    return taken / weight[actual(rows)].sum()


def lift(rows: Rows, part: str) -> float | str:
    value = gain(rows, part)
    return value if isinstance(value, str) else value / float(part)


def at_threshold(name: str, rows: Rows, threshold: str) -> float | str:
    yes, predicted = actual(rows), said(rows) >= float(threshold)
    if name == "precision" and not predicted.any():
        return "no_predicted_positive"
    if name == "recall" and not yes.any():
        return "one_class"
    if name == "f1" and not (yes | predicted).any():
        return "one_class"
    if name == "specificity":
        if yes.all():
            return "one_class"
        return sk.recall_score(~yes, ~predicted, sample_weight=rows.weight)
    score = {
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
        "accuracy": sk.accuracy_score,
    }[name]
    return score(yes, predicted, sample_weight=rows.weight)


def best_threshold(name: str, rows: Rows) -> float | str:
    yes, scores = actual(rows), said(rows)
    if not yes.any() or (name == "youden" and yes.all()):
        return "one_class"
    found, most = np.nan, -np.inf
    for threshold in np.unique(scores)[::-1]:
        taken = scores >= threshold
        hits, missed = rows.weight[taken & yes].sum(), rows.weight[~taken & yes].sum()
        false, spared = rows.weight[taken & ~yes].sum(), rows.weight[~taken & ~yes].sum()
        if name == "f1":
            value = hits / (hits + (missed + false) / 2)
        else:
            value = hits / (hits + missed) + spared / (spared + false)
        if value > most + 1e-12:
            found, most = threshold, value
    return float(found)


def no_costs(rows: Rows) -> str:
    """The rows here come without costs; those with them are in test_agreement.py."""
    return "no_costs"


def gaps(rows: Rows, place: np.ndarray) -> list[tuple[float, float, float]]:
    """Weight, share of positives less mean score, and share of positives of each bin with rows."""
    found = []
    for bin_ in set(place):
        of = place == bin_
        share = np.average(actual(rows)[of], weights=rows.weight[of])
        score = np.average(said(rows)[of], weights=rows.weight[of])
        found.append((rows.weight[of].sum(), share - score, share))
    return found


def in_uniform_bins(rows: Rows, bins: int) -> np.ndarray:
    return np.digitize(said(rows), np.linspace(0, 1, bins + 1)[1:-1], right=True)


def in_quantile_bins(rows: Rows, bins: int) -> np.ndarray:
    scores, weight = said(rows), rows.weight
    middle = np.array([weight[scores < s].sum() + weight[scores == s].sum() / 2 for s in scores])
    return np.minimum(np.floor(middle / weight.sum() * bins + 1e-9), bins - 1)


PLACES = {"uniform": in_uniform_bins, "quantile": in_quantile_bins}


def ece(kind: str, rows: Rows, bins: str = "15") -> float:
    found = gaps(rows, PLACES[kind](rows, int(bins)))
    return sum(weight * abs(gap) for weight, gap, _ in found) / rows.weight.sum()


def mce(kind: str, rows: Rows, bins: str = "15") -> float:
    return max(abs(gap) for _, gap, _ in gaps(rows, PLACES[kind](rows, int(bins))))


def ratio_of_sums(rows: Rows) -> float | str:
    if not actual(rows).any():
        return "one_class"
    return (rows.weight * said(rows)).sum() / rows.weight[actual(rows)].sum()


def top_label(rows: Rows, bins: str = "15") -> float:
    """The confidence in the predicted class against whether it is right, bin by bin."""
    confidence = rows.scores[np.arange(len(rows)), rows.predicted]
    right = rows.predicted == rows.truth
    place = np.digitize(confidence, np.linspace(0, 1, int(bins) + 1)[1:-1], right=True)
    total = 0.0
    for bin_ in set(place):
        of, weight = place == bin_, rows.weight[place == bin_]
        gap = np.average(confidence[of], weights=weight) - np.average(right[of], weights=weight)
        total += weight.sum() * abs(gap)
    return total / rows.weight.sum()


def one_class_matrices(rows: Rows, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """True negatives and false positives of each class."""
    matrices = sk.multilabel_confusion_matrix(
        rows.truth, rows.predicted, labels=labels, sample_weight=rows.weight
    )
    return matrices[:, 0, 0], matrices[:, 0, 1]


def specificity(average: str, rows: Rows) -> float | str:
    if average == "micro":
        spared, false = one_class_matrices(rows, np.arange(len(rows.classes)))
        return spared.sum() / (spared + false).sum()
    if len(set(rows.truth)) == 1:
        return "one_class"
    labels = np.union1d(rows.truth, rows.predicted)
    spared, false = one_class_matrices(rows, labels)
    support = [rows.weight[rows.truth == k].sum() for k in labels]
    return float(
        np.average(spared / (spared + false), weights=support if average == "weighted" else None)
    )


def specificity_of_label(rows: Rows, label: str) -> float | str:
    k = [label_text(each) for each in rows.classes].index(label)
    if (rows.truth == k).all():
        return "one_class"
    (spared,), (false,) = one_class_matrices(rows, [k])
    return spared / (spared + false)


def youden(rows: Rows) -> float | str:
    recall = rate("tp", "tp fn", "one_class", rows)
    specificity = rate("tn", "tn fp", "one_class", rows)
    if isinstance(recall, str) or isinstance(specificity, str):
        return "one_class"
    return recall + specificity - 1


ORACLES: dict[str, Oracle] = {
    "youden_j": youden,
    "specificity": partial(rate, "tn", "tn fp", "one_class"),
    "npv": partial(rate, "tn", "tn fn", "no_predicted_negative"),
    "fpr": partial(rate, "fp", "tn fp", "one_class"),
    "fnr": partial(rate, "fn", "tp fn", "one_class"),
    "fdr": partial(rate, "fp", "tp fp", "no_predicted_positive"),
    "false_omission_rate": partial(rate, "fn", "tn fn", "no_predicted_negative"),
    "selection_rate": partial(rate, "tp fp", "tp fp tn fn", "zero_weight"),
    "prevalence": partial(rate, "tp fn", "tp fp tn fn", "zero_weight"),
    "true_positives": partial(cell, "tp"),
    "false_positives": partial(cell, "fp"),
    "true_negatives": partial(cell, "tn"),
    "false_negatives": partial(cell, "fn"),
    "jaccard": lambda rows: jaccard_of(rows, rows.positive),
    **{f"jaccard_{each}": partial(jaccard_over, each) for each in ("macro", "micro", "weighted")},
    "cohen_kappa": partial(kappa, None),
    "cohen_kappa_linear": partial(kappa, "linear"),
    "cohen_kappa_quadratic": partial(kappa, "quadratic"),
    "cost": no_costs,
    "roc_auc_ovo": partial(one_against_one, by_prevalence=False),
    "roc_auc_ovo_weighted": partial(one_against_one, by_prevalence=True),
    "roc_auc_ovr_micro": partial(area, "roc_auc", "micro"),
    **{
        f"average_precision_{each}": partial(area, "average_precision", each)
        for each in ("macro", "weighted", "micro")
    },
    "ks_statistic": ks,
    "gini": gini,
    "pr_auc_trapezoid": trapezoid,
    "best_threshold_f1": partial(best_threshold, "f1"),
    "best_threshold_youden": partial(best_threshold, "youden"),
    "best_threshold_cost": no_costs,
    "ece": partial(ece, "uniform"),
    "mce": partial(mce, "uniform"),
    "ece_quantile": partial(ece, "quantile"),
    "mce_quantile": partial(mce, "quantile"),
    "ece_top_label": top_label,
    "calibration_ratio": ratio_of_sums,
    **{
        f"specificity_{each}": partial(specificity, each) for each in ("macro", "weighted", "micro")
    },
}

SHARE = r"0?\.[0-9]*[1-9][0-9]*|1(?:\.0+)?|[1-9](?:\.[0-9]+)?[eE]-0*[1-9][0-9]*"
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
BETA = r"(?P<beta>(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?)"
AT_THRESHOLD = ("precision", "recall", "f1", "specificity", "accuracy")
BINS = r"(?P<bins>[1-9][0-9]{0,2})"

PATTERNS: dict[str, Callable[..., float | str]] = {
    r"jaccard_class_(?P<label>.*)": jaccard_of_label,
    **{rf"{name}_class_(?P<label>.*)": partial(area_of_label, name) for name in AREAS},
    rf"fbeta_{BETA}(?:_(?P<average>macro|micro|weighted))?": fbeta,
    rf"roc_auc_max_fpr_(?P<limit>{SHARE})": partial_auc,
    rf"precision_at_recall_(?P<target>{SHARE})": precision_at_recall,
    rf"recall_at_precision_(?P<target>{SHARE})": recall_at_precision,
    rf"tpr_at_fpr_(?P<target>{SHARE})": tpr_at_fpr,
    rf"fpr_at_tpr_(?P<target>{SHARE})": fpr_at_tpr,
    rf"lift_at_(?P<part>{SHARE})": lift,
    rf"(?:gain|capture_rate)_at_(?P<part>{SHARE})": gain,
    **{
        rf"{name}_at_threshold_(?P<threshold>{NUMBER})": partial(at_threshold, name)
        for name in AT_THRESHOLD
    },
    r"specificity_class_(?P<label>.*)": specificity_of_label,
    rf"ece_top_label_{BINS}": top_label,
    rf"ece_{BINS}": partial(ece, "uniform"),
    rf"mce_{BINS}": partial(mce, "uniform"),
    rf"ece_quantile_{BINS}": partial(ece, "quantile"),
    rf"mce_quantile_{BINS}": partial(mce, "quantile"),
}

OF_CURVES = (
    "roc_auc_max_fpr_0.2",
    "roc_auc_max_fpr_1",
    "precision_at_recall_0.5",
    "recall_at_precision_0.8",
    "tpr_at_fpr_0.1",
    "fpr_at_tpr_.9",
    "lift_at_0.1",
    "gain_at_0.35",
    "capture_rate_at_1",
)
OF_BINS = ("ece_4", "mce_100", "ece_quantile_3", "mce_quantile_5")
MULTICLASS_ONLY = frozenset(
    name for name in ORACLES if name.startswith(("roc_auc_ov", "average_precision_"))
)
BINARY_ONLY = frozenset(
    name
    for name in ORACLES
    if not name.startswith(("jaccard_", "cohen", "cost", "specificity_", "ece_top_label"))
    and name not in MULTICLASS_ONLY
)


def examples(rows: Rows) -> list[str]:
    """The names that these rows are measured by: all that fit, and some of each pattern."""
    if not rows.classes:
        return []
    binary = rows.problem.task is TaskKind.BINARY
    names = [f"jaccard_class_{label_text(rows.classes[0])}", "fbeta_2_macro", "fbeta_2_micro"]
    names += ["fbeta_0.5_weighted"]
    names += [f"{name}_class_{label_text(rows.classes[-1])}" for name in (*AREAS, "specificity")]
    names += ["ece_top_label_7"]
    for name in ORACLES:
        # Of ten classes there are ninety histograms: those are held to it once, elsewhere.
        of_many = name.startswith("roc_auc_ovo")
        other_task = name in (MULTICLASS_ONLY if binary else BINARY_ONLY)
        if not other_task and not (of_many and len(rows.classes) != 3):
            names.append(name)
    if binary:
        names += ["fbeta_2", "fbeta_0.5", *OF_CURVES, *OF_BINS]
        names += [f"{name}_at_threshold_0.3" for name in AT_THRESHOLD]
        names += ["recall_at_threshold_1e-05", "f1_at_threshold_1.0000000000000002"]
    return names
