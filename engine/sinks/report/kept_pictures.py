"""Pictures that were drawn before, kept as files of the store's cache.

A night with nothing new has the curves of the night before. To find them costs a hundredth of what
it costs to import matplotlib and draw them again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.paths import is_folder
from engine.core.vocabulary import EvaluationResult, RunInfo
from engine.sinks.report.figures import Picture, pictures, save_png


def cache_folder(info: RunInfo) -> Path | None:
    """Where the pictures of a store's runs are kept; None where the store is not here."""
    files = Store(info.store).files
    return files / "cache" / "pictures" if is_folder(files) else None


def page_pictures(evaluation: EvaluationResult, prefix: str, folder: Path | None) -> list[Picture]:
    """The pictures of a page, drawn or found; `prefix` makes their ids unique on it."""

    def draw() -> list[dict[str, Any]]:
        return [asdict(picture) for picture in pictures(evaluation, prefix)]

    kept = _find_or_draw(folder, _digest("page", prefix, evaluation), draw)
    return [Picture(**picture) for picture in kept]


def write_pngs(evaluation: EvaluationResult, out: Path, folder: Path | None) -> list[Path]:
    """Writes the pictures as PNG, drawn or found, under the names that MLflow gives them."""

    def draw() -> list[dict[str, str]]:
        paths = save_png(evaluation, out)
        return [
            {"name": path.name, "png": base64.b64encode(path.read_bytes()).decode()}
            for path in paths
        ]

    out.mkdir(parents=True, exist_ok=True)
    written = []
    for item in _find_or_draw(folder, _digest("png", "", evaluation), draw):
        path = out / item["name"]
        path.write_bytes(base64.b64decode(item["png"]))
        written.append(path)
    return written


def _find_or_draw(folder: Path | None, digest: str, draw: Callable[[], list[Any]]) -> list[Any]:
    """What is kept under a digest, else what is drawn, which is kept where the disk takes it."""
    if folder is None:
        return draw()
    file = folder / f"{digest}.json"
    kept = read_kept(file)
    if isinstance(kept, list):
        return kept
    drawn = draw()
    keep(file, drawn)
    return drawn


def _digest(kind: str, prefix: str, evaluation: EvaluationResult) -> str:
    """SHA-256 of all that a picture shows, and of what draws it."""
    about = hashlib.sha256(_drawing_code())
    names = [kind, prefix, evaluation.baseline, [model.name for model in evaluation.models]]
    about.update(json.dumps(names).encode())
    for curve in evaluation.curves:
        named = ["curve", curve.kind, curve.model, curve.slice, curve.label]
        about.update(json.dumps(named).encode())
        for axis in (curve.x, curve.y, curve.weight):
            values = np.asarray(axis, np.float64)
            about.update(f"{values.size} ".encode() + values.tobytes())
    for matrix in evaluation.confusion:
        about.update(json.dumps(["confusion", asdict(matrix)]).encode())
    return about.hexdigest()


@cache
def _drawing_code() -> bytes:
    own = Path(__file__)
    files = (own.with_name("figures.py"), own.with_name("rendering.py"))
    return version("matplotlib").encode() + b"".join(file.read_bytes() for file in files)
