"""Papers about a version: from its newest verdict, as the field's validators want them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard

import engine
from engine.core.locations import Store
from engine.core.vocabulary import MetricValue, Slice, Verdict
from engine.errors import InputError, StoreError
from engine.sinks.papers.markdown import page, plain, table
from engine.store.results import cells_table
from tests.fixtures.verdicts import DATA, FAIL, INCONCLUSIVE, PASS, Court

NASTY = 'a|b <script>alert(1)</script> `x` **y** [z](http://z) \n# h {{ t }} "q" ü 東'


def papers(court: Court, model: str = "claims@challenger", **more: Any) -> dict[str, str]:
    written = engine.card(model, suite=court.file(), out=court.folder / "papers", **more)
    return {what: Path(path).read_text() for what, path in written.files.items() if what != "pdf"}


def valid_bom(text: str) -> Any:
    """The bill of materials, which CycloneDX's own schema has nothing against."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_the_papers_say_what_the_newest_run_found(here: Court) -> None:
    here.judge("2", [FAIL], baseline="1")
    run_id = here.judge("2", [PASS, PASS, INCONCLUSIVE], baseline="1")
    here.registry.client.update_model_version("claims", "2", description="For claims of cars.")
    texts = papers(here)
    bom = valid_bom(texts["bom"])
    model = bom["metadata"]["component"]
    version = here.version("claims", "2", "challenger")
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model", "claims", "2",
    )  # fmt: skip
    assert model["hashes"] == [{"alg": "SHA-256", "content": version.digest}]
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert figures == [{"type": "accuracy", "value": "0.9", "slice": "overall"}] * 3
    told = {item["name"]: item["value"] for item in model["properties"]}
    assert told["evalmatrix:run_id"] == run_id and told["evalmatrix:gate"] == "passed"
    assert told["evalmatrix:cells.pass"] == "2" and told["evalmatrix:cells.inconclusive"] == "1"

    card = ModelCard(texts["card"])
    (result,) = card.data.to_dict()["model-index"][0]["results"]
    assert result["dataset"]["revision"] == "0" and result["metrics"][0]["value"] == 0.9
    assert card.data.library_name == "pyfunc" and "gate-passed" in card.data.tags
    assert "For claims of cars." in card.text and "It passed its evaluation" in card.text
    assert "The registry calls it challenger" in card.text and run_id in card.text
    assert "could not be decided" in card.text.lower()

    technical = texts["technical"]
    assert version.digest in technical and "accuracy" in technical and "verdict" in technical
    # The failure of before is a part of the story.
    assert "1 FAIL" in technical.replace("\\", "") and technical.count("run-1") == 0
    assert texts["page"].count("<h2>") == 8 and "<table>" in texts["page"]


def test_the_same_run_gives_the_same_papers(here: Court) -> None:
    here.judge("2", [PASS], baseline="1")
    assert papers(here) == papers(here)


def measured(value: float) -> MetricValue:
    return MetricValue(value, ci_low=value - 0.1, ci_high=0.99)


def test_figures_have_their_slices_and_intervals_and_the_worst_is_shown(here: Court) -> None:
    run_id = here.judge("2", [PASS], baseline="1")
    outcome = here.outcomes[run_id]
    (result,) = outcome.evaluations
    cell = next(cell for cell in result.cells if cell.model.name == "challenger")
    cells = [
        replace(cell, slice=Slice(name, "by", name), measured=measured(value))
        for name, value in (("country=DE", 0.95), ("country=" + NASTY, 0.55), ("country=FR", 0.7))
    ]
    more = cells_table(cells, outcome.info, first=len(result.cells))
    here.tables["results"].append_once(more, token="more")
    texts = papers(here)
    model = valid_bom(texts["bom"])["metadata"]["component"]
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [figure["slice"] for figure in figures][:2] == ["overall", "country=DE"]
    assert figures[1]["confidenceInterval"] == {
        "lowerBound": repr(0.95 - 0.1),
        "upperBound": "0.99",
    }
    worst = texts["card"].split("Where it does worst")[1].split("## ")[0]
    assert "country=a" in worst and "0.55" in worst and "country=DE" not in worst
    for text in (texts["card"], texts["technical"]):
        assert "<script>" not in re.sub(r"\\.", "", text)
    assert "<script>" not in texts["page"] and 'href="http://z"' not in texts["page"]
    ModelCard(texts["card"])


def test_what_failed_is_said(here: Court) -> None:
    here.judge("2", {"claims": [FAIL, PASS], DATA: [FAIL]}, baseline="1")
    texts = papers(here)
    assert (
        "It **failed** its evaluation" in texts["card"] and "**Failed**: 2 cells" in texts["card"]
    )
    limits = valid_bom(texts["bom"])["metadata"]["component"]["modelCard"]["considerations"]
    assert len(limits["technicalLimitations"]) == 2


def test_several_evaluations_are_told_apart(court: Callable[..., Court]) -> None:
    two = court(evaluations=("claims", "late"))
    two.registry.set("claims", "challenger", "2")
    two.judge("2", {"claims": [PASS], "late": [FAIL]})
    texts = papers(two)
    model = valid_bom(texts["bom"])["metadata"]["component"]
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [figure["slice"] for figure in figures] == ["claims: overall", "late: overall"]
    assert "### claims" in texts["card"] and "### late" in texts["card"]
    assert "gate-failed" in ModelCard(texts["card"]).data.tags


def test_what_is_wrong_is_told(here: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = here.file()
    with pytest.raises(InputError, match="no finished run of the suite 'nightly'"):
        engine.card("claims/2", suite=suite)
    here.judge("2", [PASS], baseline="1")
    with pytest.raises(InputError, match="expected NAME/VERSION or NAME@ALIAS"):
        engine.card("claims", suite=suite)
    with pytest.raises(InputError, match="has no alias 'nobody'"):
        engine.card("claims@nobody", suite=suite)
    with pytest.raises(InputError, match="no store at"):
        engine.card("claims/2", store=str(here.folder / "nowhere"))
    (here.folder / "file").touch()
    with pytest.raises(StoreError, match="cannot be written to"):
        engine.card("claims/2", suite=suite, out=here.folder / "file")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="printed by a browser"):
        engine.card("claims/2", suite=suite, pdf=True)


def test_a_pdf_is_printed_by_a_browser(here: Court, browser: str) -> None:
    here.judge("2", [PASS], baseline="1")
    written = engine.card("claims/2", suite=here.file(), out=here.folder / "papers", pdf=True)
    assert Path(written.files["pdf"]).read_bytes().startswith(b"%PDF-")


def test_by_default_the_papers_are_in_the_store(here: Court) -> None:
    here.judge("2", [PASS], baseline="1")
    written = engine.card("claims/2", store=str(here.store), tracking_uri=here.registry.uri)
    assert Path(written.files["card"]) == here.store / "cards" / "claims" / "2" / "README.md"


def test_models_of_any_name_have_a_folder_of_their_own(tmp_path: Path) -> None:
    names = ["claims", "a/b", "a-b", "..", "ü", "a b", "x" * 300]
    folders = [Store(str(tmp_path)).card_folder(name, "1") for name in names]
    assert len(set(folders)) == len(names)
    assert {folder.parent.parent for folder in folders} == {tmp_path / "cards"}


def test_a_registry_that_is_down_costs_its_part_only(
    here: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    here.judge("2", [PASS], baseline="1")
    written = engine.card(
        "claims/2", store=str(here.store), tracking_uri="http://127.0.0.1:9",
        out=here.folder / "papers",
    )  # fmt: skip
    assert "what the store knows" in written.notes[0]
    assert "Nobody has described it yet" in Path(written.files["card"]).read_text()


def test_markdown_holds_whatever_a_value_is() -> None:
    text = table(["head"], [[NASTY], ["- item"], ["1. item"], [None], ["`"]])
    html = page(text, "a <title>")
    assert "&lt;script&gt;" in html and "<script>" not in html and "<title>a &lt;title&gt;" in html
    assert html.count("<tr>") == 6 and "<code>" not in html and "<strong>" not in html
    assert "<li>" not in page(plain("- x"), "t") + page(plain("1. x"), "t")
    front = "---\na: 1\n---\n\n# Title\n"
    assert "a: 1" not in page(front, "t") and yaml.safe_load(front.split("---")[1]) == {"a": 1}
    assert Verdict.PASS in page(plain(Verdict.PASS), "t")


def test_overrides_without_a_suite_are_refused(here: Court) -> None:
    with pytest.raises(InputError, match="no suite that they are over"):
        engine.card("claims/2", store=str(here.store), overrides=["confidence=0.9"])
    with pytest.raises(InputError, match="no suite that they are over"):
        engine.history("claims", store=str(here.store), overrides=["confidence=0.9"])
