"""Whom a test of an endpoint asks: the server of a URL, or one that it starts of the model itself.

A server that was started lives as long as the process of the model's probes: they share it, and it
ends with that process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import Endpoint
from engine.kinds.contract.comparisons import differing_rows
from engine.kinds.questions import Predictor
from engine.serving import Client, Rows, Server, rows_of, start_server
from engine.states import Bools

# How long an answer of a test may take where the model's own keys do not say it.
TIMEOUT = 30.0
_SHARED: dict[Path, tuple[Server, float]] = {}


@dataclass(frozen=True, slots=True)
class Target:
    """A server that answers for a model, and what it is held against.

    Attributes:
        client: asks it.
        model: reads its answers.
        offline: the model as it answers without a server; None where nobody has it here.
        rows: the sample, as the server is asked for it.
        batch: the sample, as the offline model is asked.
    """

    client: Client
    model: Predictor
    offline: Predictor | None
    rows: Rows
    batch: pa.RecordBatch

    def read(self, raw: Any, count: int) -> Any:
        """The prediction in what the server answered."""
        return self.model.read_served(raw, count)

    def compare_rows(self, expected: Any, answer: Any) -> Bools:
        """Which rows the server answers otherwise than the offline model, beyond rounding."""
        assert self.offline is not None, "there is something to hold it against"
        if answer.scores is None or expected.scores is None:
            expected, answer = _Labels(expected), _Labels(answer)
        return differing_rows(self.offline, expected, answer)


class _Labels:
    """A prediction by its labels alone; those of scores are the largest's."""

    scores = None

    def __init__(self, prediction: Any) -> None:
        labels = prediction.labels
        self.labels = np.argmax(prediction.scores, axis=1) if labels is None else labels


def offline_of(model: Predictor, baseline: Predictor | None) -> Predictor | None:
    """The model that a server is held against: itself, or the baseline of one elsewhere."""
    if not model.model.is_endpoint:
        return model
    return baseline if baseline is not None and not baseline.model.is_endpoint else None


def find_target(
    model: Predictor,
    baseline: Predictor | None,
    batch: pa.RecordBatch,
    rate: float | None,
    server: Server | None = None,
) -> Target:
    """The server of a model; for one without a URL it is started, once in this process.

    Args:
        model: the model whose server is asked.
        baseline: the model beside it.
        batch: the sample.
        rate: the most requests in a second.
        server: a server that runs already.

    Raises:
        EndpointError: when the server does not start.
    """
    rows = rows_of(batch, model.model)
    own = model.model.endpoint
    if own is None:
        own = (server or shared_server(model.folder, rows)[0]).endpoint
        own = replace(own, timeout=TIMEOUT, retries=0)
    endpoint: Endpoint = replace(own, rate=lowest_rate(rate, own.rate))
    return Target(Client(endpoint), model, offline_of(model, baseline), rows, batch)


def lowest_rate(*rates: float | None) -> float | None:
    """The lowest of some rates; None where none is said."""
    return min((rate for rate in rates if rate is not None), default=None)


def shared_server(folder: Path, rows: Rows) -> tuple[Server, float]:
    """The server of a folder that this process has, and the seconds that it took to start.

    Raises:
        EndpointError: when it does not start.
    """
    if folder not in _SHARED or _SHARED[folder][0].has_ended:
        _SHARED[folder] = start_server(folder, None if rows.count == 0 else rows.slice(0, 1))
    return _SHARED[folder]
