"""What came of an experiment, as the Python API gives it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.training import Leaderboard, SearchResult, Trained
from engine.training.experiments.config import RESULTS_FOLDER, Experiment
from engine.training.experiments.git import Commit
from engine.training.experiments.provenance import warning_of

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What came of an experiment.

    Attributes:
        experiment: what was asked.
        commit: of the working tree that it was run in.
        started_at: when it began, in UTC.
        finished_at: when all was trained and evaluated.
        comparison: the leaderboard with its run in MLflow; None where nothing was compared.
        trained: the version that was registered, if one was.
        runs: of its suites, in their order.
    """

    experiment: Experiment
    commit: Commit
    started_at: dt.datetime
    finished_at: dt.datetime
    comparison: SearchResult | None = None
    trained: Trained | None = None
    runs: tuple[RunResult, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the results were written."""
        return self.experiment.folder / RESULTS_FOLDER

    @property
    def leaderboard(self) -> Leaderboard | None:
        """The candidates, the best first."""
        return None if self.comparison is None else self.comparison.leaderboard

    @property
    def warning(self) -> str | None:
        """Why the commit does not say what was run; None where it does."""
        return warning_of(self.commit)

    @property
    def exit_code(self) -> int:
        """The highest of those of the suites' runs, 0 without any."""
        return max((run.exit_code for run in self.runs), default=0)

    def _repr_html_(self) -> str:
        parts = [] if self.leaderboard is None else [self.leaderboard._repr_html_()]
        return "".join([*parts, *(run._repr_html_() for run in self.runs)])
