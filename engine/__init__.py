"""evalmatrix: batch evaluation of machine-learning models, distributed by Spark.

The matrix of (model version x dataset slice x test) is evaluated in one scan of a versioned Delta
table; the metrics come together in MLflow, in a Delta results table, in a report and in a gate.
Importing this package imports no framework, neither Spark nor MLflow; they come with first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine._version import __version__

if TYPE_CHECKING:
    from engine.commands.audit import audit
    from engine.commands.card import card
    from engine.commands.cross_validate import cross_validate
    from engine.commands.doctor import doctor
    from engine.commands.evaluate import evaluate
    from engine.commands.experiment import experiment
    from engine.commands.explain import explain
    from engine.commands.export import export
    from engine.commands.forget import forget
    from engine.commands.generate import generate
    from engine.commands.history import history
    from engine.commands.init import init
    from engine.commands.judge import judge
    from engine.commands.kinds import list_kinds
    from engine.commands.maintain import maintain
    from engine.commands.metrics import list_metrics
    from engine.commands.pin import pin
    from engine.commands.plan import plan
    from engine.commands.promote import promote
    from engine.commands.report import report
    from engine.commands.results import results
    from engine.commands.run import run
    from engine.commands.run_result import RunResult
    from engine.commands.schema import schema
    from engine.commands.sync import sync
    from engine.commands.train import train
    from engine.commands.warmup import warmup
    from engine.commands.watch import watch
    from engine.errors import DataError, EvalMatrixError, InputError, ModelError, SuiteError
    from engine.metrics import mean_metric, metric, ratio

__all__ = [
    "DataError",
    "EvalMatrixError",
    "InputError",
    "ModelError",
    "RunResult",
    "SuiteError",
    "__version__",
    "audit",
    "card",
    "cross_validate",
    "doctor",
    "evaluate",
    "experiment",
    "explain",
    "export",
    "forget",
    "generate",
    "history",
    "init",
    "judge",
    "list_kinds",
    "list_metrics",
    "maintain",
    "mean_metric",
    "metric",
    "pin",
    "plan",
    "promote",
    "ratio",
    "report",
    "results",
    "run",
    "schema",
    "serve",
    "sync",
    "train",
    "warmup",
    "watch",
]

_COMMANDS = (
    "audit", "card", "cross_validate", "doctor", "evaluate", "experiment", "explain", "export",
    "forget", "generate", "history", "init", "judge", "maintain", "pin", "plan", "promote",
    "report", "results", "run", "schema", "serve", "sync", "train", "warmup", "watch",
)  # fmt: skip
_HOMES = {
    **{name: f"engine.commands.{name}" for name in _COMMANDS},
    **dict.fromkeys(
        ("DataError", "EvalMatrixError", "InputError", "ModelError", "SuiteError"),
        "engine.errors",
    ),
    **dict.fromkeys(("mean_metric", "metric", "ratio"), "engine.metrics"),
    "RunResult": "engine.commands.run_result",
    "list_kinds": "engine.commands.kinds",
    "list_metrics": "engine.commands.metrics",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    # `engine.run` and `engine.planning` are modules as well as functions; the function is public.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
