"""Oracles of the metrics between two versions, and tests of them on rows of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.core.vocabulary import RowCounts
from engine.metrics import METRICS, SliceStates, spread_of
from engine.states import BUCKETS, Pair, PairFamily, decode
from tests.fixtures.mid_p import mid_p_interval

Rows = Any
Oracle = Callable[[Rows, Rows], float | str]


def share(of_row: Callable[[Rows, Rows], np.ndarray]) -> Oracle:
    """The weighted share of rows for which something holds of candidate and baseline."""
    return lambda rows, base: float(np.average(of_row(rows, base), weights=rows.weight))


def psi(rows: Rows, base: Rows) -> float:
    """By the inverted distribution function of the baseline's scores, as numpy has it."""
    ours, theirs = (each.scores[:, each.positive] for each in (rows, base))
    tenths = np.arange(1, 10) / 10
    edges = np.unique(np.quantile(theirs, tenths, weights=rows.weight, method="inverted_cdf"))
    edges = edges[edges < theirs.max()]
    total = 0.0
    for low, high in zip((-np.inf, *edges), (*edges, np.inf), strict=True):
        c, b = (
            max(float(np.average((low < each) & (each <= high), weights=rows.weight)), 1e-4)
            for each in (ours, theirs)
        )
        total += (c - b) * np.log(c / b)
    return total


ORACLES: dict[str, Oracle] = {
    "flip_rate": share(lambda rows, base: rows.predicted != base.predicted),
    "agreement": share(lambda rows, base: rows.predicted == base.predicted),
    "regressions": share(
        lambda rows, base: (rows.predicted != rows.truth) & (base.predicted == rows.truth)
    ),
    "improvements": share(
        lambda rows, base: (rows.predicted == rows.truth) & (base.predicted != rows.truth)
    ),
    "flips_to_positive": share(
        lambda rows, base: (rows.predicted == rows.positive) & (base.predicted != rows.positive)
    ),
    "flips_to_negative": share(
        lambda rows, base: (rows.predicted != rows.positive) & (base.predicted == rows.positive)
    ),
    "score_psi": psi,
}
SHARES = tuple(name for name in ORACLES if name != "score_psi")
PATTERNS: dict[str, Callable[..., float | str]] = {}


def states_of(name: str, rows: Rows, base: Rows) -> SliceStates:
    """The states that a metric between two versions needs, sent as bytes."""
    metric, problem = METRICS.get(name), rows.problem
    pair = Pair(base.scored(), rows.scored())
    groups = np.zeros(len(rows), np.int64)

    def sent(family: Any, batch: Any) -> Any:
        return decode(family.of(batch, groups, 1).take(0).encode())

    counts = RowCounts(len(rows), float(rows.weight.sum()))
    of_baseline = metric.of_baseline(problem) if metric.of_baseline else ()
    theirs = {each.key: sent(each, pair.baseline) for each in of_baseline}
    ours = {
        each.key: sent(each, pair if isinstance(each, PairFamily) else pair.candidate)
        for each in metric.families(problem, compared=True)
    }
    buckets = np.bincount(rows.bucket, minlength=BUCKETS).astype(float)
    baseline = SliceStates(counts, theirs, buckets=buckets)
    return SliceStates(counts, ours, buckets=buckets, baseline=baseline)


def check(rows: Rows, base: Rows) -> None:
    some = np.flatnonzero(rows.weight > 0)
    for name, oracle in ORACLES.items():
        metric = METRICS.get(name)
        if rows.problem.task not in metric.tasks:
            continue
        measured = metric.value(rows.problem, states_of(name, rows, base))
        if len(some) == 0:
            assert measured.reason == ("zero_weight" if len(rows) else "empty"), name
            continue
        expected = oracle(rows.at(some), base.at(some))
        assert measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        assert measured.error_bound == 0.0


@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
@pytest.mark.parametrize("classes", [("no", "yes"), (0, 1, 2)], ids=str)
def test_random_rows(random_rows: Any, classes: Any, weights: str) -> None:
    for seed, n in enumerate((300, 40, 3, 1)):
        rows = random_rows(seed, n, classes=classes, weights=weights)
        base = replace(rows, scores=random_rows(seed + 50, n, classes=classes).scores)
        check(rows, base)
        check(rows, rows)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 8),
            st.integers(0, 8),
            st.sampled_from([0.0, 1.0, 2.0]),
        ),
        max_size=20,
    ),
    st.integers(0, 1),
)
def test_few_rows_with_ties(rows_from: Any, drawn: list[Any], positive: int) -> None:
    truth, ours, theirs, weight = np.array(drawn, np.float64).reshape(-1, 4).T
    rows, base = (
        rows_from(truth, each / 8, classes=(0, 1), weight=weight, positive=positive)
        for each in (ours, theirs)
    )
    check(rows, base)


def test_a_version_against_itself_has_no_change(random_rows: Any) -> None:
    rows = random_rows(0, 100, classes=(0, 1))
    of = {
        name: METRICS.get(name).value(rows.problem, states_of(name, rows, rows)).value
        for name in ORACLES
    }
    assert of == {
        "flip_rate": 0.0,
        "agreement": 1.0,
        "regressions": 0.0,
        "improvements": 0.0,
        "flips_to_positive": 0.0,
        "flips_to_negative": 0.0,
        "score_psi": 0.0,
    }


@pytest.mark.parametrize("positive", [0, 1])
def test_flips_in_both_directions_are_all_flips(random_rows: Any, positive: int) -> None:
    rows = random_rows(3, 200, classes=("no", "yes"), weights="random", positive=positive)
    base = replace(rows, scores=random_rows(9, 200, classes=("no", "yes")).scores)
    up, down, both = (
        METRICS.get(name).value(rows.problem, states_of(name, rows, base)).value
        for name in ("neg_to_pos", "pos_to_neg", "flip_rate")
    )
    assert min(up, down) > 0
    assert up + down == pytest.approx(both)


def test_flips_have_the_interval_of_a_share(random_rows: Any) -> None:
    rows = random_rows(3, 200, classes=("no", "yes"))
    base = replace(rows, scores=random_rows(9, 200, classes=("no", "yes")).scores)
    for name in ("flips_to_positive", "flips_to_negative"):
        spread = spread_of(METRICS.get(name), rows.problem, states_of(name, rows, base))
        flips = round(ORACLES[name](rows, base) * 200)
        assert spread.interval(0.95) == pytest.approx(mid_p_interval(flips, 200))


def test_an_empty_bin_costs_the_least_share(rows_from: Any) -> None:
    base = rows_from(np.arange(100) % 2, np.arange(100) / 100, classes=(0, 1))
    rows = rows_from(np.arange(100) % 2, np.full(100, 0.999), classes=(0, 1))
    value = METRICS.get("score_psi").value(rows.problem, states_of("score_psi", rows, base)).value
    expected = 9 * (1e-4 - 0.1) * np.log(1e-4 / 0.1) + 0.9 * np.log(1 / 0.1)
    assert value == pytest.approx(expected)


@pytest.mark.parametrize("weights", ["none", "random"])
def test_a_replicate_is_the_share_without_its_bucket(random_rows: Any, weights: str) -> None:
    rows = random_rows(1, 150, classes=(0, 1), weights=weights)
    base = replace(rows, scores=random_rows(9, 150, classes=(0, 1)).scores)
    for name in SHARES:
        states = states_of(name, rows, base)
        replicates = METRICS.get(name).figures(rows.problem, states).replicates[0]
        for b in (0, 9, 19):
            kept = np.flatnonzero(rows.bucket != b)
            expected = ORACLES[name](rows.at(kept), base.at(kept))
            assert replicates[1 + b] == pytest.approx(expected, rel=1e-9)


def test_shares_have_the_binomials_interval_and_the_index_the_jackknifes(random_rows: Any) -> None:
    rows = random_rows(1, 400, classes=(0, 1))
    base = replace(rows, scores=random_rows(9, 400, classes=(0, 1)).scores)
    for name, oracle in ORACLES.items():
        spread = spread_of(METRICS.get(name), rows.problem, states_of(name, rows, base))
        assert spread is not None
        low, high = spread.interval(0.95)
        assert low < oracle(rows, base) < high, name
        assert high - low < 1.0


@settings(max_examples=40)
@example(515, 3, True, False)  # two tenths in one step
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans(), st.booleans())
def test_the_index_beyond_the_cap_is_within_its_bound(
    rows_from: Any, seed: int, bits: int, weighted: bool, tied: bool
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 300))
    weight = rng.random(n) if weighted else None
    theirs = rng.random(n) ** 2
    ours = np.clip(theirs + rng.normal(0, 0.1, n), 0, 1)
    if tied:
        # One of the two is exact.
        theirs = np.round(theirs * 3) / 3
    truth = rng.integers(0, 2, n)
    rows, base = (rows_from(truth, s, classes=(0, 1), weight=weight) for s in (ours, theirs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        measured = METRICS.get("score_psi").value(rows.problem, states_of("score_psi", rows, base))
    assert measured.error_bound >= 0
    assert abs(measured.value - psi(rows, base)) <= measured.error_bound + 1e-9
