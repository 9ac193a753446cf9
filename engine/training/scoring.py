"""The figures of a fold, by scikit-learn's own scorers, under the names that suites use."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.core.vocabulary import Output, TaskKind
from engine.fields.wording import suggestion
from engine.metrics import METRICS

_DEFAULTS = {
    TaskKind.BINARY: ("roc_auc", "accuracy", "f1", "log_loss"),
    TaskKind.MULTICLASS: ("accuracy", "f1_macro", "log_loss"),
}
_OF_VALUES = ("r2", "mean_absolute_error", "root_mean_squared_error")


def known_metrics(task: TaskKind, output: Output) -> list[str]:
    """Metrics that a model of a task can be chosen by: those of suites that scorers measure."""
    from sklearn.metrics import get_scorer_names

    scorers = set(get_scorer_names())
    measured = TaskKind.REGRESSION if task is TaskKind.RANKING else task
    return [
        metric.name
        for metric in METRICS
        if measured in metric.tasks
        and scorers & {metric.name, f"neg_{metric.name}"}
        and not (metric.needs_scores and output is Output.LABEL)
        and not (metric.needs_probabilities and output is Output.LABEL)
    ]


def metric_mistake(name: str, task: TaskKind, output: Output) -> str | None:
    """Why a model cannot be chosen by a metric, in words; None where it can."""
    fit = known_metrics(task, output)
    if name in fit:
        return None
    words = suggestion(name, fit)
    if METRICS.find(name) is not None:
        return (
            f"found {name!r}, which does not measure single models of the task {task.value!r} "
            f"and the output {output.value!r}; expected {words}"
        )
    return f"found the unknown metric {name!r}, expected {words}"


def fold_metrics(task: TaskKind, output: Output, first: str | None) -> tuple[str, ...]:
    """The metrics of each fold: the one to choose by comes first."""
    fit = set(known_metrics(task, output))
    names = [name for name in _DEFAULTS.get(task, _OF_VALUES) if name in fit]
    return tuple(dict.fromkeys([*([first] if first else []), *names]))


def scorer_name(name: str) -> str:
    """scikit-learn's scorer of a name: `log_loss` is measured by `neg_log_loss`."""
    from sklearn.metrics import get_scorer_names

    return name if name in get_scorer_names() else f"neg_{name}"


def higher_is_better(name: str) -> bool:
    """Which way a metric is better: a scorer that negates it says so."""
    return not scorer_name(name).startswith("neg_") or name.startswith("neg_")


def score(
    model: Any, inputs: Any, truth: Any, names: Sequence[str]
) -> tuple[dict[str, float], str | None]:
    """The metrics of a fitted estimator on rows; NaN for one that cannot be computed there.

    Args:
        model: with scikit-learn's interface.
        inputs: the rows of a fold's test part.
        truth: their labels or values, of shape [n].
        names: of metrics.

    Returns:
        The values by name, and which of them could not be computed, if any.
    """
    scorers = {name: (scorer_name(name), scorer_name(name) != name) for name in names}
    return measure_by(scorers, model, inputs, truth)


def measure_by(
    scorers: Mapping[str, tuple[str | Callable[..., Any], bool]],
    model: Any,
    inputs: Any,
    truth: Any,
) -> tuple[dict[str, float], str | None]:
    """What scorers say of a fitted estimator: by name the scorer, and whether its sign is turned.

    Returns:
        The values by name, and which of them could not be computed, if any.
    """
    from sklearn.metrics import check_scoring, get_scorer

    by_name = {
        name: get_scorer(scorer) if isinstance(scorer, str) else scorer
        for name, (scorer, _) in scorers.items()
    }
    measure = check_scoring(model, scoring=by_name, raise_exc=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answers = measure(model, inputs, truth)
        except Exception:
            # One that lacks what a metric asks for, such as predict_proba, has the others.
            answers = {n: _ask_alone(s, model, inputs, truth) for n, s in by_name.items()}
    return read_answers({name: (answers[name], turns) for name, (_, turns) in scorers.items()})


def _ask_alone(scorer: Any, model: Any, inputs: Any, truth: Any) -> Any:
    """What one scorer says; of one that raises the kind of error."""
    try:
        return scorer(model, inputs, truth)
    except Exception as error:
        return f"{type(error).__name__}:"


def read_answers(
    answers: Mapping[str, tuple[Any, bool]],
) -> tuple[dict[str, float], str | None]:
    """What scorers said, by name: a value and whether it is negated; of an error a traceback."""
    raised = {name: _kind(said) for name, (said, _) in answers.items() if isinstance(said, str)}
    values = {
        name: math.nan if name in raised else -float(said) if negated else float(said)
        for name, (said, negated) in answers.items()
    }
    why = ", ".join(f"{name} could not be measured ({kind})" for name, kind in raised.items())
    return values, why or None


def _kind(traceback: str) -> str:
    """The type of the error at a traceback's end: its message may quote data."""
    kinds = re.findall(r"^[\w.]+(?:Error|Exception)\b", traceback, re.MULTILINE)
    return kinds[-1] if kinds else "an error"
