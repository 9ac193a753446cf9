"""The main job: suite -> plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.redacted import redacted
from engine.planning.suites import read_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult


@redacted()
def run(
    suite: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    resume: str | None = None,
    spark: SparkSession | None = None,
) -> RunResult:
    """Evaluates a suite's matrix and writes every sink.

    Args:
        suite: the suite file, or what stands in one as a mapping.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        run_id: the run's id, a promise: the same call again goes on where the run was stopped, or
            answers with what it found. One of its own by default.
        resume: the id of a run to complete, or `latest`.
        spark: the session to use; else the active one, or a new local one.

    Raises:
        InputError: when the suite or its inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    loaded = read_suite(suite, tuple(overrides))
    # A mistake in the suite is told before all that a run takes is imported.
    from engine.commands.context import open_run
    from engine.commands.evaluation_run import complete_run

    with open_run(loaded, run_id=run_id, resume=resume, spark=spark) as context:
        return complete_run(context)
