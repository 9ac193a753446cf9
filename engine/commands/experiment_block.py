"""What an experiment's README says between its marks, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.commands.experiment_result import ExperimentResult
from engine.core.vocabulary import Verdict
from engine.sinks.subjects import model_label
from engine.training import Entry, Leaderboard

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

_MOST, _CELLS, _METRICS = 12, 12, 3
# What Markdown takes for a sign of its own.
_SIGNS = re.compile(r"([\\`*_\[\]<>|#])")


def readme_block(result: ExperimentResult, *, picture: str) -> str:
    """The results for a reader: leaderboard, verdicts, and where all comes from.

    Args:
        result: of the experiment.
        picture: where that of the leaderboard is, from the README.
    """
    parts = []
    if result.leaderboard is not None:
        parts += [_finding(result.leaderboard), _board_table(result.leaderboard)]
        parts.append(f"![The candidates' {result.leaderboard.metric} over folds]({picture})")
    if result.trained is not None:
        figures = ", ".join(f"{k} {v:.4f}" for k, v in sorted(result.trained.metrics.items()))
        told = f", on the rows held out: {figures}" if figures else ""
        parts.append(f"Registered as `{result.trained.uri}`{told}.")
    parts += [_run_text(run) for run in result.runs]
    parts.append(_origin(result))
    return "\n\n".join(parts)


def candidate_label(entry: Entry) -> str:
    """What a candidate is called: its hyperparameters where it was searched for, else its name."""
    tried = ", ".join(f"{name}={_value(value)}" for name, value in entry.candidate.params.items())
    name = entry.candidate.name
    label = name if not tried else tried if name.isdecimal() else f"{name}: {tried}"
    return label if entry.rows is None else f"{label} @ {entry.rows} rows"


def _finding(board: Leaderboard) -> str:
    """The best, and whom it can be told from."""
    best, metric = board.best, board.metric
    count = len({entry.candidate.name for entry in board.entries})
    text = (
        f"Best of {count} by {metric}: **{_plain(candidate_label(best))}**, "
        f"{best.mean(metric):.4f} ± {best.std(metric):.4f}."
    )
    rivals = [e for e in board.entries if e.difference is not None and e.difference.low is not None]
    if not rivals:
        return text
    worse = [entry for entry in rivals if _is_worse(entry)]
    if not worse:
        return f"{text} No other differs from it by more than chance may do."
    words = "other is" if len(rivals) == 1 else "others are" if len(worse) > 1 else "others is"
    return f"{text} {len(worse)} of {len(rivals)} {words} worse by more than chance may do."


def _is_worse(entry: Entry) -> bool:
    difference = entry.difference
    if difference is None or difference.low is None or difference.high is None:
        return False
    return difference.low > 0 or difference.high < 0


def _board_table(board: Leaderboard) -> str:
    metrics = board.metrics[:_METRICS]
    rows = [
        [
            str(entry.rank),
            candidate_label(entry),
            *(f"{entry.mean(name):.4f} ± {entry.std(name):.4f}" for name in metrics),
            _difference(entry),
        ]
        for entry in board.entries[:_MOST]
    ]
    table = _table(["rank", "candidate", *metrics, "difference to the best"], rows)
    rest = len(board.entries) - _MOST
    return table if rest <= 0 else f"{table}\n\n{rest} more are in `leaderboard.csv`."


def _difference(entry: Entry) -> str:
    difference = entry.difference
    if difference is None or difference.low is None:
        return ""
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _run_text(run: RunResult) -> str:
    """A suite's gate, with the cells that decide it: first what failed, then the others."""
    gate = run.gate
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in gate.counts.items())
    head = f"Suite `{run.outcome.info.suite}`: **{gate.outcome.value}** ({counts})."
    tested = [cell for cell in run.outcome.cells if cell.verdict is not Verdict.RECORDED]
    tested.sort(key=lambda cell: cell.verdict is Verdict.PASS)
    rows = [
        [
            model_label(cell.model.name),
            cell.slice.name,
            cell.test.name,
            "" if cell.measured.value is None else _value(cell.measured.value),
            cell.verdict.value,
        ]
        for cell in tested[:_CELLS]
    ]
    table = _table(["model", "slice", "test", "value", "verdict"], rows)
    return f"{head}\n\n{table}" if rows else head


def _origin(result: ExperimentResult) -> str:
    commit = result.commit
    if commit.commit:
        state = " (dirty: see `provenance.yml`)" if commit.is_dirty else ""
        where = f"on commit `{commit.commit[:12]}`{state}"
    else:
        where = f"on no commit ({_plain(commit.note)})"
    return (
        f"Run on {result.finished_at:%Y-%m-%d} {where}. "
        f"[All files of the results]({result.folder.name}/)."
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
