"""The nouns of evalmatrix, frozen: one word for one thing.

A *model version* is evaluated on the *slices* of a *dataset version* by *tests*; one combination
is a *task* before it is measured and a *cell* after it is judged. Every room speaks these types,
so that none has to know another room's insides.
"""

from __future__ import annotations

from engine.core.vocabulary.answers import Numbers, plain_numbers
from engine.core.vocabulary.costs import StepCost
from engine.core.vocabulary.data import Columns, DatasetVersion, Dimension, Slice, SliceSet
from engine.core.vocabulary.enums import (
    DecideBy,
    GateOutcome,
    GateRule,
    ModelFormat,
    Output,
    OverRuns,
    Predictions,
    Severity,
    TaskKind,
    Verdict,
    Within,
)
from engine.core.vocabulary.models import (
    ENDPOINT,
    NO_MODEL,
    STORED,
    TRIVIAL,
    ColumnSpec,
    Endpoint,
    Label,
    ModelVersion,
    PredictionsTable,
    TensorSpec,
)
from engine.core.vocabulary.plain import LATER, plain
from engine.core.vocabulary.results import (
    Cell,
    ConfusionMatrix,
    Curve,
    EvaluationResult,
    Gate,
    MetricValue,
    Night,
    NightCell,
    RowCounts,
    RunInfo,
    RunOutcome,
)
from engine.core.vocabulary.tests import Condition, ModelTest, ThresholdFrom, Variant
from engine.core.vocabulary.trust import ANY_MODEL, UNKNOWN, Credentials, Trust

__all__ = [
    "ANY_MODEL",
    "ENDPOINT",
    "LATER",
    "NO_MODEL",
    "STORED",
    "TRIVIAL",
    "UNKNOWN",
    "Cell",
    "ColumnSpec",
    "Columns",
    "Condition",
    "ConfusionMatrix",
    "Credentials",
    "Curve",
    "DatasetVersion",
    "DecideBy",
    "Dimension",
    "Endpoint",
    "EvaluationResult",
    "Gate",
    "GateOutcome",
    "GateRule",
    "Label",
    "MetricValue",
    "ModelFormat",
    "ModelTest",
    "ModelVersion",
    "Night",
    "NightCell",
    "Numbers",
    "Output",
    "OverRuns",
    "Predictions",
    "PredictionsTable",
    "RowCounts",
    "RunInfo",
    "RunOutcome",
    "Severity",
    "Slice",
    "SliceSet",
    "StepCost",
    "TaskKind",
    "TensorSpec",
    "ThresholdFrom",
    "Trust",
    "Variant",
    "Verdict",
    "Within",
    "plain",
    "plain_numbers",
]
