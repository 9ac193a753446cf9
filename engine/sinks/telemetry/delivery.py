"""Who is told of a run by telemetry: which libraries that takes, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec

from engine.core.environment import fill_variables
from engine.errors import InputError
from engine.sinks.telemetry.record import RunRecord
from engine.sinks.telemetry.waiting import TelemetryError, do_all, problem_text
from engine.suite import TelemetryConfig

# What each key of the suite imports, and what it does.
_MODULES = {
    "openlineage": ("openlineage.client",),
    "otlp": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "prometheus": ("prometheus_client",),
}

Send = Callable[[str], None]


def check_libraries(config: TelemetryConfig | None) -> None:
    """Refuses a suite whose telemetry takes a library that is not installed.

    Raises:
        InputError: with what is missing, and how it is installed.
    """
    for key in _places(config):
        for module in _MODULES[key]:
            if not _is_installed(module):
                raise InputError(
                    f"telemetry.{key} takes the Python module {module!r}, which is not installed; "
                    "`pip install 'evalmatrix[telemetry]'` installs it"
                )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _places(config: TelemetryConfig | None) -> dict[str, str]:
    if config is None:
        return {}
    return {key: place for key, place in asdict(config).items() if place is not None}


def deliver(config: TelemetryConfig, record: RunRecord) -> dict[str, str]:
    """Tells all of a run that the suite names; gives what went wrong, by where that was."""
    problems: dict[str, str] = {}
    actions: dict[str, Callable[[], object]] = {}
    for key, place in _places(config).items():
        try:
            actions[key] = partial(_SINKS[key](record), _fill(place))
        except Exception as error:
            # Nothing that is told beside a run may end it.
            problems[key] = problem_text(error)
    problems |= do_all(actions)
    return {f"telemetry.{key} ({place})": problems[key]
            for key, place in _places(config).items() if key in problems}  # fmt: skip


def _fill(place: str) -> str:
    try:
        return fill_variables(place)
    except KeyError as error:
        name = error.args[0]
        raise TelemetryError(f"the variable {name!r} of the environment is not set") from None


def _lineage(record: RunRecord) -> Send:
    from engine.sinks.telemetry.openlineage import make_events, send_events

    return partial(send_events, make_events(record))


def _traces(record: RunRecord) -> Send:
    from engine.sinks.telemetry.spans import make_spans, send_spans

    return partial(send_spans, make_spans(record))


def _metrics(record: RunRecord) -> Send:
    from engine.sinks.telemetry.prometheus import make_metrics, send_metrics

    return partial(send_metrics, make_metrics(record), record.info.suite)


_SINKS: dict[str, Callable[[RunRecord], Send]] = {
    "openlineage": _lineage,
    "otlp": _traces,
    "prometheus": _metrics,
}
