"""Which states a run must have kept to be judged by another suite; `tests/spark` judges runs."""

from __future__ import annotations

from dataclasses import replace

from engine.kernel import ROWS
from engine.matrix import Columns, EvaluationPlan
from engine.metrics import Problem
from engine.replay import Kept, lacking
from engine.vocabulary import (
    DatasetVersion,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
)

BINARY = TaskKind.BINARY
PARITY = "demographic_parity_difference"


def plan_of(*tests: ModelTest) -> EvaluationPlan:
    model = ModelVersion("m", "u", "1", "d", "p", "sklearn", BINARY, Output.PROBABILITY, (0, 1))
    sets = (SliceSet("overall", "overall"), SliceSet("none", "where", where="false"))
    return EvaluationPlan(
        "claims", DatasetVersion("d", "u", 0, "t", 9), Columns("y"), Problem(BINARY, (0, 1)),
        (model,), None, sets, tests, 1, 100,
    )  # fmt: skip


def kept_by(plan: EvaluationPlan, *without_rows: str) -> Kept:
    """What a run of the plan keeps, where some slice sets have no rows."""
    return {
        (0, each.name): {ROWS, *(family.key for family in plan.families(each, plan.models[0]))}
        for each in plan.scanned_sets
        if each.name not in without_rows
    }


def test_groups_that_were_never_scanned_are_lacking() -> None:
    """Else their test would have no cell, and the gate would pass without it."""
    stored = plan_of(ModelTest("accuracy", "accuracy"))
    wanted = replace(stored, tests=(ModelTest("parity", PARITY, group="sex"),))
    assert lacking(stored, wanted, kept_by(stored)) == {
        "parity": "confusion(2) on the slices by 'groups of sex in overall'"
    }


def test_slices_without_rows_lack_nothing() -> None:
    test = ModelTest("parity", PARITY, slice_sets=("overall", "none"), group="sex")
    stored = plan_of(test)
    kept = kept_by(stored, "groups of sex in none")
    assert lacking(stored, stored, kept) == {}
    assert lacking(stored, replace(stored, tests=(replace(test, name="other"),)), kept) == {}


def test_what_failed_is_not_waited_for() -> None:
    stored = plan_of(ModelTest("accuracy", "accuracy"))
    auc = replace(stored, tests=(ModelTest("loss", "log_loss"),))
    assert "loss" in lacking(stored, auc, kept_by(stored))
    assert lacking(stored, auc, {**kept_by(stored), (0, ""): {""}}) == {}


def test_what_had_no_usable_row_is_not_lacking() -> None:
    """A model whose predictions are all NaN has counts of rows, and no other state."""
    stored = plan_of(ModelTest("accuracy", "accuracy"))
    kept: Kept = {(0, "overall"): {ROWS}, (0, "none"): {ROWS}}
    assert lacking(stored, stored, kept) == {}
    loss = replace(stored, tests=(ModelTest("loss", "log_loss"),))
    assert "loss" in lacking(stored, loss, kept)
