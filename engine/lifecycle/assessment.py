"""Whether what is known of a version is enough to promote it; if not, why, a sentence each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.core.vocabulary import GateOutcome, ModelVersion
from engine.lifecycle.candidates import read_uri
from engine.lifecycle.durations import age_text
from engine.lifecycle.evidence import Evidence, RegisteredVersion, by_run
from engine.suite import Evaluation, Suite, demands

# Clocks of two machines differ by less.
_SKEW = dt.timedelta(minutes=5)
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class DataVersion:
    """A version of a table of data, by the table's own id.

    `changed` names files that came, changed or went since they were taken into it; "" where none.
    """

    table_id: str
    version: int
    changed: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a version must have shown to be promoted.

    `champion` is the version that it would replace, None where there is none yet: then it must be
    `first`. `data` are the newest versions of the suite's datasets by evaluation, as far as the
    suite asks for those. `undecided` is the largest share of cells that may be undecided.
    """

    suite: Suite
    champion: RegisteredVersion | None
    alias: str
    data: Mapping[str, DataVersion]
    now: dt.datetime
    max_age: dt.timedelta
    undecided: float
    first: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The newest verdict on a version, and what speaks against promoting it: nothing, if empty."""

    evidence: tuple[Evidence, ...]
    reasons: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """Whether nothing speaks against it."""
        return bool(self.evidence) and not self.reasons


def assess(version: RegisteredVersion, evidence: Sequence[Evidence], demand: Demand) -> Assessment:
    """Holds the newest run that judged a version against what is demanded.

    Only the newest counts: one that passed before says nothing once a later one failed.

    Args:
        version: the version, with the digest of its artifact as it is now.
        evidence: all that `find_evidence` has of its registered model.
        demand: what is demanded.
    """
    own = [item for item in evidence if item.version.version == version.version]
    runs = by_run(item for item in own if item.suite == demand.suite.name)
    if not runs:
        return Assessment((), (_no_verdict(version, own, demand),))
    newest = runs[-1]
    first = newest[0]
    if first.version.digest != version.digest:
        return Assessment(tuple(newest), (_other_digest(version, first),))
    places = _other_demands(first, demand.suite, version.name)
    if places:
        return Assessment(tuple(newest), (_other_suite(first, places),))
    reasons = [
        *_evaluations_left_out(version, newest, demand.suite),
        *_gate(newest),
        *_undecided_share(newest, demand.undecided),
        *_age(first, demand),
        *_data(newest, demand),
        *_comparison(version, newest, demand),
    ]
    return Assessment(tuple(newest), tuple(reasons))


def _no_verdict(version: RegisteredVersion, own: Sequence[Evidence], demand: Demand) -> str:
    others = sorted({item.suite for item in own})
    hint = f"; runs of {', '.join(map(repr, others))} have" if others else ""
    return (
        f"no finished run of the suite {demand.suite.name!r} in {demand.suite.store!r} has judged "
        f"{version}{hint}; tags, of a copy or set by hand, are no evidence"
    )


def _other_digest(version: RegisteredVersion, item: Evidence) -> str:
    return (
        f"the run {item.run_id} judged another artifact: {version} had the digest "
        f"{item.version.digest[:_SHOWN]} then, and has {version.digest[:_SHOWN]} now"
    )


def _other_demands(item: Evidence, suite: Suite, name: str) -> list[str]:
    """Where the run's suite demanded something else; what it asks of other models is no matter."""
    own = [evaluation for evaluation in suite.evaluations if name in _registered_names(evaluation)]
    now = demands(replace(suite, evaluations=tuple(own)) if own else suite)
    others = tuple(
        f"evaluations.{evaluation.name}."
        for evaluation in suite.evaluations
        if own and evaluation not in own
    )
    return [
        place
        for place in {**now, **item.demands}
        if now.get(place) != item.demands.get(place) and not (others and place.startswith(others))
    ]


def _registered_names(evaluation: Evaluation, *, candidates: bool = False) -> set[str]:
    """The registered models of an evaluation; of its `candidates`, without its baseline."""
    uris = [
        read_uri(model.uri)
        for model in evaluation.models
        if not (candidates and model.name == evaluation.baseline)
    ]
    return {uri.name for uri in uris if uri is not None}


def _other_suite(item: Evidence, places: Sequence[str]) -> str:
    return (
        f"the run {item.run_id} judged by another suite of this name: "
        f"{', '.join(places[:3])} {'differs' if len(places) == 1 else 'differ'}; run the suite as "
        "it is now"
    )


def _evaluations_left_out(
    version: RegisteredVersion, items: Sequence[Evidence], suite: Suite
) -> Iterator[str]:
    """Evaluations that the suite asks of this registered model, and the run did not ask of it."""
    judged = {item.evaluation for item in items}
    for evaluation in suite.evaluations:
        asked = version.name in _registered_names(evaluation, candidates=True)
        if asked and evaluation.name not in judged:
            yield (
                f"the run {items[0].run_id} did not judge it in the evaluation "
                f"{evaluation.name!r}, which the suite asks of {version.name!r}"
            )


def _gate(items: Sequence[Evidence]) -> Iterator[str]:
    for item in items:
        if item.gate.outcome is not GateOutcome.PASSED:
            said = "failed" if item.gate.outcome is GateOutcome.FAILED else "is in error"
            yield (
                f"its gate {said} in the evaluation {item.evaluation!r} of the run {item.run_id}: "
                f"{item.gate.reason}"
            )


def _undecided_share(items: Sequence[Evidence], allowed: float) -> Iterator[str]:
    judged = sum(item.cells_judged for item in items)
    undecided = sum(item.cells_undecided for item in items)
    run_id = items[0].run_id
    if not judged:
        yield f"the run {run_id} demanded nothing of it: no cell has a condition"
    elif undecided / judged > allowed:
        yield (
            f"{undecided:,} of {judged:,} cells could not be decided in the run {run_id}, which is "
            f"{undecided / judged:.3g} of them, and at most {allowed:g} may be"
        )


def _age(item: Evidence, demand: Demand) -> Iterator[str]:
    """By when the run began: one that is asked again has finished now, and judged nothing anew."""
    age = demand.now - item.started_at
    if age > demand.max_age:
        yield (
            f"the run {item.run_id} began {age_text(age)} ago, and its verdict may be at most "
            f"{age_text(demand.max_age)} old"
        )
    elif age < -_SKEW:
        yield (
            f"the run {item.run_id} began {age_text(-age)} in the future; set the clock of the "
            "machine that made it, or of this one, right"
        )


def _data(items: Sequence[Evidence], demand: Demand) -> Iterator[str]:
    for item in items:
        newest = demand.data.get(item.evaluation)
        if newest is None:
            continue
        what = f"the run {item.run_id} judged it on other data: on"
        if newest.table_id != item.table_id:
            yield f"{what} another table {item.dataset!r} than there is now (it was made anew)"
        elif newest.version != item.dataset_version:
            yield (
                f"{what} version {item.dataset_version} of {item.dataset!r}, where the suite asks "
                f"for version {newest.version} now"
            )
        elif newest.changed:
            yield (
                f"{what} version {item.dataset_version} of {item.dataset!r}, and files came, "
                f"changed or went since: {newest.changed}"
            )


def _comparison(
    version: RegisteredVersion, items: Sequence[Evidence], demand: Demand
) -> Iterator[str]:
    """Whether it was compared with what it would replace, by the digests of both."""
    champion, alias = demand.champion, demand.alias
    if champion is None:
        if not demand.first:
            yield (
                f"{version.name!r} has no {alias!r} yet that it could be compared with; a first "
                "one is named as such: --first"
            )
        return
    judged = {item.evaluation for item in items}
    if all(own.baseline is None for own in demand.suite.evaluations if own.name in judged):
        # The suite compares nothing with anything: what it demands stands alone.
        return
    baselines = [item.baseline for item in items if item.baseline is not None]
    if any(baseline.digest == champion.digest for baseline in baselines):
        return
    run_id = items[0].run_id
    if not baselines:
        yield (
            f"the run {run_id} compared it with nothing: expected the baseline "
            f"models:/{champion.name}@{alias}, which is {champion}"
        )
        return
    yield (
        f"the run {run_id} compared it with {_name(baselines[0])}, and the {alias!r} is {champion} "
        "now"
    )


def _name(model: ModelVersion) -> str:
    if model.registered_name is None:
        return repr(model.name)
    return f"{model.registered_name} version {model.version}"
