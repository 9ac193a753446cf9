"""Areas under the curves of each class against the others, or of each label by itself.

References: scikit-learn's `roc_auc_score` and `average_precision_score` of binarized labels and of
indicator matrices. A mean over classes, or labels, takes all of the model, and is undefined where
one of them has no area: scikit-learn counts an average precision without positives 0, and an area
under the ROC curve without positives or negatives is NaN. `micro` takes each row once for each
class, with the score of that class: its histogram is the sum of those of the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from engine.core.vocabulary import TaskKind
from engine.metrics.base import CLASSIFICATION, METRICS, MULTICLASS, MULTILABEL, Metric, Problem
from engine.metrics.classification import class_at, label_text, unknown_class
from engine.metrics.roc import UNIT, mean_precision, whole_area
from engine.metrics.values import Value
from engine.states import Bools, PairedScores, Scores, ScoresView
from engine.statistics import Figures

# So many classes without an area are named, of the others their number.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Area:
    """An area under a curve: what makes it of a class's scores, and what a class needs for it."""

    function: Callable[[ScoresView], Value]
    words: str
    needs: str
    summary: str


AREAS = {
    "roc_auc": Area(
        whole_area,
        "area under the ROC curve",
        "rows that have it and rows that do not",
        "The area under the ROC curve",
    ),
    "average_precision": Area(
        mean_precision, "average precision", "rows that have it", "The average precision"
    ),
}


def _scores_of_each(problem: Problem) -> tuple[Scores, ...]:
    return tuple(Scores(k) for k in range(problem.n_classes))


def _mean(area: Area, problem: Problem, *views: ScoresView, by_prevalence: bool) -> Value:
    values = [area.function(view) for view in views]
    shares = np.ones((len(views), *values[0].values.shape))
    if by_prevalence:
        shares = np.stack([view.positive.sum(-1) for view in views])
    shares = shares / shares.sum(0)
    lacking: Bools = np.stack([np.any([m for _, m in value.undefined], 0) for value in values])
    bound = sum(share * value.bound for share, value in zip(shares[:, 0], values, strict=True))
    return Value(
        (np.stack([value.values for value in values]) * shares).sum(0),
        (("one_class", np.asarray(lacking.any(0))),),
        float(bound),
        support=min(_support(value) for value in values),
        detail=_which(area, problem, lacking[:, 0]),
    )


def _support(value: Value) -> Figures:
    return 0.0 if value.support is None else value.support


def _which(area: Area, problem: Problem, lacking: Bools) -> str | None:
    """Which classes have no area, in words."""
    names = [label_text(problem.classes[k]) for k in np.flatnonzero(lacking)]
    if not names:
        return None
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    kind = "label" if problem.task is TaskKind.MULTILABEL else "class"
    return f"the {area.words} of a {kind} needs {area.needs}: {', '.join(names[:NAMED])}{more}"


def _micro(area: Area, problem: Problem, *views: ScoresView) -> Value:
    value = area.function(pool(views))
    rows = (views[0].positive + views[0].negative)[..., 0, :].sum(-1)
    # The pairs of a row and a class are no rows that stand for themselves.
    return replace(value, basis=None, support=np.minimum(_support(value), rows))


def pool(views: Sequence[ScoresView]) -> ScoresView:
    """The view of the scores of all classes together, each row once for each of them."""
    first, *others = views
    if "pooled" not in first.made:
        state = first.state.merge(*(view.state for view in others))
        pooled = ScoresView.of(state)
        one = len(first.positive) == 1
        first.made["pooled"] = pooled if one else pooled.with_replicates()
    view: ScoresView = first.made["pooled"]
    return view


def _of_class(area: Area, label: str, problem: Problem, view: ScoresView) -> Value:
    if class_at(label, problem) is None:
        return unknown_class(view.positive.shape[:-1])
    return area.function(view)


def _averages(area: Area, tasks: frozenset[TaskKind]) -> dict[str, Metric]:
    """The averages of an area over the classes, or the labels, without names yet."""
    labels = tasks == MULTILABEL
    classes = "the labels" if labels else "the classes, each against the others"
    functions = {
        "macro": (
            partial(_mean, area, by_prevalence=False),
            f"The mean {area.words} of {classes}.",
        ),
        "weighted": (
            partial(_mean, area, by_prevalence=True),
            f"The mean {area.words} of {classes}, weighted by how frequent they are.",
        ),
        "micro": (
            partial(_micro, area),
            f"{area.summary} of all pairs of a row and a {'label' if labels else 'class'}.",
        ),
    }
    return {
        average: Metric(
            "", tasks, _scores_of_each, function, needs_scores=True, bounds=UNIT, summary=summary
        )
        for average, (function, summary) in functions.items()
    }


def _for_class(stem: str, label: str, *, of_label: bool = False) -> Metric:
    """The metric `roc_auc_class_<label>`, `multilabel_roc_auc_label_<label>`, or their like."""
    area = AREAS[stem]

    def needs(problem: Problem) -> tuple[Scores]:
        return (Scores(class_at(label, problem) or 0),)

    def pairs(problem: Problem) -> tuple[PairedScores, ...]:
        k = class_at(label, problem)
        return () if k is None else (PairedScores(k),)

    what = f"the label {label}" if of_label else f"the class {label} against the others"
    return Metric(
        f"multilabel_{stem}_label_{label}" if of_label else f"{stem}_class_{label}",
        MULTILABEL if of_label else CLASSIFICATION,
        needs,
        partial(_of_class, area, label),
        needs_scores=True,
        bounds=UNIT,
        summary=f"{area.summary} of {what}.",
        many=True,
        paired=pairs if stem == "roc_auc" else None,
    )


# What an average is called where it is not the stem with its name.
_NAMES = {
    ("roc_auc", "macro"): "roc_auc_ovr",
    ("roc_auc", "weighted"): "roc_auc_ovr_weighted",
    ("roc_auc", "micro"): "roc_auc_ovr_micro",
}
# MLflow's own key, and what else an average is called.
_MLFLOW = {"roc_auc_ovr_weighted": "roc_auc"}
_ALIASES = {"roc_auc_ovr": ["roc_auc_ovr_macro"]}


def _register() -> None:
    for stem, area in AREAS.items():
        for average, entry in _averages(area, MULTICLASS).items():
            name = _NAMES.get((stem, average), f"{stem}_{average}")
            named = replace(entry, name=name, mlflow=_MLFLOW.get(name))
            METRICS.add(name, named, aliases=_ALIASES.get(name, ()))
        for average, entry in _averages(area, MULTILABEL).items():
            name = f"multilabel_{stem}_{average}"
            METRICS.add(name, replace(entry, name=name))
        # A class may be an empty text.
        METRICS.add_pattern(rf"{stem}_class_(?P<label>.*)", partial(_for_class, stem))
        METRICS.add_pattern(
            rf"multilabel_{stem}_label_(?P<label>.*)", partial(_for_class, stem, of_label=True)
        )


_register()
