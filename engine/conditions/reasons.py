"""How a verdict is put: reasons for what is undefined, and numbers as they stand in sentences."""

from __future__ import annotations

import math

from engine.core.vocabulary import MetricValue

REASONS = {
    "empty": "the slice has no labelled rows",
    "few_rows": "there are too few rows",
    "zero_weight": "all weights of the slice are 0",
    "one_class": "the slice lacks rows of a class that the metric needs",
    "no_predicted_positive": "the model predicts the class for no row of the slice",
    "nan_input": "some predictions of the slice are not finite, or not probabilities",
    "not_probabilities": "the scores are those of a decision function, which ranks rows and gives "
    "no probabilities; say output: logit where they are log odds, or calibrate the model",
    "constant": "the labels or the predictions of the slice are all the same",
    "unknown_class": "the metric names a class that the model does not have",
    "negative": "a label or a prediction of the slice is below what the metric allows",
    "unreachable": "no threshold reaches what the metric's name asks for",
    "no_costs": "the evaluation has no costs",
    "separable": "the scores separate the classes of the slice wholly",
    "undefined_groups": "it is not defined for every group",
    "one_group": "the slice has rows of one group only",
    "zero_rate": "the rate is 0 in every group",
    "undefined": "the metric is not a finite number here",
    "failed": "it could not be computed",
    "no_steps": "no row of the slice has room for the step",
    "no_violations": "no score of the slice moves the wrong way",
    "unchanged": "no row of the slice was changed",
    "is_baseline": "it compares with the baseline, and this is the baseline",
}

# Figures are the same on any number of partitions but for their last digits, and so must verdicts
# be: a value that should be exactly at its limit is.
ROUNDING = 1e-12
SIX_DIGITS = 2e-5


def number(value: float, *others: float) -> str:
    """A value as it stands in sentences, with as many digits as tell it from the others."""
    # What differs by more than this differs in its first six digits.
    near = SIX_DIGITS * abs(value)
    text = f"{value:.6g}"
    alike = [
        other
        for other in others
        if abs(value - other) <= near and text == f"{other:.6g}" and not _same(value, other)
    ]
    if not alike:
        return text
    for digits in range(7, 17):
        text = f"{value:.{digits}g}"
        if all(text != f"{other:.{digits}g}" for other in alike):
            return text
    return repr(value)


def _same(value: float, other: float) -> bool:
    return abs(value - other) <= ROUNDING * max(abs(value), abs(other))


def undefined_reason(value: MetricValue) -> str | None:
    """Why there is no finite number; None when there is one."""
    if value.value is not None and math.isfinite(value.value):
        return None
    code = value.reason or "undefined"
    detail = f" ({value.detail})" if value.detail else ""
    return f"undefined: {REASONS.get(code, code)}{detail}"


def slack(value: MetricValue) -> float:
    """What approximation can have cost; a bound that is not a number bounds nothing."""
    bound = value.error_bound
    return abs(bound) if bound == bound else float("inf")
