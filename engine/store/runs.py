"""The runs table: one row for each run, written when it begins and completed when it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import EvaluationResult, RunInfo, RunOutcome, StepCost
from engine.delta.records import records
from engine.store.tables import StoreTable

RUNS_VERSION = 1
FINISHED = "finished"
_TIME = pa.timestamp("us", tz="UTC")
RUNS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("suite", pa.string()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
        ("status", pa.string()),
        ("gate", pa.string()),
        ("gate_reason", pa.string()),
        ("exit_code", pa.int32()),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("timings", pa.map_(pa.string(), pa.float64())),
        ("versions", pa.map_(pa.string(), pa.string())),
        ("suite_resolved", pa.string()),
        ("evaluations", pa.string()),
        ("steps", pa.string()),
        ("user", pa.string()),
        ("schema_version", pa.int32()),
    ]
)

# Each commit of a table lists its files, with statistics of some columns: those by which runs are
# looked up are enough.
FEW_STATISTICS = {"delta.dataSkippingStatsColumns": "run_id,suite,started_at"}


def _run_row(info: RunInfo, **more: Any) -> pa.Table:
    row = {
        "run_id": info.run_id,
        "suite": info.suite,
        "started_at": info.started_at,
        "finished_at": None,
        "status": "running",
        "gate": None,
        "gate_reason": None,
        "exit_code": None,
        "counts": [],
        "timings": [],
        "versions": list(info.versions.items()),
        "suite_resolved": info.suite_resolved,
        "evaluations": None,
        "steps": None,
        "user": info.user,
        "schema_version": RUNS_VERSION,
        **more,
    }
    return pa.Table.from_pylist([row], RUNS_SCHEMA)


def start_run(table: StoreTable, info: RunInfo, plan: str) -> None:
    """Adds the run's row, once; a resumed run finds its pinned plan there."""
    row = _run_row(info, evaluations=plan)
    # Each row is a file of its own, which is rewritten when the run ends; to mark it as deleted
    # beside the file would be more work.
    properties = {"delta.enableDeletionVectors": "false", **FEW_STATISTICS}
    table.append_once(row, token=f"run {info.run_id}", properties=properties)


def finish_run(table: StoreTable, outcome: RunOutcome, *, exit_code: int) -> None:
    """Completes the run's row with its gate, counts and timings."""
    timings = {
        f"{result.name}/{name}": float(value)
        for result in outcome.evaluations
        for name, value in result.timings.items()
    }
    values = {
        "finished_at": outcome.finished_at,
        "status": FINISHED,
        "gate": outcome.gate.outcome.value,
        "gate_reason": outcome.gate.reason,
        "exit_code": exit_code,
        "counts": {verdict.value: count for verdict, count in outcome.gate.counts.items()},
        "timings": {**timings, "seconds": float(outcome.seconds)},
    }
    if "steps" in table.columns():
        values["steps"] = _steps_text(outcome.steps)
    table.update([("run_id", "=", outcome.info.run_id)], values)


def keep_steps(table: StoreTable, run_id: str, steps: Sequence[StepCost]) -> None:
    """Notes what the steps of a run cost, where its row has a place for that."""
    if "steps" in table.columns():
        table.update([("run_id", "=", run_id)], {"steps": _steps_text(steps)})


def _steps_text(steps: Sequence[StepCost]) -> str:
    """Steps as JSON: a list of objects with the fields of `StepCost` that are known."""
    known = [
        {name: value for name, value in asdict(step).items() if value not in (None, "")}
        for step in steps
    ]
    return json.dumps(known, ensure_ascii=False)


def read_steps(row: Mapping[str, Any]) -> tuple[StepCost, ...]:
    """What the steps of a run cost, as its row has it; nothing of one of before that."""
    names = {item.name for item in fields(StepCost)}
    return tuple(
        StepCost(**{"name": "", "evaluation": "", **{k: v for k, v in one.items() if k in names}})
        for one in json.loads(row.get("steps") or "[]")
    )


def with_timings(
    results: Sequence[EvaluationResult], row: Mapping[str, Any]
) -> list[EvaluationResult]:
    """A run's evaluations with what they cost when it was made, as its row has it."""
    kept: dict[str, dict[str, float]] = {}
    for key, value in dict(row["timings"] or {}).items():
        # Names may have a slash in them: of `a` and `a/b` the longer one is meant.
        names = [result.name for result in results if key.startswith(f"{result.name}/")]
        if names:
            name = max(names, key=len)
            kept.setdefault(name, {})[key.removeprefix(f"{name}/")] = value
    return [replace(result, timings=kept.get(result.name, result.timings)) for result in results]


def find_run(table: StoreTable, run: str) -> dict[str, Any] | None:
    """The row of a run by its id; None when there is none.

    `latest` is the newest that has finished, or the newest of all where none has.

    Raises:
        StoreError: when the table cannot be read.
    """
    if not table.exists():
        return None
    if run == "latest":
        runs = records(table.rows(("run_id", "started_at", "status")))
        if not runs:
            return None
        run = max(runs, key=lambda row: (row["status"] == FINISHED, *_begin(row)))["run_id"]
    rows = records(table.rows(where=[("run_id", "=", run)]))
    return rows[0] if rows else None


def _begin(row: Mapping[str, Any]) -> tuple[Any, str]:
    return row["started_at"], row["run_id"]


def list_runs(table: StoreTable) -> list[dict[str, Any]]:
    """All runs of a store in the order in which they began, without their plans."""
    columns = ("run_id", "started_at", "status", "gate", "exit_code", "suite_resolved")
    if not table.exists():
        return []
    return sorted(records(table.rows(columns)), key=_begin)


def runs_before(
    table: StoreTable, info: RunInfo, columns: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The finished runs of a suite that began before one of its runs, in their order.

    Each has its id and its beginning, and `columns`.
    """
    if not table.exists():
        return []
    named = ("run_id", "suite", "started_at", "status", *columns)
    before = [
        row
        for row in records(table.rows(named, where=[("suite", "=", info.suite)]))
        if row["status"] == FINISHED
        and row["run_id"] != info.run_id
        and row["started_at"] <= info.started_at
    ]
    return sorted(before, key=_begin)


def correct_exit_codes(table: StoreTable, codes: Mapping[str, int]) -> None:
    """Sets the exit codes of some runs."""
    for code in sorted(set(codes.values())):
        runs = sorted(run_id for run_id, run_code in codes.items() if run_code == code)
        table.update([("run_id", "in", runs)], {"exit_code": code})
