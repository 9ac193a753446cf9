"""The plan: the matrix of (model version x slice set x test) on a pinned dataset version, as data.

Running, resuming, showing and explaining are functions of a plan. It is plain, frozen and small,
so that it travels to the workers as it is, and two equal plans have equal digests.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal

from pydantic import TypeAdapter

from engine.errors import DataError, InputError, ModelError
from engine.metrics import METRICS, Problem, label_text
from engine.registry import nearest
from engine.states import Confusion, Family, Scores
from engine.vocabulary import (
    DatasetVersion,
    Label,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
    plain,
)

PER_CLASS = "_per_class"
_OF_CLASS = "_class_"
MAX_PICTURED_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the dataset and what each is for."""

    label: str
    weight: str | None = None
    key: tuple[str, ...] = ()
    cluster: str | None = None
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """One evaluation with everything pinned: it takes one scan of its dataset version."""

    name: str
    dataset: DatasetVersion
    columns: Columns
    problem: Problem
    models: tuple[ModelVersion, ...]
    baseline: str | None
    slice_sets: tuple[SliceSet, ...]
    tests: tuple[ModelTest, ...]
    min_slice_rows: int
    max_slices: int
    plugins: tuple[str, ...] = ()

    @property
    def sets_by_name(self) -> dict[str, SliceSet]:
        return {slice_set.name: slice_set for slice_set in self.slice_sets}

    def tests_on(self, set_name: str) -> list[ModelTest]:
        """The tests that apply to the slices of a set."""
        return [test for test in self.tests if set_name in test.slice_sets]

    def families(self, slice_set: SliceSet, model: ModelVersion) -> tuple[Family, ...]:
        """The states to keep of a model on a slice set: what its tests and its pictures need."""
        found: dict[str, Family] = {}
        for test in self.tests_on(slice_set.name):
            for family in METRICS.get(test.metric).needs(self.problem):
                found.setdefault(family.key, family)
        if slice_set.kind == "overall":
            for family in self._pictured(model):
                found.setdefault(family.key, family)
        return tuple(found.values())

    def _pictured(self, model: ModelVersion) -> list[Family]:
        problem = self.problem
        if problem.task is TaskKind.REGRESSION or problem.n_classes > MAX_PICTURED_CLASSES:
            return []
        if model.output is Output.LABEL:
            return [Confusion(problem.n_classes)]
        binary = problem.task is TaskKind.BINARY
        shown = [problem.positive] if binary else range(problem.n_classes)
        return [Confusion(problem.n_classes), *(Scores(k) for k in shown)]

    @property
    def digest(self) -> str:
        """SHA-256 of what the states depend on: models, dataset version, columns, slices, metrics.

        Two plans of one digest have the same states, whatever they are called and demand.
        """
        about = {
            "dataset": [self.dataset.table_id, self.dataset.version],
            "columns": replace(self.columns, sensitive=()),
            "problem": self.problem,
            "models": [[m.digest, m.output, m.classes, m.inputs, m.features] for m in self.models],
            "slice_sets": self.slice_sets,
            "metrics": sorted({(test.metric, *test.slice_sets) for test in self.tests}),
            "plugins": self.plugins,
        }
        return hashlib.sha256(json.dumps(plain(about), sort_keys=True).encode()).hexdigest()


_ADAPTER: TypeAdapter[tuple[EvaluationPlan, ...]] = TypeAdapter(tuple[EvaluationPlan, ...])


def dump_plans(plans: Sequence[EvaluationPlan]) -> str:
    """Plans as JSON, from which `load_plans` makes equal ones."""
    return json.dumps(plain(tuple(plans)), default=str)


def load_plans(text: str) -> tuple[EvaluationPlan, ...]:
    """The plans that `dump_plans` wrote."""
    return _ADAPTER.validate_json(text)


def expand_tests(tests: Sequence[ModelTest], problem: Problem) -> tuple[ModelTest, ...]:
    """`recall_per_class` becomes one test for each class: `recall_class_0`, ...

    The names of the new tests are theirs alone, also where a class has a test of its own.
    """
    taken = {test.name for test in tests}
    expanded: list[ModelTest] = []
    for test in tests:
        if not test.metric.endswith(PER_CLASS):
            expanded.append(test)
            continue
        stem = test.metric.removesuffix(PER_CLASS)
        for label in problem.classes:
            metric = f"{stem}{_OF_CLASS}{label_text(label)}"
            within = test.metric in test.name
            name = test.name.replace(test.metric, metric) if within else f"{test.name} {metric}"
            name = free_name(name, taken)
            taken.add(name)
            expanded.append(replace(test, metric=metric, name=name))
    return tuple(expanded)


def free_name(name: str, taken: Set[str]) -> str:
    """The name, or the first of `name #2`, `name #3`, ... that is not taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} #{number}"
    return free


def metric_mistake(name: str, task: TaskKind) -> str | None:
    """Why a metric cannot be asked for in a task; None when it can."""
    stem = name.removesuffix(PER_CLASS)
    known = f"{stem}{_OF_CLASS}0" if name.endswith(PER_CLASS) else name
    metric = METRICS.find(known)
    fitting = sorted(each.name for each in METRICS if task in each.tasks)
    if metric is None:
        close = nearest(name, METRICS.names(aliases=True))
        hint = f"did you mean {close!r}?" if close else f"expected one of {', '.join(fitting)}"
        return f"no metric is called {name!r}; {hint}"
    if task not in metric.tasks:
        tasks = " and ".join(sorted(metric.tasks))
        close = nearest(name, fitting)
        hint = f"; did you mean {close!r}?" if close else f"; {task} has {', '.join(fitting)}"
        return f"{name!r} is a metric for {tasks}, the task is {task}{hint}"
    return None


def direction_mistake(name: str, kind: str) -> str | None:
    """Why a margin has the wrong sign for a metric: a drop of what should be low is no harm."""
    metric = METRICS.find(name)
    if metric is None or metric.higher_is_better is None:
        return None
    if kind == "max_drop" and not metric.higher_is_better:
        return f"{name!r} is better when lower, so a drop is no harm; did you mean 'max_rise'?"
    if kind == "max_rise" and metric.higher_is_better:
        return f"{name!r} is better when higher, so a rise is no harm; did you mean 'max_drop'?"
    return None


def make_problem(
    task: TaskKind,
    models: Sequence[ModelVersion],
    *,
    labels: Sequence[Label],
    positive_label: Label | None,
) -> Problem:
    """The problem of an evaluation: its classes come from the models, else from the labels.

    Labels that are the same number are the same label: 1, 1.0 and True.

    Raises:
        ModelError: when models disagree on the classes.
        DataError: when the labels are not among the classes, or the positive one is not.
    """
    if task is TaskKind.REGRESSION:
        return Problem(task)
    classes = _classes(models, labels)
    known = {same_label(label) for label in classes}
    unknown = [label for label in labels if same_label(label) not in known]
    if unknown:
        raise DataError(
            f"the label column holds {_list(unknown)}, which the models do not know; "
            f"expected their classes {_list(classes)}"
        )
    if task is TaskKind.MULTICLASS:
        return Problem(task, classes)
    if len(classes) != 2:
        raise DataError(f"a binary task has 2 classes, found {len(classes)}: {_list(classes)}")
    return Problem(task, classes, _positive(classes, positive_label))


def _classes(models: Sequence[ModelVersion], labels: Sequence[Label]) -> tuple[Label, ...]:
    named = [model for model in models if model.classes]
    if not named:
        return tuple(sorted(labels, key=lambda label: (str(type(label)), label)))
    first = named[0]
    for model in named[1:]:
        if [same_label(each) for each in model.classes] != [
            same_label(each) for each in first.classes
        ]:
            raise ModelError(
                f"models of one evaluation must have the same classes: {first.name!r} has "
                f"{_list(first.classes)}, {model.name!r} has {_list(model.classes)}"
            )
    return first.classes


def _positive(classes: Sequence[Label], positive_label: Label | None) -> int:
    if positive_label is None:
        return 1
    same = [same_label(label) for label in classes]
    if same_label(positive_label) not in same:
        raise DataError(
            f"positive_label is {positive_label!r}, expected one of the classes {_list(classes)}"
        )
    return same.index(same_label(positive_label))


def same_label(label: Label | Decimal) -> str:
    """A text that labels share when they are the same: 1, 1.0 and True; '1' is another."""
    if isinstance(label, str):
        return f"text {label}"
    # Not by way of float, which has no room for the last digits of long numbers.
    whole = math.isfinite(label) and label == int(label)
    return f"number {int(label)}" if whole else f"number {float(label)!r}"


def _list(labels: Sequence[Label]) -> str:
    shown = ", ".join(repr(label) for label in labels[:10])
    return f"[{shown}{', ...' if len(labels) > 10 else ''}]"


def label_codes(problem: Problem) -> Mapping[str, int]:
    """The class index of each label, by the text that `same_label` gives it."""
    return {same_label(label): k for k, label in enumerate(problem.classes)}


def check_fit(plan: EvaluationPlan) -> None:
    """Refuses tests that make no sense for the models at hand.

    Raises:
        InputError: when a metric needs scores of a model that gives labels only, names a class
            that does not exist, or has a margin of the wrong direction; all of these at once.
    """
    mistakes = [mistake for test in plan.tests for mistake in _misfits(plan, test)]
    if mistakes:
        raise InputError("\n".join(f"evaluation {plan.name!r}: {each}" for each in mistakes))


def _misfits(plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    metric = METRICS.get(test.metric)
    for condition in test.conditions:
        wrong = direction_mistake(test.metric, condition.kind)
        if wrong is not None:
            yield f"test {test.name!r}: {wrong}"
    of_labels = [model.name for model in plan.models if model.output is Output.LABEL]
    if metric.needs_scores and of_labels:
        models = f"model{'s' if len(of_labels) > 1 else ''} {', '.join(map(repr, of_labels))}"
        yield (
            f"test {test.name!r}: {metric.name!r} needs scores, and the {models} "
            f"return{'' if len(of_labels) > 1 else 's'} labels only; choose a metric of labels "
            "such as 'accuracy', or a model with probabilities"
        )
    stem, _, label = metric.name.partition(_OF_CLASS)
    texts = [label_text(each) for each in plan.problem.classes]
    if label and _is_of_class(stem) and label not in texts:
        yield (
            f"test {test.name!r}: {metric.name!r} names the class {label!r}; expected one of "
            f"{_list(texts)}"
        )


def _is_of_class(stem: str) -> bool:
    """Whether `<stem>_class_<label>` is a metric of a class, not a user's own name."""
    return rf"{stem}{_OF_CLASS}(?P<label>.+)" in METRICS.patterns()
