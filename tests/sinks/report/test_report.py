from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.vocabulary import (
    Cell,
    Condition,
    GateOutcome,
    MetricValue,
    ModelTest,
    RowCounts,
    RunOutcome,
    Severity,
    StepCost,
    Verdict,
)
from engine.sinks import report
from engine.sinks.report.heatmap import SHOWN

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
NASTY = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> ]]> {{ 7*7 }} 😀 &amp; </template>"
)


@pytest.fixture(scope="module")
def html(full_run: RunOutcome) -> str:
    return report.render(full_run)


@pytest.fixture(scope="module")
def page(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "lxml")


def read(run: RunOutcome) -> BeautifulSoup:
    return BeautifulSoup(report.render(run), "lxml")


def words(node: Tag | None) -> str:
    assert node is not None
    return " ".join(node.get_text(" ").split())


def test_write_makes_one_file(cell_of: Cells, run_of: Runs, tmp_path: Path) -> None:
    run = run_of([cell_of()])
    path = report.write(run, tmp_path / "deep" / "er")
    assert path == tmp_path / "deep" / "er" / "index.html"
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]
    assert path.read_text(encoding="utf-8") == report.render(run)


def test_nothing_refers_outside(html: str, page: BeautifulSoup) -> None:
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    assert not page.find_all(["link", "iframe", "object", "embed", "base", "form", "img"])
    for node in page.find_all(True):
        for name in ("src", "href", "xlink:href", "action", "poster", "data", "srcset"):
            target = node.get(name)
            assert target is None or target.startswith(("#", "data:image/png;base64,")), target
        assert not [name for name in node.attrs if name.startswith("on")]
    assert len(page.find_all("script")) == 1
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]+", html)) <= namespaces


def test_ids_are_unique_and_links_lead_somewhere(page: BeautifulSoup) -> None:
    ids = [node["id"] for node in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for link in page.find_all("a"):
        assert link["href"][1:] in ids


def test_the_top_says_it_all(full_run: RunOutcome, page: BeautifulSoup) -> None:
    top = page.find("header")
    assert "error" in top["class"]
    assert words(page.find("h1")) == "Gate in error"
    assert full_run.gate.reason in words(top)
    assert "118 of 834 tests could not be decided" in words(top)
    shares = page.select("header .share i")
    assert [each["class"] for each in shares] == [
        ["v-FAIL"],
        ["v-ERROR"],
        ["v-INCONCLUSIVE"],
        ["v-PASS"],
    ]
    assert shares[2]["style"] == "flex-grow:118"
    chips = [words(chip) for chip in page.select(".chip")]
    assert chips == ["6 failed", "35 error", "118 inconclusive", "675 passed", "723 recorded"]
    facts = words(page.select_one(".facts"))
    for fact in ("20261120-020000-nightly", "2026-11-20 02:00:00 UTC", "1 min 34 s", "./store"):
        assert fact in facts
    assert "claims version 7" in facts
    cards = [words(card) for card in page.select(".card")]
    assert cards[0].startswith("claims-v2 Failed 2 failed, 43 inconclusive")
    assert cards[3].startswith("digits-forest Passed, 2 undecided")
    assert cards[-1].startswith("diabetes-mlp Recorded only 15 recorded")
    assert "good" not in page.select(".card")[-1]["class"]


@pytest.mark.parametrize(
    "verdict", [Verdict.RECORDED, Verdict.INCONCLUSIVE, Verdict.ERROR], ids=str
)
def test_nothing_decided_never_reads_green(cell_of: Cells, run_of: Runs, verdict: Verdict) -> None:
    made = read(run_of([cell_of(verdict=verdict)], outcome=GateOutcome.PASSED))
    assert words(made.find("h1")) == "Nothing was decided"
    assert "undecided" in made.find("header")["class"]
    assert not made.select(".good")


def test_a_run_without_evaluations_is_a_page(run_of: Runs, cell_of: Cells) -> None:
    made = read(replace(run_of([], outcome=GateOutcome.PASSED), evaluations=()))
    assert "The run had no evaluation." in words(made.find("main"))
    assert not made.select(".good")
    assert not read(run_of([])).select(".good")


def test_a_decided_pass_is_green(cell_of: Cells, run_of: Runs) -> None:
    made = read(run_of([cell_of()]))
    assert words(made.find("h1")) == "Gate passed"
    assert "good" in made.find("header")["class"]
    assert "No test failed, and none was in error." in words(made.find("main"))


def test_models_stand_side_by_side_with_differences(page: BeautifulSoup) -> None:
    table = page.select_one("#e1 table.compare")
    heads = [words(head) for head in table.select("thead th")]
    assert heads == ["Metric", "claims-v2 baseline", "claims-v3", "claims-v4-wide"]
    rows = {words(row.th.span): row for row in table.select("tbody tr")}
    assert "higher is better · min 0.85" in words(rows["roc_auc"].th)
    told = "pass 0.9265 [0.9221, 0.9306] better than the baseline: +0.0245 (q <0.0001)"
    assert told in words(rows["roc_auc"])
    assert "pass 0.2325 [0.2313, 0.2337] better than the baseline: −0.0775" in words(
        rows["log_loss"]
    )
    assert [words(best.select_one(".value")) for best in rows["log_loss"].select(".best")] == [
        "0.2325"
    ]


def test_a_worse_model_is_marked_by_word_and_sign(cell_of: Cells, run_of: Runs) -> None:
    run = run_of([cell_of(model="old", value=0.9), cell_of(model="new", value=0.8)])
    made = read(replace(run, evaluations=[replace(run.evaluations[0], baseline="old")]))
    delta = made.select_one("table.compare .delta")
    assert "worse" in delta["class"]
    assert words(delta) == "worse than the baseline: −0.1000"


def test_failures_come_first_and_errors_with_one_reason_share_a_row(page: BeautifulSoup) -> None:
    headings = [words(h3) for h3 in page.select("#e1 h3")]
    assert headings == [
        "Models side by side, on all rows",
        "What failed",
        "What could not be decided: 115 tests",
        "Compared with the baseline, on the same rows",
        "Each test, with intervals",
        "Every slice, by metric",
        "Pictures, on all rows",
    ]
    rows = page.select("#e1 table.findings")[0].select("tbody tr")
    assert [words(row.select_one(".badge")) for row in rows] == ["fail"] * 6 + ["error"]
    assert "7 slices: country=DE & device=tablet" in words(rows[6])
    assert "35 cells with this reason" in words(rows[6])
    assert "0.727 [0.693, 0.759] 2,287" in words(rows[0])
    assert "breaks min 0.85" in words(rows[0])
    # What a margin rests on stands beside the value.
    assert "baseline 0.8573 −0.053 [−0.065, −0.042] q <0.0001" in words(rows[5])


def test_undefined_is_a_dash_with_its_reason(cell_of: Cells, run_of: Runs) -> None:
    lost = cell_of(value=None, verdict=Verdict.INCONCLUSIVE, reason="all rows have one class")
    made = read(run_of([lost]))
    compare = made.select_one("table.compare tbody td")
    assert words(compare.select_one(".value")) == "–"
    assert "all rows have one class" in words(compare)
    heat = made.select_one("table.heatmap tbody td")
    assert heat.get_text() == "–"
    assert heat["title"].startswith("recall: undefined (one_class)")


def test_heat_cells_say_how_far_and_why(page: BeautifulSoup, full_run: RunOutcome) -> None:
    panel = page.select_one("#e1 [data-panel]")
    rows = panel.select("tbody tr")
    assert "whole" in rows[0]["class"]
    assert len(rows) == 61
    assert words(rows[1].th) == "country=GB & device=tablet 2,287"
    first = rows[1].td
    assert {"worse3", "v-FAIL"} <= set(first["class"])
    assert first.get_text() == "0.727[0.693, 0.759]"
    exact = next(
        cell.measured.value
        for cell in full_run.cells
        if (cell.model.name, cell.slice.name, cell.test.metric)
        == ("claims-v2", "country=GB & device=tablet", "roc_auc")
    )
    tip = first["title"].split("\n")
    assert tip[0] == f"roc_auc: {exact!r}"
    assert tip[1:3] == ["all rows: 0.902", "2,287 rows"]
    assert tip[3] == "FAIL: roc_auc 0.7274 [0.6928, 0.7594] breaks min 0.85"
    heads = panel.select("thead th")
    assert {head["scope"] for head in heads} == {"col"}
    assert {row.th["scope"] for row in rows} == {"row"}


def test_lower_is_better_is_coloured_the_other_way(cell_of: Cells, run_of: Runs) -> None:
    test = ModelTest("log_loss", "log_loss", (Condition("max", 9),))
    other = ModelTest("thing", "thing")
    cells = [
        cell_of(slice_name=name, test=which, value=value, verdict=Verdict.RECORDED)
        for which in (test, other)
        for name, value in (("overall", 0.3), ("high", 0.4), ("low", 0.2))
    ]
    made = read(run_of(cells))
    rows = {row.th["title"]: row for row in made.select("table.heatmap tbody tr")}
    assert [td["class"][0] for td in rows["high"].select("td")] == ["worse3", "differs3"]
    assert [td["class"][0] for td in rows["low"].select("td")] == ["better3", "differs3"]


def test_a_thousand_slices_keep_the_page_small(big_run: Callable[[int], RunOutcome]) -> None:
    assert len(report.render(big_run(1000))) < 8_000_000


def test_many_slices_show_the_worst_and_keep_the_rest(
    big_run: Callable[[int], RunOutcome],
) -> None:
    made = BeautifulSoup(report.render(big_run(300)), "lxml")
    for panel in made.select("[data-panel]"):
        kept = [row for held in panel.find_all("template") for row in held.find_all("tr")]
        inert = {id(row) for row in kept}
        shown = [row for row in panel.find_all("tr") if row.find("td") and id(row) not in inert]
        assert (len(shown), len(kept)) == (SHOWN, 101)
        assert all("v-FAIL" not in td["class"] for row in kept for td in row.find_all("td"))
    assert "200 of 301 slices shown" in words(made.select_one("[data-panel]"))


def test_slices_past_the_budget_are_counted(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(slice_name=f"s{place}") for place in range(46_000)]
    html = report.render(run_of(cells))
    assert len(html) < 20_000_000
    assert "1,000 more are in the results table only." in " ".join(html.split())


def test_rows_left_out_are_told(cell_of: Cells, run_of: Runs) -> None:
    counts = RowCounts(100, 100.0, null_labels=3, bad_scores=1)
    text = words(read(run_of([cell_of(counts=counts)])).select_one("#e1 .under"))
    assert "Left out: 3 rows without a label, 1 row with a prediction that is not a number." in text


def test_models_that_could_not_be_loaded_are_told(cell_of: Cells, run_of: Runs) -> None:
    run = run_of([cell_of()])
    bad = replace(run.evaluations[0], model_errors={"candidate": "no such version"})
    alarm = words(read(replace(run, evaluations=[bad])).select_one(".alarm"))
    assert alarm == "candidate could not be evaluated: no such version"


def test_intervals_and_bounds_are_shown(cell_of: Cells, run_of: Runs) -> None:
    made = read(run_of([cell_of(measured=MetricValue(0.9, None, 0.0, 0.88, 0.92))]))
    assert "0.9000 [0.880, 0.920]" in words(made.select_one("table.compare"))
    made = read(run_of([cell_of(measured=MetricValue(0.9, None, 0.001))]))
    assert "± 0.0010" in words(made.select_one("table.compare"))


def test_provenance_has_what_a_repetition_needs(full_run: RunOutcome, page: BeautifulSoup) -> None:
    part = page.select_one(".provenance")
    text = words(part)
    for model in (m for e in full_run.evaluations for m in e.models):
        assert model.uri in text
        assert model.digest in str(part)
    for fact in ("5f0c2d9e-table", "pyspark", "4.2.0", "claims: scan", "41 s"):
        assert fact in text
    assert (
        part.select_one("details pre").get_text()
        == full_run.info.suite_resolved.rstrip("\n") + "\n"
    )


def test_counts_among_the_timings_are_not_read_as_seconds(cell_of: Cells, run_of: Runs) -> None:
    run = run_of([cell_of()])
    timings = {"predict_seconds/candidate": 2.0, "predictions": 90000.0}
    made = read(replace(run, evaluations=[replace(run.evaluations[0], timings=timings)]))
    text = words(made.select_one(".provenance"))
    assert "claims: predict, candidate 2.0 s" in text
    assert "claims: predictions 90,000" in text


def test_steps_have_what_they_cost(cell_of: Cells, run_of: Runs) -> None:
    run = run_of([cell_of()])
    assert "What each step cost" not in words(read(run).select_one(".provenance"))
    known = {"cpu_seconds": 1.5, "peak_bytes": 300 * 2**20, "jvm_cpu_seconds": 8.25}
    steps = [
        StepCost("plan", "", "", 2.0),
        StepCost("scan", "part 1 of 2", "claims", 10.0, **known, spilled_memory_bytes=0,
                 spilled_disk_bytes=0),
        StepCost("judge", "", "claims", 5.0, **known),
        StepCost("evaluation", "", "claims", 20.0, **known, worker_cpu_seconds=33.0,
                 worker_peak_bytes=5 * 2**30, spilled_memory_bytes=3 * 2**30,
                 spilled_disk_bytes=2**29),
        StepCost("sink", "results", "claims", 1.0),
    ]  # fmt: skip
    made = read(replace(run, steps=steps))
    lines = made.select(".costs tbody tr")
    rows = [[words(cell) for cell in line.select("th, td")] for line in lines]
    # The evaluation stands above what it was made of.
    assert [row[0] for row in rows] == [
        "plan", "evaluation claims", "scan claims part 1 of 2", "judge claims",
    ]  # fmt: skip
    assert [len(line.select("th.inner")) for line in lines] == [0, 0, 1, 1]
    assert rows[0][1:] == ["2.0 s"] + ["-"] * 7
    assert rows[1][1:] == [
        "20 s", "1.5 s", "8.2 s", "33 s", "300 MiB", "-", "5.0 GiB", "3.0 GiB, 512 MiB on disk",
    ]  # fmt: skip
    assert rows[2][-1] == "0"
    widths = [bar["style"] for bar in made.select(".costs .track span")]
    assert widths == ["width:10.0%", "width:100.0%", "width:50.0%", "width:25.0%"]


def test_pictures_stand_in_the_page(page: BeautifulSoup) -> None:
    titles = [words(b) for b in page.select("#e1 figcaption b")]
    assert titles == ["ROC curve", "Precision and recall", "Calibration", "Confusion matrix"]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.select("figure svg"))
    assert not page.select("#e3 figure")


def hostile_run(cell_of: Cells, run_of: Runs, text: str) -> RunOutcome:
    test = ModelTest(text, text, (Condition("min", 0.5),))
    cells = [
        cell_of(slice_name=name, test=test, model=text, verdict=verdict, reason=text, variant=text)
        for name in ("overall", text)
        for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    ]
    run = run_of(cells, suite=text, reason=text)
    evaluation = replace(
        run.evaluations[0], name=text, baseline=text, model_errors={text: text}, timings={text: 1.0}
    )
    info = replace(
        run.info, run_id=text, store=text, user=text, suite_resolved=text, versions={text: text}
    )
    return replace(run, info=info, evaluations=[evaluation])


def test_text_from_data_stays_text(cell_of: Cells, run_of: Runs) -> None:
    html = report.render(hostile_run(cell_of, run_of, NASTY))
    made = BeautifulSoup(html, "lxml")
    assert len(made.find_all("script")) == 1
    assert not made.find_all("img")
    assert "alert(1)" not in made.find("script").get_text()
    assert "{{ 7*7 }}" in words(made.find("main"))
    assert words(made.find("h1")) == "Gate failed"
    assert made.select_one("details pre").get_text() == NASTY


@settings(max_examples=25, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=50))
def test_any_text_leaves_the_page_whole(text: str, cell_of: Cells, run_of: Runs) -> None:
    plain = BeautifulSoup(report.render(hostile_run(cell_of, run_of, "x")), "lxml")
    odd = report.render(hostile_run(cell_of, run_of, f"x{text}x")).encode("utf-8", "replace")
    made = BeautifulSoup(odd.decode(), "lxml")
    assert [node.name for node in made.find_all(True)] == [n.name for n in plain.find_all(True)]


def test_very_long_names_are_cut_by_style_and_whole_in_the_title(
    cell_of: Cells, run_of: Runs
) -> None:
    name = "n" * 3000
    made = read(run_of([cell_of(slice_name=name)]))
    head = made.select("table.heatmap tbody th")[0]
    assert head["title"] == name
    assert "cut" in head.span["class"]


def test_same_outcome_same_bytes(full_run: RunOutcome, html: str) -> None:
    assert report.render(full_run) == html


SOFT = ModelTest("log_loss", "log_loss", (Condition("max", 0.3),), severity=Severity.WARN)


def test_a_pass_with_warnings_is_not_green_and_names_them(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(model=model) for model in ("sound", "warned")]
    cells += [
        cell_of(model="warned", slice_name=piece, test=SOFT, verdict=Verdict.FAIL)
        for piece in ("overall", "country=DE", "country=FR", "country=PL")
    ]
    made = read(run_of(cells))
    assert words(made.find("title")) == "Gate passed, 4 warnings: nightly"
    assert words(made.find("h1")) == "Gate passed, 4 warnings"
    top = made.find("header")
    assert "caution" in top["class"]
    assert words(made.find("h1").find_next_sibling()) == (
        "Failed as warnings: log_loss on overall (warned), log_loss on country=DE (warned), "
        "log_loss on country=FR (warned) and 1 more"
    )
    chips = ["0 failed", "0 error", "4 warnings", "0 inconclusive", "2 passed", "0 recorded"]
    assert [words(chip) for chip in made.select(".chip")] == chips
    assert [each["class"] for each in made.select("header .share i")] == [["v-WARN"], ["v-PASS"]]
    sound, warned = made.select(".card")
    assert words(sound) == "sound Passed 1 passed in claims"
    assert "good" in sound["class"]
    assert words(warned) == (
        "warned Passed, 4 warnings Failed as warnings: log_loss on overall, "
        "log_loss on country=DE, log_loss on country=FR and 1 more 4 warnings, 1 passed in claims"
    )
    assert "caution" in warned["class"]
    assert "4 warnings" in [words(each) for each in made.select(".tally .badge")]
    # Only the model that passed without a warning is green.
    assert [words(each.select_one(".card-top")) for each in made.select(".good")] == ["sound"]


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ((Verdict.PASS, Verdict.INCONCLUSIVE), "Passed, 1 warning, 1 undecided"),
        ((Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE), "1 warning, mostly undecided"),
        ((Verdict.RECORDED,), "Passed, 1 warning"),
        ((Verdict.FAIL,), "Failed"),
        ((Verdict.ERROR, Verdict.PASS), "Error"),
    ],
)
def test_a_model_with_a_warning_is_never_green(
    cell_of: Cells, run_of: Runs, verdicts: tuple[Verdict, ...], headline: str
) -> None:
    cells = [cell_of(slice_name=f"s{n}", verdict=each) for n, each in enumerate(verdicts)]
    made = read(run_of([*cells, cell_of(test=SOFT, verdict=Verdict.FAIL)]))
    (card,) = made.select(".card")
    assert words(card.select_one(".card-state")) == headline
    assert "1 warning" in words(card.select(".card-text")[0])
    assert not made.select(".good")


def test_each_region_has_a_name_of_its_own(
    page: BeautifulSoup, big_run: Callable[[int], RunOutcome]
) -> None:
    # Twice the same evaluation: even where names are alike, a region's is not.
    twice = big_run(6)
    twice = read(replace(twice, evaluations=[*twice.evaluations, *twice.evaluations]))
    for made in (page, twice):
        regions = made.select("[role=region], section, [role=group]")
        names = [region["aria-label"].strip() for region in regions]
        assert len(names) > 40
        assert all(names)
        assert [name for name in names if names.count(name) > 1] == []
        # What scrolls can be reached by keyboard, and says what it is.
        assert all(each.get("role") == "region" for each in made.select("[tabindex], .scroll"))
    for place, evaluation in enumerate(("claims", "digits", "diabetes"), start=1):
        names = [region["aria-label"] for region in page.select(f"#e{place} [role=region]")]
        assert names
        assert all(evaluation in name for name in names)
    first = [region["aria-label"] for region in page.select("#e1 [role=region]")]
    assert {"Models of claims side by side", "What failed in claims"} <= set(first)
