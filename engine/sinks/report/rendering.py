"""From matplotlib's figures to bytes: one style, no global state, the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Where an SVG names an id, its own or another element's.
_REFERENCE = re.compile(r'\sid="|url\(#|href="#')


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings for the time of drawing; they are put back after."""
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none",
        # Of a line of thousands of points as many stay as show it to half a point.
        "path.simplify_threshold": 0.5,
        "svg.hashsalt": "evalmatrix",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "axes.unicode_minus": False,
        "path.simplify": True,
    }
    with warnings.catch_warnings():
        # A name with an emoji is measured with a box in its place; a browser has the glyph.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        with mpl.rc_context():
            # Whatever style the caller has set, a report looks alike; a backend is not touched.
            mpl.rcdefaults()
            mpl.rcParams.update(settings)
            yield


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG."""
    figure.savefig(path, format="png", dpi=150, facecolor="white", metadata={"Software": None})


def svg(figure: Figure, prefix: str, description: str) -> str:
    """An SVG to be put into HTML: no prolog, no metadata, ids of its own, described in words."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<(metadata)>.*?</\1>|\s*<!--.*?-->", "", text, flags=re.DOTALL)
    # In tags alone: the same may stand in a name.
    text = re.sub("<[^>]*>", lambda tag: _REFERENCE.sub(lambda f: f"{f[0]}{prefix}-", tag[0]), text)
    words = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)
