"""What the pictures of drift say on the page: the numbers of the cells, in their order."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    Night,
    NightCell,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.kinds import BinShares, NightLines, Sample, parameters_text
from engine.kinds.drift.bin_rows import BinRows
from engine.sinks import report
from engine.sinks.report.kind_pictures import MOST_ROWS
from engine.sinks.report.nights import HEIGHT as LINE
from engine.sinks.report.nights import draw_nights
from engine.sinks.report.samples import HEIGHT, MOST_BARS, draw_shares

Runs = Callable[..., RunOutcome]
DriftCells = Callable[..., Cell]
START = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)
EDGES = BinRows(
    ["below 1", "1 to 2", "2 or more", "null", "NaN"], ["1", "2"], [10, 20, 10, 0, 0],
    [10, 10, 60, 20, 0],
)  # fmt: skip


@pytest.fixture
def drift_of(cell_of: Callable[..., Cell]) -> DriftCells:
    """A cell of `drift psi` of a column on all rows, with a limit of 0.1."""

    def make(
        column: str, value: float, rows: BinRows | None = EDGES, limit: float | None = 0.1,
        **more: Any,
    ) -> Cell:  # fmt: skip
        conditions = () if limit is None else (Condition("max", limit),)
        about = parameters_text({"distance": "psi", "columns": [column], "type": "double"})
        test = ModelTest(
            f"drift psi({column})", "psi", conditions, kind="drift", parameters=about,
            severity=more.pop("severity", Severity.FAIL),
        )  # fmt: skip
        numbers = None if rows is None else rows.numbers()
        measured = MetricValue(value, None, 0.0, value * 0.9, value * 1.1, numbers=numbers)
        verdict = Verdict.FAIL if limit is not None and value > limit else Verdict.PASS
        return cell_of(model="", test=test, measured=measured, **{"verdict": verdict, **more})

    return make


def nights_of(values: Mapping[str, Sequence[float | None]]) -> list[Night]:
    """Nights from what each column's distance was; None where a night had none."""
    count = max(map(len, values.values()))
    return [
        Night(
            f"run {place}", START + dt.timedelta(days=place), place,
            {
                ("", f"drift psi({column})"): NightCell(
                    value, value * 0.9, value * 1.1,
                    Verdict.FAIL if value > 0.1 else Verdict.PASS,
                )
                for column, line in values.items()
                if (value := line[place]) is not None
            },
        )
        for place in range(count)
    ]  # fmt: skip


def page(run_of: Runs, cells: Sequence[Cell], nights: Sequence[Night] = ()) -> BeautifulSoup:
    run = run_of(cells)
    (evaluation,) = run.evaluations
    run = replace(run, evaluations=[replace(evaluation, nights=nights)])
    return BeautifulSoup(report.render(run), "lxml")


def words(node: Tag | None) -> str:
    assert node is not None
    return " ".join(node.get_text(" ").split())


def titles(soup: BeautifulSoup) -> list[str]:
    return [words(figure.select_one("figcaption b")) for figure in soup.select("figure.chart")]


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_all_columns_are_in_one_picture_the_worst_first(drift_of: DriftCells, run_of: Runs) -> None:
    values = {"a": 0.02, "b": 0.3, "c": 0.09, "d": 7.0}
    cells = [drift_of(name, value, None) for name, value in values.items()]
    cells.append(drift_of("e", 0.09, None, verdict=Verdict.INCONCLUSIVE))
    figure = page(run_of, cells).select_one("figure.chart.whole")
    assert words(figure.select_one("figcaption")) == (
        "Population stability index max 0.1 2 failed 1 inconclusive 2 passed"
    )
    rows = figure.select("li:not([aria-hidden])")
    assert [words(row.select_one("b")) for row in rows] == ["d", "b", "c", "e", "a"]
    said = [words(row.select_one(".visually-hidden")) for row in rows]
    assert said == ["failed:", "failed:", "passed:", "inconclusive:", "passed:"]
    assert [row.select_one(".iv")["class"][1] for row in rows] == [
        "v-FAIL", "v-FAIL", "v-PASS", "v-INCONCLUSIVE", "v-PASS",
    ]  # fmt: skip
    marks = [row.select("use")[-1] for row in rows]
    # One far off is an arrow at the end; the others have their places on one line.
    assert [mark["href"] for mark in marks] == [
        "#k-right", "#k-FAIL", "#k-PASS", "#k-INCONCLUSIVE", "#k-PASS",
    ]  # fmt: skip
    limit = percent(rows[0].select_one("line.lim")["x1"])
    zero = percent(rows[0].select_one("line.zero")["x1"])
    per_cent = (limit - zero) / 0.1
    assert limit > 20, "the limit can be told from 0"
    for mark, name in zip(marks[1:], "bcea", strict=True):
        value = {**values, "e": 0.09}[name]
        assert percent(mark["x"]) == pytest.approx(zero + per_cent * value, abs=0.4)


def test_of_many_columns_the_worst_are_drawn_and_the_others_counted(
    drift_of: DriftCells, run_of: Runs
) -> None:
    cells = [drift_of(f"c{n}", n / 1000) for n in range(150)]
    soup = page(run_of, cells)
    glance, *others = soup.select("figure.chart")
    rows = glance.select("li:not([aria-hidden]) b")
    assert [words(row) for row in rows] == [f"c{n}" for n in range(149, 149 - MOST_ROWS, -1)]
    assert words(glance.select("p")[-1]) == f"And {150 - MOST_ROWS} more."
    assert [words(figure.select_one("b")) for figure in others] == [
        f"c{n}" for n in range(149, 137, -1)
    ]


def test_tests_of_other_limits_and_distances_have_pictures_of_their_own(
    drift_of: DriftCells, run_of: Runs
) -> None:
    cells = [drift_of("a", 0.2, None), drift_of("b", 0.2, None, limit=0.3)]
    cells.append(drift_of("c", 0.2, None, limit=None, verdict=Verdict.RECORDED))
    captions = [words(one.select_one(".asked")) for one in page(run_of, cells).select("figure")]
    assert sorted(captions) == ["max 0.1", "max 0.3", "no condition"]


def test_bins_stand_side_by_side_with_the_shares_of_both(
    drift_of: DriftCells, run_of: Runs
) -> None:
    soup = page(run_of, [drift_of("amount", 0.5)])
    figure = soup.select_one("figure.sides")
    assert words(figure.select_one("figcaption")) == "amount failed psi 0.50 [0.45, 0.55], max 0.1"
    assert words(soup.select_one(".charts > .marks")) == (
        "reference, 40 rows this version, 100 rows"
    )
    chart = figure.select_one("svg.lines")
    assert chart["role"] == "img" and chart["aria-label"] == (
        "amount: share of rows by bin, reference (40 rows) and this version (100 rows). "
        "below 1: 25.0% → 10.0%; 1 to 2: 50.0% → 10.0%; 2 or more: 25.0% → 60.0%; "
        "null: 0.0% → 20.0%"
    )
    bins = chart.select("g.bin")
    shares = [(0.25, 0.1), (0.5, 0.1), (0.25, 0.6), (0.0, 0.2)]
    heights = [[float(bar["height"]) for bar in one.select("rect")] for one in bins]
    per_cent = heights[2][1] / 0.6
    for of_bin, expected in zip(heights, shares, strict=True):
        assert of_bin == pytest.approx([per_cent * share for share in expected], abs=0.2)
    bars = [bar for one in bins for bar in one.select("rect")]
    assert all(float(b["y"]) + float(b["height"]) == pytest.approx(HEIGHT) for b in bars)
    ends = [(percent(b["x"]), percent(b["x"]) + percent(b["width"])) for b in bars]
    assert all(left[1] <= right[0] + 0.03 for left, right in pairwise(ends))
    texts = {words(text): percent(text["x"]) for text in chart.select("text")}
    assert set(texts) == {"1", "2", "null"}, "edges, and what is no part of the line"
    assert ends[1][1] < texts["1"] < ends[2][0] and ends[3][1] < texts["2"] < ends[4][0]
    assert ends[6][0] < texts["null"] < ends[7][1]


def test_values_have_bars_below_each_other_and_the_rare_are_one(
    drift_of: DriftCells, run_of: Runs
) -> None:
    names = [f"'v{n}'" for n in range(30)]
    rows = BinRows([*names, "other values", "null"], [], [*range(30), 0, 0], [*range(30), 0, 65])
    figure = page(run_of, [drift_of("country", 0.5, rows)]).select_one("figure.sides")
    bars = figure.select("ul.bars li")
    told = [words(bar.select_one("b")) for bar in bars]
    assert told == [*(f"'v{n}'" for n in range(22, 30)), "null", "21 others together"]
    assert len(told) == MOST_BARS
    both = [words(bar.select_one(".what")) for bar in bars]
    assert both[7] == f"{29 / 435:.1%} → {29 / 500:.1%}" and both[8] == "0.0% → 13.0%"
    assert both[9] == f"{sum(range(22)) / 435:.1%} → {sum(range(22)) / 500:.1%}"
    widths = [[percent(rect["width"]) for rect in bar.select("rect")] for bar in bars]
    assert widths[9][0] == 100
    assert widths[7] == pytest.approx([100 * 29 / 231, 100 * 29 / 500 * 435 / 231], abs=0.1)


def test_what_failed_stands_before_what_is_near_its_limit_and_a_column_once(
    drift_of: DriftCells, run_of: Runs
) -> None:
    cells = [drift_of(f"c{n}", n / 100) for n in range(9)]
    cells += [
        drift_of("bad", 0.12),
        drift_of("loose", 0.25, limit=0.3),
        drift_of("none", 0.3, None),
    ]
    cells.append(drift_of("unsure", 0.01, verdict=Verdict.INCONCLUSIVE))
    cells.append(replace(cells[0], test=replace(cells[0].test, name="again", parameters=
                 cells[9].test.parameters)))  # fmt: skip
    soup = page(run_of, cells)
    shown = [words(one.select_one("b")) for one in soup.select("figure.sides")]
    assert shown == ["bad", "unsure", "loose", *(f"c{n}" for n in range(8, -1, -1))]


def test_nights_are_a_line_for_each_column_with_the_verdict_of_each(
    drift_of: DriftCells, run_of: Runs
) -> None:
    values: dict[str, list[float | None]] = {
        "calm": [0.01, 0.02, 0.01, 0.02],
        "moving": [0.02, None, 0.08, 0.4],
        "new": [None, None, None, 0.2],
    }
    cells = [drift_of(name, line[-1] or 0.0, None) for name, line in values.items()]
    soup = page(run_of, cells, nights_of(values))
    figure = soup.select_one("figure.nights")
    rows = figure.select("li:not([aria-hidden])")
    assert [words(row.select_one("b")) for row in rows] == ["moving", "calm"]
    moving, calm = (row.select_one("svg") for row in rows)
    assert moving["aria-label"] == (
        "moving in 3 nights: from 0.0200 on 2026-11-01 to 0.4000 on 2026-11-04, beyond the limit "
        "in 1; the limit is 0.1000"
    )
    marks = moving.select("use")
    assert [mark["href"] for mark in marks] == ["#n-PASS", "#n-PASS", "#n-FAIL"]
    assert (
        words(marks[2].title) == "2026-11-04 02:00:00 UTC, version 3: failed, 0.400 [0.360, 0.440]"
    )
    assert len(moving.select("line.piece")) == 1, "no line over a night without a value"
    limit, floor = (float(moving.select_one(f"line.{name}")["y1"]) for name in ("lim", "tick"))
    assert 0 < limit < floor < LINE
    for mark, value in zip(marks, (0.02, 0.08, 0.4), strict=True):
        y = floor - (floor - limit) * value / 0.1
        assert float(mark["y"]) == pytest.approx(y, abs=0.2)
    across = [percent(mark["x"]) for mark in calm.select("use")]
    assert across == sorted(across) and len(set(across)) == 4
    assert [percent(mark["x"]) for mark in marks] == [across[0], across[2], across[3]]
    dates = [words(text) for text in figure.select("li[aria-hidden] text")]
    assert dates[0] == "2026-11-01"
    same_day = [replace(night, started_at=START + dt.timedelta(hours=place))
                for place, night in enumerate(nights_of(values))]  # fmt: skip
    times = page(run_of, cells, same_day).select("figure.nights li[aria-hidden] text")
    assert words(times[0]) == "11-01 02:00"


def test_without_rows_by_bin_or_earlier_nights_there_are_no_such_pictures(
    drift_of: DriftCells, run_of: Runs
) -> None:
    cells = [drift_of("a", 0.2, None), drift_of("b", 0.1, BinRows(["x"], [], [0], [3]))]
    assert titles(page(run_of, cells)) == ["Population stability index"]
    assert titles(page(run_of, cells, nights_of({"a": [0.2]}))) == ["Population stability index"]
    nights = nights_of({"other": [0.1, 0.2]})
    assert titles(page(run_of, cells, nights)) == ["Population stability index"]
    empty = [replace(cells[0], measured=MetricValue(None, "empty"))]
    assert not titles(page(run_of, empty, nights))


def test_many_nights_and_columns_stay_readable_and_small(
    drift_of: DriftCells, run_of: Runs
) -> None:
    values = {f"c{n}": [n / 1000] * 30 for n in range(50)}
    cells = [drift_of(name, line[-1]) for name, line in values.items()]
    soup = page(run_of, cells, nights_of(values))
    figure = soup.select_one("figure.nights")
    assert len(figure.select("li:not([aria-hidden])")) == 12
    assert "And 38 more." in words(figure.select_one("p.key"))
    assert len(figure.encode()) < 120_000
    assert len("".join(map(str, soup.select("figure.chart"))).encode()) < 250_000


def test_nasty_names_stay_text(nasty: ModuleType, drift_of: DriftCells, run_of: Runs) -> None:
    names = list(nasty.CURATED)[::3] + list(nasty.HTML)
    plain = page(run_of, [drift_of(f"c{n}", 0.2) for n in range(len(names))])
    cells, values = [], {}
    for name in names:
        rows = BinRows([name, "1 to 2", "null"], [name], [1, 2, 0], [3, 1, 1])
        cells += [drift_of(name, 0.2, rows), drift_of(f"{name}2", 0.2, replace(rows, edges=[]))]
        values[name] = [0.1, 0.2]
    soup = page(run_of, cells, nights_of(values))
    assert len(soup.select("figure.nights")) == 1
    for tags in ("script", "style", "main", "img", "template"):
        assert len(soup.select(tags)) == len(plain.select(tags)), tags
    assert not soup.select("[onload], [onerror], [onfocus]")


def test_pictures_refuse_data_that_do_not_fit(drift_of: DriftCells) -> None:
    with pytest.raises(ValueError, match="'now' of 'x' has length 1, expected 2"):
        BinShares("x", ["a", "b"], [Sample("now", [1])])
    with pytest.raises(ValueError, match="'now' of 'x' has no rows, expected some"):
        BinShares("x", ["a"], [Sample("now", [0])])
    with pytest.raises(ValueError, match="'x' has 1 edges, expected fewer than its 1 bins"):
        BinShares("x", ["a"], [Sample("now", [1])], edges=["1"])
    with pytest.raises(ValueError, match="'x' has length 1, expected 2"):
        NightLines("x", "psi", [], ["a", "b"], [drift_of("a", 0.1)])


def test_one_bin_of_all_rows_and_one_night_can_be_drawn(drift_of: DriftCells) -> None:
    whole = draw_shares(BinShares("x", ["all"], [Sample("then", [3]), Sample("now", [2])]))
    assert whole.bins[0].texts == ("100.0%", "100.0%") and whole.word == "RECORDED"
    cell = drift_of("a", 0.0)
    night = draw_nights(NightLines("x", "psi", nights_of({"a": [0.0]}), ["a"], [cell]))
    assert night.rows[0].dots[0].x == 2 and not night.rows[0].limits
    assert re.fullmatch(r"a in 1 night: from 0.* to 0.*", night.rows[0].told)
