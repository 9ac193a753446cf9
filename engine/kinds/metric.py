"""`metric`: a figure of a model's predictions, as it is or beside the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from engine.conditions import needs_baseline, rule
from engine.core.registry import nearest
from engine.core.vocabulary import MetricValue, ModelTest, Output, TaskKind, ThresholdFrom
from engine.fields.file_model import FileModel
from engine.fields.values import BestField, Name, Or, Text, expected
from engine.fields.wording import list_text
from engine.kinds.base import KINDS, Kind
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.setting import Context, Setting
from engine.metrics import AT, GROUPED, METRICS, Metric, Problem, Slices, label_text
from engine.states import Family, PairFamily

# What a name ends with that stands for one test of each class, or label, and what theirs have.
EACH = {"_per_class": "_class_", "_per_label": "_label_"}
# A metric needs the same states at all thresholds.
ANY_THRESHOLD = 0.5


class ThresholdFile(FileModel):
    """A threshold that is chosen on an earlier evaluation, for each model its own."""

    best: BestField = Field(description="What it is best for there: f1, youden or cost.")
    evaluation: Name = Field(description="The evaluation that it is chosen on, on all its rows.")


def _number_or_choice(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        return handler(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise expected("a number from 0 to 1, or a mapping with best and evaluation")


# A number stays one.
ThresholdField = Annotated[
    ThresholdFile,
    WrapValidator(_number_or_choice),
    Or({"type": "number", "minimum": 0, "maximum": 1}),
]


_GROUP = "The column between whose values a fairness metric compares."
_THRESHOLD = "From which score on a row is positive: a number, or chosen on an evaluation."
METRIC_FIELD = (Name, Field(description="The metric's name, as scikit-learn's scoring calls it."))


class MetricKind(Kind):
    """A metric on slices, with what is demanded of it; without a demand it is recorded only."""

    key = "metric"
    description = (
        "A metric on slices, with what is demanded of it; without a demand, recorded only."
    )
    conditions = ("min", "max", "between", "max_drop", "max_rise", "no_worse")

    def keys(self) -> Mapping[str, Any]:
        return {
            "metric": METRIC_FIELD,
            "group": (Text | None, Field(None, description=_GROUP)),
            "threshold": (ThresholdField | None, Field(None, description=_THRESHOLD)),
        }

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        at, metric = file.threshold, canonical(file.metric)
        if isinstance(at, float):
            metric = f"{metric}_at_threshold_{at!r}"
        chosen = ThresholdFrom(at.best, at.evaluation) if isinstance(at, ThresholdFile) else None
        return {"metric": metric, "group": file.group, "threshold": chosen}

    def write(self, test: ModelTest) -> dict[str, Any]:
        threshold = test.threshold and {
            "best": test.threshold.best,
            "evaluation": test.threshold.evaluation,
        }
        return {"metric": test.metric, "threshold": threshold, "group": test.group}

    def title(self, test: ModelTest) -> str:
        return test.metric

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        return expand_classes(test, setting)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        metric = METRICS.get(test.metric)
        for condition in test.conditions:
            wrong = rule(condition).misfit(metric)
            if wrong is not None:
                yield wrong
        yield from _misfit_keys(test, setting)
        yield from setting_misfits(metric, setting)

    def families(self, test: ModelTest, problem: Problem) -> Sequence[Family]:
        metric = METRICS.get(test.metric_at(ANY_THRESHOLD))
        of_baseline = metric.of_baseline(problem) if metric.of_baseline else ()
        own = (*metric.families(problem, compared=False), *of_baseline)
        return [family for family in own if isinstance(family, Family)]

    def pair_families(self, test: ModelTest, problem: Problem) -> Sequence[PairFamily]:
        metric = METRICS.get(test.metric_at(ANY_THRESHOLD))
        own = metric.families(problem, compared=True)
        return [family for family in own if isinstance(family, PairFamily)]

    def metric(self, test: ModelTest) -> Metric:
        return METRICS.get(test.metric)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        metric = self._metric_at(test, context)
        if metric is None:
            assert test.threshold is not None, "only a threshold can be lacking"
            return SliceEstimates.repeat_failure(
                len(on),
                f"the evaluation {test.threshold.evaluation!r} has no threshold that is "
                f"best for {test.threshold.best} of this model",
            )
        if metric.against and context.is_baseline:
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        if metric.against and on.baseline is None:
            reason = "the baseline failed, with which this one is compared"
            return SliceEstimates.repeat_failure(len(on), reason)
        alone = metric.against or test.threshold is not None or not context.compares
        return estimate_metric(metric, context.problem, on, level=context.level, alone=alone)

    def _metric_at(self, test: ModelTest, context: Context) -> Metric | None:
        """The metric of a test, at the threshold of its model where it takes one."""
        if test.threshold is None:
            return METRICS.get(test.metric)
        assert context.model is not None, "a metric is of a model"
        chosen = context.thresholds.get(test.threshold.evaluation, {})
        at = chosen.get((test.threshold.best, context.model.digest))
        return None if at is None else METRICS.get(test.metric_at(at))


def expand_classes(test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
    """`recall_per_class` becomes one test for each class: `recall_class_0`, ..."""
    stem = stem_of_each(test.metric)
    if stem is None:
        return (test,)
    expanded = []
    for label in setting.problem.classes:
        metric = f"{stem}{label_text(label)}"
        within = test.metric in test.name
        name = test.name.replace(test.metric, metric) if within else f"{test.name} {metric}"
        expanded.append(replace(test, metric=metric, name=name))
    return expanded


def stem_of_each(name: str) -> str | None:
    """`recall_class_` of `recall_per_class`, None of a name that stands for itself."""
    for end, of_class in EACH.items():
        if name.endswith(end):
            return name.removesuffix(end) + of_class
    return None


def setting_misfits(metric: Metric, setting: Setting) -> Iterator[str]:
    """Why a metric has no value of these models: no scores, no such class, no costs."""
    yield from _scores_misfit(metric, setting)
    yield from _order_misfit(metric, setting)
    yield from _class_misfit(metric, setting)
    costs, classes = setting.problem.costs, setting.problem.classes
    if metric.name in ("cost", "best_threshold_cost") and len(costs) != len(classes):
        count_text = f"{len(costs)} lists" if costs else "none"
        yield (
            f"{metric.name!r} needs the evaluation's `costs`, a list for each of the "
            f"{len(classes)} classes {list_text(classes)}; found {count_text}"
        )


def _class_misfit(metric: Metric, setting: Setting) -> Iterator[str]:
    """Why a metric of one class, or label, has no value, where no model has that one."""
    texts = [label_text(class_label) for class_label in setting.problem.classes]
    for of_class, what in (("_class_", "class"), ("_label_", "label")):
        stem, found_in_name, label = metric.name.partition(of_class)
        # A name of a user's own may have the words in it.
        known = rf"{stem}{of_class}(?P<label>.*)" in METRICS.patterns()
        if found_in_name and known and label not in texts:
            yield f"{metric.name!r} names the {what} {label!r}; expected one of {list_text(texts)}"


def _scores_misfit(metric: Metric, setting: Setting) -> Iterator[str]:
    """Why a metric of scores has none, where models give labels only."""
    of_labels = [model.name for model in setting.models if model.output is Output.LABEL]
    if not metric.needs_scores or not of_labels:
        return
    multilabel = setting.problem.task is TaskKind.MULTILABEL
    such = "subset_accuracy" if multilabel else "accuracy"
    models = f"model{'s' if len(of_labels) > 1 else ''} {', '.join(map(repr, of_labels))}"
    yield (
        f"{metric.name!r} needs scores, and the {models} "
        f"return{'' if len(of_labels) > 1 else 's'} labels only; choose a metric of labels "
        f"such as {such!r}, or a model with probabilities"
    )


def _order_misfit(metric: Metric, setting: Setting) -> Iterator[str]:
    """Why a metric of how far apart classes lie has none, where nothing says their order."""
    problem = setting.problem
    if metric.needs_order and problem.n_classes > 2 and not problem.is_ordered:
        yield (
            f"{metric.name!r} counts how far apart classes lie, and nothing says the order of "
            f"{list_text(problem.classes)}; name them in their order, as in dataset.classes: "
            "[low, medium, high]"
        )


def _misfit_keys(test: ModelTest, setting: Setting) -> Iterator[str]:
    """What a test lacks, or has too much, for its metric."""
    metric, asked = METRICS.get(test.metric), repr(test.metric)
    if metric.name in GROUPED and test.group is None:
        yield f"{asked} compares groups; expected the column that makes them, as in `group: sex`"
    if metric.name not in GROUPED and test.group is not None:
        close = nearest(metric.name, GROUPED)
        hint = close or next(iter(sorted(GROUPED)))
        yield f"{asked} compares no groups, found group {test.group!r}; did you mean {hint!r}?"
    if test.group in setting.columns.sensitive:
        yield f"{asked} would show the values of {test.group!r}, which the suite calls sensitive"
    kinds = [condition.kind for condition in test.conditions if needs_baseline(condition)]
    if kinds and (metric.name in GROUPED or metric.against):
        what = "groups" if metric.name in GROUPED else "two versions already"
        yield f"{asked} compares {what}, found {kinds[0]}; expected min or max"
    if metric.against and setting.baseline is None:
        names = ", ".join(repr(model.name) for model in setting.models)
        yield f"{asked} compares with a baseline; expected the key 'baseline' with one of {names}"
    if test.threshold is not None:
        yield from _misfit_threshold(test, setting, kinds)


def _misfit_threshold(test: ModelTest, setting: Setting, kinds: Sequence[str]) -> Iterator[str]:
    asked = repr(test.metric)
    if METRICS.find(test.metric_at(0.5)) is None or setting.problem.task is not TaskKind.BINARY:
        takers = ", ".join(sorted(AT))
        yield f"{asked} takes no threshold; expected one of {takers}, of a binary task"
    if kinds:
        yield f"{asked} has a threshold of each model's own, found {kinds[0]}; expected min or max"


KINDS.add("metric", MetricKind())
