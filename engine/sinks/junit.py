"""`junit.xml`: a run as a CI server reads test results.

One `testsuite` for each model version x dataset of an evaluation, one `testcase` for each cell
that tests something:

    PASS           a testcase with nothing in it
    FAIL           <failure>; with severity warn a passing testcase whose <system-out> begins
                   with `WARN:`, because a warning must not turn CI red
    ERROR          <error>
    INCONCLUSIVE   <skipped> with the reason, and the figures in <system-out>
    RECORDED       no testcase, since it tests nothing; a model for which values were only
                   recorded gets one skipped testcase that says so, because many CI servers
                   take an empty suite for a broken one

A gate that failed or is in error for a reason that no testcase shows (say, inconclusive cells
with `on_inconclusive: fail`) gets a suite of its own, so that CI is never green on it. Names hold
no values, versions or dates: they are the same every night, and CI can follow them. Where two
names would look alike here, both have a mark.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.conditions import demand_text
from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    EvaluationResult,
    GateOutcome,
    ModelVersion,
    RunOutcome,
    Verdict,
)
from engine.planning import free_name
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.subjects import columns_of, reference_label

# The complement of the Char production of XML 1.0.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_TIME = "0.000"


@dataclass(slots=True)
class _Suite:
    """A testsuite while it is filled."""

    name: str
    timestamp: str
    properties: list[tuple[str, str]] = field(default_factory=list)
    cases: list[ET.Element] = field(default_factory=list)

    def count(self, tag: str) -> int:
        return sum(case.find(tag) is not None for case in self.cases)

    def element(self) -> ET.Element:
        node = ET.Element(
            "testsuite",
            name=_legal(self.name),
            timestamp=self.timestamp,
            tests=str(len(self.cases)),
            failures=str(self.count("failure")),
            errors=str(self.count("error")),
            skipped=str(self.count("skipped")),
            time=_NO_TIME,
        )
        if self.properties:
            holder = ET.SubElement(node, "properties")
            for name, value in self.properties:
                ET.SubElement(holder, "property", name=name, value=_legal(value))
        node.extend(self.cases)
        return node


def write(outcome: RunOutcome, path: Path) -> Path:
    """Writes a run's cells as JUnit XML; the same outcome gives the same bytes."""
    pairs = [
        (evaluation, m) for evaluation in outcome.evaluations for m in _tested_models(evaluation)
    ]
    parts = [(e.name, m.name or _data_name(e), e.dataset.name) for e, m in pairs]
    named = _distinct(parts, ".")
    suites = [_suite(outcome, *pair, name) for pair, name in zip(pairs, named, strict=True)]
    if (gate := _gate_suite(outcome, suites)) is not None:
        suites.append(gate)
    root = ET.Element(
        "testsuites",
        name=_legal(fmt.one_line(outcome.info.suite)),
        time=f"{max(outcome.seconds, 0.0):.3f}",
        tests=str(sum(len(suite.cases) for suite in suites)),
        failures=str(sum(suite.count("failure") for suite in suites)),
        errors=str(sum(suite.count("error") for suite in suites)),
    )
    root.extend(suite.element() for suite in suites)
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def _data_name(evaluation: EvaluationResult) -> str:
    """What the data are called among the models."""
    return free_name("data", {model.name for model in evaluation.models})


def _tested_models(evaluation: EvaluationResult) -> list[ModelVersion]:
    """What has a suite of its own: the models, and the data where tests are of these."""
    of_data = NO_MODEL.name in columns_of(evaluation)
    return [*evaluation.models, *([NO_MODEL] if of_data else [])]


def _distinct(listed: Sequence[tuple[str, ...]], sign: str) -> list[str]:
    """Names of the parts joined by a sign; those that would be alike get a mark of their parts."""
    names = [_legal(sign.join(map(fmt.one_line, parts))) for parts in listed]
    seen = Counter(names)
    return [
        f"{name} [{_mark(parts)}]" if seen[name] > 1 else name
        for name, parts in zip(names, listed, strict=True)
    ]


def _mark(parts: tuple[str, ...]) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:8]


def _suite(
    outcome: RunOutcome, evaluation: EvaluationResult, model: ModelVersion, name: str
) -> _Suite:
    suite = _Suite(name, _timestamp(outcome.info.started_at))
    suite.properties = _properties(outcome, evaluation, model)
    own = [cell for cell in evaluation.cells if cell.model.name == model.name]
    tested = [cell for cell in own if cell.verdict is not Verdict.RECORDED]
    named = _distinct([_parts(cell) for cell in tested], "/")
    suite.cases = [_case(suite.name, *named_cell) for named_cell in zip(named, tested, strict=True)]
    if not tested:
        suite.cases.append(_untested_case(suite.name, own, evaluation, model))
    return suite


def _properties(
    outcome: RunOutcome, evaluation: EvaluationResult, model: ModelVersion
) -> list[tuple[str, str]]:
    dataset = evaluation.dataset
    return [
        ("evalmatrix.run_id", outcome.info.run_id),
        ("evalmatrix.suite", outcome.info.suite),
        ("evalmatrix.model_uri", model.uri),
        ("evalmatrix.model_version", model.version or ""),
        ("evalmatrix.model_digest", model.digest),
        ("evalmatrix.dataset", dataset.name),
        ("evalmatrix.dataset_version", str(dataset.version)),
        ("evalmatrix.dataset_table_id", dataset.table_id),
    ]


def _parts(cell: Cell) -> tuple[str, ...]:
    parts = (cell.slice.name, cell.test.name)
    return parts if cell.variant == "clean" else (*parts, cell.variant)


def _case(classname: str, name: str, cell: Cell) -> ET.Element:
    case = _testcase(classname, name)
    said = highlights.word(cell)
    if said == highlights.WARN:
        ET.SubElement(case, "system-out").text = _legal(f"WARN: {_explanation(cell)}")
    elif said == Verdict.FAIL.value:
        _outcome(case, "failure", demand_text(cell.test) or cell.test.metric, cell)
    elif said == Verdict.ERROR.value:
        _outcome(case, "error", "evaluation", cell)
    elif said == Verdict.INCONCLUSIVE.value:
        # Some readers know no text within <skipped>: the facts are in its message and beside it.
        ET.SubElement(case, "skipped", message=_headline(cell))
        ET.SubElement(case, "system-out").text = _legal(_explanation(cell))
    return case


def _outcome(case: ET.Element, tag: str, kind: str, cell: Cell) -> None:
    node = ET.SubElement(case, tag, message=_headline(cell), type=_message(kind))
    node.text = _legal(_explanation(cell))


def _untested_case(
    classname: str, own: list[Cell], evaluation: EvaluationResult, model: ModelVersion
) -> ET.Element:
    case = _testcase(classname, "no tests")
    if (message := evaluation.model_errors.get(model.name)) is not None:
        node = ET.SubElement(case, "error", message=_message(message), type="model")
        node.text = _legal(fmt.clean(message))
        return case
    values = fmt.plural(len(own), "value was recorded", "values were recorded")
    ET.SubElement(case, "skipped", message=f"{values}; no test has a condition")
    return case


def _gate_suite(outcome: RunOutcome, suites: Iterable[_Suite]) -> _Suite | None:
    red = any(suite.count("failure") or suite.count("error") for suite in suites)
    if red or outcome.gate.outcome is GateOutcome.PASSED:
        return None
    tag = "failure" if outcome.gate.outcome is GateOutcome.FAILED else "error"
    name = f"{fmt.one_line(outcome.info.suite)}.gate"
    case = _testcase(name, "gate")
    ET.SubElement(case, tag, message=_message(outcome.gate.reason), type="gate")
    return _Suite(name, _timestamp(outcome.info.started_at), cases=[case])


def _testcase(classname: str, name: str) -> ET.Element:
    # All cells come out of one scan, so that none has a time of its own.
    return ET.Element("testcase", classname=_legal(classname), name=_legal(name), time=_NO_TIME)


def _explanation(cell: Cell) -> str:
    """The facts of a cell, one a line."""
    lines = [
        cell.reason,
        f"value: {fmt.exact(cell.measured.value, 'undefined')}",
        f"condition: {demand_text(cell.test) or 'none'}",
        f"rows: {cell.counts.n}",
    ]
    measured = cell.measured
    if measured.value is None and measured.reason:
        lines.append(f"undefined because: {measured.reason}")
    if measured.detail:
        lines.append(f"detail: {measured.detail}")
    if cell.baseline_model is not None:
        name = reference_label(cell)
        lines.append(f"{name}: {cell.baseline_model}, {fmt.exact(cell.baseline_value)}")
        lines.append(f"difference: {fmt.exact(cell.delta)}")
    intervals = (
        ("interval", measured.ci_low, measured.ci_high),
        ("interval of the difference", cell.delta_ci_low, cell.delta_ci_high),
    )
    chances = (
        ("p of no difference", cell.p_value),
        ("q of no difference", cell.q_value),
        ("p of meeting the condition", cell.violation_p_value),
        ("q of meeting the condition", cell.violation_q_value),
    )
    lines += [
        f"{name}: [{fmt.exact(low)}, {fmt.exact(high)}]"
        for name, low, high in intervals
        if low is not None and high is not None
    ]
    lines += [f"{name}: {fmt.exact(value)}" for name, value in chances if value is not None]
    return fmt.clean("\n".join(lines))


def _headline(cell: Cell) -> str:
    """The reason, and in brackets the intervals, for readers that show nothing but a message."""
    facts = ", ".join(highlights.evidence(cell))
    return _message(f"{fmt.one_line(cell.reason, 700)} ({facts})" if facts else cell.reason)


def _timestamp(when: dt.datetime) -> str:
    utc = when if when.tzinfo is None else when.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}"


def _message(text: str) -> str:
    return _legal(fmt.one_line(text, 1000))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)
