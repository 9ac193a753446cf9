"""The pictures of an evaluation: curves and confusion matrices, as inline SVG or as PNG.

Drawn with matplotlib's objects alone (no pyplot, so no global backend), the same bytes for the
same data. Matplotlib is imported when something is drawn, so that a run without pictures does
without it. The palette is Okabe and Ito's, a little darker, which readers with any kind of colour
vision can tell apart; line styles tell the models apart on paper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.core.vocabulary import ConfusionMatrix, Curve, EvaluationResult
from engine.sinks import format as fmt
from engine.sinks.report.rendering import house_style, save, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_COLOUR = "#6b7280"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3548c", "#b07d00", "#2b8cc4")
Floats = NDArray[np.float64]

_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_INK, _MUTED, _GRID = "#1f2328", "#59636e", "#e6e6e3"
MAX_PANELS = 12
_MAX_NUMBERS = 14
_MAX_LABELS = 30
_MAX_MODELS = 8

_KINDS: Mapping[str, tuple[str, str, str, str]] = {
    "roc": ("ROC curve", "false positive rate", "true positive rate", "roc_curve_plot.png"),
    "precision_recall": (
        "Precision and recall",
        "recall",
        "precision",
        "precision_recall_curve_plot.png",
    ),
    "calibration": (
        "Calibration",
        "predicted probability",
        "observed share",
        "calibration_curve_plot.png",
    ),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An inline SVG with what it shows in words."""

    title: str
    caption: str
    svg: str
    wide: bool


def colours(evaluation: EvaluationResult) -> dict[str, str]:
    """One colour for each model, the baseline grey; the same in all pictures and tables."""
    others = [model.name for model in evaluation.models if model.name != evaluation.baseline]
    chosen = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(others)}
    if evaluation.baseline is not None:
        chosen[evaluation.baseline] = BASELINE_COLOUR
    return chosen


def pictures(evaluation: EvaluationResult, prefix: str) -> list[Picture]:
    """Draws all there is of an evaluation; `prefix` makes the SVGs' ids unique on a page."""
    page_pictures = []
    with house_style():
        for kind, curves in _by_kind(evaluation.curves).items():
            figure, shown, total = _curve_figure(evaluation, kind, curves)
            title, across, up, _ = _words(kind)
            caption = f"{up} by {across}"
            if total > shown:
                caption += f"; {shown} of {total} classes are drawn"
            drawn = svg(figure, f"{prefix}-{kind}", f"{title}: {caption}")
            page_pictures.append(Picture(title, caption, drawn, wide=shown > 1))
        if evaluation.confusion:
            caption = "share of each true class (rows) that was predicted as each class (columns)"
            drawn = svg(_confusion_figure(evaluation), f"{prefix}-confusion", caption)
            wide = len(evaluation.confusion) > 1
            page_pictures.append(Picture("Confusion matrix", caption, drawn, wide))
    return page_pictures


def save_png(evaluation: EvaluationResult, folder: Path, *, model: str | None = None) -> list[Path]:
    """Writes the pictures as PNG under the names that MLflow's own evaluation gives them.

    With `model` only that model's lines and matrix are drawn. What an evaluation has no data for
    is not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with house_style():
        chosen = [curve for curve in evaluation.curves if model in (None, curve.model)]
        for kind, curves in _by_kind(chosen).items():
            path = folder / _words(kind)[3]
            save(_curve_figure(evaluation, kind, curves)[0], path)
            written.append(path)
        if any(model in (None, matrix.model) for matrix in evaluation.confusion):
            path = folder / "confusion_matrix.png"
            save(_confusion_figure(evaluation, model), path)
            written.append(path)
    return written


def _words(kind: str) -> tuple[str, str, str, str]:
    plain = re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_") or "other"
    return _KINDS.get(kind, (fmt.one_line(kind, 40), "x", "y", f"{plain}_curve_plot.png"))


def _by_kind(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    kinds: dict[str, list[Curve]] = {kind: [] for kind in _KINDS}
    for curve in curves:
        kinds.setdefault(curve.kind, []).append(curve)
    return {kind: kind_curves for kind, kind_curves in kinds.items() if kind_curves}


def _curve_figure(
    evaluation: EvaluationResult, kind: str, curves: Sequence[Curve]
) -> tuple[Figure, int, int]:
    """All models in one picture, a panel for each class; returns it with panels drawn and meant."""
    from matplotlib.figure import Figure

    panels: dict[str | None, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.label, []).append(curve)
    shown = list(panels.items())[:MAX_PANELS]
    across = min(len(shown), 4)
    down = -(-len(shown) // across)
    side = 2.55 if len(shown) > 1 else 3.7
    names = list(dict.fromkeys(curve.model for curve in curves))
    below = 0.55 + 0.21 * -(-len(names) // (1 if across == 1 else 3))
    figure = Figure(figsize=(max(side * across, 3.7), side * down * 0.95 + below))
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, (label, lines) in zip(grid.flat, shown, strict=False):
        _draw_lines(axes, evaluation, kind, lines)
        if label is not None:
            axes.set_title(f"class {fmt.one_line(label, 24)}", fontsize=9.5, color=_INK)
    _label_outer(grid, kind, len(shown))
    _legend(figure, grid.flat[0], 1 if across == 1 else min(3, len(names)))
    height = figure.get_size_inches()[1]
    figure.tight_layout(rect=(0, (below - 0.45) / height, 1, 1))
    return figure, len(shown), len(panels)


def _draw_lines(axes: Axes, evaluation: EvaluationResult, kind: str, lines: list[Curve]) -> None:
    colour, places = colours(evaluation), [model.name for model in evaluation.models]
    if kind in ("roc", "calibration"):
        axes.plot([0, 1], [0, 1], color="#b9b9b4", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    # The baseline lies under the candidates.
    for curve in sorted(lines, key=lambda line: line.model != evaluation.baseline):
        x, y = _line(curve)
        place = places.index(curve.model) if curve.model in places else 0
        line = colour.get(curve.model, COLOURS[0])
        axes.plot(
            x,
            y,
            color=line,
            linewidth=1.7,
            linestyle=_STYLES[place % len(_STYLES)],
            label=_name(evaluation, curve.model),
            marker="o" if kind == "calibration" and len(x) <= 40 else None,
            markersize=3.4,
            zorder=2,
        )
    _dress(axes)
    if kind in _KINDS:
        axes.set_xlim(-0.015, 1.015)
        axes.set_ylim(-0.015, 1.015)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _line(curve: Curve) -> tuple[Floats, Floats]:
    """The points to draw: stairs for precision and recall.

    Precision between two recalls is that of the higher one, as average precision counts it.
    """
    x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    if curve.kind == "precision_recall":
        order = np.argsort(x, kind="stable")
        x, y = np.repeat(x[order], 2)[:-1], np.repeat(y[order], 2)[1:]
    return x, y


def _dress(axes: Axes) -> None:
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, colors=_MUTED)
    for spine in axes.spines.values():
        spine.set_color(_GRID)


def _name(evaluation: EvaluationResult, model: str) -> str:
    text = fmt.one_line(model, 34)
    # A label that begins with an underscore would be left out of the legend.
    text = f"\u200b{text}" if text.startswith("_") else text
    return f"{text} (baseline)" if model == evaluation.baseline else text


def _label_outer(grid: np.ndarray, kind: str, shown: int) -> None:
    _, across, up, _ = _words(kind)
    columns = grid.shape[1]
    for place, axes in enumerate(grid.flat[:shown]):
        if place % columns == 0:
            axes.set_ylabel(up, color=_MUTED)
        else:
            axes.set_yticklabels([])
        if place + columns >= shown:
            axes.set_xlabel(across, color=_MUTED)
        else:
            axes.set_xticklabels([])


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="lower center",
        ncols=columns,
        frameon=False,
        labelcolor=_INK,
        handlelength=2.6,
        fontsize=9,
    )


def _confusion_figure(evaluation: EvaluationResult, model: str | None = None) -> Figure:
    from matplotlib.figure import Figure

    chosen = [item for item in evaluation.confusion if model in (None, item.model)]
    chosen = chosen[:_MAX_MODELS]
    side = 3.3 if len(chosen[0].labels) <= _MAX_NUMBERS else 4.4
    side = max(side, 0.36 * min(len(chosen[0].labels), _MAX_NUMBERS) + 0.7)
    across = min(len(chosen), 3)
    down = -(-len(chosen) // across)
    figure = Figure(figsize=(side * across, (side + 0.25) * down))
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(chosen) :]:
        axes.set_visible(False)
    for axes, matrix in zip(grid.flat, chosen, strict=False):
        _draw_matrix(axes, matrix)
        axes.set_title(_name(evaluation, matrix.model), fontsize=9.5, color=_INK)
    figure.tight_layout()
    return figure


def _draw_matrix(axes: Axes, matrix: ConfusionMatrix) -> None:
    """Normalised by true class, as MLflow draws it; a class without rows stays empty."""
    weights = np.asarray(matrix.matrix, dtype=float)
    totals = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, totals, out=np.full_like(weights, np.nan), where=totals > 0)
    count = len(matrix.labels)
    if count <= _MAX_LABELS:
        centres = np.arange(count)
        mesh = axes.pcolormesh(centres, centres, shares, cmap="Blues", vmin=0, vmax=1)
        mesh.set(edgecolor="white", linewidth=0.6)
        axes.invert_yaxis()
        axes.set_aspect("equal")
    else:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if count <= _MAX_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            text = "" if np.isnan(share) else "0" if share == 0 else f"{share:.2f}"
            ink = "#ffffff" if share > 0.55 else _MUTED if share == 0 else _INK
            size = 8.5 if count <= 6 else 6.8
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)
    step = max(1, -(-count // _MAX_LABELS))
    places = list(range(0, count, step))
    labels = [fmt.one_line(matrix.labels[place], 12) for place in places]
    turn = 90 if max((len(label) for label in labels), default=0) > 4 else 0
    axes.set_xticks(places, labels, rotation=turn)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0, labelsize=8.5, colors=_MUTED)
    axes.set_xlabel("predicted", color=_MUTED)
    axes.set_ylabel("true", color=_MUTED)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
