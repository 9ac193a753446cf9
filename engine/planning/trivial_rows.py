"""The rows that trivial models are fitted on, found without Spark: the same rows as with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.table_rows import TableRows
from engine.models.trivial.encoding import TEXT_CHARACTERS
from engine.pieces import NotThisWay
from engine.pieces.numbers import are_null, doubles
from engine.pieces.row_hash import hash_rows, is_hashable
from engine.planning.plan import EvaluationPlan


def label_counts(rows: TableRows, plan: EvaluationPlan) -> list[tuple[Any, float, int]]:
    """The labels of a reference, each with the weight and the number of its usable rows."""
    sums: dict[Any, tuple[float, int]] = {}
    for batch, weights in _usable_rows(rows, plan, []):
        coded = batch.column(plan.columns.label).dictionary_encode()
        codes, size = coded.indices.to_numpy(), len(coded.dictionary)
        by_code = np.bincount(codes, weights, size), np.bincount(codes, minlength=size)
        try:
            labels = coded.dictionary.to_pylist()
        except ValueError as error:  # bytes that are no text
            raise NotThisWay("labels are texts that Python does not have") from error
        for label, weight, count in zip(labels, *by_code, strict=True):
            before = sums.get(label, (0.0, 0))
            sums[label] = before[0] + float(weight), before[1] + int(count)
    return [(label, weight, count) for label, (weight, count) in sums.items()]


def target_sums(rows: TableRows, plan: EvaluationPlan) -> tuple[float, float, int]:
    """The weight of a reference's usable rows, that of their targets, and how many there are."""
    whole, total, count = 0.0, 0.0, 0
    for batch, weights in _usable_rows(rows, plan, []):
        with np.errstate(over="ignore", invalid="ignore"):
            total += float((weights * doubles(batch.column(plan.columns.label))).sum())
        whole += float(weights.sum())
        count += batch.num_rows
    return whole, total, count


def sample_here(
    rows: TableRows, plan: EvaluationPlan, wanted: Sequence[str], texts: Sequence[str], most: int
) -> pa.Table:
    """The usable rows of a reference with the smallest hashes (see `projection.sample_rows`).

    Args:
        rows: the reference's.
        plan: the evaluation, with its reference.
        wanted: the columns, which come first; the two hashes follow.
        texts: those of them of which a row's first characters are enough.
        most: how many rows at most.

    Raises:
        NotThisWay: where only Spark can tell them.
        UnreadableError: for a file that cannot be read here.
    """
    assert plan.reference is not None, "its kind reads a reference"
    own = plan.reference.row_columns
    cut = {name for name in texts if name not in own}
    best: list[pa.Table] = []
    for batch, _ in _usable_rows(rows, plan, [*wanted, *own]):
        columns = [
            # No document is kept.
            pc.utf8_slice_codeunits(batch.column(name), 0, TEXT_CHARACTERS)
            if name in cut
            else batch.column(name)
            for name in wanted
        ]
        hashes = _hashes([batch.column(name) for name in own]), _hashes(columns)
        best.append(_as_table([*columns, *hashes]))
        if sum(part.num_rows for part in best) > 4 * most:
            best = [_smallest(best, most)]
    if not best:
        kinds = [rows.type_of(name) for name in wanted]
        return _as_table([pa.array([], kind) for kind in [*kinds, pa.int64(), pa.int64()]])
    return _smallest(best, most)


def _as_table(columns: Sequence[pa.Array]) -> pa.Table:
    return pa.table(list(columns), [f"c{place}" for place in range(len(columns))])


def _smallest(parts: Sequence[pa.Table], most: int) -> pa.Table:
    table = pa.concat_tables(parts)
    by_key, by_rest = (table.column(place).to_numpy() for place in (-2, -1))
    chosen = np.lexsort((by_rest, by_key))[:most]
    return table.take(pa.array(chosen))


def _hashes(columns: Sequence[pa.Array]) -> pa.Array:
    for column in columns:
        if not is_hashable(column.type):
            raise NotThisWay(f"a hash of a column of {column.type}")
    return pa.array(hash_rows(columns, len(columns[0]) if columns else 0))


def _usable_rows(
    rows: TableRows, plan: EvaluationPlan, names: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.float64]]]:
    """The rows that can be learned from, with their weights: those with a label, that count."""
    columns = plan.columns
    weighted = [] if columns.weight is None else [columns.weight]
    for batch in rows.batches(list(dict.fromkeys([*names, columns.label, *weighted]))):
        label = batch.column(columns.label)
        usable = ~are_null(label) if plan.problem.classes else np.isfinite(doubles(label))
        weights = np.ones(batch.num_rows)
        if columns.weight is not None:
            weights = doubles(batch.column(columns.weight))
            usable &= (weights > 0) & (weights < np.inf)
        if usable.any():
            yield batch.filter(pa.array(usable)), weights[usable]
