"""Work that goes on beside a run: writes that nothing waits for yet, in order and in one thread.

While Spark commits a small table, or MLflow takes metrics, one core is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec

P = ParamSpec("P")


class BackgroundWriter:
    """Actions in the order in which they are given; after one that failed, none is begun.

    As a context manager it waits at the end, and raises what an action raised. A block that fails
    lets go of the actions that have not begun; where one had failed before, that is what is told.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._last: Future[None] | None = None
        self._failure: Exception | None = None

    def do(self, action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begins an action when those before it are done."""
        before = self._last

        def then() -> None:
            if before is not None:
                before.result()
            try:
                action(*args, **kwargs)
            except Exception as error:
                self._failure = error
                raise

        self._last = self._pool.submit(then)

    def wait(self) -> None:
        """Waits until all is done, and raises what the first failed action raised."""
        if self._last is not None:
            self._last.result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What has begun is let to its end.
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            self.wait()
        elif isinstance(error, Exception) and self._failure not in (None, error):
            # It failed first: most likely the block's own error follows from it.
            assert self._failure is not None
            raise self._failure from None
