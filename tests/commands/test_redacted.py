"""What a notebook shows of an error: our own words, and none of Spark's below them."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from pyspark.logger import PySparkLogger

from engine.commands.redacted import redacted
from engine.errors import DataError, StoreError

CANARY = "CANARY-5f0e77"
LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


class Quoting(Exception):
    """As Spark's own: the text has a value of the data."""

    def __str__(self) -> str:
        return f"[CAST_INVALID_INPUT] The value '{CANARY}' cannot be cast"


Quoting.__module__ = "pyspark.errors.exceptions.captured"


def shown(action: Callable[[], object]) -> tuple[str, BaseException]:
    """What a notebook prints of an error that leaves a function of the API."""
    try:
        with redacted():
            action()
    except BaseException as error:
        return "".join(traceback.format_exception(error)), error
    raise AssertionError("nothing was raised")


def ours_of_theirs() -> None:
    try:
        raise Quoting
    except Quoting as error:
        raise DataError("a `where` cannot be computed") from error


def ours_of_ours_of_theirs() -> None:
    try:
        ours_of_theirs()
    except DataError as error:
        raise StoreError("the run stopped") from error


def ours_while_theirs() -> None:
    try:
        raise Quoting
    except Quoting:
        raise DataError("by the way")  # noqa: B904


def ours_of_python() -> None:
    try:
        raise OSError("No space left on device")
    except OSError as error:
        raise StoreError("cannot be written") from error


@pytest.mark.parametrize("action", [ours_of_theirs, ours_of_ours_of_theirs, ours_while_theirs])
def test_causes_that_quote_data_are_not_shown(action: Callable[[], None]) -> None:
    text, error = shown(action)
    assert CANARY not in text and "Quoting" not in text
    assert str(error) in text and action.__name__ in text
    first: BaseException | None = error
    while first is not None:
        assert not isinstance(first, Quoting)
        first = first.__cause__ or first.__context__


def test_other_causes_are_shown() -> None:
    text, _ = shown(ours_of_python)
    assert "OSError: No space left on device" in text


def test_what_nobody_expected_is_told_by_its_name_with_its_notes() -> None:
    def action() -> None:
        error = Quoting()
        error.add_note("`--resume night` does the rest")
        raise error

    text, error = shown(action)
    assert type(error) is StoreError
    assert str(error) == (
        "the machinery failed: Quoting [CAST_INVALID_INPUT], whose message may quote the data and "
        "is withheld"
    )
    assert CANARY not in text and "--resume night" in text


def test_a_stop_comes_through() -> None:
    def action() -> None:
        raise KeyboardInterrupt

    assert isinstance(shown(action)[1], KeyboardInterrupt)


def test_pyspark_logs_no_error_while_a_function_runs_and_again_after_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    loggers = [PySparkLogger.getLogger(name) for name in LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = False
    try:
        with redacted():
            for logger in loggers:
                logger.error(CANARY, errorClass="CAST_INVALID_INPUT")
        assert [logger.disabled for logger in loggers] == [False, False]
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
    assert CANARY not in "".join(capfd.readouterr())
