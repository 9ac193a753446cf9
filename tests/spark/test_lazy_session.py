"""A session that is there when somebody asks: started once, and asked whose disk it has."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine.errors import StoreError
from engine.spark import lazy_session
from engine.spark.lazy_session import LazySession


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The sessions that were started, in a process that has none and nothing of a cluster."""
    for name in (*lazy_session._ELSEWHERE, "MASTER"):
        monkeypatch.delenv(name, raising=False)
    started: list[object] = []

    def start(log_file: object, *, object_store: bool) -> object:
        started.append(object())
        return started[-1]

    monkeypatch.setattr(lazy_session, "active_session", lambda: None)
    monkeypatch.setattr(lazy_session, "_start", start)
    monkeypatch.setattr(lazy_session, "_make_active", lambda spark: None)
    return started


def test_a_session_is_started_once_and_told(starts: list[object]) -> None:
    told: list[str] = []
    session = LazySession(say=told.append)
    assert session.current is None and not starts
    session.begin()
    gotten: list[Any] = []
    threads = [threading.Thread(target=lambda: gotten.append(session.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starts) == 1 and gotten == starts * 8
    assert session.current is starts[0] and told == ["starting Spark"]


def test_who_does_the_work_is_left_open_until_somebody_says(
    starts: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_session, "lack", lambda: "")
    session = LazySession(executor="auto")
    # Nothing is started beside other work, as long as it may do without.
    session.begin()
    assert session.is_undecided and not session.is_local and not starts
    session.settle(local=True)
    assert session.is_local and not session.is_undecided
    other = LazySession(executor="auto")
    assert other.get() is starts[0] and not other.is_undecided and not other.is_local
    # Without Java there is nothing to decide, and with a master that is named neither.
    monkeypatch.setattr(lazy_session, "lack", lambda: "no Java 17")
    assert LazySession(executor="auto").is_local
    monkeypatch.setattr(lazy_session, "lack", lambda: "")
    monkeypatch.setenv("MASTER", "local[2]")
    named = LazySession(executor="auto")
    assert not named.is_undecided and not named.is_local


def test_jobs_for_spark_submit_take_spark(
    starts: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for there in (False, True):
        lacking = "" if there else "no pyspark"
        monkeypatch.setattr(lazy_session, "lack", lambda lacking=lacking: lacking)
        with lazy_session.prefer_spark():
            session = LazySession(executor="auto")
            assert (session.is_local, session.is_undecided) == (not there, False)
        # What comes after the job in its process is as it was before.
        assert LazySession(executor="auto").is_undecided is there


def test_why_spark_does_not_start_is_told_to_each_who_asks(
    starts: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(log_file: object, *, object_store: bool) -> object:
        raise StoreError("Spark did not start")

    monkeypatch.setattr(lazy_session, "_start", fail)
    session = LazySession()
    for _ in range(2):
        with pytest.raises(StoreError, match="did not start"):
            session.get()


def test_on_a_plain_machine_nobody_asks_spark_for_its_disk(starts: list[object]) -> None:
    assert LazySession().shares_disk and not starts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTER", "spark://host:7077"),
        *((name, "/etc") for name in sorted(lazy_session._ELSEWHERE)),
    ],
)
@pytest.mark.parametrize("here", [True, False])
def test_where_it_may_be_elsewhere_spark_tells(
    starts: list[object], monkeypatch: pytest.MonkeyPatch, name: str, value: str, here: bool
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(lazy_session, "_is_on_this_disk", lambda spark: here)
    assert LazySession().shares_disk is here and len(starts) == 1


def test_a_session_for_an_object_store_is_started_with_the_way_to_it(
    starts: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    checked: list[str] = []

    def start(log_file: object, *, object_store: bool) -> object:
        asked.append(object_store)
        return object()

    monkeypatch.setattr(lazy_session, "_start", start)
    monkeypatch.setattr(
        lazy_session, "_check_object_store", lambda spark, place: checked.append(place)
    )
    session = LazySession()
    session.reach("./store", "lake.claims", "/data/claims")
    session.get()
    session = LazySession()
    session.reach("s3://bucket/store")
    session.require("s3a://bucket/lake/claims")
    assert session.direct_place("s3a://bucket/lake/claims") == "s3a://bucket/lake/claims"
    assert session.direct_place("lake.claims") is None
    session.get()
    assert asked == [False, True] and checked == ["s3a://bucket/lake/claims"]
    # One that is there is looked at at once.
    session.require("s3://bucket/other", "./here")
    assert checked[1:] == ["s3://bucket/other"]
