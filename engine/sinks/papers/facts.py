"""What is known of a registered version when papers are written about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.core.vocabulary import ModelVersion, TaskKind, Verdict
from engine.planning import EvaluationPlan

Cell = Mapping[str, Any]
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the registry and the training's run say of a version; empty where they are silent.

    `params` are those of the training, `commit` the code that it was trained by.
    """

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    registered_at: dt.datetime | None = None
    registered_by: str = ""
    training_run: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one evaluation of the run says of the version: its plan, the gate, and its cells.

    `cells` are the rows of the results table that are of the version, or of the data alone.
    """

    plan: EvaluationPlan
    model: ModelVersion
    gate: str
    reason: str
    cells: Sequence[Cell]

    @property
    def figures(self) -> list[Cell]:
        """The cells of the version that have a value."""
        return [cell for cell in self.cells if cell["model"] and cell["value"] is not None]

    @property
    def overall(self) -> list[Cell]:
        """The figures on all rows, as they are."""
        return [cell for cell in self.figures if is_overall(cell)]

    @property
    def metrics(self) -> list[Cell]:
        """Of these the metrics as everybody knows them, not what other kinds of tests measure."""
        plain = {test.name for test in self.plan.tests if test.kind == "metric"}
        return [cell for cell in self.overall if cell["test"] in plain]

    def with_verdict(self, verdict: Verdict) -> list[Cell]:
        """The cells that have a verdict."""
        return [cell for cell in self.cells if cell["verdict"] == verdict]

    def count(self, verdict: Verdict) -> int:
        """How many cells have a verdict."""
        return len(self.with_verdict(verdict))


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the papers about a version rest on: one finished run, the registry, the past.

    `events` is the story of the version, each as (when, what, text, who).
    """

    name: str
    version: str
    digest: str
    run_id: str
    suite: str
    suite_text: str
    started_at: dt.datetime
    finished_at: dt.datetime
    user: str
    libraries: Mapping[str, str]
    judgements: Sequence[Judgement]
    origin: Origin = Origin()
    aliases: Sequence[str] = ()
    events: Sequence[tuple[dt.datetime, str, str, str]] = ()

    @property
    def title(self) -> str:
        return f"{self.name} version {self.version}"

    @property
    def model(self) -> ModelVersion:
        """The version, as the first evaluation has it."""
        return self.judgements[0].model

    @property
    def task(self) -> TaskKind:
        return self.model.task

    @property
    def gate(self) -> str:
        """What all evaluations decide together: errors first, then failures."""
        gates = [judgement.gate for judgement in self.judgements]
        return next((gate for gate in ("error", "failed") if gate in gates), "passed")


def is_overall(cell: Cell) -> bool:
    """Whether a cell is of all rows, as they are."""
    return cell["slice"] == OVERALL and is_clean(cell)


def is_clean(cell: Cell) -> bool:
    """Whether a cell is of the rows as they are, behind no perturbation."""
    return cell["variant"] in (None, "clean")


def cell_text(cell: Cell) -> str:
    """A cell's slice, with its variant where it is not of the rows as they are."""
    return str(cell["slice"]) if is_clean(cell) else f"{cell['slice']}, {cell['variant']}"
