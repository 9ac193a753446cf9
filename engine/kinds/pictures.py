"""Pictures that a kind of test gives as data for its part of a report; the report draws them.

A point that is a cell's brings the cell along: the report shows its verdict, puts pictures with
failures first, and folds the rest away where there are many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.conditions import Limit, needs_baseline, rule
from engine.core.vocabulary import Cell, ModelTest, Night

SignState = Literal["ok", "refused", "allowed", "broken", "undecided", "error", "none"]
SIGN_STATES: tuple[SignState, ...] = (
    "ok", "refused", "allowed", "broken", "undecided", "error", "none",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """A value with the ends of its interval; None where there is none.

    `cell` is the one that has the value, where a cell has it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    cell: Cell | None = None

    @classmethod
    def of(cls, cell: Cell | None) -> Point:
        """The measured value of a cell; a point without a value where there is no cell."""
        if cell is None:
            return cls(None)
        measured = cell.measured
        return cls(measured.value, measured.ci_low, measured.ci_high, cell)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line: a point at each place of its chart."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class LineChart:
    """Values over places in their order, a line for each model.

    Attributes:
        title: what it is of, such as a test's name.
        across: what the places are.
        up: what the values are.
        places: texts at equal distances, or numbers where they lie.
        lines: each with as many points as there are places.
        limits: values that are drawn across, with the bad side tinted.

    Raises:
        ValueError: when a line has more or fewer points than there are places.
    """

    title: str
    across: str
    up: str
    places: Sequence[str] | Sequence[float]
    lines: Sequence[Line]
    limits: Sequence[Limit] = ()

    def __post_init__(self) -> None:
        for line in self.lines:
            _check_count(f"the line {line.name!r} of {self.title!r}", line.points, self.places)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Values one below the other, each a dot with whiskers, against limits that all share.

    The line holds `start`; what is beyond `end` is drawn there as an arrow, so that one far off
    does not hide the others. A wide one takes the width of the page, as one of many rows does.

    Raises:
        ValueError: when there are more or fewer points than names.
    """

    title: str
    axis: str
    names: Sequence[str]
    points: Sequence[Point]
    limits: Sequence[Limit] = ()
    start: float | None = None
    end: float | None = None
    is_wide: bool = False

    def __post_init__(self) -> None:
        _check_count(f"{self.title!r}", self.points, self.names)


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one sample by bin."""

    name: str
    rows: Sequence[float]


@dataclass(frozen=True, slots=True)
class BinShares:
    """Which shares of the rows of samples are in which bin, side by side.

    Attributes:
        title: what the bins are of, such as a column.
        bins: their names.
        samples: each with as many counts of rows as there are bins, and any at all.
        edges: texts between the first bins, where these are parts of a line in their order.
        cell: the one that says how far the samples are apart.

    Raises:
        ValueError: when a sample has more or fewer counts than there are bins, or no rows, or when
            there are too many edges.
    """

    title: str
    bins: Sequence[str]
    samples: Sequence[Sample]
    edges: Sequence[str] = ()
    cell: Cell | None = None

    def __post_init__(self) -> None:
        for sample in self.samples:
            _check_count(f"{sample.name!r} of {self.title!r}", sample.rows, self.bins)
            if not sum(sample.rows) > 0:
                raise ValueError(f"{sample.name!r} of {self.title!r} has no rows, expected some")
        if self.edges and len(self.edges) >= len(self.bins):
            raise ValueError(
                f"{self.title!r} has {len(self.edges)} edges, expected fewer than its "
                f"{len(self.bins)} bins"
            )


@dataclass(frozen=True, slots=True)
class NightLines:
    """What cells were night by night, a line for each, one below the other.

    Each has a line of its own height, from 0 on; they share the nights and the limits.

    Raises:
        ValueError: when there are more or fewer cells than names.
    """

    title: str
    up: str
    nights: Sequence[Night]
    names: Sequence[str]
    cells: Sequence[Cell]
    limits: Sequence[Limit] = ()

    def __post_init__(self) -> None:
        _check_count(f"{self.title!r}", self.cells, self.names)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where the values of a group lie: its quantiles by name, from the least to the greatest.

    `others` are numbers beside the distribution, such as a first call's time. `cell` is the one of
    which it tells, where there is one.
    """

    name: str
    quantiles: Mapping[str, float]
    others: Mapping[str, float] = field(default_factory=dict)
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class Distributions:
    """Distributions side by side on one logarithmic axis; all numbers are above 0.

    `limits` have a name each.

    Raises:
        ValueError: when a number is not above 0, for which a logarithmic axis has no place.
    """

    title: str
    axis: str
    groups: Sequence[Distribution]
    limits: Mapping[str, Limit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group in self.groups:
            for name, number in {**group.quantiles, **group.others}.items():
                if not number > 0:
                    raise ValueError(
                        f"{name} of {group.name!r} in {self.title!r} is {number}; "
                        "expected a number above 0, for a logarithmic axis"
                    )


@dataclass(frozen=True, slots=True)
class Sign:
    """What came of one check: a state that the report gives a shape and a colour, and a word.

    `tip` says more to who points at it.
    """

    state: SignState
    text: str
    tip: str = ""

    def __post_init__(self) -> None:
        if self.state not in SIGN_STATES:
            raise ValueError(f"found state {self.state!r}, expected {', '.join(SIGN_STATES)}")


@dataclass(frozen=True, slots=True)
class SignTable:
    """Checks by models: a sign in each place; None where nothing was asked.

    Raises:
        ValueError: when a row has more or fewer signs than there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Sign | None]]

    def __post_init__(self) -> None:
        for name, signs in self.rows.items():
            _check_count(f"the row {name!r} of {self.title!r}", signs, self.columns)


KindPicture = LineChart | Intervals | Distributions | SignTable | BinShares | NightLines


def value_limits(test: ModelTest) -> list[Limit]:
    """The limits of a test's value; margins are of differences, and have none."""
    return [
        limit
        for condition in test.conditions
        if not needs_baseline(condition)
        for limit in rule(condition).limits(condition, None, None)
    ]


def intervals_by_test(
    cells: Sequence[Cell], axis: Callable[[ModelTest], str]
) -> tuple[Intervals, ...]:
    """For each test a picture of its models on all rows, those that have a value."""
    by_test: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.slice.kind == "overall" and cell.measured.value is not None:
            by_test.setdefault(cell.test.name, []).append(cell)
    return tuple(
        Intervals(
            name,
            axis(of_test[0].test),
            [cell.model.name for cell in of_test],
            [Point.of(cell) for cell in of_test],
            value_limits(of_test[0].test),
        )
        for name, of_test in by_test.items()
    )


def lines_along_column(
    cells: Sequence[Cell], column: Callable[[ModelTest], str], up: str
) -> list[LineChart]:
    """For each test its values along a numeric column, where slices cut the rows by it alone.

    Such are slices by `bins` or `quantiles` of the column, or by its values; one chart for each set
    of slices. Rows whose column is null or NaN have no place.
    """
    by_set: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        names = list(cell.slice.columns)
        if names == [column(cell.test)] and _part_start(cell) is not None:
            by_set.setdefault((cell.test.name, cell.slice.set_name), []).append(cell)
    charts = []
    for (name, _), of_set in by_set.items():
        ordered = sorted(of_set, key=lambda cell: _part_start(cell) or 0.0)
        places = list(dict.fromkeys(_part_text(cell) for cell in ordered))
        models: dict[str, dict[str, Cell]] = {}
        for cell in of_set:
            models.setdefault(cell.model.name, {})[_part_text(cell)] = cell
        lines = [
            Line(model, [Point.of(line.get(place)) for place in places])
            for model, line in models.items()
        ]
        test = of_set[0].test
        charts.append(LineChart(name, column(test), up, places, lines, value_limits(test)))
    return charts


def _part_text(cell: Cell) -> str:
    """A part of a column as its slice has it: `< 18`, `[18, 30)`, `>= 30`, or a value."""
    return next(iter(cell.slice.columns.values())) or ""


def _part_start(cell: Cell) -> float | None:
    """Where a part of a column begins; None where it is no number."""
    text = _part_text(cell)
    if text.startswith("<"):
        return -math.inf if text != "<null>" else None
    try:
        start = float(text.removeprefix(">=").lstrip("[").partition(",")[0])
    except ValueError:
        return None
    return None if math.isnan(start) else start


def _check_count(what: str, given: Sequence[object], expected: Sequence[object]) -> None:
    if len(given) != len(expected):
        raise ValueError(f"{what} has length {len(given)}, expected {len(expected)}")
