"""Intervals of metrics and of paired differences: by another road, degenerate, invariant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from engine.core.vocabulary import RowCounts
from engine.metrics import METRICS, Comparison, Metric, Sampling, SliceStates
from engine.metrics.inference.differences import comparison_of
from engine.metrics.inference.intervals import spread_of
from engine.states import BUCKETS, Pair, PairFamily
from engine.statistics import Interval, PairedShare, Spread, two_sided_p
from tests.fixtures.mid_p import mid_p, mid_p_interval

Make = Callable[..., Any]
LEVEL = 0.95
PLAIN, WEIGHTED, CLUSTERED = Sampling(), Sampling(weighted=True), Sampling(False, True, 10.0)


def slice_of(metric: Metric, rows: Any, baseline: Any, sampling: Sampling) -> SliceStates:
    """The states of rows as one slice, beside those of a baseline on the same rows."""
    own, other = rows.scored(), None if baseline is None else baseline.scored()
    groups = np.zeros(len(rows), np.int64)
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    sizes = np.bincount(rows.bucket, rows.weight, BUCKETS)
    made: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for family in metric.families(rows.problem, compared=other is not None):
        if isinstance(family, PairFamily):
            made[0][family.key] = family.of(Pair(other, own), groups, 1)
            continue
        for into, batch in zip(made, (own, other), strict=True):
            if batch is not None:
                into[family.key] = family.of(batch, groups, 1)
    beside = other and SliceStates(counts, made[1], buckets=sizes, sampling=sampling)
    return SliceStates(counts, made[0], buckets=sizes, sampling=sampling, baseline=beside)


def spread(name: str, rows: Any, sampling: Sampling = PLAIN) -> Spread | None:
    metric = METRICS.get(name)
    return spread_of(metric, rows.problem, slice_of(metric, rows, None, sampling))


def interval(name: str, rows: Any, sampling: Sampling = PLAIN) -> Interval:
    found = spread(name, rows, sampling)
    assert found is not None
    return found.interval(LEVEL)


def compared(name: str, rows: Any, baseline: Any, sampling: Sampling = PLAIN) -> Comparison:
    metric = METRICS.get(name)
    found = comparison_of(metric, rows.problem, slice_of(metric, rows, baseline, sampling))
    assert found is not None
    return found


def jackknife_by_loop(
    figure: Callable[[np.ndarray], float], bucket: np.ndarray, weight: np.ndarray
) -> tuple[float, float, float]:
    """The estimate, its standard error and degrees of freedom, each bucket left out in turn."""
    everything = figure(np.ones(len(bucket), bool))
    shares, adds = [], []
    for each in sorted(set(bucket.tolist())):
        share = weight[bucket == each].sum() / weight.sum()
        shares.append(share)
        adds.append((1 - share) * (everything - figure(bucket != each)))
    total, alike = sum(adds), sum(share**2 for share in shares)
    squares = sum((add - share * total) ** 2 for add, share in zip(adds, shares, strict=True))
    return everything, math.sqrt(squares / (1 - alike)), 1 / alike - 1


def on_scale(
    value: float, se: float, df: float, to: Callable[[float], float], back: Callable[[float], float]
) -> Interval:
    """Student's interval on another scale, whose slope at the value is found numerically."""
    step = 1e-6 * max(abs(value), 1e-3)
    slope = (to(value + step) - to(value - step)) / (2 * step)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se * slope
    return back(to(value) - reach), back(to(value) + reach)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def close(found: Interval, expected: Sequence[float], rel: float = 1e-6) -> None:
    assert found == pytest.approx(tuple(float(each) for each in expected), rel=rel, abs=1e-9)


# By another road


@pytest.mark.parametrize("seed", [1, 2])
def test_shares_of_rows_have_the_interval_of_the_binomials_mid_p(
    random_rows: Make, seed: int
) -> None:
    rows = random_rows(seed, classes=(0, 1))
    truth, predicted = rows.truth, rows.predicted
    shares = {
        "accuracy": truth == predicted,
        "recall": (predicted == 1)[truth == 1],
        "precision": (truth == 1)[predicted == 1],
        "jaccard": ((truth == 1) & (predicted == 1))[(truth == 1) | (predicted == 1)],
    }
    for name, hits in shares.items():
        close(interval(name, rows), mid_p_interval(int(hits.sum()), len(hits)))
    jaccard = interval("jaccard", rows)
    close(interval("f1", rows), [2 * j / (1 + j) for j in jaccard])


def test_means_have_students_interval(random_rows: Make) -> None:
    rows = random_rows(3)
    errors = rows.scores - rows.truth
    close(interval("bias", rows), stats.ttest_1samp(errors, 0).confidence_interval(LEVEL))
    for name, loss, back in (
        ("mean_absolute_error", np.abs(errors), math.exp),
        ("mean_squared_error", errors**2, math.exp),
        ("root_mean_squared_error", errors**2, lambda x: math.exp(x / 2)),
    ):
        se = float(loss.std(ddof=1)) / math.sqrt(len(loss))
        expected = on_scale(float(loss.mean()), se, len(loss) - 1, math.log, back)
        close(interval(name, rows), expected)


def test_area_under_the_roc_curve_has_delongs_interval(random_rows: Make) -> None:
    rows = random_rows(4, 120, classes=(0, 1), decimals=1)
    score, positive = rows.scores[:, 1].tolist(), (rows.truth == 1).tolist()
    high = [s for s, p in zip(score, positive, strict=True) if p]
    low = [s for s, p in zip(score, positive, strict=True) if not p]

    def wins(a: float, b: float) -> float:
        return 1.0 if a > b else 0.5 if a == b else 0.0

    above = [sum(wins(a, b) for b in low) / len(low) for a in high]
    below = [sum(wins(a, b) for a in high) / len(high) for b in low]
    area = sum(above) / len(above)
    parts = [sum((v - area) ** 2 for v in of) / (len(of) - 1) / len(of) for of in (above, below)]
    df = sum(parts) ** 2 / sum(
        part**2 / (len(of) - 1) for part, of in zip(parts, (above, below), strict=True)
    )
    close(interval("roc_auc", rows), on_scale(area, math.sqrt(sum(parts)), df, logit, expit))


FIGURES: dict[str, tuple[Callable[..., float], Callable[..., float], Callable[..., float]]] = {
    "average_precision": (reference.average_precision_score, logit, expit),
    "roc_auc": (reference.roc_auc_score, logit, expit),
    "r2": (reference.r2_score, lambda v: -math.log(1 - v), lambda s: 1 - math.exp(-s)),
    "matthews_corrcoef": (
        reference.matthews_corrcoef,
        lambda v: 2 * math.atanh(v),
        lambda s: math.tanh(s / 2),
    ),
    "log_loss": (reference.log_loss, math.log, math.exp),
}


@pytest.mark.parametrize("name", list(FIGURES))
def test_everything_else_has_the_jackknife_over_buckets(random_rows: Make, name: str) -> None:
    figure, to, back = FIGURES[name]
    rows = random_rows(5, classes=() if name == "r2" else (0, 1), weights="random")
    guess = rows.predicted if name in ("r2", "matthews_corrcoef") else rows.scores[:, 1]

    def on(kept: np.ndarray) -> float:
        return float(figure(rows.truth[kept], guess[kept], sample_weight=rows.weight[kept]))

    value, se, df = jackknife_by_loop(on, rows.bucket, rows.weight)
    close(interval(name, rows, WEIGHTED), on_scale(value, se, df, to, back), 1e-5)


def test_shares_of_clusters_are_worth_the_rows_that_their_buckets_say(random_rows: Make) -> None:
    rows = random_rows(6, classes=(0, 1))
    hit = rows.truth == rows.predicted
    value, se, df = jackknife_by_loop(
        lambda kept: float(hit[kept].mean()), rows.bucket, rows.weight
    )
    n, z = value * (1 - value) / se**2, float(stats.t.ppf((1 + LEVEL) / 2, df))
    # As much of the normal curve as of Student's t is beyond.
    expected = mid_p_interval(value * n, n, float(stats.norm.sf(z)))
    close(interval("accuracy", rows, CLUSTERED), expected)


def test_weighted_shares_are_worth_the_rows_that_their_variance_says(random_rows: Make) -> None:
    rows = random_rows(7, classes=(0, 1), weights="random")
    mine = rows.truth == 1
    hit, weight = (rows.predicted == 1)[mine], rows.weight[mine]
    value = float(weight @ hit / weight.sum())
    parts = [(weight[of] ** 2 * (hit[of] - value) ** 2).sum() for of in (hit, ~hit)]
    kish = [weight[of].sum() ** 2 / (weight[of] ** 2).sum() for of in (hit, ~hit)]
    unequal = (weight**2).sum() / weight.sum() / rows.weight.mean() - 1
    df = sum(parts) ** 2 / (unequal * sum(p**2 / k for p, k in zip(parts, kish, strict=True)))
    n = value * (1 - value) * weight.sum() ** 2 / sum(parts)
    z = float(stats.t.ppf((1 + LEVEL) / 2, df))
    expected = mid_p_interval(value * n, n, float(stats.norm.sf(z)))
    close(interval("recall", rows, WEIGHTED), expected)


# Paired differences


def worse(rows: Any, rows_from: Make, seed: int = 8) -> Any:
    """A baseline on the same rows that is a little worse."""
    rng = np.random.default_rng(seed)
    scores = rows.scores
    if rows.classes:
        scores = np.clip(scores[:, 1] + rng.normal(0, 0.15, len(rows)), 0.01, 0.99)
    else:
        scores = scores + rng.normal(0, 0.5, len(rows))
    weight = None if rows.unweighted else rows.weight
    return rows_from(rows.truth, scores, classes=rows.classes, weight=weight, bucket=rows.bucket)


def test_difference_of_means_is_the_paired_t_test(random_rows: Make, rows_from: Make) -> None:
    rows = random_rows(9)
    base = worse(rows, rows_from)
    own, other = (np.abs(each.scores - each.truth) for each in (rows, base))
    test = stats.ttest_rel(own, other)
    found = compared("mean_absolute_error", rows, base)
    close(found.spread.interval(LEVEL), test.confidence_interval(LEVEL))
    assert two_sided_p(found.spread) == pytest.approx(test.pvalue, rel=1e-6)
    assert found.delta == pytest.approx(float(own.mean() - other.mean()))


@pytest.mark.parametrize("name", ["accuracy", "recall"])
def test_difference_of_shares_is_close_to_mcnemars_test(
    random_rows: Make, rows_from: Make, name: str
) -> None:
    rows = random_rows(10, 150, classes=(0, 1))
    base = worse(rows, rows_from)
    of = np.full(len(rows), True) if name == "accuracy" else rows.truth == 1
    own, other = ((each.predicted == each.truth)[of] for each in (rows, base))
    gained, lost = int((own & ~other).sum()), int((~own & other).sum())
    found = compared(name, rows, base)
    mid = 2 * mid_p(min(gained, lost), gained + lost, 0.5)
    assert two_sided_p(found.spread) == pytest.approx(mid, rel=0.1)
    assert found.spread == PairedShare(gained, lost, int(of.sum()))


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        # Of rows alone areas have DeLong's: `test_areas.py`.
        *((name, PLAIN) for name in ("average_precision", "r2")),
        *((name, CLUSTERED) for name in ("roc_auc", "average_precision", "r2")),
    ],
)
def test_difference_of_anything_else_is_the_paired_jackknife(
    random_rows: Make, rows_from: Make, name: str, sampling: Sampling
) -> None:
    rows = random_rows(11, classes=() if name == "r2" else (0, 1))
    base = worse(rows, rows_from)
    figure = FIGURES[name][0]

    def on(kept: np.ndarray) -> float:
        guesses = [e.scores if name == "r2" else e.scores[:, 1] for e in (rows, base)]
        own, other = (float(figure(rows.truth[kept], guess[kept])) for guess in guesses)
        return own - other

    value, se, df = jackknife_by_loop(on, rows.bucket, rows.weight)
    found = compared(name, rows, base, sampling)
    close(found.spread.interval(LEVEL), stats.t.interval(LEVEL, df, value, se), 1e-5)
    assert (found.se_delta, found.df) == pytest.approx((se, df), rel=1e-6)


# Degenerate


def test_all_hits_are_a_share_whose_upper_end_is_one(rows_from: Make) -> None:
    rows = rows_from([0, 1] * 20, [0.1, 0.9] * 20, classes=(0, 1))
    whole = mid_p_interval(40, 40)
    assert whole[1] == 1
    close(interval("accuracy", rows), whole)
    half = mid_p_interval(20, 20)
    # A perfect area rests on the rows of the scarcer class, of clusters on as many clusters.
    close(interval("roc_auc", rows), half)
    few = mid_p_interval(2, 2)
    close(interval("roc_auc", rows, CLUSTERED), few)
    low, high = interval("accuracy", rows, CLUSTERED)
    assert high == 1 and low < whole[0]


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "average_precision", "log_loss"])
def test_clusters_that_are_all_in_one_bucket_leave_nothing_to_compare(
    random_rows: Make, rows_from: Make, name: str
) -> None:
    some = random_rows(12, classes=(0, 1))
    rows = rows_from(some.truth, some.scores[:, 1], classes=(0, 1), bucket=np.full(len(some), 3))
    assert spread(name, rows, CLUSTERED) is None
    assert (
        comparison_of(
            METRICS.get(name), rows.problem, slice_of(METRICS.get(name), rows, rows, CLUSTERED)
        )
        is None
    )


def test_a_replicate_without_positives_leaves_no_interval(rows_from: Make) -> None:
    """Without bucket 0 there is a single class."""
    truth, bucket = np.zeros(60, int), np.arange(60) % BUCKETS
    truth[bucket == 0] = 1
    score = np.random.default_rng(13).random(60)
    rows = rows_from(truth, score, classes=(0, 1), bucket=bucket, weight=1 + score)
    assert spread("roc_auc", rows, WEIGHTED) is None
    assert spread("accuracy", rows, WEIGHTED) is not None


def test_empty_buckets_are_passed_over(random_rows: Make, rows_from: Make) -> None:
    some = random_rows(14, classes=(0, 1))
    few = rows_from(some.truth, some.scores[:, 1], classes=(0, 1), bucket=2 * (some.bucket % 7))
    value, se, df = jackknife_by_loop(
        lambda kept: float(reference.average_precision_score(few.truth[kept], few.scores[kept, 1])),
        few.bucket,
        few.weight,
    )
    assert 5 < df < 6
    close(interval("average_precision", few), on_scale(value, se, df, logit, expit), 1e-5)


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "f1", "log_loss", "average_precision"])
def test_no_difference_at_all_is_a_difference_of_none(
    random_rows: Make, rows_from: Make, name: str
) -> None:
    rows = random_rows(15, classes=(0, 1))
    found = compared(name, rows, rows)
    low, high = found.spread.interval(LEVEL)
    assert found.delta == 0 and low <= 0 <= high
    assert two_sided_p(found.spread) == 1
    # Of a loss of each row it is known for certain; of shares as of so many rows that agree.
    assert (low, high) == (0, 0) if name == "log_loss" else 0 < high < 0.1


def test_of_one_row_a_mean_has_no_interval(rows_from: Make) -> None:
    assert spread("mean_absolute_error", rows_from([1.0], [2.0])) is None


def test_few_rows_that_are_alike_prove_nothing(rows_from: Make) -> None:
    few = rows_from(np.arange(5.0), np.arange(5.0))
    assert spread("mean_absolute_error", few) is None
    metric = METRICS.get("mean_absolute_error")
    assert comparison_of(metric, few.problem, slice_of(metric, few, few, PLAIN)) is None


def test_a_loss_that_is_nowhere_above_its_bound_has_no_width(rows_from: Make) -> None:
    rows = rows_from(np.arange(40.0), np.arange(40.0))
    for sampling in (PLAIN, WEIGHTED, CLUSTERED):
        assert interval("mean_absolute_error", rows, sampling) == (0, 0)


@pytest.mark.parametrize("name", ["ece", "ece_debiased", "ece_quantile", "calibration_intercept"])
@pytest.mark.parametrize("positives", [0, 3, 7])
def test_where_no_bucket_changes_anything_there_is_no_interval(
    rows_from: Make, name: str, positives: int
) -> None:
    """Of scores that are all the same; the value itself can be 0, or far from what is freed of."""
    truth = np.tile(np.r_[np.ones(positives), np.zeros(7 - positives)], BUCKETS)
    bucket = np.repeat(np.arange(BUCKETS), 7)
    rows = rows_from(truth, np.full(len(truth), 0.5), classes=(0, 1), bucket=bucket)
    if name != "calibration_intercept" or 0 < positives < 7:
        assert spread(name, rows) is None


def test_of_a_maximum_there_is_no_interval(random_rows: Make, rows_from: Make) -> None:
    rows = random_rows(16)
    metric = METRICS.get("max_error")
    assert spread("max_error", rows) is None
    assert comparison_of(metric, rows.problem, slice_of(metric, rows, rows, PLAIN)) is None


# What must not matter

ALL = [
    *("accuracy", "recall", "precision", "f1", "balanced_accuracy", "matthews_corrcoef"),
    *("log_loss", "brier_score", "roc_auc", "average_precision"),
]


@pytest.mark.parametrize("sampling", [PLAIN, WEIGHTED, CLUSTERED], ids=["rows", "w", "clusters"])
@pytest.mark.parametrize("name", ALL)
def test_order_of_rows_and_names_of_buckets_do_not_matter(
    random_rows: Make, rows_from: Make, name: str, sampling: Sampling
) -> None:
    rows = random_rows(17, classes=(0, 1), weights="random" if sampling.weighted else "none")
    base = worse(rows, rows_from)
    order = np.random.default_rng(18).permutation(len(rows))
    names = np.random.default_rng(19).permutation(BUCKETS)
    moved, moved_base = (
        rows_from(
            each.truth[order],
            each.scores[order, 1],
            classes=(0, 1),
            weight=each.weight[order] if sampling.weighted else None,
            bucket=names[each.bucket[order]],
        )
        for each in (rows, base)
    )
    close(interval(name, moved, sampling), interval(name, rows, sampling), 1e-9)
    before, after = (
        compared(name, *both, sampling).spread.interval(LEVEL)
        for both in ((rows, base), (moved, moved_base))
    )
    close(after, before, 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_weights_of_two_say_no_more_than_weights_of_one(
    random_rows: Make, rows_from: Make, name: str
) -> None:
    some = random_rows(20, classes=(0, 1))

    def of(weight: float) -> Any:
        return rows_from(
            some.truth,
            some.scores[:, 1],
            classes=(0, 1),
            weight=np.full(len(some), weight),
            bucket=some.bucket,
        )

    close(interval(name, of(2.0), WEIGHTED), interval(name, of(1.0), WEIGHTED), 1e-9)
    if name in ("accuracy", "recall", "precision", "f1"):
        close(interval(name, of(2.0), WEIGHTED), interval(name, some), 1e-9)


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "roc_auc"])
def test_clusters_of_single_rows_are_about_as_sure_as_rows(random_rows: Make, name: str) -> None:
    ratios = []
    for seed in range(30):
        rows = random_rows(seed, 400, classes=(0, 1))
        widths = [
            np.diff(interval(name, rows, each))[0] for each in (Sampling(clustered=True), PLAIN)
        ]
        ratios.append(widths[0] / widths[1])
    # Student's t of some 18 degrees of freedom is 7 % wider than the normal curve.
    assert 1.0 < np.mean(ratios) < 1.15


# Honest


@pytest.mark.parametrize(
    ("name", "truth", "sampling"),
    [
        ("mean_absolute_error", math.sqrt(2 / math.pi), PLAIN),
        ("mean_absolute_error", math.sqrt(2 / math.pi), WEIGHTED),
        ("root_mean_squared_error", 1.0, PLAIN),
        ("r2", 0.8, PLAIN),
        ("r2", 0.8, WEIGHTED),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    rows_from: Make, name: str, truth: float, sampling: Sampling
) -> None:
    """The table of docs/intervals.md in small: 400 samples of 200 rows."""
    rng = np.random.default_rng(21)
    held = 0
    for _ in range(400):
        error, explained = rng.standard_normal(200), 2 * rng.standard_normal(200)
        weight = np.exp(0.5 * rng.standard_normal(200)) if sampling.weighted else None
        bucket = rng.integers(0, BUCKETS, 200)
        rows = rows_from(explained + error, explained, weight=weight, bucket=bucket)
        low, high = interval(name, rows, sampling)
        held += low <= truth <= high
    # Three standard errors of 400 samples around 95 %.
    assert 0.917 <= held / 400 <= 0.983


@pytest.mark.parametrize("sampling", [PLAIN, CLUSTERED])
def test_errors_whose_squares_have_no_room_are_of_unknown_spread(
    rows_from: Make, sampling: Sampling
) -> None:
    """Not NaN, which no correction for many slices takes."""
    truth = np.arange(40.0)
    truth[3] = 1e200
    rows, baseline = rows_from(truth, np.ones(40)), rows_from(truth, np.zeros(40))
    metric = METRICS.get("mean_absolute_error")
    with np.errstate(over="ignore", invalid="ignore"):
        on = slice_of(metric, rows, baseline, sampling)
        assert metric.value(rows.problem, on).value is not None
        found = spread_of(metric, rows.problem, on)
        pair = comparison_of(metric, rows.problem, on)
    for each in (found, pair and pair.spread):
        assert each is None or not any(map(math.isnan, each.interval(LEVEL)))
    if sampling is PLAIN:
        assert found is None


@pytest.mark.parametrize("each", [1.0, 0.1, 1 / 3])
def test_clusters_that_are_all_alike_are_no_proof_whatever_the_weight(
    rows_from: Make, each: float
) -> None:
    """Of weights that are no binary fractions rounding alone would spread the clusters."""
    n = 7 * BUCKETS
    hit = (np.arange(n) // BUCKETS < 3) * 0.8 + 0.1
    rows = rows_from(np.ones(n), hit, classes=(0, 1), weight=np.full(n, each))
    low, high = interval("accuracy", rows, Sampling(True, True, 5.0))
    # As of 3 of the 7 clusters' worth that the weights say.
    assert (low, high) == pytest.approx((0.24643, 0.62649), abs=1e-5)


def test_weights_without_squares_give_no_interval(rows_from: Make) -> None:
    rows, baseline = (
        rows_from(np.ones(40), np.full(40, p), classes=(0, 1), weight=np.full(40, 1e-200))
        for p in (0.9, 0.8)
    )
    metric = METRICS.get("accuracy")
    on = slice_of(metric, rows, baseline, WEIGHTED)
    assert spread_of(metric, rows.problem, on) is None
    assert comparison_of(metric, rows.problem, on) is None
