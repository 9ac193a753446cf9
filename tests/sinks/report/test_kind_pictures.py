"""The pictures of kinds of tests as they stand on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    Night,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.kinds import (
    KINDS,
    Distribution,
    Distributions,
    Intervals,
    Kind,
    Limit,
    Line,
    LineChart,
    Point,
    Section,
    Sign,
    SignTable,
)
from engine.sinks import report
from engine.sinks.report.axis import fit_ratios
from engine.sinks.report.kinds import FEW_ROWS, FOLDED, SHOWN
from engine.sinks.report.lines import MOST_LINES, Styles, draw_lines

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} </figure></svg>"


class Drawn(Kind):
    """A kind whose section a test brings."""

    key = "drawn"
    description = "for tests"
    given: Any = None

    def keys(self) -> dict[str, Any]:
        return {}

    def read(self, file: Any, canonical: Any) -> dict[str, Any]:
        return {}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {}

    def title(self, test: ModelTest) -> str:
        return "drawn"

    def metric(self, test: ModelTest) -> Any:
        raise NotImplementedError

    def section(self, cells: Sequence[Cell]) -> Section | None:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    kind = Drawn()
    KINDS.add("drawn", kind)
    yield kind
    KINDS._things.pop("drawn")


NOISE = ModelTest(
    "noise", "recall", (Condition("min", 0.8),), kind="robustness", parameters='{"noise": ["f0"]}'
)
DRAWN = ModelTest("drawn", "drawn", (Condition("min", 0.8),), kind="drawn")


def words(node: Tag | None) -> str:
    assert node is not None
    return " ".join(node.get_text(" ").split())


def part(run: RunOutcome) -> BeautifulSoup:
    return BeautifulSoup(report.render(run), "lxml")


def interval(value: float, half: float) -> MetricValue:
    return MetricValue(value, None, 0.0, value - half, value + half)


def page_of(drawn: Drawn, section: Any, cell_of: Cells, run_of: Runs) -> BeautifulSoup:
    drawn.given = section
    return part(run_of([cell_of(test=DRAWN)]))


def noisy(
    cell_of: Cells, models: Sequence[str], tests: int = 1, **more: Any
) -> tuple[list[Cell], list[str]]:
    """Cells of `robustness` of which the last test's are the worst; and the tests' names."""
    names = [f"noise {place}" for place in range(tests)]
    cells = [
        cell_of(
            model=model,
            test=replace(NOISE, name=name),
            variant=f"noise(f0)@{level}",
            baseline_value=0.95,
            measured=MetricValue(
                0.95 - level / 20, None, 0.0, 0.94 - level / 20, 0.96 - level / 20
            ),
            verdict=Verdict.FAIL if level == 5 and name == names[-1] else Verdict.PASS,
            **more,
        )
        for name in names
        for model in models
        for level in range(1, 6)
    ]
    return cells, names


def test_a_line_chart_has_a_line_for_each_model_and_says_what_it_shows(
    cell_of: Cells, run_of: Runs
) -> None:
    cells, _ = noisy(cell_of, ["old", "new"])
    figure = part(run_of(cells)).select_one("figure.chart")
    assert words(figure.select_one("figcaption")) == "noise 0 min 0.8 2 failed 8 passed"
    chart = figure.select_one("svg.lines")
    assert chart["role"] == "img"
    assert chart["aria-label"] == (
        "noise 0: recall by severity. old from 0.9500 at clean to 0.7000 at 5; "
        "new from 0.9500 at clean to 0.7000 at 5; the limit is 0.8000"
    )
    lines = chart.select("g.m")
    assert len(lines) == 2
    for line, name in zip(lines, ("old", "new"), strict=True):
        assert len(line.select("use.dot")) == 6 and len(line.select("line.piece")) == 5
        assert len(line.select("line.w")) == 5, "the clean value has no whisker"
        assert len(line.select('use[href="#p-ring"]')) == 1
        tips = [tip.get_text() for tip in line.select("title")]
        assert tips[0] == f"{name}: 0.9500"
        assert tips[1] == f"{name}: passed, 0.900 [0.890, 0.910]"
        assert tips[5].startswith(f"{name}: failed, 0.700")
    # Colour is not all that tells lines apart: points have shapes and lines have dashes.
    assert {f"p-{place}" for place in range(6)} <= {
        g["id"] for g in part(run_of(cells)).select("g[id]")
    }
    shapes = [line.select_one("use.dot")["href"] for line in lines]
    assert shapes == ["#p-0", "#p-1"] and lines[0]["class"] != lines[1]["class"]
    assert [words(text) for text in chart.select("text")] == [
        "limit 0.8", "clean", "1", "2", "3", "4", "5",
    ]  # fmt: skip
    assert len(chart.select("line.lim")) == 1
    # Each point lies at its value: the axis has the same line for the value and for its tick.
    limit, bad = chart.select_one("line.lim"), chart.select_one("rect.bad")
    assert float(bad["y"]) == float(limit["y1"])
    last = lines[0].select("use.dot")[-1]
    assert float(last["y"]) > float(limit["y1"]), "0.70 is below the limit, where it is bad"
    high, low = (float(lines[0].select("line.w")[-1][end]) for end in ("y2", "y1"))
    assert high < float(last["y"]) < low


def test_a_key_names_the_lines_of_all_charts(cell_of: Cells, run_of: Runs) -> None:
    cells, _ = noisy(cell_of, ["old", "new"], tests=3)
    made = part(run_of(cells))
    (key,) = made.select("ul.marks")
    assert [words(entry) for entry in key.select("li")] == ["old", "new", "failed"]
    charts = made.select("svg.lines")
    assert len(charts) == 3
    for chart in charts:
        for line, entry in zip(chart.select("g.m"), key.select("li"), strict=False):
            assert line["style"] == entry.select_one("g.m")["style"]
            assert line.select_one(".dot")["href"] == entry.select_one(".dot")["href"]


def test_many_charts_show_the_worst_and_fold_the_rest(cell_of: Cells, run_of: Runs) -> None:
    models = [f"model {place}" for place in range(5)]
    cells, names = noisy(cell_of, models, tests=30)
    html = report.render(run_of(cells))
    made = BeautifulSoup(html, "lxml")
    heading = next(h3 for h3 in made.select("h3") if words(h3) == "Robustness")
    after = heading.find_all_next(["figure", "table", "details"])
    shown = [
        words(node.b)
        for node in after
        if node.name == "figure" and not node.find_parents("details")
    ]
    assert shown == [names[-1], *names[: SHOWN - 1]]
    folded = next(node for node in after if node.name == "details")
    assert words(folded.summary) == f"{30 - SHOWN} more pictures"
    assert len(folded.select("figure")) == 30 - SHOWN
    table = next(node for node in after if node.name == "table")
    assert words(table.find_parent("details").summary) == "The same as a table of 150 rows"
    assert len(table.select("tbody tr")) == 150
    charts = sum(len(str(node)) for node in after if node.name == "figure")
    assert charts < 900_000


def test_of_charts_with_failures_that_with_most_comes_first(cell_of: Cells, run_of: Runs) -> None:
    cells, names = noisy(cell_of, ["old"], tests=3)
    # Of the second test two severities fail, of the last one.
    cells = [
        replace(cell, verdict=Verdict.FAIL)
        if cell.test.name == names[1] and cell.variant.endswith(("3", "4"))
        else cell
        for cell in cells
    ]
    figures = part(run_of(cells)).select("figure.chart")
    assert [words(figure.b) for figure in figures] == [names[1], names[2], names[0]]


def test_past_the_folded_charts_they_are_counted(cell_of: Cells, run_of: Runs) -> None:
    cells, _ = noisy(cell_of, ["old"], tests=SHOWN + FOLDED + 3)
    made = part(run_of(cells))
    assert len(made.select("svg.lines")) == SHOWN + FOLDED
    assert "3 more are in the table alone." in words(made.find("main"))


def test_lines_that_cannot_be_told_apart_are_left_to_the_table(cell_of: Cells) -> None:
    good, bad = (Point.of(cell_of(verdict=verdict)) for verdict in (Verdict.PASS, Verdict.FAIL))
    lines = [Line(f"m{place}", [bad if place == 11 else good]) for place in range(12)]
    made = draw_lines(LineChart("t", "x", "y", ["here"], lines), Styles({}))
    assert made.more == 12 - MOST_LINES
    names = [line.style.name for line in made.lines]
    assert names == [*(f"m{place}" for place in range(MOST_LINES - 1)), "m11"]
    looks = {(line.style.colour, line.style.shape, line.style.dash) for line in made.lines}
    assert len(looks) == MOST_LINES
    # Without colour as well.
    assert len({(line.style.shape, line.style.dash) for line in made.lines}) == MOST_LINES


def test_what_is_unknown_is_a_gap_and_what_is_endless_ends_with_the_chart() -> None:
    points = [
        Point(0.5, 0.4, math.inf), Point(None), Point(math.nan, 0.1, 0.2), Point(0.7), Point(0.6),
    ]  # fmt: skip
    chart = LineChart("t", "x", "y", [1.0, 2.0, 3.0, 4.0, 10.0], [Line("m", points)])
    (line,) = draw_lines(chart, Styles({})).lines
    assert [dot.x for dot in line.dots] == [6.0, 35.33, 94.0], "numbers lie where they are"
    assert len(line.pieces) == 1
    assert line.dots[0].high == 10.0 and line.dots[1].low is None
    bare = draw_lines(LineChart("t", "x", "y", ["a"], [Line("m", [Point(None)])]), Styles({}))
    assert bare.ticks == () and bare.told == "t: y by x. m has no value"
    assert draw_lines(LineChart("t", "x", "y", [], []), Styles({})).places == ()


@pytest.mark.parametrize("count", [1, 2, 6, 7, 30, 200])
@pytest.mark.parametrize("text", ["{}", "[{}.5, {}.5)", "a place of many words {}"])
def test_texts_of_places_never_touch(count: int, text: str) -> None:
    places = [text.format(n, n + 1) for n in range(count)]
    chart = LineChart("t", "x", "y", places, [Line("m", [Point(0.5)] * count)])
    texts = draw_lines(chart, Styles({})).places
    assert texts and {place.row for place in texts} <= {0, 1, 2}
    ends = {"start": (0.0, 1.0), "middle": (0.5, 0.5), "end": (1.0, 0.0)}
    for row in range(3):
        # On a phone a chart is some 215 px wide, and a letter some 6.
        boxes = [
            (p.x * 2.15 - 6 * len(p.text) * ends[p.anchor][0],
             p.x * 2.15 + 6 * len(p.text) * ends[p.anchor][1])
            for p in texts if p.row == row
        ]  # fmt: skip
        assert all(left[1] <= right[0] for left, right in pairwise(boxes))
        assert all(low >= -1 and high <= 216 for low, high in boxes)


def test_intervals_are_bars_with_the_limit_and_the_verdict_in_words(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    kept = cell_of(test=DRAWN, measured=MetricValue(0.9, None, 0.0, 0.85, 0.95), reason="is above")
    soft = replace(DRAWN, severity=Severity.WARN)
    warned = cell_of(
        test=soft, measured=MetricValue(0.6, None, 0.0, 0.5, 0.7), verdict=Verdict.FAIL,
        reason="is below",
    )  # fmt: skip
    names, points = ["kept", "warned", "bare"], [Point.of(kept), Point.of(warned), Point(0.7)]
    picture = Intervals("gaps", "how far", names, points, [Limit(0.8, True)])
    made = page_of(drawn, Section("Own", "lead", pictures=[picture]), cell_of, run_of)
    (figure,) = made.select("figure.chart")
    assert words(figure.figcaption) == "gaps min 0.8 1 warning 1 passed"
    rows = figure.select(".bars li")[1:]
    assert [words(row) for row in rows] == [
        "kept passed: 0.90 [0.85, 0.95]", "warned warning: 0.60 [0.50, 0.70]", "bare 0.7000",
    ]  # fmt: skip
    assert [row.select_one(".iv")["class"][1] for row in rows] == ["v-PASS", "v-WARN", "v-RECORDED"]
    assert [row["title"] for row in rows[:2]] == ["passed: is above", "warning: is below"]
    assert [len(row.select("rect.b")) for row in rows] == [1, 1, 0]
    assert all(len(row.select("line.lim")) == 1 for row in rows)
    edge, bars = [
        float(rows[0].select_one("rect.bad")[name].rstrip("%")) for name in ("x", "width")
    ]
    assert edge == 0.0
    limit = float(rows[0].select_one("line.lim")["x1"].rstrip("%"))
    assert bars == limit
    low = float(rows[0].select_one("rect.b")["x"].rstrip("%"))
    assert low > limit > float(rows[1].select_one('use[href^="#k-"]')["x"].rstrip("%"))
    assert not made.select("table.kinds"), "without rows there is no table"


def test_distributions_lie_on_one_logarithmic_line(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    slow = cell_of(test=DRAWN, verdict=Verdict.FAIL)
    groups = [
        Distribution(
            "slow", {"p50": 10.0, "p95": 100.0, "p99": 1000.0}, {"first call": 5000.0}, slow
        ),
        Distribution("fast", {"p50": 1.0, "p95": 10.0, "p99": 100.0}),
    ]
    picture = Distributions("calls", "milliseconds", groups, {"50 ms": Limit(50.0, False)})
    made = page_of(drawn, Section("Own", "lead", pictures=[picture]), cell_of, run_of)
    (figure,) = made.select("figure.chart")
    first, second = figure.select(".bars li")[1:]
    assert words(first) == "slow failed: p50 10 · p95 100 · p99 1,000 · first call 5,000"
    assert words(second) == "fast p50 1 · p95 10 · p99 100"
    places = [
        [float(use["x"].rstrip("%")) for use in row.select('use[href^="#q-"]')]
        for row in (first, second)
    ]
    steps = [b - a for row in places for a, b in pairwise(row)]
    assert steps == pytest.approx([steps[0]] * 4, abs=0.2), "ten times is as far everywhere"
    assert places[0][0] == places[1][1]
    shapes = [use["href"] for use in first.select("use")]
    assert shapes == ["#q-0", "#q-1", "#q-2", "#p-other"]
    assert "Limit: 50 ms." in words(figure)
    assert [words(span) for span in figure.select(".marks > span")] == [
        "p50", "p95", "p99", "first call",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"p50 of 'a' in 'calls' is 0\.0; expected"):
        Distributions("calls", "ms", [Distribution("a", {"p50": 0.0})])


@pytest.mark.parametrize("ends", [(0.001, 0.0011), (1.0, 1.0), (0.3, 40.0), (1e-6, 1e9)])
def test_a_logarithmic_line_holds_its_values_and_has_few_ticks(ends: tuple[float, float]) -> None:
    scale = fit_ratios(ends)
    assert scale is not None and all(map(scale.holds, ends))
    ticks = scale.ticks()
    assert len(ticks) <= 7 and [place for place, _ in ticks] == sorted(p for p, _ in ticks)
    assert fit_ratios([0.0, math.nan]) is None


def test_signs_say_by_shape_and_word_what_came_of_a_check(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    rows = {
        "order": [Sign("ok", "kept"), Sign("broken", "3 rows", "3 of 40 rows")],
        "nulls": [Sign("refused", "2 of 2 refused"), None],
        "types": [Sign("error", "error"), Sign("undecided", "not known")],
    }
    table = SignTable("Contract", ["old", "new"], rows)
    made = page_of(drawn, Section("Own", "lead", pictures=[table]), cell_of, run_of)
    shown = made.select_one("table.signs")
    assert [words(head) for head in shown.select("thead th")] == ["Check", "old", "new"]
    assert [[words(td) for td in row.select("td")] for row in shown.select("tbody tr")] == [
        ["✓ kept", "✕ 3 rows"], ["⊘ 2 of 2 refused", "·"], ["! error", "? not known"],
    ]  # fmt: skip
    assert shown.select("td")[1]["title"] == "3 of 40 rows"
    # On a phone, where there is no head, each sign has the name of its model.
    assert [td["data-label"] for td in shown.select("td")][:2] == ["old", "new"]
    with pytest.raises(ValueError, match="found state 'fine', expected ok, refused"):
        Sign("fine", "kept")


def test_pictures_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="the line 'm' of 't' has length 1, expected 2"):
        LineChart("t", "x", "y", ["a", "b"], [Line("m", [Point(1.0)])])
    with pytest.raises(ValueError, match="'t' has length 0, expected 1"):
        Intervals("t", "x", ["m"], [])
    with pytest.raises(ValueError, match="the row 'order' of 't' has length 0, expected 1"):
        SignTable("t", ["m"], {"order": []})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (RuntimeError("no picture today"), "RuntimeError"),
        (Section("Own", "lead", pictures=["a picture"]), "TypeError"),
        (42, "AttributeError"),
    ],
)
def test_a_section_that_fails_costs_itself_alone(
    drawn: Drawn, cell_of: Cells, run_of: Runs, given: Any, told: str
) -> None:
    made = page_of(drawn, given, cell_of, run_of)
    heading = next(h3 for h3 in made.select("h3") if words(h3) == "drawn")
    assert words(heading.find_next("p")).startswith(f"This part could not be made: {told}")
    assert made.select_one("table.heatmap") is not None


def everything(text: str, cell: Cell) -> Section:
    """A section with every kind of picture, and a text in each place that has one."""
    point = Point.of(cell)
    return Section(
        text,
        text,
        [text],
        [[text]],
        pictures=[
            LineChart(
                text, text, text, [text, "b"], [Line(text, [point, point])], [Limit(0.5, True)]
            ),
            Intervals(text, text, [text], [point], [Limit(0.5, None)]),
            Distributions(
                text,
                text,
                [Distribution(text, {text: 1.0}, {"x": 2.0}, cell)],
                {text: Limit(1.5, False)},
            ),
            SignTable(text, [text], {text: [Sign("ok", text, text)]}),
        ],
    )


def test_names_from_outside_stay_text(drawn: Drawn, cell_of: Cells, run_of: Runs) -> None:
    cell = cell_of(
        test=DRAWN, model=NASTY, reason=NASTY, measured=MetricValue(0.6, None, 0, 0.5, 0.7)
    )
    made = page_of(drawn, everything(NASTY, cell), cell_of, run_of)
    assert len(made.find_all("script")) == 1 and not made.find_all("img")
    assert len(made.select("figure.chart")) == 3 and len(made.select("table.signs")) == 1
    assert made.select_one("svg.lines")["aria-label"].startswith(NASTY)
    assert "{{ 7*7 }}" in words(made.select_one("figure.chart"))


@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_leaves_the_pictures_whole(text: str, cell_of: Cells, run_of: Runs) -> None:
    kind = Drawn()
    KINDS._things["drawn"] = kind
    try:
        cell = cell_of(test=DRAWN)
        plain = page_of(kind, everything("x", cell), cell_of, run_of)
        kind.given = everything(f"x{text}x", cell)
        odd = report.render(run_of([cell_of(test=DRAWN)])).encode("utf-8", "replace").decode()
    finally:
        KINDS._things.pop("drawn")
    found = [node.name for node in BeautifulSoup(odd, "lxml").find_all(True)]
    assert found == [node.name for node in plain.find_all(True)]


def test_a_short_table_stays_open_beside_its_pictures(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    for count, folded in ((FEW_ROWS, False), (FEW_ROWS + 1, True)):
        rows = [[f"row {place}"] for place in range(count)]
        picture = Intervals("t", "x", ["m"], [Point(1.0)])
        section = Section("Own", "lead", ["name"], rows, pictures=[picture])
        table = page_of(drawn, section, cell_of, run_of).select_one("table.kinds")
        assert (table.find_parent("details") is not None) is folded


def test_the_kind_that_the_documents_show_draws_its_picture(
    cell_of: Cells, run_of: Runs, root: Path
) -> None:
    text = (root / "docs" / "kinds" / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(# my_kinds\.py\n.*?)```", text, re.DOTALL)
    assert code is not None
    exec(compile(code[1], "my_kinds.py", "exec"), {"__name__": "my_kinds"})
    try:
        cells = [
            cell_of(
                model=model,
                test=ModelTest(
                    f"c{above}", "x", kind="confident", parameters=f'{{"above": {above}}}'
                ),
                measured=interval(above / 2, 0.1),
            )
            for above in (0.5, 0.9)
            for model in ("old", "new")
        ]
        made = part(run_of(cells))
    finally:
        KINDS._things.pop("confident")
    assert made.select_one("svg.lines")["aria-label"] == (
        "Confidence: share of rows by surer than. old from 0.2500 at 0.5 to 0.4500 at 0.9; "
        "new from 0.2500 at 0.5 to 0.4500 at 0.9"
    )
    assert [len(line.select("use.dot")) for line in made.select("svg.lines g.m")] == [2, 2]


def test_a_table_of_cells_has_their_verdicts_and_bars_of_shares(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    verdicts = (Verdict.FAIL, Verdict.FAIL, Verdict.PASS)
    warns = replace(DRAWN, severity=Severity.WARN)
    cells = [
        cell_of(test=test, verdict=verdict, reason=f"because {NASTY}")
        for test, verdict in zip((DRAWN, warns, DRAWN), verdicts, strict=True)
    ]
    rows = [["range", NASTY, "50.00%"], ["unique", "id", "0.05%"], ["rows", "rows", "1,200"]]
    drawn.given = Section(
        "Quality", "lead", ["check", "columns", "share"], rows, cells=cells, figures=["share"],
        bars={"share": [0.5, 0.0005, None]},
    )  # fmt: skip
    table = part(run_of(cells)).select_one("table.judged")
    heads = [words(head) for head in table.select("thead th")]
    assert heads == ["Verdict", "check", "columns", "share"]
    assert [words(td) for td in table.select("td[data-label=verdict]")] == [
        "failed", "warning", "passed",
    ]  # fmt: skip
    shares = table.select("td[data-label=share]")
    assert all("num" in share["class"] for share in shares)
    widths = [[bar["style"] for bar in share.select("b")] for share in shares]
    assert widths == [["width:50.0%"], ["width:0.05%"], []]
    assert [words(share) for share in shares] == ["50.00%", "0.05%", "1,200"]
    assert words(table.select("td[data-label=columns]")[0]) == NASTY


def test_a_history_stands_in_the_part_of_its_kind_where_it_looks_back(
    drawn: Drawn, cell_of: Cells, run_of: Runs
) -> None:
    asked: list[int] = []

    def history(cells: Sequence[Cell], nights: Sequence[Any]) -> list[Intervals]:
        asked.append(len(nights))
        return [Intervals("then", "x", ["a"], [Point(0.5)])]

    drawn.given = Section("Drawn", "lead", ["a"], [["b"]])
    drawn.history = history  # type: ignore[method-assign]
    run = run_of([cell_of(test=DRAWN)])
    (evaluation,) = run.evaluations
    night = Night("r", run.info.started_at, 1, {})
    for nights, expected in (((), []), ((night,), []), ((night, night), ["then"])):
        page = part(replace(run, evaluations=[replace(evaluation, nights=nights)]))
        assert [words(b) for b in page.select("figure.chart figcaption b")] == expected
    assert asked == [2]
