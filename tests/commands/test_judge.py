"""Which states a run must have kept to be judged by another suite; `tests/spark` judges runs."""

from __future__ import annotations

from dataclasses import replace

from engine.commands.judge import unmet_needs
from engine.core.vocabulary import (
    DatasetVersion,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
)
from engine.metrics import Problem
from engine.planning import Columns, EvaluationPlan, needs
from engine.store.states import Kept, StateCatalog, Writer, missing_needs

BINARY = TaskKind.BINARY
PARITY = "demographic_parity_difference"


def plan_of(*tests: ModelTest) -> EvaluationPlan:
    model = ModelVersion("m", "u", "1", "d", "p", "sklearn", BINARY, Output.PROBABILITY, (0, 1))
    sets = (SliceSet("overall", "overall"), SliceSet("none", "where", where="false"))
    return EvaluationPlan(
        "claims", DatasetVersion("d", "u", 0, "t", 9), Columns("y"), Problem(BINARY, (0, 1)),
        (model,), None, sets, tests, 1, 100,
    )  # fmt: skip


def stock_of(plan: EvaluationPlan, of: EvaluationPlan) -> StateCatalog:
    """What a run of a plan keeps, as another plan finds it."""
    writer = Writer("r", of.name, "")
    kept = [Kept(need.state, need.place, of.dataset.version, writer, 1) for need in needs(of)]
    return StateCatalog(plan, "r", kept)


def lacks(plan: EvaluationPlan, of: EvaluationPlan) -> dict[str, str]:
    return unmet_needs(plan, missing_needs(stock_of(plan, of)))


def test_groups_that_were_never_scanned_are_lacking() -> None:
    """Else their test would have no cell, and the gate would pass without it."""
    stored = plan_of(ModelTest("accuracy", "accuracy"))
    wanted = replace(stored, tests=(ModelTest("parity", PARITY, group="sex"),))
    assert lacks(stored, stored) == {}
    assert lacks(wanted, stored) == {
        "parity": "confusion(2) on the slices by 'groups of sex in overall', "
        "rows on the slices by 'groups of sex in overall'"
    }


def test_other_names_and_demands_lack_nothing() -> None:
    test = ModelTest("parity", PARITY, slice_sets=("overall", "none"), group="sex")
    stored = plan_of(test)
    assert lacks(replace(stored, tests=(replace(test, name="other"),)), stored) == {}


def test_what_failed_is_not_waited_for() -> None:
    stored = plan_of(ModelTest("accuracy", "accuracy"))
    wanted = replace(stored, tests=(ModelTest("loss", "log_loss"),))
    assert "loss" in lacks(wanted, stored)
    stock = stock_of(wanted, stored)
    stock.failed[0, ""] = "ValueError: no"
    assert unmet_needs(wanted, missing_needs(stock)) == {}
    stock.failed = {(0, "mean(log_loss)"): "ValueError: no"}
    assert unmet_needs(wanted, missing_needs(stock)) == {}
