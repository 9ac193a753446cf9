"""The area between two samples: scikit-learn's value, DeLong's error, and how often it holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from engine.statistics.two_sample_area import FEWEST_UNITS, area_between


def alone(*samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A unit for each row."""
    first, second = samples
    return np.arange(len(first)), np.arange(len(first), len(first) + len(second))


@pytest.mark.parametrize("seed", range(5))
def test_value_and_error_are_those_of_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.4, 1, 37).round(1), rng.normal(size=23).round(1)
    area = area_between(first, second, alone(first, second))
    labels = np.repeat([1, 0], [37, 23])
    by_sklearn = roc_auc_score(labels, np.concatenate([first, second]))
    assert area.value == pytest.approx(by_sklearn, abs=1e-12)
    wins = np.array([[(a > b) + (a == b) / 2 for b in second] for a in first])
    parts = [np.var(wins.mean(axis=axis), ddof=1) / n for axis, n in ((1, 37), (0, 23))]
    assert area.se == pytest.approx(np.sqrt(sum(parts)), rel=1e-12)
    # The degrees of freedom of Brunner and Munzel, of whose test scipy tells the p-value.
    p = stats.brunnermunzel(second, first, alternative="less").pvalue
    assert stats.t.sf((area.value - 0.5) / area.se, area.df) == pytest.approx(p, rel=1e-9)


def test_units_in_both_samples_make_the_difference_surer() -> None:
    rng = np.random.default_rng(3)
    of_unit = rng.normal(size=400)
    first, second = (of_unit + 0.1 * rng.normal(size=400) for _ in range(2))
    pairs = np.arange(400)
    together, apart = (
        area_between(first, second, units) for units in ((pairs, pairs), alone(first, second))
    )
    assert together.value == apart.value
    assert together.se < apart.se / 3
    draws = []
    for _ in range(200):
        of_unit = rng.normal(size=400)
        draws.append(
            area_between(*(of_unit + 0.1 * rng.normal(size=400) for _ in range(2)),
                         (pairs, pairs)).value
        )  # fmt: skip
    assert together.se == pytest.approx(np.std(draws), rel=0.2)


@pytest.mark.parametrize("clusters", [0, 40])
@pytest.mark.parametrize("moved", [0.0, 0.5])
def test_intervals_hold_the_truth(clusters: int, moved: float) -> None:
    rng, held, count = np.random.default_rng(4), 0, 300
    truth = stats.norm.cdf(moved / np.sqrt(2))
    for _ in range(count):
        samples, units = [], []
        for side, shift in enumerate((moved, 0.0)):
            place = np.arange(300) % clusters if clusters else np.arange(300)
            of_cluster = rng.normal(size=clusters or 300)[place]
            rows = np.sqrt(0.5) * (of_cluster + rng.normal(size=300)) + shift
            samples.append(rows)
            units.append(place + 1000 * side)
        spread = area_between(*samples, (units[0], units[1])).spread()
        assert spread is not None
        low, high = (float(end[0]) for end in spread.interval(0.95))
        held += low <= truth <= high
    assert 0.92 <= held / count <= 0.985


def test_what_says_little_has_a_wide_interval_or_none() -> None:
    rows = np.arange(20.0)
    apart = area_between(rows + 100, rows, alone(rows, rows))
    assert apart.value == 1.0
    spread = apart.spread()
    assert spread is not None
    low, high = (float(end[0]) for end in spread.interval(0.95))
    # As of 20 hits of 20.
    assert 0.8 < low < 0.9 and high == 1.0
    same = area_between(rows * 0, rows * 0, alone(rows, rows))
    assert same.value == 0.5 and same.spread() is not None
    # The error of ranks of rows of one population (Mann and Whitney).
    assert same.se == pytest.approx(np.sqrt(41 / (12 * 400)))
    few = np.arange(20) % (FEWEST_UNITS - 1)
    assert area_between(rows, rows + 1, (few, few + 100)).spread() is None
    one = np.zeros(20, int)
    assert np.isnan(area_between(rows, rows + 1, (one, one + 1)).se)
