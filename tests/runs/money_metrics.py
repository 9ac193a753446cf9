"""A user's metric of other columns of its rows; a plugin of suites."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import mean_metric
from engine.metrics import BINARY


@mean_metric(
    "missed_amount", tasks=BINARY, higher_is_better=False, needs_columns=("amount", "device")
)
def missed_amount(batch: Any, problem: Any) -> Any:
    """The amount lost to a missed fraud; on the web it counts half."""
    missed = (batch.truth == problem.positive) & (batch.predicted != problem.positive)
    part = np.where(batch.columns["device"] == "web", 0.5, 1.0)
    return np.where(missed, part * batch.columns["amount"], 0.0)
