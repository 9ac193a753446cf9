"""The training of an experiment: candidates compared, the best registered, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.commands.fold_workers import fold_progress, worker_maker
from engine.core.locations import Store
from engine.models.mlflow_client import ask
from engine.training import SearchOptions, SearchResult, Trained, search_model, train
from engine.training.experiments.config import Experiment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train_candidates(
    experiment: Experiment,
    store: Store,
    tags: Mapping[str, str],
    workers: int | str | None,
    spark: SparkSession | None,
) -> tuple[SearchResult | None, Trained | None]:
    """Does what an experiment asks of its model: the comparison, and the registered version.

    Args:
        experiment: what is asked.
        store: has the journal of what is fitted already.
        tags: of the runs in MLflow.
        workers: who fits.
        spark: the caller's session.

    Raises:
        InputError: when the data do not do, or nothing could be fitted.
        TrackingError: when the tracking server cannot be reached.
    """
    config = experiment.config
    uri = config.tracking_uri or store.tracking_uri
    comparison, trained = None, None
    if experiment.model is not None and experiment.kind is not None:
        maker = worker_maker(workers, spark, store)
        with fold_progress(experiment.name) as on_progress:
            options = SearchOptions(
                search=experiment.kind == "search",
                register=config.register_best,
                if_changed=True,
                journal=store.files / "searches",
                make_workers=maker,
                on_progress=on_progress,
            )
            comparison = search_model(
                experiment.model[0],
                tracking_uri=uri,
                overrides=experiment.overrides,
                options=options,
            )
        trained = comparison.trained
    elif experiment.model is not None and config.register_best:
        folder = experiment.model[0]
        trained = train(folder, tracking_uri=uri, overrides=experiment.overrides, if_changed=True)
    runs = [] if comparison is None else [comparison.run_id]
    runs += [] if trained is None or trained.reused else [trained.run_id]
    _set_tags(uri, runs, {"evalmatrix.experiment": experiment.name, **tags})
    return comparison, trained


def _set_tags(uri: str, run_ids: Sequence[str], tags: Mapping[str, str]) -> None:
    def set_all(client: Any) -> None:
        for run_id in run_ids:
            for key, value in tags.items():
                client.set_tag(run_id, key, value)

    ask(uri, set_all)
