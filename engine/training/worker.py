"""What a local worker runs: a process that fits folds, one at a time, on one thread each."""

from __future__ import annotations

import os
import pickle
import signal
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.core.child import ONE_THREAD, end_with_parent
from engine.errors import InputError
from engine.models.flavors.keras import import_tensorflow
from engine.models.flavors.torch import import_torch
from engine.training.tasks import FoldWork, run_task

COMMAND = "import sys; from engine.training.worker import main; main(int(sys.argv[1]), sys.argv[2])"

REFUSED, DONE = "refused", "done"


def limit_threads(framework: str) -> None:
    """Leaves this process one thread for each library, loaded or not."""
    from threadpoolctl import threadpool_limits

    os.environ.update(ONE_THREAD)
    threadpool_limits(1)
    if framework == "pytorch":
        import_torch().set_num_threads(1)
    elif framework == "tensorflow":
        tf = import_tensorflow()
        # It raises once TensorFlow computes: then this has been done.
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)


def main(descriptor: int, file: str) -> None:
    """Answers the process that has started this one, until it hangs up or is gone.

    Args:
        descriptor: of the connection over which tasks come.
        file: the pickled work.
    """
    # Ctrl-C is for who started this; a terminal sends it to all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    warnings.simplefilter("ignore")
    with Connection(descriptor) as connection:
        work: FoldWork | None = None
        while True:
            try:
                task = connection.recv()
            except (EOFError, OSError):
                return
            try:
                work = work or load_work(Path(file))
                answer: tuple[str, Any] = (DONE, run_task(work, task))
            except InputError as error:
                answer = (REFUSED, str(error))
            connection.send(answer)


def load_work(file: Path) -> FoldWork:
    """The work that a file has, with this process left one thread for it."""
    work: FoldWork = pickle.loads(file.read_bytes())
    limit_threads(work.framework)
    work.prepare()
    return work
