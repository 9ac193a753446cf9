"""Runs a scan again when a worker has died of it, with the models to blame apart.

A worker notes which model it is at, so the scan that follows runs only these in processes of their
own. Where the notes are on other machines, or name none, it runs all models so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from engine.errors import WorkerDiedError
from engine.models import Guard, Notes
from engine.planning import EvaluationPlan

Scan = Callable[[Guard], pa.Table | None]


def scan_with_retry(
    plan: EvaluationPlan, scan: Scan, say: Callable[[str], None], *, here: bool
) -> pa.Table | None:
    """Runs a scan, and at most twice again: with the models to blame apart, then with all.

    `here` says whether the workers have this machine's disk.

    Raises:
        WorkerDiedError: when a worker has died though all models were apart.
    """
    subjects = plan.subjects
    every = frozenset(subject.number for subject in subjects if subject.model is not None)
    with tempfile.TemporaryDirectory(prefix="evalmatrix-notes-") as folder:
        # Workers elsewhere keep their notes in the folder that Spark gives them.
        notes = folder if here else Path(folder).name
        apart: frozenset[int] = frozenset()
        while True:
            try:
                return scan(Guard(notes, apart))
            except WorkerDiedError:
                if apart == every:
                    raise
                blamed = frozenset(Notes.read(folder)) if not apart else frozenset()
                apart = blamed & every or every
                models = (subjects[number].model for number in sorted(apart))
                names = ", ".join(dict.fromkeys(repr(model.name) for model in models if model))
                say(
                    f"{plan.name}: a Python worker died; scanning again with {names} in "
                    f"{'a process of its' if len(apart) == 1 else 'processes of their'} own"
                )
