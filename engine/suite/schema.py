"""The suite file as pydantic models: each key with its type, its default and what it means.

They hold what a file says, one by one. What its parts say of each other is in `checks`, and the
typed nouns that the engine works with are in `suite`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)

from engine.core.vocabulary import DecideBy, GateRule, OverRuns, Predictions, Within
from engine.fields.column_types import ColumnTypes, NullValues
from engine.fields.file_model import FileModel
from engine.fields.values import (
    Columns,
    DecideField,
    Edges,
    Formats,
    LabelField,
    Labels,
    Module,
    Name,
    Number,
    Or,
    OverRunsField,
    Predicate,
    PredictionsField,
    Proportion,
    QuantileCount,
    RuleField,
    TargetAlias,
    TaskField,
    Text,
    TextList,
    TrackingUri,
    VersionField,
    WithinField,
    expected,
)
from engine.fields.wording import suggestion
from engine.kinds import KINDS, KindFile, key_in
from engine.kinds.perturbations import PERTURBATIONS
from engine.suite.default_names import OVERALL
from engine.suite.model_schema import ModelFile
from engine.suite.notify_schema import NotifyFile
from engine.suite.retention_schema import RetentionFile
from engine.suite.suite import CHECKPOINT_ROWS
from engine.suite.telemetry_schema import TelemetryFile

_MAX_COUNT = 2**31 - 1
_MAX_SECONDS = 31 * 86_400.0


class SourceFile(FileModel):
    """Rows of a table or of files: exactly one of delta, csv and parquet."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [source]} for source in ("delta", "csv", "parquet")]
        }
    )

    delta: Text | None = Field(None, description="A Delta table: a path, a URI or a table's name.")
    csv: Text | None = Field(
        None, description="CSV files by a glob: those that match now are the dataset."
    )
    parquet: Text | None = Field(None, description="Parquet files by a glob, likewise.")
    name: Name | None = Field(
        None, description="The dataset's name; default: the table's, or the evaluation's."
    )
    version: VersionField = Field(
        "latest", description="latest, a version number, or a timestamp (UTC without a zone)."
    )
    columns: ColumnTypes | None = Field(
        None, description="Types of columns of CSV files, over what their values look like."
    )
    null_values: NullValues | None = Field(
        None, description="Texts of CSV files that mean null: in every column, or by column."
    )

    @property
    def place(self) -> tuple[str, str]:
        """The format of the rows, and where they are."""
        sources = {"delta": self.delta, "csv": self.csv, "parquet": self.parquet}
        return next((kind, uri) for kind, uri in sources.items() if uri is not None)


class DatasetFile(SourceFile):
    """The rows that models are evaluated on: exactly one of delta, csv and parquet."""

    task: TaskField = Field(
        description="What is predicted: binary, multiclass, regression, multilabel or ranking."
    )
    label: Text = Field(description="The column that has the true values.")
    positive_label: LabelField | None = Field(
        None, description="The label that counts as positive in a binary task."
    )
    classes: Labels | None = Field(None, description="A classifier's labels, in its order.")
    features: TextList | None = Field(
        None, description="The columns that models read; default: the model's signature."
    )
    key: Columns | None = Field(
        None, description="The column or columns that identify a row; default: all columns."
    )
    cluster: Text | None = Field(
        None, description="The column of rows that belong together; default: the key."
    )
    query: Text | None = Field(
        None, description="The column of the query that a row belongs to, in a ranking task."
    )
    weight: Text | None = Field(None, description="The column of the rows' weights.")
    sensitive: TextList | None = Field(
        None, description="Columns whose values never leave the data."
    )
    public: TextList | None = Field(
        None, description="Columns that may look personal and are not: nothing is warned of them."
    )


class ReferenceFile(SourceFile):
    """Another dataset of the same columns: training data, an older version, another table."""


class SliceFile(FileModel):
    """A set of slices: by columns, bins and quantiles (crossed), or one by a predicate."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["where"]},
                {"anyOf": [{"required": [rule]} for rule in ("by", "bins", "quantiles")]},
            ]
        }
    )

    name: Name | None = Field(
        None, description="How tests refer to the set; default: its columns or its predicate."
    )
    by: Columns | None = Field(None, description="A slice for each value of these columns.")
    bins: Annotated[dict[Text, Edges], Field(min_length=1)] | None = Field(
        None, description="Columns cut at increasing edges; an edge belongs to the bin above it."
    )
    quantiles: Annotated[dict[Text, QuantileCount], Field(min_length=1)] | None = Field(
        None, description="Columns cut into this many parts of about equal size, 2 to 100."
    )
    where: Predicate | None = Field(None, description="A SQL predicate: the rows where it holds.")


def _slice_or_overall(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if value == OVERALL:
        return SliceFile()
    if not isinstance(value, dict):
        near = suggestion(value, [OVERALL]).removeprefix("one of ")
        raise expected(f"a mapping with by, bins, quantiles or where, or {near}")
    return handler(value)


SliceField = Annotated[
    SliceFile,
    WrapValidator(_slice_or_overall),
    Or({"const": OVERALL, "description": "All rows."}),
]


_TESTS = Field(min_length=1, description="What is measured and demanded.")
_EVALUATIONS = Field(min_length=1, description="What is evaluated, one dataset each.")


class EvaluationFile(FileModel):
    """Model versions on the slices of one dataset, and the tests they take."""

    name: Name = Field(description="The evaluation's name, once in the suite.")
    dataset: DatasetFile = Field(description="The rows to evaluate on.")
    reference: ReferenceFile | None = Field(
        None, description="Rows of the same columns beside which kinds of tests look."
    )
    models: list[ModelFile] = Field(min_length=1, description="The model versions to evaluate.")
    baseline: Name | None = Field(
        None, description="The name of the model that the others are compared with."
    )
    costs: list[list[Number]] | None = Field(
        None,
        min_length=2,
        description="What a row of each true class (lists) costs by the predicted class (items).",
    )
    slices: list[SliceField] = Field(
        default_factory=list, description="The slice sets; overall is always one of them."
    )
    min_slice_rows: int = Field(
        1, ge=0, le=_MAX_COUNT, description="Slices with fewer rows are not judged."
    )
    max_slices: int = Field(
        10_000, ge=1, le=_MAX_COUNT, description="The most slices that the sets may make."
    )
    predictions: PredictionsField = Field(
        Predictions.DROP,
        description="keep or drop: whether the scores are stored by the key of their row.",
    )
    timeout: Number = Field(
        1800.0, gt=0, le=_MAX_SECONDS, description="The most seconds a model may take for a batch."
    )
    memory: int | None = Field(
        None, ge=2**20, le=2**50, description="The most bytes a model may add for a batch."
    )
    tests: list[Any] = _TESTS


class MlflowFile(FileModel):
    """Where runs are tracked."""

    tracking_uri: TrackingUri | None = Field(
        None,
        description="The tracking server; default: SQLite in the store. ${NAME} is a variable of "
        "the environment.",
    )
    max_slice_metrics: int = Field(
        1000, ge=0, le=_MAX_COUNT, description="The most slice metrics to log for a model."
    )


class GateFile(FileModel):
    """What the gate makes of verdicts that are neither PASS nor FAIL."""

    on_inconclusive: RuleField = Field(
        GateRule.WARN, description="What an INCONCLUSIVE cell does: pass, warn or fail."
    )
    on_error: RuleField = Field(
        GateRule.FAIL, description="What a cell in ERROR does: pass, warn or fail."
    )


class PromoteFile(FileModel):
    """What a run does once it has passed: it promotes its candidate, if there is one."""

    alias: TargetAlias = Field("champion", description="The alias to move to the candidate.")
    when: Literal["passed"] = Field(
        "passed", description="passed: when the run's gate has passed, as a whole."
    )
    undecided: Proportion = Field(
        0.1, description="The largest share of the candidate's cells that may be undecided."
    )


class FalseAlarmsFile(FileModel):
    """How the number of false alarms is kept down where much is judged."""

    within: WithinField = Field(
        Within.BH,
        description="Over the slices of a test: bh (Benjamini-Hochberg), by (Yekutieli) or none.",
    )
    over_runs: OverRunsField = Field(
        OverRuns.NONE,
        description="Over the suite's runs: lord or saffron keep them all within one budget.",
    )


class TrustFile(FileModel):
    """Which models are opened at all; a model file is code, and what is not trusted stays shut."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [key]} for key in ("formats", "signed_by", "registries")]
        }
    )

    formats: Formats | None = Field(
        None, description="The formats that a model may consist of; default: any."
    )
    signed_by: Text | None = Field(
        None, description="The file of the public key by which every model has to be signed."
    )
    registries: TextList | None = Field(
        None, description="Globs for <tracking URI>/<registered name>, one of which has to fit."
    )

    @model_validator(mode="after")
    def _check_some(self) -> TrustFile:
        if self.formats is None and self.signed_by is None and self.registries is None:
            raise expected("formats, signed_by, registries or several of them")
        return self


class SuiteFile(FileModel):
    """A suite of evalmatrix: what to evaluate, on which data, and what to demand."""

    name: Name = Field(description="The suite's name, and the MLflow experiment's.")
    store: Text = Field(
        "./store", description="The root of all that is written: a path, a URI or catalog.schema."
    )
    mlflow: MlflowFile = Field(
        default_factory=MlflowFile, description="The tracking server, and how much is logged."
    )
    confidence: Number = Field(
        0.95, gt=0, lt=1, description="The confidence level of intervals, between 0 and 1."
    )
    decide: DecideField = Field(
        DecideBy.INTERVAL,
        description="interval or point: what tests hold against their limits.",
    )
    false_alarms: FalseAlarmsFile = Field(
        default_factory=FalseAlarmsFile, description="How false alarms are kept down."
    )
    plugins: list[Module] = Field(
        default_factory=list, description="Python modules that register a user's own metrics."
    )
    reuse: bool = Field(
        True, description="Whether states that earlier runs kept are used; false computes all anew."
    )
    executor: Literal["auto", "local", "spark"] = Field(
        "auto",
        description="Who scans: Spark, processes of this machine, or what there is of them.",
    )
    checkpoint_rows: int = Field(
        CHECKPOINT_ROWS,
        ge=1,
        le=_MAX_COUNT,
        description="A scan of more rows writes its states in chunks of about so many.",
    )
    trust: TrustFile | None = Field(
        None, description="Which models are opened; default: all, and their formats are told."
    )
    evaluations: list[EvaluationFile] = _EVALUATIONS
    gate: GateFile = Field(
        default_factory=GateFile, description="What the run's verdicts decide together."
    )
    promote: PromoteFile | None = Field(
        None, description="Moves an alias to the candidate when the gate has passed."
    )
    notify: list[NotifyFile] = Field(
        default_factory=list, description="Who is told how a run ended; default: nobody."
    )
    telemetry: TelemetryFile | None = Field(
        None, description="Which systems get lineage, traces and metrics; default: none."
    )
    retention: RetentionFile | None = Field(
        None, description="For how long maintain keeps predictions and reports; default: for good."
    )


def suite_file() -> type[SuiteFile]:
    """The suite file with the kinds of tests that are registered now."""
    return _suite_file(tuple(KINDS.names()), tuple(PERTURBATIONS.names()))


def test_file(kind: str) -> type[KindFile]:
    """A test of a kind in the suite file."""
    return _test_files(tuple(KINDS.names()), tuple(PERTURBATIONS.names()))[kind]


@lru_cache(maxsize=8)
def _test_files(kinds: tuple[str, ...], _: tuple[str, ...]) -> dict[str, type[KindFile]]:
    return {key: KINDS.get(key).file() for key in kinds}


@lru_cache(maxsize=8)
def _suite_file(kinds: tuple[str, ...], perturbations: tuple[str, ...]) -> type[SuiteFile]:
    files = _test_files(kinds, perturbations)
    tagged = tuple(Annotated[file, Tag(key)] for key, file in files.items())
    test = Annotated[Union[tagged], Discriminator(key_in)]  # type: ignore[valid-type]  # noqa: UP007
    evaluation = create_model(
        "EvaluationFile",
        __base__=EvaluationFile,
        __doc__=EvaluationFile.__doc__,
        tests=(list[test], _TESTS),
    )
    return create_model(
        "SuiteFile",
        __base__=SuiteFile,
        __doc__=SuiteFile.__doc__,
        evaluations=(list[evaluation], _EVALUATIONS),
    )
