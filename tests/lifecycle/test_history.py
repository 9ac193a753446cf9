"""The story of a model: what was judged and promoted, and what is served now."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from engine import InputError, history, promote
from engine.cli.app import app
from engine.lifecycle.story import History, Kind
from tests.fixtures.verdicts import FAIL, INCONCLUSIVE, PASS, Court


@pytest.fixture
def lived(here: Court) -> Court:
    """A model with a life: judged, refused, promoted, copied, rolled back, moved by hand."""
    here.judge("2", [PASS, FAIL], baseline="1")
    promote("claims/2", suite=here.mapping())
    here.judge("2", [PASS] * 12 + [INCONCLUSIVE], baseline="1")
    promote("claims/2", suite=here.mapping(), reason="spring")
    promote("claims/2", suite=here.mapping(), to_model="prod", first=True)
    promote("claims", suite=here.mapping(), rollback=True)
    here.judge("3", finished=False)
    here.registry.set("claims", "champion", "3")
    return here


def tell(court: Court, model: str = "claims") -> History:
    return history(model, suite=court.mapping())


def kinds(story: History, version: str) -> list[tuple[Kind, str]]:
    return [(event.kind, event.outcome) for event in story.events if event.version == version]


def test_all_that_happened_in_its_order(lived: Court) -> None:
    story = tell(lived)
    assert story.aliases == {"champion": "3"}
    assert kinds(story, "2") == [
        (Kind.REGISTERED, ""),
        (Kind.VERDICT, "failed"),
        (Kind.REFUSED, "champion"),
        (Kind.VERDICT, "passed"),
        (Kind.PROMOTED, "champion"),
        (Kind.PROMOTED, "champion"),
    ]
    assert kinds(story, "1")[-1] == (Kind.ROLLED_BACK, "champion")
    assert kinds(story, "3") == [(Kind.REGISTERED, ""), (Kind.OPEN, "")]
    texts = [event.text for event in story.events if event.version == "2"]
    assert texts[1] == (
        "suite 'nightly': claims on table version 0 against version 1: 1 PASS, 1 FAIL"
    )
    assert texts[4] == "it was version 1; spring"
    assert texts[5] == "prod version 1 is a copy; there was none before"
    assert sorted(event.at for event in story.events) == [event.at for event in story.events]
    (note,) = story.notes
    assert "left 'champion' at version 1" in note
    assert "moved it to version 3 since" in note


@pytest.mark.parametrize("model", ["claims/2", "claims@champion", "claims/1"])
def test_one_version(lived: Court, model: str) -> None:
    story = tell(lived, model)
    wanted = model[-1] if "/" in model else "3"
    assert story.version == wanted
    assert {event.version for event in story.events} == {wanted}


def test_a_copy_s_own_story(lived: Court) -> None:
    story = tell(lived, "prod")
    assert [event.kind for event in story.events] == [Kind.REGISTERED, Kind.PROMOTED]
    assert story.events[0].text == "a copy of models:/claims/2"
    assert story.aliases == {"champion": "1"}


def test_on_the_command_line(lived: Court) -> None:
    file = lived.file()
    shown = CliRunner().invoke(app, ["history", "claims", "--suite", str(file)])
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[:2] == ["claims", "now: champion version 3"]
    assert lines[2].startswith("note: the last promotion on record left 'champion' at version 1")
    assert sum("rolled back" in line for line in lines) == 1
    store = ["--store", str(lived.store)]
    told = CliRunner().invoke(app, ["history", "claims/2", *store, "--json"])
    data = json.loads(told.stdout)
    assert (data["version"], data["aliases"]) == ("2", {"champion": "3"})
    assert data["events"][3]["details"][0]["counts"]["PASS"] == 12
    missing = CliRunner().invoke(app, ["history", "clams", *store])
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "registered model 'clams' does not exist" in missing.stderr


def test_a_registry_that_is_down_costs_its_part_only(
    lived: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    story = history("claims", store=str(lived.store), tracking_uri="http://127.0.0.1:9")
    assert kinds(story, "2")[0] == (Kind.VERDICT, "failed")
    assert "cannot be reached" in story.notes[0]


def test_a_model_that_nobody_knows(lived: Court) -> None:
    with pytest.raises(InputError, match="registered model 'clams' does not exist"):
        tell(lived, "clams")
    with pytest.raises(InputError, match="has no alias 'live'"):
        tell(lived, "claims@live")
    with pytest.raises(InputError, match="no version '9'"):
        tell(lived, "claims/9")
