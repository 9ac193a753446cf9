"""Candidates side by side: the mean over folds with its spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.sinks.report.rendering import house_style, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """A candidate: what it is called, the mean of its folds, and their standard deviation."""

    label: str
    mean: float
    spread: float


def draw_leaderboard(bars: Sequence[Bar], metric: str) -> str:
    """An SVG file of the candidates, the first at the top; at most 20 that have a mean.

    Args:
        bars: the candidates, the best first.
        metric: what they were ranked by.
    """
    with house_style():
        drawn = [bar for bar in bars if not math.isnan(bar.mean)][:_MOST]
        picture = svg(_figure(drawn, metric), "leaderboard", f"{metric} of {len(drawn)} candidates")
    # A page may be dark, the letters are.
    return picture.replace("<svg ", '<svg style="background: #ffffff" ', 1).rstrip() + "\n"


def _figure(bars: Sequence[Bar], metric: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.9 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(bars))
    axes.errorbar(
        [bar.mean for bar in bars],
        places,
        xerr=[bar.spread for bar in bars],
        fmt="o",
        color="#1f5f99",
        ecolor="#9dbad5",
        elinewidth=3,
        markersize=5,
    )
    axes.set_yticks(places, [bar.label for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlabel(f"{metric}: mean over folds, and their standard deviation")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
