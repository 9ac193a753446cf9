"""Metrics of predicted values against scikit-learn, NumPy and plain arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import engine.states.score_histogram as ranking
from engine.errors import InputError
from engine.metrics import METRICS, Sampling, SliceStates, spread_of
from engine.metrics.deviances import BELOW_ONE, POWER

Rows = Any
Oracle = Callable[[Rows], float | str]


def plain(function: Callable[..., float]) -> Oracle:
    return lambda rows: function(rows.truth, rows.scores, sample_weight=rows.weight)


def unless_constant(function: Callable[..., float]) -> Oracle:
    def oracle(rows: Rows) -> float | str:
        if len(set(rows.truth)) < 2:
            return "constant"
        return plain(function)(rows)

    return oracle


def averaged(loss: Callable[[Any, Any], Any]) -> Oracle:
    """The weighted mean of a number of each row, one row after the other."""

    def oracle(rows: Rows) -> float:
        columns = zip(rows.truth, rows.scores, rows.weight, strict=True)
        return math.fsum(loss(t, s) * w for t, s, w in columns) / math.fsum(rows.weight)

    return oracle


def quantile(rows: Rows, q: str) -> float:
    """The definition, in fractions: the mean of the first value up to which there are at least a
    share q of the weight, and of the first up to which there are more."""
    if rows.unweighted:
        errors = np.abs(rows.truth - rows.scores)
        return float(np.quantile(errors, float(q), method="averaged_inverted_cdf"))
    columns = zip(rows.truth, rows.scores, rows.weight, strict=True)
    errors = sorted((abs(t - s), w) for t, s, w in columns)
    wanted = Fraction(q) * sum(Fraction(w) for _, w in errors)
    slack = wanted / 10**9
    up_to, found = Fraction(0), []
    for error, weight in errors:
        up_to += Fraction(weight)
        if not found and up_to >= wanted - slack:
            found.append(error)
        if up_to > wanted + slack:
            return (found[0] + error) / 2
    raise AssertionError


def median(rows: Rows) -> float:
    return plain(sk.median_absolute_error)(rows) if rows.unweighted else quantile(rows, "0.5")


def logs(function: Callable[..., float]) -> Oracle:
    def oracle(rows: Rows) -> float | str:
        if (rows.truth <= -1).any() or (rows.scores <= -1).any():
            return "negative"
        return plain(function)(rows)

    return oracle


def tweedie(rows: Rows, power: str) -> float | str:
    try:
        return sk.mean_tweedie_deviance(
            rows.truth, rows.scores, sample_weight=rows.weight, power=float(power)
        )
    except ValueError:
        return "negative"


def d2_tweedie(rows: Rows, power: str) -> float | str:
    number = float(power)
    mean = np.average(rows.truth, weights=rows.weight)
    if tweedie(rows, power) == "negative" or (number < 0 and mean <= 0):
        return "negative"
    if len(set(rows.truth)) < 2:
        return "constant"
    return sk.d2_tweedie_score(rows.truth, rows.scores, sample_weight=rows.weight, power=number)


def pinball(rows: Rows, alpha: str) -> float:
    return sk.mean_pinball_loss(
        rows.truth, rows.scores, sample_weight=rows.weight, alpha=float(alpha)
    )


def d2_pinball(rows: Rows, alpha: str) -> float | str:
    return unless_constant(partial(sk.d2_pinball_score, alpha=float(alpha)))(rows)


def pearson(rows: Rows) -> float | str:
    if len(set(rows.truth)) < 2 or len(set(rows.scores)) < 2:
        return "constant"
    covariance = np.cov(rows.truth, rows.scores, aweights=rows.weight, ddof=0)
    return covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])


def wape(rows: Rows) -> float | str:
    size = math.fsum(np.abs(rows.truth) * rows.weight)
    if size == 0:
        return "zero_targets"
    return math.fsum(np.abs(rows.truth - rows.scores) * rows.weight) / size


def differences(numbers: Any) -> Any:
    return np.sign(numbers[:, None] - numbers[None, :])


def spearman(rows: Rows) -> float | str:
    """SciPy's; with weights the correlation of mid-ranks, each by its definition."""
    if len(set(rows.truth)) < 2 or len(set(rows.scores)) < 2:
        return "constant"
    if rows.unweighted:
        return float(stats.spearmanr(rows.truth, rows.scores).statistic)
    weight = rows.weight / rows.weight.sum()
    first, second = (differences(n) @ weight for n in (rows.truth, rows.scores))
    return float(
        np.sum(weight * first * second)
        / np.sqrt(np.sum(weight * first**2) * np.sum(weight * second**2))
    )


def kendall(rows: Rows) -> float | str:
    """SciPy's; with weights that of all pairs, each with the product of its weights."""
    if len(set(rows.truth)) < 2 or len(set(rows.scores)) < 2:
        return "constant"
    if rows.unweighted:
        return float(stats.kendalltau(rows.truth, rows.scores, variant="b").statistic)
    weight = rows.weight[:, None] * rows.weight[None, :]
    first, second = differences(rows.truth), differences(rows.scores)
    return float(
        np.sum(weight * first * second)
        / np.sqrt(np.sum(weight * first**2) * np.sum(weight * second**2))
    )


ORACLES: dict[str, Oracle] = {
    "median_absolute_error": median,
    "d2_absolute_error": unless_constant(sk.d2_absolute_error_score),
    "explained_variance": unless_constant(sk.explained_variance_score),
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
    "bias": averaged(lambda t, s: s - t),
    "smape": averaged(lambda t, s: 2 * abs(t - s) / (abs(t) + abs(s)) if t or s else 0.0),
    "wape": wape,
    "mean_on_target": averaged(lambda t, s: t),
    "zero_target_share": averaged(lambda t, s: float(t == 0)),
    "mean_squared_log_error": logs(sk.mean_squared_log_error),
    "root_mean_squared_log_error": logs(sk.root_mean_squared_log_error),
    "mean_poisson_deviance": partial(tweedie, power="1"),
    "mean_gamma_deviance": partial(tweedie, power="2"),
}

PATTERNS: dict[str, Callable[..., float | str]] = {
    rf"absolute_error_quantile_(?P<q>{BELOW_ONE})": quantile,
    rf"d2_pinball(?:_score)?_(?P<alpha>{BELOW_ONE})": d2_pinball,
    rf"mean_pinball_loss_(?P<alpha>{BELOW_ONE})": pinball,
    rf"mean_tweedie_deviance_(?P<power>{POWER})": tweedie,
    rf"d2_tweedie(?:_score)?_(?P<power>{POWER})": d2_tweedie,
}

QUANTILES = ["absolute_error_quantile_0.9", "absolute_error_quantile_0.25"]
D2 = ["d2_tweedie_0", "d2_tweedie_1", "d2_tweedie_score_1.5", "d2_tweedie_2", "d2_tweedie_-1"]
DEVIANCES = [
    "mean_poisson_deviance",
    "mean_gamma_deviance",
    *(f"mean_tweedie_deviance_{power}" for power in ("-1.5", "0", "1", "1.5", "2", "3")),
]


def examples(rows: Rows) -> list[str]:
    """The metrics of this file that fit some rows.

    A deviance keeps few digits where the targets' spread is small beside their size: of these
    there is nothing to compare.
    """
    if rows.classes:
        return []
    names = [*(set(ORACLES) - set(DEVIANCES)), *QUANTILES]
    names += ["mean_pinball_loss_0.9", "d2_pinball_0.1", "d2_pinball_score_0.75"]
    sizes = np.abs(rows.truth)
    if len(rows) == 0 or sizes.max() < 1000:
        names += DEVIANCES
    if len(rows) == 0 or sizes.max() == 0 or np.ptp(rows.truth) > sizes.max() / 10:
        names += D2
    return names


def positive(rows_from: Any, seed: int, n: int = 300, *, weighted: bool = False) -> Rows:
    """Targets and predictions that all deviances exist for."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2.0, 3.0, n)
    scores = truth * rng.gamma(5.0, 0.2, n)
    weight = rng.choice([0.0, 0.5, 1.0, 2.5], n) if weighted else None
    return rows_from(truth, scores, weight=weight, bucket=rng.integers(0, 20, n))


def expected_of(name: str, rows: Rows) -> Any:
    if name in ORACLES:
        return ORACLES[name](rows)
    found = ((re.fullmatch(pattern, name), one) for pattern, one in PATTERNS.items())
    return next(one(rows, **match.groupdict()) for match, one in found if match)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_positive_targets(measure: Any, rows_from: Any, weighted: bool) -> None:
    for seed in range(3):
        rows = positive(rows_from, seed, weighted=weighted)
        some = rows.at(np.flatnonzero(rows.weight > 0))
        for name in [*ORACLES, *QUANTILES, *D2, *DEVIANCES]:
            measured = measure(name, rows)
            assert measured.value == pytest.approx(expected_of(name, some), rel=1e-9), name
            replicates = measure.replicates(name, rows)
            assert replicates[0] == measured.value, name
            for b in (0, 13):
                rest = some.at(np.flatnonzero(some.bucket != b))
                assert replicates[1 + b] == pytest.approx(expected_of(name, rest), rel=1e-9), name


@pytest.mark.parametrize(
    ("name", "truth", "score"),
    [
        ("mean_squared_log_error", -1.0, 0.0),
        ("root_mean_squared_log_error", 0.0, -1.0),
        ("mean_poisson_deviance", -0.1, 1.0),
        ("mean_poisson_deviance", 0.0, 0.0),
        ("mean_gamma_deviance", 0.0, 1.0),
        ("mean_tweedie_deviance_-1", 1.0, 0.0),
        ("mean_tweedie_deviance_1.5", -1.0, 1.0),
        ("mean_tweedie_deviance_3", 0.0, 1.0),
        ("d2_tweedie_1", 1.0, -1.0),
    ],
)
def test_one_row_out_of_its_domain(
    measure: Any, rows_from: Any, name: str, truth: float, score: float
) -> None:
    targets, scores = np.array([2.0, 3.0, truth]), np.array([1.0, 3.5, score])
    measured = measure(name, rows_from(targets, scores))
    assert (measured.value, measured.reason) == (None, "negative")
    # Without weight it is no row; without its bucket there is a value.
    assert measure(name, rows_from(targets, scores, weight=[1.0, 2.0, 0.0])).value is not None
    replicates = measure.replicates(name, rows_from(targets, scores, bucket=[0, 1, 2]))
    assert np.isnan(replicates[[0, 1, 2]]).all()
    assert np.isfinite(replicates[3])


def test_zeros_are_within_some_domains(measure: Any, rows_from: Any) -> None:
    rows = rows_from([0.0, 0.0, 4.0, 7.0], [0.5, 1.0, 3.0, 9.0])
    for name in ("mean_poisson_deviance", "mean_tweedie_deviance_1.5", "d2_tweedie_1"):
        assert measure(name, rows).value == pytest.approx(expected_of(name, rows), rel=1e-12)
    assert measure("zero_target_share", rows).value == 0.5
    none = rows_from([0.0, 0.0], [1.0, 2.0])
    assert measure("wape", none).reason == "zero_targets"
    assert measure("d2_tweedie_1", none).reason == "constant"
    assert measure("smape", rows_from([0.0, 0.0], [0.0, 3.0])).value == 1.0


def test_a_power_without_a_distribution_is_refused() -> None:
    for name in ("mean_tweedie_deviance_0.5", "d2_tweedie_0.5"):
        with pytest.raises(InputError, match="power between 0 and 1"):
            METRICS.get(name)


def test_spread_that_rounding_has_eaten_is_none(measure: Any, rows_from: Any) -> None:
    """Targets that differ by less than the deviance can tell have no deviance to explain."""
    truth = 1e9 + np.arange(10) / 1000
    rows = rows_from(truth, truth + 1)
    assert measure("d2_tweedie_1.5", rows).reason == "constant"
    assert measure("d2_tweedie_0", rows).value == pytest.approx(d2_tweedie(rows, "0"), rel=1e-4)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from(["normal", "wide", "zeros", "offset"]),
    st.sampled_from(["none", "random", "zeros"]),
)
def test_beyond_the_cap_values_are_within_their_bound(
    measure: Any, rows_from: Any, seed: int, bits: int, shape: str, weights: str
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 200))
    truth = {
        "normal": rng.normal(size=n),
        "wide": rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-100, 100, n),
        "zeros": rng.choice([0.0, 1e-310], n) + rng.choice([0.0, 1.0], n) * rng.normal(size=n),
        "offset": 100 + rng.normal(size=n),
    }[shape]
    scores = truth * rng.uniform(0.5, 1.5, n)
    weight = {"none": None, "random": rng.random(n), "zeros": rng.choice([0.0, 1.0], n)}[weights]
    rows = rows_from(truth, scores, weight=weight)
    some = rows.at(np.flatnonzero(rows.weight > 0))
    if len(set(some.truth)) < 2:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        for name in ("median_absolute_error", *QUANTILES, "d2_absolute_error", "d2_pinball_0.9"):
            expected, measured = expected_of(name, some), measure(name, rows)
            if measured.reason == "too_close":
                assert shape == "offset"
                continue
            rounding = 1e-12 * max(1.0, abs(expected))
            assert abs(measured.value - expected) <= measured.error_bound + rounding, name


def test_the_bound_is_small_and_none_while_values_are_few(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    truth = rng.normal(10.0, 3.0, n)
    rows = rows_from(truth, truth + rng.normal(size=n), weight=rng.random(n))
    for name in ("median_absolute_error", *QUANTILES):
        measured = measure(name, rows)
        assert 0 < measured.error_bound < measured.value * 2.0**-10
        assert measured.value == pytest.approx(expected_of(name, rows), abs=measured.error_bound)
    explained = measure("d2_absolute_error", rows)
    assert 0 < explained.error_bound < 1e-3
    few = rows.at(np.arange(ranking.EXACT_SCORES))
    for name in ("median_absolute_error", *QUANTILES, "d2_absolute_error"):
        assert measure(name, few).error_bound == 0.0


def test_replicates_beyond_the_cap_are_near_the_truth(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    truth = rng.normal(size=n)
    rows = rows_from(truth, truth + rng.normal(size=n))
    for name in ("median_absolute_error", "d2_absolute_error"):
        replicates = measure.replicates(name, rows)
        rest = rows.at(np.flatnonzero(rows.bucket != 4))
        assert replicates[5] == pytest.approx(expected_of(name, rest), rel=1e-2, abs=1e-3)
        # Their differences, which is what counts, are far more exact.
        gap = expected_of(name, rows) - expected_of(name, rest)
        assert replicates[0] - replicates[5] == pytest.approx(gap, abs=5e-4)


def spread(name: str, rows: Rows, measure: Any, sampling: Sampling) -> Any:
    states = measure.states(name, rows)
    full = SliceStates(
        states.counts[0],
        states.families,
        buckets=np.bincount(rows.bucket, rows.weight, 20),
        sampling=sampling,
    )
    return spread_of(METRICS.get(name), rows.problem, full)


@pytest.mark.parametrize("q", ["0.5", "0.9"])
@pytest.mark.parametrize("kind", ["plain", "weighted", "clustered", "beyond the cap"])
def test_intervals_of_quantiles_cover(measure: Any, rows_from: Any, q: str, kind: str) -> None:
    """At 95 % between 92 % and 98 % of 300 draws of 400 rows cover."""
    rng = np.random.default_rng(7)
    name, n, draws, covered = f"absolute_error_quantile_{q}", 400, 300, 0
    true = -math.log(1 - float(q))
    sampling = Sampling(weighted=kind == "weighted")
    if kind == "clustered":
        sampling = Sampling(clustered=True, rows_per_cluster=4.0)
    with pytest.MonkeyPatch.context() as patch:
        if kind == "beyond the cap":
            patch.setattr(ranking, "EXACT_SCORES", 50)
        for _ in range(draws):
            errors = rng.exponential(size=n)
            bucket, weight = rng.integers(0, 20, n), None
            if kind == "clustered":
                errors, bucket = np.repeat(errors[::4], 4), np.repeat(bucket[::4], 4)
            if kind == "weighted":
                weight = rng.gamma(1.0, 1.0, n) + 0.01
            rows = rows_from(np.zeros(n), errors, weight=weight, bucket=bucket)
            low, high = spread(name, rows, measure, sampling).interval(0.95)
            covered += low <= true <= high
    assert 0.92 <= covered / draws <= 0.985, covered / draws


def test_few_rows_know_no_upper_limit(measure: Any, rows_from: Any) -> None:
    rows = rows_from(np.zeros(10), np.arange(1.0, 11.0))
    of = spread("absolute_error_quantile_0.9", rows, measure, Sampling())
    assert of.interval(0.95) == (7.0, math.inf)
    # All ten up to the limit: 0.9^10; none: 0.1^10; of what was seen half.
    assert of.p_above(10.0) == pytest.approx(1 - 0.9**10 / 2)
    assert of.p_below(11.0) == pytest.approx(0.9**10 / 2)
    assert of.p_above(0.5) == pytest.approx(0.1**10 / 2)
    assert of.p_below(1.0) == pytest.approx(1 - 0.1**10 / 2)
