"""The checks of a report: the share of bad rows of each, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.vocabulary import Cell, Verdict
from engine.kinds.data_quality.check import Asked, Check
from engine.kinds.data_quality.keys import has_keys
from engine.kinds.setting import Section

MOST_ROWS = 200
_ORDER = (Verdict.ERROR, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.RECORDED)
COLUMNS = ("check", "columns", "bad rows", "rows", "share", "interval", "worst slice")
LEAD = (
    "What of the data is not as it should be: the share of bad rows of each check on all rows, the "
    "worst first, and the slice where it is the greatest. Counts and ages stand as they are."
)

Judged = tuple[Cell, Check, Asked]


def quality_section(cells: Sequence[Judged]) -> Section | None:
    """A row for each check: on all rows, or where it is on slices only, on the worst of them."""
    by_test: dict[str, list[Judged]] = {}
    keys = [judged for judged in cells if has_keys(judged[2])]
    for judged in cells:
        if has_keys(judged[2]):
            continue
        by_test.setdefault(judged[0].test.name, []).append(judged)
    whole = [_whole(own) for own in by_test.values()]
    order = sorted(zip(whole, by_test.values(), strict=True), key=lambda pair: _rank(pair[0]))
    rows = [_row(shown, own) for shown, own in order[:MOST_ROWS]]
    if not rows:
        return None
    lead = LEAD
    if len(order) > MOST_ROWS:
        lead += f" These are the {MOST_ROWS:,} worst of {len(order):,} checks."
    columns: Sequence[str] = COLUMNS
    if keys:
        shown_keys = {
            cell.test.name: cell.measured.detail or "–"
            for cell, _, _ in keys
            if cell.slice.kind == "overall"
        }
        columns = (*COLUMNS, "keys of bad rows")
        for row, ((cell, _, _), _) in zip(rows, order, strict=False):
            row.append(shown_keys.get(f"{cell.test.name} keys", "–"))
    shown = [cell for (cell, _, _), _ in order[:MOST_ROWS]]
    shares = [_share(judged) for judged, _ in order[:MOST_ROWS]]
    return Section(
        "Data quality", lead, columns, rows, cells=shown,
        figures=("bad rows", "rows", "share", "interval"),
        bars={"share": shares},
    )  # fmt: skip


def _whole(own: Sequence[Judged]) -> Judged:
    """The cell of all rows, else the one with the greatest share."""
    overall = [judged for judged in own if judged[0].slice.kind == "overall"]
    return overall[0] if overall else min(own, key=_rank)


def _rank(judged: Judged) -> tuple[bool, float, int, str]:
    """Shares first, the greatest before others, then by verdict and name."""
    cell, _, _ = judged
    value = _share(judged)
    share = -1.0 if value is None else value
    # What broke the table as a whole is not hidden behind shares that are allowed.
    failed = cell.verdict in (Verdict.ERROR, Verdict.FAIL)
    return (not failed, -share, _ORDER.index(cell.verdict), cell.test.name)


def _share(judged: Judged) -> float | None:
    """The share of bad rows; None where a check has another figure."""
    cell, check, _ = judged
    return cell.measured.value if check.is_share else None


def _row(shown: Judged, own: Sequence[Judged]) -> list[str]:
    cell, check, asked = shown
    measured, n = cell.measured, cell.counts.n
    bad = share = interval = "–"
    if measured.value is not None and check.is_share:
        bad, share = f"{measured.value * n:,.0f}", _percent(measured.value)
        if measured.ci_low is not None and measured.ci_high is not None:
            interval = f"{_percent(measured.ci_low)} to {_percent(measured.ci_high)}"
    elif measured.value is not None:
        share = f"{measured.value:,.6g}{' h' if check.figure == 'age_hours' else ''}"
    others = [judged for judged in own if judged[0].slice.kind != "overall"]
    worst = min(others, key=_rank, default=None)
    slice_text = "–"
    if worst is not None and check.is_share and worst[0].measured.value:
        slice_text = f"{worst[0].slice.name}: {_percent(worst[0].measured.value)}"
    subject = check.subject(asked)
    return [check.key, subject, bad, f"{n:,}", share, interval, slice_text]


def _percent(share: float) -> str:
    """A share as per cent, of which no part is rounded to none or to all."""
    text = f"{share:.2%}"
    if share > 0 and text == "0.00%":
        return f"{share * 100:.2g}%"
    return "under 100%" if share < 1 and text == "100.00%" else text
