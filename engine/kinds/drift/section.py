"""The part of a report that shows how far columns have moved: pictures, and a table of all."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.vocabulary import Cell
from engine.kinds.drift.domain import DOMAIN_METRIC, metric_title
from engine.kinds.drift.pictures import distributions, glances
from engine.kinds.pictures import KindPicture
from engine.kinds.setting import Section

# A report has room for so many lines of each test.
MOST_ROWS = 60

LEAD = (
    "How far columns, the label and predictions have moved from the reference, on all rows; the "
    "worst first. The interval is of the true distance: chance alone makes the figure of two "
    "samples larger than that. The last column is where it surely is the greatest."
)
DOMAIN_LEAD = (
    " A classifier of all columns together is asked about rows that it has not seen: its area is "
    "0.5 where nothing tells the dataset from the reference, and beside it stands how much of it "
    "is lost where the values of a column are put in any order."
)
COLUMNS = ("of", "distance", "value", "interval", "moved the most", "worst in")


def drift_section(cells: Sequence[Cell]) -> Section | None:
    """A table of distances on all rows, those of one distance together."""
    whole = [c for c in cells if c.slice.kind == "overall" and c.measured.value is not None]
    order = list(dict.fromkeys(cell.test.metric for cell in cells))
    whole.sort(key=lambda c: (order.index(c.test.metric), -float(c.measured.value or 0.0)))
    worst = _worst_slices(cells)
    rows, shown, counts = [], [], dict.fromkeys(order, 0)
    for cell in whole:
        counts[cell.test.metric] += 1
        if counts[cell.test.metric] > MOST_ROWS:
            continue
        measured = cell.measured
        shown.append(cell)
        ends = (measured.ci_low, measured.ci_high)
        interval = "–" if None in ends else f"{ends[0]:.4g} to {ends[1]:.4g}"
        rows.append(
            [
                _subject(cell), metric_title(cell.test.metric), f"{measured.value:.4g}",
                interval, measured.detail or "–",
                worst.get((cell.test.name, cell.model.name), "–"),
            ]
        )  # fmt: skip
    if not rows:
        return None
    more = sum(max(count - MOST_ROWS, 0) for count in counts.values())
    told = f" {more} more are in the results." if more else ""
    told += DOMAIN_LEAD if counts.get(DOMAIN_METRIC) else ""
    pictures: list[KindPicture] = [*glances(cells), *distributions(cells)]
    return Section(
        "Drift",
        LEAD + told,
        COLUMNS,
        rows,
        pictures=pictures,
        cells=shown,
        figures=("value", "interval"),
    )


def _subject(cell: Cell) -> str:
    return f"{cell.test.name} of {cell.model.name}" if cell.model.name else cell.test.name


def _worst_slices(cells: Sequence[Cell]) -> dict[tuple[str, str], str]:
    """The slice of each test and model whose interval begins the highest, above 0."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for cell in cells:
        low = cell.measured.ci_low
        if cell.slice.kind == "overall" or low is None or low <= 0:
            continue
        key = (cell.test.name, cell.model.name)
        if key not in best or low > best[key][0]:
            best[key] = (low, cell.slice.name)
    return {key: name for key, (_, name) in best.items()}
