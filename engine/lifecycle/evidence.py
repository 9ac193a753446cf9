"""What evidence there is for a model version: verdicts of finished runs, bound to what they judged.

Evidence is read from the store alone: from the plan that a run pinned and from the cells that it
wrote. A tag of the registry is none: everybody may set it, and a copied version brings it along
([why](../../docs/decisions/0023-evidence-not-tags.md)).
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.core.vocabulary import Gate, ModelVersion, Severity, Verdict
from engine.delta.filters import Filter
from engine.delta.records import records
from engine.errors import InputError
from engine.evaluation.verdicts import counts_for_model, gate_of_verdicts
from engine.planning import EvaluationPlan, load_plans
from engine.planning.suites import stored_suite
from engine.store.runs import FINISHED
from engine.store.tables import StoreTables
from engine.suite import GateConfig, Suite, demands, demands_digest

log = logging.getLogger("evalmatrix")

_RUN_COLUMNS = ("run_id", "suite", "started_at", "finished_at", "status", "suite_resolved",
                "evaluations", "user")  # fmt: skip
_CELL_COLUMNS = ("run_id", "evaluation", "model", "verdict", "severity")
_Cells = defaultdict[tuple[str, str], Counter[tuple[str, Verdict, Severity]]]

JUDGED = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR)


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model, with the digest of its artifact as it is there now."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The verdict of one evaluation of a finished run on one registered model version.

    `model` is what the evaluation calls the version, `gate` what the verdicts on it and on the data
    decide by the rules of the run's suite, `baseline` the version it was compared with (None where
    it was compared with none, or is the baseline itself). `demands` is what the run's suite rested
    its verdicts on, and `suite_digest` the digest of that. `reference` is the table and the
    version of the reference dataset that its tests looked at, None where none did.
    """

    run_id: str
    suite: str
    suite_digest: str
    demands: Mapping[str, str]
    evaluation: str
    dataset: str
    dataset_uri: str
    dataset_version: int
    table_id: str
    model: str
    version: RegisteredVersion
    baseline: ModelVersion | None
    started_at: dt.datetime
    finished_at: dt.datetime
    gate: Gate
    user: str = ""
    reference: tuple[str, int] | None = None

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many cells of the version and of the data have each verdict."""
        return self.gate.counts

    @property
    def cells_judged(self) -> int:
        """How many cells demanded something."""
        return sum(self.gate.counts.get(verdict, 0) for verdict in JUDGED)

    @property
    def cells_undecided(self) -> int:
        """How many of these could not be decided, or not be evaluated."""
        counts = self.gate.counts
        return counts.get(Verdict.INCONCLUSIVE, 0) + counts.get(Verdict.ERROR, 0)

    @property
    def baseline_alias(self) -> str | None:
        """The alias by which the run found the baseline: `champion`; None where by none."""
        if self.baseline is None or "@" not in self.baseline.uri:
            return None
        return self.baseline.uri.rpartition("@")[2]


def find_evidence(
    tables: StoreTables,
    registered_name: str,
    version: str | None = None,
    suite: str | None = None,
) -> list[Evidence]:
    """The verdicts of finished runs on a registered model, those of the run that began first first.

    Args:
        tables: the tables of the store.
        registered_name: the registered model.
        version: one of its versions; all of them by default.
        suite: the name of the suites; any by default.

    Raises:
        StoreError: when a table cannot be read.
    """
    written = json.dumps(registered_name)
    runs = [run for run in _finished_runs(tables, suite) if written in run["evaluations"]]
    judged = [
        (run, plan, model)
        for run in runs
        for plan in load_plans(run["evaluations"])
        for model in plan.models
        if model.registered_name == registered_name and version in (None, model.version)
    ]
    cells = _cells(tables, sorted({run["run_id"] for run, _, _ in judged}))
    return list(_evidence(judged, cells))


def has_verdict(
    tables: StoreTables,
    suite: Suite,
    model: RegisteredVersion,
    dataset_versions: Mapping[str, int],
) -> bool:
    """Whether a finished run has judged a version by all that a suite demands, on these data.

    Args:
        tables: the tables of the store.
        suite: the suite; a run of another of the same name, with other demands, does not count.
        model: the version; one of another digest is another model.
        dataset_versions: the versions of the data by the names of the evaluations to look at.

    Raises:
        StoreError: when a table cannot be read.
    """
    digest = demands_digest(suite)
    known: dict[str, dict[str, int]] = {}
    for item in find_evidence(tables, model.name, model.version, suite.name):
        if item.version == model and item.suite_digest == digest and item.gate.counts:
            known.setdefault(item.run_id, {})[item.evaluation] = item.dataset_version
    return any(dict(dataset_versions).items() <= versions.items() for versions in known.values())


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that judges a version, and has not finished: it is no evidence yet."""

    run_id: str
    suite: str
    version: str
    started_at: dt.datetime
    user: str = ""


def open_runs(
    tables: StoreTables, registered_name: str, version: str | None = None
) -> list[OpenRun]:
    """The runs on a registered model that go on, or were stopped.

    Raises:
        StoreError: when a table cannot be read.
    """
    written = json.dumps(registered_name)
    judged = {
        (run["run_id"], model.version): run
        for run in _runs(tables)
        if run["status"] != FINISHED and written in run["evaluations"]
        for plan in load_plans(run["evaluations"])
        for model in plan.models
        if model.registered_name == registered_name and version in (None, model.version)
    }
    return [
        OpenRun(run_id, run["suite"], str(number), run["started_at"], run["user"] or "")
        for (run_id, number), run in judged.items()
    ]


def by_run(evidence: Iterable[Evidence]) -> list[list[Evidence]]:
    """Verdicts run by run, in their order."""
    runs: dict[str, list[Evidence]] = {}
    for item in evidence:
        runs.setdefault(item.run_id, []).append(item)
    return list(runs.values())


def _finished_runs(tables: StoreTables, suite: str | None) -> list[dict[str, Any]]:
    where = [("status", "=", FINISHED), *([] if suite is None else [("suite", "=", suite)])]
    return _runs(tables, where)


def _runs(tables: StoreTables, where: Sequence[Filter] = ()) -> list[dict[str, Any]]:
    """The runs that have pinned their plans, those that began first first."""
    if not tables["runs"].exists():
        return []
    runs = records(tables["runs"].rows(_RUN_COLUMNS, where=where))
    runs = [run for run in runs if run["evaluations"]]
    return sorted(runs, key=lambda run: (run["started_at"], run["run_id"]))


def _cells(tables: StoreTables, runs: Sequence[str]) -> _Cells:
    """The verdicts of runs by run and evaluation: how many there are of each, model by model."""
    cells: _Cells = defaultdict(Counter)
    if not runs or not tables["results"].exists():
        return cells
    rows = tables["results"].rows(_CELL_COLUMNS, where=[("run_id", "in", runs)])
    # Of many nights there are millions of cells, and few kinds of them.
    kinds = rows.group_by(rows.column_names).aggregate([([], "count_all")])
    for row in records(kinds):
        # A table of an earlier version of evalmatrix has no severities.
        severity = Severity(row.get("severity") or Severity.FAIL)
        judged = (row["model"], Verdict(row["verdict"]), severity)
        cells[row["run_id"], row["evaluation"]][judged] += row["count_all"]
    return cells


def _evidence(
    judged: Iterable[tuple[dict[str, Any], EvaluationPlan, ModelVersion]],
    cells: _Cells,
) -> Iterator[Evidence]:
    for run, plan, model in judged:
        suite = _rules(run["suite_resolved"])
        if suite is None:
            continue
        verdicts = (
            (verdict, severity)
            for (name, verdict, severity), count in cells.get(
                (run["run_id"], plan.name), {}
            ).items()
            if counts_for_model(name, model.name)
            for _ in range(count)
        )
        rules = {"on_inconclusive": suite.gate.on_inconclusive, "on_error": suite.gate.on_error}
        yield Evidence(
            run_id=run["run_id"],
            suite=run["suite"],
            suite_digest=suite.digest,
            demands=suite.demands,
            evaluation=plan.name,
            dataset=plan.dataset.name,
            dataset_uri=plan.dataset.uri,
            dataset_version=plan.dataset.version,
            table_id=plan.dataset.table_id,
            model=model.name,
            version=RegisteredVersion(str(model.registered_name), str(model.version), model.digest),
            baseline=_baseline(plan, model),
            started_at=run["started_at"],
            finished_at=run["finished_at"],
            gate=gate_of_verdicts(verdicts, **rules),
            user=run["user"] or "",
            reference=data_of(plan.reference),
        )


def data_of(plan: EvaluationPlan | None) -> tuple[str, int] | None:
    """Which rows a plan is about: the table's id and the version; None where there is no plan."""
    return None if plan is None else (plan.dataset.table_id, plan.dataset.version)


def _baseline(plan: EvaluationPlan, model: ModelVersion) -> ModelVersion | None:
    if plan.base is None or plan.baseline == model.name:
        return None
    return plan.models[plan.base]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What verdicts of a run rest on, read from its suite once."""

    gate: GateConfig
    demands: Mapping[str, str]
    digest: str


@lru_cache(maxsize=64)
def _rules(text: str) -> _Rules | None:
    """The rules of a run; None where its suite cannot be read any more, for want of its plugin.

    That is told, once: what is left out could be the evidence that somebody looks for.
    """
    try:
        suite = stored_suite(text)
    except InputError as error:
        # The file that a mistake stands in is a copy that nobody knows.
        first = (str(error).splitlines()[1:] or [str(error)])[0].strip()
        log.warning("runs whose suite cannot be read here are no evidence: %s", first)
        return None
    return _Rules(suite.gate, demands(suite), demands_digest(suite))
