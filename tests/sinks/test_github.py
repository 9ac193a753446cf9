from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.core.vocabulary import (
    Cell,
    Condition,
    GateOutcome,
    ModelTest,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.sinks import github

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
OURS = {"h3", "p", "ul", "li", "strong", "em", "table", "thead", "tbody", "tr", "th", "td"}
OURS |= {"code", "details", "summary"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(markdown: str) -> Tags:
    tags = Tags()
    tags.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    return tags


def test_a_real_run(full_run: RunOutcome, tmp_path: Path) -> None:
    path = github.write(full_run, tmp_path / "deep" / "summary.md")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("### 🛑 Gate in error: nightly\n")
    assert not re.search(r"^#{1,2} ", text, re.MULTILINE)
    assert set(shown(text).tags) <= OURS
    assert text.count("<details>") == text.count("</details>") == 2
    assert text.index("on all rows") < text.index("### What failed") < text.index("<details>")
    fails, errors = text.index("❌ FAIL"), text.index("🛑 ERROR")
    assert fails < errors


def test_intervals_differences_and_what_is_open_are_told(full_run: RunOutcome) -> None:
    source = github.render(full_run)
    text = "".join(shown(source).text)
    assert "118 of 834 tests could not be decided" in text
    assert "❔ **118 inconclusive**" in source
    assert "0.9265 [0.9221, 0.9306] ✅ · +0.0245 (q <0.0001)" in text
    assert "Against claims-v2 on the same rows, over all slices and metrics:" in text
    assert "claims-v3: better on 3" in text
    assert "0.727 [0.693, 0.759]" in text


def test_what_is_open_is_not_folded_away_where_nothing_failed(cell_of: Cells, run_of: Runs) -> None:
    text = github.render(run_of([cell_of(), cell_of(verdict=Verdict.INCONCLUSIVE)]))
    assert text.startswith("### ✅ Gate passed, 1 of 2 undecided: nightly")
    assert text.index("### Inconclusive: 1 test") < text.index("<details>")


def test_every_row_of_a_table_has_its_columns(full_run: RunOutcome) -> None:
    html = MarkdownIt("commonmark").enable("table").render(github.render(full_run))
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) >= 4
    for table in tables:
        rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1


@pytest.mark.parametrize("verdict", [Verdict.RECORDED, Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_nothing_decided_never_reads_green(cell_of: Cells, run_of: Runs, verdict: Verdict) -> None:
    text = github.render(run_of([cell_of(verdict=verdict)], outcome=GateOutcome.PASSED))
    assert text.startswith("### ⚠️ Nothing was decided")
    assert "✅" not in text


def test_a_pass_with_warnings_never_reads_green(cell_of: Cells, run_of: Runs) -> None:
    soft = ModelTest("log_loss", "log_loss", (Condition("max", 1),), severity=Severity.WARN)
    run = run_of([cell_of(), cell_of(test=soft, slice_name="a|*b*", verdict=Verdict.FAIL)])
    source = github.render(run)
    assert source.startswith("### ⚠️ Gate passed, 1 warning: nightly\n")
    assert "Failed as a warning: log_loss on a|*b*\n" in "".join(shown(source).text)
    assert "**1** pass · ⚠️ **1 warn**\n" in source
    assert set(shown(source).tags) <= OURS


def test_failures_are_capped_and_the_rest_is_counted(cell_of: Cells, run_of: Runs) -> None:
    cells = [
        cell_of(slice_name=f"s{place}", verdict=Verdict.FAIL, reason=f"low {place}")
        for place in range(75)
    ]
    text = github.render(run_of(cells))
    assert text.count("❌ FAIL") == github.MAX_FINDINGS
    assert "And 55 more" in text


NASTY = "a|b `c` <script>alert(1)</script> *d* _e_ [f](http://g) #1 @user \\| 😀 ]]> </details>"


def test_names_stay_names(cell_of: Cells, run_of: Runs) -> None:
    cell = cell_of(slice_name=NASTY, verdict=Verdict.FAIL, reason=NASTY + "\n\n# head", model="m|x")
    page = shown(github.render(run_of([cell], reason=NASTY, suite=NASTY)))
    assert set(page.tags) <= OURS
    text = "".join(page.text)
    assert NASTY.replace("@", "@\u200b") in text
    assert "@user" not in text


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=80))
def test_escaped_text_is_text(text: str) -> None:
    page = shown(f"| a |\n| --- |\n| x{github.escape(text)}x |\n")
    assert page.tags == ["table", "thead", "tr", "th", "tbody", "tr", "td"]


@pytest.mark.parametrize(
    "text", ["- a", "+ a", "1. a", "23) a", "---", "===", "_a_", "__a__", "# a", "> a", "    a"]
)
def test_a_reason_cannot_start_a_block(cell_of: Cells, run_of: Runs, text: str) -> None:
    page = shown(f"before\n\n{github.escape(text)}\n")
    assert page.tags == ["p", "p"]
    assert text.strip() in "".join(page.text)


def test_addresses_become_no_links_and_metrics_stay_readable() -> None:
    text = github.escape("roc_auc of HTTP://evil.example and www.evil.example (0.9)")
    assert "://" not in text
    assert "www." not in text
    assert text.startswith("roc_auc of HTTP&#58;//evil")
    assert text.endswith("(0.9)")


def test_it_stays_under_the_limit_whatever_comes(cell_of: Cells, run_of: Runs) -> None:
    cells = [
        cell_of(slice_name="\U0001f600" * 9000 + str(place), verdict=verdict, reason="&" * 9000)
        for place in range(60)
        for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    ]
    run = run_of(cells, suite="|" * 100_000, reason="<" * 100_000)
    one = run.evaluations[0]
    few = replace(one, cells=one.cells[:2])
    names = [f"{place}{'@' * 9000}" for place in range(900)]
    many = replace(run, evaluations=[one, *(replace(few, name=name) for name in names)])
    text = github.render(many)
    assert len(text.encode()) < github.MAX_BYTES
    assert "left out for size" in text


def test_lone_surrogates_do_not_stop_it(cell_of: Cells, run_of: Runs, tmp_path: Path) -> None:
    github.write(run_of([cell_of(slice_name="a\ud800b")]), tmp_path / "s.md").read_text("utf-8")


def test_same_outcome_same_bytes(full_run: RunOutcome) -> None:
    assert github.render(full_run) == github.render(full_run)
