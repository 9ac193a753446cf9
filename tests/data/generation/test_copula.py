"""The copula's arithmetic against integrals, simulation and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal, norm

from engine.data.generation.copula import (
    GREATEST,
    continuous,
    hermite,
    latent_correlations,
    level_scores,
    pairwise_correlations,
    root_of,
)


def cut(normals: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The scores of the levels that normal numbers fall into."""
    places = np.searchsorted(ndtri(np.cumsum(shares)[:-1]), normals, side="right")
    return level_scores(shares)[places]


def test_scores_of_levels_are_normal_quantiles_of_their_midranks() -> None:
    shares = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(level_scores(shares), ndtri([0.1, 0.45, 0.85]))


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
def test_the_first_coefficient_is_the_attenuation_of_a_binary_column(share: float) -> None:
    shares = np.array([1 - share, share])
    cutoff = ndtri(1 - share)
    wanted = norm.pdf(cutoff) / np.sqrt(share * (1 - share))
    own = hermite(shares, level_scores(shares))
    assert own[0] == pytest.approx(wanted, rel=1e-9)
    # What was measured elsewhere of a latent .6 against a continuous column: .48, .35, .21 (.29).
    assert 0.6 * own[0] == pytest.approx({0.5: 0.48, 0.1: 0.35, 0.02: 0.21}[share], abs=0.01)


def test_coefficients_are_those_of_the_integral() -> None:
    shares = np.array([0.15, 0.25, 0.4, 0.2])
    scores = level_scores(shares)
    cuts = ndtri(np.cumsum(shares)[:-1])
    spread = np.sqrt(shares @ (scores - shares @ scores) ** 2)
    polynomials = [
        lambda z: z,
        lambda z: (z**2 - 1) / np.sqrt(2),
        lambda z: (z**3 - 3 * z) / np.sqrt(6),
    ]
    own = hermite(shares, scores)
    for place, polynomial in enumerate(polynomials):
        edges = [-12, *cuts, 12]
        parts = [
            score * quad(lambda z, of=polynomial: of(z) * norm.pdf(z), low, high)[0]
            for score, low, high in zip(scores, edges[:-1], edges[1:], strict=True)
        ]
        assert own[place] == pytest.approx(sum(parts) / spread, abs=1e-7)
    assert own @ own == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.2, 0.7, 0.95])
def test_what_two_binary_columns_show_leads_back_to_what_is_behind_them(rho: float) -> None:
    shares = np.array([0.7, 0.3]), np.array([0.9, 0.1])
    cuts = [ndtri(part[0]) for part in shares]
    both = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf(cuts)
    product = both - shares[0][0] * shares[1][0]
    shown = product / np.sqrt(np.prod([part[0] * part[1] for part in shares]))
    measured = np.array([[1, shown], [shown, 1]])
    own = np.stack([hermite(part, level_scores(part)) for part in shares])
    # The rarer the level the more terms a strong correlation needs.
    assert latent_correlations(measured, own)[0, 1] == pytest.approx(rho, abs=0.02)


def test_continuous_columns_stay_as_they_are_and_what_cannot_be_is_the_nearest() -> None:
    measured = np.array([[1, 0.4, 0.9], [0.4, 1, -0.2], [0.9, -0.2, 1]])
    shares = np.array([0.98, 0.02])
    own = np.stack([continuous(), continuous(), hermite(shares, level_scores(shares))])
    latent = latent_correlations(measured, own)
    assert latent[0, 1] == pytest.approx(0.4, abs=1e-8)
    assert latent[0, 2] == pytest.approx(GREATEST, abs=1e-8)


def test_simulated_columns_have_the_correlation_that_was_asked_for() -> None:
    rng = np.random.default_rng(3)
    shares = np.array([0.25, 0.45, 0.3]), np.array([0.6, 0.4])
    first, second = rng.multivariate_normal([0, 0], [[1, 0.65], [0.65, 1]], 200_000).T
    measured = np.corrcoef(cut(first, shares[0]), cut(second, shares[1]))
    own = np.stack([hermite(part, level_scores(part)) for part in shares])
    assert latent_correlations(measured, own)[0, 1] == pytest.approx(0.65, abs=0.01)


def test_correlations_are_of_the_rows_in_which_both_columns_have_a_value() -> None:
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3))
    np.testing.assert_allclose(pairwise_correlations(columns), np.corrcoef(columns.T), atol=1e-12)
    columns[rng.random((500, 3)) < 0.3] = np.nan
    own = pairwise_correlations(columns)
    there = np.isfinite(columns[:, 0]) & np.isfinite(columns[:, 2])
    wanted = np.corrcoef(columns[there, 0], columns[there, 2])[0, 1]
    assert own[0, 2] == pytest.approx(wanted, abs=1e-12)


def test_columns_that_do_not_vary_or_never_meet_are_uncorrelated() -> None:
    columns = np.array(
        [[1.0, 2.0, np.nan], [1.0, 3.0, np.nan], [1.0, 4.0, np.nan], [1.0, np.nan, 5.0]]
    )
    np.testing.assert_array_equal(pairwise_correlations(columns), np.eye(3))


def test_correlations_that_go_together_stay_and_others_become_such() -> None:
    good = np.array([[1, 0.5, 0.2], [0.5, 1, 0.3], [0.2, 0.3, 1]])
    np.testing.assert_allclose(root_of(good) @ root_of(good).T, good, atol=1e-12)
    bad = np.array([[1, 0.9, 0.9], [0.9, 1, -0.9], [0.9, -0.9, 1]])
    mended = root_of(bad) @ root_of(bad).T
    np.testing.assert_allclose(np.diag(mended), 1, atol=1e-9)
    assert np.linalg.eigvalsh(mended)[0] > 0
    assert mended[0, 1] > 0.3 and mended[1, 2] < -0.3


def test_ndtr_of_the_scores_is_where_a_level_lies() -> None:
    shares = np.array([0.5, 0.5])
    np.testing.assert_allclose(ndtr(level_scores(shares)), [0.25, 0.75])
