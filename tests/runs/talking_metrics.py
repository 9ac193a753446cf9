"""A user's metrics that fail, and quote what they have seen; a plugin of suites."""

from __future__ import annotations

from typing import Any

from engine import mean_metric, metric
from engine.metrics import BINARY
from engine.states import Confusion


@mean_metric("quoting_loss", tasks=BINARY)
def quoting_loss(batch: Any, problem: Any) -> Any:
    print(batch)
    raise ValueError(f"these scores are odd: {batch.scores.tolist()}")


@metric("quoting_sums", tasks=BINARY, needs=lambda problem: (Confusion(2),))
def quoting_sums(problem: Any, of: Any) -> Any:
    print(of)
    raise ValueError(f"these sums are odd: {of.hits.tolist()}")
