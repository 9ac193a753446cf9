"""The report: one HTML file that explains a run to whoever opens it.

It is read from the top by somebody who knows no statistics (did the gate pass, and why), and to
the end by somebody who must repeat the run (versions, digests, the suite as resolved). The file
needs no network and asks for none: styles, script and pictures are in it, and its content
security policy forbids everything else. What comes from data or configuration is escaped by the
template engine; no data stand inside a script.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from engine.core.vocabulary import RunOutcome
from engine.sinks.report.page import page
from engine.sinks.report.regions import RegionNames

__all__ = ["prepare", "render", "write"]


def write(outcome: RunOutcome, folder: Path) -> Path:
    """Writes `index.html` into a folder, which is made if need be, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_bytes(render(outcome).encode("utf-8", "replace"))
    return path


def render(outcome: RunOutcome) -> str:
    """The report's HTML; the same outcome gives the same text."""
    style, script = Markup(_text("style.css")), Markup(_text("behaviour.js"))
    return _template().render(page=page(outcome), style=style, script=script, region=RegionNames())


def prepare() -> None:
    """Imports what draws, and compiles the page's template: a second beside other work."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401

    _template()


@functools.cache
def _template() -> Template:
    names = (
        "page.html.j2", "evaluation.html.j2", "intervals.html.j2", "kinds.html.j2",
        "samples.html.j2",
    )  # fmt: skip
    environment = Environment(
        loader=DictLoader({name: _text(name) for name in names}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2")


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
