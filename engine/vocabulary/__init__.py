"""The nouns of evalmatrix, frozen: one word for one thing.

A *model version* is evaluated on the *slices* of a *dataset version* by *tests*; one combination
is a *task* before it is measured and a *cell* after it is judged. Every room speaks these types,
so that none has to know another room's insides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

from engine.vocabulary.words import (
    DecideBy,
    GateOutcome,
    GateRule,
    Output,
    OverRuns,
    Severity,
    TaskKind,
    Verdict,
    Within,
)

__all__ = [
    "Cell",
    "ColumnSpec",
    "Condition",
    "ConfusionMatrix",
    "Curve",
    "DatasetVersion",
    "DecideBy",
    "Dimension",
    "EvaluationResult",
    "Gate",
    "GateOutcome",
    "GateRule",
    "Label",
    "MetricValue",
    "ModelTest",
    "ModelVersion",
    "Output",
    "OverRuns",
    "RowCounts",
    "RunInfo",
    "RunOutcome",
    "Severity",
    "Slice",
    "SliceSet",
    "TaskKind",
    "TensorSpec",
    "ThresholdFrom",
    "Verdict",
    "Within",
    "plain",
]

Label = bool | int | float | str


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One named input column of a model, with the type its signature asks for."""

    name: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input tensor of a model; `shape` is without the row axis, -1 where it is free."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable candidate: where it lies, and what the engine needs to know of it.

    `digest` is the SHA-256 of the artifact's files; `path` the folder that a worker loads.
    `classes` is the order of the columns of a classifier's scores (empty for regression).
    `inputs` are the signature's columns or tensors in its order (empty without a signature);
    `features` the dataset columns that fill them, in order.
    """

    name: str
    uri: str
    version: str | None
    digest: str
    path: str
    flavor: str
    task: TaskKind
    output: Output
    classes: tuple[Label, ...] = ()
    inputs: tuple[ColumnSpec, ...] | tuple[TensorSpec, ...] = ()
    features: tuple[str, ...] = ()
    registered_name: str | None = None
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A Delta table at a version, as it was pinned when the run was planned."""

    name: str
    uri: str
    version: int
    table_id: str
    rows: int
    timestamp: dt.datetime | None = None
    is_catalog_table: bool = False
    schema: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Dimension:
    """One column that cuts rows into slices: by value, or by the edges of its bins.

    With `edges` e0 < e1 < ... the intervals are (-inf, e0), [e0, e1), ..., [ek, inf).
    """

    column: str
    edges: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class SliceSet:
    """A rule that cuts a dataset into slices: overall, by dimensions (crossed), or by a predicate.

    `name` is how tests refer to it; `kind` is one of overall, by, bins, quantiles, where. A set of
    kind groups cuts the slices of another, its `parent`, by the values of its last dimension.
    """

    name: str
    kind: str
    dimensions: tuple[Dimension, ...] = ()
    where: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A named subset of the rows. `values` has one text for each column, None for null."""

    name: str
    kind: str
    set_name: str
    values: tuple[tuple[str, str | None], ...] = ()

    @property
    def columns(self) -> dict[str, str | None]:
        return dict(self.values)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a test demands of a value; `margin` conditions compare with the baseline.

    `kind` is min, max, max_drop, max_rise, or no_worse: a margin of 0 in the direction that harms,
    of which only a significant excess counts. `relative` margins are shares of |baseline|.
    """

    kind: str
    bound: float
    relative: bool = False

    @property
    def needs_baseline(self) -> bool:
        return self.kind in ("max_drop", "max_rise", "no_worse")

    def __str__(self) -> str:
        if self.kind == "no_worse":
            return self.kind
        amount = f"{self.bound * 100:g}%" if self.relative else f"{self.bound:g}"
        return f"{self.kind} {amount}"


@dataclass(frozen=True, slots=True)
class ThresholdFrom:
    """A threshold of the positive class's score that is chosen on another evaluation.

    `best` is what it is best for there, f1, youden or cost; each model has its own.
    """

    best: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class ModelTest:
    """A metric on slice sets with conditions; without one it is measured and recorded only.

    `corrected` tests are judged together over their slices, so that a thousand of them raise no
    more false alarms than one. `group` is the column between whose values a fairness metric
    compares. `threshold` says on which evaluation the threshold is chosen that its metric takes.
    """

    name: str
    metric: str
    conditions: tuple[Condition, ...] = ()
    slice_sets: tuple[str, ...] = ("overall",)
    severity: Severity = Severity.FAIL
    decide: DecideBy = DecideBy.INTERVAL
    corrected: bool = True
    group: str | None = None
    threshold: ThresholdFrom | None = None

    def metric_at(self, threshold: float) -> str:
        """The metric at a threshold, where the test takes one; else the metric as it is."""
        return (
            self.metric if self.threshold is None else f"{self.metric}_at_threshold_{threshold!r}"
        )

    @property
    def condition(self) -> str | None:
        return ", ".join(str(condition) for condition in self.conditions) or None


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A number with what it rests on.

    `value` is None where the metric is undefined, and `reason` then says why (a code of
    `empty, one_class, no_predicted_positive, zero_weight, nan_input, constant` or a metric's own).
    `detail` says what the code cannot, such as which groups it holds for. `error_bound` is what
    approximation can have cost at most, 0 when exact. The interval is null where there is none.
    """

    value: float | None
    reason: str | None = None
    error_bound: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None
    detail: str | None = None


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
    the name of the model.
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
    """A finished run: what every sink writes."""

    info: RunInfo
    evaluations: Sequence[EvaluationResult]
    gate: Gate
    finished_at: dt.datetime
    model_gates: Mapping[tuple[str, str], Gate] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        return [cell for evaluation in self.evaluations for cell in evaluation.cells]

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.info.started_at).total_seconds()


def plain(value: Any) -> Any:
    """Turns a noun into JSON-ready dicts, lists, texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value
