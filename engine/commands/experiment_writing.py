"""What an experiment leaves in its folder: tables, picture, provenance, and its README's block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from engine.commands.experiment_block import candidate_label, readme_block
from engine.commands.experiment_result import ExperimentResult
from engine.errors import StoreError
from engine.sinks import listing
from engine.sinks.report.leaderboard_picture import Bar, draw_leaderboard
from engine.training import Leaderboard
from engine.training.experiments.provenance import (
    file_digests,
    git_part,
    package_lock,
    platform_part,
    shown_path,
)
from engine.training.experiments.readme import README, rewrite_readme

LEADERBOARD, PICTURE, RESULTS = "leaderboard.csv", "leaderboard.svg", "results.csv"
PROVENANCE, PACKAGES = "provenance.yml", "packages.txt"
# Of the cells what a reader of the folder needs; the store has all.
_COLUMNS = ["suite", "evaluation", "model", "model_version", "dataset_version", "slice", "test",
            "metric", "variant", "n", "value", "ci_low", "ci_high", "baseline_value", "delta",
            "delta_ci_low", "delta_ci_high", "condition", "verdict", "reason", "severity",
            "run_id"]  # fmt: skip


def write_results(result: ExperimentResult) -> None:
    """Rewrites the folder of the results, and the README between its marks.

    Files of an earlier run that this one has none of are removed; what is not an experiment's own
    is left.

    Raises:
        StoreError: when a file cannot be written.
        InputError: when the marks of the README are no pair any more.
    """
    experiment = result.experiment
    texts = dict(_texts(result))
    try:
        result.folder.mkdir(exist_ok=True)
        for name in (LEADERBOARD, PICTURE, RESULTS, PROVENANCE, PACKAGES):
            if name in texts:
                (result.folder / name).write_text(texts[name], encoding="utf-8", newline="")
            else:
                (result.folder / name).unlink(missing_ok=True)
        rewrite_readme(
            experiment.folder / README,
            experiment.name,
            experiment.config.question,
            readme_block(result, picture=f"{result.folder.name}/{PICTURE}"),
        )
    except OSError as error:
        raise StoreError(
            f"{str(result.folder)!r} cannot be written: {error.strerror or error}; what was fitted "
            "and evaluated is in the store, and the same command goes on"
        ) from error


def _texts(result: ExperimentResult) -> Iterator[tuple[str, str]]:
    board = result.leaderboard
    if board is not None:
        yield LEADERBOARD, listing.csv(board.to_pandas())
        yield PICTURE, draw_leaderboard(_bars(board), board.metric)
    if result.runs:
        cells = pd.concat([run.to_pandas() for run in result.runs], ignore_index=True)
        yield RESULTS, listing.csv(cells[_COLUMNS])
    yield PACKAGES, package_lock()
    yield PROVENANCE, yaml.safe_dump(_provenance(result), sort_keys=False, allow_unicode=True)


def _bars(board: Leaderboard) -> list[Bar]:
    metric = board.metric
    return [
        Bar(candidate_label(entry), entry.mean(metric), entry.std(metric))
        for entry in board.entries
    ]


def _provenance(result: ExperimentResult) -> dict[str, Any]:
    experiment, commit = result.experiment, result.commit
    part: dict[str, Any] = {
        "experiment": experiment.name,
        "started_at": result.started_at.isoformat(timespec="seconds"),
        "finished_at": result.finished_at.isoformat(timespec="seconds"),
        "git": git_part(commit),
        **platform_part(),
        "packages": PACKAGES,
        "files": list(file_digests(experiment, commit.root)),
    }
    if experiment.model is not None:
        part["seed"] = experiment.model[1].seed
        part["overrides"] = list(experiment.overrides)
    board = result.leaderboard
    if board is not None and result.comparison is not None:
        folds = sum(len(entry.scores) for entry in board.entries)
        part["comparison"] = {
            "kind": experiment.kind,
            "mlflow_run_id": result.comparison.run_id,
            "folds": folds,
            "fitted_this_time": board.fitted,
        }
    if result.trained is not None:
        trained = result.trained
        part["registered"] = {"uri": trained.uri, "mlflow_run_id": trained.run_id}
    if result.runs:
        part["runs"] = [_run_part(run, result) for run in result.runs]
    return part


def _run_part(run: Any, result: ExperimentResult) -> dict[str, Any]:
    root, folder = result.commit.root, result.experiment.folder
    return {
        "run_id": run.run_id,
        "suite": run.outcome.info.suite,
        "gate": run.gate.outcome.value,
        "datasets": [
            {
                "evaluation": evaluation.name,
                "dataset": evaluation.dataset.name,
                "table": _table(evaluation.dataset, folder, root),
                "version": evaluation.dataset.version,
                "rows": evaluation.dataset.rows,
                "models": {model.name: model.uri for model in evaluation.models},
            }
            for evaluation in run.outcome.evaluations
        ],
    }


def _table(dataset: Any, folder: Path, root: Path | None) -> str:
    """A table of a catalog or an object store by its name, another by a path that is not whole."""
    if dataset.is_catalog_table or "://" in dataset.uri:
        return str(dataset.uri)
    return shown_path(dataset.uri, folder, root)
