"""Arrays of estimates have the intervals and tails of each by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics import (
    Mapped,
    Moved,
    PairedShare,
    QuantileOf,
    Several,
    Share,
    Spread,
    StudentT,
    jackknives,
    two_sided_p,
)
from engine.statistics.effective_size import Outcome, degrees_of_freedom, worth

LIMITS = (-1.2, -0.03, 0.0, 0.02, 0.4, 0.97, 1.0)
DF = np.array([math.inf, 3.0, 19.0, math.inf])
SPREADS: dict[str, Spread] = {
    "mean": StudentT(np.array([0.0, 0.4, -2.0, 0.9]), np.array([0.1, 0.0, 3.0, 0.01]), DF),
    "between bounds": StudentT(
        np.array([0.1, 0.4, 0.999, 0.5]), np.array([0.1, 0.01, 0.3, 0.0]), DF, (0.0, 1.0)
    ),
    "above 0": StudentT(np.array([0.1, 4.0]), np.array([0.1, 0.5]), 12.0, (0.0, math.inf)),
    "share": Share(np.array([0.0, 7.0, 30.5, 12.0]), np.array([9.0, 7.0, 40.0, 4e4]), DF),
    "pairs": PairedShare(
        np.array([0.0, 7.0, 0.0, 80.0]),
        np.array([0.0, 2.0, 30.0, 61.0]),
        np.array([50.0, 9.0, 30.0, 1e5]),
        DF,
    ),
    "mapped": Mapped(Share(np.array([1.0, 5.0]), np.array([4.0, 9.0])), lambda x: 1 - x,
                     lambda x: 1 - x, rising=False),
    "moved": Moved(Share(np.array([1.0, 5.0]), np.array([4.0, 9.0])), np.array([-1.0, 0.2]), 2.0),
}  # fmt: skip


def close(found: object, expected: object) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", list(SPREADS))
def test_many_estimates_are_as_each_by_itself(name: str) -> None:
    many = SPREADS[name]
    low, high = many.interval(0.9)
    for at in range(len(low)):
        one = many.at(at)
        assert one is not None
        close((low[at], high[at]), one.interval(0.9))
        for limit in LIMITS:
            close(many.p_below(limit)[at], one.p_below(limit))
            close(many.p_above(limit)[at], one.p_above(limit))
            close(many.errors_to(limit)[at], one.errors_to(limit))
            assert isinstance(one.p_below(limit), float)


def test_kinds_stand_at_their_places_and_what_is_not_known_is_nan() -> None:
    share = Share(np.array([3.0, 5.0]), np.array([9.0, 6.0]))
    mean = StudentT(np.array([0.5]), np.array([0.1]), 9.0)
    values = np.array([0.1, 0.2, 0.7])
    quantile = QuantileOf(Share(1.5, 3.0), values, values, np.array([0.3, 0.6, 1.0]))
    parts = ((np.array([3, 0]), share), (np.array([1]), mean), (np.array([4]), quantile))
    several = Several(5, parts)
    assert several.is_known.tolist() == [True, True, False, True, True]
    expected = [share.at(1), mean.at(0), None, share.at(0), quantile]
    limits = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    low, high = several.interval(0.95)
    below, above, both = several.p_below(limits), several.p_above(0.3), two_sided_p(several, 0.3)
    for at, one in enumerate(expected):
        figures = [low[at], high[at], below[at], above[at], both[at]]
        if one is None:
            assert several.at(at) is None and np.isnan(figures).all()
            continue
        ends, found = one.interval(0.95), several.at(at)
        close(figures[:2], ends)
        close(figures[2:], [one.p_below(limits[at]), one.p_above(0.3), two_sided_p(one, 0.3)])
        assert found is not None and found.interval(0.95) == ends


@given(st.integers(0, 2**32 - 1))
def test_jackknives_are_the_jackknife_of_each(seed: int) -> None:
    random = np.random.default_rng(seed)
    replicates = random.normal(size=(6, 9))
    sizes = np.maximum(random.integers(-2, 9, (6, 8)), 0).astype(float)
    replicates[0, 0], replicates[1, 3], sizes[1, 2], sizes[2] = np.nan, np.inf, 0.0, 0.0
    found = jackknives(replicates, sizes)
    for at in range(6):
        one = jackknives(replicates[at : at + 1], sizes[at : at + 1])
        if np.isnan(one.se[0]):
            assert np.isnan(found.se[at]) and np.isnan(found.df[at])
        else:
            close((found.se[at], found.df[at]), (one.se[0], one.df[0]))


def test_worth_of_many_shares_is_that_of_each() -> None:
    hits, misses = np.array([3.0, 0.0, 0.0]), np.array([5.0, 4.0, 0.0])
    squares = (np.array([4.0, 0.0, 0.0]), np.array([7.0, 9.0, 0.0]))

    def outcomes(at: object) -> list[Outcome]:
        return [
            Outcome(hits[at], squares[0][at], 0.625),  # type: ignore[index]
            Outcome(misses[at], squares[1][at], 0.375),  # type: ignore[index]
        ]

    every = slice(None)
    for at in range(3):
        close(worth(outcomes(every))[at], worth(outcomes(at)))
        mean = 1.1
        close(
            degrees_of_freedom(outcomes(every), mean)[at],
            degrees_of_freedom(outcomes(at), mean) if hits[at] + misses[at] else math.inf,
        )
