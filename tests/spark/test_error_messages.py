"""What is told of Spark's errors: texts about machinery whole, of all others the name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.spark.error_messages import failure_message, first_line

CANARY = "CANARY-5f0e"
WITHHELD = "whose message may quote the data and is withheld"


class Py4JJavaError(Exception):
    """An error with the text that py4j gives."""


class AnalysisException(Exception):
    """As PySpark's."""


Py4JJavaError.__module__ = "py4j.protocol"
AnalysisException.__module__ = "pyspark.errors.exceptions.captured"


class NumberFormatException(Exception):
    """As PySpark's."""


NumberFormatException.__module__ = "pyspark.errors.exceptions.captured"


def java(*statements: str) -> Py4JJavaError:
    """An error as it comes from the JVM: the first statement, its causes, and their stacks."""
    stack = "\n\tat org.apache.spark.Some.method(Some.scala:843)\n\tat java.base/a.B.c(B.java:1)"
    causes = [f"Caused by: {each}{stack}\n\t... 13 more" for each in statements[1:]]
    head = f"An error occurred while calling o114.save.\n: {statements[0]}{stack}"
    return Py4JJavaError("\n".join([head, *causes]))


# As Spark 4.2 and Delta 4.4 said it.
SPARK = "org.apache.spark.SparkException: "
WRITE = f"{SPARK}[TASK_WRITE_FAILED] Task failed while writing rows to file:/t/u. SQLSTATE: 58030"
CAST = (
    f"org.apache.spark.SparkNumberFormatException: [CAST_INVALID_INPUT] The value '{CANARY}' of "
    'the type "STRING" cannot be cast to "INT" because it is malformed. SQLSTATE: 22018'
)
READ = f"{SPARK}[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///t/b.csv."
MALFORMED = (
    "org.apache.spark.SparkRuntimeException: [MALFORMED_CSV_RECORD] Malformed CSV record: "
    f"2,{CANARY},7,8 SQLSTATE: KD000"
)
GONE = (
    "org.apache.spark.SparkException: [FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while "
    f"reading file file:/t/part/name={CANARY}/part-0.parquet. File does not exist."
)
WORKER = f"""\
[PYTHON_EXCEPTION] An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "/opt/pyspark/worker.py", line 3541, in main
    process()
  File "/home/me/engine/kernel/reading.py", line 30, in read
    raise ValueError("bad " + value)
ValueError: bad {CANARY}
"""

TOLD = {
    "a cast": (java(CAST), f"SparkNumberFormatException [CAST_INVALID_INPUT], {WITHHELD}"),
    "a cast while writing": (
        java(WRITE, CAST),
        f"SparkNumberFormatException [CAST_INVALID_INPUT], {WITHHELD}",
    ),
    "a cast, by PySpark": (
        NumberFormatException(f"[CAST_INVALID_INPUT] The value '{CANARY}' of\n\nJVM stacktrace:"),
        f"NumberFormatException [CAST_INVALID_INPUT], {WITHHELD}",
    ),
    "a record": (
        java(WRITE, READ, MALFORMED),
        f"{READ} (SparkRuntimeException [MALFORMED_CSV_RECORD])",
    ),
    "a number": (
        java(WRITE, f'java.lang.NumberFormatException: For input string: "{CANARY}"'),
        f"NumberFormatException, {WITHHELD}",
    ),
    "a stage": (
        java(
            "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 failed 1 "
            f"times, most recent failure: (host executor driver): {CAST}"
        ),
        f"SparkException, {WITHHELD}",
    ),
    "no space": (
        java(WRITE, "java.io.IOException: No space left on device"),
        "java.io.IOException: No space left on device",
    ),
    "no file": (java(GONE), GONE.replace(CANARY, "…")),
    "a folder of a partition": (
        java(f"java.io.FileNotFoundException: File file:/t/name={CANARY} does not exist"),
        "java.io.FileNotFoundException: File file:/t/name=… does not exist",
    ),
    "a constraint": (
        java(
            "org.apache.spark.sql.delta.schema.DeltaInvariantViolationException: "
            "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint c (name = 'a') violated by "
            f"row with values:\n - name : {CANARY}"
        ),
        f"DeltaInvariantViolationException [DELTA_VIOLATE_CONSTRAINT_WITH_VALUES], {WITHHELD}",
    ),
    "a query": (
        AnalysisException("[UNRESOLVED_COLUMN.WITH_SUGGESTION] No column `agee`, but `age`."),
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] No column `agee`, but `age`.",
    ),
    "any query": (
        AnalysisException("[INVALID_NON_DETERMINISTIC_EXPRESSIONS] The operator expects ..."),
        "[INVALID_NON_DETERMINISTIC_EXPRESSIONS] The operator expects ...",
    ),
    "a value of a partition": (
        AnalysisException(f"[DELTA_PARTITION_COLUMN_CAST_FAILED] Failed to cast {CANARY}"),
        f"AnalysisException [DELTA_PARTITION_COLUMN_CAST_FAILED], {WITHHELD}",
    ),
    "no table": (
        AnalysisException("[DELTA_MISSING_DELTA_TABLE] `/t/x` is not a Delta table."),
        "[DELTA_MISSING_DELTA_TABLE] `/t/x` is not a Delta table.",
    ),
    "a worker": (
        Py4JJavaError(WORKER),
        f"ValueError in a worker's Python, {WITHHELD} (reading.py:30)",
    ),
    "a worker, by the JVM": (
        java(f"org.apache.spark.api.python.PythonException: {WORKER}"),
        f"ValueError in a worker's Python, {WITHHELD} (reading.py:30)",
    ),
    "nothing but a name": (
        java(WRITE, "java.io.EOFException"),
        f"SparkException [TASK_WRITE_FAILED], {WITHHELD}",
    ),
    "no text at all": (java("java.io.EOFException"), "EOFException"),
    "of Python": (ValueError(CANARY), f"ValueError, {WITHHELD}"),
    "of the disk": (
        PermissionError(13, "Permission denied", "/t/x"),
        "[Errno 13] Permission denied: '/t/x'",
    ),
    "of nothing": (ValueError(), "ValueError"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_what_is_told(kind: str) -> None:
    error, expected = TOLD[kind]
    assert CANARY in str(error) or CANARY not in expected
    assert first_line(error) == expected


def failed(action: Callable[[], object]) -> Exception:
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing failed")


def of_data() -> None:
    raise KeyError({"name": CANARY})


def test_what_nobody_expected_is_told_with_its_way_and_without_values() -> None:
    try:
        raise java(CAST)
    except Exception as cause:
        error = failed(of_data)
        error.__cause__ = cause
    text = failure_message(error)
    first, *way = text.splitlines()
    assert (
        first == f"the machinery failed: KeyError, {WITHHELD} (test_error_messages.py:{line_of()})"
    )
    assert any("in of_data" in step for step in way)
    assert CANARY not in text


def line_of() -> int:
    return of_data.__code__.co_firstlineno + 1


def test_of_libraries_only_a_line_is_told() -> None:
    assert failure_message(java(CAST)) == (
        f"the machinery failed: SparkNumberFormatException [CAST_INVALID_INPUT], {WITHHELD}"
    )
    assert failure_message(OSError(28, "No space left on device")) == (
        "the machinery failed: OSError: [Errno 28] No space left on device; make room on the "
        "store's disk and on that of the temporary files (TMPDIR, or /tmp)"
    )
    assert failure_message(OSError(28, "No space left on device", "/a/b")) == (
        "the machinery failed: OSError: [Errno 28] No space left on device: '/a/b'"
    )
