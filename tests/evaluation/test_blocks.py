"""States of a reference lie beside those of the dataset, in however many blocks they were kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.core.vocabulary import Columns, DatasetVersion, ModelTest, SliceSet, TaskKind
from engine.evaluation.blocks import References
from engine.kinds import KINDS, parameters_text
from engine.metrics import Problem, RowsOf, Sampling, Slices
from engine.planning import EvaluationPlan
from engine.states import BUCKETS, ROW_COLUMNS, Sums
from engine.states.rows import FAILURE, ROWS, StateRow, failures_row

QUALITY = ModelTest(
    "q", "null_share", (), ("overall",), kind="data_quality",
    parameters=parameters_text({"not_null": ["age"]}),
)  # fmt: skip
PLAN = EvaluationPlan(
    name="claims", dataset=DatasetVersion("claims", "t", 1, "id", 5), columns=Columns("y"),
    problem=Problem(TaskKind.BINARY, (0, 1)), models=(), baseline=None,
    slice_sets=(SliceSet("overall", "overall"),), tests=(QUALITY,), min_slice_rows=1,
    max_slices=9,
)  # fmt: skip


def counted(*rows: int) -> Sums:
    values = np.zeros((len(rows), BUCKETS, len(ROW_COLUMNS)))
    values[:, 0, :3] = np.array(rows)[:, None]
    return Sums(values)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> EvaluationPlan:
    monkeypatch.setattr(type(KINDS.get("data_quality")), "reads_reference", True)
    return PLAN.beside(replace(PLAN.dataset, version=0))


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_slices_are_found_in_any_block(plan: EvaluationPlan, blocks: int) -> None:
    keys = ["a", "b", "c", "d"]
    held = [
        StateRow("overall", n, 0, ROWS, keys[n::blocks], counted(*range(n, 4, blocks)).encode())
        for n in range(blocks)
    ]
    own = Slices(RowsOf.of(counted(9, 9, 9)), {}, sampling=Sampling())
    References.of(plan, held).lay_beside({0: own}, "overall", ["d", "nobody", "b"])
    assert own.reference is not None
    assert [rows.n for rows in own.reference.counts] == [3, 0, 1]
    assert [rows.n for rows in own.some(2, 3).reference.counts] == [1]  # type: ignore[union-attr]


def test_what_failed_there_is_not_beside(plan: EvaluationPlan) -> None:
    failed = failures_row(0, {"": "it raised"})
    held = [
        StateRow("", 0, 0, FAILURE, (), failed.payload),
        StateRow("overall", 0, 0, ROWS, ["a"], counted(1).encode()),
    ]
    own = Slices(RowsOf.of(counted(9)), {}, sampling=Sampling())
    References.of(plan, held).lay_beside({0: own}, "overall", ["a"])
    assert own.reference is None
