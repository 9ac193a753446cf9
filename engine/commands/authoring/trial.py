"""The one evaluation by which a draft is measured: every test that may stand in it, without limits.

What it says of the champion's intervals decides which of them the draft has, and where its limits
are. It is a suite like any other, of one scan, in a store of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.commands.authoring.slices import MOST_LEVELS, candidates
from engine.commands.authoring.task_metrics import slice_metrics, task_metrics
from engine.commands.authoring.wishes import Situation
from engine.core.vocabulary import TaskKind

DRIFT, PREDICTION_DRIFT = "psi", "psi"
NOISE_SEVERITY = 1
# Of how many columns drift is looked at: a table of thousands would be read twice for it.
MOST_DRIFT = 200
# A column of which more rows have one value may have no other in a night's: it has no spread then.
_MOSTLY = 0.9


def trial_suite(situation: Situation, store: str, tracking_uri: str) -> dict[str, Any]:
    """The suite of the trial, as a mapping."""
    evaluation: dict[str, Any] = {
        "name": situation.name,
        "dataset": _dataset(situation),
        "models": [dict(model) for model in situation.models],
        "slices": ["overall", *(dict(rule.keys, name=rule.name) for rule in candidates(situation))],
        "tests": list(_tests(situation)),
    }
    if situation.reference is not None:
        evaluation["reference"] = dict(situation.reference)
    if len(situation.models) > 1:
        evaluation["baseline"] = situation.champion
    return {
        "name": "init",
        "store": store,
        "mlflow": {"tracking_uri": tracking_uri},
        "false_alarms": {"within": "none"},
        "evaluations": [evaluation],
    }


def _dataset(situation: Situation) -> dict[str, Any]:
    """The dataset as it was looked at: a table's version, or files, which go into a new table."""
    pinned = {"version": situation.version} if "delta" in situation.dataset else {}
    return {**situation.dataset, **pinned}


def _tests(situation: Situation) -> Iterator[Mapping[str, Any]]:
    overall = ["overall"]
    on_slices = {metric.name for metric in slice_metrics(situation)}
    for metric in task_metrics(situation):
        test: dict[str, Any] = {"metric": metric.name}
        yield test if metric.name in on_slices else {**test, "slices": overall}
    first = task_metrics(situation)[0].name
    if situation.looks:
        yield {"contract": "all"}
        columns = noisy_columns(situation)
        if columns:
            asked = {"noise": columns, "severities": [NOISE_SEVERITY]}
            yield {"robustness": asked, "metric": first, "slices": overall}
    if situation.training is not None:
        yield from _beside_training(situation, first)


def _beside_training(situation: Situation, first: str) -> Iterator[Mapping[str, Any]]:
    overall = ["overall"]
    columns = drift_columns(situation)
    if columns:
        yield {"drift": DRIFT, "columns": columns, "slices": overall}
    if situation.looks and has_training_labels(situation):
        yield {"overfit": first, "slices": overall}
        yield {"baseline_models": trivial_models(situation), "metric": first, "slices": overall}
    if situation.looks:
        yield {"prediction_drift": PREDICTION_DRIFT, "slices": overall}
        yield {"leakage": "rows"}
    if shares_key(situation):
        yield {"leakage": "keys"}


def noisy_columns(situation: Situation) -> list[str]:
    """The numbers among the features: not codes, which are whole and few, nor nearly constants."""
    columns = situation.table.columns
    shown = set(situation.shown_columns)
    return [
        name
        for name in situation.features
        if name in shown
        and columns[name].distinct > (1 if columns[name].kind == "number" else MOST_LEVELS)
        and columns[name].is_number
        and max((rows for _, rows in columns[name].values), default=0) <= _MOSTLY * situation.rows
    ]


def drift_columns(situation: Situation) -> list[str]:
    """The features and the label, where both tables have them in one type."""
    training = situation.training
    assert training is not None, "drift is from a reference"
    columns, shown = situation.table.columns, set(situation.shown_columns)
    wanted = dict.fromkeys((*(situation.features or columns), situation.roles.label))
    return [
        name
        for name in wanted
        if name in shown
        and name in training.columns
        and training.columns[name].type == columns[name].type
        and columns[name].kind not in ("other", "time")
        and not (columns[name].kind == "text" and not columns[name].values)
        and max(columns[name].distinct, training.columns[name].distinct) > 1
    ][:MOST_DRIFT]


def has_training_labels(situation: Situation) -> bool:
    """Whether the reference has true values too."""
    training, label = situation.training, situation.roles.label
    return training is not None and (
        label in training.columns and training.columns[label].nulls < training.rows
    )


def shares_key(situation: Situation) -> bool:
    """Whether the reference has the key as well."""
    training, key = situation.training, situation.roles.key
    columns = {} if training is None else training.columns
    types = {name: column.type for name, column in situation.table.columns.items()}
    return bool(key) and all(name in columns and columns[name].type == types[name] for name in key)


def trivial_models(situation: Situation) -> list[str]:
    """The trivial models to be better than."""
    by_value = situation.roles.task is TaskKind.REGRESSION
    return ["mean" if by_value else "majority", "stump"]
