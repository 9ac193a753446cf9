"""What the parts of a suite file say of each other: names, references, and what fits what.

The checks read raw data, in which anything may be of a wrong type: they pass over what the models
refuse, so that a file's mistakes of both sorts are told at once. Each mistake is a place and
a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.conditions import CONDITIONS
from engine.core.vocabulary import TaskKind
from engine.fields.names import module_problem, name_problem
from engine.fields.wording import Loc, quote, suggestion
from engine.kinds import KINDS, key_in
from engine.suite.default_names import (
    OVERALL,
    last_part,
    model_name,
    slice_set_name,
)
from engine.suite.endpoint_schema import check_endpoint
from engine.suite.lake_names import check_lake_names
from engine.suite.model_checks import check_source, columns_in
from engine.suite.sensitive import check_sensitive

Found = Iterator[tuple[Loc, str]]

_SOURCES = ("delta", "csv", "parquet")
_RULES = ("by", "bins", "quantiles")


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the caller knows of metrics and plugins, and the config room does not."""

    known_metrics: Callable[[str, TaskKind], str | None] | None = None
    canonical: Callable[[str], str] | None = None
    load_plugin: Callable[[str], str | None] | None = None

    def metric(self, name: str) -> str:
        """Gives a metric's own name for one of its aliases."""
        return self.canonical(name) if self.canonical else name


def load_plugins(data: Any, hooks: Hooks) -> Found:
    """Loads the plugins of a file, and yields those that cannot be."""
    for index, plugin in enumerate(_items(_mapping(data).get("plugins"))):
        sentence = None
        if hooks.load_plugin and isinstance(plugin, str) and not module_problem(plugin):
            sentence = hooks.load_plugin(plugin)
        if sentence:
            yield ("plugins", index), sentence


def check_suite(data: Any, hooks: Hooks) -> Found:
    """Yields the mistakes of a whole file, whose plugins are loaded."""
    suite = _mapping(data)
    evaluations = _items(suite.get("evaluations"))
    named = [(("evaluations", i, "name"), _name(item)) for i, item in enumerate(evaluations)]
    yield from _twice(named, "evaluation")
    yield from check_lake_names(evaluations)
    for index, item in enumerate(evaluations):
        if isinstance(item, dict):
            yield from _evaluation(("evaluations", index), item, hooks)
            earlier = [name for _, name in named[:index] if name]
            yield from _thresholds(("evaluations", index, "tests"), item, earlier)


def _evaluation(at: Loc, raw: dict[str, Any], hooks: Hooks) -> Found:
    dataset = _mapping(raw.get("dataset"))
    task = _task(dataset)
    if isinstance(raw.get("dataset"), dict):
        yield from _dataset((*at, "dataset"), dataset, task)
    if isinstance(raw.get("reference"), dict):
        yield from _one_source((*at, "reference"), raw["reference"])
        yield from _csv_only((*at, "reference"), raw["reference"])
        yield from _derived_name((*at, "reference"), raw["reference"])
    yield from _references(at, raw)
    yield from _predictions((*at, "predictions"), raw.get("predictions"), dataset)
    yield from check_sensitive(at, raw, dataset)
    yield from _models(at, raw, task)
    yield from _costs((*at, "costs"), raw.get("costs"), task)
    yield from _slices((*at, "slices"), _items(raw.get("slices")))
    tests = _items(raw.get("tests"))
    named = [((*at, "tests", i, "name"), _name(item)) for i, item in enumerate(tests)]
    yield from _twice(named, "test")
    for index, item in enumerate(tests):
        if isinstance(item, dict):
            yield from _kind((*at, "tests", index), item, raw)
            yield from _slice_references((*at, "tests", index, "slices"), item, raw)
            key = KINDS.get(key_in(item)).metric_key
            yield from _metric((*at, "tests", index, key), item.get(key), task, hooks)
            yield from _threshold((*at, "tests", index, "threshold"), item, task, hooks)


def _thresholds(at: Loc, evaluation: dict[str, Any], earlier: list[str]) -> Found:
    """Yields the thresholds that are chosen on an evaluation that does not come before."""
    for index, test in enumerate(_items(evaluation.get("tests"))):
        on = _mapping(_mapping(test).get("threshold")).get("evaluation")
        if isinstance(on, str) and on not in earlier:
            known = suggestion(on, earlier) if earlier else "one that stands before this one"
            message = f"found {quote(on)}, expected an earlier evaluation, {known}"
            yield (*at, index, "threshold", "evaluation"), message


def _one_source(at: Loc, raw: dict[str, Any]) -> Found:
    given = [source for source in _SOURCES if raw.get(source) is not None]
    if len(given) != 1:
        words = " and ".join(given) or "none"
        yield at, f"found {words}, expected exactly one of delta, csv, parquet"


def _csv_only(at: Loc, raw: dict[str, Any]) -> Found:
    """Yields what is said of columns where the rows are of no CSV file and have types."""
    given = next((source for source in _SOURCES if raw.get(source) is not None), None)
    for key in ("columns", "null_values"):
        if raw.get(key) is not None and given in ("delta", "parquet"):
            yield (*at, key), f"found {key} with {given}, expected it with csv only"


def _derived_name(at: Loc, raw: dict[str, Any]) -> Found:
    """Yields that a table's own name is none for a dataset."""
    delta = raw.get("delta")
    derived = last_part(delta) if isinstance(delta, str) and delta.strip() else None
    if derived and raw.get("name") is None and (problem := name_problem(derived)):
        yield (*at, "delta"), f"gives the name {quote(derived)}, expected {problem}; give a name"


def _references(at: Loc, raw: dict[str, Any]) -> Found:
    """Yields the tests that look beside a reference where there is none."""
    if raw.get("reference") is not None:
        return
    for index, test in enumerate(_items(raw.get("tests"))):
        kind = KINDS.get(key_in(test))
        if kind.reads_reference:
            message = f"found {kind.key} in an evaluation without a reference"
            expected = "expected the key 'reference' with another dataset"
            yield (*at, "tests", index, kind.key), f"{message}, {expected}"


def _dataset(at: Loc, raw: dict[str, Any], task: TaskKind | None) -> Found:
    yield from _one_source(at, raw)
    yield from _csv_only(at, raw)
    yield from _derived_name(at, raw)
    positive, classes = raw.get("positive_label"), raw.get("classes")
    if task not in (None, TaskKind.BINARY) and positive is not None:
        words = f"found {quote(positive)} for the task {task}"
        yield (*at, "positive_label"), f"{words}, expected it with the task binary only"
    if task in (TaskKind.REGRESSION, TaskKind.RANKING) and classes is not None:
        yield (*at, "classes"), f"found classes for the task {task}, expected none"
    query = raw.get("query")
    if task is TaskKind.RANKING and query is None:
        yield at, "found no query for the task ranking, expected the column of a row's query"
    if task not in (None, TaskKind.RANKING) and query is not None:
        words = f"found {quote(query)} for the task {task}"
        yield (*at, "query"), f"{words}, expected it with the task ranking only"
    if not isinstance(classes, list) or task is TaskKind.REGRESSION:
        return
    if task is TaskKind.BINARY and len(classes) > 2:
        yield (*at, "classes"), f"found {len(classes)} classes, expected 2 for the task binary"
    if task is TaskKind.BINARY and positive is not None and positive not in classes:
        expected = f"expected one of the classes {quote(classes)}"
        yield (*at, "positive_label"), f"found {quote(positive)}, {expected}"


def _predictions(at: Loc, raw: Any, dataset: dict[str, Any]) -> Found:
    """Yields why predictions cannot be kept: they are found again by the key of their row."""
    if raw != "keep":
        return
    key = dataset.get("key")
    if not key:
        expected = "expected a key in the dataset, by which the row of a prediction is known"
        yield at, f"found 'keep' and no key, {expected}"
    names = key if isinstance(key, list) else [key]
    secret = [name for name in names if name in _items(dataset.get("sensitive"))]
    if secret:
        expected = "expected a key that is not: it is stored beside the predictions"
        yield at, f"found 'keep' with the key {quote(secret[0])}, which is sensitive, {expected}"


def _models(at: Loc, raw: dict[str, Any], task: TaskKind | None) -> Found:
    models = _items(raw.get("models"))
    by_name = {name: _mapping(item) for item in models if (name := _model_place((), item)[1])}
    named: list[tuple[Loc, str | None]] = []
    for index, item in enumerate(models):
        place, name = _model_place((*at, "models", index), item)
        named.append((place, name))
        if name and place[-1] == "uri" and (problem := name_problem(name)):
            yield place, f"gives the name {quote(name)}, expected {problem}; give a name"
        model, dataset = _mapping(item), _mapping(raw.get("dataset"))
        secret = _items(dataset.get("sensitive"))
        yield from check_source((*at, "models", index), model, secret, task)
        yield from check_endpoint((*at, "models", index), model, by_name)
        output = _mapping(item).get("output")
        numbers = (TaskKind.REGRESSION, TaskKind.RANKING)
        if task in numbers and output in ("probability", "logit", "label"):
            place = (*at, "models", index, "output")
            yield place, f"found {quote(output)}, expected value for the task {task}"
    yield from _twice(named, "model")
    baseline = raw.get("baseline")
    names = [name for _, name in named if name]
    if isinstance(baseline, str) and len(names) == len(named) > 0 and baseline not in names:
        expected = f"expected a model of the evaluation, {suggestion(baseline, names)}"
        yield (*at, "baseline"), f"found {quote(baseline)}, {expected}"


def _costs(at: Loc, costs: Any, task: TaskKind | None) -> Found:
    if not isinstance(costs, list):
        return
    if task not in (None, TaskKind.BINARY, TaskKind.MULTICLASS):
        yield at, f"found costs for the task {task}, expected them with classes only"
    lengths = {len(row) for row in costs if isinstance(row, list)}
    if lengths - {len(costs)}:
        words = f"found {len(costs)} lists of {' or '.join(map(str, sorted(lengths)))}"
        yield at, f"{words} numbers, expected a square: a list for each class, a number in it too"


def _model_place(at: Loc, item: Any) -> tuple[Loc, str | None]:
    """Finds a model's name and what it comes from."""
    raw = _mapping(item)
    uri = raw.get("uri")
    if raw.get("name") is None and isinstance(uri, str) and uri.strip():
        return (*at, "uri"), model_name(uri)
    return (*at, "name"), _name(raw)


def _slices(at: Loc, items: list[Any]) -> Found:
    named: list[tuple[Loc, str | None]] = []
    for index, item in enumerate(items):
        place, name = (*at, index), _slice_name(item)
        reserved = name == OVERALL and isinstance(item, dict)
        named.append((place, None if reserved else name))
        if not isinstance(item, dict):
            continue
        yield from _slice_rule(place, item)
        if reserved:
            message = "found the name 'overall', expected another one: it is the name of all rows"
            yield place, message
        elif name and item.get("name") is None and (problem := name_problem(name)):
            yield place, f"gives the name {quote(name)}, expected {problem}; give a name"
    yield from _twice(named, "slice set")


def _slice_rule(at: Loc, raw: dict[str, Any]) -> Found:
    rules = [rule for rule in _RULES if raw.get(rule) is not None]
    if raw.get("where") is not None:
        if rules:
            yield at, f"found where with {' and '.join(rules)}, expected where on its own"
    elif not rules:
        yield at, "found no rule, expected by, bins, quantiles or where"
    columns = _slice_columns(raw)
    # A column given twice under `by` is told of by its own type.
    across = [set(columns_in(raw.get(rule))) for rule in _RULES]
    for column in dict.fromkeys(columns):
        if sum(column in names for names in across) > 1:
            yield at, f"found the column {quote(column)} in two rules, expected it in one"


def _slice_references(at: Loc, test: dict[str, Any], raw: dict[str, Any]) -> Found:
    # A text can only have meant overall, which is known anyhow.
    sets = [item for item in _items(raw.get("slices")) if not isinstance(item, str)]
    names = [_slice_name(item) for item in sets]
    if None in names:
        # What a broken slice set would have been called is not known.
        return
    known = list(dict.fromkeys([OVERALL, *(name for name in names if name)]))
    for index, name in enumerate(_items(test.get("slices"))):
        if isinstance(name, str) and name not in known:
            expected = f"expected a slice set of the evaluation, {suggestion(name, known)}"
            yield (*at, index), f"found {quote(name)}, {expected}"


def _kind(at: Loc, test: dict[str, Any], raw: dict[str, Any]) -> Found:
    """Yields what a test's kind and its conditions refuse."""
    kind = KINDS.get(key_in(test))
    for path, mistake in kind.mistakes(test):
        yield (*at, *path), mistake
    rules = [CONDITIONS.get(name) for name in kind.conditions]
    for rule in rules:
        for key, mistake in rule.mistakes(test):
            yield (*at, key), mistake
    if not kind.needs_baseline(test):
        return
    for name in [rule.key for rule in rules if rule.needs_baseline]:
        if test.get(name) not in (None, False) and raw.get("baseline") is None:
            names = [_model_place((), item)[1] for item in _items(raw.get("models"))]
            listed = suggestion("", [name for name in names if name])
            message = f"found {name} in an evaluation without a baseline"
            yield (*at, name), f"{message}, expected the key 'baseline' with {listed}"


def _metric(at: Loc, metric: Any, task: TaskKind | None, hooks: Hooks) -> Found:
    if hooks.known_metrics is None or not isinstance(metric, str) or name_problem(metric):
        return
    name = hooks.metric(metric)
    tasks = [task] if task else list(TaskKind)
    sentences = {hooks.known_metrics(name, kind) for kind in tasks}
    # With the task unknown, only a metric is refused that is unknown whatever the task.
    if len(sentences) == 1 and (sentence := sentences.pop()):
        yield at, sentence


def _threshold(at: Loc, test: dict[str, Any], task: TaskKind | None, hooks: Hooks) -> Found:
    """Yields a number as the threshold of a metric that takes none."""
    metric, threshold = test.get("metric"), _number(test.get("threshold"))
    if hooks.known_metrics is None or not isinstance(metric, str) or not task:
        return
    if threshold is None or not 0 <= threshold <= 1:
        return
    name = hooks.metric(metric)
    full_name = f"{name}_at_threshold_{float(threshold)!r}"
    if hooks.known_metrics(name, task) is None and hooks.known_metrics(full_name, task) is not None:
        yield at, f"found a threshold for {quote(metric)}, which takes none in the task {task}"


def _twice(named: Sequence[tuple[Loc, str | None]], what: str) -> Found:
    seen: set[str] = set()
    for loc, name in named:
        if name is None:
            continue
        if name in seen:
            yield loc, f"found a second {what} called {quote(name)}, expected a name of its own"
        seen.add(name)


def _slice_name(item: Any) -> str | None:
    if item == OVERALL:
        return OVERALL
    if not isinstance(item, dict):
        return None
    if item.get("name") is not None:
        return _name(item)
    where, columns = item.get("where"), _slice_columns(item)
    if isinstance(where, str) and where.strip():
        return slice_set_name((), where)
    return slice_set_name(columns, None) if columns else None


def _slice_columns(item: dict[str, Any]) -> list[str]:
    return [column for rule in _RULES for column in columns_in(item.get(rule))]


def _task(dataset: dict[str, Any]) -> TaskKind | None:
    task = dataset.get("task")
    return TaskKind(task) if isinstance(task, str) and task in list(TaskKind) else None


def _name(item: Any) -> str | None:
    name = _mapping(item).get("name")
    return name if isinstance(name, str) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
