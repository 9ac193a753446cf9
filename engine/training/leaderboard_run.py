"""A leaderboard in MLflow: a parent run, and a child for each candidate."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.models.log_model import TAG
from engine.training.leaderboard import Entry, Leaderboard

_METRICS, _PARAMS = 1000, 100
_MAX_VALUE = 6000


def log_leaderboard(board: Leaderboard, about: Mapping[str, Any]) -> None:
    """Logs a leaderboard to the open run, whose children the candidates become.

    Args:
        board: the leaderboard.
        about: what the candidates have in common, as parameters of the parent.
    """
    import mlflow

    run = mlflow.active_run()
    best = board.best
    mlflow.log_params({key: _text(value) for key, value in about.items()})
    tags = {f"{TAG}best.{name}": _text(value) for name, value in best.candidate.params.items()}
    mlflow.set_tags({f"{TAG}best": best.candidate.name, **tags})
    mlflow.log_metrics(dict(_figures(best, board)))
    mlflow.log_text(board.to_pandas().to_csv(index=False), "leaderboard.csv")
    client = mlflow.MlflowClient()
    for entry in board.entries:
        _log_child(client, run, entry, board)


def _log_child(client: Any, parent: Any, entry: Entry, board: Leaderboard) -> None:
    from mlflow.entities import Metric, Param

    began = min(score.started for score in entry.scores)
    ended = max(score.started + score.seconds + score.score_seconds for score in entry.scores)
    start, end = int(began * 1000), int(ended * 1000)
    round_text = "" if entry.rows is None else f" @ {entry.rows} rows"
    child = client.create_run(
        parent.info.experiment_id,
        start_time=start,
        run_name=f"candidate {entry.candidate.name}{round_text}",
        tags={"mlflow.parentRunId": parent.info.run_id, f"{TAG}rank": str(entry.rank)},
    )
    run_id = child.info.run_id
    metrics = [Metric(name, value, end, 0) for name, value in _figures(entry, board)]
    metrics += [
        Metric(f"{name}.fold", value, end, step)
        for name in board.metrics
        for step, value in enumerate(entry.values(name).tolist())
        if not math.isnan(value)
    ]
    values = entry.candidate.params
    params = [Param(name, _text(value)) for name, value in values.items()]
    for number, message in entry.errors.items():
        client.set_tag(run_id, f"{TAG}error.fold{number}", message)
    for batch in _batches(metrics, _METRICS):
        client.log_batch(run_id, metrics=batch)
    for batch in _batches(params, _PARAMS):
        client.log_batch(run_id, params=batch)
    status = "FAILED" if entry.has_failed else "FINISHED"
    client.set_terminated(run_id, status, end)


def _figures(entry: Entry, board: Leaderboard) -> Iterator[tuple[str, float]]:
    """Means, spreads, intervals and the difference to the best, where they are numbers."""
    for name in board.metrics:
        estimate = entry.estimate(name)
        yield from _numbers(
            {
                name: entry.mean(name),
                f"{name}.std": entry.std(name),
                f"{name}.ci_low": estimate.low,
                f"{name}.ci_high": estimate.high,
            }
        )
    if entry.difference is not None:
        difference = entry.difference
        yield from _numbers(
            {
                "difference": difference.value,
                "difference.ci_low": difference.low,
                "difference.ci_high": difference.high,
                "difference.p_value": difference.p_value,
            }
        )


def _numbers(figures: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if value is not None and not math.isnan(value):
            yield name, value


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text[:_MAX_VALUE]
