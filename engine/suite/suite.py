"""A suite as the engine works with it: frozen, typed, with every default filled in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from engine.core.vocabulary import (
    ANY_MODEL,
    DecideBy,
    Dimension,
    Endpoint,
    GateRule,
    Label,
    ModelTest,
    Output,
    OverRuns,
    Predictions,
    SliceSet,
    TaskKind,
    Trust,
    Within,
)

# A scan of more rows writes its states in chunks of about so many.
CHECKPOINT_ROWS = 20_000_000


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Where an evaluation's rows come from, and what their columns mean.

    `format` is delta, csv or parquet and `uri` the path, glob or table. `version` is `latest`,
    a number or a time in UTC. `columns` has types that the suite gives the columns of CSV files, as
    Spark writes them, `null_values` the texts that mean null there, each with its column or with
    None for every one. `key` is empty where all columns identify a row, `cluster` None
    where the key does; `features` is None where the model's signature names them. `public` are
    columns that look personal and are said not to be.
    """

    format: str
    uri: str
    name: str
    task: TaskKind
    label: str
    version: str | int | dt.datetime = "latest"
    positive_label: Label | None = None
    classes: tuple[Label, ...] = ()
    features: tuple[str, ...] | None = None
    key: tuple[str, ...] = ()
    cluster: str | None = None
    query: str | None = None
    weight: str | None = None
    sensitive: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    null_values: tuple[tuple[str | None, str], ...] = ()

    @property
    def files(self) -> tuple[object, ...]:
        """Which files these are, and how they are read: of one lake table there is one such."""
        return (self.format, self.uri, sorted(self.columns), set(self.null_values))


@dataclass(frozen=True, slots=True)
class PredictionsSource:
    """A Delta table of predictions, in which those of a row are found by its key."""

    uri: str
    key: tuple[str, ...]
    version: str | int | dt.datetime = "latest"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model version by its URI; `output` is None where the model itself tells.

    `scores` and `label` name the columns of a model that returns several; without a URI they are
    columns of the dataset, which has the predictions already, or of the `table` that has them.
    `classes` is the order of its scores. Of a served model there is the `endpoint`, and `like` has
    the name of the model whose inputs it takes.
    """

    name: str
    uri: str = ""
    output: Output | None = None
    scores: tuple[str, ...] = ()
    label: str | None = None
    classes: tuple[Label, ...] = ()
    table: PredictionsSource | None = None
    endpoint: Endpoint | None = None
    like: str | None = None

    @property
    def is_stored(self) -> bool:
        """Whether its predictions are there already, in the dataset or in a table."""
        return not self.uri and self.endpoint is None


@dataclass(frozen=True, slots=True)
class SliceRule:
    """A slice set as the suite gives it, before the edges of its quantiles are known.

    `quantiles` has (column, number of parts) for the dimensions that are cut at quantiles;
    these dimensions have no edges yet. `pinned` makes the SliceSet.
    """

    name: str
    kind: str
    dimensions: tuple[Dimension, ...] = ()
    where: str | None = None
    quantiles: tuple[tuple[str, int], ...] = ()

    def make_slice_set(self, edges: Mapping[str, tuple[float, ...]] | None = None) -> SliceSet:
        """Makes the slice set, with the edges of its quantiles by column.

        Raises:
            KeyError: a column of `quantiles` has no edges.
        """
        cut = {column for column, _ in self.quantiles}
        dimensions = tuple(
            Dimension(dimension.column, (edges or {})[dimension.column])
            if dimension.column in cut
            else dimension
            for dimension in self.dimensions
        )
        return SliceSet(self.name, self.kind, dimensions, self.where)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Model versions on the slices of one dataset, and the tests they take.

    `timeout` is how many seconds a model may take for a batch, `memory` how many bytes it may add.
    `reference` is another dataset, of the same columns, beside which kinds of tests look.
    """

    name: str
    dataset: DatasetSource
    models: tuple[ModelSource, ...]
    slices: tuple[SliceRule, ...]
    tests: tuple[ModelTest, ...]
    baseline: str | None = None
    min_slice_rows: int = 1
    max_slices: int = 10_000
    costs: tuple[tuple[float, ...], ...] = ()
    predictions: Predictions = Predictions.DROP
    timeout: float = 1800.0
    memory: int | None = None
    reference: DatasetSource | None = None


@dataclass(frozen=True, slots=True)
class GateConfig:
    """What the gate makes of verdicts that are neither PASS nor FAIL."""

    on_inconclusive: GateRule = GateRule.WARN
    on_error: GateRule = GateRule.FAIL


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How the number of false alarms is kept down, over slices and over runs."""

    within: Within = Within.BH
    over_runs: OverRuns = OverRuns.NONE


@dataclass(frozen=True, slots=True)
class MlflowConfig:
    """Where runs are tracked; without a URI it is SQLite in the store."""

    tracking_uri: str | None = None
    max_slice_metrics: int = 1000


@dataclass(frozen=True, slots=True)
class PromoteConfig:
    """What a run does once its gate has passed: it promotes its one candidate to an alias.

    `undecided` is the largest share of the candidate's cells that may be undecided.
    """

    alias: str = "champion"
    when: str = "passed"
    undecided: float = 0.1


@dataclass(frozen=True, slots=True)
class MailConfig:
    """A mail: who gets it, from whom, by which server. `password` names a variable: `${NAME}`."""

    to: tuple[str, ...]
    sender: str
    server: str
    tls: str = "starttls"
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class NoticeConfig:
    """Who is told how a run ended: by a webhook or by mail, on which events.

    `webhook` is a URL, or has variables of the environment in it: `${NAME}`.
    """

    webhook: str | None = None
    mail: MailConfig | None = None
    on: tuple[str, ...] = ("failed", "error", "recovered")
    format: str = "auto"
    nights: int = 3
    link: str | None = None


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """Which systems are told of a run: each by a URL, or a path, or with `${NAME}` in it."""

    openlineage: str | None = None
    otlp: str | None = None
    prometheus: str | None = None


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """For how many days `maintain` keeps predictions and the files of reports; None is for good."""

    predictions_days: float | None = None
    reports_days: float | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """A whole suite: what to evaluate, on which data, and what to demand."""

    name: str
    evaluations: tuple[Evaluation, ...]
    store: str = "./store"
    mlflow: MlflowConfig = MlflowConfig()
    gate: GateConfig = GateConfig()
    confidence: float = 0.95
    decide: DecideBy = DecideBy.INTERVAL
    false_alarms: FalseAlarms = FalseAlarms()
    plugins: tuple[str, ...] = ()
    reuse: bool = True
    executor: str = "auto"
    checkpoint_rows: int = CHECKPOINT_ROWS
    trust: Trust = ANY_MODEL
    promote: PromoteConfig | None = None
    notify: tuple[NoticeConfig, ...] = ()
    telemetry: TelemetryConfig | None = None
    retention: RetentionConfig | None = None
