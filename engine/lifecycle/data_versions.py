"""Which versions of its data a suite asks for now."""

from __future__ import annotations

from collections.abc import Collection

from engine.data.files.since import files_since
from engine.data.source import files_of, pin_table
from engine.errors import EvalMatrixError
from engine.lifecycle.assessment import DataVersion
from engine.store.tables import StoreTables
from engine.suite import DatasetSource, Suite


def newest_versions(
    tables: StoreTables, suite: Suite, evaluations: Collection[str]
) -> dict[str, DataVersion]:
    """The version that each of some evaluations asks for: the newest, or the one it names.

    Of a dataset of files it is the newest version of its table, with what became of the files
    since; they are looked at, and not taken.

    Raises:
        DataError: when a table, a version or all files are not there any more.
        StoreError: when a table cannot be read.
    """
    versions = {}
    for evaluation in suite.evaluations:
        if evaluation.name in evaluations:
            try:
                versions[evaluation.name] = _newest(tables, evaluation.dataset)
            except EvalMatrixError as error:
                raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
    return versions


def _newest(tables: StoreTables, dataset: DatasetSource) -> DataVersion:
    if dataset.format == "delta":
        source = pin_table(tables.session, dataset.uri, dataset.version)
        return DataVersion(source.table_id, source.version)
    asked = files_of(tables.store, dataset)
    source = pin_table(tables.session, asked.table, dataset.version)
    is_newest = dataset.version == "latest"
    names = files_since(tables.session, asked) if is_newest else []
    return DataVersion(source.table_id, source.version, asked.words(names) if names else "")
