"""What an experiment leaves in its folder: tables, picture, provenance, and its README's block."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import yaml

from engine.commands.experiment_block import candidate_label, readme_block
from engine.commands.experiment_provenance import PACKAGES, provenance
from engine.commands.experiment_result import ExperimentResult
from engine.errors import StoreError
from engine.sinks import listing
from engine.sinks.report.leaderboard_picture import Bar, draw_leaderboard
from engine.training import Leaderboard
from engine.training.experiments.config import README
from engine.training.experiments.provenance import package_lock
from engine.training.experiments.readme import rewrite_readme

LEADERBOARD, PICTURE, RESULTS = "leaderboard.csv", "leaderboard.svg", "results.csv"
PROVENANCE = "provenance.yml"
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
                text = _without_place(texts[name], result)
                (result.folder / name).write_text(text, encoding="utf-8", newline="")
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


def _without_place(text: str, result: ExperimentResult) -> str:
    """A text without the folder of the repository, which a message of a model's code may have."""
    root = result.commit.root or result.experiment.folder.parent
    return text.replace(f"{root}/", "").replace(str(root), ".")


def _texts(result: ExperimentResult) -> Iterator[tuple[str, str]]:
    board = result.leaderboard
    if board is not None:
        yield LEADERBOARD, listing.csv(board.to_pandas())
        yield PICTURE, draw_leaderboard(_bars(board), board.metric)
    if result.runs:
        cells = pd.concat([run.to_pandas() for run in result.runs], ignore_index=True)
        yield RESULTS, listing.csv(cells[_COLUMNS])
    yield PACKAGES, package_lock()
    yield PROVENANCE, yaml.safe_dump(provenance(result), sort_keys=False, allow_unicode=True)


def _bars(board: Leaderboard) -> list[Bar]:
    metric = board.metric
    return [
        Bar(candidate_label(entry), entry.mean(metric), entry.std(metric))
        for entry in board.entries
    ]
