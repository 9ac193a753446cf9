"""What cannot be read or written is told with what to do about it, and not with what would harm."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException

from engine.errors import StoreError
from engine.spark.table_errors import read_error, reading, unwritten


def of_spark(text: str) -> Exception:
    return AnalysisException(f"Job aborted.\n\tat org.Some.where\nCaused by: {text}")


FULL = of_spark("java.io.IOException: No space left on device")
FORBIDDEN = of_spark("java.io.FileNotFoundException: /s/runs/part-0.parquet (Permission denied)")
DAMAGED = of_spark("java.lang.RuntimeException: file:/s/runs/part-0.parquet is not a Parquet file")


@pytest.mark.parametrize("spares", [False, True])
@pytest.mark.parametrize(
    ("error", "advice", "never"),
    [
        (FULL, "free the disk of Spark's temporary files, or set TMPDIR", "restore"),
        (FORBIDDEN, "allow this user to read it", "restore"),
        (DAMAGED, "restore it", "TMPDIR"),
    ],
)
def test_a_table_of_the_store_is_restored_only_where_it_is_damaged(
    error: Exception, advice: str, never: str, spares: bool
) -> None:
    with pytest.raises(StoreError) as told, reading("/s/runs", spares=spares):
        raise error
    assert f"; {advice}" in str(told.value) and never not in str(told.value)
    assert ("move the whole folder away" in str(told.value)) == (spares and error is DAMAGED)


def test_a_full_disk_of_temporary_files_is_no_fault_of_a_dataset() -> None:
    assert str(read_error(FULL, "dataset 'd'")) == (
        "dataset 'd' could not be read: No space left on device; free the disk of Spark's "
        "temporary files, or set TMPDIR to a folder of another one"
    )
    assert "Spark's temporary files" in str(unwritten("/s/states", FULL))
