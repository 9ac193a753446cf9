"""Parity: does a server answer each row as the model does without one?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from engine.core.vocabulary import Numbers
from engine.errors import EndpointError, ModelError
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.endpoint.target import Target
from engine.serving import Unreachable, has_bare_numbers, read_json
from engine.serving.answers import Reply, is_finite

SEED = 20_261_130
# Rows that are asked alone, requests whose rows are asked the other way round, and at once.
ALONE_ROWS, TURNED_REQUESTS, AT_ONCE = 100, 10, 4
# Of requests that are refused so many rows are asked again by themselves, to count the guilty.
MOST_AGAIN = 500

SAME, OTHER, REFUSED, NO_JSON = "same", "answered otherwise", "refused", "answered by no JSON"
BATCHED, ALONE, TURNED, TOGETHER = "in batches", "alone", "in another order", "at once"
WAYS = (BATCHED, ALONE, TURNED, TOGETHER)


@dataclass(slots=True)
class _Tally:
    """What came of each row, by the way in which it was asked."""

    target: Target
    expected: Any
    outcomes: dict[str, dict[int, str]] = field(default_factory=dict)
    asked_again: int = 0

    def ask(self, way: str, places: Sequence[int]) -> None:
        """Asks for rows in one request, and notes what became of each."""
        noted = self.outcomes.setdefault(way, {})
        for place, outcome in self._outcomes(places):
            noted[place] = outcome

    def _outcomes(self, places: Sequence[int]) -> Iterator[tuple[int, str]]:
        client, rows = self.target.client, self.target.rows.take(places)
        reply = client.send(client.body(rows))
        if not reply.is_good:
            if len(places) > 1 and self.asked_again + len(places) <= MOST_AGAIN:
                self.asked_again += len(places)
                for place in places:
                    yield from self._outcomes([place])
                return
            yield from ((place, REFUSED) for place in places)
            return
        try:
            yield from zip(places, self._compare(reply, places), strict=True)
        except Unreachable:
            raise
        except (EndpointError, ModelError):
            yield from ((place, NO_JSON if _is_no_json(reply) else OTHER) for place in places)

    def _compare(self, reply: Reply, places: Sequence[int]) -> list[str]:
        target = self.target
        raw = target.client.read(reply, len(places))
        differing = target.differing(_Part(self.expected, places), target.read(raw, len(places)))
        outcomes = [OTHER if other else SAME for other in differing.tolist()]
        if has_bare_numbers(reply.content) and isinstance(raw, list):
            outcomes = [outcome if is_finite(row) else NO_JSON
                        for outcome, row in zip(outcomes, raw, strict=True)]  # fmt: skip
        return outcomes


class _Part:
    """Some rows of a prediction."""

    def __init__(self, prediction: Any, places: Sequence[int]) -> None:
        at = np.asarray(places)
        self.scores = None if prediction.scores is None else prediction.scores[at]
        self.labels = None if prediction.labels is None else prediction.labels[at]


def count_mismatches(target: Target, size: int) -> Numbers:
    """The rows that a server answers otherwise, in any of the ways in which it is asked.

    Args:
        target: the server, with the model that it is held against.
        size: the rows of a request.
    """
    if target.offline is None:
        return {BREACHES: None, TRIED: 0.0}
    count = target.rows.count
    tally = _Tally(target, target.offline.predict(target.batch))
    requests = [range(first, min(first + size, count)) for first in range(0, count, size)]
    for places in requests:
        tally.ask(BATCHED, places)
    for place in range(min(count, ALONE_ROWS)):
        tally.ask(ALONE, [place])
    for places in requests[:TURNED_REQUESTS]:
        tally.ask(TURNED, places[::-1])
    order = np.random.default_rng(SEED).permutation(len(requests))
    _at_once([partial(tally.ask, TOGETHER, requests[at]) for at in order])
    return _numbers(tally, count)


def _at_once(tasks: Sequence[Callable[[], None]]) -> None:
    """Does tasks, some of them at once; the first that fails ends it."""
    with ThreadPoolExecutor(AT_ONCE, "parity") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _numbers(tally: _Tally, count: int) -> Numbers:
    broken: set[int] = set()
    numbers: dict[str, float | None] = {}
    for way, outcomes in tally.outcomes.items():
        numbers[f"asked|{way}"] = float(len(outcomes))
        for place, outcome in outcomes.items():
            if outcome != SAME:
                broken.add(place)
                key = f"{outcome}|{way}"
                numbers[key] = (numbers.get(key) or 0.0) + 1.0
    return {**numbers, BREACHES: float(len(broken)), TRIED: float(count)}


def _is_no_json(reply: Reply) -> bool:
    try:
        read_json(reply.content, strict=True)
    except EndpointError:
        return True
    return False
