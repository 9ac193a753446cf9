"""What `evalmatrix generate` prints: a table that was made, and what is known of it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.sinks import format as fmt

_MOST_NAMES = 3
_SIMILAR = (
    ("columns, mean", "each column's distribution, mean"),
    ("columns, worst", "the worst column"),
    ("pairs, mean", "how two columns go together, mean"),
    ("pairs, worst", "the worst pair"),
    ("classifier", "a classifier's AUC between them (0.5: cannot tell)"),
)


def render(result: Any, console: Console | None = None) -> None:
    """Prints where the rows are, how close they are, what is planted, and what to know."""
    out = console or Console()
    out.print(_plain(f"{result.table} version {result.version}: {result.rows:,} rows"))
    out.print(_plain(f"made from {result.source}, seed {result.seed}"))
    if result.reference is not None:
        out.print(_plain(f"without plants: {result.reference[0]} version {result.reference[1]}"))
    if result.met < 1:
        out.print(_plain(f"{result.met:.2%} of what was drawn met the conditions"))
    if result.closeness is not None:
        out.print(_closeness(result))
    if result.copies is not None:
        out.print(_plain(copies_text(result)))
    if result.planted:
        out.print(_plant_table(result))
    if result.outcomes:
        out.print(_outcomes(result))
    for note in result.notes:
        out.print(_plain(f"note: {note}"))
    if result.page is not None:
        out.print(_plain(f"in pictures: {result.page}"))
    if result.answers is not None:
        out.print(_plain(f"all of it: {result.answers}"))


def copies_text(result: Any) -> str:
    """How many made rows equal one of the source, beside what is usual in the source."""
    count = "no made row equals" if not result.copies else f"{result.copies:,} made rows equal"
    text = f"{count} one of the source in all columns but the key"
    if result.repeated:
        text += (
            f"; of one half of the source {result.repeated:.2%} of the rows equal one of the other"
        )
    return text


def _closeness(result: Any) -> Table:
    table = Table(title="closeness to the source", title_justify="left")
    for name in ("", "made rows", "two halves of the source", "where"):
        table.add_column(name, overflow="fold")
    own, floor = result.closeness.summary(), result.floor.summary()
    for key, text in _SIMILAR:
        where = own.get(
            key.replace("columns, worst", "worst column").replace("pairs, worst", "worst pair")
        )
        table.add_row(
            text,
            _number(own[key]),
            _number(floor[key]),
            _plain(where if isinstance(where, str) else ""),
        )
    return table


def _plant_table(result: Any) -> Table:
    table = Table(title="planted, and what a right test finds", title_justify="left")
    for name in ("plant", "rows", "finds", "where"):
        table.add_column(name, overflow="fold")
    for item in result.planted:
        answer = item.answer
        finds = "\n".join(f"{name}: {value:.6g}" for name, value in answer.finds.items())
        plant = "; ".join(f"{key}: {_flow(value)}" for key, value in item.plant.items())
        table.add_row(
            _plain(plant), f"{answer.rows:,.0f}", _plain(finds), _plain(answer.where or answer.says)
        )
    return table


def _outcomes(result: Any) -> Table:
    """What is not answered, with the inputs where it is not; what is, counted."""
    table = Table(title="boundaries of the signature", title_justify="left")
    for name in ("value", "signature", "model", "inputs", "said"):
        table.add_column(name, overflow="fold")
    odd: dict[tuple[str, str, str], list[Any]] = {}
    for item in result.outcomes:
        if item.model != "answered":
            odd.setdefault((item.what, item.signature, item.model), []).append(item)
    for key, items in odd.items():
        names = [item.column for item in items if item.column]
        shown = ", ".join(names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        table.add_row(*map(_plain, (*key, shown + more, items[0].said)))
    answered = sum(item.model == "answered" for item in result.outcomes)
    table.caption = f"{answered} of {len(result.outcomes)} are answered"
    return table


def _flow(value: Any) -> str:
    """A plant's keys as YAML has them in a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _plain(text: str) -> Text:
    return Text(fmt.log_text(text))
