"""What the registry does not know of a metric: its reference, and what happens at its edges.

`make_metrics.py` writes it into `metrics.md`, and refuses a registered metric without a note.
"""

from __future__ import annotations

from dataclasses import dataclass

NEVER = "–"


@dataclass(frozen=True, slots=True)
class Note:
    """The function that a metric is compared with in the tests, and where it is undefined."""

    reference: str
    undefined: str = NEVER


@dataclass(frozen=True, slots=True)
class Made:
    """Names that are made when they are asked for: how they are written, an example, the edges."""

    written: str
    example: str
    undefined: str = NEVER


ROWS = "numpy, on rows"
_NO_POSITIVE = "`one_class`: no row is positive"
_BOTH_NEEDED = "`one_class`: positives or negatives are missing"
_MISSING = f"{_BOTH_NEEDED} (scikit-learn: NaN)"
_A_CLASS_LACKS = "`one_class`: a class has no row"
_NO_COSTS = "`no_costs`: the dataset says no costs"
_NO_NEGATIVE_PREDICTED = "`no_predicted_negative`: no row is predicted negative"
_NO_ORDER = (
    "`constant`: the targets or the predictions are; `too_close`: beyond the cap, they lie too "
    "close to be told apart"
)
_CONSTANT = "`constant`: the target is constant, as it is with one row"
_NEGATIVE = "`negative`: a target or a prediction is out of the metric's range"
_GROUPS = "`undefined_groups`: a group has no such rate; the detail names it"

_RATIO = {
    "precision": "`no_predicted_positive`: no row is predicted positive (scikit-learn: 0)",
    "recall": f"{_NO_POSITIVE} (scikit-learn: 0)",
    "f1": f"{_NO_POSITIVE}, and none is predicted so (scikit-learn: 0)",
    "jaccard": f"{_NO_POSITIVE}, and none is predicted so (scikit-learn: 0)",
}

_CLASSES = {
    "accuracy": Note("accuracy_score"),
    "balanced_accuracy": Note("balanced_accuracy_score"),
    "balanced_accuracy_adjusted": Note(
        "balanced_accuracy_score(adjusted=True)", "`one_class`: one class has rows"
    ),
    "matthews_corrcoef": Note(
        "matthews_corrcoef",
        "`one_class`: the labels are all the same; `constant`: the predictions are "
        "(scikit-learn: 0)",
    ),
    **{
        f"cohen_kappa{weights}": Note(
            f"cohen_kappa_score{how}",
            "`one_class`: all rows are of one class and predicted so (scikit-learn: NaN)",
        )
        for weights, how in (
            ("", ""),
            ("_linear", '(weights="linear")'),
            ("_quadratic", '(weights="quadratic")'),
        )
    },
    "cost": Note(ROWS, _NO_COSTS),
}

_RATES = {
    "youden_j": Note(ROWS, _BOTH_NEEDED),
    "specificity": Note("fairlearn true_negative_rate", "`one_class`: no row is negative"),
    "npv": Note("confusion_matrix", _NO_NEGATIVE_PREDICTED),
    "fpr": Note("fairlearn false_positive_rate", "`one_class`: no row is negative"),
    "fnr": Note("fairlearn false_negative_rate", _NO_POSITIVE),
    "fdr": Note("confusion_matrix", "`no_predicted_positive`: no row is predicted positive"),
    "false_omission_rate": Note("confusion_matrix", _NO_NEGATIVE_PREDICTED),
    "selection_rate": Note("fairlearn selection_rate"),
    "prevalence": Note(ROWS),
    **{
        name: Note("confusion_matrix")
        for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")
    },
}

_SCORES = {
    "roc_auc": Note("roc_auc_score", _MISSING),
    "gini": Note("2 roc_auc_score - 1", _MISSING),
    "roc_auc_ovr": Note(
        'roc_auc_score(multi_class="ovr")', f"{_A_CLASS_LACKS}, or has all of them"
    ),
    "roc_auc_ovr_weighted": Note(
        'roc_auc_score(multi_class="ovr", average="weighted")',
        f"{_A_CLASS_LACKS}, or has all of them",
    ),
    "roc_auc_ovo": Note('roc_auc_score(multi_class="ovo")', _A_CLASS_LACKS),
    "roc_auc_ovo_weighted": Note(
        'roc_auc_score(multi_class="ovo", average="weighted")', _A_CLASS_LACKS
    ),
    "average_precision": Note("average_precision_score", f"{_NO_POSITIVE} (scikit-learn: 0)"),
    "pr_auc_trapezoid": Note("auc of precision_recall_curve", _NO_POSITIVE),
    "ks_statistic": Note("scipy ks_2samp", _BOTH_NEEDED),
    "log_loss": Note("log_loss"),
    "brier_score": Note("brier_score_loss"),
    "top_k_accuracy": Note("top_k_accuracy_score(k=2)"),
    "best_threshold_f1": Note(ROWS, _NO_POSITIVE),
    "best_threshold_youden": Note(ROWS, _BOTH_NEEDED),
    "best_threshold_cost": Note(ROWS, _NO_COSTS),
}

_CALIBRATION = {
    "ece": Note(ROWS),
    "ece_quantile": Note(ROWS),
    "mce": Note(ROWS),
    "mce_quantile": Note(ROWS),
    "ece_debiased": Note("scipy foldnorm, on rows"),
    "calibration_ratio": Note(ROWS, _NO_POSITIVE),
    "calibration_slope": Note(
        "scipy minimize, on rows",
        f"{_BOTH_NEEDED}; `separable`: a cut of the scores has all positives on one side",
    ),
    "calibration_intercept": Note("scipy brentq, on rows", _BOTH_NEEDED),
}

_VERSIONS = {
    name: Note(ROWS)
    for name in ("flip_rate", "agreement", "regressions", "improvements", "score_psi")
}

_REGRESSION = {
    "mean_absolute_error": Note("mean_absolute_error"),
    "mean_squared_error": Note("mean_squared_error"),
    "root_mean_squared_error": Note("root_mean_squared_error"),
    "mean_absolute_percentage_error": Note("mean_absolute_percentage_error"),
    "median_absolute_error": Note("median_absolute_error"),
    "r2": Note("r2_score", f"{_CONSTANT} (scikit-learn: 1, 0 or NaN)"),
    "explained_variance": Note("explained_variance_score", f"{_CONSTANT} (scikit-learn: 1 or 0)"),
    "d2_absolute_error": Note("d2_absolute_error_score", _CONSTANT),
    "pearson": Note("scipy pearsonr", "`constant`: the targets or the predictions are"),
    "spearman": Note("scipy spearmanr", _NO_ORDER),
    "kendall": Note("scipy kendalltau", _NO_ORDER),
    "bias": Note(ROWS),
    "smape": Note(ROWS),
    "wape": Note(ROWS, "`zero_targets`: all targets are 0"),
    "mean_on_target": Note(ROWS),
    "zero_target_share": Note(ROWS),
    "max_error": Note("max_error"),
    "mean_squared_log_error": Note("mean_squared_log_error", _NEGATIVE),
    "root_mean_squared_log_error": Note("root_mean_squared_log_error", _NEGATIVE),
    "mean_poisson_deviance": Note("mean_poisson_deviance", _NEGATIVE),
    "mean_gamma_deviance": Note("mean_gamma_deviance", _NEGATIVE),
}

_NO_LABEL = "`one_class`: no row has the label"
_MULTILABEL = {
    "hamming_loss": Note("hamming_loss"),
    "subset_accuracy": Note("accuracy_score"),
    "multilabel_log_loss": Note("log_loss, of each label"),
    "coverage_error": Note("coverage_error"),
    "label_ranking_average_precision": Note("label_ranking_average_precision_score"),
    "label_ranking_loss": Note("label_ranking_loss"),
    **{
        f"multilabel_{stem}_{average}": Note(f'{stem}_score(average="{average}")', undefined)
        for stem in ("f1", "jaccard")
        for average, undefined in (
            ("micro", "`one_class`: no row has or is given any label"),
            ("macro", NEVER),
            ("weighted", "`one_class`: no row has any label"),
            ("samples", NEVER),
        )
    },
}

_RANKING = {
    "ndcg": Note("ndcg_score", "`negative`: a relevance is below 0"),
    "mrr": Note(ROWS, "`negative`: a relevance is below 0"),
    "map": Note(ROWS, "`negative`: a relevance is below 0"),
    "r_precision": Note(ROWS, "`negative`: a relevance is below 0"),
    "dcg": Note("dcg_score", "`negative`: a relevance is below 0"),
}

_FAIRLEARN = ("demographic_parity", "equal_opportunity", "equalized_odds")
_FAIRNESS = {
    f"{what}_{how}": Note(
        f"fairlearn {what}_{how}"
        if what in _FAIRLEARN and how in ("difference", "ratio")
        else ROWS,
        _GROUPS,
    )
    for what in (*_FAIRLEARN, "predictive_parity", "accuracy_parity")
    for how in ("difference", "ratio", "difference_debiased")
}

NOTES: dict[str, Note] = {
    **_CLASSES,
    **_RATES,
    **_SCORES,
    **_CALIBRATION,
    **_VERSIONS,
    **_REGRESSION,
    **_MULTILABEL,
    **_RANKING,
    **_FAIRNESS,
}
for _name, _words in _RATIO.items():
    NOTES[_name] = Note(f"{_name}_score", _words)
    for _average in ("macro", "micro", "weighted"):
        NOTES[f"{_name}_{_average}"] = Note(f'{_name}_score(average="{_average}")')

MADE = (
    Made(
        "precision_class_<label>",
        "precision_class_3",
        "`no_predicted_positive`: the class is predicted for no row",
    ),
    Made("recall_class_<label>", "recall_class_3", "`one_class`: no row is of the class"),
    *(
        Made(
            f"{name}_class_<label>",
            f"{name}_class_3",
            "`one_class`: no row is of the class, and it is predicted for none",
        )
        for name in ("f1", "jaccard")
    ),
    Made("fbeta_<beta>", "fbeta_2", _RATIO["f1"]),
    Made("fbeta_<beta>_macro, _micro, _weighted", "fbeta_2_macro"),
    Made("top_<k>_accuracy", "top_3_accuracy"),
    Made("top_k_accuracy_<k>", "top_k_accuracy_3"),
    *(
        Made(f"{name}_at_threshold_<t>", f"{name}_at_threshold_0.3", undefined)
        for name, undefined in (
            ("precision", _RATIO["precision"]),
            ("recall", _NO_POSITIVE),
            ("f1", _RATIO["f1"]),
            ("specificity", "`one_class`: no row is negative"),
            ("accuracy", NEVER),
        )
    ),
    Made("precision_at_recall_<share>", "precision_at_recall_0.8", _NO_POSITIVE),
    Made(
        "recall_at_precision_<share>",
        "recall_at_precision_0.9",
        f"{_NO_POSITIVE}; `unreachable`: no threshold has such a precision",
    ),
    Made("tpr_at_fpr_<share>", "tpr_at_fpr_0.01", _BOTH_NEEDED),
    Made("fpr_at_tpr_<share>", "fpr_at_tpr_0.9", _BOTH_NEEDED),
    Made("roc_auc_max_fpr_<share>", "roc_auc_max_fpr_0.1", _BOTH_NEEDED),
    Made("lift_at_<share>", "lift_at_0.1", _NO_POSITIVE),
    Made("gain_at_<share>, capture_rate_at_<share>", "gain_at_0.1", _NO_POSITIVE),
    *(
        Made(f"{name}_<bins>", f"{name}_10")
        for name in ("ece", "ece_quantile", "mce", "mce_quantile")
    ),
    Made("absolute_error_quantile_<q>", "absolute_error_quantile_0.9"),
    Made("mean_pinball_loss_<alpha>", "mean_pinball_loss_0.9"),
    Made("d2_pinball_<alpha>", "d2_pinball_0.9", _CONSTANT),
    Made("mean_tweedie_deviance_<power>", "mean_tweedie_deviance_1.5", _NEGATIVE),
    Made("d2_tweedie_<power>", "d2_tweedie_1.5", f"{_NEGATIVE}; {_CONSTANT}"),
    *(
        Made(f"{name}_at_<k>", f"{name}_at_10", "`negative`: a relevance is below 0")
        for name in ("ndcg", "dcg", "mrr", "map", "precision", "recall", "hit_rate")
    ),
)
