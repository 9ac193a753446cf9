"""Metrics: pure functions of states, registered by name.

No metric sees Spark, slices, thresholds or models. To add one, write its function in the file of
its family and its oracle in `tests/metrics/`.
"""

from __future__ import annotations

from engine.metrics import classification, probability, ranking, regression
from engine.metrics.base import (
    BINARY,
    CLASSIFICATION,
    METRICS,
    MULTICLASS,
    REGRESSION,
    Metric,
    Problem,
    Sampling,
    SliceStates,
    Value,
    mean,
    mean_metric,
    metric,
    ratio,
)
from engine.metrics.basis import Averaged, Basis, Counted, Known, Map
from engine.metrics.classification import label_text
from engine.metrics.curves import confusion, curves
from engine.metrics.inference import Comparison, comparison_of, spread_of

__all__ = [
    "BINARY",
    "CLASSIFICATION",
    "METRICS",
    "MULTICLASS",
    "REGRESSION",
    "Averaged",
    "Basis",
    "Comparison",
    "Counted",
    "Known",
    "Map",
    "Metric",
    "Problem",
    "Sampling",
    "SliceStates",
    "Value",
    "classification",
    "comparison_of",
    "confusion",
    "curves",
    "label_text",
    "mean",
    "mean_metric",
    "metric",
    "probability",
    "ranking",
    "ratio",
    "regression",
    "spread_of",
]
