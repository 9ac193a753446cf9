"""What the commands about models print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import typer
from rich.table import Table

from engine.cli.reporting import tell

_SHOWN_METRICS = 3


def show_trained(result: Any) -> int:
    """The URI of the new version; its metrics on standard error. Of a search its leaderboard."""
    leaderboard = getattr(result, "leaderboard", None)
    if leaderboard is not None:
        _show_leaderboard(leaderboard)
        result = result.trained
    if result is not None:
        for name, value in sorted(result.metrics.items()):
            tell(f"{name}: {value:.6g}")
        typer.echo(result.uri)
    return 0


def _show_leaderboard(board: Any) -> None:
    """A line for each candidate: the best first, with what tells it from the best."""
    from engine.sinks import listing

    table = Table(box=None)
    metrics = board.metrics[:_SHOWN_METRICS]
    names = list(dict.fromkeys(name for entry in board.entries for name in entry.candidate.params))
    rounds = any(entry.rows is not None for entry in board.entries)
    heads = ["rank", "candidate", *names, *(["rows"] if rounds else []), *metrics]
    for head in [*heads, "difference to the best", "p"]:
        table.add_column(head)
    for entry in board.entries:
        table.add_row(*map(str, _cells(entry, names, metrics, rounds)))
    listing.wide().print(table)
    messages = Counter(text for entry in board.entries for text in entry.errors.values())
    for text, count in messages.items():
        tell(f"{count} fold{'' if count == 1 else 's'}: {text}")


def _cells(entry: Any, names: list[str], metrics: Any, rounds: bool) -> Iterator[Any]:
    yield entry.rank
    yield entry.candidate.name
    yield from (_value(entry.candidate.params.get(name, "")) for name in names)
    if rounds:
        yield entry.rows
    yield from (f"{entry.mean(name):.4f} ± {entry.std(name):.4f}" for name in metrics)
    difference = entry.difference
    if difference is None or difference.low is None:
        yield from ("", "")
        return
    yield f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
    yield f"{difference.p_value:.3f}"


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def show_draft(drafted: Any) -> int:
    """The suite, or its file; how much is in it on standard error."""
    count, left = drafted.tests, len(drafted.omissions)
    tell(f"{count} tests; {left} left out, see the end of the suite")
    typer.echo(
        drafted.text if drafted.out is None else str(drafted.out), nl=drafted.out is not None
    )
    return 0
