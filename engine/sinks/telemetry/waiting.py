"""How long a run waits for who is told of it, and how what went wrong is put."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

SECONDS_TO_ANSWER = 3.0
SECONDS_IN_ALL = 10.0


def do_all(
    actions: Mapping[str, Callable[[], object]], seconds: float = SECONDS_IN_ALL
) -> dict[str, str]:
    """Does actions at the same time; gives what went wrong, by their keys.

    What is not over after so many seconds is left to itself, and ends with the process.
    """
    problems: dict[str, str] = {}

    def work(key: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            problems[key] = problem_text(error)

    threads = {
        key: threading.Thread(target=work, args=(key, action), daemon=True, name=f"tell {key}")
        for key, action in actions.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    late = [key for key, thread in threads.items() if thread.is_alive()]
    return {**problems, **dict.fromkeys(late, f"it took more than {seconds:g} s")}


def problem_text(error: Exception) -> str:
    """What went wrong, without an error's own text: that has the URL, which may be a secret."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"it answered {answer.status_code}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    if type(cause or error).__module__.startswith("requests"):
        return f"nobody answered ({type(cause or error).__name__})"
    if isinstance(cause, OSError) and cause.strerror:
        return f"it could not be written ({cause.strerror})"
    if isinstance(error, TelemetryError):
        return str(error)
    return f"it could not be told ({type(error).__name__})"


class TelemetryError(Exception):
    """What is wrong with where telemetry goes, in words of our own."""
