"""What is left of a range of commits when a file that was added and removed again cancels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.data.changes.delta_log import Commit, File

# The reads of a plan grow with the number of parts, unless their files can be read by path.
MAX_PARTS = 16
# These take rows from a file by a larger deletion vector; RESTORE may bring rows back.
SHRINKING = frozenset({"DELETE", "UPDATE", "MERGE", "WRITE", "OPTIMIZE", "REORG"})


@dataclass(frozen=True, slots=True)
class Part:
    """The files that came and went from the version `start` to the version `end`.

    `cut` are the files of which some rows came or went, by another deletion vector: as they were
    at the start, and as they are at the end. `grown` says that rows may have come back in these.
    """

    start: int
    end: int
    came: tuple[File, ...]
    gone: tuple[File, ...]
    cut: tuple[tuple[File, File], ...]
    grown: bool

    @property
    def delta(self) -> int | None:
        """By how many rows the table grew; None where the log does not count them."""
        plus = total([*self.came, *(after for _, after in self.cut)])
        minus = total([*self.gone, *(before for before, _ in self.cut)])
        return None if plus is None or minus is None else plus - minus


def total(files: Iterable[File]) -> int | None:
    """The live rows of files; None where the log does not count those of one."""
    counts = [file.rows for file in files]
    known = [rows for rows in counts if rows is not None]
    return sum(known) if len(known) == len(counts) else None


def net(commits: Sequence[Commit], *, rewrites: bool) -> list[Part]:
    """The parts of a range; those in which nothing is left are left out.

    Args:
        commits: of one version after the other.
        rewrites: takes the range as one part, with commits that only rewrote files in it; else
            these divide it, and the rows are looked for before and after them.
    """
    if rewrites:
        return _parts([commits])
    runs: list[list[Commit]] = [[]]
    for commit in commits:
        if commit.rewrites:
            runs.append([])
        elif commit.data:
            runs[-1].append(commit)
    runs = [run for run in runs if run]
    return _parts(runs if len(runs) <= MAX_PARTS else [commits])


def _parts(runs: Sequence[Sequence[Commit]]) -> list[Part]:
    parts = [_part(run) for run in runs if run]
    return [part for part in parts if part.came or part.gone or part.cut]


def _part(commits: Sequence[Commit]) -> Part:
    before: dict[tuple[str, str | None], File] = {}
    after: dict[tuple[str, str | None], File] = {}
    for commit in commits:
        for file in commit.removed:
            # What nobody added before in this range was there at its start.
            if after.pop(file.key, None) is None:
                before[file.key] = file
        for file in commit.added:
            after[file.key] = file
    same = before.keys() & after.keys()
    gone = {file.path: file for key, file in before.items() if key not in same}
    came = {file.path: file for key, file in after.items() if key not in same}
    both = sorted(gone.keys() & came.keys())
    return Part(
        commits[0].version - 1,
        commits[-1].version,
        _with_rows(came[path] for path in sorted(came.keys() - gone.keys())),
        _with_rows(gone[path] for path in sorted(gone.keys() - came.keys())),
        tuple((gone[path], came[path]) for path in both),
        grown=any(commit.operation not in SHRINKING for commit in commits if commit.data),
    )


def _with_rows(files: Iterable[File]) -> tuple[File, ...]:
    return tuple(file for file in files if file.rows != 0)
