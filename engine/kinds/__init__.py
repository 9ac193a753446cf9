"""Kinds of tests, one file for each, which says all there is to say of it.

A new kind is a file here that registers itself, its test and its page in `docs/kinds/`; one from
outside does the same from a module that the suite names, or by the entry point `evalmatrix.kinds`.
"""

from __future__ import annotations

from engine.conditions import Limit
from engine.kinds import (  # noqa: F401
    baseline_models,
    contract,
    data_quality,
    direction,
    discover,
    drift,
    invariance,
    leakage,
    metric,
    overfit,
    robustness,
    speed,
)
from engine.kinds.base import (
    CLEAN,
    KINDS,
    Kind,
    KindFile,
    key_in,
    kind_of,
    loss_columns,
    parameters_text,
    probe_of,
    query_of,
    trivial_of,
    variants_of,
)
from engine.kinds.column_facts import ALL_COLUMNS
from engine.kinds.estimates import (
    NO_DIFFERENCE,
    Difference,
    Part,
    SliceEstimate,
    SliceEstimates,
    estimate_metric,
)
from engine.kinds.extensions import load_extensions
from engine.kinds.finds import DISCOVERED, Find
from engine.kinds.pictures import (
    Distribution,
    Distributions,
    Intervals,
    KindPicture,
    Line,
    LineChart,
    Point,
    Sign,
    SignTable,
    intervals_by_test,
    lines_along_column,
    value_limits,
)
from engine.kinds.pinning import known_bins, pin_bins, pin_test
from engine.kinds.questions import (
    COUNT,
    MARK,
    MOST_SAMPLE_ROWS,
    SLICE,
    Mark,
    Predictor,
    Probe,
    Query,
    column_sql,
    figure,
    text_sql,
)
from engine.kinds.setting import Bar, Bins, Card, ColumnValues, Context, Ranges, Section, Setting

__all__ = [
    "ALL_COLUMNS",
    "CLEAN",
    "COUNT",
    "DISCOVERED",
    "KINDS",
    "MARK",
    "MOST_SAMPLE_ROWS",
    "NO_DIFFERENCE",
    "SLICE",
    "Bar",
    "Bins",
    "Card",
    "ColumnValues",
    "Context",
    "Difference",
    "Distribution",
    "Distributions",
    "Find",
    "Intervals",
    "Kind",
    "KindFile",
    "KindPicture",
    "Limit",
    "Line",
    "LineChart",
    "Mark",
    "Part",
    "Point",
    "Predictor",
    "Probe",
    "Query",
    "Ranges",
    "Section",
    "Setting",
    "Sign",
    "SignTable",
    "SliceEstimate",
    "SliceEstimates",
    "column_sql",
    "estimate_metric",
    "figure",
    "intervals_by_test",
    "key_in",
    "kind_of",
    "known_bins",
    "lines_along_column",
    "load_extensions",
    "loss_columns",
    "parameters_text",
    "pin_bins",
    "pin_test",
    "probe_of",
    "query_of",
    "text_sql",
    "trivial_of",
    "value_limits",
    "variants_of",
]
