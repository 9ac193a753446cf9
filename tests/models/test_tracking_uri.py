"""Tracking URIs with secrets: taken from the environment, refused in suites, told nowhere."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from engine.core.environment import hide_logins
from engine.errors import InputError, SuiteError, TrackingError
from engine.models.mlflow_client import ask, database_path, is_database, reason_of
from engine.models.registry import Registry
from engine.planning.suites import read_suite

SECRET = "hunter2-hunter2"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def suite_of(uri: str) -> dict[str, Any]:
    dataset = {"csv": "rows.csv", "task": "binary", "label": "y", "key": "id"}
    evaluation = {"name": "e", "dataset": dataset, "models": [{"name": "m", "scores": "s"}],
                  "tests": [{"metric": "roc_auc"}]}  # fmt: skip
    return {"name": "s", "mlflow": {"tracking_uri": uri}, "evaluations": [evaluation]}


@pytest.mark.parametrize(
    "uri",
    [
        f"https://me:{SECRET}@mlflow.example.org",
        f"postgresql://me:{SECRET}@db/mlflow",
        f"postgresql://${{NAME}}:{SECRET}@db/mlflow",
        f"postgresql://me:{SECRET}${{NAME}}@db/mlflow",
    ],
)
def test_a_suite_holds_no_password(uri: str) -> None:
    with pytest.raises(SuiteError, match=r"mlflow.tracking_uri.*\$\{NAME\}") as caught:
        read_suite(suite_of(uri))
    assert SECRET not in str(caught.value)


def test_variables_are_as_they_are_written_in_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql+psycopg2://me:${PG_PASSWORD}@db/mlflow"
    monkeypatch.setenv("PG_PASSWORD", SECRET)
    assert read_suite(suite_of(uri)).mlflow.tracking_uri == uri
    with pytest.raises(SuiteError, match="variables of the environment"):
        read_suite(suite_of("postgresql://me:${PG PASSWORD}@db/mlflow"))
    for plain in ("http://127.0.0.1:5000", "sqlite:////a/b.db", "databricks", "file:///a:b@c"):
        assert read_suite(suite_of(plain)).mlflow.tracking_uri == plain


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_PASSWORD", raising=False)
    with pytest.raises(InputError, match="'PG_PASSWORD' of the environment, which is not set"):
        ask("http://me:${PG_PASSWORD}@127.0.0.1:9", lambda client: client.get_run("r"))
    with pytest.raises(InputError, match="PG_PASSWORD"):
        Registry("http://${PG_PASSWORD}:9").set_alias("claims", "champion", "1")


def test_a_database_may_lie_where_a_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert database_path("sqlite:///${PLACE}/mlflow.db") == tmp_path / "mlflow.db"
    assert is_database("sqlite:///${PLACE}/mlflow.db") and not is_database("http://db:5000")


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_a_server_that_is_down_is_told_without_the_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MAX_RETRIES", "0"), ("BACKOFF_FACTOR", "0"), ("BACKOFF_JITTER", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    monkeypatch.setenv("PG_PASSWORD", SECRET)
    port = closed_port()
    for password in (SECRET, "${PG_PASSWORD}"):
        uri = f"{scheme}://me:{password}@127.0.0.1:{port}/mlflow"
        started = time.monotonic()
        with pytest.raises(TrackingError, match="cannot be reached") as caught:
            ask(uri, lambda client: client.search_experiments())
        # MLflow itself tries a database for some two minutes.
        assert time.monotonic() - started < 30
        assert SECRET not in str(caught.value)
        assert f"{scheme}://127.0.0.1:{port}/mlflow" in str(caught.value)


def test_what_is_hidden_of_a_text() -> None:
    assert hide_logins(f"GET http://me:{SECRET}@host/a@b failed") == "GET http://host/a@b failed"
    assert hide_logins(f"'postgresql://me:p@{SECRET}@db/x'") == "'postgresql://db/x'"
    assert hide_logins("models:/claims@champion at http://host:5000") == (
        "models:/claims@champion at http://host:5000"
    )
    error = ValueError(f"invalid port {SECRET}\nmore")
    assert reason_of(error, f"postgresql://me:{SECRET}@db/x") == "ValueError: invalid port ***"
