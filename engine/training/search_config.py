"""The keys `cv` and `search` of a `model_config.yml`, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from engine.core.vocabulary import Output, TaskKind
from engine.fields.wording import Loc, suggestion
from engine.suite.strict_models import Strict
from engine.training.scoring import metric_mistake
from engine.training.space import value_mistakes

DRAWN = frozenset({"random", "tpe"})
_CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})


class Cv(Strict):
    """How the training rows are cut into folds; the words are scikit-learn's.

    Without more: five folds in the order of the rows, stratified by the label of a classifier.
    """

    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Annotated[int, Field(ge=1)] = 1
    shuffle: bool | None = None
    random_state: int | None = None
    stratify: bool | None = None
    group: str | None = None

    @property
    def shuffles(self) -> bool:
        """Whether the rows are shuffled; a repetition without it would be the same folds."""
        return self.repeats > 1 if self.shuffle is None else self.shuffle


class Search(Strict):
    """Which hyperparameters are tried, and by which of scikit-learn's methods or optuna's TPE."""

    method: Literal["grid", "random", "halving", "tpe"] = "grid"
    metric: str | None = None
    params: dict[str, Any]
    trials: Annotated[int, Field(ge=1)] | None = None
    factor: Annotated[int, Field(ge=2)] = 3


Mistakes = Iterator[tuple[Loc, str]]


def cv_mistakes(cv: Cv, task: TaskKind, *, stratified_split: bool) -> Mistakes:
    """What does not fit together in `cv`: the location, and the words."""
    if cv.stratify and task not in _CLASSES:
        yield (
            ("cv", "stratify"),
            f"found true for the task {task.value!r}, expected one with classes",
        )
    if cv.repeats > 1 and cv.shuffle is False:
        yield ("cv", "shuffle"), "found false, expected true: repeats would be the same folds"
    if cv.random_state is not None and not cv.shuffles:
        yield (
            ("cv", "random_state"),
            "has no effect without shuffle: true; expected both or neither",
        )
    if cv.group is not None and stratified_split:
        yield (
            ("split", "stratify"),
            "found true beside cv.group, which holds out whole groups; expected false",
        )


def search_mistakes(
    search: Search, known: Mapping[str, Any], task: TaskKind, output: Output
) -> Mistakes:
    """What does not fit together in `search`.

    Args:
        search: as it stands in the file.
        known: the hyperparameters that the file names.
        task: of the model.
        output: of the model.
    """
    if not search.params:
        yield ("search", "params"), "found no parameter, expected one or more to try"
    for name, value in search.params.items():
        loc: Loc = ("search", "params", name)
        if name not in known:
            yield loc, f"found the unknown parameter, expected {suggestion(name, known)}"
        for below, words in value_mistakes(value, ranges=search.method in DRAWN):
            yield (*loc, *below), words
    problem = metric_mistake(search.metric, task, output) if search.metric is not None else None
    if problem is not None:
        yield ("search", "metric"), problem
    given = search.model_fields_set
    if search.method in DRAWN and search.trials is None:
        yield (
            ("search", "trials"),
            f"is missing: the method {search.method} draws so many candidates",
        )
    if search.method not in DRAWN and search.trials is not None:
        yield ("search", "trials"), f"has no meaning for {search.method}, which tries all choices"
    if search.method != "halving" and "factor" in given:
        yield ("search", "factor"), f"is for the method halving, found the method {search.method}"
