"""`evalmatrix metrics`: what can be measured, from the registry of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.registry import did_you_mean
from engine.core.vocabulary import TaskKind
from engine.errors import InputError
from engine.kinds import load_extensions
from engine.metrics import METRICS, Metric

_BETTER = {True: "higher", False: "lower", None: "neither"}


@dataclass(frozen=True, slots=True)
class MetricHelp:
    """A metric: what it is, and where it applies, by the words of the registry."""

    name: str
    line: str
    facts: Mapping[str, Any]

    def data(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"name": self.name, "is": self.line, **self.facts}

    def __str__(self) -> str:
        lines = [f"  {key}: {_text(value)}" for key, value in self.facts.items()]
        return "\n".join([f"{self.name}: {self.line}", *lines])


def list_metrics(name: str | None = None, *, task: str | None = None) -> list[MetricHelp]:
    """Lists the metrics that a suite can name, a line each; or all that is known of one.

    Args:
        name: one metric, also by an alias or by a name that is made when it is asked for, such as
            f1_at_threshold_0.3.
        task: those of one task only.

    Raises:
        InputError: when no metric, or no task, is called so.
    """
    load_extensions()
    tasks = [kind.value for kind in TaskKind]
    if task is not None and task not in tasks:
        raise InputError(
            f"--task is {task!r}; expected one of {', '.join(tasks)}{did_you_mean(task, tasks)}"
        )
    metrics = list(METRICS) if name is None else [METRICS.get(name)]
    chosen = [metric for metric in metrics if task is None or task in metric.tasks]
    return sorted(map(_help, chosen), key=lambda metric: metric.name)


def _help(metric: Metric) -> MetricHelp:
    facts = {
        "tasks": sorted(task.value for task in metric.tasks),
        "better": _BETTER[metric.higher_is_better],
        "needs": "probabilities" if metric.needs_probabilities
        else "scores" if metric.needs_scores else "labels or values",
        "bounds": [None if abs(end) == float("inf") else end for end in metric.bounds],
        "interval": metric.intervals,
        "compares versions": metric.against,
        "mlflow": metric.mlflow_key,
        "aliases": METRICS.aliases_of(metric.name),
    }  # fmt: skip
    return MetricHelp(metric.name, metric.summary, facts)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join("none" if item is None else str(item) for item in value) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
