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
_ONE_HAS_ALL = "`one_class`: one class has all rows"
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
    **{
        f"specificity_{average}": Note("multilabel_confusion_matrix", undefined)
        for average, undefined in (
            ("macro", _ONE_HAS_ALL),
            ("weighted", _ONE_HAS_ALL),
            ("micro", NEVER),
        )
    },
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
        'roc_auc_score(multi_class="ovr")', f"{_A_CLASS_LACKS}, or has all of them; it is named"
    ),
    "roc_auc_ovr_weighted": Note(
        'roc_auc_score(multi_class="ovr", average="weighted")',
        f"{_A_CLASS_LACKS}, or has all of them; it is named",
    ),
    "roc_auc_ovr_micro": Note('roc_auc_score(multi_class="ovr", average="micro")'),
    **{
        f"average_precision_{average}": Note(
            f'average_precision_score(average="{average}")',
            f"{_A_CLASS_LACKS}; it is named (scikit-learn: it counts 0)",
        )
        for average in ("macro", "weighted")
    },
    "average_precision_micro": Note('average_precision_score(average="micro")'),
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
    "ece_top_label": Note(ROWS),
    "calibration_ratio": Note(ROWS, _NO_POSITIVE),
    "calibration_slope": Note(
        "scipy minimize, on rows",
        f"{_BOTH_NEEDED}; `separable`: a cut of the scores has all positives on one side",
    ),
    "calibration_intercept": Note("scipy brentq, on rows", _BOTH_NEEDED),
}

_VERSIONS = {
    name: Note(ROWS)
    for name in (
        "flip_rate",
        "flips_to_positive",
        "flips_to_negative",
        "agreement",
        "regressions",
        "improvements",
        "score_psi",
    )
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
_NO_LABEL_AT_ALL = "`one_class`: no row has or is given any label (scikit-learn: 0)"
_NO_TRUE_LABEL = "`one_class`: no row has any label"
_NONE_GIVEN = "`no_predicted_positive`: no row is given any label (scikit-learn: 0)"
_LABEL_BOTH_NEEDED = (
    "`one_class`: of a label no row has it, or all have; it is named (scikit-learn: NaN)"
)
_PAIRS_BOTH_NEEDED = "`one_class`: no row has any label, or all have all (scikit-learn: NaN)"
_LABEL_NEEDED = "`one_class`: of a label no row has it; it is named (scikit-learn: it counts 0)"
_MULTILABEL = {
    "hamming_loss": Note("hamming_loss"),
    "subset_accuracy": Note("accuracy_score"),
    "multilabel_log_loss": Note("log_loss, of each label"),
    "coverage_error": Note("coverage_error"),
    "label_ranking_average_precision": Note("label_ranking_average_precision_score"),
    "label_ranking_loss": Note("label_ranking_loss"),
    **{
        f"multilabel_{stem}_{average}": Note(f'{stem}_score(average="{average}")', undefined)
        for stem, micro, macro, weighted in (
            ("f1", _NO_LABEL_AT_ALL, _NO_LABEL_AT_ALL, _NO_TRUE_LABEL),
            ("jaccard", _NO_LABEL_AT_ALL, _NO_LABEL_AT_ALL, _NO_TRUE_LABEL),
            ("precision", _NONE_GIVEN, _NONE_GIVEN, f"{_NO_TRUE_LABEL}; {_NONE_GIVEN}"),
            ("recall", *[f"{_NO_TRUE_LABEL} (scikit-learn: 0)"] * 3),
        )
        for average, undefined in (
            ("micro", micro),
            ("macro", macro),
            ("weighted", weighted),
            ("samples", NEVER),
        )
    },
    **{
        f"multilabel_{stem}_{average}": Note(f'{stem}_score(average="{average}")', undefined)
        for stem, label, pairs in (
            ("roc_auc", _LABEL_BOTH_NEEDED, _PAIRS_BOTH_NEEDED),
            ("average_precision", _LABEL_NEEDED, f"{_NO_TRUE_LABEL} (scikit-learn: 0)"),
        )
        for average, undefined in (("macro", label), ("weighted", label), ("micro", pairs))
    },
}

_BELOW = "`negative`: a relevance is below 0"
_RANKING = {
    "ndcg": Note("ndcg_score", _BELOW),
    "ndcg_exp": Note("ndcg_score of 2^relevance - 1", _BELOW),
    "mrr": Note(ROWS, _BELOW),
    "map": Note(ROWS, _BELOW),
    "r_precision": Note(ROWS, _BELOW),
    "dcg": Note("dcg_score", _BELOW),
    "dcg_exp": Note("dcg_score of 2^relevance - 1", _BELOW),
}

_FAIRLEARN = (
    "demographic_parity",
    "equal_opportunity",
    "equalized_odds",
    "false_positive_rate",
    "false_negative_rate",
)
_FAIRNESS = {
    **{
        f"{what}_{how}": Note(
            f"fairlearn {what}_{how}"
            if what in _FAIRLEARN and how in ("difference", "ratio")
            else ROWS,
            _GROUPS,
        )
        for what in (*_FAIRLEARN, "predictive_parity", "accuracy_parity")
        for how in ("difference", "ratio", "difference_debiased")
    },
    "average_odds_difference": Note('fairlearn equalized_odds_difference(agg="mean")', _GROUPS),
    "average_odds_difference_debiased": Note(ROWS, _GROUPS),
    **{
        name: Note(f"fairlearn MetricFrame.{name[-9:]}", _GROUPS)
        for name in (
            "accuracy_group_min",
            "recall_group_min",
            "precision_group_min",
            "selection_rate_group_min",
            "specificity_group_min",
            "fpr_group_max",
            "fnr_group_max",
        )
    },
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
    Made(
        "specificity_class_<label>",
        "specificity_class_3",
        "`one_class`: all rows are of the class",
    ),
    Made(
        "roc_auc_class_<label>",
        "roc_auc_class_3",
        "`one_class`: no row is of the class, or all are (scikit-learn: NaN)",
    ),
    Made(
        "average_precision_class_<label>",
        "average_precision_class_3",
        "`one_class`: no row is of the class (scikit-learn: 0)",
    ),
    *(
        Made(f"multilabel_{name}_label_<label>", f"multilabel_{name}_label_3", undefined)
        for name, undefined in (
            ("precision", "`no_predicted_positive`: no row is given the label (scikit-learn: 0)"),
            ("recall", f"{_NO_LABEL} (scikit-learn: 0)"),
            ("f1", f"{_NO_LABEL}, and none is given it (scikit-learn: 0)"),
            ("jaccard", f"{_NO_LABEL}, and none is given it (scikit-learn: 0)"),
            ("roc_auc", f"{_NO_LABEL}, or all have (scikit-learn: NaN)"),
            ("average_precision", f"{_NO_LABEL} (scikit-learn: 0)"),
        )
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
        for name in ("ece", "ece_quantile", "ece_top_label", "mce", "mce_quantile")
    ),
    Made("absolute_error_quantile_<q>", "absolute_error_quantile_0.9"),
    Made("mean_pinball_loss_<alpha>", "mean_pinball_loss_0.9"),
    Made("d2_pinball_<alpha>", "d2_pinball_0.9", _CONSTANT),
    Made("mean_tweedie_deviance_<power>", "mean_tweedie_deviance_1.5", _NEGATIVE),
    Made("d2_tweedie_<power>", "d2_tweedie_1.5", f"{_NEGATIVE}; {_CONSTANT}"),
    *(
        Made(f"{name}_at_<k>", f"{name}_at_10", _BELOW)
        for name in (
            "ndcg",
            "ndcg_exp",
            "dcg",
            "dcg_exp",
            "mrr",
            "map",
            "precision",
            "recall",
            "hit_rate",
        )
    ),
    *(
        Made(
            f"{name}_at_<k>_relevance_<label>, {name}_relevance_<label>",
            f"{name}_at_10_relevance_2",
            _BELOW,
        )
        for name in ("mrr", "map")
    ),
    *(
        Made(f"{name}_at_<k>_relevance_<label>", f"{name}_at_10_relevance_2", _BELOW)
        for name in ("precision", "recall", "hit_rate")
    ),
    Made("r_precision_relevance_<label>", "r_precision_relevance_2", _BELOW),
)
