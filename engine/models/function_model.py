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
    """What a function, or the `predict` of an object, returns for some rows.

    What has the rows' index in another order is put back into theirs.
    """
    answers = native.predict(rows) if hasattr(native, "predict") else native(rows)
    if not isinstance(answers, pd.Series | pd.DataFrame) or answers.index.equals(rows.index):
        return answers
    of_rows = len(answers) == len(rows) and answers.index.is_unique
    return answers.loc[rows.index] if of_rows and rows.index.isin(answers.index).all() else answers
