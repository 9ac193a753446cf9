"""`summary.md`: a run for a pull request or a step summary.

The gate comes first, then the models on all the rows, then what failed; the rest is folded away.
A step summary over 1,024 KiB is refused whole, so the file stays under 900 KiB: what does not
fit is left out and counted. Text from data or configuration is written with character references,
which neither Markdown nor HTML reads as anything but text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.core.vocabulary import EvaluationResult, MetricValue, RunOutcome
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.headline import Tone, read_gate
from engine.sinks.highlights import Finding, Spot
from engine.sinks.subjects import columns_of, model_label

MAX_BYTES = 900 * 1024
MAX_FINDINGS = 20
_MAX_UNDECIDED = 50
_MAX_METRICS = 60
_MAX_MODELS = 12
_NAME = 120
_REASON = 400
_WARNED = 900

_MARKS = {
    Tone.GOOD: "✅",
    Tone.CAUTION: "⚠️",
    Tone.UNDECIDED: "⚠️",
    Tone.BAD: "❌",
    Tone.ERROR: "🛑",
}
_WORD_MARKS = {"FAIL": "❌", "ERROR": "🛑", "WARN": "⚠️", "INCONCLUSIVE": "❔", "PASS": "✅"}
# What Markdown, GitHub's mathematics or HTML would act on; words stay readable in the source.
_SPECIAL = {ord(mark): f"&#{ord(mark)};" for mark in "|`*[]\\~#$"}
_SPECIAL |= {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
# GitHub turns @name into a mention after Markdown is done; a zero-width space prevents it.
_SPECIAL[ord("@")] = "@&#8203;"
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"(?<=https)://|(?<=http)://|(?<=ftp)://|(?<=www)\.", re.IGNORECASE)
_COMMAND = re.compile("(?<=:):")
_BLOCK = re.compile(r"^([-+=]|\d+[.)])")


def write(outcome: RunOutcome, path: Path) -> Path:
    """Writes a run's summary; the same outcome gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render(outcome).encode("utf-8", "replace"))
    return path


def render(outcome: RunOutcome) -> str:
    """The summary's text: blocks in the order of their weight, as many as fit."""
    blocks = [_head(outcome)]
    room = MAX_BYTES - len(blocks[0].encode("utf-8", "replace")) - 200
    left_out = 0
    for block in _blocks(outcome):
        size = len(block.encode("utf-8", "replace")) + 1
        if size > room:
            left_out += 1
            continue
        room -= size
        blocks.append(block)
    if left_out:
        blocks.append(f"_{fmt.plural(left_out, 'part')} left out for size: see the report._\n")
    return "\n".join(blocks)


def escape(text: str, limit: int = _NAME) -> str:
    """Makes a text of one line that Markdown, HTML and GitHub show as it is."""
    line = fmt.one_line(text, limit).translate(_SPECIAL)
    for pattern in (_EDGE_UNDERSCORE, _LINK, _COMMAND, _BLOCK):
        line = pattern.sub(_reference, line)
    return line


def _reference(match: re.Match[str]) -> str:
    """Writes what was found so that its last mark, or its first of two, means nothing."""
    text = match[0]
    place = 0 if text.startswith(":") else len(text) - 1
    return f"{text[:place]}&#{ord(text[place])};{text[place + 1 :]}"


def _head(outcome: RunOutcome) -> str:
    reading = read_gate(outcome.gate, outcome.cells)
    lines = [f"### {_MARKS[reading.tone]} {reading.headline}: {escape(outcome.info.suite)}", ""]
    if reading.warned:
        lines += [f"**{escape(reading.warned, _WARNED)}**", ""]
    lines += [escape(outcome.gate.reason, _REASON), ""]
    lines += [f"- {escape(note, _WARNED)}" for note in reading.notes]
    counts = " · ".join(_count(word, amount) for word, amount in reading.counts.items() if amount)
    lines += ["", counts or "No cell was judged.", ""]
    return "\n".join(lines)


def _count(word: str, amount: int) -> str:
    """`**12** pass`; what was not decided, or failed as a warning, stands out as a whole."""
    if word in ("INCONCLUSIVE", "WARN"):
        return f"{_WORD_MARKS[word]} **{fmt.count(amount)} {word.lower()}**"
    return f"**{fmt.count(amount)}** {word.lower()}"


def _blocks(outcome: RunOutcome) -> Iterable[str]:
    for evaluation in outcome.evaluations:
        yield _models_table(evaluation)
    grave = highlights.findings(outcome.cells, ("FAIL", "ERROR", "WARN"))
    if grave:
        yield _findings_block("### What failed", grave, MAX_FINDINGS)
    undecided = highlights.findings(outcome.cells, ("INCONCLUSIVE",))
    if undecided:
        title = f"Inconclusive: {fmt.plural(sum(len(f.cells) for f in undecided), 'test')}"
        if grave:
            yield _details(title, _findings_block("", undecided, _MAX_UNDECIDED))
        else:
            # Nothing else needs a reader, so it is not folded away.
            yield _findings_block(f"### {title}", undecided, MAX_FINDINGS)
    yield _details("Run", _facts(outcome))


def _models_table(evaluation: EvaluationResult) -> str:
    rows = highlights.overall_spots(evaluation)
    every = columns_of(evaluation)
    models = [name for name in every if name][:_MAX_MODELS] + [name for name in every if not name]
    lines = [f"### {escape(evaluation.name)} on all rows", ""]
    for name, message in evaluation.model_errors.items():
        lines += [f"- 🛑 <code>{escape(name)}</code>: {escape(message, _REASON)}", ""]
    for name, message in evaluation.not_deterministic.items():
        told = f"<code>{escape(name)}</code> is not deterministic: {escape(message, _REASON)}"
        lines += [f"- {_WORD_MARKS['WARN']} {told}", ""]
    if not rows:
        return "\n".join([*lines, "No test was evaluated on all the rows.", ""])
    titles = [
        f"<code>{escape(model_label(name))}</code>"
        f"{' (baseline)' if name == evaluation.baseline else ''}"
        for name in models
    ]
    lines += _table_head(["metric", *titles], numbers=len(titles))
    for label, by_model in list(rows.items())[:_MAX_METRICS]:
        base = by_model.get(evaluation.baseline or "")
        texts = [_value(by_model.get(name), base, evaluation.baseline) for name in models]
        lines.append(f"| {escape(label)} | {' | '.join(texts)} |")
    lines += ["", *_rest_lines(evaluation, len(rows)), *_trend_lines(evaluation)]
    return "\n".join(lines)


def _trend_lines(evaluation: EvaluationResult) -> list[str]:
    """For each candidate on how many slices and metrics it is better or worse, if that is known."""
    tallies = highlights.trend_counts(evaluation)
    if not tallies:
        return []
    base = f"<code>{escape(evaluation.baseline or '')}</code>"
    lines = [
        f"- <code>{escape(name)}</code>: {highlights.tally_words(counts)}"
        for name, counts in tallies[:_MAX_MODELS]
    ]
    return [f"Against {base} on the same rows, over all slices and metrics:", "", *lines, ""]


def _rest_lines(evaluation: EvaluationResult, rows: int) -> list[str]:
    hidden = []
    if rows > _MAX_METRICS:
        hidden.append(fmt.plural(rows - _MAX_METRICS, "metric"))
    if len(evaluation.models) > _MAX_MODELS:
        hidden.append(fmt.plural(len(evaluation.models) - _MAX_MODELS, "model"))
    return [f"_And {' and '.join(hidden)} more: see the report._", ""] if hidden else []


def _value(spot: Spot | None, base: Spot | None, baseline: str | None) -> str:
    if spot is None:
        return "–"
    worst = spot.worst
    measured = spot.cells[0].measured
    text = fmt.estimate(spot.value, measured.ci_low, measured.ci_high, "–")
    mark = _WORD_MARKS.get(highlights.word(worst), "")
    text = f"{text} {mark}".rstrip()
    if not highlights.is_baseline(spot, baseline):
        delta = highlights.difference(spot, base)
        # A bracket right after the interval would make a link of the two.
        text += (
            f" · {fmt.signed_number(delta)}{highlights.sureness(spot)}" if delta is not None else ""
        )
    return text.translate(_SPECIAL)


def _findings_block(heading: str, findings: Sequence[Finding], limit: int) -> str:
    """A table of findings; errors and inconclusive cells with one reason share a row."""
    lines = [heading, ""] if heading else []
    lines += _table_head(["verdict", "model", "slice", "test", "value", "why"])
    for finding in findings[:limit]:
        first = finding.first
        value = _value_text(first.measured) if len(finding.cells) == 1 else "–"
        columns = [
            f"{_WORD_MARKS[finding.word]} {finding.word}",
            f"<code>{escape(model_label(first.model.name))}</code>",
            escape(fmt.list_names([fmt.one_line(name, 60) for name in finding.slices]), 240),
            escape(fmt.list_names([fmt.one_line(name, 60) for name in finding.tests]), 240),
            value,
            escape(first.reason, _REASON),
        ]
        lines.append(f"| {' | '.join(columns)} |")
    if rest := sum(len(finding.cells) for finding in findings[limit:]):
        lines += ["", f"And {fmt.count(rest)} more: see the report."]
    return "\n".join([*lines, ""])


def _value_text(measured: MetricValue) -> str:
    text = fmt.estimate(measured.value, measured.ci_low, measured.ci_high, "–")
    return text.translate(_SPECIAL)


def _facts(outcome: RunOutcome) -> str:
    info = outcome.info
    facts = [
        ("run", info.run_id),
        ("started", fmt.moment(info.started_at)),
        ("took", fmt.duration(outcome.seconds)),
        ("store", info.store),
    ]
    for evaluation in outcome.evaluations[:50]:
        data = evaluation.dataset
        facts.append(("dataset", fmt.dataset_text(data)))
        facts += [("model", f"{m.name}, {m.uri}") for m in evaluation.models[:_MAX_MODELS]]
    lines = _table_head(["", ""])
    lines += [f"| {name} | {escape(value, 240)} |" for name, value in facts]
    return "\n".join([*lines, ""])


def _table_head(titles: Sequence[str], *, numbers: int = 0) -> list[str]:
    rules = ["---"] * (len(titles) - numbers) + ["---:"] * numbers
    return [f"| {' | '.join(titles)} |", f"| {' | '.join(rules)} |"]


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n</details>\n"


def append(path: Path, title: str, lines: Sequence[str]) -> None:
    """Adds a list of sentences to a summary that is written."""
    if not lines or not path.is_file():
        return
    text = "\n".join(["", f"#### {title}", "", *(f"- {escape(line, _WARNED)}" for line in lines)])
    with path.open("ab") as file:
        file.write(f"{text}\n".encode("utf-8", "replace"))
