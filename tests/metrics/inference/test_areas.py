"""The difference of two areas under the ROC curve: DeLong's by pairs of rows, samples, no rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import engine.states.score_pairs as pairing
from engine.core.vocabulary import Condition, TaskKind
from engine.kinds import estimate_metric
from engine.metrics import METRICS, Problem, RowsOf, Sampling, Slices, comparison_of
from engine.metrics.inference.areas import difference_of_areas
from engine.states import (
    BUCKETS,
    Pair,
    PairedScores,
    PairFamily,
    RowFlags,
    Scored,
    ScorePairsView,
    rows_of,
)
from engine.statistics import two_sided_p

BINARY = Problem(TaskKind.BINARY, (0, 1))
LEVEL = 0.95
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def scored(truth: np.ndarray, score: np.ndarray, bucket: np.ndarray) -> Scored:
    both = np.stack([1 - score, score], axis=1)
    return Scored(
        truth, np.ones(len(truth)), bucket, both, (score > 0.5).astype(np.int64), unweighted=True
    )


def slices_of(
    rows: Arrays, *, key: int = 0, name: str = "roc_auc", groups: Any = 0, count: int = 1
) -> Slices:
    """Truth, candidate's and baseline's scores as slices; `key` draws the buckets."""
    truth, *scores = (np.asarray(each) for each in rows)
    truth = truth.astype(np.int64)
    bucket = np.random.default_rng(key).integers(0, BUCKETS, len(truth))
    groups = np.broadcast_to(np.asarray(groups, np.int64), truth.shape)
    own, other = (scored(truth, np.asarray(each, np.float64), bucket) for each in scores)
    made: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for family in METRICS.get(name).families(BINARY, compared=True):
        if isinstance(family, PairFamily):
            made[0][family.key] = family.of(Pair(other, own), groups, count)
        else:
            for into, batch in zip(made, (own, other), strict=True):
                into[family.key] = family.of(batch, groups, count)
    none = np.zeros(len(truth), bool)
    cells = groups * BUCKETS + bucket
    counted = RowsOf.of(rows_of(own.weight, RowFlags(none, none, none), cells, count))
    sampling = Sampling()
    return Slices(
        counted, made[0], sampling=sampling, baseline=Slices(counted, made[1], sampling=sampling)
    )


def by_pairs(rows: Arrays) -> tuple[float, float, np.ndarray]:
    """Both areas and DeLong's covariance of them, from every pair of a positive and a negative."""
    truth, *scores = rows
    wins = []
    for score in scores:
        high, low = score[truth == 1], score[truth == 0]
        table = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in low] for a in high])
        wins.append(table)
    of_positives = np.cov([table.mean(axis=1) for table in wins])
    of_negatives = np.cov([table.mean(axis=0) for table in wins])
    n, m = wins[0].shape
    return wins[0].mean(), wins[1].mean(), of_positives / n + of_negatives / m


def rows(seed: int, n: int = 80, *, share: float = 0.4, decimals: int = 9) -> Arrays:
    """Correlated scores of two models, with ties where they are rounded."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < share).astype(np.int64)
    truth[:2], truth[2:4] = 1, 0
    common = rng.normal(size=n)
    scores = [
        1 / (1 + np.exp(-(apart * truth + common + 0.6 * rng.normal(size=n)))) for apart in (1.6, 1)
    ]
    return truth, np.round(scores[0], decimals), np.round(scores[1], decimals)


@pytest.mark.parametrize("decimals", [9, 1])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_standard_error_is_delongs(seed: int, decimals: int) -> None:
    some = rows(seed, decimals=decimals)
    own, other, covariance = by_pairs(some)
    found = comparison_of(METRICS.get("roc_auc"), BINARY, slices_of(some))
    assert found is not None
    se = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    df = min((some[0] == 1).sum(), (some[0] == 0).sum()) - 1
    assert found.delta == pytest.approx(own - other, rel=1e-12)
    assert found.delta == pytest.approx(
        roc_auc_score(some[0], some[1]) - roc_auc_score(some[0], some[2]), rel=1e-12
    )
    assert (found.se_delta, found.df) == pytest.approx((se, df), rel=1e-10)
    expected = stats.t.interval(LEVEL, df, own - other, se)
    assert found.spread.interval(LEVEL) == pytest.approx(expected, rel=1e-9)
    # Each model's own is DeLong's too, so that any combination has its variance.
    own_errors = tuple(np.sqrt(np.diag(covariance)))
    assert found.errors() == pytest.approx(own_errors, rel=1e-10)
    less = found.less(0.8)
    assert less.interval(LEVEL)[1] - less.interval(LEVEL)[0] == pytest.approx(
        2
        * stats.t.ppf(0.975, df)
        * math.sqrt(covariance[0, 0] + 0.64 * covariance[1, 1] - 1.6 * covariance[0, 1]),
        rel=1e-8,
    )


def test_gini_has_twice_the_interval_of_the_area() -> None:
    some = rows(4)
    area, gini = (
        comparison_of(METRICS.get(name), BINARY, slices_of(some, name=name))
        for name in ("roc_auc", "gini")
    )
    assert area is not None and gini is not None
    doubled = [2 * end for end in area.spread.interval(LEVEL)]
    assert gini.spread.interval(LEVEL) == pytest.approx(doubled, rel=1e-12)
    assert gini.errors() == pytest.approx([2 * se for se in area.errors()], rel=1e-12)


def test_another_key_says_the_same() -> None:
    some = rows(5, 200)
    found = [comparison_of(METRICS.get("roc_auc"), BINARY, slices_of(some, key=k)) for k in (0, 1)]
    first, second = (each.spread.interval(LEVEL) for each in found if each is not None)
    assert first == second
    # What has no such formula still depends on it: else this would say nothing.
    slices = [slices_of(some, key=k, name="average_precision") for k in (0, 1)]
    others = [comparison_of(METRICS.get("average_precision"), BINARY, each) for each in slices]
    assert others[0] is not None and others[1] is not None
    assert others[0].se_delta != others[1].se_delta


def test_an_end_of_the_interval_is_the_limit_at_which_the_p_value_is_just_that() -> None:
    found = comparison_of(METRICS.get("roc_auc"), BINARY, slices_of(rows(6)))
    assert found is not None
    low, high = found.spread.interval(LEVEL)
    assert found.spread.p_above(low) == pytest.approx(0.025, rel=1e-9)
    assert found.spread.p_below(high) == pytest.approx(0.025, rel=1e-9)
    assert two_sided_p(found.spread, low) == pytest.approx(0.05, rel=1e-9)


def test_many_slices_are_each_as_alone() -> None:
    """Among them one without rows, one of a single class and one with a single positive."""
    some = rows(7, 400, decimals=2)
    groups = np.random.default_rng(8).integers(0, 3, 400)
    groups[some[0] == 0] += 5 * (np.arange((some[0] == 0).sum()) % 4 == 0)
    groups[np.flatnonzero(some[0] == 1)[5]] = 7
    together = slices_of(some, groups=groups, count=9)
    estimates = estimate_metric(METRICS.get("roc_auc"), BINARY, together, level=LEVEL, alone=False)
    for group in range(9):
        own = groups == group
        alone = slices_of((some[0][own], some[1][own], some[2][own]))
        one = estimate_metric(METRICS.get("roc_auc"), BINARY, alone, level=LEVEL, alone=False)
        if group in (3, 4, 5, 6, 8):
            assert one.values[0].value is None
            continue
        known = one.differences[0][0] is not None
        assert known == (group != 7)
        if known:
            assert estimates.differences[group] == pytest.approx(one.differences[0], rel=1e-9)


# Samples


def draw(n: int, seed: int = 9) -> Arrays:
    return rows(seed, n, share=0.3)


def test_of_many_rows_a_sample_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it knows no more than a few thousand of them: some per cent off."""
    some = draw(60_000)
    exact = ScorePairsView.of_groups(_states(some, least=10**6, patch=monkeypatch), 0, 1)
    assert not exact.levels.any()
    sample = ScorePairsView.of_groups(_states(some, least=1024, patch=monkeypatch), 0, 1)
    assert sample.levels.tolist() == [5, 4]
    assert len(sample.cell) < 2 * 2 * 1024 + 500
    one, other = difference_of_areas(exact), difference_of_areas(sample)
    assert other.se == pytest.approx(one.se, rel=0.07)
    assert one.se != other.se
    assert other.df[0] == np.bincount(sample.cell).min() - 1


def test_a_sample_that_most_rows_are_not_in_is_not_gone_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the rows have one pair of scores, the others have pairs of their own."""
    truth, own, other = draw(20_000)
    own[::2], other[::2] = 0.25, 0.75
    some = truth, own, other
    states = _states(some, least=500, patch=monkeypatch)
    assert states.levels.all()
    assert np.isnan(difference_of_areas(ScorePairsView.of_groups(states, 0, 1)).se[0])
    # Then the buckets say it.
    compared = comparison_of(METRICS.get("roc_auc"), BINARY, slices_of(some))
    without = slices_of(some)
    del without.families[PairedScores(1).key]  # type: ignore[attr-defined]
    jackknife = comparison_of(METRICS.get("roc_auc"), BINARY, without)
    assert compared is not None and jackknife is not None
    assert compared.spread.interval(LEVEL) == jackknife.spread.interval(LEVEL)


def _states(some: Arrays, *, least: int, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(pairing, "LEAST", least)
    truth, *scores = some
    own, other = (scored(truth, each, np.zeros(len(truth), np.int64)) for each in scores)
    return PairedScores(1).of(Pair(other, own), np.zeros(len(truth), np.int64), 1)


# Degenerate

SOME = np.array([1] * 6 + [0] * 14)
RISING = np.linspace(0.05, 0.95, 20)
PERFECT = np.where(SOME == 1, 0.9, 0.1)
CASES: dict[str, tuple[Arrays, float | None]] = {
    "equal models": ((SOME, RISING, RISING), 0.0),
    "equal orders": ((SOME, RISING, RISING**2), 0.0),
    "both perfect": ((SOME, PERFECT, PERFECT / 2), 0.0),
    "all tied": ((SOME, np.full(20, 0.5), np.full(20, 0.2)), 0.0),
    "perfect against tied": ((SOME, PERFECT, np.full(20, 0.5)), 0.5),
    "perfect against its reverse": ((SOME, PERFECT, 1 - PERFECT), 1.0),
    "one class": ((np.ones(20), RISING, RISING[::-1]), None),
    "no rows": ((SOME[:0], RISING[:0], RISING[:0]), None),
}


@pytest.mark.parametrize("name", ["roc_auc", "gini"])
@pytest.mark.parametrize("case", list(CASES))
def test_where_nothing_spreads_nothing_is_decided_wrongly(case: str, name: str) -> None:
    some, delta = CASES[case]
    slices = slices_of(some, name=name)
    metric = METRICS.get(name)
    estimates = estimate_metric(metric, BINARY, slices, level=LEVEL, alone=False)
    assert estimates.failures == [None]
    low, high, p = estimates.differences[0]
    if delta is None:
        assert (low, high, p) == (None, None, None)
        return
    width = metric.bounds[1] - metric.bounds[0]
    assert low is not None and high is not None and p is not None
    assert low < delta * width < high
    # As of so many rows as the scarcer class has, of which none differs.
    assert high - low > 0.3 * width
    assert p == 1 if delta == 0 else p < 0.05
    conditions = [Condition("no_worse", 0.0)]
    assert estimates.evidence(conditions, estimates.values, metric, LEVEL)


def test_two_rows_of_a_class_are_the_fewest(rows_from: Callable[..., Any]) -> None:
    truth = np.array([1, 0, 0, 0, 0, 0])
    candidate = np.array([0.6, 0.1, 0.7, 0.2, 0.3, 0.5])
    view = ScorePairsView.of_groups(
        PairedScores(1).of(
            Pair(*(scored(truth, each, truth) for each in (candidate[::-1].copy(), candidate))),
            np.zeros(6, np.int64),
            1,
        ),
        0,
        1,
    )
    assert np.isnan(difference_of_areas(view).se[0])
    truth[1] = 1
    found = comparison_of(METRICS.get("roc_auc"), BINARY, slices_of((truth, candidate, RISING[:6])))
    assert found is not None and found.df == 1
