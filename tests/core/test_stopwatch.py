"""When steps began and ended: of any thread, also of those that raise."""

from __future__ import annotations

import threading
import time

import pytest

from engine.core.stopwatch import Stopwatch


def test_steps_have_their_times_in_the_order_of_their_ends() -> None:
    clock = Stopwatch()
    with clock.step("evaluation", evaluation="e"), clock.step("scan", evaluation="e", rows=3):
        time.sleep(0.01)
    scan, whole = clock.steps
    assert (scan.kind, scan.rows, whole.kind, whole.rows) == ("scan", 3, "evaluation", None)
    assert clock.started <= whole.started <= scan.started
    assert scan.started + 10_000_000 <= scan.ended <= whole.ended
    assert whole.failure == ""


def test_what_raises_has_its_time_and_the_type_of_what_it_raised() -> None:
    clock = Stopwatch()
    with pytest.raises(KeyError), clock.step("plan"):
        raise KeyError("CANARY")
    (step,) = clock.steps
    assert step.failure == "KeyError" and "CANARY" not in repr(step)


def test_threads_share_a_clock() -> None:
    clock = Stopwatch()

    def work(number: int) -> None:
        with clock.step("sink", str(number)):
            time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {step.name for step in clock.steps} == {str(number) for number in range(8)}
