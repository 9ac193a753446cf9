"""Which states a run must have kept to be judged by another suite; `tests/spark` judges runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from engine.commands.judge import unmet_needs
from engine.core.vocabulary import (
    DatasetVersion,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
)
from engine.errors import InputError
from engine.metrics import Problem
from engine.planning import Columns, EvaluationPlan, needs
from engine.store.states import Kept, StateCatalog, Writer, check_complete, missing_needs

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


class NoTable:
    """A store without rows."""

    def exists(self) -> bool:
        return False


def test_a_run_from_before_areas_were_compared_by_pairs_is_complete() -> None:
    """Their differences have the interval of the buckets then."""
    one = plan_of(ModelTest("area", "roc_auc"), ModelTest("hits", "accuracy"))
    other = replace(one.models[0], name="other", digest="e")
    plan = replace(one, models=(*one.models, other), baseline="m")
    stock = stock_of(plan, plan)
    assert [need.family for need in needs(plan) if need.spare] == ["paired_scores(1)"]
    stock.kept = [kept for kept in stock.kept if kept.place[2] != "paired_scores(1)"]
    assert len(missing_needs(stock)) == 1
    check_complete(cast(Any, NoTable()), stock)
    assert unmet_needs(plan, missing_needs(stock)) == {}
    # Nothing else may be lacking.
    stock.kept = [kept for kept in stock.kept if kept.place[2] != "paired_hits(2)"]
    with pytest.raises(InputError, match="lacks states"):
        check_complete(cast(Any, NoTable()), stock)


def test_areas_of_weighted_rows_or_clusters_need_no_pairs() -> None:
    one = plan_of(ModelTest("area", "roc_auc"))
    other = replace(one.models[0], name="other", digest="e")
    plain = replace(one, models=(*one.models, other), baseline="m")
    weighted = replace(plain, columns=Columns("y", "w"))
    clustered = replace(plain, columns=Columns("y", key=("k",), cluster="c"))
    found = [any(need.paired for need in needs(plan)) for plan in (plain, weighted, clustered)]
    assert found == [True, False, False]
