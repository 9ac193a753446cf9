"""Which commit an experiment was run on, and what differed from it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class _Refused(Exception):
    """Git has no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and how the working tree differs from it.

    Attributes:
        root: the working tree's; None where `note` says why there is no commit.
        commit: its hash; "" where nothing is committed yet.
        branch: "" where none is checked out.
        changes: paths that differ, relative to the root; those that were left out are not among
            them.
        note: why nothing is known.
    """

    root: Path | None = None
    commit: str = ""
    branch: str = ""
    changes: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_dirty(self) -> bool:
        """Whether what was run is not what is committed."""
        return bool(self.changes)

    @property
    def tags(self) -> dict[str, str]:
        """As MLflow names them; none where there is no commit."""
        if not self.commit:
            return {}
        tags = {"commit": self.commit, "branch": self.branch, "dirty": str(self.is_dirty).lower()}
        return {f"mlflow.source.git.{key}": value for key, value in tags.items() if value}


def read_commit(folder: Path, left_out: Sequence[Path] = ()) -> Commit:
    """The commit of the working tree that a folder is in.

    Args:
        folder: any of it.
        left_out: files and folders whose changes do not count: what an experiment writes.
    """
    try:
        root = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        changes = _changes(root, left_out)
        branch = _git(folder, "branch", "--show-current").strip()
    except _Refused as refused:
        return Commit(note=str(refused))
    try:
        commit = _git(folder, "rev-parse", "--verify", "HEAD").strip()
    except _Refused:
        return Commit(root, branch=branch, changes=changes, note="nothing is committed yet")
    return Commit(root, commit, branch, changes)


def _changes(root: Path, left_out: Sequence[Path]) -> tuple[str, ...]:
    inside = [path.resolve() for path in left_out]
    specs = [
        f":(exclude,literal){path.relative_to(root.resolve()).as_posix()}"
        for path in inside
        if path.is_relative_to(root.resolve()) and path != root.resolve()
    ]
    told = _git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames",
                "--", ".", *specs)  # fmt: skip
    return tuple(sorted(entry[3:] for entry in told.split("\0") if entry))


def _git(folder: Path, *arguments: str) -> str:
    # Reading must not write the index of a repository at which somebody else works.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        raise _Refused("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Refused(f"git does not answer: {type(error).__name__}") from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        if "not a git repository" in reason:
            reason = "not in a git repository"
        elif "dubious ownership" in reason:
            reason = "git refuses: the repository is another user's"
        raise _Refused(reason or "git refuses")
    return done.stdout.decode("utf-8", "surrogateescape")
