"""`drift` in whole runs: bins of a reference that is pinned, nights that cost what is new."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from engine.core.vocabulary import Verdict
from engine.errors import DataError, InputError
from engine.execution import answers
from tests.fixtures.desk import Desk, check_same
from tests.fixtures.desk import cells_of as cells_by
from tests.fixtures.domain_trees import domain_area
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

FIGURES = ["n", "value", "ci_low", "ci_high", "error_bound"]
TESTS = [
    {"drift": "psi", "max": 0.1},
    {"drift": "ks", "columns": ["f0", "age"], "max": 0.2},
    {"drift": "wasserstein", "columns": "f0", "max": 0.3, "slices": ["overall"]},
    {"prediction_drift": "ks", "max": 0.9},
]


@pytest.fixture(scope="module")
def desk(
    world: Any,
    spark: SparkSession,
    evaluated: Callable[..., RunResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    folder = tmp_path_factory.mktemp("drift")
    keys = {"reference": {"delta": str(folder / "train")}, "tests": TESTS}
    desk = Desk(world, spark, folder, evaluated, keys)
    desk.append(world.rows[1000:1800], folder / "train")
    desk.append(world.rows[:600].assign(f0=lambda rows: rows["f0"] + 2))
    return desk


def suite_of(desk: Desk, *tests: dict[str, Any], reference: str = "") -> dict[str, Any]:
    """The desk's suite with other tests, against another table."""
    suite = desk.suite()
    suite["evaluations"][0]["tests"] = [*tests]
    if reference:
        suite["evaluations"][0]["reference"] = {"delta": reference}
    return suite


@pytest.fixture(scope="module")
def first(desk: Desk) -> RunResult:
    return desk.run(desk.suite(), "desk", run_id="first")


def pictures(page: Path, which: str = "figure.nights, figure.sides") -> list[str]:
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "lxml")
    return [str(figure) for figure in soup.select(which)]


def cells_of(result: RunResult) -> pd.DataFrame:
    return cells_by(result, ["test", "slice"])


def same(one: RunResult, other: RunResult) -> None:
    check_same(cells_of(one), cells_of(other), FIGURES)


def test_columns_are_held_against_the_reference(desk: Desk, first: RunResult) -> None:
    cells = cells_of(first)
    predicted = cells[cells["model"] == "good"].xs("overall", level="slice")
    assert predicted.index.tolist() == ["prediction_drift ks"]
    assert predicted["value"].between(0, 1).all()
    moved = cells[cells["model"] == ""].xs("overall", level="slice")
    assert moved.loc["drift psi(f0)", "verdict"] == "FAIL"
    others = moved[[("f0" not in name) for name in moved.index]]
    assert len(others) > 4 and (others["verdict"] == "PASS").all(), others["reason"]
    assert "drift psi(id)" not in moved.index, "the key says nothing of the population"
    planned = desk.plan(desk.suite())
    (test,) = [test for test in planned.plan.tests if test.name == "drift psi(f0)"]
    edges = json.loads(test.parameters)["bins"]["edges"]
    sides = []
    for rows in (desk.world.rows[1000:1800]["f0"], desk.world.rows[:600]["f0"] + 2):
        counts = np.histogram(rows.dropna(), [-np.inf, *edges, np.inf])[0]
        sides.append(np.append(counts, rows.isna().sum()).astype(float))
    p, q = ((side + 0.5 * (sum(sides) > 0))[sum(sides) > 0] for side in sides)
    p, q = p / p.sum(), q / q.sum()
    psi = float(((q - p) * np.log(q / p)).sum())
    assert moved.loc["drift psi(f0)", "value"] == pytest.approx(psi, rel=1e-9)
    page = desk.folder / "store" / "reports" / "first" / "index.html"
    assert "population stability index" in page.read_text(encoding="utf-8")


def test_a_night_with_nothing_new_scans_nothing(desk: Desk, first: RunResult) -> None:
    planned = desk.plan(desk.suite())
    assert planned.steps.nothing_to_do and planned.reference.nothing_to_do
    assert planned.rows == 0
    same(desk.run(desk.suite(), "desk", run_id="again"), first)
    from engine import report

    # Its report has both nights, and is built again from the store as it was.
    store = desk.folder / "store"
    page = pictures(store / "reports" / "again" / "index.html")
    assert page and page == pictures(
        report(store=str(store), run="again", out=desk.folder / "built")
    )
    soup = BeautifulSoup(" ".join(page), "lxml")
    lines = {
        str(line["aria-label"]).partition(" in ")[0]: line
        for line in soup.select("figure.nights svg[role=img]")
    }
    assert {"f0", "age", "device", "good"} <= set(lines)
    assert all(len(line.select("use")) == 2 for line in lines.values())
    titles = [caption.get_text() for caption in soup.select("figure.sides b:first-child")]
    assert titles[0] == "f0" and {"age", "good"} <= set(titles)
    assert not pictures(store / "reports" / "first" / "index.html", "figure.nights")


def test_rows_that_came_are_all_that_is_read(desk: Desk, first: RunResult) -> None:
    desk.append(desk.world.rows[600:630])
    planned = desk.plan(desk.suite())
    assert planned.rows == 30 and planned.predictions <= 30
    night = desk.run(desk.suite(), "desk", run_id="night")
    same(night, desk.run(desk.suite(reuse=False), "desk", run_id="anew"))
    assert not cells_of(night)["value"].equals(cells_of(first)["value"])


def test_judged_again_by_another_limit_and_distance(desk: Desk, first: RunResult) -> None:
    from engine import judge

    store = str(desk.folder / "store")
    suite = suite_of(desk, {"drift": "psi", "max": 20}, {"drift": "js_distance", "columns": ["f0"]})
    judged = judge("first", suite=desk.world.write("loose", suite), store=store)
    cells = cells_of(judged)
    assert judged.gate.outcome.value == "passed"
    assert 0 < cells.loc[("drift js_distance(f0)", "overall"), "value"] < 1
    other = suite_of(desk, {"drift": "ks", "columns": ["f1"]})
    with pytest.raises(InputError, match="did not keep the states for test"):
        judge("first", suite=desk.world.write("other", other), store=store)


def test_a_classifier_is_asked_once_for_rows_in_any_order(
    desk: Desk, first: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, original = [], answers.answer_contrast

    def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(answers, "answer_contrast", counted)
    names, rows = ["f0", "f1", "age", "device"], desk.world.rows[300:900]
    table = str(desk.folder / "other")
    desk.append(rows, table)
    test = {"drift": "domain_classifier", "columns": names, "max": 0.6}
    suite = suite_of(desk, test)
    suite["evaluations"][0]["dataset"]["delta"] = table
    told = desk.run(suite, "desk", run_id="told")
    cell = cells_of(told).loc["drift domain_classifier(f0,f1,age,device)", "overall"]
    sides, units = [], []
    for where in (table, str(desk.folder / "train")):
        frame = desk.spark.read.format("delta").load(where)
        hashes = ["xxhash64(id) AS h", "xxhash64(CAST(id AS STRING)) AS u"]
        side = frame.selectExpr("*", *hashes).toPandas().sort_values("h")
        sides.append(side[names])
        units.append(side["u"].to_numpy())
    by_hand = domain_area(sides, units, ["device"])
    assert cell["value"] == pytest.approx(by_hand, abs=1e-9)
    assert cell["n"] == 600 and cell["verdict"] == "PASS", cell["reason"]
    same(desk.run(suite, "desk", run_id="kept"), told)
    assert len(asked) == 1, "kept for the versions of both tables"
    # The same rows in other files, at another version.
    frame = desk.spark.read.format("delta").load(table)
    frame.orderBy("f0").repartition(7).write.format("delta").mode("overwrite").save(table)
    same(desk.run(suite, "desk", run_id="moved"), told)
    assert len(asked) == 2
    write_rows(table, rows.assign(f1=-rows["f0"]), "overwrite")
    shifted = desk.run(suite, "desk", run_id="shifted")
    (seen,) = shifted.outcome.cells
    assert seen.verdict is Verdict.FAIL
    assert "lost without a column: f" in str(seen.measured.detail)
    (page,) = (desk.folder / "store" / "reports" / "shifted").glob("*.html")
    assert "lost without a column: f" in page.read_text(encoding="utf-8")


def test_references_that_do_not_fit_are_refused_before_the_scan(desk: Desk) -> None:
    rows = desk.world.rows[:50]
    for name, frame, message in (
        ("empty", rows[:0], "the reference 'empty' has no rows at this version"),
        ("poor", rows.drop(columns="age"), r"the reference 'poor' lacks the columns \['age'\]"),
        ("typed", rows.assign(age="old"), "the column 'age' is string in the reference 'typed'"),
    ):
        table = str(desk.folder / name)
        desk.append(frame, table)
        for asked in ("psi", "domain_classifier"):
            suite = suite_of(desk, {"drift": asked, "columns": ["age"]}, reference=table)
            with pytest.raises(DataError, match=message):
                desk.run(suite, "wrong")
    rare = str(desk.folder / "rare")
    desk.append(desk.world.rows.assign(device=[f"d{n}" for n in range(len(desk.world.rows))]), rare)
    with pytest.raises(InputError, match="the column 'device' cannot be binned: most rows"):
        desk.run(suite_of(desk, {"drift": "psi", "columns": ["device"]}, reference=rare), "wrong")
