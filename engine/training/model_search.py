"""A model folder's candidates, compared on folds of its rows for training; the best is registered.

The rows that `split` holds out are seen by no candidate: they measure the best, fitted again on all
the rows for training.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.child import core_count
from engine.errors import ModelError
from engine.models.log_model import training_run
from engine.models.mlflow_client import ask
from engine.training.config import ModelConfig, read_config
from engine.training.cross_validation import Evaluator, OnProgress, digest_of, no_progress
from engine.training.fitting import read_code
from engine.training.folds import make_folds
from engine.training.journal import Journal
from engine.training.leaderboard import Candidate, Leaderboard, make_leaderboard
from engine.training.leaderboard_run import log_leaderboard
from engine.training.local_workers import LocalWorkers, Workers
from engine.training.rows import Rows, data_files, read_rows
from engine.training.scoring import fold_metrics, higher_is_better
from engine.training.search import Searcher
from engine.training.search_config import Cv
from engine.training.tasks import FoldWork
from engine.training.trainer import (
    Trained,
    find_trained,
    fingerprint,
    fit_and_register,
    refuse_multilabel,
)

if TYPE_CHECKING:
    from engine.training.folder_work import FolderWork

_TOLD = logging.getLogger("evalmatrix")

_PACKAGES = {
    "sklearn": ("numpy", "pandas", "scipy", "scikit-learn"),
    "tensorflow": ("numpy", "pandas", "tensorflow", "keras"),
    "pytorch": ("numpy", "pandas", "torch"),
}


def all_cores(work: FoldWork) -> Workers:
    """A process for each core."""
    return LocalWorkers(work, core_count())


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How candidates are compared.

    Attributes:
        search: whether the config's `search` says what is tried; else it is the config's `versions`
            and its `params` as they stand.
        register: whether the best is fitted on all rows for training, and registered.
        if_changed: with `register`: a version that was made from the same is taken as the best's,
            and nothing is fitted for it.
        journal: the folder where finished folds are kept; None keeps nothing.
        make_workers: who fits.
        on_progress: is told how many folds are finished, and of how many.
    """

    search: bool = False
    register: bool = False
    if_changed: bool = False
    journal: Path | None = None
    make_workers: Callable[[FoldWork], Workers] = all_cores
    on_progress: OnProgress = no_progress


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The leaderboard, its run in MLflow, and the version that was registered, if one was."""

    leaderboard: Leaderboard
    run_id: str
    trained: Trained | None = None

    def _repr_html_(self) -> str:
        return self.leaderboard._repr_html_()


def search_model(
    model_dir: str | Path,
    *,
    tracking_uri: str,
    overrides: Sequence[str] = (),
    options: SearchOptions | None = None,
) -> SearchResult:
    """Compares a folder's candidates by cross-validation, and logs the leaderboard to MLflow.

    Each (candidate, fold) is fitted once; what an earlier call has finished is taken from the
    journal. With `register` the best is fitted once more.

    Args:
        model_dir: The folder with the config and the code.
        tracking_uri: MLflow's tracking server, or its database.
        overrides: `dotted.key=value` texts that count before the file, such as `cv.folds=10`.
        options: how; by default without a search, on all cores, and nothing is registered.

    Raises:
        SuiteError: when the config has mistakes; all of them are told.
        DataError: when the training data do not do for the folds.
        ModelError: when no candidate could be fitted.
        TrackingError: when the tracking server cannot be reached; the journal has what was fitted.
    """
    options = options or SearchOptions()
    folder = Path(model_dir)
    config = read_config(folder, overrides=overrides)
    refuse_multilabel(folder, config)
    if options.search and config.search is None:
        raise ModelError(
            f"{str(folder)!r} has no 'search' in its config, expected one with the parameters to "
            "try: search: {params: {name: [...]}}"
        )
    rows = read_rows(data_files(folder, config), config)
    # Before hours of fits: a server that is down now is told now.
    ask(tracking_uri, lambda client: client.search_experiments(max_results=1))
    board = compare_candidates(folder, config, rows, options)
    kind = "search" if options.search else "cv"
    with training_run(tracking_uri, config.experiment, f"{kind}-{config.name}") as run_id:
        log_leaderboard(board, _about(config, rows, kind))
        trained = None
        if options.register:
            chosen = config.model_copy(update={"params": board.best.candidate.full})
            if options.if_changed:
                trained = find_trained(tracking_uri, config.name, fingerprint(folder, chosen))
            if trained is None:
                name = board.best.candidate.name
                _TOLD.info("%s: fitting candidate %s on all rows for training", config.name, name)
                trained = fit_and_register(folder, chosen, rows, tracking_uri, kind)
    return SearchResult(board, run_id, trained)


def compare_candidates(
    folder: Path, config: ModelConfig, rows: Rows, options: SearchOptions
) -> Leaderboard:
    """Fits the candidates on the folds, as far as no journal has them; nothing goes to MLflow.

    Args:
        folder: the model folder.
        config: its config, as it is to be read.
        rows: its rows.
        options: what is tried, and by whom.

    Raises:
        DataError: when the training data do not do for the folds; nothing was fitted.
        ModelError: when no candidate could be fitted.
    """
    work = _fold_work(folder, config, rows)
    smallest = 2 * len(work.folds) * (1 if work.classes is None else len(work.classes))
    metric = work.metrics[0]
    searcher = None
    if options.search and config.search is not None:
        upwards = higher_is_better(metric)
        searcher = Searcher(config.search, config.params, config.seed, upwards)
        searcher.check(smallest, len(work.labels))
    base = _base_digest(folder, config, work)
    file = f"{config.name}-{base[:16]}.jsonl"
    journal = Journal(None if options.journal is None else options.journal / file)
    with _close_after(options.make_workers(work), journal) as workers:
        evaluator = Evaluator(base, work.folds, workers, journal, options.on_progress)
        if searcher is None:
            entries = evaluator.evaluate(_versions(config))
        else:
            entries = searcher.run(evaluator, metric, smallest)
    if evaluator.reused:
        words = "%s: %d folds were there already, %d were fitted"
        _TOLD.info(words, config.name, evaluator.reused, evaluator.fitted)
    return make_leaderboard(work.metrics, higher_is_better(metric), entries, evaluator.fitted)


def _fold_work(folder: Path, config: ModelConfig, rows: Rows) -> FolderWork:
    """The rows for training, cut into folds, with the code that fits them."""
    # With scikit-learn, which whoever searches has.
    from engine.training.folder_work import FolderWork

    data = rows.data.iloc[rows.train]
    labels = data[rows.label].to_numpy()
    cv = config.cv or Cv()
    groups = None if cv.group is None else data[cv.group].to_numpy()
    folds = make_folds(cv, labels, groups, config.task, config.seed)
    metrics = fold_metrics(
        config.task, config.output, config.search.metric if config.search else None
    )
    return FolderWork.of(read_code(folder), config, rows, folds, metrics)


@contextmanager
def _close_after(workers: Workers, journal: Journal) -> Iterator[Workers]:
    """Ends the workers after the block; one that is stopped is told how to go on."""
    try:
        yield workers
    except KeyboardInterrupt as stopped:
        if journal.is_kept:
            stopped.add_note(
                f"{len(journal)} finished folds are kept; the same command goes on from there"
            )
        raise
    finally:
        workers.close()


def _versions(config: ModelConfig) -> list[Candidate]:
    """The versions that a config names, and its parameters where no version has just them."""
    candidates = [
        Candidate(name, dict(changed or {}), {**config.params, **(changed or {})})
        for name, changed in config.versions.items()
    ]
    if all(candidate.full != config.params for candidate in candidates):
        candidates.insert(0, Candidate("params", {}, config.params))
    return candidates


def _base_digest(folder: Path, config: ModelConfig, work: FolderWork) -> str:
    """The digest of all that decides a fold's figures but the candidate and the fold."""
    settings = config.model_dump(
        mode="json", include={"framework", "task", "output", "tensor", "seed"}
    )
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES[config.framework]}
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in data_files(folder, config)]
    return digest_of(
        {
            **settings,
            "split": config.split.model_dump(mode="json"),
            "group": config.cv.group if config.cv else None,
            "label": config.label,
            "features": list(work.inputs.columns),
            "metrics": sorted(work.metrics),
            "code": work.code.digest,
            "data": files,
            "packages": packages,
        }
    )


def _about(config: ModelConfig, rows: Rows, kind: str) -> dict[str, Any]:
    """What a leaderboard's parent run shows as parameters."""
    cv = {f"cv.{key}": value for key, value in (config.cv or Cv()).model_dump().items()}
    search = config.search.model_dump() if config.search else {}
    return {
        **{key: value for key, value in cv.items() if value is not None},
        **({f"search.{key}": value for key, value in search.items()} if kind == "search" else {}),
        "seed": config.seed,
        "train_rows": len(rows.train),
        "held_out_rows": len(rows.held_out),
    }
