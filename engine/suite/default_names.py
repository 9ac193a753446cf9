"""The names that things get when the suite file gives them none.

They are the same from night to night: no name holds a value, so that CI can track it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

OVERALL = "overall"
# The keys by which a model is columns of the dataset.
STORED_KEYS = ("scores", "predicted")
SHORT = 120
"""The characters of a name that is made of what a test asks."""


def model_name(uri: str) -> str:
    """Derives a model's name from its URI.

    `models:/claims/3` gives `claims-v3`, `models:/claims@champion` gives `claims@champion`,
    `models:/<id>` the id, `runs:/<id>/model` gives `run-<first 8>-model`, a path its last part.
    """
    if match := re.fullmatch(r"models:/+([^/]+)/([0-9]+)/?", uri):
        return f"{match[1]}-v{match[2]}"
    if match := re.fullmatch(r"models:/+(.+?)/?", uri):
        return match[1].replace("/", "-")
    if match := re.fullmatch(r"runs:/+([^/]+)/(.+?)/?", uri):
        return f"run-{match[1][:8]}-{match[2].replace('/', '-')}"
    return last_part(uri)


def last_part(uri: str) -> str:
    """Gives the last component of a path or URI; all of it where it has none."""
    return re.split(r"[/\\]", uri.rstrip("/\\"))[-1] or uri


def short_name(name: str) -> str:
    """A name that was made of many parts, cut where it is long; a digest tells it from others."""
    if len(name) <= SHORT:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[:SHORT].rstrip()}... {digest}"


def slice_set_name(columns: Sequence[str], where: str | None) -> str:
    """Names a slice set by its columns, by its predicate on one line, or `overall`."""
    if where is not None:
        return " ".join(where.split())
    return " x ".join(columns) or OVERALL


def default_test_names(tests: Iterable[tuple[str | None, str, Sequence[str]]]) -> list[str]:
    """Names tests, each given as (own name or None, metric, kinds of its conditions).

    The default is the metric where it stands once in the list, else the metric and the kinds,
    with `#2` behind where that is taken.
    """
    listed = list(tests)
    uses = Counter(metric for _, metric, _ in listed)
    taken = {name for name, _, _ in listed if name is not None}
    names = []
    for name, metric, kinds in listed:
        if name is None:
            name = _free(metric if uses[metric] == 1 else " ".join([metric, *kinds]), taken)
            taken.add(name)
        names.append(name)
    return names


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} #{number}"
    return free
