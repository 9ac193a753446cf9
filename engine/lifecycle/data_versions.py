"""Which versions of its data a suite asks for now."""

from __future__ import annotations

from collections.abc import Collection

from engine.data.source import pin_table
from engine.errors import EvalMatrixError
from engine.lifecycle.assessment import DataVersion
from engine.store.tables import StoreTables
from engine.suite import Suite


def newest_versions(
    tables: StoreTables, suite: Suite, evaluations: Collection[str]
) -> dict[str, DataVersion]:
    """The version that each of some evaluations asks for: the newest, or the one it names.

    Of a dataset of files it is the newest version of its table: files that came since are seen by
    the next run.

    Raises:
        DataError: when a table or a version is not there any more.
        StoreError: when a table cannot be read.
    """
    versions = {}
    for evaluation in suite.evaluations:
        if evaluation.name not in evaluations:
            continue
        dataset = evaluation.dataset
        is_table = dataset.format == "delta"
        table = dataset.uri if is_table else tables.store.lake_table(dataset.name)
        try:
            source = pin_table(tables.session, table, dataset.version)
        except EvalMatrixError as error:
            raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
        versions[evaluation.name] = DataVersion(source.table_id, source.version)
    return versions
