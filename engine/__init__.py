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
    from engine.api import forget, maintain, plan, report, results, run, schema, sync, train
    from engine.checkup import doctor
    from engine.errors import DataError, EvalMatrixError, InputError, ModelError, SuiteError
    from engine.metrics import mean_metric, metric, ratio
    from engine.result import RunResult

__all__ = [
    "DataError",
    "EvalMatrixError",
    "InputError",
    "ModelError",
    "RunResult",
    "SuiteError",
    "__version__",
    "doctor",
    "explain",
    "forget",
    "judge",
    "maintain",
    "mean_metric",
    "metric",
    "plan",
    "ratio",
    "report",
    "results",
    "run",
    "schema",
    "sync",
    "train",
]

_COMMANDS = (
    "explain", "forget", "judge", "maintain", "plan", "report", "results", "run", "schema", "sync",
    "train",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(_COMMANDS, "engine.api"),
    **dict.fromkeys(
        ("DataError", "EvalMatrixError", "InputError", "ModelError", "SuiteError"),
        "engine.errors",
    ),
    **dict.fromkeys(("mean_metric", "metric", "ratio"), "engine.metrics"),
    "RunResult": "engine.result",
    "doctor": "engine.checkup",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    # `engine.run` and `engine.matrix` are modules as well as functions; the function is public.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
