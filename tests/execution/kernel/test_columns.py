"""Losses that read other columns of their rows: against plain pandas, by slices."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import ModelTest, TaskKind, Verdict
from engine.execution.kernel.parsing import read_column
from engine.kinds import KINDS, parameters_text
from engine.kinds.perturbations import perturb
from engine.metrics import BINARY, METRICS, RANKING, mean, mean_metric, metric, ratio
from engine.planning import Columns, EvaluationPlan
from engine.planning.scan_columns import BUCKET_COLUMN, ROW_COLUMN
from engine.states import BUCKETS, Maximum
from tests.fixtures.kernel import (
    BY_COUNTRY,
    CROSS,
    OVERALL,
    Models,
    by_key,
    evaluated,
    plan_of,
    rows_of,
)

SLICE_SETS = (OVERALL, BY_COUNTRY, CROSS)


@pytest.fixture(autouse=True)
def money(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of a user who counts in money."""
    monkeypatch.setattr(METRICS, "_things", dict(METRICS._things))

    @mean_metric(
        "missed_money", tasks=BINARY, higher_is_better=False, needs_columns=("amount", "region")
    )
    def missed_money(batch: Any, problem: Any) -> Any:
        """The money lost to a missed fraud; in the north it counts twice."""
        missed = (batch.truth == problem.positive) & (batch.predicted != problem.positive)
        amount = np.nan_to_num(batch.columns["amount"])
        return np.where(missed, amount * np.where(batch.columns["region"] == "north", 2, 1), 0)

    def stake(batch: Any, problem: Any) -> Any:
        return np.where(batch.truth == problem.positive, np.nan_to_num(batch.columns["amount"]), 0)

    def lost(batch: Any, problem: Any) -> Any:
        return np.where(batch.predicted != problem.positive, stake(batch, problem), 0)

    @metric(
        "missed_share",
        tasks=BINARY,
        needs=lambda problem: (
            mean(lost, problem, name="lost"),
            mean(stake, problem, name="stake", needs_columns=["amount"]),
        ),
        needs_columns=["amount"],
    )
    def missed_share(problem: Any, lost: Any, stake: Any) -> Any:
        return ratio(lost.mean, stake.mean, "nothing_at_stake")

    @metric(
        "most_missed",
        tasks=BINARY,
        needs=lambda problem: (Maximum("lost", lambda batch: lost(batch, problem)),),
        needs_columns=("amount",),
        intervals=False,
    )
    def most_missed(problem: Any, largest: Any) -> Any:
        return largest.value

    @mean_metric("undeclared", tasks=BINARY, needs_columns=("region",))
    def undeclared(batch: Any, problem: Any) -> Any:
        return batch.columns["amount"]


def fit(task: TaskKind = TaskKind.BINARY, seed: int = 9, **more: Any) -> Any:
    table = rows_of(task, seed=seed).to_pandas().dropna(subset=["label"])
    return LogisticRegression(**more).fit(table[["a", "b"]], table["label"].astype(int))


def table_of(seed: int = 1) -> pa.Table:
    table = rows_of(TaskKind.BINARY, seed=seed)
    rng = np.random.default_rng(seed + 50)
    amount = np.round(rng.exponential(100, table.num_rows), 2)
    holes = rng.random((2, table.num_rows)) < 0.1
    region = rng.choice(["north", "south"], table.num_rows)
    return (
        table.append_column("amount", pa.array(amount, mask=holes[0]))
        .append_column("region", pa.array(region, pa.string(), mask=holes[1]))
        .append_column(ROW_COLUMN, pa.array(rng.integers(-(2**63), 2**63 - 1, table.num_rows)))
    )


def mask_of(cell: Any, frame: pd.DataFrame) -> pd.Series:
    mask = frame["label"].notna()
    for column, value in cell.slice.values:
        texts = frame[column].map(lambda v: str(v).lower() if isinstance(v, bool) else v)
        mask &= texts.isna() if value is None else texts == value
    return mask


def losses(frame: pd.DataFrame, native: Any, inputs: pd.DataFrame | None = None) -> pd.DataFrame:
    """What each row loses, by plain pandas."""
    predicted = native.predict((frame if inputs is None else inputs)[["a", "b"]])
    fraud = frame["label"] == 1
    stake = frame["amount"].fillna(0).where(fraud, 0)
    lost = stake.where(predicted != 1, 0)
    return pd.DataFrame(
        {"stake": stake, "lost": lost, "twice": lost * (1 + (frame["region"] == "north"))}
    )


def expected_of(metric: str, rows: pd.DataFrame, w: np.ndarray) -> float:
    if metric == "most_missed":
        return rows["lost"][w > 0].max()
    if metric == "missed_share":
        return (w * rows["lost"]).sum() / (w * rows["stake"]).sum()
    return np.average(rows["twice"], weights=w)


@pytest.mark.parametrize("weighted", [True, False])
def test_money_metrics_equal_pandas_by_slices(models: Models, weighted: bool) -> None:
    natives = {"near": fit(), "far": fit(C=1e-3)}
    plan = plan_of(
        TaskKind.BINARY,
        [models.of(name, native) for name, native in natives.items()],
        ["missed_money", "missed_share", "most_missed", "accuracy"],
        slice_sets=SLICE_SETS,
        baseline="near",
        columns=Columns("label", "w" if weighted else None, ("key",)),
    )
    table = table_of()
    frame = table.to_pandas()
    found = by_key(evaluated(plan, table, parts=3))
    checked = 0
    for (model, _, test), cell in found.items():
        if test == "accuracy":
            continue
        rows = losses(frame, natives[model])[mask_of(cell, frame)]
        w = frame["w"][rows.index].to_numpy() if weighted else np.ones(len(rows))
        assert cell.counts.n == len(rows)
        if (w > 0).sum() == 0 or (test == "missed_share" and (w * rows["stake"]).sum() == 0):
            assert cell.measured.value is None
            continue
        assert cell.measured.value == pytest.approx(expected_of(test, rows, w), rel=1e-9, abs=1e-9)
        checked += 1
    assert checked > 40
    other = by_key(evaluated(plan, table, parts=1, seed=5))
    for key, cell in found.items():
        value = other[key].measured.value
        assert cell.measured.value == (None if value is None else pytest.approx(value, rel=1e-9))


def test_rows_are_compared_in_pairs_with_students_interval(models: Models) -> None:
    natives = {"near": fit(), "far": fit(C=1e-3)}
    versions = [models.of(name, native) for name, native in natives.items()]
    plan = plan_of(
        TaskKind.BINARY, versions, ["missed_money"], slice_sets=(OVERALL, BY_COUNTRY),
        baseline="near", columns=Columns("label", None, ("key",)),
    )  # fmt: skip
    table = table_of()
    frame = table.to_pandas()
    ours, theirs = (losses(frame, natives[name])["twice"] for name in ("far", "near"))
    cells = [c for c in evaluated(plan, table, 2).cells if c.model.name == "far" and c.counts.n > 9]
    assert len(cells) > 4
    for cell in cells:
        mask = mask_of(cell, frame)
        gap = (ours - theirs)[mask]
        assert cell.delta == pytest.approx(gap.mean(), rel=1e-9, abs=1e-9)
        half = stats.t.ppf(0.975, len(gap) - 1) * gap.std() / np.sqrt(len(gap))
        if gap.std() > 0:
            assert cell.delta_ci_high - cell.delta == pytest.approx(half, rel=1e-6)
        own = ours[mask]
        half = stats.t.ppf(0.975, len(own) - 1) * own.std() / np.sqrt(len(own))
        assert cell.measured.ci_high - cell.measured.value == pytest.approx(half, rel=1e-6)


def test_a_column_that_is_not_declared_costs_the_metrics_own_cells(models: Models) -> None:
    """Though another metric of the suite has it."""
    plan = plan_of(
        TaskKind.BINARY, [models.of("near", fit())], ["undeclared", "missed_money"],
        slice_sets=(OVERALL,),
    )  # fmt: skip
    undeclared, fine = evaluated(plan, table_of()).cells
    assert undeclared.verdict is Verdict.ERROR
    assert "UndeclaredColumn: the loss reads the column …" in undeclared.reason
    assert "expected it in `needs_columns` (test_columns.py:" in undeclared.reason
    assert fine.verdict is Verdict.RECORDED


def test_behind_a_variant_the_columns_are_those_of_the_clean_row(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    @mean_metric("missed_a", tasks=BINARY, needs_columns=("a",))
    def missed_a(batch: Any, problem: Any) -> Any:
        return np.where(batch.predicted != problem.positive, batch.columns["a"], 0)

    native = fit()
    asked = parameters_text({"noise": ["a", "b"], "severities": [5]})
    test = ModelTest("r", "missed_a", (), ("overall",), kind="robustness", parameters=asked)
    test = KINDS.get("robustness").pin(test, {"a": 1.0, "b": 1.0})
    plan = plan_of(
        TaskKind.BINARY, [models.of("near", native)], [], slice_sets=(OVERALL,),
        columns=Columns("label", None, ("key",)),
    )  # fmt: skip
    plan = replace(plan, tests=(test,))
    table = table_of()
    frame = table.to_pandas()
    whole = table.combine_chunks().to_batches()[0]
    behind = perturb(whole, np.asarray(table[ROW_COLUMN]), plan.variants[0]).to_pandas()
    (cell,) = evaluated(plan, table, 2).cells
    missed = native.predict(behind[["a", "b"]]) != 1
    expected = frame["a"].where(missed, 0)[frame["label"].notna()].mean()
    assert cell.measured.value == pytest.approx(expected, rel=1e-9)


def test_rows_of_a_ranking_have_columns_too(models: Models) -> None:
    @mean_metric("priced_relevance", tasks=RANKING, needs_columns=("price",))
    def priced_relevance(batch: Any, problem: Any) -> Any:
        return batch.truth * batch.columns["price"]

    rng = np.random.default_rng(4)
    query = np.repeat(np.arange(60), rng.integers(1, 31, 60))
    frame = pd.DataFrame(rng.normal(size=(len(query), 2)), columns=["a", "b"])
    frame["label"] = np.where(rng.random(len(query)) < 0.1, np.nan, rng.integers(0, 4, len(query)))
    frame["price"] = rng.integers(1, 9, len(query))
    frame["q"], frame["w"], frame[BUCKET_COLUMN] = query, 1.0, query % BUCKETS
    native = LinearRegression().fit(frame[["a", "b"]], frame["a"])
    plan = plan_of(
        TaskKind.RANKING, [models.of("by-a", native, TaskKind.RANKING)], ["priced_relevance"],
        slice_sets=(OVERALL,), columns=Columns("label", None, query="q"),
    )  # fmt: skip
    (cell,) = evaluated(plan, pa.Table.from_pandas(frame)).cells
    expected = (frame["label"] * frame["price"]).dropna().mean()
    assert cell.measured.value == pytest.approx(expected, rel=1e-9)


def test_a_suite_without_such_metrics_reads_no_columns(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    monkeypatch.setattr("engine.execution.kernel.scan.read_column", read.append)
    plan = plan_of(TaskKind.BINARY, [models.of("near", fit())], ["accuracy", "log_loss"])
    evaluated(plan, rows_of(TaskKind.BINARY), 2)
    assert not read


def once_for_a_batch(plan: EvaluationPlan, table: pa.Table) -> list[str]:
    """The types of the columns that a scan of one batch reads for losses."""
    import engine.execution.kernel.scan as module

    read: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        inner: Callable[[pa.Array], Any] = module.read_column
        patch.setattr(
            module, "read_column", lambda array: read.append(str(array.type)) or inner(array)
        )
        list(module.scan(table.combine_chunks().to_batches(), plan))
    return read


def test_each_column_is_read_once_for_all_slices_and_models(models: Models) -> None:
    versions = [models.of("near", fit()), models.of("far", fit(C=1e-3))]
    plan = plan_of(
        TaskKind.BINARY, versions, ["missed_money", "missed_share", "most_missed"],
        baseline="near", slice_sets=SLICE_SETS,
    )  # fmt: skip
    assert sorted(once_for_a_batch(plan, table_of())) == ["double", "string"]


ZONE = dt.timezone(dt.timedelta(hours=2))
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None, 3], pa.int32()), np.array([1.0, np.nan, 3.0])),
        (pa.array([1.5, None, np.nan], pa.float32()), np.array([1.5, np.nan, np.nan])),
        (pa.array([True, None, False]), np.array([1.0, np.nan, 0.0])),
        (
            pa.array([decimal.Decimal("1.25"), None], pa.decimal128(20, 2)),
            np.array([1.25, np.nan]),
        ),
        (pa.array(["a", None, ""]), np.array(["a", None, ""], object)),
        (pa.array(["a", None, "a"]).dictionary_encode(), np.array(["a", None, "a"], object)),
        (
            pa.array([NOON, None], pa.timestamp("us", tz="Europe/Berlin")),
            np.array(["2026-01-02T10:00", "NaT"], "datetime64[us]"),
        ),
        (pa.array([dt.date(2026, 1, 2), None]), np.array(["2026-01-02", "NaT"], "datetime64[D]")),
        (pa.array([], pa.string()), np.array([], object)),
        (pa.array([], pa.float64()), np.array([])),
    ],
)
def test_columns_are_read_by_their_type(array: pa.Array, expected: np.ndarray) -> None:
    column = read_column(array)
    assert column.dtype == expected.dtype
    np.testing.assert_array_equal(column, expected)


def test_what_losses_share_cannot_be_written_to(models: Models) -> None:
    @mean_metric("writing", tasks=BINARY, needs_columns=("amount",))
    def writing(batch: Any, problem: Any) -> Any:
        amount = batch.columns["amount"]
        amount[np.isnan(amount)] = 0
        return amount

    plan = plan_of(TaskKind.BINARY, [models.of("near", fit())], ["writing"], slice_sets=(OVERALL,))
    (cell,) = evaluated(plan, table_of()).cells
    assert cell.verdict is Verdict.ERROR
    assert "ValueError" in cell.reason


def test_the_documented_metric_runs(models: Models) -> None:
    page = (Path(__file__).parents[3] / "docs" / "own-metrics.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n# money_metrics\.py\n(.*?)```", page, re.DOTALL)
    assert code is not None
    del METRICS._things["missed_money"]
    exec(code[1], {"__name__": "money_metrics"})
    native, table = fit(), table_of()
    plan = plan_of(
        TaskKind.BINARY, [models.of("near", native)], ["missed_money"], slice_sets=(OVERALL,)
    )
    (cell,) = evaluated(plan, table, 2).cells
    frame = table.to_pandas()
    mask = mask_of(cell, frame)
    expected = np.average(losses(frame, native)["lost"][mask], weights=frame["w"][mask])
    assert cell.measured.value == pytest.approx(expected, rel=1e-9)
