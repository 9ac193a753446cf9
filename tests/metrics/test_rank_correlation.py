"""Rank correlations beyond the cap: within their bound whatever the rows; intervals that hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import engine.states.rank_pairs as ranks
from engine.core.vocabulary import TaskKind
from engine.kinds import estimate_metric
from engine.metrics import METRICS, Problem, RowsOf, Sampling, Slices
from engine.metrics.rank_correlation import concordant
from engine.states import BUCKETS, Ranks, RowFlags, Scored, rows_of
from engine.states.bit_codes import keys_of

NAMES = ("spearman", "kendall")
ROUNDING = 1e-12


def by_pairs(name: str, truth: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> float:
    """Both by their definitions, over all pairs of rows."""
    first, second = (np.sign(n[:, None] - n[None, :]) for n in (truth, scores))
    if name == "spearman":
        first, second = first @ weight, second @ weight
    else:
        weight = weight[:, None] * weight[None, :]
    spread = np.sum(weight * first**2) * np.sum(weight * second**2)
    return float(np.sum(weight * first * second) / np.sqrt(spread))


@contextmanager
def capped(least: int, alone: int | None = None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "LEAST", least)
        patch.setattr(ranks, "LEAST_BY_BUCKET", max(least // 2, 1))
        patch.setattr(ranks, "LEAST_ALONE", alone or max(least // 3, 1))
        yield


SHAPES = ("normal", "shifted", "lognormal", "counts", "few", "zeros", "wide", "opposite", "mixed")


def numbers(shape: str, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions; of some shapes with many ties in one of them or in both."""
    first, second = rng.normal(size=(2, n))
    second = first * rng.uniform(-1, 1) + second * rng.uniform(0, 1)
    if shape == "shifted":
        return 1000 + 10 * first, 1000 + 10 * second
    if shape == "lognormal":
        return np.exp(3 * first), np.exp(second)
    if shape == "counts":
        return np.floor(np.exp(first)), np.exp(second)
    if shape == "few":
        return np.round(first), np.round(second, 1)
    if shape == "zeros":
        return np.where(rng.random(n) < 0.5, 0.0, first), np.where(rng.random(n) < 0.3, 0, second)
    if shape == "wide":
        signs = rng.choice([-1.0, 1.0], (2, n))
        return tuple(signs * 10.0 ** rng.uniform(-200, 200, (2, n)))  # type: ignore[return-value]
    if shape == "opposite":
        return first, -first + np.where(rng.random(n) < 0.1, second, 0)
    if shape == "mixed":
        return np.where(rng.random(n) < 0.5, np.round(first, 1), first), np.floor(second)
    return first, second


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.sampled_from(SHAPES),
    st.sampled_from(["none", "random", "zeros", "heavy"]),
)
def test_any_rows_are_within_the_bound(
    measure: Any, rows_from: Any, seed: int, least: int, shape: str, weights: str
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 250))
    truth, scores = numbers(shape, rng, n)
    weight = {"none": None, "random": rng.random(n), "zeros": rng.choice([0.0, 1.0, 2.0], n),
              "heavy": rng.exponential(size=n) ** 4}[weights]  # fmt: skip
    rows = rows_from(truth, scores, weight=weight)
    some = rows.at(np.flatnonzero(rows.weight > 0))
    with capped(least):
        for name in NAMES:
            measured = measure(name, rows)
            if len(set(some.truth)) < 2 or len(set(some.scores)) < 2:
                assert measured.reason in ("constant", "zero_weight", "too_close", "empty")
                continue
            if measured.value is None:
                assert measured.reason == "too_close"
                continue
            expected = by_pairs(name, some.truth, some.scores, some.weight)
            assert abs(measured.value - expected) <= measured.error_bound + ROUNDING, name
            assert measured.error_bound <= 2


def in_cell(first: np.ndarray, lacking: int, share: np.ndarray) -> np.ndarray:
    """The numbers at a share of the way through the cells whose first keys these are."""
    keys = first + (share * 2.0**lacking).astype(np.uint64)
    signed = np.uint64(1 << 63)
    return np.where(keys >= signed, keys ^ signed, ~keys).view(np.float64)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", NAMES)
def test_adversarial_rows_reach_the_bound_and_no_more(
    measure: Any, rows_from: Any, name: str, weighted: bool
) -> None:
    """Within the rows and the columns of one grid, all is put in order, or in the opposite one."""
    rng = np.random.default_rng(3)
    n = 1500
    truth = rng.normal(100, 10, n)
    scores = truth + rng.normal(0, 5, n)
    weight = rng.random(n) if weighted else None
    with capped(60, alone=600):
        rows = rows_from(truth, scores, weight=weight)
        state = measure.states(name, rows).families["ranks"]
        level = int(state.whole["pairs"].levels[0])
        lacking = ((level + 1) // 2, level // 2)
        assert level > 0
        cells = [
            (keys_of(each) >> np.uint64(bits)) << np.uint64(bits)
            for each, bits in zip((truth, scores), lacking, strict=True)
        ]
        place = [(np.argsort(np.argsort(each, kind="stable")) + 0.5) / n for each in cells]
        gaps = {}
        for order, sign in (("best", 1), ("worst", -1)):
            # By the other's cell, and within it by the row's number, one way or the other.
            shares = [(sign * other) % 1 for other in place[::-1]]
            made = [
                in_cell(cell, bits, 0.01 + 0.98 * share)
                for cell, bits, share in zip(cells, lacking, shares, strict=True)
            ]
            measured = measure(name, rows_from(*made, weight=weight))
            kept = np.ones(n) if weight is None else weight
            gaps[order] = abs(measured.value - by_pairs(name, *made, kept)) - measured.error_bound
            assert gaps[order] <= ROUNDING, order
        # A bound that no rows come near would be a guess.
        assert max(gaps.values()) >= -0.15 * measured.error_bound


@pytest.mark.parametrize("shape", ["normal", "shifted", "lognormal", "counts", "zeros"])
def test_the_bound_is_small_and_none_while_pairs_are_few(
    measure: Any, rows_from: Any, shape: str
) -> None:
    rng = np.random.default_rng(1)
    n = 60_000
    truth, _ = numbers(shape, rng, n)
    noise = rng.normal(size=n)
    scores = truth * np.exp(noise) if shape == "lognormal" else truth + np.std(truth) * noise / 2
    rows = rows_from(truth, scores)
    expected = {"spearman": stats.spearmanr(truth, scores).statistic,
                "kendall": stats.kendalltau(truth, scores).statistic}  # fmt: skip
    for name, most in (("spearman", 0.025), ("kendall", 0.04)):
        measured = measure(name, rows)
        assert 0 < measured.error_bound < most
        gap = abs(measured.value - expected[name])
        assert gap <= min(measured.error_bound, 0.002)
    few = rows.at(np.arange(ranks.LEAST))
    for name in NAMES:
        exact = measure(name, few)
        assert exact.error_bound == 0.0
        again = stats.spearmanr if name == "spearman" else stats.kendalltau
        assert exact.value == pytest.approx(again(few.truth, few.scores).statistic, rel=1e-9)


def test_many_rows_of_few_pairs_are_exact(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(1)
    truth, scores = rng.integers(0, 60, (2, 100_000)).astype(float)
    for name, oracle in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        measured = measure(name, rows_from(truth, truth + scores))
        assert measured.error_bound == 0.0
        expected = oracle(truth, truth + scores).statistic
        assert measured.value == pytest.approx(expected, rel=1e-9)


def test_perfect_orders_are_one_and_less_one(measure: Any, rows_from: Any) -> None:
    truth = np.random.default_rng(0).normal(size=500)
    for n, near in ((500, 1e-12), (20_000, 1e-3)):
        truth = np.random.default_rng(0).normal(size=n)
        for name in NAMES:
            assert measure(name, rows_from(truth, truth**3)).value == pytest.approx(1, abs=near)
            assert measure(name, rows_from(truth, -truth)).value == pytest.approx(-1, abs=near)


def test_what_is_constant_has_no_order(measure: Any, rows_from: Any) -> None:
    many = np.random.default_rng(0).normal(size=2 * ranks.LEAST)
    for rows in (
        rows_from([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        rows_from([1.0, 2.0], [0.0, -0.0]),
        rows_from([3.0], [3.0]),
        rows_from(many, np.full(len(many), 0.1)),
        rows_from(np.zeros(len(many)), many),
        rows_from([1.0, 2.0, 3.0], [1.0, 1.0, 2.0], weight=[1.0, 1.0, 0.0]),
    ):
        for name in NAMES:
            measured = measure(name, rows)
            assert (measured.value, measured.reason) == (None, "constant"), name
    weightless = rows_from([1.0, 2.0], [1.0, 2.0], weight=[0.0, 0.0])
    assert measure("kendall", weightless).reason == "zero_weight"


def test_numbers_too_close_for_the_grid_are_not_called_constant(
    measure: Any, rows_from: Any
) -> None:
    """A prediction that is one of two neighbours, among targets of all sizes."""
    n = 4 * ranks.LEAST
    rng = np.random.default_rng(0)
    truth = rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-300, 300, n)
    scores = np.nextafter(1.0, np.where(rng.random(n) < 0.5, 2, 0))
    with capped(8):
        measured = measure("spearman", rows_from(truth, scores))
    assert measured.reason in ("too_close", None)


@pytest.mark.parametrize("least", [8, 10_000])
def test_weight_two_is_the_row_twice(measure: Any, rows_from: Any, least: int) -> None:
    rng = np.random.default_rng(2)
    truth, scores = np.round(rng.normal(size=(2, 200)), 1)
    scores += truth
    weight = rng.integers(1, 4, 200)
    many = np.repeat(np.arange(200), weight)
    with capped(least):
        for name in NAMES:
            one = measure(name, rows_from(truth, scores, weight=weight, bucket=np.zeros(200)))
            other = measure(name, rows_from(truth[many], scores[many], bucket=0 * many))
            assert one.value == pytest.approx(other.value, rel=1e-12)
            assert one.error_bound == pytest.approx(other.error_bound, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 12))
def test_concordant_pairs_are_those_of_a_loop(seed: int, cells: int, places: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = np.unique(rng.integers(0, places, (cells, 2)), axis=0)
    row, column = distinct[:, 0], distinct[:, 1]
    weight = rng.random((3, len(row)))
    higher = (row[:, None] > row) & (column[:, None] > column)
    expected = [w @ higher @ w for w in weight]
    np.testing.assert_allclose(concordant(row, column, weight), expected, rtol=1e-12, atol=1e-14)


REGRESSION = Problem(TaskKind.REGRESSION)


def slices_of(truth: np.ndarray, scores: np.ndarray, baseline: np.ndarray | None = None) -> Slices:
    """Samples as slices: arrays of [sample, row]."""
    samples, n = truth.shape
    groups = np.repeat(np.arange(samples), n)
    bucket = np.tile(np.arange(n) % BUCKETS, samples)
    ones, none = np.ones(samples * n), np.zeros(samples * n, bool)

    def states(of_model: np.ndarray) -> dict[str, Any]:
        batch = Scored(truth.ravel(), ones, bucket, of_model.ravel(), None, True)
        return {"ranks": Ranks().of(batch, groups, samples)}

    cells = groups * BUCKETS + bucket
    rows = RowsOf.of(rows_of(ones, RowFlags(none, none, none), cells, samples))
    beside = None
    if baseline is not None:
        beside = Slices(rows, states(baseline), sampling=Sampling())
    return Slices(rows, states(scores), sampling=Sampling(), baseline=beside)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n", "samples"), [(100, 250), (800, 200)], ids=["exact", "coarse"])
def test_intervals_and_differences_hold_the_truth(name: str, n: int, samples: int) -> None:
    """Of normal numbers both are known: 6 asin(r / 2) / pi and 2 asin(r) / pi.

    Of 800 rows the replicates are on the coarse grid.
    """
    rng = np.random.default_rng(8)
    first, noise, other = rng.normal(size=(3, samples, n))
    r, s = 0.8, 0.6
    truth, scores = first, r * first + np.sqrt(1 - r**2) * noise
    baseline = s * first + np.sqrt(1 - s**2) * (0.7 * noise + np.sqrt(1 - 0.49) * other)

    def true(rho: float) -> float:
        if name == "spearman":
            return 6 * np.arcsin(rho / 2) / np.pi
        return 2 * np.arcsin(rho) / np.pi

    metric = METRICS.get(name)
    on = slices_of(truth, scores, baseline)
    found = estimate_metric(metric, REGRESSION, on, level=0.95, alone=False)
    values = found.values
    covered = np.mean([value.ci_low <= true(r) <= value.ci_high for value in values])
    assert covered == pytest.approx(0.95, abs=0.035)
    gap = true(r) - true(s)
    covered = np.mean([low <= gap <= high for low, high, _ in found.differences])
    assert covered == pytest.approx(0.95, abs=0.035)
    # No wider than the values spread.
    width = np.mean([value.ci_high - value.ci_low for value in values])
    spread = np.std([value.value for value in values])
    assert 3.2 < width / spread < 5.0
