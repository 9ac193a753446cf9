"""A function of a frame as a model of MLflow's; a worker that loads one imports this module."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc
import pandas as pd


class FunctionModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Calls a function, or the `predict` of an object, with a frame of the features."""

    def __init__(self, native: Any) -> None:
        self.native = native

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        """What the function returns for some rows."""
        return answers_of(self.native, model_input)


def answers_of(native: Any, rows: pd.DataFrame) -> Any:
    """What a function, or the `predict` of an object, returns for some rows."""
    return native(rows) if callable(native) else native.predict(rows)
