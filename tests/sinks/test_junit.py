from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from engine.core.vocabulary import (
    Cell,
    Condition,
    GateOutcome,
    MetricValue,
    ModelTest,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.sinks import junit

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / "junit.xsd"))


def as_a_library_writes(path: Path) -> bytes:
    """The same document, written by ElementTree."""
    root = ElementTree.parse(path).getroot()
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def read(path: Path, schema: etree.XMLSchema) -> etree._Element:
    root = etree.parse(path).getroot()
    schema.assertValid(root)
    assert path.read_bytes() == as_a_library_writes(path)
    for suite in root.iter("testsuite"):
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        for tag, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(total)) == len(suite.findall(f"testcase/{tag}"))
    for total in ("tests", "failures", "errors"):
        assert int(root.get(total)) == sum(int(suite.get(total)) for suite in root)
    return root


def test_a_real_run_is_valid_and_complete(
    full_run: RunOutcome, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    root = read(junit.write(full_run, tmp_path / "deep" / "junit.xml"), schema)
    pairs = [(e.name, model.name) for e in full_run.evaluations for model in e.models]
    assert [suite.get("name") for suite in root] == [f"{e}.{m}.{e}" for e, m in pairs]
    cells = full_run.cells
    hard = [c for c in cells if c.verdict is Verdict.FAIL and c.test.severity is Severity.FAIL]
    assert int(root.get("failures")) == len(hard) > 0
    assert int(root.get("errors")) == sum(c.verdict is Verdict.ERROR for c in cells) > 0
    tested = [c for c in cells if c.verdict is not Verdict.RECORDED]
    # One model has only recorded values: one skipped case says so.
    assert int(root.get("tests")) == len(tested) + 1


def test_each_verdict(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    warn = ModelTest("log_loss", "log_loss", (Condition("max", 1.0),), severity=Severity.WARN)
    cells = [
        cell_of(slice_name="ok"),
        cell_of(slice_name="bad", verdict=Verdict.FAIL, reason="too low"),
        cell_of(slice_name="broken", verdict=Verdict.ERROR, reason="it raised", value=None),
        cell_of(slice_name="few", verdict=Verdict.INCONCLUSIVE, reason="3 rows"),
        cell_of(slice_name="meh", verdict=Verdict.FAIL, test=warn, reason="a bit high"),
        cell_of(slice_name="seen", verdict=Verdict.RECORDED, test=ModelTest("f1", "f1")),
    ]
    root = read(junit.write(run_of(cells), tmp_path / "junit.xml"), schema)
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == ["ok/recall", "bad/recall", "broken/recall", "few/recall", "meh/log_loss"]
    assert len(cases["ok/recall"]) == 0
    assert cases["bad/recall"].find("failure").get("message") == "too low"
    assert "condition: min 0.85" in cases["bad/recall"].find("failure").text
    assert cases["broken/recall"].find("error").get("message") == "it raised"
    assert "undefined because: one_class" in cases["broken/recall"].find("error").text
    assert cases["few/recall"].find("skipped").get("message") == "3 rows"
    assert cases["meh/log_loss"].find("failure") is None
    assert cases["meh/log_loss"].findtext("system-out").startswith("WARN: a bit high")


def test_the_figures_stand_in_the_texts(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    figures = {
        "measured": MetricValue(0.82, ci_low=0.79, ci_high=0.85),
        "baseline_model": "old",
        "baseline_value": 0.87,
        "delta": -0.05,
        "delta_ci_low": -0.07,
        "delta_ci_high": -0.03,
        "p_value": 0.0005,
        "q_value": 0.004,
        "violation_p_value": 0.0125,
        "violation_q_value": 0.025,
    }
    cells = [
        cell_of(slice_name="bad", verdict=Verdict.FAIL, reason="too low", **figures),
        cell_of(slice_name="open", verdict=Verdict.INCONCLUSIVE, reason="who knows", **figures),
    ]
    root = read(junit.write(run_of(cells), tmp_path / "junit.xml"), schema)
    cases = {case.get("name"): case for case in root.iter("testcase")}
    facts = "value 0.820 [0.790, 0.850], difference -0.050 [-0.070, -0.030], p 0.0005, q 0.004"
    facts += ", q of meeting the condition 0.025"
    failure, skipped = cases["bad/recall"].find("failure"), cases["open/recall"].find("skipped")
    assert failure.get("message") == f"too low ({facts})"
    assert skipped.get("message") == f"who knows ({facts})"
    for text in (failure.text, cases["open/recall"].findtext("system-out")):
        for line in (
            "value: 0.82",
            "interval: [0.79, 0.85]",
            "baseline: old, 0.87",
            "difference: -0.05",
            "interval of the difference: [-0.07, -0.03]",
            "p of no difference: 0.0005",
            "q of no difference: 0.004",
            "q of meeting the condition: 0.025",
        ):
            assert line in text.splitlines()


def test_names_are_the_same_when_values_and_versions_change(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    one = cell_of(value=0.5, verdict=Verdict.FAIL, reason="0.5 is low")
    model, data = (
        replace(one.model, version="9", uri="models:/x/9"),
        replace(one.dataset, version=8),
    )
    other = replace(cell_of(value=0.99), model=model, dataset=data)
    names = []
    for place, cell in enumerate((one, other)):
        root = read(junit.write(run_of([cell]), tmp_path / f"{place}.xml"), schema)
        names.append([(case.get("classname"), case.get("name")) for case in root.iter("testcase")])
    assert names[0] == names[1] == [("claims.candidate.claims", "overall/recall")]


def test_a_variant_is_part_of_the_name(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    root = read(junit.write(run_of([cell_of(variant="noise")]), tmp_path / "j.xml"), schema)
    assert root.find(".//testcase").get("name") == "overall/recall/noise"


def test_a_model_that_could_not_be_evaluated_at_all_is_an_error(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    run = run_of([cell_of()], outcome=GateOutcome.ERROR)
    gone = replace(
        run.evaluations[0], cells=(), model_errors={"candidate": "no column 'age' in the data"}
    )
    root = read(junit.write(replace(run, evaluations=[gone]), tmp_path / "j.xml"), schema)
    assert root.find(".//error").get("message") == "no column 'age' in the data"


@pytest.mark.parametrize(
    ("outcome", "tag"), [(GateOutcome.FAILED, "failure"), (GateOutcome.ERROR, "error")]
)
def test_ci_is_red_when_the_gate_is(
    outcome: GateOutcome,
    tag: str,
    cell_of: Cells,
    run_of: Runs,
    tmp_path: Path,
    schema: etree.XMLSchema,
) -> None:
    run = run_of(
        [cell_of(verdict=Verdict.INCONCLUSIVE)], outcome=outcome, reason="on_inconclusive: fail"
    )
    root = read(junit.write(run, tmp_path / "j.xml"), schema)
    assert root.find(f"testsuite[@name='nightly.gate']/testcase/{tag}") is not None


def test_a_passed_gate_adds_no_suite(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    root = read(junit.write(run_of([cell_of()]), tmp_path / "j.xml"), schema)
    assert len(root) == 1


def test_times_are_utc_without_zone(full_run: RunOutcome, tmp_path: Path) -> None:
    started = dt.datetime(2026, 1, 1, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    run = replace(full_run, info=replace(full_run.info, started_at=started))
    root = etree.parse(junit.write(run, tmp_path / "j.xml")).getroot()
    assert root[0].get("timestamp") == "2025-12-31T23:30:00"


def test_same_outcome_same_bytes(full_run: RunOutcome, tmp_path: Path) -> None:
    one = junit.write(full_run, tmp_path / "1.xml").read_bytes()
    assert one == junit.write(full_run, tmp_path / "2.xml").read_bytes()


def test_markup_in_texts_stays_text(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    nasty = "\"'<script>]]></failure>&amp; 😀\n\x00\x1b" + "x" * 5000
    cell = cell_of(slice_name=nasty, verdict=Verdict.FAIL, reason=nasty, model=nasty)
    root = read(junit.write(run_of([cell], reason=nasty), tmp_path / "j.xml"), schema)
    failure = root.find(".//failure")
    assert len(failure) == 0
    assert "<script>]]></failure>&amp; 😀" in failure.text
    assert len(failure.get("message")) <= 1000


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(texts=st.lists(ANY_TEXT, min_size=5, max_size=5), verdict=st.sampled_from(list(Verdict)))
def test_any_text_gives_a_valid_document(
    texts: list[str],
    verdict: Verdict,
    cell_of: Cells,
    run_of: Runs,
    tmp_path: Path,
    schema: etree.XMLSchema,
) -> None:
    name, piece, reason, model, suite = texts
    test = ModelTest(name, name, (Condition("min", 0.5),))
    cell = cell_of(slice_name=piece, test=test, verdict=verdict, reason=reason, model=model)
    run = run_of([cell], suite=suite, outcome=GateOutcome.FAILED, reason=reason)
    read(junit.write(run, tmp_path / "j.xml"), schema)
