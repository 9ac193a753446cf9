"""From a plan to the states it is measured from, and on to its cells."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Container, Sequence
from functools import partial

from engine.core.vocabulary import EvaluationResult
from engine.evaluation.stored import budget_of, measure_states
from engine.execution.answers import AnswerList, answer_questions, step_of
from engine.execution.computation import Computation
from engine.execution.incremental import plan_states
from engine.execution.local_answers import answer_here, without_spark
from engine.execution.scans import open_frame, prepare_workers, run_scans
from engine.execution.spread_judging import spread_judging
from engine.kinds import Contrast, Probe, Query
from engine.planning import EvaluationPlan, Question, questions
from engine.spark.internals import runs_here
from engine.states.codec import CodecError
from engine.store.answers import answer_rows
from engine.store.error_budget import Budget, judged_digest
from engine.store.state_writer import Target, write_rows
from engine.store.states import (
    NotUpdatedError,
    StateCatalog,
    Writer,
    find_states,
    missing_needs,
)

log = logging.getLogger(__name__)


def evaluate(
    computation: Computation, plan: EvaluationPlan, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation of a run, after computing what the store does not keep of it.

    `earlier` are the evaluations of the run that came before this one.
    """
    budget = budget_of(computation.tables, computation.suite)
    catalog = compute_states(computation, plan)
    _answer(computation, catalog)
    try:
        try:
            return _judge(computation, budget, catalog, earlier)
        except NotUpdatedError as error:
            computation.tell.say(f"{plan.name}: some states cannot be brought up to date: {error}")
            catalog = _recompute_states(computation, plan)
            _answer(computation, catalog)
            return _judge(computation, budget, catalog, earlier)
    except CodecError as error:
        # What another run left is damaged: nothing of it is used.
        computation.tell.say(
            f"{plan.name}: stored states are damaged ({error}); computing them anew"
        )
        computation.beside.wait()
        catalog = compute_states(computation, plan, without=_writers(catalog))
        _answer(computation, catalog)
        return _judge(computation, budget, catalog, earlier)


def _answer(computation: Computation, catalog: StateCatalog) -> None:
    """Finds what an evaluation asks beside its scan, and nobody has found yet."""
    plan, asked = catalog.plan, catalog.open_questions
    if not asked:
        return
    session = computation.session
    computation.tell.say(f"{plan.name}: {_count_text(asked)}")
    # A run's own row is there before anything that it found is; what measures time is alone.
    computation.beside.wait()

    def keep(answers: AnswerList) -> None:
        table, step = computation.tables["states"], step_of(answers)
        target = Target(table, computation.run_id, dt.datetime.now(dt.UTC), step)
        write_rows(answer_rows(answers), plan, target)
        catalog.answers |= {question.place: answer for question, answer in answers}

    with computation.clock.step("questions", evaluation=plan.name):
        if session.is_local or session.current is None:
            left = answer_here(session, plan, asked, keep)
            if left and session.is_local:
                keep(without_spark(left, session.remedy))
                return
            asked = [question for question, _ in left]
        if asked:
            _answer_by_spark(computation, plan, asked, keep)


def _answer_by_spark(
    computation: Computation,
    plan: EvaluationPlan,
    asked: Sequence[Question],
    keep: Callable[[AnswerList], None],
) -> None:
    spark = computation.spark
    if runs_here(spark):
        prepare_workers(computation.session, [plan])
    answer_questions(spark, plan, asked, partial(open_frame, spark), keep)


def _count_text(asked: Sequence[Question]) -> str:
    """How many questions of each sort there are."""
    sorts = {"query": Query, "contrast": Contrast, "probe": Probe}
    counts = {
        word: sum(isinstance(question.content, sort) for question in asked)
        for word, sort in sorts.items()
    }
    plural = {"query": "queries", "contrast": "contrasts", "probe": "probes"}
    told = [f"{n} {word if n == 1 else plural[word]}" for word, n in counts.items() if n]
    return f"asking {' and '.join(told)}"


def _writers(catalog: StateCatalog) -> list[Writer]:
    """Who wrote what is kept of an evaluation, and of its reference."""
    own = [state.writer for state in catalog.kept]
    return own if catalog.reference is None else own + _writers(catalog.reference)


def _judge(
    computation: Computation,
    budget: Budget,
    catalog: StateCatalog,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    """The cells of an evaluation from its states, and what they cost of the error budget."""
    plan = catalog.plan
    with budget.turn(plan), computation.clock.step("judge", evaluation=plan.name):
        with spread_judging() as spread:
            result = measure_states(budget, computation.tables, catalog, earlier, spread)
        _check_rows(result, questions(plan))
        budget.spend(plan, result, (computation.run_id, judged_digest(plan, earlier)))
    for name, why in result.not_deterministic.items():
        computation.tell.say(f"{plan.name}: {name!r} is not deterministic: {why}")
    return result


def _check_rows(result: EvaluationResult, asked: Container[str]) -> None:
    """Raises CodecError where the states are not those of all the rows that the dataset has.

    `asked` are the tests that have no states.
    """
    rows = result.dataset.rows
    for cell in result.cells:
        if cell.slice.kind == "overall" and cell.test.name not in asked:
            n_rows = cell.counts.n + cell.counts.null_labels
            if n_rows != rows:
                raise CodecError(f"they hold {n_rows:,} rows, the dataset has {rows:,}")
            return


def compute_states(
    computation: Computation, plan: EvaluationPlan, *, without: Sequence[Writer] = ()
) -> StateCatalog:
    """What an evaluation is measured from, after computing what the store does not keep of it."""
    catalog = _catalog(computation, plan)
    todo = plan_states(computation.session, catalog, without=without)
    if not catalog.needs:
        # Its tests ask beside the scan.
        pass
    elif todo.nothing_to_do:
        computation.tell.say(f"{plan.name}: all states are kept; no row is read")
    else:
        step = "damaged" if without else ""
        rows = run_scans(computation, todo, step=step)
        catalog.add_own(todo.outputs, step, rows)
    if plan.reference is not None:
        catalog.reference = compute_states(computation, plan.reference, without=without)
    return catalog


def _recompute_states(computation: Computation, plan: EvaluationPlan) -> StateCatalog:
    """What an evaluation is measured from when states that a scan should update could not be."""
    computation.beside.wait()
    catalog = _catalog(computation, plan)
    if missing_needs(catalog):
        todo = plan_states(computation.session, catalog, anew=catalog.lost)
        run_scans(computation, todo, step="anew")
        computation.beside.wait()
        catalog = _catalog(computation, plan)
    if plan.reference is not None:
        catalog.reference = _recompute_states(computation, plan.reference)
    return catalog


def _catalog(computation: Computation, plan: EvaluationPlan) -> StateCatalog:
    states, reuse = computation.tables["states"], computation.reuse
    return find_states(states, plan, run_id=computation.run_id, reuse=reuse)
