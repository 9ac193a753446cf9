"""The summary that `evalmatrix run` prints at its end.

Everything is readable without colours (verdicts are words) and in any encoding (the summary's own
text is ASCII). Text from data is put in as plain `Text`, never as markup, and without control
characters, so that a slice value can neither restyle nor drive the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.core.vocabulary import EvaluationResult, RunOutcome, Verdict
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.headline import GateReading, Tone, read_gate
from engine.sinks.highlights import Finding, Spot
from engine.sinks.reading import clipped_texts
from engine.sinks.subjects import columns_of, model_label

MAX_FINDINGS = 10
MAX_UNDECIDED = 3
_MAX_METRICS = 30
_MAX_STANDING = 12
_MODEL_WIDTH = 18

_TONES = {
    Tone.GOOD: "bold white on green4",
    Tone.CAUTION: "bold black on yellow3",
    Tone.UNDECIDED: "bold black on yellow3",
    Tone.BAD: "bold white on red3",
    Tone.ERROR: "bold white on magenta",
}
_STYLES = {
    "PASS": "green",
    "FAIL": "bold red",
    "WARN": "yellow",
    "ERROR": "bold magenta",
    "INCONCLUSIVE": "yellow",
    "RECORDED": "dim",
}


def render(
    outcome: RunOutcome, *, console: Console, places: Mapping[str, str] | None = None
) -> None:
    """Prints the gate, the models on all the rows, the gravest cells and where to look.

    `places` names what was written where, e.g. `{"report": "store/reports/.../index.html"}`.
    """
    _gate(outcome, console)
    for evaluation in outcome.evaluations:
        console.print()
        _evaluation(evaluation, console)
    _findings(outcome, console)
    if places:
        console.print()
        _places(places, console)


def _gate(outcome: RunOutcome, console: Console) -> None:
    reading = read_gate(outcome.gate, outcome.cells)
    console.print()
    line = Text(f" {reading.headline.upper()} ", style=_TONES[reading.tone])
    line.append(f"  {fmt.log_line(outcome.info.suite, 60)}", style="bold default on default")
    console.print(line)
    if reading.warned:
        console.print(Text(fmt.log_line(reading.warned), style=_STYLES["WARN"]))
    console.print(Text(fmt.log_line(outcome.gate.reason, 600)))
    console.print(_counts(reading, outcome.seconds))
    for note in reading.notes:
        console.print(Text(f"! {fmt.log_line(note)}", style="yellow"))


def _counts(reading: GateReading, seconds: float) -> Text:
    """All the verdicts with their numbers, zeros included where they matter."""
    line = Text()
    for word, amount in reading.counts.items():
        line.append(f"{fmt.count(amount)} {word}", style=_STYLES[word] if amount else "dim")
        line.append("   ")
    line.append(f"in {fmt.duration(seconds)}", style="dim")
    return line


def _evaluation(evaluation: EvaluationResult, console: Console) -> None:
    data = evaluation.dataset
    title = Text(fmt.log_line(evaluation.name, 60), style="bold")
    title.append(
        f"  {evaluation.task.value}, {fmt.log_line(data.name, 60)} version {data.version}, "
        f"{fmt.plural(data.rows, 'row')}{fmt.log_line(fmt.files_note(data))}",
        style="dim not bold",
    )
    console.print(title)
    for name, message in evaluation.model_errors.items():
        text = f"ERROR  {fmt.log_line(name, 60)}: {fmt.log_line(message, 300)}"
        console.print(Text(text, style=_STYLES["ERROR"]))
    for name, message in evaluation.not_deterministic.items():
        text = f"{fmt.one_line(name, 60)} is not deterministic: {fmt.one_line(message, 300)}"
        console.print(Text(text, style=_STYLES["WARN"]))
    for sentence in clipped_texts(evaluation):
        console.print(Text(sentence, style="dim"))
    rows = highlights.overall_spots(evaluation)
    if not rows:
        console.print(Text("No test was evaluated on all the rows.", style="dim"))
        return
    models = columns_of(evaluation)
    for group in _groups(models, max(1, (console.width - 20) // _MODEL_WIDTH)):
        console.print(_table(evaluation, rows, group))
    if len(rows) > _MAX_METRICS:
        console.print(Text(f"and {fmt.plural(len(rows) - _MAX_METRICS, 'metric')} more"))
    _trend_counts(evaluation, console)


def _trend_counts(evaluation: EvaluationResult, console: Console) -> None:
    """For each candidate on how many slices and metrics it is better or worse, if that is known."""
    tallies = highlights.trend_counts(evaluation)
    if not tallies:
        return
    title = f"against {fmt.log_line(evaluation.baseline or '', 40)}, over slices and metrics"
    console.print(Text(title, style="bold"))
    for name, counts in tallies[:_MAX_STANDING]:
        console.print(Text(f"{fmt.log_line(name, 40)}: {highlights.tally_words(counts)}"))


def _groups(models: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(models), size):
        yield models[start : start + size]


def _table(
    evaluation: EvaluationResult, rows: dict[str, dict[str, Spot]], models: Sequence[str]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column(Text("on all rows"), overflow="fold")
    for name in models:
        head = Text(fmt.log_line(model_label(name), 40))
        if name == evaluation.baseline:
            head.append("\n(baseline)", style="dim not bold")
        table.add_column(head, justify="right", overflow="fold")
    for label, by_model in list(rows.items())[:_MAX_METRICS]:
        cells = [_value(evaluation, by_model, name) for name in models]
        table.add_row(Text(fmt.log_line(label, 60)), *cells)
    return table


def _value(evaluation: EvaluationResult, by_model: dict[str, Spot], name: str) -> Text:
    """`0.8123 PASS`, below it the interval, and the difference to the baseline with its q."""
    spot = by_model.get(name)
    if spot is None:
        return Text("-", style="dim")
    said = highlights.word(spot.worst)
    measured = spot.cells[0].measured
    text = Text(fmt.number(spot.value))
    if said != Verdict.RECORDED.value:
        text.append(f" {said}", style=_STYLES[said])
    if spot.value is not None and (ends := fmt.interval(measured.ci_low, measured.ci_high)):
        text.append(f"\n{ends}", style="dim")
    if not highlights.is_baseline(spot, evaluation.baseline):
        delta = highlights.difference(spot, by_model.get(evaluation.baseline or ""))
        if delta is not None:
            text.append(f"\n{fmt.signed_number(delta)}{highlights.sureness(spot)}", style="dim")
    return text


def _findings(outcome: RunOutcome, console: Console) -> None:
    """The gravest cells; what could not be decided is told after them, in fewer lines."""
    grave = highlights.findings(outcome.cells, ("FAIL", "ERROR", "WARN"))
    undecided = highlights.findings(outcome.cells, ("INCONCLUSIVE",))
    parts = (
        ("What failed", grave, MAX_FINDINGS),
        ("What could not be decided", undecided, MAX_UNDECIDED if grave else MAX_FINDINGS),
    )
    for title, findings, limit in parts:
        if findings:
            console.print()
            console.print(Text(title, style="bold"))
            for finding in findings[:limit]:
                _finding(finding, console)
            if rest := sum(len(finding.cells) for finding in findings[limit:]):
                console.print(Text(f"and {fmt.count(rest)} more: see the report", style="dim"))


def _finding(finding: Finding, console: Console) -> None:
    first = finding.first
    parts = (
        fmt.log_line(model_label(first.model.name), 40),
        fmt.list_names([fmt.log_line(name, 60) for name in finding.slices], 2),
        fmt.list_names([fmt.log_line(name, 60) for name in finding.tests], 2),
    )
    amount = fmt.plural(first.counts.n, "row")
    if len(finding.cells) > 1:
        amount = fmt.plural(len(finding.cells), "cell")
    body = Text(" / ".join(parts))
    body.append(f"\n{fmt.log_line(first.reason, 300)} ({amount})", style="dim")
    line = Table.grid()
    line.add_column(width=13)
    line.add_column(overflow="fold")
    line.add_row(Text(finding.word, style=_STYLES[finding.word]), body)
    console.print(line)


def _places(places: Mapping[str, str], console: Console) -> None:
    console.print(Text("Where to look", style="bold"))
    width = max(len(fmt.log_line(name)) for name in places)
    for name, place in places.items():
        # A path is printed on one line, however long, so that it can be copied.
        text = Text(f"{fmt.log_line(name):<{width}}  ", style="dim")
        text.append(fmt.log_line(place), style="default not dim")
        console.print(text, soft_wrap=True)
