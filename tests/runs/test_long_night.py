"""Many runs in one process and session: what they hold levels off, and so does what they add."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(7200)]

MIB = 2**20


@dataclass(frozen=True)
class Held:
    """What the process and its JVM hold after a run, and how much lies in the store.

    Java's memory is what it still refers to after a collection: of what it has been given, its
    heap, it takes more and more before it looks for what it can free.
    """

    memory: int
    java: int
    resident: int
    files: int
    threads: int
    temporary: int
    store: int


def status(process: int | str, key: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def of_java(spark: SparkSession) -> tuple[int, int]:
    """The bytes that Java refers to after a collection, and those that its heap may have."""
    jvm: Any = spark.sparkContext._jvm
    memory = jvm.java.lang.management.ManagementFactory.getMemoryMXBean()
    used = []
    # What is referred to for a moment, by a thread that is at work, is not kept.
    for _ in range(4):
        jvm.java.lang.System.gc()
        heap, other = memory.getHeapMemoryUsage(), memory.getNonHeapMemoryUsage()
        used.append(heap.getUsed() + other.getUsed())
        time.sleep(0.25)
    return min(used), heap.getMax()


def files_below(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def held(spark: SparkSession, store: Path) -> Held:
    gc.collect()
    java = spark.sparkContext._gateway.proc.pid  # type: ignore[union-attr]
    return Held(
        status("self", "VmRSS") * 1024,
        of_java(spark)[0],
        status(java, "VmRSS") * 1024,
        entries("/proc/self/fd") + entries(f"/proc/{java}/fd"),
        threading.active_count() + status(java, "Threads"),
        entries(tempfile.gettempdir()) + files_below(Path(spark.conf.get("spark.local.dir"))),
        size(store),
    )


@pytest.fixture
def night(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    spark: SparkSession,
    tmp_path: Path,
) -> Callable[[int], Iterator[Held]]:
    """Runs of a suite, each with some rows more."""

    def go(count: int) -> Iterator[Held]:
        table, store = tmp_path / "table", world.make_store(tmp_path / "store")
        suite = small(
            store=str(store),
            dataset={"delta": str(table), "version": "latest"},
            models=[{"uri": world.model(name)} for name in ("good", "other")],
            baseline="good",
            slices=["overall", {"by": ["country", "device"]}],
            tests=[{"metric": name} for name in ("accuracy", "roc_auc", "log_loss")],
            reuse=True,
        )
        for number in range(count):
            some = 400 if number == 0 else 20
            start = 0 if number == 0 else 400 + 20 * number
            write_rows(table, world.rows[start : start + some])
            result = evaluated(suite, "night", run_id=f"night-{number}")
            assert result.exit_code == 0
            yield held(spark, store)

    return go


def levels_off(found: list[int], room: float) -> bool:
    """Whether the last third of some figures is about where the middle third is."""
    third = len(found) // 3
    return median(found[-third:]) <= median(found[third : 2 * third]) + room


def growth(found: list[int]) -> float:
    """By how much figures grow from one to the next, once what is kept from the start is there.

    What a later run finds freed is no leak: each figure counts as the least from there on. A leak
    adds in every run, so the median slope of all pairs (Theil and Sen) shows it, and neither one
    step up, such as of a cache that is filled, nor a few figures that are off.
    """
    least = list(itertools.accumulate(reversed(found), min))[::-1]
    later = list(enumerate(least))[len(found) // 3 :]
    return median((b - a) / (at - of) for (of, a), (at, b) in itertools.combinations(later, 2))


def test_growth_is_what_every_run_adds_and_neither_noise_nor_a_step() -> None:
    noise = [0, 17, 40, 11, 19, 2, 23, 9, 14, 36, 8, 1]
    assert growth(noise) < 1
    assert growth([0] * 5 + [40] * 7) == 0
    for leak in (5, 20):
        assert growth([at + leak * number for number, at in enumerate(noise)]) > 0.7 * leak


@pytest.mark.soak
@pytest.mark.parametrize("count", [50])
def test_a_night_of_runs_levels_off(
    night: Callable[[int], Iterator[Held]],
    command: Callable[..., Any],
    world: Any,
    spark: SparkSession,
    tmp_path: Path,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    nights = list(night(count))
    record_property("nights", [list(astuple(each)) for each in nights])
    # Over a third of the runs, no more than so much.
    assert growth([each.memory for each in nights]) * count / 3 < 30 * MIB, nights
    assert growth([each.java for each in nights]) * count / 3 < 20 * MIB, nights
    assert nights[-1].resident < of_java(spark)[1] + 1536 * MIB, nights
    kept = spark.sparkContext._jsc.sc().dagScheduler().activeQueryToJobs()  # type: ignore[union-attr]
    assert kept.isEmpty(), "Spark keeps the plans and shuffles of queries that have ended"
    assert levels_off([each.files for each in nights], 10), nights
    assert levels_off([each.threads for each in nights], 10), nights
    assert levels_off([each.temporary for each in nights], 40), nights
    # Each run adds its results and its report, and the last ones no more than those before.
    sizes = [each.store for each in nights]
    added = [after - before for before, after in itertools.pairwise(sizes)]
    assert levels_off(added, 0.15 * median(added)), added

    store = tmp_path / "store"
    before = size(store / "states") + size(store / "reports")
    from engine import maintain, results

    done = {each.table: each for each in maintain(store=str(store), days=0, report_days=0)}
    assert done["states"].rows_expired > 0 and done["results"].files < count
    maintain(store=str(store), days=0, keep_hours=0)
    assert size(store / "states") + size(store / "reports") < before / 2
    assert len(results(store=str(store), run="night-0")) > 0
    again = command("run", world.folder / "suites" / "night.yml", "--resume", "night-0")
    assert again.exit_code == 2 and "they have expired" in again.stderr, again.stderr
