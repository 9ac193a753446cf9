"""What the latest runs of a suite found on all rows, for pictures of how it went night by night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from engine.core.vocabulary import (
    EvaluationResult,
    Night,
    NightCell,
    RunInfo,
    Severity,
    Verdict,
)
from engine.delta.records import records
from engine.kinds import kind_of
from engine.store.runs import runs_before
from engine.store.tables import StoreTables

# Runs of which a picture has room, this one among them.
MOST_NIGHTS = 30
_CELL_COLUMNS = (
    "run_id", "evaluation", "slice_kind", "model", "test", "dataset_version", "value", "ci_low",
    "ci_high", "verdict", "severity",
)  # fmt: skip


def with_nights(
    tables: StoreTables, info: RunInfo, results: Sequence[EvaluationResult]
) -> list[EvaluationResult]:
    """Evaluations of a run with the nights before it; only those are read for whom a kind asks.

    Raises:
        StoreError: when the tables cannot be read.
    """
    asking = {result.name for result in results if _tests(result)}
    runs = _runs_before(tables, info) if asking else {}
    rows = _rows(tables, runs, asking) if runs else []
    return [_with_own(result, info, runs, rows) if result.name in asking else result
            for result in results]  # fmt: skip


def _tests(result: EvaluationResult) -> set[str]:
    """The names of tests of kinds that look back."""
    return {
        cell.test.name
        for cell in result.cells
        if cell.slice.kind == "overall" and kind_of(cell.test).looks_back
    }


def _runs_before(tables: StoreTables, info: RunInfo) -> dict[str, dt.datetime]:
    """When the latest finished runs of the suite before this one began, in their order."""
    before = runs_before(tables["runs"], info)
    return {run["run_id"]: run["started_at"] for run in before[1 - MOST_NIGHTS :]}


def _rows(
    tables: StoreTables, runs: Collection[str], evaluations: Collection[str]
) -> list[dict[str, Any]]:
    if not tables["results"].exists():
        return []
    where = [
        ("run_id", "in", sorted(runs)),
        ("evaluation", "in", sorted(evaluations)),
        ("slice_kind", "=", "overall"),
    ]
    return records(tables["results"].rows(_CELL_COLUMNS, where=where))


def _with_own(
    result: EvaluationResult,
    info: RunInfo,
    runs: dict[str, dt.datetime],
    rows: Sequence[dict[str, Any]],
) -> EvaluationResult:
    """An evaluation with its nights, this run the last of them."""
    tests = _tests(result)
    cells: dict[str, dict[tuple[str, str], NightCell]] = {}
    versions: dict[str, int] = {}
    for row in rows:
        if row["evaluation"] == result.name and row["test"] in tests:
            severity = Severity(row["severity"] or Severity.FAIL.value)
            cells.setdefault(row["run_id"], {})[row["model"], row["test"]] = NightCell(
                row["value"], row["ci_low"], row["ci_high"], Verdict(row["verdict"]), severity
            )
            versions[row["run_id"]] = row["dataset_version"]
    nights = [
        Night(run, started_at, versions[run], cells[run])
        for run, started_at in runs.items()
        if run in cells
    ]
    own = Night(info.run_id, info.started_at, result.dataset.version, _own_cells(result, tests))
    return replace(result, nights=(*nights, own))


def _own_cells(
    result: EvaluationResult, tests: Collection[str]
) -> dict[tuple[str, str], NightCell]:
    return {
        (cell.model.name, cell.test.name): NightCell(
            cell.measured.value, cell.measured.ci_low, cell.measured.ci_high, cell.verdict,
            cell.test.severity,
        )
        for cell in result.cells
        if cell.slice.kind == "overall" and cell.test.name in tests
    }  # fmt: skip
