"""The verdict on a registered version: what a finished run says of it, on the data of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.vocabulary import GateOutcome, ModelVersion
from engine.errors import InputError
from engine.lifecycle.evidence import Evidence, by_run, data_of, find_evidence
from engine.planning import EvaluationPlan
from engine.store.tables import StoreTables
from engine.suite import Suite, demands

NO_VERDICT = "none"
"""In the place of a gate: the version could not be evaluated at all."""


@dataclass(frozen=True, slots=True)
class VersionVerdict:
    """What is known of a version of a registered model.

    `gate` is `passed`, `failed`, `error`, or `none` where it could not be evaluated. `is_new` is
    set where the run was made now, `is_asked` where somebody named the version; `report` is the
    folder of its report.
    """

    model: str
    version: str
    gate: str
    reason: str
    run_id: str = ""
    digest: str = ""
    report: str = ""
    is_new: bool = False
    is_asked: bool = False
    tracking_error: str | None = None

    @property
    def passes(self) -> bool:
        return self.gate == GateOutcome.PASSED

    @property
    def counts(self) -> bool:
        """Whether a look ends with its exit code: what was known before is no news."""
        return self.is_new or self.is_asked or self.gate == NO_VERDICT

    @property
    def exit_code(self) -> int:
        """That of `run`, for this version alone."""
        if self.gate == NO_VERDICT:
            return InputError.exit_code
        code = GateOutcome(self.gate).exit_code
        return 4 if self.tracking_error is not None and code == 0 else code

    @property
    def line(self) -> str:
        """The verdict in a line."""
        where = f" (run {self.run_id})" if self.run_id else ""
        gate = "not evaluated" if self.gate == NO_VERDICT else self.gate
        return f"{self.model}/{self.version}: {gate}: {self.reason}{where}"

    def as_known(self) -> VersionVerdict:
        """The same, found again."""
        return replace(self, is_new=False, tracking_error=None)

    def as_new(self, tracking_error: str | None) -> VersionVerdict:
        """The same, of a run that was made now, and of which MLflow may lack something."""
        return replace(self, is_new=True, tracking_error=tracking_error)

    def to_json(self) -> dict[str, Any]:
        """What other programs are told."""
        return {
            "model": self.model,
            "version": self.version,
            "gate": self.gate,
            "reason": self.reason,
            "run_id": self.run_id,
            "digest": self.digest,
            "report": self.report,
            "new": self.is_new,
            "exit_code": self.exit_code,
        }


def stored_verdict(
    tables: StoreTables, suite: Suite, plans: Sequence[EvaluationPlan], model: ModelVersion
) -> VersionVerdict | None:
    """What the newest finished run says of a version that judged it as these plans would.

    That is by the same demands, on the same versions of the data, beside the same baseline.

    Raises:
        StoreError: when a table cannot be read.
    """
    name, version = str(model.registered_name), str(model.version)
    wanted = {plan.name: _circumstances(plan, model) for plan in plans}
    asked = demands(suite).items()
    runs = by_run(find_evidence(tables, name, version, suite.name))
    for run in reversed(runs):
        fitting = [
            item
            for item in run
            # A night of the whole suite demands more, of other evaluations.
            if asked <= item.demands.items()
            and item.version.digest == model.digest
            and wanted.get(item.evaluation) == _of_evidence(item)
        ]
        if {item.evaluation for item in fitting} == wanted.keys():
            return _verdict(tables, fitting)
    return None


def _circumstances(plan: EvaluationPlan, model: ModelVersion) -> tuple[Any, ...]:
    """On which data a version is judged, those of a reference too, and beside which baseline."""
    base = next((other.digest for other in plan.models if other.name == plan.baseline), None)
    return data_of(plan), data_of(plan.reference), None if base == model.digest else base


def _of_evidence(item: Evidence) -> tuple[Any, ...]:
    base = None if item.baseline is None else item.baseline.digest
    data = item.table_id, item.dataset_version
    return data, item.reference, None if base == item.version.digest else base


def _verdict(tables: StoreTables, run: Sequence[Evidence]) -> VersionVerdict:
    """What the evaluations of a run decide together: errors first, then failures."""
    worst = max(run, key=lambda item: item.gate.outcome.exit_code)
    several = len(run) > 1
    reason = f"{worst.evaluation}: {worst.gate.reason}" if several else worst.gate.reason
    return VersionVerdict(
        model=worst.version.name,
        version=worst.version.version,
        gate=worst.gate.outcome.value,
        reason=reason,
        run_id=worst.run_id,
        digest=worst.version.digest,
        report=str(tables.store.report_folder(worst.run_id)),
    )
