"""Cells that other processes judge are those that this one judges."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from engine.core.vocabulary import Condition, EvaluationResult, ModelTest, TaskKind
from engine.evaluation import shares
from engine.evaluation.cells import Judge
from engine.evaluation.measure import Beside, measure
from engine.execution import local_pool, spread_judging
from engine.execution.local_pool import LocalPool
from engine.execution.local_worker import JudgeShare
from engine.execution.spread_judging import SpreadJudging
from engine.planning import EvaluationPlan, expand_tests
from engine.states.rows import StateRow
from tests.fixtures.kernel import (
    BY_COUNTRY,
    FEATURES,
    SETS,
    Models,
    merged,
    plan_of,
    rows_of,
    saved_models,
    scanned,
)

METRICS = ("accuracy", "roc_auc", "f1", "log_loss")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with saved_models(tmp_path_factory.mktemp("models")) as models:
        yield models


@pytest.fixture(scope="module")
def plan(models: Models) -> EvaluationPlan:
    """Two models, of which one is the baseline, tests with and without conditions."""
    table = rows_of(TaskKind.BINARY, seed=9, rows=400).to_pandas().dropna(subset=["label"])
    x, y = table[list(FEATURES)], table["label"].astype(int)
    weak = models.of("spread-weak", LogisticRegression(C=1e-3).fit(x[:100], y[:100]))
    strong = models.of("spread-strong", LogisticRegression().fit(x, y))
    plan = plan_of(TaskKind.BINARY, [strong, weak], METRICS, baseline="spread-strong")
    names = tuple(each.name for each in SETS)
    tests = [ModelTest(name, name, slice_sets=names) for name in METRICS]
    held = (Condition("min", 0.7), Condition("max_drop", 0.05))
    tests.append(ModelTest("held", "accuracy", held, slice_sets=names))
    return replace(plan, tests=expand_tests(tuple(tests), plan.setting))


@pytest.fixture(scope="module")
def rows(plan: EvaluationPlan) -> list[StateRow]:
    return merged(scanned(plan, rows_of(TaskKind.BINARY)))


@pytest.fixture(scope="module")
def expected(plan: EvaluationPlan, rows: list[StateRow]) -> EvaluationResult:
    return measure(plan, rows)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MOST_HERE", 0)
    monkeypatch.setattr(spread_judging, "SLICES_AT_ONCE", 2)


def spread(plan: EvaluationPlan, rows: list[StateRow]) -> tuple[EvaluationResult, int]:
    """The result of an evaluation that is judged elsewhere, and how many shares there were."""
    with spread_judging.spread_judging() as judging:
        assert isinstance(judging, SpreadJudging)
        result = measure(plan, rows, beside=Beside(spread=judging))
        return result, len(judging._tasks)


def test_the_result_is_the_same(
    plan: EvaluationPlan, rows: list[StateRow], expected: EvaluationResult
) -> None:
    result, count = spread(plan, rows)
    assert result == expected
    # By two slices: 6 countries, 6 scores, the crosses of both; predicates stay here.
    assert count >= 3 + 3 + 8
    # What cells share is not in memory once for each of them.
    assert len({id(cell.model) for cell in result.cells}) == 2
    assert len({id(cell.test) for cell in result.cells}) == len(plan.tests)


def test_what_a_process_does_not_live_to_judge_is_judged_here(
    plan: EvaluationPlan,
    rows: list[StateRow],
    expected: EvaluationResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = LocalPool.run

    def kill_after_two(pool: LocalPool, tasks: Any) -> Iterator[Any]:
        yield from run(pool, tasks[:2])
        for process in pool._all:
            os.kill(_pid(process), signal.SIGKILL)
        yield from run(pool, tasks[2:])

    here: list[int] = []
    judge = JudgeShare.run

    def note(share: JudgeShare) -> str:
        here.append(share.first)
        return judge(share)

    monkeypatch.setattr(local_pool.LocalPool, "run", kill_after_two)
    monkeypatch.setattr(JudgeShare, "run", note)
    result, count = spread(plan, rows)
    assert result == expected
    assert len(here) == count - 2


def _pid(process: Any) -> int:
    """The id of a process of a pool, which the tests of runs may have lent it."""
    while not isinstance(process, subprocess.Popen):
        process = process._process
    return process.pid


def test_few_cells_start_no_process(
    plan: EvaluationPlan,
    rows: list[StateRow],
    expected: EvaluationResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "MOST_HERE", len(expected.cells))
    result, count = spread(plan, rows)
    assert result == expected and count == 0


def test_a_reference_stays_where_it_lies(plan: EvaluationPlan) -> None:
    judge = Judge(plan, {})
    with spread_judging.spread_judging() as judging:
        assert shares.Sharing(judge, judging).takes(BY_COUNTRY.name, 5)
        beside = Judge(replace(plan, reference=plan), {})
        assert not shares.Sharing(beside, judging).takes(BY_COUNTRY.name, 5)


def test_one_core_spreads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_judging, "core_count", lambda: 1)
    with spread_judging.spread_judging() as judging:
        assert judging is None
