"""Models as `evaluate` takes them, each as what stands for it in a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.core.registry import did_you_mean
from engine.core.vocabulary import TaskKind
from engine.errors import InputError

MODEL = "model"
_FRACTIONS = ("float", "double", "decimal")
_NUMBERS = (TaskKind.REGRESSION, TaskKind.RANKING)


@dataclass(frozen=True, slots=True)
class Entry:
    """A model by its name: what a suite says of it, and itself where it is to be logged."""

    name: str
    keys: dict[str, Any] = field(default_factory=dict)
    native: Any = None

    @property
    def gives_scores(self) -> bool:
        """Whether it may have scores: not where only its labels are known."""
        if self.native is None:
            return "predicted" not in self.keys or "scores" in self.keys
        methods = ("predict_proba", "decision_function")
        is_estimator = hasattr(self.native, "get_params")
        return not is_estimator or any(hasattr(self.native, method) for method in methods)

    @property
    def columns(self) -> list[str]:
        """The columns of the data that have its predictions."""
        scores = self.keys.get("scores", [])
        named = [scores] if isinstance(scores, str) else list(scores)
        return [*named, *([self.keys["predicted"]] if "predicted" in self.keys else [])]


@dataclass(frozen=True, slots=True)
class Known:
    """The columns of the data with their types, empty where they are not known yet; the task."""

    types: Mapping[str, str]
    task: str


def entries_of(models: Any, known: Known) -> list[Entry]:
    """The models by their names.

    Raises:
        InputError: where there are none, or one is nothing that can be a model.
    """
    if isinstance(models, Mapping):
        named = [(str(name), model) for name, model in models.items()]
    elif isinstance(models, list | tuple) and not (models and _are_texts(models)):
        named = list(zip(_type_names(models), models, strict=True))
    else:
        named = [(str(models) if isinstance(models, str) else _type_names([models])[0], models)]
    if not named:
        raise InputError("evaluate was given no models; expected a mapping of names to models")
    return [_entry(name, model, known) for name, model in named]


def _type_names(models: Sequence[Any]) -> list[str]:
    """The names of their types, numbered where one comes again."""
    names: list[str] = []
    for model in models:
        kind = getattr(model, "__name__", type(model).__name__)
        count = sum(name.partition("-")[0] == kind for name in names)
        names.append(f"{kind}-{count + 1}" if count else kind)
    return names


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _entry(name: str, model: Any, known: Known) -> Entry:
    if isinstance(model, Mapping):
        keys = {str(key): value for key, value in model.items()}
        if MODEL not in keys:
            return Entry(name, keys)
        given = keys.pop(MODEL)
        inner = _entry(name, given, known)
        return Entry(name, {**inner.keys, **keys}, inner.native)
    if isinstance(model, str | Path):
        return Entry(name, _keys_of_text(name, str(model), known))
    if isinstance(model, list | tuple) and model and _are_texts(model):
        return Entry(name, {"scores": list(model)})
    if model is None or isinstance(model, bool | int | float | list | tuple | dict):
        raise InputError(
            f"the model {name!r} is of the type {type(model).__name__}; expected a fitted "
            "estimator, a function, a model's URI, or the name of a column"
        )
    return Entry(name, native=model)


def _keys_of_text(name: str, text: str, known: Known) -> dict[str, Any]:
    """A column of the data, by its type of scores or of labels, or a model's URI."""
    if text in known.types:
        has_scores = known.task in _NUMBERS or known.types[text].startswith(_FRACTIONS)
        return {"scores" if has_scores else "predicted": text}
    if ":/" in text or Path(text).exists() or not known.types:
        return {"uri": text}
    raise InputError(
        f"the model {name!r} is {text!r}, which is no column of the data, and no model's URI such "
        f"as models:/claims/3{did_you_mean(text, known.types)}"
    )
