"""Calls of models against a clock: one model's by itself, or two in pairs of random order.

A machine is slower now than a moment ago, for reasons of its own. So the two of a pair are called
one after the other, in an order that is drawn, and only the ratio within a pair is looked at. The
collector of garbage is off in between. A clock gives nanoseconds; tests bring their own.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

Call = Callable[[int], object]
Clock = Callable[[], int]

SECOND = 1_000_000_000
WARM_CALLS = 5
WARM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: `calls` of one model, or `pairs` of so many `together` of each.

    Two are compared by a quantile, `share`, of the times of a pair. What takes longer than
    `seconds`, or `pair_seconds` where two are compared, ends earlier, whatever was found by then.
    Beside other work on the machine it takes all pairs to tell a fifth.
    """

    share: float
    calls: int
    pairs: int
    together: int
    seconds: float = 20.0
    pair_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of calls: the first of the process, the warm ones of a model, those of the baseline.

    `ratios` are the logarithms of the ratios of pairs.
    """

    cold: float
    warm: Sequence[float]
    baseline: Sequence[float] = ()
    ratios: Sequence[float] = ()


def time_alone(call: Call, effort: Effort, clock: Clock) -> Timed:
    """The calls of one model; `call` is given a number that goes up."""
    cold = _seconds(call, 0, clock)
    with _quiet():
        _warm_up(call, clock)
        started, warm = clock(), list[float]()
        while len(warm) < effort.calls and not _is_over(started, effort.seconds, clock):
            warm.append(_seconds(call, len(warm), clock))
    return Timed(cold, warm)


def time_pairs(ours: Call, theirs: Call, effort: Effort, clock: Clock, seed: int) -> Timed:
    """The calls of a model and of the baseline, in pairs."""
    cold = _seconds(ours, 0, clock)
    rng = np.random.default_rng(seed)
    warm, baseline, ratios = list[float](), list[float](), list[float]()
    with _quiet():
        for call in (ours, theirs):
            _warm_up(call, clock)
        started = clock()
        while len(ratios) < effort.pairs and not _is_over(started, effort.pair_seconds, clock):
            first = len(ratios) * effort.together
            numbers = range(first, first + effort.together)
            blocks: dict[bool, list[float]] = {}
            ours_first = bool(rng.integers(2))
            for is_ours in (ours_first, not ours_first):
                call = ours if is_ours else theirs
                blocks[is_ours] = [_seconds(call, number, clock) for number in numbers]
            warm += blocks[True]
            baseline += blocks[False]
            one, other = (seen_quantile(blocks[which], effort.share) for which in (True, False))
            ratios.append(math.log(one / other))
    return Timed(cold, warm, baseline, ratios)


def seen_quantile(seconds: Sequence[float], share: float) -> float:
    """The smallest of the times up to which that share of them lies."""
    return sorted(seconds)[max(math.ceil(share * len(seconds)), 1) - 1]


def _seconds(call: Call, number: int, clock: Clock) -> float:
    started = clock()
    call(number)
    # A clock may be too coarse for a call; nothing takes no time.
    return max(clock() - started, 1) / SECOND


def _warm_up(call: Call, clock: Clock) -> None:
    started = clock()
    for number in range(WARM_CALLS):
        call(number)
        if clock() - started > WARM_SECONDS * SECOND:
            return


def _is_over(started: int, seconds: float, clock: Clock) -> bool:
    return clock() - started > seconds * SECOND


@contextmanager
def _quiet() -> Iterator[None]:
    """Nobody collects garbage between two looks at the clock."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
