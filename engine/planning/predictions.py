"""Models whose predictions lie in a table of their own, with that table pinned and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.core.locations import Store
from engine.core.vocabulary import ModelVersion, PredictionsTable
from engine.data.columns import near_column
from engine.data.predictions import check_predictions, pin_predictions
from engine.data.source import Source
from engine.delta.head import Schema
from engine.errors import EvalMatrixError, ModelError
from engine.models import predictions_of
from engine.planning.inputs import check_scores
from engine.suite import Evaluation, PredictionsSource


@dataclass(slots=True)
class PredictionTables:
    """The tables of predictions of an evaluation's models, each of them pinned once."""

    store: Store
    source: Source
    evaluation: Evaluation
    pinned: dict[PredictionsSource, tuple[PredictionsTable, Schema]] = field(default_factory=dict)

    def pin(self, models: Sequence[ModelVersion]) -> tuple[ModelVersion, ...]:
        """The models, those whose predictions lie in a table with that table.

        Raises:
            DataError: for a table that is missing, or lacks the key.
            ModelError: for one that lacks a model's columns.
        """
        pairs = zip(models, self.evaluation.models, strict=True)
        return tuple(
            model if source.table is None else self._with_table(model, source.table)
            for model, source in pairs
        )

    def _with_table(self, model: ModelVersion, wanted: PredictionsSource) -> ModelVersion:
        named = f"evaluation {self.evaluation.name!r}: the model {model.name!r}"
        try:
            if wanted not in self.pinned:
                self.pinned[wanted] = pin_predictions(
                    self.source.session, self.store, wanted, self.source
                )
        except EvalMatrixError as error:
            raise type(error)(f"{named}: {error}") from error
        table, schema = self.pinned[wanted]
        types = dict(schema)
        for column in model.features:
            if column not in types:
                raise ModelError(
                    f"{named}: the predictions {wanted.uri!r} lack the column {column!r}"
                    f"{near_column(column, types)}; they have {', '.join(map(repr, types))}"
                )
        check_scores(model, types)
        return predictions_of(model, table)

    def check(self) -> None:
        """Looks whether each row has its predictions.

        Raises:
            DataError: where some have none or several, or such as are no probabilities.
        """
        for wanted, (table, _) in self.pinned.items():
            models = [model for model in self.evaluation.models if model.table == wanted]
            check_predictions(self.store, self.source, self.evaluation, table, models)
