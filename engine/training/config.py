"""A model folder's `model_config.yml`: read, overridden and validated, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from engine.errors import Mistake, ModelError, SuiteError
from engine.fields.values import OutputField, TaskField
from engine.fields.wording import quote, suggestion
from engine.suite.overrides import apply_overrides
from engine.suite.strict_models import Strict, known_keys, report_error
from engine.suite.yaml_document import Document, read_document
from engine.training.search_config import Cv, Search, cv_mistakes, search_mistakes

CONFIG_FILE = "model_config.yml"


class Split(Strict):
    """How rows are held out; the arguments are those of scikit-learn's `train_test_split`."""

    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.2
    random_state: int = 42
    stratify: bool = False


class Tensor(Strict):
    """The array that a row's features are reshaped to, in their order."""

    shape: Annotated[list[int], Field(min_length=1)]
    dtype: Literal["float32", "float64"] = "float32"


class ModelConfig(Strict):
    """A `model_config.yml`: `params` names every hyperparameter, `versions` overrides some."""

    name: Annotated[str, Field(pattern=r"^[\w\-. ]+$")]
    framework: Literal["sklearn", "tensorflow", "pytorch"]
    task: TaskField
    output: OutputField
    experiment: str = "evalmatrix-training"
    train_data: str = "train_data/*.csv"
    label: str | None = None
    features: list[str] | None = None
    tensor: Tensor | None = None
    split: Split = Split()
    seed: int = 42
    params: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    cv: Cv | None = None
    search: Search | None = None


def read_config(
    folder: Path, *, overrides: Sequence[str] = (), version: str | None = None
) -> ModelConfig:
    """Reads a model folder's config, with a version's and the caller's overrides applied.

    Raises:
        SuiteError: all the mistakes of the file, or of the overrides, each with its place.
    """
    path = folder / CONFIG_FILE
    try:
        document = read_document(path.read_text(encoding="utf-8"), "config")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from error
    config = _validate(document, path)
    if version is not None and version not in config.versions:
        known = suggestion(version, config.versions) if config.versions else "none"
        raise ModelError(f"{str(path)!r} has no version {version!r}, expected {known}")
    document.data["params"] = {
        **config.params,
        **((config.versions[version] or {}) if version is not None else {}),
    }
    apply_overrides(document, overrides)
    return _validate(document, path, params=config.params)


def _validate(
    document: Document, path: Path, params: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Turns the document into a config; `params` are the hyperparameters that the file names."""
    config = None
    if not document.mistakes and not isinstance(document.data, dict):
        data_text = quote(document.data)
        document.mistakes.append(Mistake(path.name, f"found {data_text}, expected a mapping"))
    elif not document.mistakes:
        try:
            config = ModelConfig.model_validate(document.data)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                loc = details["loc"]
                report_error(document, loc, details, known_keys(ModelConfig, loc[:-1]))
    if config is not None:
        known = config.params if params is None else params
        given: set[tuple[str, ...]] = {("params", key) for key in config.params}
        for name, changed in config.versions.items():
            given |= {("versions", name, key) for key in changed or ()}
        for loc in sorted(given):
            if loc[-1] not in known:
                words = suggestion(loc[-1], known)
                document.report(loc, f"found the unknown parameter, expected {words}", key=True)
        _check_search(config, known, document)
    if config is None or document.mistakes:
        raise SuiteError(str(path), document.mistakes)
    return config


def _check_search(config: ModelConfig, known: Mapping[str, Any], document: Document) -> None:
    """Adds the mistakes of `cv` and `search` that only show against other keys."""
    stratified_split = config.split.stratify
    if config.cv is not None:
        for loc, words in cv_mistakes(config.cv, config.task, stratified_split=stratified_split):
            document.report(loc, words)
    if config.search is not None:
        for loc, words in search_mistakes(config.search, known, config.task, config.output):
            document.report(loc, words, key="unknown" in words)
