"""Through which versions of a table of predictions those of the rows stay as they are.

Both tables grow from night to night. Where rows were only added to each, and no prediction came of
a row that had been there without one, the states of the older rows hold, and only what is new is
read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.vocabulary import PredictionsTable
from engine.data.changes.appended import appended_files
from engine.data.changes.delta_log import CannotTell
from engine.data.changes.files import rows_of_files
from engine.data.kept_profiles import digest_of, kept_file
from engine.data.source import Source
from engine.spark import tables
from engine.spark.api import F, spark_errors
from engine.spark.tables import column


@dataclass(frozen=True, slots=True)
class _Epoch:
    """Versions of a dataset and of predictions through which no row's predictions changed.

    They did not where rows were only added to both, and no predictions came of a row that had been
    there before. `grows` tells whether rows were only added to the dataset as well.
    """

    dataset_version: int
    dataset_time: str
    version: int
    time: str
    name: str
    grows: bool = True


def epoch_of(store: Store, table: PredictionsTable, there: Source, dataset: Source) -> str:
    """The name of all versions that have the same predictions for the rows of the dataset."""
    about = ["epoch", dataset.table_id, dataset.table, table.table_id, table.uri, table.key]
    file = kept_file(store, digest_of(about))
    now = _Epoch(
        dataset.version,
        dataset.timestamp.isoformat(),
        there.version,
        there.timestamp.isoformat(),
        f"{there.version} of {there.timestamp.isoformat()}",
    )
    before = _kept_epoch(file)
    if before is None or (now.version == before.version and now.time != before.time):
        # Nothing is known, or the table was restored from a copy and went another way.
        keep(file, asdict(now))
        return now.name
    if now.version < before.version:
        # What came later says nothing of it: it is an epoch of its own, which nobody goes on from.
        return f"only {now.name}"
    same_dataset = _goes_on(dataset, before.dataset_version, before.dataset_time)
    if now.version > before.version and not (
        same_dataset and before.grows and _old_rows_keep_theirs(table, before, there, dataset)
    ):
        keep(file, asdict(now))
        return now.name
    grows = before.grows and same_dataset and _only_grew(dataset, before.dataset_version)
    newest = now if same_dataset else replace(before, version=now.version, time=now.time)
    keep(file, asdict(replace(newest, name=before.name, grows=grows)))
    return before.name


def _kept_epoch(file: Path) -> _Epoch | None:
    try:
        return _Epoch(**read_kept(file))
    except TypeError:
        return None


def _goes_on(source: Source, version: int, time: str) -> bool:
    """Whether a pinned version is an earlier one, or what came of it."""
    return version <= source.version and source.has_version(version, time)


def _old_rows_keep_theirs(
    table: PredictionsTable, before: _Epoch, there: Source, dataset: Source
) -> bool:
    """Whether predictions were only added, and none of a row that was there before."""
    if not _goes_on(there, before.version, before.time):
        return False
    spark = there.session.get()
    try:
        added = appended_files(spark, there.table, (before.version, there.version))
        if not added:
            return False
        layout, files = added
        if not files:
            return True
        names = [F.col(column(name)).alias(f"k{at}") for at, name in enumerate(table.key)]
        came = rows_of_files(layout, files, there.version).select(*names)
        old = tables.read(spark, dataset.table, before.dataset_version).select(*names)
        return not old.join(came, came.columns, "left_semi").limit(1).count()
    except spark_errors(CannotTell):
        return False


def _only_grew(source: Source, since: int) -> bool:
    """Whether rows were only added to a table since an older version."""
    if since == source.version:
        return True
    try:
        versions = (since, source.version)
        return appended_files(source.session.get(), source.table, versions) is not None
    except spark_errors(CannotTell):
        return False
