"""Keeps values of the data out of what a notebook shows of an error.

A notebook prints an error with all its causes, and PySpark writes what it raises to standard error
as well. In both, Spark quotes rows. So the functions that users call raise our own errors without
such causes, whose message has said what may be said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import StoreError
from engine.spark.error_messages import first_line, quotes_data
from engine.spark.query_loggers import QUERY_LOGGERS, silence_query_loggers


@contextmanager
def redacted() -> Iterator[None]:
    """Lets no value of the data out of a block by what it raises or PySpark logs.

    Raises:
        StoreError: in the place of an error of Spark that nobody expected.
    """
    before = {name: _is_disabled(name) for name in QUERY_LOGGERS}
    silence_query_loggers()
    try:
        yield
    except BaseException as error:
        _forget_causes(error)
        if quotes_data(error):
            instead = StoreError(f"the machinery failed: {first_line(error)}")
            for note in getattr(error, "__notes__", ()):
                instead.add_note(note)
            raise instead from None
        raise
    finally:
        for name, disabled in before.items():
            if name in logging.root.manager.loggerDict:
                logging.getLogger(name).disabled = disabled


def _is_disabled(name: str) -> bool:
    logger = logging.root.manager.loggerDict.get(name)
    return isinstance(logger, logging.Logger) and logger.disabled


def _forget_causes(error: BaseException) -> None:
    """Takes from an error the causes that quote data, and what lies below them."""
    current: BaseException | None = error
    while current is not None:
        below = current.__cause__ or current.__context__
        if below is not None and quotes_data(below):
            current.__cause__ = current.__context__ = None
            return
        current = below
