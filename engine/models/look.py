"""What a model says of itself before anybody knows what it is evaluated for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.core.vocabulary import ColumnSpec, Label, Output, TaskKind
from engine.errors import ModelError
from engine.models.artifact import Artifact, digest, read_artifact
from engine.models.flavors.base import Description
from engine.models.kept_descriptions import find_or_describe
from engine.models.load import FLAVORS, open_native
from engine.models.trust import refuse_changes
from engine.models.uris import Locator


@dataclass(frozen=True, slots=True)
class ModelLook:
    """A model as it describes itself.

    `features` are the columns that it reads, with the types that its signature gives them; `task`
    is what it was trained for, None where it does not tell, and `task_source` how that is known;
    `gives_scores` is false of a classifier that is known to return labels only; `optional` are
    features that data may lack.
    """

    uri: str
    kind: str
    features: tuple[str, ...]
    types: dict[str, str]
    classes: tuple[Label, ...] = ()
    task: TaskKind | None = None
    task_source: str = ""
    gives_scores: bool = True
    optional: frozenset[str] = frozenset()


def look_at_model(uri: str, tracking_uri: str, cache_dir: Path, descriptions: Path) -> ModelLook:
    """Finds a model and reads its signature, its notes and, where these are silent, itself.

    Raises:
        ModelError: when there is no such model, its files were changed since it was registered, it
            has no signature, or nothing names its columns.
        TrackingError: when the tracking server cannot be reached.
    """
    located = Locator(tracking_uri, cache_dir).locate(uri)
    artifact = read_artifact(located.path)
    content = digest(artifact.path)
    refuse_changes(uri, located, content)
    if not artifact.inputs:
        raise ModelError(
            f"model {uri!r} has no signature that names its columns; expected one, as "
            "mlflow.models.infer_signature(features, model.predict(features)) makes it: log the "
            "model with `signature=`, or write its suite by hand"
        )
    description = _describe(artifact, content, descriptions)
    specs = [spec for spec in artifact.inputs if isinstance(spec, ColumnSpec)]
    columns = {spec.name: spec.type or "" for spec in specs}
    features = tuple(columns) or tuple(artifact.notes.get("features", ())) or description.features
    if not features:
        raise ModelError(
            f"model {uri!r} takes tensors, and nothing names the columns that fill them; write its "
            "suite by hand, with `features:` in the dataset"
        )
    classes = tuple(artifact.notes.get("classes", ())) or description.classes
    task, source = _task(artifact, description, classes)
    output = artifact.notes.get("output", next(iter(description.offered), None))
    return ModelLook(
        uri,
        description.kind,
        features,
        columns,
        classes,
        task,
        source,
        output != Output.LABEL,
        frozenset(spec.name for spec in specs if spec.optional),
    )


def _describe(artifact: Artifact, content: str, kept: Path) -> Description:
    if "task" in artifact.notes:
        return Description(artifact.flavor)

    def describe() -> Description:
        return FLAVORS[artifact.flavor].describe(open_native(content, artifact), artifact)

    return find_or_describe(kept, artifact, content, describe)


def _task(
    artifact: Artifact, description: Description, classes: tuple[Label, ...]
) -> tuple[TaskKind | None, str]:
    """What a model is for, and how that is known."""
    if "task" in artifact.notes:
        return TaskKind(artifact.notes["task"]), "the note of its training"
    if description.multilabel:
        return TaskKind.MULTILABEL, f"{description.kind} predicts several labels at once"
    if classes:
        kind = TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
        return kind, f"{description.kind} has {len(classes)} classes"
    if description.offered == (Output.VALUE,):
        return TaskKind.REGRESSION, f"{description.kind} returns a value"
    return None, ""
