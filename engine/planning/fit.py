"""Which tests make sense for the models, the task and the costs at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.conditions import needs_baseline, rule
from engine.core.registry import nearest
from engine.core.vocabulary import ModelTest, Output, TaskKind
from engine.errors import InputError
from engine.metrics import AT, GROUPED, METRICS, label_text
from engine.planning.plan import EvaluationPlan
from engine.planning.problem import list_text
from engine.planning.test_names import OF_CLASS


def check_fit(plan: EvaluationPlan) -> None:
    """Refuses tests that make no sense for the models at hand.

    Raises:
        InputError: when a metric needs scores of a model that gives labels only, names a class
            that does not exist, or has a margin of the wrong direction; all of these at once.
    """
    mistakes = [mistake for test in plan.tests for mistake in _misfits(plan, test)]
    if mistakes:
        raise InputError("\n".join(f"evaluation {plan.name!r}: {text}" for text in mistakes))


def _misfits(plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    metric = METRICS.get(test.metric)
    for condition in test.conditions:
        wrong = rule(condition).misfit(metric)
        if wrong is not None:
            yield f"test {test.name!r}: {wrong}"
    yield from _misfit_words(plan, test)
    of_labels = [model.name for model in plan.models if model.output is Output.LABEL]
    if metric.needs_scores and of_labels:
        such = "subset_accuracy" if plan.problem.task is TaskKind.MULTILABEL else "accuracy"
        models = f"model{'s' if len(of_labels) > 1 else ''} {', '.join(map(repr, of_labels))}"
        yield (
            f"test {test.name!r}: {metric.name!r} needs scores, and the {models} "
            f"return{'' if len(of_labels) > 1 else 's'} labels only; choose a metric of labels "
            f"such as {such!r}, or a model with probabilities"
        )
    stem, of_class, label = metric.name.partition(OF_CLASS)
    texts = [label_text(class_label) for class_label in plan.problem.classes]
    if of_class and _is_of_class(stem) and label not in texts:
        yield (
            f"test {test.name!r}: {metric.name!r} names the class {label!r}; expected one of "
            f"{list_text(texts)}"
        )


def _misfit_words(plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    """What a test lacks, or has too much, for its metric."""
    metric, named = METRICS.get(test.metric), f"test {test.name!r}: {test.metric!r}"
    if metric.name in GROUPED and test.group is None:
        yield f"{named} compares groups; expected the column that makes them, as in `group: sex`"
    if metric.name not in GROUPED and test.group is not None:
        close = nearest(metric.name, GROUPED)
        hint = close or next(iter(sorted(GROUPED)))
        yield f"{named} compares no groups, found group {test.group!r}; did you mean {hint!r}?"
    if test.group in plan.columns.sensitive:
        yield f"{named} would show the values of {test.group!r}, which the suite calls sensitive"
    kinds = [condition.kind for condition in test.conditions if needs_baseline(condition)]
    if kinds and (metric.name in GROUPED or metric.against):
        what = "groups" if metric.name in GROUPED else "two versions already"
        yield f"{named} compares {what}, found {kinds[0]}; expected min or max"
    if metric.against and plan.baseline is None:
        names = ", ".join(repr(model.name) for model in plan.models)
        yield f"{named} compares with a baseline; expected the key 'baseline' with one of {names}"
    if test.threshold is not None:
        yield from _misfit_threshold(plan, test, kinds)
    costs, classes = plan.problem.costs, plan.problem.classes
    if metric.name in ("cost", "best_threshold_cost") and len(costs) != len(classes):
        count_text = f"{len(costs)} lists" if costs else "none"
        yield (
            f"{named} needs the evaluation's `costs`, a list for each of the "
            f"{len(classes)} classes {list_text(classes)}; found {count_text}"
        )


def _misfit_threshold(plan: EvaluationPlan, test: ModelTest, kinds: Sequence[str]) -> Iterator[str]:
    named = f"test {test.name!r}: {test.metric!r}"
    if METRICS.find(test.metric_at(0.5)) is None or plan.problem.task is not TaskKind.BINARY:
        takers = ", ".join(sorted(AT))
        yield f"{named} takes no threshold; expected one of {takers}, of a binary task"
    if kinds:
        yield f"{named} has a threshold of each model's own, found {kinds[0]}; expected min or max"


def _is_of_class(stem: str) -> bool:
    """Whether `<stem>_class_<label>` is a metric of a class, not a user's own name."""
    return rf"{stem}{OF_CLASS}(?P<label>.*)" in METRICS.patterns()
