"""How many rows a weighted share is worth: by hand, row by row, and against what really spreads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics.effective_size import LEAST_DF, Outcome, degrees_of_freedom, kish, worth

WEIGHTS = st.lists(st.floats(0.1, 10), min_size=1, max_size=30)


def outcomes_of(hits: list[float], misses: list[float]) -> list[Outcome]:
    share = sum(hits) / (sum(hits) + sum(misses))
    return [
        Outcome(sum(hits), sum(w * w for w in hits), 1 - share),
        Outcome(sum(misses), sum(w * w for w in misses), share),
    ]


@given(WEIGHTS, WEIGHTS)
def test_a_share_is_worth_the_rows_whose_binomial_variance_it_has(
    hits: list[float], misses: list[float]
) -> None:
    weight = np.array(hits + misses)
    hit = np.repeat([1.0, 0.0], [len(hits), len(misses)])
    share = weight @ hit / weight.sum()
    variance = (weight**2 * (hit - share) ** 2).sum() / weight.sum() ** 2
    rows = worth(outcomes_of(hits, misses))
    assert rows == pytest.approx(share * (1 - share) / variance)


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0.01, 100))
def test_rows_of_equal_weight_are_worth_themselves_for_certain(
    hits: int, misses: int, weight: float
) -> None:
    of = outcomes_of([weight] * hits, [weight] * misses)
    assert worth(of) == pytest.approx(hits + misses)
    assert degrees_of_freedom(of, weight) == math.inf


@given(WEIGHTS)
def test_where_nothing_spreads_the_rows_are_worth_what_kish_says(weights: list[float]) -> None:
    weight = np.array(weights)
    expected = weight.sum() ** 2 / (weight**2).sum()
    assert kish(weight.sum(), float((weight**2).sum())) == pytest.approx(expected)
    for of in (outcomes_of(weights, []), outcomes_of([], weights)):
        assert worth(of) == pytest.approx(expected)
        assert degrees_of_freedom(of, float(weight.mean())) == math.inf


def test_of_nothing_there_are_no_rows() -> None:
    assert kish(0.0, 0.0) == 0
    assert worth([Outcome(0.0, 0.0, 0.5), Outcome(0.0, 0.0, 0.5)]) == 0


def test_degrees_of_freedom_are_those_of_the_outcome_that_spreads_most() -> None:
    rng = np.random.default_rng(1)
    few, many = (np.exp(rng.standard_normal(n)).tolist() for n in (12, 4000))
    df = degrees_of_freedom(outcomes_of(few, many), float(np.mean(few + many)))
    effective = sum(few) ** 2 / sum(w * w for w in few)
    # Nearly all of the variance is that of the few hits.
    assert df == pytest.approx(effective, rel=0.05)
    assert degrees_of_freedom(outcomes_of(few[:1], many), float(np.mean(many))) == LEAST_DF


def test_weights_that_say_something_of_the_outcome_are_not_kishs() -> None:
    """Heavy rows that are hits for sure spread less than Kish says, light ones more."""
    of = outcomes_of([4.0] * 50, [1.0] * 50)
    assert kish(250.0, 850.0) == pytest.approx(73.5, abs=0.1)
    assert worth(of) == pytest.approx(156.25)
    assert worth(outcomes_of([4.0] * 5, [1.0] * 95)) == pytest.approx(33.06, abs=0.01)


@pytest.mark.parametrize("heavy", [1.0, 4.0])
def test_the_rows_foretell_how_much_shares_spread(heavy: float) -> None:
    rng = np.random.default_rng(2)
    hit = rng.random((4000, 300)) < 0.3
    weight = np.where(hit, heavy, 1.0) * np.exp(0.4 * rng.standard_normal(hit.shape))
    shares = (weight * hit).sum(1) / weight.sum(1)
    rows = [
        worth(outcomes_of(w[h].tolist(), w[~h].tolist())) for w, h in zip(weight, hit, strict=True)
    ]
    expected = np.mean(shares * (1 - shares) / np.array(rows))
    assert np.var(shares) == pytest.approx(expected, rel=0.08)
