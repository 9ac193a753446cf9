"""What the steps of a run cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step of a run took; None is what is not known, or was not there.

    A step's CPU is what its processes took while it lasted: one within another, and one beside
    another, are counted in both.

    Attributes:
        kind: plan, evaluation, scan, questions, judge or sink.
        name: which of its kind it is: the part of a scan, the sink; else "".
        evaluation: the one that it was done for; "" where it was done for the run.
        seconds: how long it took.
        cpu_seconds, peak_bytes: CPU of the driver's Python, and the most resident memory it held.
        jvm_cpu_seconds, jvm_peak_bytes: the same of the driver's JVM.
        task_cpu_seconds: CPU of Spark's tasks in the JVMs; on a `local` master part of the above.
        worker_cpu_seconds, worker_peak_bytes: CPU of the workers' Python over all tasks, and the
            most resident memory that one of them held; of an evaluation's scans together.
        spilled_memory_bytes, spilled_disk_bytes: what Spark wrote out for want of memory, as it
            was in memory, and as it was on disk.
        failed_tasks: tasks of Spark that failed, and were tried again or not.
        rows: how many rows a scan was to read.
        predictions: how many predictions an evaluation's scans made.
        failure: the type of what it raised; "" where it came to its end.
        road: how the rows of a scan reached the workers, and why.
    """

    kind: str
    name: str
    evaluation: str
    seconds: float
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    jvm_cpu_seconds: float | None = None
    jvm_peak_bytes: int | None = None
    task_cpu_seconds: float | None = None
    worker_cpu_seconds: float | None = None
    worker_peak_bytes: int | None = None
    spilled_memory_bytes: int | None = None
    spilled_disk_bytes: int | None = None
    failed_tasks: int | None = None
    rows: int | None = None
    predictions: int | None = None
    failure: str = ""
    road: str = ""
