"""Where the results of an experiment come from: code, data, packages, Python, platform.

No path leads out of the repository, and no name of the machine is told: the file is committed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.training.config import CONFIG_FILE
from engine.training.experiments.config import EXPERIMENT_FILE, Experiment
from engine.training.experiments.git import Commit
from engine.training.fitting import code_path
from engine.training.rows import data_files


def package_lock() -> str:
    """The packages of this interpreter, `name==version`, a line for each, in their order."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        # Of two with one name the first is what is imported.
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        versions.setdefault(name, distribution.version)
    return "".join(f"{name}=={versions[name]}\n" for name in sorted(versions) if name)


def shown_path(path: Path | str, experiment: Path, root: Path | None) -> str:
    """A path as results show it: from the experiment's folder, if it is in the repository.

    Of others the last part alone is told.
    """
    place = Path(os.path.normpath(Path(path).absolute()))
    base = Path(os.path.normpath(experiment))
    top = experiment.parent if root is None else root
    inside = place.resolve().is_relative_to(top.resolve())
    return Path(os.path.relpath(place, base)).as_posix() if inside else place.name


def file_digests(experiment: Experiment, root: Path | None) -> Iterator[dict[str, Any]]:
    """The files that decide what is fitted: configs, code, training data, suites."""
    paths: list[Path] = [experiment.folder / EXPERIMENT_FILE]
    if experiment.model is not None:
        folder, config = experiment.model
        paths += [folder / CONFIG_FILE, code_path(folder), *data_files(folder, config)]
    paths += [path for path, _ in experiment.suites]
    for path in paths:
        yield {
            "path": shown_path(path, experiment.folder, root),
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }


def git_part(commit: Commit) -> dict[str, Any]:
    """The commit, as the provenance says it."""
    if not commit.commit:
        return {"commit": None, "note": commit.note}
    part: dict[str, Any] = {"commit": commit.commit, "branch": commit.branch or None}
    part["dirty"] = commit.is_dirty
    return part | ({"dirty_paths": list(commit.changes)} if commit.is_dirty else {})


def platform_part() -> dict[str, str]:
    """Python and the kind of machine; not its name."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def warning_of(commit: Commit) -> str | None:
    """What is told of a commit that does not say what was run."""
    if not commit.commit:
        return f"no commit says what was run: {commit.note}"
    if commit.is_dirty:
        return (
            f"commit {commit.commit[:12]} is dirty: {_list_text(commit.changes)} differ"
            f"{'s' if len(commit.changes) == 1 else ''} from it"
        )
    return None


def _list_text(paths: Iterable[str], limit: int = 5) -> str:
    shown = [path.encode("utf-8", "replace").decode() for path in paths]
    rest = len(shown) - limit
    return ", ".join(shown[:limit]) + (f" and {rest} more" if rest > 0 else "")
