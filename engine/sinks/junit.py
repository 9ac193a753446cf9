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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.conditions import demand_text
from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    EvaluationResult,
    GateOutcome,
    ModelTest,
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
# What an attribute cannot have as it is, beside what no text can.
_IN_ATTRIBUTES = {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#09;"}


# The element of a testcase that says how it went, by the word of its cell.
_TAGS = {
    Verdict.FAIL.value: "failure",
    Verdict.ERROR.value: "error",
    Verdict.INCONCLUSIVE.value: "skipped",
}

Attributes = Mapping[str, str]
# An element within a testcase: its tag, its attributes, its text.
Node = tuple[str, Attributes, str]


@dataclass(slots=True)
class _Suite:
    """A testsuite before it is written: named cells, and other testcases with what is in them.

    The elements of a cell are made when it is written, so that millions are never held at once.
    """

    name: str
    timestamp: str
    properties: list[tuple[str, str]] = field(default_factory=list)
    cells: list[tuple[str, Cell]] = field(default_factory=list)
    others: list[tuple[str, Node]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, named: Iterable[tuple[str, Cell]]) -> None:
        """Adds cells with their names."""
        self.cells += named
        self.counts.update(_TAGS.get(highlights.word(cell), "") for _, cell in self.cells)

    def add_other(self, name: str, node: Node) -> None:
        """Adds a testcase that is no cell."""
        self.others.append((name, node))
        self.counts[node[0]] += 1

    @property
    def size(self) -> int:
        return len(self.cells) + len(self.others)

    def lines(self) -> Iterator[str]:
        """The element, line by line."""
        attributes = {
            "name": _legal(self.name),
            "timestamp": self.timestamp,
            "tests": str(self.size),
            "failures": str(self.counts["failure"]),
            "errors": str(self.counts["error"]),
            "skipped": str(self.counts["skipped"]),
            "time": _NO_TIME,
        }
        yield f"  <testsuite{_attributes_text(attributes)}>"
        if self.properties:
            yield "    <properties>"
            for name, value in self.properties:
                about = {"name": name, "value": _legal(value)}
                yield f"      <property{_attributes_text(about)} />"
            yield "    </properties>"
        demands = Demands()
        for name, cell in self.cells:
            yield from self._case(name, _nodes(cell, demands))
        for name, node in self.others:
            yield from self._case(name, [node])
        yield "  </testsuite>"

    def _case(self, name: str, nodes: Sequence[Node]) -> Iterator[str]:
        # All cells come out of one scan, so that none has a time of its own.
        about = {"classname": _legal(self.name), "name": _legal(name), "time": _NO_TIME}
        if not nodes:
            yield f"    <testcase{_attributes_text(about)} />"
            return
        yield f"    <testcase{_attributes_text(about)}>"
        for tag, attributes, text in nodes:
            start = f"      <{tag}{_attributes_text(attributes)}"
            yield f"{start}>{_escaped_text(text)}</{tag}>" if text else f"{start} />"
        yield "    </testcase>"


class Demands(dict[int, str]):
    """What tests demand in words, by what they are in memory: many cells share each."""

    def of(self, test: ModelTest) -> str:
        """The words for a test, "" where it demands nothing."""
        text = self.get(id(test))
        if text is None:
            text = self[id(test)] = demand_text(test) or ""
        return text


def _escaped_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute_text(value: str) -> str:
    text = _escaped_text(value)
    for mark, reference in _IN_ATTRIBUTES.items():
        text = text.replace(mark, reference)
    return text


def _attributes_text(attributes: Attributes) -> str:
    """Attributes as XML has them, each behind a space."""
    return "".join(f' {name}="{_attribute_text(value)}"' for name, value in attributes.items())


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
    about = {
        "name": _legal(fmt.one_line(outcome.info.suite)),
        "time": f"{max(outcome.seconds, 0.0):.3f}",
        "tests": str(sum(suite.size for suite in suites)),
        "failures": str(sum(suite.counts["failure"] for suite in suites)),
        "errors": str(sum(suite.counts["error"] for suite in suites)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("<?xml version='1.0' encoding='utf-8'?>\n")
        file.write(f"<testsuites{_attributes_text(about)}{'' if suites else ' /'}>\n")
        for suite in suites:
            file.writelines(f"{line}\n" for line in suite.lines())
        if suites:
            file.write("</testsuites>\n")
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
    suite.add(zip(named, tested, strict=True))
    if not tested:
        suite.add_other("no tests", _untested_node(own, evaluation, model))
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


def _nodes(cell: Cell, demands: Demands) -> list[Node]:
    """What stands in the testcase of a cell."""
    said = highlights.word(cell)
    if said == Verdict.PASS.value:
        return []
    told = _legal(_explanation(cell, demands))
    if said == highlights.WARN:
        return [("system-out", {}, f"WARN: {told}")]
    about = {"message": _headline(cell)}
    if said == Verdict.FAIL.value:
        about["type"] = _message(demands.of(cell.test) or cell.test.metric)
    elif said == Verdict.ERROR.value:
        about["type"] = "evaluation"
    else:
        # Some readers know no text within <skipped>: the facts are in its message and beside it.
        return [("skipped", about, ""), ("system-out", {}, told)]
    return [(_TAGS[said], about, told)]


def _untested_node(own: list[Cell], evaluation: EvaluationResult, model: ModelVersion) -> Node:
    if (message := evaluation.model_errors.get(model.name)) is not None:
        about = {"message": _message(message), "type": "model"}
        return "error", about, _legal(fmt.clean(message))
    values = fmt.plural(len(own), "value was recorded", "values were recorded")
    return "skipped", {"message": f"{values}; no test has a condition"}, ""


def _gate_suite(outcome: RunOutcome, suites: Iterable[_Suite]) -> _Suite | None:
    red = any(suite.counts["failure"] or suite.counts["error"] for suite in suites)
    if red or outcome.gate.outcome is GateOutcome.PASSED:
        return None
    tag = "failure" if outcome.gate.outcome is GateOutcome.FAILED else "error"
    suite = _Suite(f"{fmt.one_line(outcome.info.suite)}.gate", _timestamp(outcome.info.started_at))
    suite.add_other("gate", (tag, {"message": _message(outcome.gate.reason), "type": "gate"}, ""))
    return suite


def _explanation(cell: Cell, demands: Demands) -> str:
    """The facts of a cell, one a line."""
    lines = [
        cell.reason,
        f"value: {fmt.exact(cell.measured.value, 'undefined')}",
        f"condition: {demands.of(cell.test) or 'none'}",
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
    # What is printable, but for line breaks, is legal.
    return text if fmt.is_plain(text) else _ILLEGAL.sub("", text)
