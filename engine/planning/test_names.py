"""What a test may be called, and which metric a name stands for."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from engine.core.registry import nearest
from engine.core.vocabulary import ModelTest, TaskKind
from engine.kinds import Setting, kind_of
from engine.kinds.metric import stem_of_each
from engine.metrics import METRICS


def expand_tests(tests: Sequence[ModelTest], setting: Setting) -> tuple[ModelTest, ...]:
    """The tests that those of the suite stand for: `recall_per_class` is one for each class.

    The names of the new tests are theirs alone, also where a class has a test of its own.
    """
    taken = {test.name for test in tests}
    expanded: list[ModelTest] = []
    for test in tests:
        own = kind_of(test).expand(test, setting)
        if list(own) == [test]:
            expanded.append(test)
            continue
        for place, one in enumerate(own):
            # The first of several may go on under the name of the test in the suite.
            goes_on = place == 0 and one.name == test.name
            name = one.name if goes_on else free_name(one.name, taken)
            taken.add(name)
            expanded.append(replace(one, name=name))
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
    stem = stem_of_each(name)
    metric = METRICS.find(name if stem is None else f"{stem}0")
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
