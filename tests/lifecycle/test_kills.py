"""Killed between any two steps: no alias without evidence, and no promotion is lost."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import promote
from engine.errors import StoreError
from engine.lifecycle import moving
from engine.lifecycle.request import Ending
from engine.models.registry import Registry as RealRegistry
from engine.store.promotions import (
    Action,
    Promotion,
    Step,
    open_promotions,
    read_promotions,
    write_promotion,
)
from tests.fixtures.registry import Registry
from tests.fixtures.verdicts import PASS, Court

SCRIPT = Path(__file__).with_name("promote_and_die.py")
KILLED = [-signal.SIGKILL, ""]

Promote = Callable[..., list[list[Any]]]


@pytest.fixture(scope="module")
def promoters() -> Iterator[Promote]:
    """Promotes in processes of their own, several at once: how each ended, and what it said."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def go(*asked: dict[str, Any]) -> list[list[Any]]:
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        answers: list[list[Any]] = json.loads(stdout.readline())
        return answers

    yield go
    process.communicate(timeout=30)


def job(court: Court, kill: int, model: str, **options: Any) -> dict[str, Any]:
    return {"kill": kill, "suite": str(court.file()), "model": model, "options": options}


def rows_of(court: Court, model: str) -> list[Promotion]:
    return read_promotions(court.tables["promotions"], model)


def check_told(court: Court, model: str) -> None:
    """Each version that the alias points to by a promotion has its evidence on record."""
    number = court.registry.alias(model, "champion")
    begun = {row.version: row for row in rows_of(court, model) if row.step is Step.BEGUN}
    if number in begun:
        assert [item["gate"] for item in begun[number].evidence] == ["passed"]
    else:
        assert number in (None, "1"), "only what stood there at first has none"


@pytest.fixture(params=range(1, 6))
def kill(request: pytest.FixtureRequest) -> int:
    """Before which write: begun, previous, champion, challenger removed, done."""
    return int(request.param)


def test_a_promotion_that_is_killed_is_completed_or_taken_back(
    here: Court, promoters: Promote, kill: int
) -> None:
    here.judge("2", baseline="1")
    assert promoters(job(here, kill, "claims/2")) == [KILLED]
    check_told(here, "claims")
    is_set = here.registry.alias("claims", "champion") == "2"
    assert is_set == (kill > 3)
    result = promote("claims/2", suite=here.mapping())
    assert result.exit_code == 0
    assert result.ending is (Ending.UNCHANGED if is_set else Ending.PROMOTED)
    assert len(result.notes) == (kill > 1)
    assert here.registry.aliases("claims") == {"champion": "2", "previous": "1"}
    rows = rows_of(here, "claims")
    assert open_promotions(rows) == []
    done = [row for row in rows if row.step is Step.DONE]
    assert [(row.version, row.from_version, row.run_id) for row in done] == [("2", "1", "run-1")]


def test_what_is_left_is_taken_back_even_if_another_is_promoted_next(
    here: Court, promoters: Promote
) -> None:
    """The version whose promotion was killed has failed meanwhile."""
    here.judge("2", baseline="1")
    assert promoters(job(here, 3, "claims/2")) == [KILLED]
    assert here.registry.aliases("claims") == {
        "champion": "1", "challenger": "2", "previous": "1",
    }  # fmt: skip
    dry = promote("claims/3", suite=here.mapping(), dry_run=True)
    assert "was begun at" in dry.notes[0]
    refused = promote("claims/3", suite=here.mapping())
    assert (refused.ending, len(refused.notes)) == (Ending.REFUSED, 1)
    assert here.registry.aliases("claims") == {"champion": "1", "challenger": "2"}
    assert [row.step for row in rows_of(here, "claims")] == [Step.BEGUN, Step.UNDONE, Step.REFUSED]


@pytest.mark.parametrize("kill", [2, 3, 4])
def test_a_rollback_that_is_killed(here: Court, promoters: Promote, kill: int) -> None:
    """Before previous is removed, before the champion is set, before it is written."""
    here.judge("2", baseline="1")
    promote("claims/2", suite=here.mapping())
    assert promoters(job(here, kill, "claims", rollback=True)) == [KILLED]
    is_set = here.registry.alias("claims", "champion") == "1"
    assert is_set == (kill > 3)
    result = promote("claims", suite=here.mapping(), rollback=True)
    assert result.ending is (Ending.REFUSED if is_set else Ending.PROMOTED)
    assert here.registry.aliases("claims") == {"champion": "1"}
    last = [row for row in rows_of(here, "claims") if row.step is Step.DONE][-1]
    assert (last.action.value, last.version, last.from_version) == ("rollback", "1", "2")


@pytest.mark.parametrize("kill", [1, 2, 3, 4])
def test_a_copy_that_is_killed_is_made_once(here: Court, promoters: Promote, kill: int) -> None:
    """Before the copy, before it is begun, before the alias is set, before it is written."""
    here.judge("2", baseline="1")
    assert promoters(job(here, kill, "claims/2", to_model="prod", first=True)) == [KILLED]
    check_told(here, "prod") if kill > 1 else None
    result = promote("claims/2", suite=here.mapping(), to_model="prod", first=kill < 4)
    assert result.exit_code == 0
    assert here.registry.aliases("prod") == {"champion": "1"}
    assert len(here.registry.client.search_model_versions("name = 'prod'")) == 1
    assert [row.step for row in rows_of(here, "prod")][-1] is Step.DONE


def test_two_promoters_at_once(here: Court, promoters: Promote) -> None:
    """Of two versions that both were held against the same champion one is promoted."""
    here.judge("2", baseline="1")
    here.judge("3", [PASS], baseline="1")
    ended = promoters(*(job(here, 0, f"claims/{number}") for number in (2, 3, 2, 3)))
    said = sorted(words.split()[0] for _, words in ended)
    assert said == ["promoted", "refused", "refused", "unchanged"], ended
    rows = rows_of(here, "claims")
    (done,) = [row for row in rows if row.step is Step.DONE]
    assert here.registry.aliases("claims")["champion"] == done.version
    assert here.registry.aliases("claims")["previous"] == "1"
    assert open_promotions(rows) == []


def test_one_that_another_machine_has_begun_is_waited_for(
    here: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it is alive, until some time has passed."""
    here.judge("2", baseline="1")
    theirs = Promotion(
        "theirs", Action.PROMOTE, moving.place_of(RealRegistry(here.registry.uri)), "claims",
        "champion", "3", from_version="1", previous_version="1", user="bob", host="elsewhere",
    )  # fmt: skip
    write_promotion(here.tables["promotions"], theirs, Step.BEGUN)
    with pytest.raises(StoreError, match="bob on elsewhere began to promote version 3 of 'claims'"):
        promote("claims/2", suite=here.mapping())
    assert here.registry.alias("claims", "champion") == "1"
    assert [row.step for row in rows_of(here, "claims")] == [Step.BEGUN]
    monkeypatch.setattr(moving, "_ABANDONED", dt.timedelta(0))
    assert promote("claims/2", suite=here.mapping()).ending is Ending.PROMOTED
    ended = {row.promotion_id: row.step for row in rows_of(here, "claims")}
    assert sorted(ended.values()) == [Step.DONE, Step.UNDONE]


def test_the_script_writes_as_often_as_the_tests_kill_it(here: Court, promoters: Promote) -> None:
    """Else a new step would not be killed by any."""
    here.judge("2", baseline="1")
    first, back, copy = (
        promoters(asked)[0]
        for asked in (
            job(here, 0, "claims/2"),
            job(here, 0, "claims", rollback=True),
            job(here, 0, "claims/2", to_model="prod", first=True),
        )
    )
    # The last write of each is the audit table's: nothing is left to be done by then.
    assert (first, back, copy) == ([0, "promoted 6"], [0, "promoted 5"], [0, "promoted 5"])


def test_on_a_tracking_server(
    server_registry: Registry, tmp_path: Path, promoters: Promote
) -> None:
    """The same on a real server, whose artifacts come by HTTP."""
    here = Court(server_registry, tmp_path, model="Schäden 傷")
    name = here.model
    for number in (1, 2, 3):
        server_registry.register(name, f"model {number}")
    server_registry.set(name, "champion", "1")
    server_registry.set(name, "challenger", "2")
    here.judge("2", baseline="1")
    assert promoters(job(here, 4, f"{name}@challenger")) == [KILLED]
    assert promote(f"{name}/2", suite=here.mapping()).ending is Ending.UNCHANGED
    assert server_registry.aliases(name) == {"champion": "2", "previous": "1"}
    here.judge("3", baseline="2")
    server_registry.overwrite(name, "3", "changed in place")
    refused = promote(f"{name}/3", suite=here.mapping())
    assert "judged another artifact" in refused.reasons[0]
    copied = promote(f"{name}/2", suite=here.mapping(), to_model=f"{name} live", to="live",
                     first=True)  # fmt: skip
    assert "compared it with" not in "".join(copied.reasons)
    assert (copied.ending, copied.version) == (Ending.PROMOTED, "1")
    back = promote(name, suite=here.mapping(), rollback=True)
    assert (back.version, server_registry.aliases(name)) == ("1", {"champion": "1"})


def test_where_nothing_is_locked_two_that_begin_at_once_see_each_other(
    here: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an object store: another machine begins right after this one has looked."""
    real = moving.write_promotion
    place = moving.place_of(RealRegistry(here.registry.uri))

    def write(table: Any, promotion: Promotion, step: Step, **more: Any) -> Promotion:
        written = real(table, promotion, step, **more)
        if step is Step.BEGUN:
            theirs = Promotion(
                "theirs", Action.PROMOTE, place, "claims", "champion", "3",
                from_version="1", previous_version="1", user="bob", host="elsewhere",
            )  # fmt: skip
            real(table, theirs, Step.BEGUN)
        return written

    here.judge("2", baseline="1")
    monkeypatch.setattr(moving, "write_promotion", write)
    with pytest.raises(StoreError, match="bob on elsewhere began to promote version 3"):
        promote("claims/2", suite=here.mapping())
    assert here.registry.aliases("claims") == {"champion": "1", "challenger": "2"}
    ours = [row.step for row in rows_of(here, "claims") if row.promotion_id != "theirs"]
    assert ours == [Step.BEGUN, Step.UNDONE]


def test_an_interrupt_leaves_what_a_kill_leaves(
    here: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    here.judge("2", baseline="1")
    with monkeypatch.context() as patch:
        patch.setattr(RealRegistry, "remove_alias", interrupt)
        with pytest.raises(KeyboardInterrupt):
            promote("claims/2", suite=here.mapping())
    result = promote("claims/2", suite=here.mapping())
    assert (result.ending, len(result.notes)) == (Ending.UNCHANGED, 1)
    assert here.registry.aliases("claims") == {"champion": "2", "previous": "1"}
