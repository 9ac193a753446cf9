"""Rows grouped once for all slice sets give the states that each set by itself gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import Columns, Dimension, ModelVersion, SliceSet, TaskKind
from engine.execution.kernel import batches, joint_groups
from engine.execution.kernel.joint_groups import JointGroups
from engine.execution.kernel.model_task import JOINT, ModelTask
from engine.planning.slices import Placed
from engine.states import decode, score_histogram
from engine.states.dense import Moments
from tests.fixtures.kernel import FEATURES, SETS, Models, evaluated, plan_of, rows_of, scanned

NEVER, ALWAYS = 0, 10**6
BINARY = ("accuracy", "f1", "roc_auc", "log_loss", "average_precision")
REGRESSION = ("mean_absolute_error", "median_absolute_error", "max_error", "r2", "spearman")


def model_of(models: Models, task: TaskKind) -> ModelVersion:
    table = rows_of(task, seed=9, rows=400).to_pandas().dropna(subset=["label"])
    regression = task is TaskKind.REGRESSION
    label = table["label"] if regression else table["label"].astype(int)
    native = LinearRegression() if regression else LogisticRegression()
    return models.of(f"joint-{task}", native.fit(table[list(FEATURES)], label), task)


def bytes_of(states: pa.Table) -> list[tuple[object, ...]]:
    """The states of all slices, in an order of their own."""
    return sorted(
        (row["slice_set"], row["family"], row["model"], row["slice_keys"], row["payload"])
        for row in states.to_pylist()
        if row["slice_set"]
    )


@pytest.mark.parametrize("cap", [4096, 20], ids=["exact", "on the grid"])
@pytest.mark.parametrize(
    ("task", "metrics"), [(TaskKind.BINARY, BINARY), (TaskKind.REGRESSION, REGRESSION)]
)
def test_the_states_are_those_of_each_set_by_itself(
    models: Models,
    task: TaskKind,
    metrics: Sequence[str],
    cap: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where joint groups become too many in the middle of a scan."""
    monkeypatch.setattr(score_histogram, "EXACT_SCORES", cap)
    monkeypatch.setattr(batches, "CHUNK_ROWS", 400)
    monkeypatch.setattr(joint_groups, "MOST", 0)
    columns = Columns("label", None, ("key",))
    plan = plan_of(task, [model_of(models, task)], metrics, columns=columns)
    table = rows_of(task)
    spread: list[int] = []
    whole = ModelTask.spread

    def note(task: ModelTask, joint: JointGroups, sizes: Sequence[int]) -> None:
        spread.append(sum(key[0] == JOINT for key in task.sums))
        whole(task, joint, sizes)

    monkeypatch.setattr(ModelTask, "spread", note)
    found = {}
    # At 6 a slice, the first of the batches is within the bound.
    for most in (NEVER, 6, ALWAYS):
        monkeypatch.setattr(joint_groups, "MOST_PER_SLICE", most)
        found[most] = bytes_of(scanned(plan, table))
    assert len(spread) == 2 and spread[0] == 0 and spread[1] > 0
    for most in (6, ALWAYS):
        for ours, theirs in zip(found[most], found[NEVER], strict=True):
            assert ours[:-1] == theirs[:-1]
            if ours[-1] != theirs[-1]:
                # Sums of losses differ by the order in which they are added; counts never do.
                left, right = (decode(each[-1]) for each in (ours, theirs))
                assert isinstance(left, Moments) and isinstance(right, Moments), ours[:-1]
                np.testing.assert_allclose(left.values, right.values, rtol=1e-9, atol=1e-12)


def test_sets_of_the_same_columns_are_added_up_once(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    country, vip = Dimension("country"), Dimension("vip")
    sets = (
        SETS[0],
        SliceSet("country", "by", (country,)),
        SliceSet("vip", "by", (vip,)),
        SliceSet("both", "by", (country, vip)),
    )
    calls: list[int] = []
    whole = score_histogram.Scores.of

    def count(family: score_histogram.Scores, *of: object) -> object:
        calls.append(1)
        return whole(family, *of)  # type: ignore[arg-type]

    monkeypatch.setattr(score_histogram.Scores, "of", count)
    model = model_of(models, TaskKind.BINARY)
    plan = plan_of(TaskKind.BINARY, [model], BINARY, slice_sets=sets)
    joint = evaluated(plan, rows_of(TaskKind.BINARY))
    assert len(calls) == 1
    monkeypatch.setattr(joint_groups, "MOST", 0)
    monkeypatch.setattr(joint_groups, "MOST_PER_SLICE", 0)
    apart = evaluated(plan, rows_of(TaskKind.BINARY))
    assert len(calls) == 1 + len(sets)
    for ours, theirs in zip(joint.cells, apart.cells, strict=True):
        assert (ours.slice, ours.test, ours.verdict) == (theirs.slice, theirs.test, theirs.verdict)
        if theirs.measured.value is not None:
            assert ours.measured.value == pytest.approx(theirs.measured.value, rel=1e-12)


def test_many_wide_sets_are_numbered_without_overflow() -> None:
    """Six sets of 100,000 slices: more crosses than 64 bits have numbers."""
    rng = np.random.default_rng(0)
    rows, size = 5_000, 100_000
    few = rng.integers(0, size, (50, 6))
    which = rng.integers(0, 50, rows)
    placed = [Placed(None, few[which, number]) for number in range(6)]
    joint = JointGroups()
    groups = joint.place(placed, [size] * 6, rows)
    assert groups is not None and joint.n_groups == len(np.unique(which))
    pairs = set(zip(groups.tolist(), which.tolist(), strict=True))
    assert len(pairs) == joint.n_groups
    # Another batch keeps the numbers.
    again = joint.place(placed, [size] * 6, rows)
    assert again is not None and (again == groups).all()


def test_many_groups_of_many_rows_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What few rows have in more groups than slices, many rows have in each set by itself."""
    rng = np.random.default_rng(0)
    placed = [Placed(None, rng.integers(0, 30, 10_000)) for _ in range(2)]
    monkeypatch.setattr(joint_groups, "MOST_ROWS", 25_000)
    joint = JointGroups()
    taken = [joint.place(placed, [30, 30], 10_000) is not None for _ in range(3)]
    assert taken == [True, True, False] and joint.n_groups == 900


def test_of_wide_states_there_are_fewer() -> None:
    """Of a thousand classes, dense states of thousands of groups would fill the memory."""
    rng = np.random.default_rng(0)
    placed = [Placed(None, rng.integers(0, 30, 10_000)) for _ in range(2)]
    for numbers, is_taken in ((3 * 5 * 20 * 4, True), (3 * 5 * 20 * 1000, False)):
        groups = JointGroups(numbers).place(placed, [30, 30], 10_000)
        assert (groups is not None) is is_taken


def test_a_batch_without_rows_is_in_no_group() -> None:
    nothing = np.zeros(0, np.int64)
    joint = JointGroups()
    groups = joint.place([Placed(None, nothing), Placed(nothing, nothing)], [0, 0], 0)
    assert groups is not None and len(groups) == joint.n_groups == 0


def test_what_is_added_is_decoded_again(models: Models) -> None:
    model = model_of(models, TaskKind.BINARY)
    plan = plan_of(TaskKind.BINARY, [model], BINARY, slice_sets=SETS[:2])
    for row in scanned(plan, rows_of(TaskKind.BINARY)).to_pylist():
        if row["slice_set"]:
            assert decode(row["payload"]).n_groups == len(row["slice_keys"])
