"""The audit table: an act is a row, added once, that tells no secret and is read again."""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

import engine
from engine.cli.app import app
from engine.commands.audit_trail import note_act, note_at, trail
from engine.core.identity import on_behalf
from engine.core.locations import Store
from engine.delta.local_table import LocalTable
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.store.audit import AUDIT, Act, Departure, read_acts, shown_place, write_act
from engine.store.tables import StoreTables


def tables_of(folder: Path) -> StoreTables:
    folder.mkdir(exist_ok=True)
    return StoreTables(Store(str(folder)), LazySession())


def test_an_act_is_read_as_it_was_written(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "store")
    left = (Departure("a notice (failed)", "the webhook hooks.example.com"),)
    act = Act("run", "nightly", "r1", "failed", {"datasets": ["claims version 3"]}, left)
    write_act(tables[AUDIT], act)
    write_act(tables[AUDIT], act)
    (read,) = read_acts(tables[AUDIT])
    assert read == act
    assert read.user
    assert read.host


def test_the_table_takes_no_changes(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "store")
    write_act(tables[AUDIT], Act("run"))
    with pytest.raises(Exception, match=r"(?i)append"):
        LocalTable(tables[AUDIT].path).delete([("command", "=", "run")])
    assert [act.command for act in read_acts(tables[AUDIT])] == ["run"]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("https://hooks.slack.com/services/T0SECRET/B0/xyz", "hooks.slack.com"),
        ("https://ada:pass@tracking.example:8443/a?token=SECRET#x", "tracking.example:8443"),
        ("http://[::1]:5000/", "::1:5000"),
        ("sqlite:////data/mlflow.db?x=1", "/data/mlflow.db"),
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("file:///data/lineage.jsonl", "/data/lineage.jsonl"),
        ("databricks://profile", "profile"),
        ("./metrics.prom", "./metrics.prom"),
        ("${SLACK_URL}", "${SLACK_URL}"),
        ("http://bad:port:x/SECRET", "http://…"),
        ("scheme:///SECRET", "scheme://…"),
    ],
)
def test_a_place_is_told_without_what_may_be_secret(place: str, shown: str) -> None:
    assert shown_place(place) == shown


def test_for_whom_a_process_runs_is_what_its_ci_says() -> None:
    assert on_behalf({}) == ""
    assert on_behalf({"GITHUB_ACTOR": "ada"}) == "github:ada"
    assert on_behalf({"JUPYTERHUB_USER": " ada \n l "}) == "jupyterhub:ada l"


def test_who_only_looks_begins_no_store(tmp_path: Path) -> None:
    note_at(str(tmp_path / "none"), Act("plan"))
    assert not (tmp_path / "none").exists()
    tables = tables_of(tmp_path / "empty")
    note_act(tables, Act("plan"))
    assert list((tmp_path / "empty").iterdir()) == []
    note_act(tables, Act("run"), begins=True)
    note_act(tables, Act("plan"))
    assert [act.command for act in read_acts(tables[AUDIT])] == ["run", "plan"]


def test_what_ends_by_an_error_is_noted_with_its_name(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "store")
    write_act(tables[AUDIT], Act("run"))
    with pytest.raises(InputError), trail(tables, Act("judge", "nightly", "r1")):
        raise InputError("it is wrong")
    last = read_acts(tables[AUDIT])[-1]
    assert (last.command, last.run_id, last.outcome) == ("judge", "r1", "InputError")


def test_a_table_that_cannot_be_written_costs_a_warning_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = tables_of(tmp_path / "store")
    log = tmp_path / "store" / AUDIT / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_text("no commit\n")
    with caplog.at_level(logging.WARNING, "evalmatrix"):
        note_act(tables, Act("run"), begins=True)
    assert len(caplog.records) == 1
    assert "the act 'run' is not in the audit table" in caplog.text


def test_the_command_tells_acts_by_time_user_and_name(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "store")
    now = dt.datetime.now(dt.UTC)
    for days, name, user in ((9, "run", "ada"), (2, "forget", "bob"), (1, "run", "bob")):
        act = Act(name, user=user, on_behalf="", at=now - dt.timedelta(days=days))
        write_act(tables[AUDIT], act)
    store = str(tmp_path / "store")
    assert [act.command for act in engine.audit(store=store)] == ["run", "forget", "run"]
    assert [act.user for act in engine.audit(store=store, since="3d")] == ["bob", "bob"]
    day = f"{now - dt.timedelta(days=1, hours=1):%Y-%m-%dT%H:%M}"
    assert len(engine.audit(store=store, since=day, act="run", user="bob")) == 1
    with pytest.raises(InputError, match="since 'yesterday'"):
        engine.audit(store=store, since="yesterday")
    shown = CliRunner().invoke(app, ["audit", "--store", store, "--user", "ada"])
    assert shown.exit_code == 0
    assert "left the store" in shown.stdout
    assert "ada" in shown.stdout
    assert "bob" not in shown.stdout
    told = CliRunner().invoke(app, ["audit", "--store", store, "--act", "forget", "--json"])
    assert [act["user"] for act in json.loads(told.stdout)] == ["bob"]
