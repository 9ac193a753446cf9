"""Loads the DAG by Airflow's own loader, and runs its task with a command that ends as told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# What each exit code of the command makes of a task: the last two stop retries, or do not.
WANTED = {0: None, 1: AirflowFailException, 2: AirflowFailException, 3: AirflowFailException,
          4: AirflowException, 137: AirflowException}  # fmt: skip


def main(folder: Path) -> None:
    """Raises where something is wrong."""
    command = folder / "told"
    command.write_text('#!/bin/sh\necho "$@" >>"$CALLS"\nexit "$CODE"\n', encoding="utf-8")
    command.chmod(0o755)
    os.environ |= {"EVALMATRIX": str(command), "CALLS": str(folder / "calls")}
    bag = DagBag(str(folder))
    assert bag.import_errors == {}, bag.import_errors
    (dag,) = bag.dags.values()
    (task,) = dag.tasks
    assert task.retries == 2
    assert [asset.name for asset in task.outlets] == ["claims/gate"]
    for code, wanted in WANTED.items():
        os.environ["CODE"] = str(code)
        raised = None
        try:
            task.python_callable(run_id="scheduled__2026-11-30T03:00:00+00:00")
        except AirflowException as error:
            raised = type(error)
        assert raised is wanted, (code, raised)
    (call,) = set((folder / "calls").read_text().splitlines())
    assert call == ("run claims.yml --run-id claims-scheduled--2026-11-30T03-00-00-00-00"), call


if __name__ == "__main__":
    main(Path(sys.argv[1]))
