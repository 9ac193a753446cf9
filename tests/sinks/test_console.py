from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pytest
from rich.console import Console

from engine.core.vocabulary import (
    Cell,
    Condition,
    GateOutcome,
    ModelTest,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.sinks import console

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]


def printed(
    run: RunOutcome,
    *,
    width: int = 80,
    colours: bool = False,
    places: Mapping[str, str] | None = None,
) -> str:
    stream = io.StringIO()
    colour = {"force_terminal": True, "color_system": "truecolor"} if colours else {}
    target = Console(file=stream, width=width, legacy_windows=False, **colour)
    console.render(run, console=target, places=places)
    return stream.getvalue()


def test_a_real_run_fits_80_columns_without_colours(full_run: RunOutcome) -> None:
    text = printed(full_run)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.strip().startswith("GATE IN ERROR")
    assert "6 FAIL   118 INCONCLUSIVE" in text
    assert "35 ERROR" in text
    for name in ("claims-v2", "claims-v3", "claims-v4-wide", "digits-cnn", "roc_auc", "(baseline)"):
        assert name in text


def test_intervals_differences_and_what_is_open_are_told(full_run: RunOutcome) -> None:
    text = printed(full_run)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "roc_auc 0.9020 PASS 0.9265 PASS 0.9177 PASS" in lines
    assert "[0.8970, 0.9067] [0.9221, 0.9306] [0.9131, 0.9220]" in lines
    assert "+0.0245 (q <0.0001) +0.0157 (q <0.0001)" in lines
    assert "against claims-v2, over slices and metrics" in lines
    assert any(line.startswith("claims-v3: better on 3") for line in lines)
    assert any(line.startswith("! 118 of 834 tests could not be decided") for line in lines)
    undecided = text.split("What could not be decided")[1]
    assert undecided.count("INCONCLUSIVE ") == console.MAX_UNDECIDED
    assert "and 115 more" in undecided


def test_failures_come_before_errors_and_are_capped(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(verdict=Verdict.ERROR, reason="it raised")]
    cells += [
        cell_of(slice_name=f"s{place}", verdict=Verdict.FAIL, reason="low") for place in range(25)
    ]
    text = printed(run_of(cells)).split("What failed")[1]
    assert text.count("FAIL ") == console.MAX_FINDINGS
    assert "ERROR" not in text
    assert "and 16 more" in text


@pytest.mark.parametrize("verdict", [Verdict.RECORDED, Verdict.INCONCLUSIVE])
def test_nothing_decided_never_reads_green(cell_of: Cells, run_of: Runs, verdict: Verdict) -> None:
    text = printed(run_of([cell_of(verdict=verdict)]), colours=True)
    assert "NOTHING WAS DECIDED" in text
    assert "GATE PASSED" not in text
    passed = printed(run_of([cell_of()]), colours=True)
    green = passed[: passed.index("GATE PASSED")].splitlines()[-1].strip()
    assert green.startswith("\x1b[")
    assert green not in text


def test_a_pass_with_warnings_never_reads_green(cell_of: Cells, run_of: Runs) -> None:
    soft = ModelTest("log_loss", "log_loss", (Condition("max", 1),), severity=Severity.WARN)
    run = run_of([cell_of(), cell_of(test=soft, slice_name="[b]::error::x", verdict=Verdict.FAIL)])
    lines = printed(run, width=200).strip().splitlines()
    assert lines[0].startswith("GATE PASSED, 1 WARNING ")
    assert lines[1] == "Failed as a warning: log_loss on [b]: :error::x"
    assert lines[3].split("   ")[:3] == ["1 PASS", "0 FAIL", "1 WARN"]
    text = printed(run, colours=True)
    passed = printed(run_of([cell_of()]), colours=True)
    green = passed[: passed.index("GATE PASSED")].splitlines()[-1].strip()
    assert green.startswith("\x1b[")
    assert green not in text


def test_text_from_data_is_neither_markup_nor_control(cell_of: Cells, run_of: Runs) -> None:
    nasty = "[red]x[/red][/] \x1b[31mred\x07 [link=http://a]b"
    cell = cell_of(slice_name=nasty, verdict=Verdict.FAIL, reason=nasty, model=nasty)
    run = run_of([cell], suite=nasty, reason=nasty)
    text = printed(run, width=200, places={nasty: nasty})
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count("[red]x[/red][/]") >= 5


def test_very_long_names_do_not_break_the_width(cell_of: Cells, run_of: Runs) -> None:
    cell = cell_of(slice_name="s" * 5000, verdict=Verdict.FAIL, reason="r" * 5000, model="m" * 5000)
    text = printed(run_of([cell], suite="n" * 5000))
    assert max(map(len, text.splitlines())) <= 80
    assert len(text) < 6000


def test_many_models_are_shown_in_turn(cell_of: Cells, run_of: Runs) -> None:
    text = printed(run_of([cell_of(model=f"model-{place:02d}") for place in range(9)]))
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"model-{place:02d}" in text for place in range(9))


def test_places_stay_on_one_line(full_run: RunOutcome) -> None:
    long = "./store/" + "reports/" * 30 + "index.html"
    assert f"report  {long}" in printed(full_run, places={"report": long}).splitlines()


def test_ascii_terminals_can_show_it(cell_of: Cells, run_of: Runs) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    run = run_of([cell_of(value=None, verdict=Verdict.INCONCLUSIVE)], outcome=GateOutcome.PASSED)
    console.render(run, console=Console(file=stream, width=80))
    stream.flush()
    assert b"INCONCLUSIVE" in stream.buffer.getvalue()
