"""What a test may be called, and which metric a name stands for."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from engine.core.registry import nearest
from engine.core.vocabulary import ModelTest, TaskKind
from engine.metrics import METRICS, Problem, label_text

PER_CLASS = "_per_class"
OF_CLASS = "_class_"


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
            metric = f"{stem}{OF_CLASS}{label_text(label)}"
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
    known = f"{stem}{OF_CLASS}0" if name.endswith(PER_CLASS) else name
    metric = METRICS.find(known)
    fitting = sorted(candidate.name for candidate in METRICS if task in candidate.tasks)
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
