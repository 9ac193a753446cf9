"""What a run does once its gate has passed, where its suite has `promote`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engine.commands.context import RunContext
from engine.commands.run_result import RunResult
from engine.core.identity import user_name
from engine.core.vocabulary import EvaluationResult, GateOutcome
from engine.errors import EvalMatrixError
from engine.lifecycle.promotion import promote_version
from engine.lifecycle.request import Ending, Office, PromotionResult, Request
from engine.models.registry import ModelName, Registry
from engine.sinks import github
from engine.sinks.lifecycle import promotion_lines
from engine.store.promotions import Action, Step
from engine.suite import PromoteConfig


def promote_candidates(context: RunContext, result: RunResult) -> RunResult:
    """Promotes the one candidate of each registered model, if the suite says so.

    The results are written by now: whatever comes of it, they stay.
    """
    config = context.suite.promote
    if config is None:
        return result
    context.tell.say(f"promoting to {config.alias!r}")
    registry = Registry(result.tracking_uri)
    with tempfile.TemporaryDirectory(prefix="evalmatrix-promote-") as folder:
        office = Office(context.suite, context.tables, registry, Path(folder))
        try:
            promotions = tuple(_promotions(office, config, result))
        except EvalMatrixError as error:
            return replace(
                result,
                promotion_error=f"nothing was promoted by the run {result.run_id}: {error}; its "
                "results are complete; `evalmatrix promote` tries again",
            )
    folder_of_report = context.store.report_folder(result.run_id)
    lines = [line for promotion in promotions for line in promotion_lines(promotion)]
    github.append(folder_of_report / "summary.md", "Promotion", lines)
    return replace(result, promotions=promotions)


def _promotions(
    office: Office, config: PromoteConfig, result: RunResult
) -> Iterator[PromotionResult]:
    gate = result.gate
    for name, versions in _candidates(result.outcome.evaluations).items():
        ledger = office.ledger(name, config.alias)
        current = ledger.target()
        base = PromotionResult(Ending.REFUSED, Action.PROMOTE, name, config.alias, None, current)
        rows = ledger.rows()
        done = [row for row in rows if row.by_run == result.run_id and row.step is Step.DONE]
        rivals = [version for version in versions if version != current]
        if done:
            note = f"the run {result.run_id} has promoted it before, and does so once"
            yield replace(base, ending=Ending.PROMOTED, version=done[-1].version,
                          from_version=done[-1].from_version, notes=(note,))  # fmt: skip
        elif not rivals:
            yield replace(base, ending=Ending.UNCHANGED, version=current)
        elif gate.outcome is not GateOutcome.PASSED:
            reason = f"the gate of the run {result.run_id} has not passed: {gate.reason}"
            yield replace(base, version=", ".join(rivals), reasons=(reason,))
        elif len(rivals) > 1:
            reason = (
                f"the run {result.run_id} has {len(rivals)} candidates that passed, and does not "
                f"choose among them; name one: `evalmatrix promote {name}/{rivals[-1]}`"
            )
            yield replace(base, version=", ".join(rivals), reasons=(reason,))
        else:
            yield promote_version(office, _request(config, name, rivals[0], result.run_id))


def _request(config: PromoteConfig, name: str, version: str, run_id: str) -> Request:
    return Request(
        model=ModelName(name, version),
        alias=config.alias,
        undecided=config.undecided,
        reason=f"the suite promotes when {config.when}",
        user=user_name(),
        by_run=run_id,
    )


def _candidates(evaluations: Sequence[EvaluationResult]) -> dict[str, list[str]]:
    """The versions of each registered model that are not what others are compared with."""
    versions: dict[str, list[str]] = {}
    for evaluation in evaluations:
        for model in evaluation.models:
            if model.registered_name is None or model.version is None:
                continue
            own = versions.setdefault(model.registered_name, [])
            if model.name != evaluation.baseline and model.version not in own:
                own.append(model.version)
    return {name: sorted(own, key=int) for name, own in versions.items() if own}
