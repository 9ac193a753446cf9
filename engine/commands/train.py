"""`evalmatrix train`: a model of `models/`, trained, logged and registered, or searched for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.fold_workers import fold_progress, worker_maker
from engine.core.locations import DEFAULT_STORE, Store
from engine.training import SearchOptions, SearchResult, Trained, search_model
from engine.training import train as train_model

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train(
    model_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    cv: int | None = None,
    search: bool = False,
    register: bool = False,
    workers: int | str | None = None,
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
    spark: SparkSession | None = None,
) -> Trained | SearchResult:
    """Trains `models/<name>`, logs it to MLflow and registers a new version.

    With `cv` or `search` candidates are compared on folds of the rows for training, and the
    leaderboard is logged; `register` fits the best on all of these rows, measures it on those held
    out, and registers it. A search that was stopped goes on when it is called again.

    Args:
        model_dir: the folder of the model, `models/<name>`.
        overrides: `dotted.key=value` texts over its configuration, as `--set`.
        cv: cross-validates the configuration's versions on so many folds, over its `cv.folds`.
        search: tries what the configuration's `search` says.
        register: registers the best of `cv` or `search`.
        workers: who fits the folds: a number of processes of this machine, or `spark`; default: a
            process for each core.
        store: the store's root.
        tracking_uri: where MLflow is; default: in the store.
        spark: the session to use, which then fits the folds.

    Raises:
        InputError: when the folder or its configuration is wrong.
        TrackingError: when the tracking server cannot be reached.
    """
    place = Store(store)
    place.check_writable()
    uri = tracking_uri or place.tracking_uri
    if cv is None and not search:
        return train_model(model_dir, overrides=overrides, tracking_uri=uri)
    folds = [] if cv is None else [f"cv.folds={cv}"]
    maker = worker_maker(workers, spark, place)
    with fold_progress(Path(model_dir).name) as on_progress:
        options = SearchOptions(
            search=search,
            register=register,
            journal=place.files / "searches",
            make_workers=maker,
            on_progress=on_progress,
        )
        return search_model(
            model_dir, tracking_uri=uri, overrides=[*overrides, *folds], options=options
        )
