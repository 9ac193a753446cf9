"""Metrics between two versions, a candidate and the baseline, on the same rows.

`flip_rate` and its kin are shares of rows, from what became of each row's prediction. So are
`flips_to_positive` and `flips_to_negative`, of all rows as in TensorFlow Model Analysis
(`neg_to_pos_flip_rate`), so that they add up to the `flip_rate`. `score_psi`
is the population stability index of the positive's scores: over ten bins that hold a tenth of the
baseline's rows each (fewer where its scores tie), the sum of (c - b) log(c / b), where c and b are
the shares of the candidate's and of the baseline's rows in a bin. A share below 0.0001 counts as
0.0001, so that an empty bin costs much and not everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.core.vocabulary import TaskKind
from engine.metrics.base import BINARY, CLASSIFICATION, METRICS, Metric, Problem, metric
from engine.metrics.classification import UNIT, pairs_of_hits
from engine.metrics.score_grid import positive_scores, share, steps
from engine.metrics.values import Value, ratio
from engine.states import Bools, Floats, Ints, PairedView, ScoresView, with_left_out
from engine.states.pairs import BOTH_RIGHT, BOTH_WRONG, GAINED, LOST, SAME_WRONG

PSI_BINS = 10
LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class Change:
    """A share of rows by what became of their predictions (`engine.states.pairs`).

    Of a binary task the rows of the negative class may have `negatives`, outcomes of their own.
    """

    summary: str
    outcomes: tuple[int, ...]
    higher: bool
    aliases: tuple[str, ...] = ()
    negatives: tuple[int, ...] | None = None

    @property
    def tasks(self) -> frozenset[TaskKind]:
        """The tasks that have such rows."""
        return CLASSIFICATION if self.negatives is None else BINARY

    def mask(self, problem: Problem, view: PairedView) -> Bools:
        """The rows that count, by true class and outcome."""
        chosen = np.zeros(view.total.shape, bool)
        chosen[:, list(self.outcomes)] = True
        if self.negatives is not None:
            chosen[1 - problem.positive] = False
            chosen[1 - problem.positive, list(self.negatives)] = True
        return chosen


CHANGES = {
    "flip_rate": Change(
        "The share of rows whose predicted class differs from the baseline's.",
        (LOST, GAINED, BOTH_WRONG),
        False,
        ("churn",),
    ),
    "agreement": Change(
        "The share of rows whose predicted class is the baseline's.", (BOTH_RIGHT, SAME_WRONG), True
    ),
    "regressions": Change(
        "The share of rows that the baseline has right and the candidate wrong.", (LOST,), False
    ),
    "improvements": Change(
        "The share of rows that the baseline has wrong and the candidate right.", (GAINED,), True
    ),
    # A positive that is predicted so now, or a negative that is not predicted so any more.
    "flips_to_positive": Change(
        "The share of rows that the candidate predicts positive and the baseline negative.",
        (GAINED,),
        False,
        ("neg_to_pos", "neg_to_pos_flip_rate"),
        negatives=(LOST,),
    ),
    "flips_to_negative": Change(
        "The share of rows that the candidate predicts negative and the baseline positive.",
        (LOST,),
        False,
        ("pos_to_neg", "pos_to_neg_flip_rate"),
        negatives=(GAINED,),
    ),
}


def _share_of(change: Change, problem: Problem, view: PairedView) -> Value:
    chosen = change.mask(problem, view)
    return ratio(
        with_left_out(view.by_bucket[:, chosen].sum(-1)),
        with_left_out(view.by_bucket.sum((1, 2))),
        "zero_weight",
        squares=(float(view.squares[chosen].sum()), float(view.squares[~chosen].sum())),
    )


for _name, _change in CHANGES.items():
    METRICS.add(
        _name,
        Metric(
            _name,
            _change.tasks,
            pairs_of_hits,
            partial(_share_of, _change),
            higher_is_better=_change.higher,
            bounds=UNIT,
            summary=_change.summary,
            against=True,
        ),
        aliases=_change.aliases,
    )


def _edges(view: ScoresView) -> Floats:
    """The scores up to which the bins reach, but for the last: tenths of the baseline's rows."""
    tenths = view.scores[np.unique(_tenths(view))]
    edges: Floats = tenths[tenths < view.scores[-1]]
    return edges


def _tenths(view: ScoresView) -> Ints:
    """The places of the scores at which the tenths of the rows are reached."""
    upto = np.cumsum(view.positive[0] + view.negative[0])
    tenths = np.arange(1, PSI_BINS) / PSI_BINS * upto[-1]
    # A tenth that is reached but for rounding is reached.
    return np.asarray(np.searchsorted(upto, tenths - 1e-9 * upto[-1]), np.int64)


def _shares(view: ScoresView, place: Ints, count: int) -> Floats:
    weight = view.positive + view.negative
    in_bin = np.stack([weight[:, place == k].sum(-1) for k in range(count)], axis=-1)
    return share(in_bin, in_bin.sum(-1, keepdims=True))


def _index(candidate: Floats, baseline: Floats) -> Floats:
    """The sum over bins of (c - b) log(c / b)."""
    return np.asarray(_terms(candidate, baseline).sum(-1))


@metric(
    "score_psi",
    tasks=BINARY,
    needs=positive_scores,
    of_baseline=positive_scores,
    higher_is_better=False,
    needs_scores=True,
    bounds=(0.0, np.inf),
    against=True,
)
def score_psi(problem: Problem, candidate: ScoresView, baseline: ScoresView) -> Value:
    """The population stability index of the candidate's scores against the baseline's."""
    empty = [(view.positive + view.negative).sum(-1) == 0 for view in (candidate, baseline)]
    undefined = (("zero_weight", empty[0] | empty[1]),)
    if min(len(candidate.scores), len(baseline.scores)) == 0:
        return Value(np.full(len(empty[0]), np.nan), undefined)
    edges = _edges(baseline)
    both = (candidate, baseline)
    shares = [_shares(view, np.searchsorted(edges, view.scores), len(edges) + 1) for view in both]
    values = _index(*shares)
    bound = 0.0
    if len(values) == 1 and not (candidate.exact and baseline.exact):
        bound = _psi_bound(both, edges, float(values[0]))
    return Value(values, undefined, bound)


def _psi_bound(both: tuple[ScoresView, ScoresView], edges: Floats, value: float) -> float:
    """The larger gap to the index that the grid can hide.

    A true edge lies in the step of the edge that was found, so only rows of such steps can be in
    another bin. A bin's term grows with the distance of its shares.
    """
    low, high = steps(both[1])
    at_edge = np.isin(both[1].scores, edges)
    first, last = low[at_edge], high[at_edge]
    (c_low, c_high), (b_low, b_high) = (_possible(view, first, last) for view in both)
    most = np.maximum(_terms(c_high, b_low), _terms(c_low, b_high)).sum() + _merged_bins_bound(both)
    apart = np.where(c_low > b_high, _terms(c_low, b_high), 0.0)
    apart = np.where(b_low > c_high, _terms(c_high, b_low), apart)
    return float(max(most - value, value - apart.sum(), 0.0))


def _merged_bins_bound(both: tuple[ScoresView, ScoresView]) -> float:
    """The most that the bins add whose edges lie in one step together.

    Several tenths in one step are one edge here, and those in the last step are none, while the
    scores themselves may tell them apart. What lies in the step may be in any of its bins.
    """
    baseline = both[1]
    low, high = steps(baseline)
    places, counts = np.unique(_tenths(baseline), return_counts=True)
    bins = np.where(places < len(baseline.scores) - 1, counts - 1, counts) * (high > low)[places]
    inside = []
    for view in both:
        first, last = steps(view)
        weight = (view.positive[0] + view.negative[0]) / (view.positive + view.negative)[0].sum()
        meets = (first <= high[places][:, None]) & (low[places][:, None] <= last)
        inside.append((meets * weight).sum(-1))
    none = np.zeros(len(places))
    terms = np.maximum(_terms(inside[0], none), _terms(none, inside[1]))
    return float((bins * terms).sum())


def _possible(view: ScoresView, first: Floats, last: Floats) -> tuple[Floats, Floats]:
    """The least and the largest share of each bin, with edges anywhere in [first, last]."""
    low, high = steps(view)
    weight = (view.positive[0] + view.negative[0]) / (view.positive[0] + view.negative[0]).sum()
    # The lowest bin that the rows can be in when the edges are high, the highest when they are low.
    lowest, highest = np.searchsorted(last, low), np.searchsorted(first, high)
    bins = np.arange(len(first) + 1)[:, None]
    sure = ((lowest == bins) & (highest == bins)) * weight
    maybe = ((lowest <= bins) & (bins <= highest)) * weight
    return sure.sum(-1), maybe.sum(-1)


def _terms(candidate: Floats, baseline: Floats) -> Floats:
    c, b = (np.maximum(shares, LEAST_SHARE) for shares in (candidate, baseline))
    return np.asarray((c - b) * np.log(c / b))
