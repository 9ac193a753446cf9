"""The results table: one row for each cell, written once however often a run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.conditions import demand_text
from engine.core.collector import collector_paused
from engine.core.vocabulary import Cell, EvaluationResult, RunInfo
from engine.store.runs import FEW_STATISTICS
from engine.store.tables import StoreTable

RESULTS_VERSION = 1
_BATCH = 100_000
_TIME = pa.timestamp("us", tz="UTC")
RESULTS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("suite", pa.string()),
        ("evaluation", pa.string()),
        ("started_at", _TIME),
        ("model", pa.string()),
        ("model_uri", pa.string()),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
        ("dataset", pa.string()),
        ("dataset_version", pa.int64()),
        ("slice", pa.string()),
        ("slice_columns", pa.map_(pa.string(), pa.string())),
        ("slice_kind", pa.string()),
        ("test", pa.string()),
        ("metric", pa.string()),
        ("variant", pa.string()),
        ("n", pa.int64()),
        ("weight_sum", pa.float64()),
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("error_bound", pa.float64()),
        ("baseline_model", pa.string()),
        ("baseline_value", pa.float64()),
        ("delta", pa.float64()),
        ("delta_ci_low", pa.float64()),
        ("delta_ci_high", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("condition", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("severity", pa.string()),
        ("n_null_label", pa.int64()),
        ("n_bad_score", pa.int64()),
        ("undefined", pa.string()),
        ("position", pa.int64()),
        ("schema_version", pa.int32()),
        ("violation_p_value", pa.float64()),
        ("violation_q_value", pa.float64()),
    ]
)
_CONSTANT: Mapping[str, Callable[[RunInfo], Any]] = {
    "run_id": lambda info: info.run_id,
    "suite": lambda info: info.suite,
    "started_at": lambda info: info.started_at,
    "schema_version": lambda info: RESULTS_VERSION,
}

# What many cells share, by the field of a cell that has it: read once of each such object.
_SHARED: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "model": {
        "model": attrgetter("name"),
        "model_uri": attrgetter("uri"),
        "model_version": attrgetter("version"),
        "model_digest": attrgetter("digest"),
    },
    "dataset": {"dataset": attrgetter("name"), "dataset_version": attrgetter("version")},
    "slice": {
        "slice": attrgetter("name"),
        "slice_columns": lambda where: list(where.values),
        "slice_kind": attrgetter("kind"),
    },
    "test": {
        "test": attrgetter("name"),
        "metric": attrgetter("metric"),
        "condition": demand_text,
        "severity": attrgetter("severity.value"),
    },
    "verdict": {"verdict": attrgetter("value")},
}

_OF_CELL: Mapping[str, Callable[[Cell], Any]] = {
    **{
        name: attrgetter(path)
        for name, path in {
            "evaluation": "evaluation",
            "variant": "variant",
            "n": "counts.n",
            "weight_sum": "counts.weight_sum",
            "value": "measured.value",
            "ci_low": "measured.ci_low",
            "ci_high": "measured.ci_high",
            "error_bound": "measured.error_bound",
            "reason": "reason",
            "n_null_label": "counts.null_labels",
            "n_bad_score": "counts.bad_scores",
            "undefined": "measured.reason",
        }.items()
    },
    # What compares a cell has the same names in the table.
    **{
        name: attrgetter(name)
        for name in (
            "baseline_model",
            "baseline_value",
            "delta",
            "delta_ci_low",
            "delta_ci_high",
            "p_value",
            "q_value",
            "violation_p_value",
            "violation_q_value",
        )
    },
}


def cells_table(cells: Sequence[Cell], info: RunInfo, *, first: int = 0) -> pa.Table:
    """Cells as an Arrow table of `RESULTS_SCHEMA`.

    `position` is a cell's place among them, where that of the first of them is `first`.
    """

    def column(name: str) -> Iterable[Any]:
        if name == "position":
            return range(first, first + len(cells))
        if name in _CONSTANT:
            return repeat(_CONSTANT[name](info), len(cells))
        return map(_OF_CELL[name], cells)

    shared = _shared_columns(cells)
    columns = [
        shared[field.name] if field.name in shared else pa.array(column(field.name), field.type)
        for field in RESULTS_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA)


def _shared_columns(cells: Sequence[Cell]) -> dict[str, pa.Array]:
    """The columns of what cells share."""
    columns = {}
    for part, readers in _SHARED.items():
        things = list(map(attrgetter(part), cells))
        distinct = {id(thing): thing for thing in things}
        places = {at: place for place, at in enumerate(distinct)}
        where = pa.array([places[id(thing)] for thing in things], pa.int32())
        for name, read in readers.items():
            kind = RESULTS_SCHEMA.field(name).type
            columns[name] = pa.array(map(read, distinct.values()), kind).take(where)
    return columns


def tables_of(cells: Sequence[Cell], info: RunInfo, *, first: int = 0) -> Iterator[pa.Table]:
    """Cells as Arrow tables of some rows each, so that millions are never held twice; at least one.

    `position` is a cell's place among all of them, where that of the first is `first`.
    """
    for start in range(0, max(len(cells), 1), _BATCH):
        yield cells_table(cells[start : start + _BATCH], info, first=first + start)


def write_parquet(cells: Sequence[Cell], info: RunInfo, path: Path) -> None:
    """Writes cells as one Parquet file of `RESULTS_SCHEMA`."""
    with pq.ParquetWriter(path, RESULTS_SCHEMA) as writer:
        for table in tables_of(cells, info):
            writer.write_table(table)


@collector_paused()
def write_results(
    table: StoreTable, result: EvaluationResult, info: RunInfo, *, first: int = 0
) -> None:
    """Appends the cells of an evaluation, once for a run however often it is resumed.

    `first` is how many cells the evaluations before it have.

    Raises:
        StoreError: when the table cannot be written.
    """
    for number, part in enumerate(tables_of(result.cells, info, first=first)):
        token = f"results {info.run_id} {result.name} {number * _BATCH}"
        table.append_once(part, token=token, properties=FEW_STATISTICS)


def read_results(table: StoreTable, run_id: str) -> pa.Table:
    """The cells of a run: by evaluation, and in the order of the suite within it.

    Raises:
        StoreError: when the table cannot be read.
    """
    if not table.exists():
        return RESULTS_SCHEMA.empty_table()
    rows = table.rows(RESULTS_SCHEMA.names, where=[("run_id", "=", run_id)])
    cells = upgrade_rows(rows)
    return cells.sort_by([("evaluation", "ascending"), ("position", "ascending")])


def upgrade_rows(rows: pa.Table) -> pa.Table:
    """Rows in the form of today; a column that came after they were written is null."""
    for field in RESULTS_SCHEMA:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(RESULTS_SCHEMA.names).cast(RESULTS_SCHEMA)
