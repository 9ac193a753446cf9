"""From what a probe of an endpoint found to figures with intervals, and the words for them."""

from __future__ import annotations

import math

import numpy as np

from engine.core.vocabulary import MetricValue, Numbers
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.endpoint.asks import ASKS, QUANTILES
from engine.kinds.endpoint.parity import NO_JSON, OTHER, REFUSED, WAYS
from engine.statistics import QuantileOf, Share, Spread

NAMED = 5
# A request that begins so much later than it was due, milliseconds, is a burden of this machine.
_LATE = 50.0

Estimated = tuple[MetricValue, Spread | None]


def estimate_ask(ask: str, answer: Numbers, level: float) -> Estimated:
    """The figure of an ask, and how sure it is."""
    own = ASKS[ask]
    if own.probe == "load":
        return _of_load(ask, answer, level)
    count, tried = answer.get(BREACHES), int(answer.get(TRIED) or 0)
    if count is None:
        return MetricValue(None, _why_unknown(own.probe, answer)), None
    detail = _parity_text(count, tried, answer) if ask == "parity" else _breach_text(
        ask, count, tried, answer
    )  # fmt: skip
    return MetricValue(count, detail=detail, numbers={TRIED: float(tried)}), None


def _why_unknown(probe: str, answer: Numbers) -> str:
    if probe == "version":
        if answer.get("told"):
            return "the baseline is no registered version, so none is expected"
        return "the server does not tell which version of the model answers"
    if probe == "parity":
        return "there is no model without a server beside it: the baseline is to be one"
    return "no row of the sample is answered as by the model without a server"


def _parity_text(count: float, tried: int, answer: Numbers) -> str:
    told = f"{int(count):,} of {tried:,} rows answered otherwise than by the model without a server"
    parts = []
    for way in WAYS:
        asked = answer.get(f"asked|{way}")
        if asked is None:
            continue
        broken = [
            f"{int(number):,} {outcome}"
            for outcome in (OTHER, REFUSED, NO_JSON)
            if (number := answer.get(f"{outcome}|{way}"))
        ]
        parts.append(f"{way} {int(asked):,}" + (f" ({', '.join(broken)})" if broken else ""))
    return f"{told}; asked {', '.join(parts)}"


def _breach_text(ask: str, count: float, tried: int, answer: Numbers) -> str:
    own = ASKS[ask]
    if not tried:
        return "no input of the model can have such a value"
    plural = "" if tried == 1 else "s"
    told = f"{int(count):,} of {tried:,} {own.unit}{plural} {own.broken}"
    named = [name.split("|", 2) for name in answer if name.count("|") >= 2]
    texts = [f"{what} in {column!r} is {outcome}" if column else f"{what} is {outcome}"
             for outcome, what, column in named]  # fmt: skip
    if own.probe == "readiness":
        texts = [outcome for outcome, _, _ in named]
    if texts:
        more = len(texts) - NAMED
        told += ": " + ", ".join(texts[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
    if answer.get("no offline model"):
        told += "; answers are held against none, since the baseline is no model without a server"
    return told


def _of_load(ask: str, answer: Numbers, level: float) -> Estimated:
    count = int(answer.get("requests") or 0)
    if ask in QUANTILES:
        return _of_latencies(QUANTILES[ask], answer, level, _load_text(answer))
    if ask == "load_errors":
        named = [f"{int(number or 0):,} {name.partition('|')[2]}"
                 for name, number in answer.items() if name.startswith("error|")]  # fmt: skip
        wrong = answer.get("errors") or 0.0
        told = f"{int(wrong):,} of {count:,} requests not answered as they should be"
        if named:
            told += f": {', '.join(named)}"
        return MetricValue(wrong, detail=f"{told}; {_load_text(answer)}"), None
    return _of_life(ask, answer), None


def _of_life(ask: str, answer: Numbers) -> MetricValue:
    """What is known of a server that was started: memory, cold start, stop."""
    if "cold" not in answer:
        return MetricValue(None, "nothing is known of a server that the test did not start")
    if ask == "memory":
        before, after = answer.get("memory before"), answer.get("memory after")
        if before is None or after is None:
            return MetricValue(None, "the system does not tell")
        told = (
            f"{before:,.0f} MB before and {after:,.0f} MB after the load, at most "
            f"{answer.get('memory peak') or after:,.0f} MB; {_load_text(answer)}"
        )
        return MetricValue(max(after - before, 0.0), detail=told)
    if ask == "cold_start":
        told = "from the start of the command to the first answer for a real row, once"
        return MetricValue(answer["cold"], detail=told)
    killed = bool(answer.get("killed"))
    told = "from SIGTERM to the end of its last process, once"
    return MetricValue(answer["stop"], detail=f"{told}; it had to be killed" if killed else told)


def _load_text(answer: Numbers) -> str:
    requests, rows = int(answer.get("requests") or 0), int(answer.get("rows") or 0)
    tool = "vegeta" if answer.get("vegeta") else "evalmatrix, as vegeta is not installed"
    told = f"{requests:,} requests of {rows:,} rows in all, sent by {tool}"
    late = answer.get("late") or 0.0
    if late > _LATE:
        told += f"; some began {late:,.0f} ms late, which counts as latency"
    return told


def _of_latencies(share: float, answer: Numbers, level: float, told: str) -> Estimated:
    """A quantile of the latencies, with the interval of its order statistics."""
    times = [value for name, value in answer.items() if name.startswith("call ") and value]
    values = np.sort(np.array(times))
    count = len(values)
    if not count:
        return MetricValue(None, "no request was sent"), None
    spread = QuantileOf(
        Share(share * count, float(count)), values, values, np.arange(1, count + 1) / count
    )
    low, high = (float(end) for end in spread.interval(level))
    value = float(np.quantile(values, share, method="inverted_cdf"))
    return (
        MetricValue(
            value,
            ci_low=low if math.isfinite(low) and low > 0 else None,
            ci_high=high if math.isfinite(high) else None,
            detail=f"latency from the time when a request was due; {told}",
        ),
        spread,
    )
