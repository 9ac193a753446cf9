"""An evaluation without a run: measured and judged, and written into no table of results."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import replace

from engine.commands.progress import Reporter
from engine.core.background import BackgroundWriter
from engine.core.locations import Store
from engine.core.vocabulary import EvaluationResult
from engine.execution.computation import Computation
from engine.execution.evaluate import evaluate
from engine.execution.local_pool import drop_worker, early_describer
from engine.execution.roads import check_local, settle_executor
from engine.execution.scans import prepare_workers
from engine.planning.model_finder import ModelFinder
from engine.planning.planner import prepare
from engine.spark.lazy_session import LazySession
from engine.store.tables import StoreTables
from engine.suite import Suite


def evaluate_alone(suite: Suite, session: LazySession, tell: Reporter) -> EvaluationResult:
    """Evaluates the one evaluation of a suite, without what its store keeps.

    Raises:
        InputError: when its inputs are wrong.
        StoreError: when the machinery failed.
    """
    tables = StoreTables(Store(suite.store), session)
    finder = ModelFinder(suite, early_describer(session))
    run_id = f"alone-{secrets.token_hex(6)}"
    try:
        (prepared,) = prepare(session, suite, finder=finder, say=tell.say)
        plan = replace(prepared.plan, started_at=dt.datetime.now(dt.UTC))
        decide = settle_executor if session.is_undecided else check_local
        decide(tables, [plan], run_id=run_id, reuse=False)
        if session.current is not None:
            prepare_workers(session, [plan])
        with BackgroundWriter() as beside:
            computation = Computation(tables, suite.name, run_id, tell, beside, reuse=False)
            return evaluate(computation, plan, [])
    finally:
        finder.stop()
        drop_worker()
