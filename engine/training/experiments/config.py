"""What an experiment is, as its file says it: `experiment_config.yml`, all mistakes at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from engine.errors import DataError, InputError, Mistake, ModelError, SuiteError
from engine.fields.wording import place_text, quote
from engine.suite.overrides import apply_overrides
from engine.suite.strict_models import WORDS, Strict, known_keys, report_error
from engine.suite.yaml_document import Document, read_document
from engine.training.config import CONFIG_FILE, ModelConfig, read_config
from engine.training.rows import data_files
from engine.training.search_config import Cv, Search
from engine.training.trainer import refuse_multilabel

EXPERIMENT_FILE = "experiment_config.yml"
RESULTS_FOLDER = "experiment_results"
REGISTERED = "{registered}"
README = "README.md"

_BESIDE = f"*/{EXPERIMENT_FILE}"

_WORDS = {
    **WORDS,
    "list_type": "a list, or a mapping",
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_too_short": "a text that is not empty",
}
_ORIGIN = re.compile(r" \(given by --set (.*)\)$", re.DOTALL)

Text = Annotated[str, Field(min_length=1)]


def override_texts(value: Any) -> Any:
    """Overrides as `dotted.key=value` texts; a mapping is written out, down to its values."""
    if not isinstance(value, Mapping):
        return value
    return [f"{'.'.join(path)}={json.dumps(leaf, default=str)}" for path, leaf in _leaves(value)]


def _leaves(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from (((key, *path), leaf) for path, leaf in _leaves(inner))
        else:
            yield (key,), inner


def _suite_mapping(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Overrides = Annotated[list[Text], BeforeValidator(override_texts)]


class SuiteRun(Strict):
    """A suite that is run after the training, with overrides of its own."""

    path: Text
    overrides: Overrides = Field(default_factory=list)


class ExperimentConfig(Strict):
    """An `experiment_config.yml`; `cv` and `search` are those of `model_config.yml`, or `true`."""

    question: Text
    model: Text | None = None
    version: Text | None = None
    overrides: Overrides = Field(default_factory=list)
    cv: Cv | None = None
    search: Search | None = None
    register_best: Annotated[bool, Field(alias="register")] = False
    suites: list[Annotated[SuiteRun, BeforeValidator(_suite_mapping)]] = Field(default_factory=list)
    seed: int | None = None
    store: Text | None = None
    tracking_uri: Text | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment that can be run.

    Attributes:
        folder: where it stands; its name is the experiment's.
        config: its file, with what the caller overrides.
        kind: `cv`, `search`, or None where no candidates are compared.
        overrides: those of the model's config, in the order in which they count.
        model: the model's folder, and its config as it is to be read; None where suites are all.
    """

    folder: Path
    config: ExperimentConfig
    kind: Literal["cv", "search"] | None
    overrides: tuple[str, ...] = ()
    model: tuple[Path, ModelConfig] | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def outputs(self) -> list[Path]:
        """What experiments write: this one, and those beside it. It decides no result."""
        folders = {self.folder, *(path.parent for path in self.folder.parent.glob(_BESIDE))}
        return [folder / name for folder in sorted(folders) for name in (RESULTS_FOLDER, README)]

    @property
    def suites(self) -> list[tuple[Path, SuiteRun]]:
        """The files of its suites, with their overrides."""
        return [(self.folder / suite.path, suite) for suite in self.config.suites]


def read_experiment(
    folder: str | Path, overrides: Sequence[str] = (), store: str | None = None
) -> Experiment:
    """Reads an experiment's file, and the config of its model with what it changes in that.

    Args:
        folder: the experiment's.
        overrides: `dotted.key=value` texts over the file.
        store: counts before the file's.

    Raises:
        SuiteError: all the mistakes, each with its place: those of the file, a model or a suite
            that is not there, and what the model's config does not take.
        InputError: when the file cannot be read.
    """
    place = Path(folder).absolute()
    path = Path(folder) / EXPERIMENT_FILE
    try:
        document = read_document(path.read_text(encoding="utf-8"), "experiment")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error
    if not document.mistakes and not isinstance(document.data, dict):
        text = quote(document.data)
        document.mistakes.append(Mistake(path.name, f"found {text}, expected a mapping"))
    experiment = None
    if not document.mistakes:
        apply_overrides(document, overrides)
        if store is not None:
            document.data["store"] = store
        experiment = _validate(place, document)
    if experiment is None or document.mistakes:
        raise SuiteError(str(path), document.mistakes)
    return experiment


def _validate(folder: Path, document: Document) -> Experiment | None:
    own = {key for key in ("cv", "search") if document.data.get(key) is True}
    absent = {key for key in ("cv", "search") if document.data.get(key) is False}
    data = {key: None if key in own | absent else value for key, value in document.data.items()}
    try:
        config = ExperimentConfig.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            loc = details["loc"]
            report_error(document, loc, details, known_keys(ExperimentConfig, loc[:-1]), _WORDS)
        return None
    kind: Literal["cv", "search"] | None = None
    if config.search is not None or "search" in own:
        kind = "search"
    elif config.cv is not None or "cv" in own:
        kind = "cv"
    _check_parts(folder, config, kind, document)
    if document.mistakes or config.model is None:
        return Experiment(folder, config, kind)
    return _read_model(folder, config, kind, document)


def _check_parts(folder: Path, config: ExperimentConfig, kind: str | None, doc: Document) -> None:
    """Adds the mistakes that show only against other keys, and against what is on disk."""
    if kind is None and not config.suites:
        doc.report((), "found none of cv, search and suites, expected one or more: what answers it")
    if config.model is None:
        asking = [key for key in ("version", "overrides", "seed") if getattr(config, key)]
        asking += [] if kind is None else [kind]
        asking += ["register"] if config.register_best else []
        if asking or not config.suites:
            beside = f" beside {', '.join(asking)}" if asking else ""
            doc.report(("model",), f"is missing{beside}: the folder of the model")
    elif not (folder / config.model / CONFIG_FILE).is_file():
        words = f"found {quote(config.model)}, expected a folder with a {CONFIG_FILE}"
        doc.report(("model",), f"{words}, relative to the experiment's")
    for at, suite in enumerate(config.suites):
        loc = ("suites", at)
        if not (folder / suite.path).is_file():
            words = f"found {quote(suite.path)}, expected a file, relative to the experiment's"
            doc.report(loc, words)
        if not config.register_best and any(REGISTERED in text for text in suite.overrides):
            doc.report(loc, f"{REGISTERED} stands for what is registered, expected register: true")


def _read_model(
    folder: Path,
    config: ExperimentConfig,
    kind: Literal["cv", "search"] | None,
    document: Document,
) -> Experiment | None:
    """The model's config as the experiment changes it; its mistakes are the experiment's."""
    assert config.model is not None, "checked before"
    model_dir = folder / config.model
    try:
        overrides = _model_overrides(model_dir, config, document)
        model_config = read_config(model_dir, overrides=overrides)
        refuse_multilabel(model_dir, model_config)
        data_files(model_dir, model_config)
    except SuiteError as error:
        document.mistakes += [_translate(mistake, config, document) for mistake in error.mistakes]
        return None
    except (ModelError, DataError) as error:
        document.report(("version",) if "no version" in str(error) else ("model",), str(error))
        return None
    if kind == "search" and model_config.search is None:
        document.report(("search",), "found true, but the model's config has no search")
    return Experiment(folder, config, kind, tuple(overrides), (model_dir, model_config))


def _model_overrides(model_dir: Path, config: ExperimentConfig, document: Document) -> list[str]:
    """What the experiment changes in the model's config; its own `overrides` count last."""
    texts = []
    if config.version is not None:
        # The version alone is compared, by the name that it has.
        params = read_config(model_dir, version=config.version).params
        texts += [f"params.{key}={json.dumps(value)}" for key, value in params.items()]
        texts.append(f"versions={json.dumps({config.version: {}})}")
    for key in ("cv", "search"):
        if getattr(config, key) is not None:
            texts.append(f"{key}={json.dumps(document.data[key], default=str)}")
    if config.seed is not None:
        texts.append(f"seed={config.seed}")
    return [*texts, *config.overrides]


def _translate(mistake: Mistake, config: ExperimentConfig, document: Document) -> Mistake:
    """A mistake of the model's config at the place in the experiment's file that it came from."""
    origin = _ORIGIN.search(mistake.message)
    if origin is None and not mistake.where.startswith("--set"):
        return Mistake(f"{config.model}/{CONFIG_FILE}", str(mistake))
    text = mistake.where.removeprefix("--set ") if origin is None else origin[1]
    places = {place_text(loc): loc for loc in [*document.values, *document.keys]}
    message = _ORIGIN.sub("", mistake.message)
    own = text.partition("=")[0]
    if text in config.overrides:
        is_list = isinstance(document.data["overrides"], list)
        dotted = f"[{config.overrides.index(text)}]" if is_list else f".{own}"
        loc = places.get(f"overrides{dotted}", ("overrides",))
        message = f"{mistake.where}: {message}"
    else:
        loc = places.get(mistake.where, (own,))
    place = document.keys.get(loc) if "unknown" in message else None
    place = place or document.values.get(loc)
    line, column = (place.line, place.column) if place else (None, None)
    return Mistake(place_text(loc), message, line, column)
