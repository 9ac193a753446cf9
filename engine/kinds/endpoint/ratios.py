"""Two servers called in turns: what is slow of the machine is slow for both."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.errors import EndpointError
from engine.kinds.endpoint.asks import QUANTILES
from engine.kinds.endpoint.target import Target, find_target, lowest_rate
from engine.kinds.questions import Predictor, Probe
from engine.kinds.speed.probe import timed_numbers
from engine.kinds.speed.timing import Timed, seen_quantile
from engine.serving.pace import Pace

SEED = 20_261_130
# As the kind `speed` has them: pairs, and the calls of each server in a pair.
PAIRS = {"latency_p50": (60, 5), "latency_p95": (60, 20), "latency_p99": (40, 100)}
WARM_CALLS, MOST_SECONDS, MOST_BODIES = 20, 300.0, 50


@dataclass(frozen=True)
class RatioProbe(Probe):
    """The latencies of a model's server beside those of the baseline's, in pairs of blocks."""

    ask: str
    size: int
    rate: float | None
    rows: int = 100
    keeps = False
    alone = True
    beside_baseline = True

    @property
    def key(self) -> str:
        return f"endpoint ratio {self.ask} {self.size} {self.rate}, 1"

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        if baseline is None:
            return {"calls": 0.0}
        both = [
            _Line(find_target(own, None, batch.select(list(own.model.features)), None), self.size)
            for own in (model, baseline)
        ]
        place = f"{both[0].target.client.endpoint.url} beside {both[1].target.client.endpoint.url}"
        rate = lowest_rate(self.rate, *(own.target.client.endpoint.rate for own in both))
        timed = _time_pairs(both[0], both[1], self.ask, Pace(place, rate))
        return timed_numbers(timed, QUANTILES[self.ask])


class _Line:
    """One server, and the requests that it is sent in turn."""

    def __init__(self, target: Target, size: int) -> None:
        self.target = target
        rows = target.rows
        parts = [rows.slice(first, size) for first in range(0, rows.count, size)][:MOST_BODIES]
        self.bodies = [target.client.body(part) for part in parts]

    def seconds(self, number: int) -> float:
        """How long an answer takes.

        Raises:
            EndpointError: when it is none.
        """
        started = time.perf_counter_ns()
        reply = self.target.client.send_once(self.bodies[number % len(self.bodies)])
        taken = max(time.perf_counter_ns() - started, 1) / 1e9
        if not reply.is_good:
            raise EndpointError(
                f"the endpoint {self.target.client.place} answered {reply.status} to a timed "
                "request, expected predictions"
            )
        return taken


def _time_pairs(ours: _Line, theirs: _Line, ask: str, pace: Pace) -> Timed:
    pairs, together = PAIRS[ask]
    rng, share = np.random.default_rng(SEED), QUANTILES[ask]
    cold = ours.seconds(0)
    for number in range(WARM_CALLS):
        ours.seconds(number)
        theirs.seconds(number)
    warm, baseline, ratios = list[float](), list[float](), list[float]()
    started = time.perf_counter()
    while len(ratios) < pairs and time.perf_counter() - started < MOST_SECONDS:
        first = len(ratios) * together
        blocks: dict[bool, list[float]] = {True: [], False: []}
        ours_first = bool(rng.integers(2))
        for is_ours in (ours_first, not ours_first):
            line = ours if is_ours else theirs
            for number in range(first, first + together):
                pace.wait()
                blocks[is_ours].append(line.seconds(number))
        warm += blocks[True]
        baseline += blocks[False]
        one, other = (seen_quantile(blocks[which], share) for which in (True, False))
        ratios.append(math.log(one / other))
    return Timed(cold, warm[-1000:], baseline[-1000:], ratios)
