"""Promotions on evidence, and what is refused, on a registry in an SQLite file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine import InputError, promote
from engine.lifecycle.request import Ending, PromotionResult
from engine.store.promotions import Step, read_promotions
from tests.fixtures.tables import read_rows
from tests.fixtures.verdicts import DATA, ERROR, FAIL, INCONCLUSIVE, PASS, RECORDED, Court


def ask(court: Court, model: str = "claims", **options: Any) -> PromotionResult:
    return promote(model, suite=court.mapping(), **options)


def only_reason(result: PromotionResult) -> str:
    assert (result.ending, result.exit_code) == (Ending.REFUSED, 1)
    (reason,) = result.reasons
    assert "\n" not in reason
    return reason


def steps(court: Court) -> list[str]:
    return [row.step.value for row in read_promotions(court.tables["promotions"], court.model)]


def test_a_version_that_passed_becomes_the_champion(here: Court) -> None:
    run = here.judge("2", baseline="1")
    result = ask(here, reason="the  autumn\nrelease")
    assert (result.ending, result.exit_code, result.reasons) == (Ending.PROMOTED, 0, ())
    assert (result.version, result.from_version) == ("2", "1")
    assert here.registry.aliases("claims") == {"champion": "2", "previous": "1"}
    rows = read_rows(here.store / "promotions").sort_values("at")
    assert list(rows["step"]) == ["begun", "done"]
    done = rows.iloc[-1]
    assert done["user"]
    assert done["reason"] == "the autumn release"
    assert (done["run_id"], done["suite"], done["version"]) == (run, "nightly", "2")
    assert done["digest"] == here.version("claims", "2", "x").digest
    assert done["from_digest"] == here.version("claims", "1", "x").digest
    (evidence,) = read_promotions(here.tables["promotions"], "claims")[-1].evidence
    assert (evidence["gate"], evidence["counts"]["PASS"]) == ("passed", 2)
    assert (evidence["dataset_version"], evidence["run_id"]) == (0, run)


def test_asking_again_changes_nothing(here: Court) -> None:
    here.judge("2", baseline="1")
    ask(here)
    again = ask(here, "claims/2")
    assert (again.ending, again.exit_code) == (Ending.UNCHANGED, 0)
    assert steps(here) == ["begun", "done"]


@pytest.mark.parametrize("model", ["claims@challenger", "models:/claims/2", "claims/2"])
def test_a_version_may_be_named_in_several_ways(here: Court, model: str) -> None:
    here.judge("2", baseline="1")
    assert ask(here, model).ending is Ending.PROMOTED


def test_a_dry_run_says_the_same_and_changes_nothing(here: Court) -> None:
    here.judge("2", baseline="1")
    before = here.registry.aliases("claims")
    would = ask(here, dry_run=True)
    assert (would.ending, would.exit_code, would.version) == (Ending.PROMOTED, 0, "2")
    refused = ask(here, "claims/3", dry_run=True)
    assert refused.exit_code == 1
    assert here.registry.aliases("claims") == before
    assert not (here.store / "promotions").exists()


def test_a_refusal_is_kept(here: Court) -> None:
    result = ask(here)
    assert only_reason(result).startswith("no finished run of the suite 'nightly' in ")
    assert steps(here) == ["refused"]
    assert here.registry.aliases("claims") == {"champion": "1", "challenger": "2"}


def other_digest(court: Court) -> None:
    court.judge("2", baseline="1")
    court.registry.overwrite("claims", "2", "another model")


def other_data(court: Court) -> None:
    court.judge("2", baseline="1")
    court.append()


def old(court: Court) -> None:
    court.judge("2", baseline="1", at=dt.datetime.now(dt.UTC) - dt.timedelta(days=9))


def from_the_future(court: Court) -> None:
    court.judge("2", baseline="1", at=dt.datetime.now(dt.UTC) + dt.timedelta(days=2))


def failed_since(court: Court) -> None:
    """A pass that a later run has taken back."""
    court.judge("2", baseline="1")
    court.judge("2", [FAIL], baseline="1")


def other_suite(court: Court) -> None:
    court.judge("2", baseline="1")
    court.keys["tests"] = [{"metric": "accuracy", "min": 0.9}]


def another_champion_since(court: Court) -> None:
    court.judge("2", baseline="1")
    court.registry.set("claims", "champion", "3")


def table_made_anew(court: Court) -> None:
    import shutil

    court.judge("2", baseline="1")
    shutil.rmtree(court.folder / "table")
    court.append()


CASES: dict[str, tuple[Callable[[Court], Any], str]] = {
    "never judged": (lambda court: None, "no finished run of the suite 'nightly'"),
    "not finished": (
        lambda court: court.judge("2", baseline="1", finished=False), "no finished run"),
    "another version": (
        lambda court: court.judge("3", baseline="1"), "has judged claims version 2"),
    "failed": (
        lambda court: court.judge("2", [PASS, FAIL], baseline="1"),
        "its gate failed in the evaluation 'claims' of the run run-1: 1 cell failed"),
    "failed since": (failed_since, "of the run run-2: 1 cell failed"),
    "in error": (
        lambda court: court.judge("2", [PASS] * 20 + [ERROR], baseline="1"),
        "its gate is in error in the evaluation 'claims'"),
    "bad data": (
        lambda court: court.judge("2", {"claims": [PASS], DATA: [FAIL]}, baseline="1"),
        "its gate failed"),
    "undecided": (
        lambda court: court.judge("2", [PASS] * 8 + [INCONCLUSIVE] * 2, baseline="1"),
        "2 of 10 cells could not be decided in the run run-1, which is 0.2 of them, and at most "
        "0.1 may be"),
    "nothing demanded": (
        lambda court: court.judge("2", [RECORDED], baseline="1"), "no cell has a condition"),
    "no cell": (lambda court: court.judge("2", [], baseline=None), "no cell has a condition"),
    "old": (old, "the run run-1 began 9 days ago, and its verdict may be at most 7 days old"),
    "from the future": (from_the_future, "began 47 hours in the future"),
    "other data": (
        other_data,
        "judged it on other data: on version 0 of 'table', where the suite asks for version 1 now"),
    "table made anew": (table_made_anew, "on another table 'table' than there is now"),
    "other digest": (other_digest, "the run run-1 judged another artifact: claims version 2 had"),
    "other demands": (other_suite, "evaluations.claims.tests differs"),
    "no baseline": (
        lambda court: court.judge("2"),
        "the run run-1 compared it with nothing: expected the baseline models:/claims@champion"),
    "another champion": (
        another_champion_since,
        "the run run-1 compared it with claims version 1, and the 'champion' is claims version 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_evidence_is_refused_in_a_sentence(here: Court, case: str) -> None:
    prepare, words = CASES[case]
    prepare(here)
    before = here.registry.aliases("claims")
    result = ask(here, "claims/2")
    assert result.ending is Ending.REFUSED
    assert any(words in reason for reason in result.reasons), result.reasons
    assert here.registry.aliases("claims") == before
    if case != "no cell":
        only_reason(result)


def test_all_that_speaks_against_it_is_told(here: Court) -> None:
    old_run = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    here.judge("2", [FAIL, INCONCLUSIVE], at=old_run)
    here.append()
    assert len(ask(here).reasons) == 5


def test_limits_are_the_caller_s(here: Court) -> None:
    here.judge("2", [PASS, INCONCLUSIVE], baseline="1",
               at=dt.datetime.now(dt.UTC) - dt.timedelta(days=9))  # fmt: skip
    assert len(ask(here, dry_run=True).reasons) == 2
    assert ask(here, dry_run=True, max_age="10d", undecided=0.5).exit_code == 0


def test_a_run_that_is_asked_again_is_no_younger(here: Court) -> None:
    """It answers, and its row says that it has finished now."""
    from engine.store.runs import finish_run

    began = dt.datetime.now(dt.UTC) - dt.timedelta(days=9)
    run = here.judge("2", baseline="1", at=began)
    outcome = replace(here.outcomes[run], finished_at=dt.datetime.now(dt.UTC))
    finish_run(here.tables["runs"], outcome, exit_code=0)
    assert "began 9 days ago" in only_reason(ask(here))


def test_a_pinned_version_of_the_data_stays_the_one(court: Callable[..., Court]) -> None:
    here = court()
    here.keys["dataset"] = {"delta": str(here.folder / "table"), "version": 0, "task": "binary",
                            "label": "fraud", "key": ["id"]}  # fmt: skip
    here.registry.set("claims", "champion", "1")
    here.judge("2", baseline="1")
    here.append()
    assert ask(here, "claims/2", dry_run=True).exit_code == 0


def test_all_evaluations_must_have_passed(court: Callable[..., Court]) -> None:
    here = court(evaluations=("a", "b"))
    here.registry.set("claims", "champion", "1")
    here.judge("2", {"a": [PASS], "b": [FAIL]}, baseline="1")
    assert "the evaluation 'b'" in only_reason(ask(here, "claims/2"))


def test_an_evaluation_that_a_run_left_out_is_missed(court: Callable[..., Court]) -> None:
    """By `--set evaluations.b.models=...`: what a suite asks of a model must have been judged."""
    here = court(evaluations=("a", "b"))
    here.registry.set("claims", "champion", "1")
    here.judge("2", {"a": [PASS]}, baseline="1")
    reason = only_reason(ask(here, "claims/2"))
    assert "did not judge it in the evaluation 'b', which the suite asks of 'claims'" in reason


def test_tags_are_no_evidence(here: Court) -> None:
    """Neither those that somebody sets, nor those of a copy, which MLflow copies too."""
    client = here.registry.client
    client.set_model_version_tag("claims", "2", "evalmatrix.gate", "passed")
    here.judge("3", baseline="1")
    client.set_model_version_tag("claims", "3", "evalmatrix.gate", "passed")
    client.copy_model_version("models:/claims/3", "copied")
    assert client.get_model_version("copied", "1").tags["evalmatrix.gate"] == "passed"
    assert "tags, of a copy or set by hand" in only_reason(ask(here))
    here.registry.set("copied", "champion", "1")
    client.copy_model_version("models:/claims/3", "copied")
    assert "has judged copied version 2" in only_reason(ask(here, "copied/2"))


def test_a_first_champion_needs_evidence_as_well(court: Callable[..., Court]) -> None:
    here = court()
    assert "no finished run" in only_reason(ask(here, "claims/2", first=True))
    here.judge("2", [FAIL])
    assert "its gate failed" in only_reason(ask(here, "claims/2", first=True))
    here.judge("2")
    assert "a first one is named as such: --first" in only_reason(ask(here, "claims/2"))
    result = ask(here, "claims/2", first=True)
    assert (result.ending, result.from_version) == (Ending.PROMOTED, None)
    assert here.registry.aliases("claims") == {"champion": "2"}
    with pytest.raises(InputError, match="has the 'champion' version 2 already; leave --first out"):
        ask(here, "claims/3", first=True)


def test_a_rollback_goes_back_one_promotion_at_a_time(here: Court) -> None:
    here.judge("2", baseline="1")
    ask(here)
    here.judge("3", baseline="2")
    ask(here, "claims/3")
    assert here.registry.aliases("claims") == {"champion": "3", "previous": "2"}
    would = ask(here, rollback=True, dry_run=True)
    assert (would.exit_code, would.version) == (0, "2")
    assert here.registry.alias("claims", "champion") == "3"
    back = ask(here, rollback=True, reason="complaints")
    assert (back.version, back.from_version) == ("2", "3")
    assert here.registry.aliases("claims") == {"champion": "2", "previous": "1"}
    last = read_promotions(here.tables["promotions"], "claims")[-1]
    assert (last.step, last.action.value, last.reason) == (Step.DONE, "rollback", "complaints")
    assert last.run_id == "run-1"
    ask(here, rollback=True)
    assert here.registry.aliases("claims") == {"champion": "1"}
    assert "has no alias 'previous'" in only_reason(ask(here, rollback=True))


def test_a_rollback_to_what_was_never_champion_is_refused(here: Court) -> None:
    here.judge("2", baseline="1")
    ask(here)
    here.registry.set("claims", "previous", "3")
    reason = only_reason(ask(here, rollback=True))
    assert "no promotion on record says that version 3" in reason
    here.registry.set("claims", "previous", "2")
    assert "as 'champion' is now" in only_reason(ask(here, rollback=True))
    here.registry.set("claims", "previous", "1")
    here.registry.overwrite("claims", "1", "something else")
    assert "has the digest" in only_reason(ask(here, rollback=True))
    assert here.registry.alias("claims", "champion") == "2"


def test_an_alias_that_somebody_moved_before_is_told(here: Court) -> None:
    here.judge("2", baseline="1")
    ask(here)
    here.registry.set("claims", "champion", "3")
    here.judge("2", baseline="3")
    result = ask(here, "claims/2")
    assert result.ending is Ending.PROMOTED
    (note,) = result.notes
    assert "left 'champion' at version 2" in note
    assert "somebody moved it to version 3 since" in note


@pytest.mark.parametrize("number", ["3", None])
def test_an_alias_that_somebody_moves_meanwhile_is_left_and_told(
    here: Court, monkeypatch: pytest.MonkeyPatch, number: str | None
) -> None:
    """Somebody moves it when `previous` has just been set: the last moment that can be seen."""
    from engine.models.registry import Registry

    real = Registry.set_alias

    def meddle(self: Registry, name: str, alias: str, version: str) -> None:
        real(self, name, alias, version)
        if alias == "previous" and number is not None:
            here.registry.set(name, "champion", number)
        elif alias == "previous":
            here.registry.client.delete_registered_model_alias(name, "champion")

    here.judge("2", baseline="1")
    monkeypatch.setattr(Registry, "set_alias", meddle)
    reason = only_reason(ask(here))
    assert "somebody else moved 'champion' of 'claims' meanwhile: it was version 1" in reason
    assert ("they set it to version 3" if number else "they removed it") in reason
    assert here.registry.alias("claims", "champion") == number
    assert here.registry.alias("claims", "previous") is None
    assert steps(here) == ["begun", "overtaken"]


def test_an_alias_that_is_moved_right_after_is_seen_when_it_is_read_back(
    here: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models.registry import Registry

    real = Registry.set_alias

    def meddle(self: Registry, name: str, alias: str, version: str) -> None:
        real(self, name, alias, version)
        if alias == "champion":
            here.registry.set(name, "champion", "3")

    here.judge("2", baseline="1")
    monkeypatch.setattr(Registry, "set_alias", meddle)
    assert "they set it to version 3" in only_reason(ask(here))
    assert steps(here) == ["begun", "overtaken"]


def test_another_model_gets_a_copy_of_what_was_judged(here: Court) -> None:
    here.judge("2", baseline="1")
    assert "has no 'champion' yet" in only_reason(ask(here, to_model="prod"))
    first = ask(here, to_model="prod", first=True)
    assert (first.ending, first.model, first.version, first.source) == (
        Ending.PROMOTED, "prod", "1", "claims version 2",
    )  # fmt: skip
    assert here.registry.aliases("prod") == {"champion": "1"}
    assert here.registry.alias("claims", "champion") == "1"
    assert ask(here, to_model="prod").ending is Ending.UNCHANGED
    # What is compared with is the same files, whatever they are called there.
    here.judge("3", baseline="1")
    assert "compared it with claims version 1, and the 'champion' is prod version 1" in only_reason(
        ask(here, "claims/3", to_model="prod")
    )
    here.judge("3", baseline="2")
    second = ask(here, "claims/3", to_model="prod")
    assert (second.version, second.from_version) == ("2", "1")
    assert here.registry.aliases("prod") == {"champion": "2", "previous": "1"}
    last = read_promotions(here.tables["promotions"], "prod")[-1]
    assert (last.source_model, last.source_version, last.step) == ("claims", "3", Step.DONE)
    assert len(here.registry.client.search_model_versions("name = 'prod'")) == 2


BAD = {
    "model": (("clams",), {}, "registered model 'clams' does not exist; registered at .*'claims'"),
    "version": (("claims/9",), {}, "registered model 'claims' has no version '9'"),
    "alias": (("claims@chalenger",), {}, "has no alias 'chalenger'; its versions: 1, 2, 3"),
    "name": (("a/b/c",), {}, "found the model 'a/b/c', expected the name of a registered model"),
    "to": (("claims",), {"to": "v3"}, "found the alias 'v3'"),
    "previous": (("claims",), {"to": "previous"}, "expected another alias: 'previous' and those"),
    "long": (("claims",), {"to": "a" * 250}, "an alias of at most 246 characters"),
    "latest": (("claims",), {"to": "Latest"}, "found the alias 'Latest'"),
    "age": (("claims",), {"max_age": "7"}, "found max-age '7', expected a number above 0 and s"),
    "zero": (("claims",), {"max_age": "0d"}, "found max-age '0d'"),
    "share": (("claims",), {"undecided": 1.5}, "found undecided 1.5, expected a share"),
    "nan": (("claims",), {"undecided": float("nan")}, "found undecided nan"),
    "itself": (("claims/2",), {"to_model": "claims"}, "which is the model itself"),
    "version of": (("claims/2",), {"to_model": "prod/2"}, "name of a registered model alone"),
    "back to": (("claims/2",), {"rollback": True}, "found a version or an alias behind"),
    "first back": (("claims",), {"rollback": True, "first": True}, "found --first with --rollback"),
    "nothing": (("other",), {"rollback": True}, "registered model 'other' does not exist"),
    "no such": (("claims",), {"rollback": True, "to": "live"}, "has no alias 'live'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_a_sentence(here: Court, case: str) -> None:
    args, options, words = BAD[case]
    with pytest.raises(InputError, match=words):
        ask(here, *args, **options)
    assert not (here.store / "promotions").exists()


def test_no_registry_no_store_no_table_are_told(here: Court) -> None:
    import shutil

    here.judge("2", baseline="1")
    suite = here.mapping(mlflow={"tracking_uri": f"sqlite:///{here.folder}/none.db"})
    with pytest.raises(InputError, match="registered model 'claims' does not exist"):
        promote("claims/2", suite=suite)
    assert not (here.folder / "none.db").exists()
    with pytest.raises(InputError, match="no store at"):
        promote("claims/2", suite=here.mapping(store=str(here.folder / "no store")))
    shutil.rmtree(here.folder / "table")
    with pytest.raises(InputError, match="evaluation 'claims': no Delta table at"):
        ask(here)


def test_two_aliases_of_a_model_are_two_stories(here: Court) -> None:
    here.judge("2", baseline="1")
    ask(here, to="staging", first=True)
    assert here.registry.aliases("claims") == {
        "champion": "1", "challenger": "2", "staging": "2",
    }  # fmt: skip
    ask(here)
    assert here.registry.aliases("claims") == {"champion": "2", "previous": "1", "staging": "2"}
    rows: pd.DataFrame = read_rows(here.store / "promotions")
    assert sorted(rows["alias"]) == ["champion", "champion", "staging", "staging"]


def test_the_table_is_append_only_and_can_be_maintained(here: Court) -> None:
    from deltalake import DeltaTable

    from engine import maintain
    from engine.errors import StoreError

    for number, baseline in (("2", "1"), ("3", "2")):
        here.judge(number, baseline=baseline)
        ask(here, f"claims/{number}")
    before = read_promotions(here.tables["promotions"], "claims")
    (done,) = [one for one in maintain(store=str(here.store)) if one.table == "promotions"]
    assert (done.files_before, done.files) == (4, 1)
    assert read_promotions(here.tables["promotions"], "claims") == before
    table = DeltaTable(str(here.store / "promotions"))
    assert table.metadata().configuration["delta.appendOnly"] == "true"
    with pytest.raises(StoreError):
        here.tables["promotions"].delete([("model", "=", "claims")])
    assert read_promotions(here.tables["promotions"], "claims") == before


@pytest.fixture
def files(court: Callable[..., Court]) -> Court:
    """A court whose data are two files, taken into the lake as a run takes them."""
    from deltalake import write_deltalake

    from engine.core.locations import Store
    from engine.data.files.listing import find_files
    from engine.data.files.table_state import FILE_COLUMN

    here = court()
    for name in ("a", "b"):
        (here.folder / f"{name}.csv").write_text(f"id,f0,fraud\n1,0.{len(name)},0\n")
    here.keys["dataset"] = {"csv": str(here.folder / "*.csv"), "task": "binary", "label": "fraud",
                            "key": ["id"], "name": "table"}  # fmt: skip
    session = here.tables.session
    marks = [file.row_id("") for file in find_files(session, str(here.folder / "*.csv"), "csv")]
    rows = pd.DataFrame({"id": [1, 1], "f0": [0.1, 0.1], "fraud": [0, 0], FILE_COLUMN: marks})
    table = Store(str(here.store)).lake_table("table")
    write_deltalake(table, rows, partition_by=[FILE_COLUMN])
    here.data = Path(table)
    here.registry.set("claims", "champion", "1")
    here.judge("2", baseline="1")
    return here


def test_the_same_files_are_the_same_data(files: Court) -> None:
    assert ask(files, "claims/2", dry_run=True).reasons == ()


@pytest.mark.parametrize("what", ["came", "changed", "went"])
def test_files_that_came_changed_or_went_are_other_data(files: Court, what: str) -> None:
    path = files.folder / ("c.csv" if what == "came" else "b.csv")
    if what == "went":
        path.unlink()
    else:
        path.write_text("id,f0,fraud\n7,0.5,1\n")
    reason = only_reason(ask(files, "claims/2", dry_run=True))
    assert reason.endswith(f"files came, changed or went since: the file {path.name}")


def test_a_suite_that_compares_nothing_asks_for_no_baseline(court: Callable[..., Court]) -> None:
    alone = [{"uri": "models:/claims@challenger", "name": "challenger"}]
    here = court(keys={"models": alone, "baseline": None})
    here.registry.set("claims", "champion", "1")
    here.registry.set("claims", "challenger", "2")
    here.judge("2")
    assert ask(here).ending is Ending.PROMOTED


def test_what_a_suite_asks_of_other_models_is_no_matter(court: Callable[..., Court]) -> None:
    """A run of the evaluations that have the model, as `watch` makes one, is enough."""
    here = court()
    here.registry.set("claims", "champion", "1")
    here.registry.set("claims", "challenger", "2")
    here.judge("2", baseline="1")
    whole = here.mapping()
    (own,) = whole["evaluations"]
    other = {**own, "name": "other", "models": [{"uri": "models:/other/1", "name": "champion"}]}
    whole["evaluations"].append(other)
    assert promote("claims/2", suite=whole, dry_run=True).exit_code == 0
    other["models"] = [{"uri": "models:/claims/1", "name": "champion"}]
    refused = promote("claims/2", suite=whole, dry_run=True)
    assert "evaluations.other" in refused.reasons[0]


def test_whom_a_suite_trusts_is_a_demand(here: Court) -> None:
    here.judge("2", baseline="1")
    strict = here.mapping(trust={"formats": ["skops"]})
    refused = promote("claims/2", suite=strict, dry_run=True)
    assert "trust differs" in refused.reasons[0]
