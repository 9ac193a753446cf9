"""The end of a run: its gate from its cells, or from the states of an earlier run; and MLflow."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from engine.commands.stored_runs import check_finished, run_info, utc
from engine.core.locations import Store
from engine.core.vocabulary import EvaluationResult, RunInfo, RunOutcome
from engine.errors import InputError, StoreError
from engine.evaluation.stored import budget_of, measure_states
from engine.evaluation.verdicts import counts_for_model, gate
from engine.execution.spread_judging import spread_judging
from engine.planning import load_plans
from engine.sinks import mlflow
from engine.store.nights import with_nights
from engine.store.runs import read_steps, with_timings
from engine.store.states import check_complete, find_states
from engine.store.tables import StoreTables
from engine.suite import Suite

log = logging.getLogger(__name__)


def tracking_uri(suite: Suite, store: Store) -> str:
    """Where MLflow is: where the suite says, else in the store."""
    return suite.mlflow.tracking_uri or store.tracking_uri


@contextmanager
def tell_how_to_resume(run_id: str) -> Iterator[None]:
    """Adds to whatever stops a run how it is completed; wrong data would be as wrong again."""
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        error.add_note(
            f"what was finished is in the store; `evalmatrix run SUITE.yml --resume {run_id}` "
            "does the rest"
        )
        raise


def conclude_run(
    suite: Suite, info: RunInfo, results: Sequence[EvaluationResult], now: dt.datetime
) -> RunOutcome:
    """The outcome of a run: what its verdicts decide together."""
    rules = {
        "on_inconclusive": suite.gate.on_inconclusive,
        "on_error": suite.gate.on_error,
    }
    cells = [cell for result in results for cell in result.cells]
    gates = {
        (result.name, model.name): gate(
            (cell for cell in result.cells if counts_for_model(cell.model.name, model.name)),
            **rules,
        )
        for result in results
        for model in result.models
    }
    return RunOutcome(info, tuple(results), gate(cells, **rules), now, gates)


def send(outcome: RunOutcome, suite: Suite, store: Store, uri: str) -> dict[str, str]:
    """Sends what MLflow lacks of a run whose report is written; gives the parent runs' ids.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    folder = store.report_folder(outcome.info.run_id)
    target = mlflow.Target(uri, folder, suite.mlflow.max_slice_metrics)
    return mlflow.log_outcome(outcome, target)


def look_back(tables: StoreTables, outcome: RunOutcome) -> RunOutcome:
    """The outcome with what earlier runs found, where its report shows that."""
    try:
        results = with_nights(tables, outcome.info, outcome.evaluations)
    except StoreError as error:
        # A report without its history is better than none.
        log.warning("the report shows no earlier runs: %s", error)
        return outcome
    return replace(outcome, evaluations=tuple(results))


def rebuild_outcome(tables: StoreTables, suite: Suite, row: dict[str, object]) -> RunOutcome:
    """The outcome of an earlier run, from what the store keeps of it."""
    run_id, states = str(row["run_id"]), tables["states"]
    check_finished(row, tables.store)
    catalogs = [
        find_states(states, plan, run_id=run_id) for plan in load_plans(str(row["evaluations"]))
    ]
    for catalog in catalogs:
        check_complete(states, catalog)
    budget = budget_of(tables, str(row["suite"]))
    results: list[EvaluationResult] = []
    for catalog in catalogs:
        with spread_judging() as spread:
            results.append(measure_states(budget, tables, catalog, results, spread))
    results = with_timings(results, row)
    finished = row["finished_at"] or row["started_at"]
    outcome = conclude_run(suite, run_info(row, tables.store), results, utc(finished))
    return replace(outcome, steps=read_steps(row))
