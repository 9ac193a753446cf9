"""`evalmatrix experiment`: a question, what answers it, and what came of it, in one folder."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.experiment_result import ExperimentResult
from engine.commands.experiment_suites import check_suites, run_suites
from engine.commands.experiment_training import train_candidates
from engine.commands.experiment_writing import write_results
from engine.commands.redacted import redacted
from engine.core.locations import DEFAULT_STORE, Store
from engine.training.experiments.config import README, read_experiment
from engine.training.experiments.git import read_commit
from engine.training.experiments.provenance import warning_of
from engine.training.experiments.readme import check_readme

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TOLD = logging.getLogger("evalmatrix")


@redacted()
def experiment(
    experiment_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    store: str | None = None,
    workers: int | str | None = None,
    spark: SparkSession | None = None,
) -> ExperimentResult:
    """Runs `experiments/<name>`: compares candidates, runs suites, writes what came of it.

    What its `experiment_config.yml` asks is trained, evaluated, and written to
    `experiment_results/` with where it comes from, and into the README between two marks. Run
    again it fits nothing twice, and evaluates nothing twice.

    Args:
        experiment_dir: the folder of the experiment, `experiments/<name>`.
        overrides: `dotted.key=value` texts over its file, as `--set`.
        store: the store's root, over the file's; default: ./store.
        workers: who fits the folds: a number of processes of this machine, or `spark`; default: a
            process for each core.
        spark: the session to use, which then fits the folds.

    Raises:
        InputError: when the folder, the model or a suite is wrong; nothing was run.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    asked = read_experiment(experiment_dir, overrides, store)
    place = Store(asked.config.store or DEFAULT_STORE)
    check_readme(asked.folder / README)
    check_suites(asked, place)
    place.check_writable()
    started_at = dt.datetime.now(dt.UTC)
    # What experiments write themselves makes no commit dirty.
    commit = read_commit(asked.folder, [*asked.outputs, place.files])
    if (warning := warning_of(commit)) is not None:
        _TOLD.warning("%s", warning)
    comparison, trained = train_candidates(asked, place, commit.tags, workers, spark)
    runs = run_suites(asked, place, trained, spark)
    result = ExperimentResult(
        experiment=asked,
        commit=commit,
        started_at=started_at,
        finished_at=dt.datetime.now(dt.UTC),
        comparison=comparison,
        trained=trained,
        runs=tuple(runs),
    )
    write_results(result)
    return result
