"""Reads a suite file: YAML, overrides, types, references; all mistakes are raised at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from engine.core.vocabulary import TaskKind
from engine.errors import Mistake, SuiteError
from engine.fields.wording import Loc, quote
from engine.suite.checks import Hooks, check_suite, load_plugins
from engine.suite.defaults import resolve
from engine.suite.overrides import apply_overrides
from engine.suite.schema import SuiteFile, suite_file
from engine.suite.suite import Suite
from engine.suite.validation_errors import report_errors
from engine.suite.yaml_document import Document, read_document

# Reading more takes minutes, and what has no end is no file.
MAX_BYTES = 4 * 2**20


def load_suite(
    path: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    known_metrics: Callable[[str, TaskKind], str | None] | None = None,
    canonical: Callable[[str], str] | None = None,
    load_plugin: Callable[[str], str | None] | None = None,
) -> Suite:
    """Reads a suite into typed, frozen data.

    Args:
        path: The YAML file, or what stands in one as a mapping.
        overrides: `dotted.key=value` texts, applied in order. List items go by index or name.
        known_metrics: Gives None for a metric that fits the task, else the mistake's sentence.
        canonical: Gives a metric's own name for an alias.
        load_plugin: Called with each module of `plugins` before `known_metrics` is; gives None
            when it was imported, else the mistake's sentence. The config room imports nothing.

    Raises:
        SuiteError: The file cannot be read, or has mistakes: all of them, each with its place.
    """
    if isinstance(path, Mapping):
        source, document = "the suite", Document(data=plain_data(path))
    else:
        source = str(path)
        document = _read(source)
    apply_overrides(document, overrides)
    hooks = Hooks(known_metrics, canonical, load_plugin)
    # A plugin may bring a kind of test, which the file's own keys depend on.
    unloaded = list(load_plugins(document.data, hooks))
    file: SuiteFile | None = None
    typed: set[Loc] = set()
    try:
        file = suite_file().model_validate(document.data)
    except ValidationError as error:
        typed = report_errors(error, document)
    for loc, message in (*unloaded, *check_suite(document.data, hooks)):
        if loc not in typed:
            document.report(loc, message)
    if file is None or document.mistakes:
        raise SuiteError(source, _in_order(document.mistakes))
    return resolve(file, hooks.metric)


def plain_data(value: Any) -> Any:
    """A value as YAML would have it: lists for tuples, texts for paths, numbers of Python's own."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    # What numpy and pandas have for a single number, and not an array of them.
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def _read(source: str) -> Document:
    """Reads the file as a mapping, or raises what keeps it from being one."""
    try:
        with Path(source).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise _unreadable(source, f"is too large, expected at most {MAX_BYTES:,} bytes")
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise _unreadable(source, "the file does not exist") from None
    except UnicodeDecodeError as error:
        raise _unreadable(source, f"is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise _unreadable(source, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        # A path with a null character.
        raise _unreadable(source, f"cannot be read: {error}") from None
    document = read_document(text)
    if () not in document.broken and not isinstance(document.data, dict):
        if document.data is None:
            raise _unreadable(source, "the file is empty, expected a mapping with name, ...")
        document.report((), f"found {quote(document.data)}, expected a mapping with name, ...")
    if not isinstance(document.data, dict):
        raise SuiteError(source, document.mistakes)
    return document


def _unreadable(source: str, message: str) -> SuiteError:
    return SuiteError(source, [Mistake("suite", message)])


def _in_order(mistakes: list[Mistake]) -> list[Mistake]:
    """Sorts mistakes as they stand in the file; those of overrides come last."""
    unplaced = [mistake for mistake in mistakes if mistake.line is None]
    placed = [mistake for mistake in mistakes if mistake.line is not None]
    return [*sorted(placed, key=lambda item: (item.line or 0, item.column or 0)), *unplaced]
