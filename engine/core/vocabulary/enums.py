"""The words of evalmatrix that come from a short list: kinds, verdicts, rules."""

from __future__ import annotations

from enum import StrEnum


class TaskKind(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    RANKING = "ranking"


class Output(StrEnum):
    """What the numbers are that a model returns."""

    PROBABILITY = "probability"
    LOGIT = "logit"
    LABEL = "label"
    VALUE = "value"


class Verdict(StrEnum):
    """What a test says of one cell."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    RECORDED = "RECORDED"


class Severity(StrEnum):
    """Whether the gate fails with the test, or only tells."""

    FAIL = "fail"
    WARN = "warn"


class DecideBy(StrEnum):
    """What a condition is held against: the whole interval, or the plain value."""

    INTERVAL = "interval"
    POINT = "point"


class Predictions(StrEnum):
    """What becomes of a model's predictions once states are made of them."""

    KEEP = "keep"
    DROP = "drop"


class Within(StrEnum):
    """How a test's verdicts on many slices are corrected for their number."""

    BH = "bh"
    BY = "by"
    NONE = "none"


class OverRuns(StrEnum):
    """How the false alarms of a suite's runs, one after the other, are kept within a budget."""

    NONE = "none"
    LORD = "lord"
    SAFFRON = "saffron"


class GateRule(StrEnum):
    """What the gate makes of verdicts that are neither PASS nor FAIL."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class GateOutcome(StrEnum):
    """What a run's verdicts decide together; `exit_code` is the process's."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"

    @property
    def exit_code(self) -> int:
        return {"passed": 0, "failed": 1, "error": 3}[self.value]


class ModelFormat(StrEnum):
    """What the files of a model are, by what they can do when they are loaded."""

    SKOPS = "skops"
    PICKLE = "pickle"
    PT2 = "pt2"
    SAFETENSORS = "safetensors"
    KERAS = "keras"
    H5 = "h5"
    SAVEDMODEL = "savedmodel"
    ONNX = "onnx"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    CATBOOST = "catboost"
    CODE = "code"
    OTHER = "other"

    @property
    def runs_code(self) -> bool:
        """Whether to load it is to do what its maker wrote, or nobody knows."""
        return self.value in ("pickle", "h5", "savedmodel", "code", "other")
