"""What stands on the page, in words and in order; the template only lays it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.core.vocabulary import (
    EvaluationResult,
    Gate,
    GateOutcome,
    ModelVersion,
    RunOutcome,
    Verdict,
)
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.headline import GateReading, Tone, read_gate
from engine.sinks.reading import clipped_texts, reading_text
from engine.sinks.report.comparison import Comparison, compare
from engine.sinks.report.costs import CostRow, cost_rows, size_text
from engine.sinks.report.differences import Differences, differences
from engine.sinks.report.figures import Picture
from engine.sinks.report.forest import Forest, forests
from engine.sinks.report.heatmap import HeatMap, heat_map
from engine.sinks.report.kept_pictures import cache_folder, page_pictures
from engine.sinks.report.kinds import KindSection, kind_sections
from engine.sinks.report.problems import Trouble, trouble
from engine.sinks.trust import trust_text

DASH = "–"

_CHIPS = {
    "FAIL": ("failed", "the value breaks the test's condition"),
    "ERROR": ("error", "the value could not be computed, e.g. the model raised"),
    "WARN": ("warning", "a test failed that was set to warn only: the gate does not fail on it"),
    "INCONCLUSIVE": (
        "inconclusive",
        "not enough evidence to say: the interval of the value contains the limit, the rows are "
        "too few, or the value is undefined there",
    ),
    "PASS": ("passed", "the value keeps the test's condition"),
    "RECORDED": ("recorded", "measured only: no condition was set"),
}
_COUNTED = frozenset({"rows", "predictions", "loads", "batches"})
_KINDS = {
    "binary": "two classes",
    "multiclass": "several classes",
    "regression": "a number is predicted",
    "multilabel": "several labels at once",
    "ranking": "items are put in order",
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict in a word, with how often it came."""

    word: str
    name: str
    amount: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value; `code` is for values that are copied rather than read."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class ModelGate:
    """One model of one evaluation at a glance."""

    evaluation: str
    anchor: str
    model: str
    tone: str
    headline: str
    warned: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Section:
    """One evaluation."""

    anchor: str
    name: str
    kind: str
    data: str
    left_out: str
    model_errors: tuple[tuple[str, str], ...]
    not_deterministic: tuple[tuple[str, str], ...]
    comparison: Comparison
    trouble: Trouble
    differences: Differences | None
    forests: tuple[Forest, ...]
    heat: HeatMap
    pictures: tuple[Picture, ...]
    kinds: tuple[KindSection, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where everything came from."""

    models: tuple[tuple[str, ModelVersion, str, str], ...]
    datasets: tuple[EvaluationResult, ...]
    versions: tuple[Fact, ...]
    timings: tuple[Fact, ...]
    costs: tuple[CostRow, ...]
    suite: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    title: str
    suite: str
    gate: GateReading
    reason: str
    chips: tuple[Chip, ...]
    shares: tuple[tuple[str, int], ...]
    facts: tuple[Fact, ...]
    glance: tuple[ModelGate, ...]
    sections: tuple[Section, ...]
    provenance: Provenance


def page(outcome: RunOutcome) -> Page:
    """Turns a run into what its report says."""
    reading = read_gate(outcome.gate, outcome.cells)
    suite = fmt.one_line(outcome.info.suite)
    kept = cache_folder(outcome.info)
    return Page(
        title=f"{reading.headline}: {suite}",
        suite=suite,
        gate=reading,
        reason=fmt.one_line(outcome.gate.reason),
        chips=_chips(reading),
        shares=_shares(reading),
        facts=_facts(outcome),
        glance=_glance(outcome),
        sections=tuple(
            _section(evaluation, f"e{place}", kept)
            for place, evaluation in enumerate(outcome.evaluations, start=1)
        ),
        provenance=_provenance(outcome),
    )


def _chips(reading: GateReading) -> tuple[Chip, ...]:
    return tuple(
        Chip(word, _noun(word, reading.counts[word]), reading.counts[word], meaning)
        for word, (_, meaning) in _CHIPS.items()
        if word in reading.counts
    )


def _noun(word: str, amount: int) -> str:
    """What stands after an amount: `3 failed`, `1 warning`, `2 warnings`."""
    name = _CHIPS[word][0]
    return f"{name}s" if word == highlights.WARN and amount != 1 else name


def _shares(reading: GateReading) -> tuple[tuple[str, int], ...]:
    """What was tested, by verdict, to be drawn as one bar."""
    return tuple(
        (word, reading.counts[word])
        for word in _CHIPS
        if reading.counts.get(word) and word != Verdict.RECORDED.value
    )


def _facts(outcome: RunOutcome) -> tuple[Fact, ...]:
    info = outcome.info
    pinned = dict.fromkeys(
        f"{fmt.one_line(e.dataset.name)} version {e.dataset.version}" for e in outcome.evaluations
    )
    facts = [
        Fact("Run", fmt.one_line(info.run_id), code=True),
        Fact("Started", fmt.moment(info.started_at)),
        Fact("Took", fmt.duration(outcome.seconds)),
        Fact("Datasets", fmt.list_names(list(pinned), 4) or DASH),
        Fact("Store", fmt.one_line(info.store), code=True),
    ]
    if info.user:
        facts.append(Fact("By", fmt.one_line(info.user)))
    return tuple(facts)


def _glance(outcome: RunOutcome) -> tuple[ModelGate, ...]:
    cards = []
    for place, evaluation in enumerate(outcome.evaluations, start=1):
        for model in evaluation.models:
            gate = outcome.model_gates.get((evaluation.name, model.name))
            gate = gate or _gate_from_cells(evaluation, model.name)
            own = [cell for cell in evaluation.cells if cell.model.name == model.name]
            reading = read_gate(gate, own)
            only_recorded = _present(reading) <= {Verdict.RECORDED.value}
            cards.append(
                ModelGate(
                    evaluation=fmt.one_line(evaluation.name),
                    anchor=f"e{place}",
                    model=fmt.one_line(model.name),
                    tone="untested" if only_recorded else reading.tone.value,
                    headline=_short(reading),
                    warned=reading.warned,
                    sentence=_sentence(reading),
                )
            )
    return tuple(cards)


def _gate_from_cells(evaluation: EvaluationResult, model: str) -> Gate:
    """A model's counts where the run brought no gate for it."""
    counts: dict[Verdict, int] = {}
    hard = 0
    for cell in evaluation.cells:
        if cell.model.name == model:
            counts[cell.verdict] = counts.get(cell.verdict, 0) + 1
            hard += highlights.word(cell) == Verdict.FAIL.value
    failed = hard > 0
    error = counts.get(Verdict.ERROR, 0) > 0
    outcome = GateOutcome.ERROR if error else GateOutcome.FAILED if failed else GateOutcome.PASSED
    return Gate(outcome, "", counts, counts.get(Verdict.FAIL, 0) - hard)


def _present(reading: GateReading) -> set[str]:
    return {word for word, amount in reading.counts.items() if amount}


def _short(reading: GateReading) -> str:
    """A model's headline: what its gate says, without the gate."""
    counts = reading.counts
    if reading.tone is Tone.UNDECIDED:
        only_recorded = _present(reading) <= {Verdict.RECORDED.value}
        return "Recorded only" if only_recorded else "Not decided"
    if reading.tone in (Tone.BAD, Tone.ERROR):
        return "Failed" if reading.tone is Tone.BAD else "Error"
    warnings = counts.get(highlights.WARN, 0)
    undecided = counts[Verdict.INCONCLUSIVE] + counts[Verdict.ERROR]
    parts = [fmt.plural(warnings, "warning")] if warnings else []
    if undecided > counts[Verdict.PASS] + warnings:
        return ", ".join([*parts, "mostly undecided"]).capitalize()
    if undecided:
        parts.append(f"{fmt.count(undecided)} undecided")
    return ", ".join(["Passed", *parts])


def _sentence(reading: GateReading) -> str:
    parts = [
        f"{fmt.count(reading.counts[word])} {_noun(word, reading.counts[word])}"
        for word in _CHIPS
        if reading.counts.get(word)
    ]
    return ", ".join(parts) or "no tests"


def _section(evaluation: EvaluationResult, anchor: str, kept: Path | None) -> Section:
    data = evaluation.dataset
    return Section(
        anchor=anchor,
        name=fmt.one_line(evaluation.name),
        kind=_KINDS.get(evaluation.task.value, evaluation.task.value),
        data=fmt.one_line(fmt.dataset_text(data)),
        left_out=_omission_text(evaluation),
        model_errors=_lines(evaluation.model_errors),
        not_deterministic=_lines(evaluation.not_deterministic),
        comparison=compare(evaluation),
        trouble=trouble(evaluation),
        differences=differences(evaluation),
        forests=forests(evaluation, anchor),
        heat=heat_map(evaluation, anchor),
        pictures=tuple(page_pictures(evaluation, anchor, kept)),
        kinds=kind_sections(evaluation),
    )


def _omission_text(evaluation: EvaluationResult) -> str:
    """Which rows no metric of `overall` rests on; nothing is left out in silence."""
    worst = {"null_labels": 0, "bad_scores": 0, "unknown_labels": 0}
    for cell in evaluation.cells:
        if highlights.is_overall(cell.slice):
            for name, seen in worst.items():
                worst[name] = max(seen, getattr(cell.counts, name))
    words = (
        ("null_labels", "without a label"),
        ("bad_scores", "with a prediction that is not a number"),
        ("unknown_labels", "with a label that the model does not know"),
    )
    parts = [f"{fmt.plural(worst[name], 'row')} {text}" for name, text in words if worst[name]]
    left_out = f"Left out: {', '.join(parts)}." if parts else ""
    return " ".join([left_out, *clipped_texts(evaluation)]).strip()


def _provenance(outcome: RunOutcome) -> Provenance:
    timings = [Fact("whole run", fmt.duration(outcome.seconds))]
    for evaluation in outcome.evaluations:
        for step, amount in evaluation.timings.items():
            timings.append(_timing(fmt.one_line(evaluation.name), fmt.one_line(step), amount))
    return Provenance(
        models=tuple(
            (fmt.one_line(e.name), model, reading_text(model), trust_text(model))
            for e in outcome.evaluations
            for model in e.models
        ),
        datasets=tuple(outcome.evaluations),
        versions=tuple(
            Fact(fmt.one_line(name), fmt.one_line(version))
            for name, version in sorted(outcome.info.versions.items())
        ),
        timings=tuple(timings),
        costs=cost_rows(outcome.steps),
        suite=fmt.clean(outcome.info.suite_resolved),
    )


def _timing(evaluation: str, step: str, amount: float) -> Fact:
    """A length of time, or one of the counts that stand among them."""
    if step.partition("/")[0] in _COUNTED:
        words = step.replace("/", ", ", 1)
        return Fact(f"{evaluation}: {words}", fmt.count(round(amount)))
    if step.endswith("_bytes"):
        words = step.removesuffix("_bytes").replace("_", " ")
        return Fact(f"{evaluation}: {words}", size_text(amount))
    # `predict_seconds/claims-v3` is written as `predict, claims-v3`.
    words = step.replace("_seconds", "").replace("/", ", ", 1)
    return Fact(f"{evaluation}: {words}", fmt.duration(amount))


def _lines(told: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What is told of models by their names, each in one line."""
    return tuple((fmt.one_line(name), fmt.one_line(text)) for name, text in told.items())
