"""What can be asked of an endpoint: each ask is a test and a cell of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.kinds.endpoint.cases import CASES

COUNT, MS, MB = "max_breaches", "max_ms", "max_mb"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Ask:
    """One figure of a served model.

    Attributes:
        metric: what it is called in the results.
        condition: the key of the limit that fits it.
        default: that limit where the suite names none; None records the figure.
        probe: what finds it out: parity, readiness, version, errors or load.
        unit: what is counted, where it is a count.
        broken: what a breach is, behind the number of them.
        starts: whether only of a server that the test starts itself anything is known.
    """

    metric: str
    condition: str
    default: float | None
    probe: str
    unit: str = ""
    broken: str = ""
    starts: bool = False


ASKS: dict[str, Ask] = {
    "parity": Ask("parity_mismatches", COUNT, 0, "parity", "row", "answered otherwise than by the "
                  "model without a server"),
    "readiness": Ask("readiness_failures", COUNT, 0, "readiness", "look", "at which it was not "
                     "ready"),
    "version": Ask("version_mismatches", COUNT, 0, "version", "version", "that is not the one of "
                   "the baseline"),
    **{name: Ask("error_violations", COUNT, 0, "errors", "request", "neither refused as it should "
                 "be nor answered right") for name in CASES},
    "latency_p50": Ask("latency_p50_ms", MS, None, "load"),
    "latency_p95": Ask("latency_p95_ms", MS, None, "load"),
    "latency_p99": Ask("latency_p99_ms", MS, None, "load"),
    "load_errors": Ask("load_errors", COUNT, 0, "load", "request", "not answered as it should be"),
    "memory": Ask("memory_growth_mb", MB, 50.0, "load", starts=True),
    "cold_start": Ask("cold_start_ms", MS, None, "load", starts=True),
    "stop": Ask("stop_ms", MS, 10_000.0, "load", starts=True),
}  # fmt: skip

GROUPS: dict[str, tuple[str, ...]] = {
    "errors": tuple(CASES),
    "load": ("latency_p50", "latency_p95", "latency_p99", "load_errors", "memory"),
}
"""Words that stand for several asks."""

QUANTILES = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}
WORDS = ["parity", "errors", "readiness", "load", "cold_start", "stop", "version",
         *CASES, *GROUPS["load"]]  # fmt: skip
EVERY = ("parity", "readiness", "errors", "load", "cold_start", "stop")


def asks_of(words: Sequence[str]) -> list[str]:
    """The asks that words of a suite stand for, each once.

    >>> asks_of(["parity", "load"])[:3]
    ['parity', 'latency_p50', 'latency_p95']
    """
    named = EVERY if list(words) == [ALL] else words
    return list(dict.fromkeys(ask for word in named for ask in GROUPS.get(word, (word,))))


def limit_of(ask: str, words: Sequence[str], limits: dict[str, float]) -> float | None:
    """The limit of an ask among those that a test names; None where it has none.

    Where `load` is asked for as a whole, `max_ms` is the limit of its 95 % latency; else it is of
    each ask that is in milliseconds and named.
    """
    own = ASKS[ask]
    if own.condition != MS:
        return limits.get(own.condition, own.default)
    named = ask in words or (ask == "latency_p95" and not any(word in QUANTILES for word in words))
    return limits.get(MS, own.default) if named else own.default
