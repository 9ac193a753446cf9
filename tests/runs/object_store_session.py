"""Runs of suites in one process, whose session is started for an object store: a line each.

Each line of standard input is a JSON object, the arguments of `run`; each of standard output says
how it ended. `few_bytes` lowers what the driver takes of states, so that they stay with workers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from engine import run
from engine.errors import EvalMatrixError
from engine.store import state_writer, states


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    few = asked.pop("few_bytes", None)
    before = state_writer.SMALL_BYTES, states.SMALL_BYTES
    if few is not None:
        state_writer.SMALL_BYTES = states.SMALL_BYTES = few
    try:
        return {"code": run(**asked).exit_code, "error": ""}
    except EvalMatrixError as error:
        return {"code": error.exit_code, "error": str(error)}
    finally:
        state_writer.SMALL_BYTES, states.SMALL_BYTES = before


def main() -> None:
    told = sys.stdout
    # What libraries print is no answer.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        told.write(json.dumps(answer(json.loads(line))) + "\n")
        told.flush()


if __name__ == "__main__":
    main()
