"""Pieces of a table in an object store: its files are read there as they are on a disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.fs import LocalFileSystem, copy_files
from pyspark.sql import SparkSession

from engine.data.changes.appended import appended_paths
from engine.data.changes.by_pieces import changed_pieces
from engine.data.changes.delta_log import CannotTell, local_commits
from engine.errors import StoreError
from engine.pieces import object_files
from engine.pieces.listing import list_files
from engine.pieces.object_files import is_object_there, plain_uri
from engine.pieces.opening import DamagedFileError, UnreachableError
from engine.pieces.pieces import whole_files
from engine.pieces.scanning import PieceReader
from engine.planning import EvaluationPlan
from engine.planning.piece_columns import piece_reader
from tests.fixtures.object_store import BUCKET, SECRET, ObjectStore
from tests.pieces.test_reading import MAKERS, make_plan, told

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("s3")]

Table = tuple[Path, EvaluationPlan, str]


@pytest.fixture(scope="module", params=["mapped_and_deleted", "partitioned", "of_other_writers"])
def table(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    object_store: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Table:
    """A table on a disk, a plan on it, and where the same files are in the object store."""
    folder = tmp_path_factory.mktemp("tables") / request.param
    plan = make_plan(folder, spark, MAKERS[request.param](folder, spark))
    name = f"pieces/{request.param}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in object_store.environment.items():
            patch.setenv(variable, value)
        copy_files(
            str(folder),
            f"{BUCKET}/{name}",
            source_filesystem=LocalFileSystem(),
            destination_filesystem=object_files._file_system(),
        )
    return folder, plan, object_store.uri(name).replace("s3://", "s3a://")


def read(reader: PieceReader, place: Path | str, version: int) -> pa.Table:
    return pa.Table.from_batches(reader.batches(whole_files(list_files(place, version).files)))


def test_rows_are_those_of_the_same_files_on_a_disk(table: Table) -> None:
    folder, plan, place = table
    version = plan.dataset.version
    here, there = list_files(folder, version), list_files(place, version)
    assert there.columns == here.columns and there.rows == here.rows == plan.dataset.rows
    assert [(file.rows, file.live, file.size) for file in there.files] == [
        (file.rows, file.live, file.size) for file in here.files
    ]
    assert all(file.size > 0 for file in here.files)
    reader = piece_reader(plan, there, "UTC")
    assert told(read(reader, place, version)) == told(read(reader, folder, version))


def test_commits_and_rows_that_moved_are_those_of_the_disk(table: Table) -> None:
    folder, plan, place = table
    last = plan.dataset.version
    if not last:
        with pytest.raises(CannotTell):
            local_commits(place, (0, 1))
        return
    ours, theirs = local_commits(folder, (0, last)), local_commits(place, (0, last))
    assert [(one.operation, len(one.added), len(one.removed)) for one in ours] == [
        (one.operation, len(one.added), len(one.removed)) for one in theirs
    ]
    came = [appended_paths(at, (last - 1, last)) for at in (folder, place)]
    listed = {file.path for file in list_files(place, last).files}
    assert (came[0] is None) == (came[1] is None)
    if came[0] is not None and came[1] is not None:
        assert len(came[0]) == len(came[1]) > 0 and set(came[1]) <= listed
    moved = [
        changed_pieces(at, (last - 1, last), lambda listing: piece_reader(plan, listing, "UTC"))
        for at in (folder, place)
    ]
    (here, reader), (there, _) = moved
    assert (here.rows_came, here.rows_gone) == (there.rows_came, there.rows_gone) != (0, 0)
    for pieces, others in ((here.came, there.came), (here.gone, there.gone)):
        rows, same = (list(reader.batches(side)) for side in (pieces, others))
        assert bool(rows) == bool(same) == bool(pieces)
        if rows:
            assert told(pa.Table.from_batches(rows)) == told(pa.Table.from_batches(same))


def test_what_is_wrong_is_told(
    table: Table, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plan, place = table
    listing = list_files(place, plan.dataset.version)
    reader, pieces = piece_reader(plan, listing, "UTC"), whole_files(listing.files[:1])
    (piece,) = pieces
    assert is_object_there(piece.file.path)
    monkeypatch.setattr(object_files, "_ATTEMPTS", 1)
    object_files._connect.cache_clear()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(UnreachableError, match="refuses the credentials") as refused:
        list(reader.batches(pieces))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"cannot be reached at http:") as away:
        list(reader.batches(pieces))
    assert is_object_there(piece.file.path), "nobody can tell"
    for error in (refused.value, away.value):
        text = str(error)
        assert "\n" not in text and SECRET not in text and piece.file.path in text
        assert error.exit_code == StoreError.exit_code
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    object_files._file_system().delete_file(piece.file.path.removeprefix("s3://"))
    assert not is_object_there(piece.file.path)
    with pytest.raises(DamagedFileError, match="does not exist"):
        list(reader.batches(pieces))
    object_files._connect.cache_clear()


def test_a_scheme_is_told_in_one_way() -> None:
    assert plain_uri("S3A://bucket/a b") == plain_uri("s3://bucket/a b") == "s3://bucket/a b"
