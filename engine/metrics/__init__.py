"""Metrics: pure functions of states, registered by name.

No metric sees Spark, slices, thresholds or models. To add one, write its function in the file of
its family and its oracle in `tests/metrics/`.
"""

from __future__ import annotations

from engine.metrics import (
    agreement,
    calibration,
    calibration_slope,
    churn,
    classification,
    curve_points,
    deviances,
    fairness,
    multilabel,
    one_vs_one,
    probability,
    quantiles,
    rank_correlation,
    ranking,
    rates,
    regression,
    roc,
    thresholds,
)
from engine.metrics.base import (
    BINARY,
    CLASSIFICATION,
    METRICS,
    MULTICLASS,
    MULTILABEL,
    RANKING,
    REGRESSION,
    Metric,
    Problem,
    mean,
    mean_metric,
    mean_of,
    metric,
    pairs_of,
    share_of,
)
from engine.metrics.basis import Averaged, Basis, Counted, Known, Map
from engine.metrics.classification import label_text
from engine.metrics.curves import confusion, curves
from engine.metrics.fairness import (
    GROUPED,
    ComparedRate,
    Grouped,
    GroupedValue,
    How,
    fairness_metric,
    measure_groups,
)
from engine.metrics.inference.differences import Comparison, comparison_of, comparisons_of
from engine.metrics.inference.intervals import spread_of, spreads_of
from engine.metrics.slices import RowsOf, Sampling, Slices, SliceStates
from engine.metrics.thresholds import AT
from engine.metrics.values import Figured, Value, ratio

__all__ = [
    "AT",
    "BINARY",
    "CLASSIFICATION",
    "GROUPED",
    "METRICS",
    "MULTICLASS",
    "MULTILABEL",
    "RANKING",
    "REGRESSION",
    "Averaged",
    "Basis",
    "ComparedRate",
    "Comparison",
    "Counted",
    "Figured",
    "Grouped",
    "GroupedValue",
    "How",
    "Known",
    "Map",
    "Metric",
    "Problem",
    "RowsOf",
    "Sampling",
    "SliceStates",
    "Slices",
    "Value",
    "agreement",
    "calibration",
    "calibration_slope",
    "churn",
    "classification",
    "comparison_of",
    "comparisons_of",
    "confusion",
    "curve_points",
    "curves",
    "deviances",
    "fairness",
    "fairness_metric",
    "label_text",
    "mean",
    "mean_metric",
    "mean_of",
    "measure_groups",
    "metric",
    "multilabel",
    "one_vs_one",
    "pairs_of",
    "probability",
    "quantiles",
    "rank_correlation",
    "ranking",
    "rates",
    "ratio",
    "regression",
    "roc",
    "share_of",
    "spread_of",
    "spreads_of",
    "thresholds",
]
