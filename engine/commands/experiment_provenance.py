"""Where the results of an experiment come from, as `provenance.yml` says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.commands.experiment_result import ExperimentResult
from engine.data.files.listing import FORMATS, find_files, shown_name
from engine.planning.suites import stored_suite
from engine.spark.lazy_session import LazySession
from engine.training.experiments.provenance import (
    file_digests,
    git_part,
    platform_part,
    shown_path,
)

PACKAGES = "packages.txt"


def provenance(result: ExperimentResult) -> dict[str, Any]:
    """Code, data, packages, seed, times and runs, as `provenance.yml` has them."""
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
                **_digests(run, evaluation.name),
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


def _digests(run: Any, evaluation: str) -> dict[str, dict[str, str]]:
    """SHA-256 of the files that a dataset is made of, where it is of local files."""
    suite = stored_suite(run.outcome.info.suite_resolved)
    source = next(item.dataset for item in suite.evaluations if item.name == evaluation)
    if source.format not in FORMATS or "://" in source.uri:
        return {}
    files = find_files(LazySession(), source.uri, source.format)
    return {"files": {shown_name(file.name, source.sensitive): file.content for file in files}}
