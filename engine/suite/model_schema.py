"""The models of a suite file: where each comes from, and what of its outputs is what."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from engine.core.vocabulary import Output
from engine.fields.file_model import FileModel
from engine.fields.values import Columns, Labels, Name, Or, Text, VersionField, expected
from engine.fields.wording import suggestion
from engine.suite.endpoint_schema import EndpointKeys


class OutputFile(FileModel):
    """Which of the columns that a model returns is what; at least one of the two."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["scores"]}, {"required": ["label"]}]}
    )

    label: Text | None = Field(None, description="The column that has the predicted label.")
    scores: Columns | None = Field(
        None,
        description="The columns of the classes' probabilities, in the order of the classes where "
        "they have no names of classes; or the one of the second class, or of a value.",
    )

    @model_validator(mode="after")
    def _check_some(self) -> OutputFile:
        if self.label is None and self.scores is None:
            raise expected("label, scores or both")
        return self


def _kind_or_columns(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        return handler(value)
    try:
        return Output(value)
    except ValueError:
        kinds = suggestion(value, [kind.value for kind in Output])
        raise expected(f"a mapping with label and scores, or {kinds}") from None


# A word stays one.
ModelOutput = Annotated[
    OutputFile,
    WrapValidator(_kind_or_columns),
    Or({"type": "string", "enum": [kind.value for kind in Output]}),
]


class PredictionsFile(FileModel):
    """A table of predictions, one row for each row of the dataset, found by its key."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["scores"]}, {"required": ["predicted"]}]}
    )

    delta: Text = Field(description="The Delta table: a path, a URI or a table's name.")
    version: VersionField = Field(
        "latest", description="latest, a version number, or a timestamp (UTC without a zone)."
    )
    key: Columns = Field(
        description="The column or columns by which rows are found; both tables have them."
    )
    scores: Columns | None = Field(
        None,
        description="Its columns that have the scores, one for each class, or the one of the "
        "second class or of a value.",
    )
    predicted: Text | None = Field(None, description="Its column that has the predicted label.")

    @model_validator(mode="after")
    def _check_some(self) -> PredictionsFile:
        if self.predicted is None and self.scores is None:
            raise expected("scores, predicted or both: columns of the table")
        return self


class ModelFile(EndpointKeys):
    """A model version to evaluate, a served one, or predictions that the dataset has already."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["uri"]},
                {"required": ["name", "scores"]},
                {"required": ["name", "predicted"]},
                {"required": ["name", "predictions"]},
                {"required": ["name", "endpoint", "protocol"]},
            ]
        }
    )

    uri: Text | None = Field(
        None, description="models:/name/3, models:/name@alias, runs:/..., or a path."
    )
    name: Name | None = Field(None, description="The model's name; default: from the URI.")
    scores: Columns | None = Field(
        None,
        description="Columns of the dataset that have the scores, one for each class, or the one "
        "of the second class or of a value.",
    )
    predicted: Text | None = Field(
        None, description="The column of the dataset that has the predicted label."
    )
    predictions: PredictionsFile | None = Field(
        None, description="A table that has the predictions, which the dataset has not."
    )
    classes: Labels | None = Field(
        None,
        description="The labels in the order of this model's own scores; default: what it names.",
    )
    output: ModelOutput | None = Field(
        None,
        description="What the model returns, or which of its columns is what; default: what it was "
        "logged with.",
    )
