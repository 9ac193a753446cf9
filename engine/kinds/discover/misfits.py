"""Why a search makes no sense: its loss, its columns, or how many of them there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.core.vocabulary import TaskKind
from engine.errors import EvalMatrixError
from engine.fields.wording import suggestion
from engine.kinds.discover.axes import is_cut, load_axes
from engine.kinds.discover.lattice import Axis, Lattice
from engine.kinds.discover.losses import ERROR_RATE, loss_family
from engine.kinds.setting import Setting

BASELINE = "baseline"
# So many numbers may a model have: 32 MB of them.
MOST_NUMBERS = 4_000_000


def loss_misfits(loss: str, setting: Setting) -> Iterator[str]:
    try:
        if loss == ERROR_RATE and setting.problem.task not in (
            TaskKind.BINARY,
            TaskKind.MULTICLASS,
        ):
            yield f"{loss} is of classes; the task is {setting.problem.task.value}"
            return
        loss_family(loss, setting.problem)
    except EvalMatrixError as error:
        yield str(error)


def column_misfits(own: Mapping[str, Any], setting: Setting) -> Iterator[str]:
    columns = setting.columns
    roles = {columns.label: "label", columns.weight: "weight"}
    for name in own["columns"] or ():
        kind = setting.types.get(name)
        if kind is None:
            yield f"the dataset has no column {name!r}; expected {suggestion(name, setting.types)}"
        elif name in columns.sensitive:
            yield (
                f"results would show values of {name!r}, which the suite calls sensitive; expected "
                "a column that is not"
            )
        elif name in roles:
            yield f"{name!r} is the {roles[name]}; expected a column that tells rows apart"
        elif not is_cut(kind):
            yield (
                f"the column {name!r} is {kind}, which has no values or bins; expected numbers, "
                "truth values or text"
            )
    if not own["searched"]:
        yield "the dataset has no column of numbers, truth values or text to slice by"


def axes_misfits(own: Mapping[str, Any]) -> Iterator[str]:
    """Columns that cannot be cut, and lattices that are too large."""
    axes = load_axes(own["axes"])
    cut = {axis.column for axis in axes}
    lost = [name for name in own["columns"] or () if name not in cut]
    if lost:
        share, named = f"{own['min_share']:.3g}", ", ".join(map(repr, lost))
        yield (
            f"no value of {named} is that of {share} of the rows, and there are no "
            "numbers to cut; expected columns of frequent values, or of numbers"
        )
    if not axes:
        if not lost:
            yield "no column has values that a slice could have"
        return
    numbers = _numbers(axes, own)
    if numbers > MOST_NUMBERS:
        fitting = len(axes)
        while fitting > 1 and _numbers(axes[:fitting], own) > MOST_NUMBERS:
            fitting -= 1
        less = "" if own["depth"] == 1 else f" or depth {own['depth'] - 1}"
        yield (
            f"{len(axes)} columns {own['depth']} at a time make {numbers * 8 / 2**20:,.0f} MB of "
            f"sums for each model, expected at most {MOST_NUMBERS * 8 / 2**20:,.0f} MB: name at "
            f"most about {fitting} columns{less}"
        )


def _numbers(axes: Sequence[Axis], own: Mapping[str, Any]) -> int:
    terms = (6 if own["weighted"] else 3) + int(own["against"] == BASELINE)
    size = Lattice(tuple(axes), int(own["depth"])).size
    return size * int(own["parts"]) * terms
