"""Work beside a run: in order, nothing after a failure, and no error lost."""

from __future__ import annotations

import threading

import pytest

from engine.core.background import BackgroundWriter
from engine.errors import StoreError


def test_actions_run_in_their_order_and_the_end_waits_for_them() -> None:
    done: list[int] = []
    gate = threading.Event()
    with BackgroundWriter() as beside:
        beside.do(gate.wait, 10)
        for number in range(20):
            beside.do(done.append, number)
        assert done == []
        gate.set()
    assert done == list(range(20))


def test_an_action_that_fails_ends_the_others_and_is_told_at_the_end() -> None:
    done: list[str] = []

    def fail() -> None:
        raise StoreError("the disk is full")

    def block() -> None:
        with BackgroundWriter() as beside:
            beside.do(done.append, "before")
            beside.do(fail)
            beside.do(done.append, "after")

    with pytest.raises(StoreError, match="the disk is full"):
        block()
    assert done == ["before"]


def test_waiting_tells_a_failure_early() -> None:
    beside = BackgroundWriter()
    beside.wait()

    def fail() -> None:
        raise StoreError("read-only")

    beside.do(fail)
    with pytest.raises(StoreError, match="read-only"):
        beside.wait()


def test_what_failed_first_is_told_where_the_block_fails_of_it() -> None:
    def fail() -> None:
        raise StoreError("the disk is full")

    def block() -> None:
        with BackgroundWriter() as beside:
            beside.do(fail)
            with pytest.raises(StoreError):
                beside.wait()
            raise StoreError("the report could not be written")

    with pytest.raises(StoreError, match="the disk is full"):
        block()


def test_a_block_that_fails_keeps_its_own_error_and_begins_nothing_more() -> None:
    done: list[str] = []
    begun, gate = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        gate.wait(10)
        done.append("slow")

    def block() -> None:
        with BackgroundWriter() as beside:
            beside.do(slow)
            beside.do(done.append, "never begun")
            begun.wait(10)
            threading.Timer(0.1, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["slow"]
