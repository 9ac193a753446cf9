"""What Spark tells of its own costs: the JVM's process, how many jobs, and what they spilled.

Only a session of this process tells; Spark Connect does not, and then all is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.spark.lazy_session import LazySession, context_of, pid_of


@dataclass(frozen=True, slots=True)
class Spilled:
    """What stages wrote out for want of memory, in bytes, and their tasks' CPU in the JVMs.

    Attributes:
        memory: the bytes that were spilled, as they were in memory.
        disk: the bytes that this came to on disks.
        task_cpu_seconds: CPU seconds of the tasks, without Python's.
        failed_tasks: tasks that failed, and were tried again or not.
    """

    memory: int = 0
    disk: int = 0
    task_cpu_seconds: float = 0.0
    failed_tasks: int = 0

    def __add__(self, other: Spilled) -> Spilled:
        return Spilled(
            self.memory + other.memory,
            self.disk + other.disk,
            self.task_cpu_seconds + other.task_cpu_seconds,
            self.failed_tasks + other.failed_tasks,
        )


class SparkUsage:
    """The costs of a session, which is started by nobody here; what was read of a job is kept."""

    def __init__(self, session: LazySession) -> None:
        self._session = session
        self._pids: dict[int, int | None] = {}
        self._jobs: dict[int, Spilled] = {}

    def pid(self) -> int | None:
        """The process of the driver's JVM on this machine."""
        spark = self._session.current
        if spark is None:
            return None
        if id(spark) not in self._pids:
            self._pids[id(spark)] = pid_of(spark)
        return self._pids[id(spark)]

    def jobs(self) -> int | None:
        """How many jobs the session's context has begun."""
        context = context_of(self._session)
        try:
            return None if context is None else int(context.dagScheduler().numTotalJobs())
        except Exception:  # another Spark may keep it to itself, and a dead one tells nothing
            return None

    def spills(self, jobs: tuple[int, int] | None) -> Spilled | None:
        """What jobs spilled, from the first number to before the second; None where nothing tells.

        Spark forgets the oldest of many jobs and stages: these are left out.
        """
        context = context_of(self._session)
        if context is None or jobs is None:
            return None
        try:
            store = context.statusStore()
            for number in range(*jobs):
                if number not in self._jobs:
                    self._jobs[number] = _job_spills(store, number)
            return sum((self._jobs[number] for number in range(*jobs)), Spilled())
        except Exception:  # as above
            return None


def _job_spills(store: Any, job: int) -> Spilled:
    every = Spilled()
    try:
        stages = store.job(job).stageIds()
        numbers = [int(stages.apply(place)) for place in range(stages.size())]
    except Exception:  # it was forgotten
        return every
    for number in numbers:
        try:
            stage = store.lastStageAttempt(number)
        except Exception:  # it was skipped, or forgotten
            continue
        every += Spilled(
            int(stage.memoryBytesSpilled()),
            int(stage.diskBytesSpilled()),
            stage.executorCpuTime() / 1e9,
            int(stage.numFailedTasks()),
        )
    return every
