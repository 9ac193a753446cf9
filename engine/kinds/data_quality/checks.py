"""All checks of `data_quality` by their keys: a new one is a class with its place here."""

from __future__ import annotations

from engine.kinds.data_quality import columns, rows
from engine.kinds.data_quality.check import Check

CHECKS: dict[str, Check] = {
    check.key: check
    for check in (
        columns.NotNull(),
        columns.Range(),
        columns.Allowed(),
        columns.Pattern(),
        columns.TypeOf(),
        columns.RowCount(),
        rows.RowChange(),
        rows.Freshness(),
        rows.Unique(),
        rows.NoDuplicates(),
        rows.NoConflicts(),
        rows.NotConstant(),
        rows.DeterminedBy(),
    )
}
