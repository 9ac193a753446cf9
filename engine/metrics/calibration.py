"""Whether probabilities are what they say: calibration errors by bins, of the positive's score.

The expected calibration error is the mean over bins of |mean score - share of positives|, each bin
with the share of the rows it holds (Naeini, Cooper and Hauskrecht 2015); the maximum calibration
error is the largest of these gaps. Both read the score of the positive class, not of the class
that is predicted: of a binary problem that says more. `ece_top_label` reads the score of the
predicted class, of any number of classes, against whether the row is right (Guo et al. 2017).
`ece_debiased` takes off what chance alone
adds to the gaps, by the normal approximation of Kumar, Liang and Ma (2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.metrics.base import (
    BINARY,
    CLASSIFICATION,
    METRICS,
    Function,
    Metric,
    Problem,
    mean,
    metric,
)
from engine.metrics.bins import Bins, Ranges, bin_scores
from engine.metrics.score_grid import UNIT, positive_scores
from engine.metrics.values import Value
from engine.states import Floats, Mean, MomentsView, Scored, Scores, ScoresView, TopScores

BINS = 15


@dataclass(frozen=True, slots=True)
class Bias:
    """What chance adds to the gaps of bins, from how many rows a unit of weight is worth."""

    per_weight: Floats

    @classmethod
    def of(cls, rows: MomentsView, like: ScoresView) -> Bias:
        """That of a slice's rows; weights count as the rows they are worth (Kish 1965).

        The view of scores has a single replicate until it is asked for the others.
        """
        return cls((rows.weight / rows.weight_squares)[: len(like.positive), None])

    def less(self, bins: Bins) -> Floats:
        """The mean gap over the bins without it: [replicate]."""
        own = bins.positive_share * (1 - bins.positive_share) / (bins.weight * self.per_weight)
        variance = np.where(bins.weight > 0, np.nan_to_num(own), 0.0)
        gaps = np.nan_to_num(np.abs(bins.gap))
        freed: Floats = np.nansum(bins.part * _less_bias(gaps, variance), axis=-1)
        return freed


def _ece(
    count: int, quantile: bool, problem: Problem, view: ScoresView, rows: MomentsView
) -> Value:
    bins = bin_scores(view, count, quantile=quantile)
    values = np.nansum(bins.part * np.abs(bins.gap), axis=-1)
    bound = 0.0
    if not view.exact and len(values) == 1:
        may = Ranges.of(view, count, quantile=quantile)
        bound = _farther(float(values[0]), (may.part * may.gap).sum(-1))
    undefined = (("zero_weight", bins.weight.sum(-1) == 0),)
    return Value(values, undefined, bound, centre=Bias.of(rows, view).less(bins))


def _mce(count: int, quantile: bool, problem: Problem, view: ScoresView) -> Value:
    bins = bin_scores(view, count, quantile=quantile)
    values = np.nan_to_num(np.abs(bins.gap)).max(-1)
    bound = 0.0
    if not view.exact and len(values) == 1:
        may = Ranges.of(view, count, quantile=quantile)
        bound = _farther(float(values[0]), may.gap.max(-1))
    return Value(values, (("zero_weight", bins.weight.sum(-1) == 0),), bound)


def _farther(value: float, ends: Floats) -> float:
    return float(np.abs(ends - value).max())


_erf = np.vectorize(math.erf, otypes=[np.float64])


def folded_normal_mean(mean_: Floats, variance: Floats) -> Floats:
    """The mean of |x|, where x is normal with this mean and variance."""
    deviation = np.sqrt(variance)
    z = np.divide(mean_, deviation, out=np.full(mean_.shape, np.inf), where=deviation > 0)
    z = np.where(np.isfinite(z), z, 1e3)
    tail = deviation * math.sqrt(2 / math.pi) * np.exp(-z * z / 2)
    result: Floats = tail + mean_ * _erf(z / math.sqrt(2))
    return result


def _less_bias(gap: Floats, variance: Floats) -> Floats:
    """|gap| less what noise of this variance in the share of positives adds to it on average."""
    return 2 * gap - folded_normal_mean(gap, variance)


def one_of_each(batch: Scored, problem: Problem) -> Floats:
    """1 for each row: its moments are the number of rows, and their squared weights."""
    return np.ones(len(batch))


def _scores_and_rows(problem: Problem) -> tuple[Scores, Mean]:
    return Scores(problem.positive), mean(one_of_each, problem)


@metric(
    "ece_debiased",
    tasks=BINARY,
    needs=_scores_and_rows,
    higher_is_better=False,
    needs_scores=True,
    needs_probabilities=True,
)
def ece_debiased(problem: Problem, view: ScoresView, rows: MomentsView) -> Value:
    """The ece of 15 uniform bins, less what chance alone adds to it; can fall below 0."""
    bins = bin_scores(view, BINS, quantile=False)
    bias = Bias.of(rows, view)
    values = bias.less(bins)
    bound = 0.0
    if not view.exact and len(values) == 1:
        bound = _debiased_bound(view, float(values[0]), float(bias.per_weight[0, 0]))
    return Value(values, (("zero_weight", bins.weight.sum(-1) == 0),), bound)


def _debiased_bound(view: ScoresView, value: float, per_weight: float) -> float:
    """The gap less its bias rises with the gap and falls with the noise."""
    may = Ranges.of(view, BINS, quantile=False)
    noise = np.minimum(may.spread / per_weight, 0.25)
    least, most = (_less_bias(may.gap[i], noise[1 - i]) for i in (0, 1))
    lows = np.minimum(may.part[0] * least, may.part[1] * least).sum()
    highs = np.maximum(may.part[0] * most, may.part[1] * most).sum()
    return _farther(value, np.array([lows, highs]))


def _error(name: str, function: Function, count: int, words: str) -> Metric:
    mean_gap = name.startswith("ece")
    which = "mean" if mean_gap else "largest"
    gap = "distance of mean score and share of positives"
    return Metric(
        name,
        BINARY,
        _scores_and_rows if mean_gap else positive_scores,
        function,
        higher_is_better=False,
        needs_scores=True,
        needs_probabilities=True,
        # An interval lies around what is left without the bias, which can be below 0.
        bounds=(-np.inf, np.inf) if mean_gap else UNIT,
        # The largest gap is mostly that of the bin with the fewest rows.
        intervals=mean_gap,
        summary=f"The {which} {gap}, in {count} {words} bins.",
    )


def _of_bins(function: Function, stem: str, bins: str) -> Metric:
    """The metric `<stem>_<bins>`."""
    quantile = stem.endswith("quantile")
    measure = partial(function, int(bins), quantile)
    return _error(f"{stem}_{bins}", measure, int(bins), "quantile" if quantile else "uniform")


def _register() -> None:
    for short, function, long in (
        ("ece", _ece, "expected_calibration_error"),
        ("mce", _mce, "maximum_calibration_error"),
    ):
        for stem, words in ((short, "uniform"), (f"{short}_quantile", "quantile")):
            measure = partial(function, BINS, words == "quantile")
            aliases = [long] if stem == short else ["ace"] if stem == "ece_quantile" else []
            METRICS.add(stem, _error(stem, measure, BINS, words), aliases=aliases)
            METRICS.add_pattern(
                rf"{stem}_(?P<bins>[1-9][0-9]{{0,2}})", partial(_of_bins, function, stem)
            )


def _top_scores_and_rows(problem: Problem) -> tuple[TopScores, Mean]:
    return TopScores(), mean(one_of_each, problem)


def _top_label(bins: str = "") -> Metric:
    """The metric `ece_top_label`, or `ece_top_label_<bins>`."""
    count = int(bins or BINS)
    gap = "distance of the predicted class's mean score and the share of rows that are right"
    return Metric(
        f"ece_top_label_{bins}" if bins else "ece_top_label",
        CLASSIFICATION,
        _top_scores_and_rows,
        partial(_ece, count, False),
        higher_is_better=False,
        needs_scores=True,
        needs_probabilities=True,
        summary=f"The mean {gap}, in {count} uniform bins.",
    )


_register()
METRICS.add("ece_top_label", _top_label(), aliases=["confidence_calibration_error"])
METRICS.add_pattern(r"ece_top_label_(?P<bins>[1-9][0-9]{0,2})", _top_label)


def probability(batch: Scored, problem: Problem) -> Floats:
    """The positive class's probability."""
    assert batch.scores is not None, "needs scores"
    return batch.scores[:, problem.positive]


def is_positive(batch: Scored, problem: Problem) -> Floats:
    """1 for rows of the positive class."""
    return np.asarray(batch.truth == problem.positive, np.float64)


def _probabilities_and_labels(problem: Problem) -> tuple[Mean, Mean]:
    return mean(probability, problem), mean(is_positive, problem)


@metric(
    "calibration_ratio",
    tasks=BINARY,
    needs=_probabilities_and_labels,
    higher_is_better=None,
    needs_scores=True,
    needs_probabilities=True,
    bounds=(0.0, np.inf),
)
def calibration_ratio(problem: Problem, said: MomentsView, labels: MomentsView) -> Value:
    """The sum of the positive class's probabilities by the number of positives; 1 is best."""
    positives = labels.mean * labels.weight
    return Value(said.mean / labels.mean, (("one_class", ~(positives > 0)),))
