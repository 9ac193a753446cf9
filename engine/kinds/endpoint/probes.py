"""The probes of an endpoint: one for its answers, one for a load, each in a model's own process."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.errors import EndpointError
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.endpoint.asks import ASKS
from engine.kinds.endpoint.errors import count_violations
from engine.kinds.endpoint.loading import measure_load
from engine.kinds.endpoint.parity import count_mismatches
from engine.kinds.endpoint.target import Target, find_target
from engine.kinds.questions import Predictor, Probe
from engine.serving import Unreachable

ERROR_ROWS, LOOKS = 100, 5


@dataclass(frozen=True)
class AnswerProbe(Probe):
    """What a server answers: parity, errors, readiness, version."""

    ask: str
    size: int
    rate: float | None
    rows: int = ERROR_ROWS
    beside_baseline: bool = False
    keeps = False

    @property
    def key(self) -> str:
        return f"endpoint {self.ask} {self.size} {self.rate}, 1"

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        own = batch.select(list(model.model.features))
        target = find_target(model, baseline, own, self.rate)
        kind = ASKS[self.ask].probe
        if kind == "parity":
            return count_mismatches(target, self.size)
        if kind == "errors":
            return count_violations(target, self.ask)
        if kind == "version":
            return _count_versions(target, baseline)
        return _count_looks(target)


@dataclass(frozen=True)
class LoadProbe(Probe):
    """A server under load, in a process of its own, while nothing else of the run is under way."""

    rate: float
    seconds: float
    size: int
    rows: int = ERROR_ROWS
    keeps = False
    alone = True

    @property
    def key(self) -> str:
        return f"endpoint load {self.rate} {self.seconds} {self.size}, 1"

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        own = batch.select(list(model.model.features))
        return measure_load(model, own, self.rate, self.seconds, self.size)


def _count_looks(target: Target) -> Numbers:
    """How often the server was not ready: it says so, or a real row is not answered."""
    client = target.client
    failures = {"it says that it is not ready": 0, "it says so, and does not answer a row": 0,
                "it does not answer a row": 0}  # fmt: skip
    for place in range(LOOKS):
        up = client.is_up()
        row = target.rows.slice(place % target.rows.count, 1)
        try:
            target.read(client.ask(row), 1)
            answers = True
        except Unreachable:
            raise
        except EndpointError:
            answers = False
        if up is False:
            failures["it says that it is not ready"] += 1
        elif not answers:
            says = "it says so, and does not answer a row" if up else "it does not answer a row"
            failures[says] += 1
    numbers: dict[str, float | None] = {
        f"{why}|{why}|": float(count) for why, count in failures.items() if count
    }
    return {**numbers, BREACHES: float(sum(failures.values())), TRIED: float(LOOKS)}


def _count_versions(target: Target, baseline: Predictor | None) -> Numbers:
    """Whether the version that the server tells is the one of the baseline."""
    told = target.client.version()
    expected = None if baseline is None else baseline.model.version
    if told is None or expected is None:
        return {BREACHES: None, TRIED: 0.0, "told": float(told is not None)}
    return {BREACHES: float(told != expected), TRIED: 1.0}
