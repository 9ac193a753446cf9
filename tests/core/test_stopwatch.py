"""When steps began and ended: of any thread, also of those that raise."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from engine.core.stopwatch import Scan, Stopwatch


def test_steps_have_their_times_in_the_order_of_their_ends() -> None:
    clock = Stopwatch()
    with clock.step("evaluation", evaluation="e"), clock.step("scan", evaluation="e", scan=Scan(3)):
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


def test_a_step_has_the_cpu_and_the_peak_of_its_own_time() -> None:
    clock = Stopwatch()
    with clock.step("evaluation"):
        with clock.step("scan"):
            held = bytearray(150 * 2**20)
            held[::4096] = b"x" * len(held[::4096])
            burn(0.2)
        del held
        with clock.step("judge"):
            time.sleep(0.05)
    scan, judge, whole = (step.cost for step in clock.steps)
    if scan.peak_bytes is None:
        pytest.skip("the system tells no peak of memory: /proc/self/status of Linux does")
    # The CPU is the whole process's: threads that other tests have left take some of it.
    assert scan.cpu_seconds is not None and scan.cpu_seconds > 0.15
    assert judge.cpu_seconds is not None and judge.cpu_seconds < scan.cpu_seconds
    assert whole.cpu_seconds is not None and whole.cpu_seconds >= scan.cpu_seconds
    # The judgement does not have what the scan held, of which the whole has the largest.
    assert judge.peak_bytes is not None and judge.peak_bytes < scan.peak_bytes - 50 * 2**20
    assert whole.peak_bytes is not None and whole.peak_bytes >= scan.peak_bytes
    assert (scan.jvm_cpu_seconds, scan.jvm_peak_bytes, scan.jobs) == (None, None, None)


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_another_process_is_measured_beside_it() -> None:
    code = "x = bytearray(80 * 2**20); x[::4096] = b'x' * len(x[::4096]); print(1, flush=True); "
    code += "input(); [i * i for i in range(3_000_000)]; print(2, flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as java:
        assert java.stdin is not None and java.stdout is not None
        java.stdout.readline()
        clock = Stopwatch(Beside(java.pid))
        with clock.step("scan"):
            java.stdin.write("\n")
            java.stdin.flush()
            java.stdout.readline()
        with clock.step("judge"):
            pass
        java.kill()
    scan, judge = (step.cost for step in clock.steps)
    if scan.jvm_peak_bytes is None:
        pytest.skip("the system has no /proc")
    assert scan.jvm_cpu_seconds is not None and scan.jvm_cpu_seconds > 0.02
    assert judge.jvm_cpu_seconds == 0.0 and scan.jvm_peak_bytes > 80 * 2**20
    assert (scan.jobs, judge.jobs) == ((1, 2), (3, 4))


class Beside:
    """A process that begins a job whenever somebody looks."""

    def __init__(self, pid: int) -> None:
        self._pid, self._count = pid, 0

    def pid(self) -> int:
        return self._pid

    def jobs(self) -> int:
        self._count += 1
        return self._count


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
