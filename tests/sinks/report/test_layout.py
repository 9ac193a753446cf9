"""The page as a browser lays it out: on a phone, on a tablet and on a desk."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    Night,
    NightCell,
    RunOutcome,
    Severity,
    Slice,
    Verdict,
)
from engine.kinds.drift.bin_rows import BinRows
from engine.sinks import report
from tests.fixtures.outcomes import (
    START,
    binary_sketch,
    draw_evaluation,
    make_full_run,
    make_outcome,
    multiclass_sketch,
)

Cells = Callable[..., Cell]
WIDTHS = (320, 360, 400, 768, 1280)

# The page in frames of all widths: a frame has the layout of a window of its width, and one start
# of the browser measures them all. Each is measured as it opens and with all that is folded open.
MEASURE = """
addEventListener("load", function () {
  const found = [];
  document.querySelectorAll("iframe").forEach(function (frame) {
    const page = frame.contentDocument;
    for (const state of ["shut", "open"]) {
      found.push([Number(frame.width), state, page.documentElement.scrollWidth,
                  frame.contentWindow.innerWidth, clipped(frame.contentWindow)]);
      page.querySelectorAll("details").forEach((each) => { each.open = true; });
      page.querySelectorAll(".panel").forEach((each) => { each.hidden = false; });
    }
  });
  document.body.textContent = JSON.stringify(found);
});
// Texts that end before their end, where no scrolling shows the rest.
function clipped(view) {
  const lost = [];
  view.document.querySelectorAll("main .cut, main dd, header *").forEach(function (each) {
    const style = view.getComputedStyle(each);
    if (style.overflowX !== "hidden" || each.matches(".visually-hidden, .share")) return;
    // Of the map of slices a tap tells the whole name.
    if (each.closest(".heatmap")) return;
    if (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 4) {
      lost.push(each.parentElement.tagName + "." + each.className + ": " + each.textContent);
    }
  });
  // These tables are laid out as lists where there is no room: nothing of them needs scrolling.
  const lists = view.document.querySelectorAll(".scroll:has(.forest, .findings, .signs)");
  lists.forEach(function (each) {
    if (each.scrollWidth > each.clientWidth) lost.push(each.getAttribute("aria-label"));
  });
  return lost;
}
"""


def name(text: str) -> str:
    """A name of 60 characters without a place to break it."""
    return f"{text}_of_the_department_for_private_customers_in_all_the_regions"[:60]


def long_run(cell_of: Cells) -> RunOutcome:
    """Names as long as real ones get, in each place that a name has, and each part of a page."""
    sketch = binary_sketch(24)
    models = {name(f"claims_v{place}"): 0.04 * place for place in range(6)}
    sketch = replace(
        sketch,
        name=name("claims"),
        models=models,
        baseline=next(iter(models)),
        slices=[f"{name('region')}={piece} & {name('device')}={piece}" for piece in sketch.slices],
        tests=[replace(test, name=name(test.metric)) for test in sketch.tests],
    )
    first = draw_evaluation(sketch)
    noise = '{"noise": ["f0"]}'
    test = ModelTest(name("noise"), "roc_auc", kind="robustness", parameters=noise)
    noisy = [
        cell_of(model=model, test=test, variant=f"{name('noise')}@{level}", baseline_value=0.9)
        for model in models
        for level in (0.1, 0.5, 1.0)
    ]
    data = data_cells(cell_of)
    noisy = [*noisy, *pictured(cell_of, models), *data]
    noisy = [replace(cell, evaluation=first.name) for cell in noisy]
    found = {("", cell.test.name): NightCell(0.2, 0.1, 0.3, Verdict.FAIL) for cell in data}
    days = (START + dt.timedelta(days=place) for place in range(30))
    first = replace(
        first,
        cells=[*first.cells, *noisy],
        nights=[Night(f"run {place}", day, place, found) for place, day in enumerate(days)],
        model_errors={name("claims_v9"): f"RuntimeError: {'x' * 200}"},
        not_deterministic={name("claims_v1"): f"two predictions of {'y' * 100}"},
        timings={f"predict_seconds/{model}": 1.0 for model in models},
    )
    second = draw_evaluation(
        replace(multiclass_sketch(), models={name("a"): 0.1, name("b"): 0.5}, baseline=name("a"))
    )
    labels = tuple(name(f"class {place}") for place in range(10))
    second = replace(second, confusion=[replace(each, labels=labels) for each in second.confusion])
    run = make_outcome([first, second], suite=name("nightly"), reason=f"{'z' * 90} failed.")
    info = replace(run.info, run_id="r" * 80, store=f"hdfs://{'a' * 120}", user="u" * 60)
    return replace(run, info=info)


def pictured(cell_of: Cells, models: Iterable[str]) -> list[Cell]:
    """Cells of kinds that are drawn as intervals, as distributions, as signs and along a column."""
    asked = {
        "speed": ("latency_p95_ms", '{"speed": "latency_p95"}', (Condition("max_ms", 12.0),)),
        "contract": ("breaches", '{"contract": ["batch_equals_row"]}', ()),
        "invariance": ("flip_rate", "{}", ()),
        "direction": ("violations", f'{{"column": "{name("column")}"}}', ()),
    }
    numbers = {"p50": 1.25, "p95": 11.75, "p99": 112.5, "cold": 1234.5}
    numbers |= {f"baseline {quantile}": 7.5 for quantile in ("p50", "p95", "p99")}
    cells = []
    for kind, (metric, parameters, conditions) in asked.items():
        test = ModelTest(name(kind), metric, conditions, kind=kind, parameters=parameters)
        measured = MetricValue(0.5, None, 0.0, 0.25, 0.75, numbers=numbers)
        cells += [cell_of(model=model, test=test, measured=measured) for model in models]
        if kind == "direction":
            parts = [f"[{place}12345.25, {place}23456.75)" for place in range(1, 9)]
            cells += [
                replace(cell, slice=Slice(part, "bins", "bins", ((name("column"), part),)))
                for cell in cells[-len(list(models)) :]
                for part in parts
            ]
    return cells


def data_cells(cell_of: Cells) -> list[Cell]:
    """Cells of columns: drift with both samples by bin, and checks of the data's quality."""
    edges = [f"{place}2345.25" for place in range(1, 10)]
    parts = [*(f"[{edge}, more)" for edge in ["", *edges]), "null"]
    values = [name(f"value {place}") for place in range(30)]
    cells = []
    for place in range(14):
        bins = (parts, edges) if place % 2 else (values, [])
        rows = BinRows(*bins, range(1, len(bins[0]) + 1), [1_234_567] * len(bins[0]))
        about = json.dumps({"distance": "psi", "columns": [name(f"column {place}")]})
        test = ModelTest(
            name(f"drift {place}"), "psi", (Condition("max", 0.1),), kind="drift", parameters=about
        )
        measured = MetricValue(0.0123, None, 0.0, 0.0, 0.5, name("bin"), rows.numbers())
        verdict = Verdict.FAIL if place < 8 else Verdict.INCONCLUSIVE
        cells.append(cell_of(model="", test=test, measured=measured, verdict=verdict))
        about = json.dumps({"not_null": [name(f"column {place}")]})
        test = replace(test, name=name(f"null {place}"), kind="data_quality", parameters=about)
        cells += [
            cell_of(model="", test=test, measured=measured, slice_name=where)
            for where in ("overall", name("somewhere"))
        ]
    return cells


def warned_run(cell_of: Cells) -> RunOutcome:
    """One evaluation that passed with warnings: the headline that has most to say."""
    soft = ModelTest(name("log_loss"), "log_loss", severity=Severity.WARN)
    cells = [
        cell_of(slice_name=f"{name('s')}={place}", test=soft, verdict=Verdict.FAIL, model=model)
        for place in range(5)
        for model in (name("old"), name("new"))
    ]
    gone = MetricValue(None, "one_class")
    cells += [cell_of(model=name("old")), cell_of(measured=gone, verdict=Verdict.INCONCLUSIVE)]
    evaluation = draw_evaluation(replace(binary_sketch(2), models={}))
    models = tuple({cell.model.name: cell.model for cell in cells}.values())
    return make_outcome([replace(evaluation, models=models, baseline=None, cells=cells)])


def measure(page: str, browser: str, folder: Path) -> list[tuple[int, str, int, int, list[str]]]:
    """For each width and state: the width of what is laid out, that of the window, cut texts."""
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(page)}"></iframe>'
        for width in WIDTHS
    )
    file = folder / "frames.html"
    source = f"<!DOCTYPE html><meta charset=utf-8><body>{frames}<script>{MEASURE}</script>"
    file.write_bytes(source.encode("utf-8", "replace"))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=180, check=True
    )
    body = re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)
    assert body is not None, done.stderr[-2000:]
    return [tuple(each) for each in json.loads(html.unescape(body[1]))]


@pytest.mark.parametrize(
    "make", [lambda _: make_full_run(12), long_run, warned_run], ids=["plain", "long", "warned"]
)
def test_a_page_is_never_wider_than_its_window(
    make: Callable[[Cells], RunOutcome], browser: str, cell_of: Cells, tmp_path: Path
) -> None:
    page = report.render(make(cell_of))
    assert "This part could not be made" not in page
    found = measure(page, browser, tmp_path)
    assert [(width, state) for width, state, *_ in found] == [
        (width, state) for width in WIDTHS for state in ("shut", "open")
    ]
    for width, state, laid_out, window, clipped in found:
        assert window == width
        assert laid_out <= window, f"{laid_out} px at {width} px, {state}"
        if width <= 400:
            # No pointer rests on a text to read what was cut off.
            assert clipped == [], f"cut off at {width} px, {state}"


def test_a_page_that_runs_over_is_seen(browser: str, cell_of: Cells, tmp_path: Path) -> None:
    page = report.render(warned_run(cell_of))
    broken = page.replace("</main>", '<p style="width:712px">wide</p></main>')
    found = measure(broken, browser, tmp_path)
    assert {width for width, _, laid_out, *_ in found if laid_out > width} == {320, 360, 400}
