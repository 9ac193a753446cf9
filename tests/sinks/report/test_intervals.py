"""Intervals as bars, and the differences to the baseline, as they stand on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup, Tag

from engine.core.vocabulary import (
    Cell,
    Condition,
    DecideBy,
    EvaluationResult,
    MetricValue,
    ModelTest,
    RowCounts,
    RunOutcome,
    Verdict,
)
from engine.sinks import report
from engine.sinks.report.differences import differences
from engine.sinks.report.forest import FOLDED, SHOWN, forests

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
DROP = ModelTest("recall", "recall", (Condition("max_drop", 0.02),))


def words(node: Tag | None) -> str:
    assert node is not None
    return " ".join(node.get_text(" ").split())


def against(evaluation: EvaluationResult, baseline: str = "old") -> EvaluationResult:
    return replace(evaluation, baseline=baseline, higher_is_better={"recall": True})


@pytest.fixture(scope="module")
def page(full_run: RunOutcome) -> BeautifulSoup:
    return BeautifulSoup(report.render(full_run), "lxml")


def test_each_test_has_its_bars_with_limit_shape_and_words(page: BeautifulSoup) -> None:
    tests = page.select("#e1 details.test")
    assert [words(test.summary.span) for test in tests][:3] == ["roc_auc", "recall", "precision"]
    first = tests[0]
    assert "min 0.85" in words(first.summary)
    assert "5 failed" in words(first.summary)
    assert "61 inconclusive" in words(first.summary)
    # The limit is drawn once and used in each line.
    (shared,) = first.select("defs > g")
    assert len(shared.select("line.lim")) == 1
    assert len(shared.select("rect.bad")) == 1
    rows = first.select("tbody tr")
    assert len(rows) == 61
    assert words(rows[0].th) == "overall 48,210"
    marks = rows[2].select("td .iv")
    assert [mark["class"][1] for mark in marks] == ["v-FAIL", "v-FAIL", "v-FAIL"]
    for mark in marks:
        assert mark.select("use")[0]["href"] == f"#{shared['id']}"
        assert mark.select("use")[1]["href"] == "#k-FAIL"
        assert words(mark).startswith("failed: 0.7")
        assert mark.svg["aria-hidden"] == "true"
    assert "breaks min 0.85" in rows[2].td["title"]


def test_inconclusive_marks_have_a_shape_a_word_and_a_reason(page: BeautifulSoup) -> None:
    found = page.select("#e1 details.test .iv.v-INCONCLUSIVE")
    assert len(found) > 60
    drawn = [mark for mark in found if mark.select("rect.b")]
    assert all(mark.select("use")[1]["href"] == "#k-INCONCLUSIVE" for mark in drawn)
    assert all(words(mark).startswith("inconclusive: ") for mark in found)
    assert "includes the limit of min 0.85; about" in drawn[0].find_parent("td")["title"]
    lost = [words(mark) for mark in found if not mark.select("rect.b")]
    assert "inconclusive: undefined" in lost


def test_a_margin_is_drawn_on_the_difference_without_the_baseline(page: BeautifulSoup) -> None:
    recall = page.select("#e1 details.test")[1]
    assert "recall minus that of claims-v2" in words(recall.select_one(".key"))
    heads = [words(head.span) for head in recall.select("thead")[0].select("th[scope=col]")[1:]]
    assert heads == ["claims-v3", "claims-v4-wide"]
    assert len(recall.select("defs line.zero")) == 1
    assert "+0.0475 [+0.0455, +0.0495]" in words(recall.select_one("tbody tr td"))


def test_a_relative_margin_has_a_limit_on_each_slice(cell_of: Cells, run_of: Runs) -> None:
    test = ModelTest("recall", "recall", (Condition("max_drop", 0.1, relative=True),))
    more = {"baseline_model": "old", "delta": -0.01, "delta_ci_low": -0.02, "delta_ci_high": 0.0}
    cells = [
        cell_of(slice_name=name, test=test, model="new", baseline_value=base, **more)
        for name, base in (("overall", 0.5), ("a", 0.9))
    ]
    (forest,) = forests(against(run_of(cells).evaluations[0]), "e1")
    assert forest.zones == ()
    limits = [mark.zones[0].limit for line in forest.shown for mark in line.marks if mark]
    assert limits[0] > limits[1]


def test_the_worst_slices_come_first_and_the_rest_is_counted(cell_of: Cells, run_of: Runs) -> None:
    cells = [
        cell_of(
            slice_name=f"s{place:03d}",
            value=0.86 + place / 1e4,
            measured=MetricValue(0.86 + place / 1e4, ci_low=0.855, ci_high=0.99),
        )
        for place in range(200)
    ]
    cells.append(cell_of(slice_name="bad", value=0.8, verdict=Verdict.FAIL))
    cells.append(cell_of(slice_name="maybe", value=0.9, verdict=Verdict.INCONCLUSIVE))
    cells.append(cell_of(value=0.9))
    (forest,) = forests(run_of(cells).evaluations[0], "e1")
    names = [line.name for line in forest.shown]
    assert names[:5] == ["overall", "bad", "maybe", "s000", "s001"]
    assert (len(forest.shown), len(forest.folded)) == (SHOWN, FOLDED)
    assert forest.more == 203 - SHOWN - FOLDED
    text = words(BeautifulSoup(report.render(run_of(cells)), "lxml").select_one("details.test"))
    assert "20 of 203 slices, the worst first." in text
    assert "123 more in the table Every slice, by metric" in text


def test_a_test_by_the_plain_value_says_so(cell_of: Cells, run_of: Runs) -> None:
    test = ModelTest("r", "recall", (Condition("min", 0.5),), decide=DecideBy.POINT)
    (forest,) = forests(run_of([cell_of(test=test)]).evaluations[0], "e1")
    assert forest.demand == "min 0.5, by the plain value"


def test_nothing_measured_draws_nothing(cell_of: Cells, run_of: Runs) -> None:
    lost = cell_of(value=None, verdict=Verdict.ERROR, reason="it raised")
    (forest,) = forests(run_of([lost]).evaluations[0], "e1")
    assert (forest.ticks, forest.zones) == ((), ())
    mark = forest.shown[0].marks[0]
    assert mark is not None
    assert (mark.bar, mark.text) == (None, "error")


def compared(cell_of: Cells, name: str, delta: float, q: float | None, **more: object) -> Cell:
    return cell_of(
        slice_name=name,
        model="new",
        test=more.pop("test", DROP),
        baseline_model="old",
        baseline_value=0.9 - delta,
        delta=delta,
        delta_ci_low=delta - 0.01,
        delta_ci_high=delta + 0.01,
        p_value=q,
        q_value=q,
        **more,
    )


def test_differences_are_split_and_the_surest_come_first(cell_of: Cells, run_of: Runs) -> None:
    loss = ModelTest("loss", "loss", (Condition("max", 9.0),))
    cells = [
        cell_of(model="old"),
        compared(cell_of, "a", 0.03, 0.04),
        compared(cell_of, "b", 0.05, 0.001),
        compared(cell_of, "c", -0.05, 0.002),
        compared(cell_of, "d", -0.05, 0.06),
        compared(cell_of, "e", 0.2, 0.0001, test=loss),
    ]
    found = differences(against(run_of(cells).evaluations[0]))
    assert found is not None
    groups = {group.kind: group for group in found.groups}
    assert list(groups) == ["worse", "better", "unsure"]
    assert [pair.slice for pair in groups["worse"].shown] == ["e", "c"]
    assert [pair.slice for pair in groups["better"].shown] == ["b", "a"]
    assert [pair.slice for pair in groups["unsure"].folded] == ["d"]
    assert groups["better"].shown[0].q == "0.001"
    assert groups["better"].shown[0].delta == "+0.050"
    assert groups["better"].shown[0].interval == "[+0.040, +0.060]"
    assert found.standings[0].sentence == "better on 2, worse on 2, not told apart on 1"


def test_margins_are_drawn_beside_the_difference(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(model="old"), compared(cell_of, "a", -0.05, 0.001, verdict=Verdict.FAIL)]
    run = run_of(cells)
    run = replace(run, evaluations=[against(run.evaluations[0])])
    row = BeautifulSoup(report.render(run), "lxml").select_one("table.pairs tbody tr")
    limit, zero = row.select_one("line.lim"), row.select_one("line.zero")
    assert float(limit["x1"].rstrip("%")) < float(zero["x1"].rstrip("%")) == 50
    # The bad side of a drop is on the left.
    assert row.select_one("rect.bad")["x"] == "0.0%"
    text = words(row)
    assert "0.9500 → 0.9000 max_drop 0.02: fail" in text
    assert "−0.050 [−0.060, −0.040] 0.001 0.001" in text


def test_without_a_baseline_or_without_evidence_nothing_is_compared(
    cell_of: Cells, run_of: Runs
) -> None:
    with_delta = compared(cell_of, "overall", 0.1, 0.01)
    bare = cell_of(model="new", baseline_model="old", baseline_value=0.8, delta=0.1)
    assert differences(run_of([with_delta]).evaluations[0]) is None
    run = run_of([cell_of(model="old"), bare])
    assert differences(against(run.evaluations[0])) is None
    made = BeautifulSoup(report.render(run), "lxml")
    assert "Compared with the baseline" not in words(made.main)
    assert not made.select("table.pairs")


def test_many_differences_are_capped_and_counted(full_run: RunOutcome, cell_of: Cells) -> None:
    first = full_run.evaluations[0]
    found = differences(first)
    assert found is not None
    for group in found.groups:
        assert group.amount == len(group.shown) + len(group.folded) + group.more
    assert sum(group.amount for group in found.groups) == sum(
        cell.delta is not None for cell in first.cells
    )
    better = found.groups[1]
    assert (len(better.shown), len(better.folded)) == (12, 88)


def test_metrics_between_groups_are_told_apart(cell_of: Cells, run_of: Runs) -> None:
    cells = [
        cell_of(test=ModelTest(f"gap {group}", "gap", group=group), value=value)
        for group, value in (("sex", 0.1), ("country", 0.2))
    ]
    made = BeautifulSoup(report.render(run_of(cells)), "lxml")
    heads = [head["title"] for head in made.select("table.heatmap thead th")[1:]]
    assert heads == ["gap by sex", "gap by country"]


def test_what_an_undefined_value_lacks_is_told(cell_of: Cells, run_of: Runs) -> None:
    gone = MetricValue(None, "one_class", detail="no positive rows: sex=x, sex=y")
    made = BeautifulSoup(
        report.render(run_of([cell_of(value=None, measured=gone, verdict=Verdict.INCONCLUSIVE)])),
        "lxml",
    )
    tip = made.select_one("table.heatmap tbody td")["title"]
    assert "no positive rows: sex=x, sex=y" in tip


def test_a_tiny_slice_does_not_stop_the_page(cell_of: Cells, run_of: Runs) -> None:
    odd = MetricValue(float("-inf"), ci_low=float("-inf"), ci_high=float("nan"))
    cells = [cell_of(measured=odd), cell_of(slice_name="a", counts=RowCounts(0, 0.0))]
    assert "−inf" in report.render(run_of(cells))
