"""Candidates on folds: each (candidate, fold) is fitted once, wherever there is room for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.training.folds import Fold
from engine.training.journal import Journal
from engine.training.leaderboard import Candidate, Entry
from engine.training.local_workers import Workers
from engine.training.tasks import FoldScore, FoldTask

OnProgress = Callable[[int, int], None]


def no_progress(finished: int, total: int) -> None:
    """Tells nobody."""


@dataclass
class Evaluator:
    """Does candidates on folds.

    Attributes:
        base: the digest of what all tasks have in common.
        folds: the same ones for each candidate.
        workers: who fits.
        journal: what is finished already.
        on_progress: is told how many of the folds asked for so far are finished.
        fitted: how many were fitted, and not taken from the journal.
        reused: how many were taken from it.
    """

    base: str
    folds: Sequence[Fold]
    workers: Workers
    journal: Journal
    on_progress: OnProgress = no_progress
    fitted: int = 0
    reused: int = 0
    _asked: int = 0
    _scores: dict[str, FoldScore] = field(default_factory=dict)

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        fraction: float | None = None,
        iteration: int = 0,
        rows: int | None = None,
    ) -> list[Entry]:
        """The candidates with their values on each fold, in order.

        Args:
            candidates: what to try.
            fraction: of each fold's rows; None for all.
            iteration: the round of a search.
            rows: how many rows a round takes.
        """
        tasks = [self._tasks(candidate, fraction) for candidate in candidates]
        # What is asked for twice is done once.
        every = {task.key: task for row in tasks for task in row}
        self._asked += sum(key not in self._scores for key in every)
        for key in every:
            score = None if key in self._scores else self.journal.find(key)
            if score is not None:
                self._scores[key] = score
                self.reused += 1
        waiting = [task for key, task in every.items() if key not in self._scores]
        self.on_progress(len(self._scores), self._asked)
        for task, score in self.workers.run(waiting):
            self.journal.add(task, score)
            self._scores[task.key] = score
            self.fitted += 1
            self.on_progress(len(self._scores), self._asked)
        return [
            Entry(candidate, tuple(self._scores[task.key] for task in row), iteration, rows)
            for candidate, row in zip(candidates, tasks, strict=True)
        ]

    def _tasks(self, candidate: Candidate, fraction: float | None) -> list[FoldTask]:
        return [
            FoldTask(self._key(candidate, fold, fraction), candidate.full, number, fraction)
            for number, fold in enumerate(self.folds)
        ]

    def _key(self, candidate: Candidate, fold: Fold, fraction: float | None) -> str:
        parts = [self.base, plain_json(candidate.full), fold.digest, repr(fraction)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def plain_json(value: Any) -> str:
    """A value as JSON in one way: the same for the same value."""
    return json.dumps(value, sort_keys=True, default=repr)


def digest_of(parts: Mapping[str, Any]) -> str:
    """SHA-256 of some facts."""
    return hashlib.sha256(plain_json(parts).encode()).hexdigest()
