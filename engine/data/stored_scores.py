"""Scores that are there already, looked at before a scan: whether they can be probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, or_
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.core.probabilities import CLIP_TOLERANCE, SUM_TOLERANCE
from engine.core.vocabulary import Output, TaskKind
from engine.errors import DataError
from engine.spark.api import F
from engine.suite import Evaluation, ModelSource

if TYPE_CHECKING:
    from pyspark.sql import Column


OUTSIDE, UNEVEN = "outside", "uneven"
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_CLASSES = (TaskKind.BINARY, TaskKind.MULTICLASS)


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """The columns of a model's probabilities, and whether those of a row add to 1."""

    model: str
    names: tuple[str, ...]
    add_up: bool

    def faults(self, scores: Sequence[Column], within: Column) -> list[Column]:
        """How many rows have a score that is no probability: out of range, of another sum.

        Args:
            scores: the columns; nulls and NaN are passed over, they are no prediction.
            within: the rows that count.
        """
        numbers = [score.cast("double") for score in scores]
        usable = [F.when(~F.isnan(number), number) for number in numbers]
        beyond = [(n < -CLIP_TOLERANCE) | (n > 1 + CLIP_TOLERANCE) for n in usable]
        outside = reduce(or_, [F.coalesce(is_beyond, F.lit(False)) for is_beyond in beyond])
        total = reduce(add, usable)
        uneven = F.abs(total - 1) >= SUM_TOLERANCE if self.add_up else F.lit(False)
        return [
            F.count_if(within & outside).alias(f"{OUTSIDE} {self.model}"),
            F.count_if(within & ~outside & uneven).alias(f"{UNEVEN} {self.model}"),
        ]

    def faults_of(self, scores: Sequence[Floats]) -> tuple[Bools, Bools]:
        """Which rows have a score out of range, and which have scores of another sum.

        Args:
            scores: the columns, each of shape (rows,); NaN is passed over, it is no prediction.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            beyond = [(n < -CLIP_TOLERANCE) | (n > 1 + CLIP_TOLERANCE) for n in scores]
            uneven = np.abs(reduce(add, scores) - 1) >= SUM_TOLERANCE
        return reduce(or_, beyond), uneven if self.add_up else np.zeros_like(uneven)

    def counts(self, outside: int, uneven: int) -> dict[str, int]:
        """Numbers of rows under the names that `check` looks them up by."""
        return {f"{OUTSIDE} {self.model}": outside, f"{UNEVEN} {self.model}": uneven}

    def check(self, counts: Mapping[str, Any], rows: int, named: str) -> None:
        """Refuses scores that are no probabilities.

        Raises:
            DataError: with how many of the rows there are, and what to say instead.
        """
        there = ", ".join(map(repr, self.names))
        outside, uneven = (counts[f"{kind} {self.model}"] for kind in (OUTSIDE, UNEVEN))
        if outside:
            raise DataError(
                f"{named}: the model {self.model!r} has its scores in {there}, and in "
                f"{outside:,} of {rows:,} labelled rows one is below 0 or above 1; expected "
                "probabilities; say output: logit in the suite where they are log odds"
            )
        if uneven:
            raise DataError(
                f"{named}: the model {self.model!r} has its scores in {there}, which add to 1 in "
                f"all but {uneven:,} of {rows:,} labelled rows; expected the probabilities of all "
                "classes"
            )


def probabilities_of(evaluation: Evaluation, model: ModelSource) -> ScoreColumns | None:
    """The columns of a model that are to be probabilities; None where none are."""
    task = evaluation.dataset.task
    of_classes = task in (*_CLASSES, TaskKind.MULTILABEL)
    if not model.is_stored or not model.scores or not of_classes:
        return None
    if model.output not in (None, Output.PROBABILITY):
        return None
    add_up = len(model.scores) > 1 and task in _CLASSES
    return ScoreColumns(model.name, model.scores, add_up)


def probability_columns(evaluation: Evaluation) -> list[ScoreColumns]:
    """The columns of a dataset that are to be probabilities, by the model that has them."""
    own = [model for model in evaluation.models if model.table is None]
    scores = (probabilities_of(evaluation, model) for model in own)
    return [columns for columns in scores if columns is not None]
