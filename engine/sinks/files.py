"""The files of a run for people and CI: the report, JUnit, the summary, the results as Parquet.

They are made in a folder of their own and moved to their places when all are there, so that nobody
reads one that is half written.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from engine.core.collector import collector_paused
from engine.core.vocabulary import RunOutcome
from engine.errors import StoreError
from engine.sinks import github, junit, report
from engine.store import results

_NEW = ".new-"


@collector_paused()
def write_report(outcome: RunOutcome, folder: Path) -> None:
    """Writes all the files of a run into a folder.

    Raises:
        StoreError: when they cannot be written; what stood there before is as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_NEW}*"):
            # Of a process that was killed.
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_NEW) as temporary:
            new = Path(temporary)
            report.write(outcome, new)
            junit.write(outcome, new / "junit.xml")
            github.write(outcome, new / "summary.md")
            results.write_parquet(outcome.cells, outcome.info, new / "results.parquet")
            (new / "suite.yml").write_text(outcome.info.suite_resolved, "utf-8")
            for file in sorted(new.iterdir()):
                file.replace(folder / file.name)
    except OSError as error:
        run_id = outcome.info.run_id
        raise StoreError(
            f"the report of the run {run_id!r} could not be written: {error.strerror or error} "
            f"({folder}); the results table is complete; `evalmatrix report --run {run_id}` writes "
            "it when there is room"
        ) from error
