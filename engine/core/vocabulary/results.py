"""What comes out of a run: values, cells, gates, curves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.core.vocabulary.answers import Numbers
from engine.core.vocabulary.costs import StepCost
from engine.core.vocabulary.data import DatasetVersion, Slice
from engine.core.vocabulary.enums import GateOutcome, Severity, TaskKind, Verdict
from engine.core.vocabulary.models import ModelVersion
from engine.core.vocabulary.tests import ModelTest


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A number with what it rests on.

    `value` is None where the metric is undefined, and `reason` then says why (a code of
    `empty, one_class, no_predicted_positive, zero_weight, nan_input, constant` or a metric's own).
    `detail` says what the code cannot, such as which groups it holds for. `error_bound` is what
    approximation can have cost at most, 0 when exact. The interval is null where there is none.
    `numbers` are others that a kind of test found beside it, for the pictures of its report.
    """

    value: float | None
    reason: str | None = None
    error_bound: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None
    detail: str | None = None
    numbers: Numbers | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows a slice has, and what was left out of its metrics and why."""

    n: int
    weight_sum: float
    null_labels: int = 0
    bad_scores: int = 0
    unknown_labels: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One judged task: model version x slice x test, one row of the results table.

    `p_value` is two-sided, of no difference to the baseline, and `q_value` the same corrected for
    the number of slices. `violation_p_value` is one-sided, of the conditions being met:
    a FAIL needs its corrected form, `violation_q_value`, to be small.
    """

    evaluation: str
    model: ModelVersion
    dataset: DatasetVersion
    slice: Slice
    test: ModelTest
    counts: RowCounts
    measured: MetricValue
    verdict: Verdict
    reason: str
    baseline_model: str | None = None
    baseline_value: float | None = None
    delta: float | None = None
    delta_ci_low: float | None = None
    delta_ci_high: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    violation_p_value: float | None = None
    violation_q_value: float | None = None
    variant: str = "clean"


@dataclass(frozen=True, slots=True)
class NightCell:
    """What a run found of a test on all rows, in short."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    verdict: Verdict
    severity: Severity = Severity.FAIL


@dataclass(frozen=True, slots=True)
class Night:
    """A run as one of many of its suite: its cells on all rows, by the names of model and test."""

    run_id: str
    started_at: dt.datetime
    dataset_version: int
    cells: Mapping[tuple[str, str], NightCell]


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run's verdicts decide together, with the counts it was decided on."""

    outcome: GateOutcome
    reason: str
    counts: Mapping[Verdict, int]
    warnings: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """A line to draw, made from a model's states on one slice.

    `kind` is roc, precision_recall or calibration; `label` names the class of a multiclass curve.
    """

    kind: str
    model: str
    slice: str
    x: Sequence[float]
    y: Sequence[float]
    label: str | None = None
    weight: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Weights of rows by true class (first axis) and predicted class, on one slice."""

    model: str
    slice: str
    labels: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """All that one evaluation brought: its cells, the pictures of `overall`, and what it cost.

    `higher_is_better` has each metric's direction by its name, None where it has none. `p_value`
    is that of nothing being wrong anywhere, `alpha` the share of false alarms that was allowed, and
    `rejected` whether anything failed by it. `thresholds` are the best ones on all rows, by what
    they are best for and the digest of the model. `not_deterministic` says how that was found, by
    the name of the model, and `clipped` how many of its scores were beyond 0 or 1 by rounding.
    `nights` are the latest runs of the suite, this one the last, where a kind of test shows them.
    """

    name: str
    task: TaskKind
    dataset: DatasetVersion
    models: tuple[ModelVersion, ...]
    baseline: str | None
    cells: Sequence[Cell]
    curves: Sequence[Curve] = ()
    confusion: Sequence[ConfusionMatrix] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    model_errors: Mapping[str, str] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    p_value: float = 1.0
    alpha: float = 0.05
    rejected: bool = False
    thresholds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    not_deterministic: Mapping[str, str] = field(default_factory=dict)
    clipped: Mapping[str, int] = field(default_factory=dict)
    nights: Sequence[Night] = ()


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run's identity and surroundings, made once at the edge."""

    run_id: str
    suite: str
    started_at: dt.datetime
    store: str
    suite_resolved: str
    versions: Mapping[str, str]
    user: str = ""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A finished run: what every sink writes; `steps` are those that were over by then."""

    info: RunInfo
    evaluations: Sequence[EvaluationResult]
    gate: Gate
    finished_at: dt.datetime
    model_gates: Mapping[tuple[str, str], Gate] = field(default_factory=dict)
    steps: Sequence[StepCost] = ()

    @property
    def cells(self) -> list[Cell]:
        return [cell for evaluation in self.evaluations for cell in evaluation.cells]

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.info.started_at).total_seconds()
