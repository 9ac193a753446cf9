"""From a model in a suite to a model version: one artifact, and all that is known of it.

This is done once, on the driver, when a run is planned. What a model returns is looked for in
this order: the suite, the notes that `evalmatrix train` stored with the model, the model itself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engine.core.registry import did_you_mean, nearest
from engine.core.vocabulary import (
    ANY_MODEL,
    ColumnSpec,
    Credentials,
    Label,
    ModelVersion,
    Output,
    TaskKind,
    Trust,
)
from engine.errors import ModelError
from engine.models.artifact import Artifact, digest, read_artifact
from engine.models.flavors.base import Description
from engine.models.kept_descriptions import find_or_describe
from engine.models.load import describe_model
from engine.models.output_columns import suggested_output
from engine.models.requirements import artifact_requirements
from engine.models.trust import examine
from engine.models.uris import Located, Locator


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model as a suite asks for it, and where to look for it.

    `output` and `features` are what the suite says of them, None where it is silent;
    `score_columns` and `label_column` name the columns of a model that returns several. A model
    that is not on this machine is downloaded to `cache_dir`; in `descriptions`, if it is given, is
    kept what models say of themselves; `trust` says which models are opened at all.
    """

    uri: str
    task: TaskKind
    tracking_uri: str
    cache_dir: Path
    name: str | None = None
    output: Output | None = None
    features: Sequence[str] | None = None
    descriptions: Path | None = None
    score_columns: Sequence[str] = ()
    label_column: str | None = None
    trust: Trust = ANY_MODEL

    @property
    def names_columns(self) -> bool:
        """Whether the suite says which of several columns are scores, and which the label."""
        return bool(self.score_columns) or self.label_column is not None

    @property
    def is_regression(self) -> bool:
        """Whether a model gives a number for each row: a value, or what ranks it."""
        return _asks_for(self.task) == _NUMBER


# Opens an artifact of a digest, and asks it what it returns.
Describe = Callable[[Artifact, str], Description]

_NUMBER, _ONE_CLASS, _ANY_LABELS = "a number", "one of its classes", "any number of its labels"


def _asks_for(task: str) -> str:
    """What a task takes from a model for each row; a task that nobody knows is of classes."""
    if task in (TaskKind.REGRESSION, TaskKind.RANKING):
        return _NUMBER
    return _ANY_LABELS if task == TaskKind.MULTILABEL else _ONE_CLASS


def resolve(request: ModelRequest, describe: Describe = describe_model) -> ModelVersion:
    """Finds a model and what the engine needs to know of it.

    An alias is resolved to a version here, and only here. `classes` are the model's own, in the
    order of its scores; they stay empty where it names none (Keras and PyTorch do not): what the
    suite says of them, or the data's labels, must do.
    `features` stays empty where nothing names the columns.

    A model that is not trusted is not opened here: it comes with why, and `load` refuses it.
    `describe` opens one where only it can say what it returns; else this process does.

    Raises:
        InputError: when the suite's key for signatures cannot be read.
        ModelError: when the model does not exist, is of another task, needs a library that is
            not installed, or when nothing says what it returns.
        TrackingError: when the tracking server cannot be reached.
    """
    located = Locator(request.tracking_uri, request.cache_dir).locate(request.uri)
    artifact = read_artifact(located.path)
    content = digest(artifact.path)
    credentials = examine(artifact, located, content, request.trust, request.tracking_uri)
    if credentials.refusal:
        return _closed_model(request, located, artifact, content, credentials)
    _check_library(request, artifact)
    _check_task(request, artifact)
    artifact = _without_unasked(request, artifact)
    known = _behaviour(request, artifact, content, describe)
    _check_columns(request, artifact)
    return ModelVersion(
        name=request.name or _default_name(request.uri, located),
        uri=request.uri,
        version=located.version,
        digest=content,
        path=str(artifact.path),
        flavor=artifact.flavor,
        task=request.task,
        output=known.output,
        classes=known.classes,
        inputs=artifact.inputs,
        features=_features(request, artifact, known.names),
        registered_name=located.registered_name,
        model_id=located.model_id or artifact.model_id,
        own_classes=known.own_classes,
        places=tuple(range(len(known.own_classes))),
        class_source=known.class_source,
        outputs=artifact.outputs,
        score_columns=tuple(request.score_columns),
        label_column=request.label_column,
        decides=known.decides is not False or bool(request.score_columns and request.label_column),
        unsure=known.decides is None,
        squashed=known.squashed and request.output is None,
        credentials=credentials,
    )


def _closed_model(
    request: ModelRequest,
    located: Located,
    artifact: Artifact,
    content: str,
    credentials: Credentials,
) -> ModelVersion:
    """A model that nobody opens: what it says of itself is not asked, and its notes not believed.

    Its output is the usual one of its task, so that the tests of the others fit the plan.
    """
    usual = Output.VALUE if request.is_regression else Output.PROBABILITY
    return ModelVersion(
        name=request.name or _default_name(request.uri, located),
        uri=request.uri,
        version=located.version,
        digest=content,
        path=str(artifact.path),
        flavor=artifact.flavor,
        task=request.task,
        output=request.output or usual,
        features=tuple(spec.name for spec in artifact.inputs if isinstance(spec, ColumnSpec)),
        registered_name=located.registered_name,
        model_id=located.model_id or artifact.model_id,
        credentials=credentials,
    )


def _without_unasked(request: ModelRequest, artifact: Artifact) -> Artifact:
    """The artifact without inputs that it does not require and the suite's features leave out."""
    asked = request.features
    if asked is None or not any(isinstance(s, ColumnSpec) and s.optional for s in artifact.inputs):
        return artifact
    kept = [spec for spec in artifact.inputs if isinstance(spec, ColumnSpec)]
    return replace(
        artifact, inputs=tuple(spec for spec in kept if not spec.optional or spec.name in asked)
    )


def _default_name(uri: str, located: Located) -> str:
    if located.registered_name:
        return f"{located.registered_name}-v{located.version}"
    return uri.rstrip("/").rsplit("/", 1)[-1]


def _check_library(request: ModelRequest, artifact: Artifact) -> None:
    for library, command in artifact_requirements(artifact).items():
        if importlib.util.find_spec(library) is None:
            raise ModelError(
                f"model {request.uri!r} needs the library {library!r}, which is not installed; "
                f"install it here and on the workers: {command}"
            )


def _check_task(request: ModelRequest, artifact: Artifact) -> None:
    """A model may be evaluated as another kind of classifier, not as what it never learned."""
    trained = artifact.notes.get("task")
    if trained and _asks_for(trained) != _asks_for(request.task):
        raise ModelError(
            f"model {request.uri!r} was trained for task {trained!r}, "
            f"the suite evaluates it as {request.task.value!r}"
        )
    if request.output and (request.output is Output.VALUE) is not request.is_regression:
        raise ModelError(
            f"model {request.uri!r}: output {request.output.value!r} does not fit "
            f"task {request.task.value!r}"
        )


_NOTED = "the note of its training"


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """What a model returns, how its classes are known, and the names of its inputs."""

    output: Output
    classes: tuple[Label, ...] = ()
    class_source: str = ""
    names: tuple[str, ...] = ()
    decides: bool | None = False
    squashed: bool = False
    own_classes: tuple[Label, ...] = ()


def _behaviour(
    request: ModelRequest, artifact: Artifact, content: str, describe: Describe
) -> _Behaviour:
    """What a model returns, from the suite, the notes, or the model itself."""
    notes = artifact.notes
    names = tuple(notes.get("features", ()))
    if request.names_columns:
        by_value = Output.VALUE if request.is_regression else Output.PROBABILITY
        return _Behaviour(by_value if request.score_columns else Output.LABEL, names=names)
    is_noted = "output" in notes and (request.is_regression or "classes" in notes)
    opens = artifact.flavor == "sklearn" and not request.is_regression and "decides" not in notes
    if is_noted and not opens:
        output = request.output or Output(notes["output"])
        classes = _classes(request, tuple(notes.get("classes", ())))
        decides = bool(notes.get("decides")) and output is not Output.LABEL
        return _Behaviour(output, classes, _NOTED, names, decides)
    if request.is_regression and artifact.flavor != "sklearn":
        return _Behaviour(Output.VALUE, names=names)

    ask = partial(describe, artifact, content)
    described = find_or_describe(request.descriptions, artifact, content, ask)
    if is_noted and request.output is None:
        output = Output(notes["output"])
    else:
        output = _output(request, artifact, described)
    _check_labels(request, described)
    classes = tuple(notes["classes"]) if is_noted else described.classes
    noted_otherwise = len(classes) == len(described.classes) and classes != described.classes
    return _Behaviour(
        output,
        _classes(request, classes),
        (_NOTED if is_noted else "classes_ of the model") if classes else "",
        names or described.features,
        described.decides if output in (Output.PROBABILITY, Output.LOGIT) else False,
        described.squashed and output is Output.LOGIT and not is_noted,
        described.classes if noted_otherwise else (),
    )


def _check_columns(request: ModelRequest, artifact: Artifact) -> None:
    """Refuses columns that the signature does not have."""
    wanted = [*request.score_columns, *([request.label_column] if request.label_column else [])]
    there = [spec.name for spec in artifact.outputs]
    missing = [name for name in wanted if there and name not in there]
    if missing:
        hint = did_you_mean(missing[0], there)
        raise ModelError(
            f"model {request.uri!r} returns {', '.join(map(repr, there))}, the suite's output "
            f"names {', '.join(map(repr, missing))}{hint}"
        )


def _output(request: ModelRequest, artifact: Artifact, described: Description) -> Output:
    """The output that the suite asks for, else the first of the model's that fits the task."""
    fitting = [o for o in described.offered if (o is Output.VALUE) is request.is_regression]
    if described.offered and not fitting:
        raise ModelError(
            f"model {request.uri!r} ({described.kind}) returns "
            f"{' or '.join(described.offered)}, which does not fit task {request.task.value!r}"
        )
    if request.output and artifact.flavor == "sklearn" and request.output not in fitting:
        pairs = request.output is Output.LOGIT and Output.LABEL in fitting
        hint = "; values for pairs of classes are no scores of classes" if pairs else ""
        raise ModelError(
            f"model {request.uri!r} ({described.kind}) offers {' or '.join(fitting)}, the suite "
            f"says output: {request.output.value}{hint}"
        )
    if request.output:
        return request.output
    if not fitting:
        several = len(artifact.outputs) > 1
        say = "output: probability, logit or label"
        raise ModelError(
            f"model {request.uri!r} ({described.kind}) does not tell what its "
            f"{'columns' if several else 'numbers'} are; say "
            f"{suggested_output(artifact.outputs) if several else say} in the suite"
        )
    return fitting[0]


def _check_labels(request: ModelRequest, described: Description) -> None:
    """Refuses a model of one class for each row as one of many labels, and the other way round."""
    if described.multilabel in (None, request.task is TaskKind.MULTILABEL):
        return
    what = f"gives a row {_ONE_CLASS}"
    if described.multilabel:
        what = f"predicts {len(described.classes)} targets at once"
    raise ModelError(
        f"model {request.uri!r} ({described.kind}) {what}, "
        f"task {request.task.value!r} takes {_asks_for(request.task)} for each row"
    )


def _classes(request: ModelRequest, known: tuple[Label, ...]) -> tuple[Label, ...]:
    """The classes in the order of the scores' columns; a binary task takes two."""
    if request.is_regression:
        return ()
    if request.task is TaskKind.BINARY and known and len(known) != 2:
        raise ModelError(
            f"model {request.uri!r} has the {len(known)} classes {list(known)}, "
            f"task 'binary' takes two"
        )
    return known


def _features(request: ModelRequest, artifact: Artifact, names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the data that fill the model's inputs, in the model's order.

    Names that the model knows are filled by the columns of these names; the suite may list more,
    for other models. A tensor has no names of its own: other features fill it as they stand.
    """
    columns = tuple(spec.name for spec in artifact.inputs if isinstance(spec, ColumnSpec))
    wanted = columns or names
    if request.features is None:
        return wanted
    lacking = [name for name in wanted if name not in request.features]
    if not wanted or (lacking and artifact.inputs and not columns):
        return tuple(request.features)
    if lacking:
        close = nearest(lacking[0], request.features)
        hint = f"; did you mean it by {close!r}?" if close else ""
        raise ModelError(
            f"model {request.uri!r} wants the column {lacking[0]!r}, which is not among the "
            f"suite's features {list(request.features)}{hint}"
        )
    return wanted
