"""What MLflow has of our runs: it alone is asked, whatever the store says of what was sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.models.mlflow_client import client_of, database_path
from engine.sinks.mlflow.tags import PREFIX, RunKey, key_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


_OPEN = " and attributes.status != 'FINISHED'"


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One MLflow run of ours, with the keys of its metrics.

    One that somebody has deleted counts as complete: it was there, and is not wanted.
    """

    id: str
    key: RunKey
    finished: bool
    deleted: bool
    metrics: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        return self.finished or self.deleted


def incomplete_runs(
    tracking_uri: str, experiment: str, wanted: Mapping[str, Iterable[str]]
) -> frozenset[str]:
    """Which of some runs MLflow lacks, wholly or in part.

    The run of an evaluation is closed after those of its models, so that its own end says that all
    are there. Runs of models are asked for only where they are open.

    Args:
        tracking_uri: where MLflow is.
        experiment: the name of the experiment, which is the suite's.
        wanted: the evaluations of each run, by the run's id.

    Raises:
        Exception: whatever a transport, a database or the server raises.
    """
    database = database_path(tracking_uri)
    if database is not None and not database.exists():
        # Asking would make the database, only to find it empty.
        return frozenset(wanted)
    client = client_of(tracking_uri)
    stored_experiment = client.get_experiment_by_name(experiment)
    if stored_experiment is None:
        return frozenset(wanted)
    only = _is_one_of(wanted)
    whole: dict[str, set[RunKey]] = defaultdict(set)
    for run_id, run in _search(
        client, stored_experiment.experiment_id, f"{_tag('kind')} = 'evaluation'{only}"
    ):
        if run.complete:
            whole[run_id].add(run.key)
    for run_id, run in _search(
        client, stored_experiment.experiment_id, f"{_tag('kind')} = 'model'{_OPEN}{only}"
    ):
        if not run.complete:
            whole[run_id].discard(key_of(run.key[0]))
    return frozenset(
        run_id
        for run_id, evaluations in wanted.items()
        if not {key_of(evaluation) for evaluation in evaluations} <= whole[run_id]
    )


def runs_of(
    client: MlflowClient, experiment: str, run_id: str, *, opened: bool = False
) -> list[LoggedRun]:
    """All that MLflow has of a run, deleted ones too; or only what is `opened` and not closed."""
    query = f"{_tag('run_id')} = '{run_id}'{_OPEN if opened else ''}"
    return [run for _, run in _search(client, experiment, query)]


def current_runs(runs: Iterable[LoggedRun]) -> dict[RunKey, LoggedRun]:
    """The one run to go on with of each evaluation and model."""
    runs_by_key: dict[RunKey, LoggedRun] = {}
    for run in sorted(runs, key=lambda run: (run.deleted, not run.finished, run.id)):
        runs_by_key.setdefault(run.key, run)
    return runs_by_key


def _search(client: MlflowClient, experiment: str, query: str) -> Iterator[tuple[str, LoggedRun]]:
    from mlflow.entities import ViewType

    token = None
    while True:
        page = client.search_runs([experiment], query, ViewType.ALL, page_token=token)
        for run in page:
            yield run.data.tags.get(f"{PREFIX}.run_id", ""), _read_run(run)
        token = page.token
        if not token:
            return


def _read_run(run: Any) -> LoggedRun:
    tags = run.data.tags
    return LoggedRun(
        str(run.info.run_id),
        (tags.get(f"{PREFIX}.evaluation", ""), tags.get(f"{PREFIX}.model", "")),
        run.info.status == "FINISHED",
        run.info.lifecycle_stage == "deleted",
        frozenset(run.data.metrics),
    )


def _tag(name: str) -> str:
    return f"tags.`{PREFIX}.{name}`"


def _is_one_of(wanted: Collection[str]) -> str:
    """The condition for a single run; of many, to ask for all is less than to name each."""
    # A run's id needs no quoting; names of evaluations and models would.
    return f" and {_tag('run_id')} = '{next(iter(wanted))}'" if len(wanted) == 1 else ""
