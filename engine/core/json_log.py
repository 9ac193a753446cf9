"""The log as JSON: one object a line on standard error, with the run's id where it is known.

It has the messages that the log has as text, and no more: of an error of a library its type, since
a traceback may quote rows.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# The attribute of a record, and of an error, that names its run.
RUN_ID = "evalmatrix_run_id"


@dataclass(slots=True)
class _State:
    run_id: str | None = None


_state = _State()


class JsonFormatter(logging.Formatter):
    """Formats a record as an object: time, level, message, run_id, and whose it is."""

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        run_id = getattr(record, RUN_ID, None) or _state.run_id
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": _message(record),
        }
        if run_id is not None:
            line["run_id"] = run_id
        line["logger"] = record.name
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        # ASCII, so that a stream of any encoding can take it, and each record is one line.
        return json.dumps(line)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a library's mistake costs its own message only
        return str(record.msg)


def use_json() -> None:
    """Has the handlers of the root logger write JSON; Python's own warnings go there too."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())
    logging.captureWarnings(True)


def is_json() -> bool:
    """Whether the log is JSON: nothing else may be written to standard error then."""
    handlers = logging.getLogger().handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)


@contextmanager
def name_run(run_id: str) -> Iterator[None]:
    """Has the lines that are written while the block runs name a run, and what it raises too."""
    before, _state.run_id = _state.run_id, run_id
    try:
        yield
    except BaseException as error:
        vars(error).setdefault(RUN_ID, run_id)
        raise
    finally:
        _state.run_id = before
