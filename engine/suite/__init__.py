"""The suite file: read, overridden, validated all at once, and turned into typed, frozen data.

Raw dicts end here. A wrong suite stops everything before Spark starts, and a user who has made
five mistakes should read of five, each with its line and what was expected, and not of one at
a time. So a file is read with the places of its keys, and types and references are checked apart.
"""

from __future__ import annotations

from engine.suite.default_names import model_name
from engine.suite.export import (
    are_same,
    argument_keys,
    demands,
    demands_digest,
    dump_mapping,
    dump_suite,
    schema,
)
from engine.suite.load import load_suite
from engine.suite.outline import Outline, outline
from engine.suite.suite import (
    CHECKPOINT_ROWS,
    DatasetSource,
    Evaluation,
    GateConfig,
    MailConfig,
    MlflowConfig,
    ModelSource,
    NoticeConfig,
    PredictionsSource,
    PromoteConfig,
    RetentionConfig,
    SliceRule,
    Suite,
    TelemetryConfig,
)

__all__ = [
    "CHECKPOINT_ROWS",
    "DatasetSource",
    "Evaluation",
    "GateConfig",
    "MailConfig",
    "MlflowConfig",
    "ModelSource",
    "NoticeConfig",
    "Outline",
    "PredictionsSource",
    "PromoteConfig",
    "RetentionConfig",
    "SliceRule",
    "Suite",
    "TelemetryConfig",
    "are_same",
    "argument_keys",
    "demands",
    "demands_digest",
    "dump_mapping",
    "dump_suite",
    "load_suite",
    "model_name",
    "outline",
    "schema",
]
