"""Where a network computes: on the GPU that Spark gave the task, on one that is there, on the CPU.

A worker's Python process is kept for later tasks, and the next one may have been given another
GPU: PyTorch models move to it, TensorFlow stays on the one that it began with.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from typing import Any

CPU = "cpu"


def task_gpu() -> tuple[str, ...]:
    """The addresses of the GPUs that Spark gave the running task; () without any.

    Spark gives them where `spark.task.resource.gpu.amount` is set. A process that is no worker of
    Spark has no task. Models know nothing of Spark, so this asks only what is imported already.
    """
    module = sys.modules.get("pyspark.taskcontext")
    task = module.TaskContext.get() if module is not None else None
    gpus = task.resources().get("gpu") if task is not None else None
    return tuple(map(str, gpus.addresses)) if gpus is not None else ()


def task_number() -> int:
    """The number of the partition that the running task works on; 0 without a task."""
    module = sys.modules.get("pyspark.taskcontext")
    task = module.TaskContext.get() if module is not None else None
    return int(task.partitionId()) if task is not None else 0


def choose(visible: int, addresses: tuple[str, ...], number: int = 0) -> int | None:
    """Which of the GPUs that a framework sees a task uses; None for the CPU.

    The first of the task's addresses, where it is an index into what the framework sees; where a
    container shows the task's own GPUs only, they are numbered from 0 whatever their address.
    Tasks that were given none take turns by their number.

    Args:
        visible: how many GPUs the framework sees.
        addresses: what Spark gave the task.
        number: the number of the task's partition.
    """
    if visible < 1:
        return None
    if not addresses:
        return number % visible
    first = addresses[0]
    return int(first) if first.isdecimal() and int(first) < visible else 0


def torch_device(torch: Any) -> str:
    """The device of the running task as PyTorch names it: `cpu`, `cuda:0`, ..."""
    chosen = choose(_cuda_devices(torch), task_gpu(), task_number())
    return CPU if chosen is None else f"cuda:{chosen}"


@cache
def _cuda_devices(torch: Any) -> int:
    with warnings.catch_warnings():
        # A PyTorch that is built for CUDA warns of a machine that has none.
        warnings.simplefilter("ignore")
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def show_one_gpu(tf: Any) -> None:
    """Leaves TensorFlow one GPU, the task's, and lets it take memory only as it needs it.

    Raises:
        RuntimeError: when TensorFlow has begun to compute: then it is settled.
    """
    gpus = tf.config.list_physical_devices("GPU")
    chosen = choose(len(gpus), task_gpu(), task_number())
    if chosen is None:
        return
    tf.config.set_visible_devices(gpus[chosen], "GPU")
    tf.config.experimental.set_memory_growth(gpus[chosen], True)
