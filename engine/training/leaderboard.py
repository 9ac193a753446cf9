"""What came of the candidates of a cross-validation or a search, the best first.

Means are unweighted over the folds, spreads are `std(ddof=0)`, ranks are scikit-learn's: equal
means share one, a candidate without a mean comes last. Intervals and comparisons with the best are
Nadeau and Bengio's (`engine.statistics.resampled`). They speak of the procedure, which is to fit
with these hyperparameters, not of one fitted model; and the best of many flatters itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import ModelError
from engine.statistics.resampled import FoldEstimate, corrected_mean
from engine.training.tasks import FoldScore


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried: a name, the hyperparameters that tell it from others, and all of them."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    full: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate with its values on the folds.

    Attributes:
        candidate: what was tried.
        scores: one for each fold.
        iteration: the round of a halving search; 0 elsewhere.
        rows: how many rows a round took; None where it took all.
        rank: 1 is the best.
        difference: its metric minus that of the best, on the same folds; None for the best itself
            and for candidates of an earlier round.
    """

    candidate: Candidate
    scores: tuple[FoldScore, ...]
    iteration: int = 0
    rows: int | None = None
    rank: int = 0
    difference: FoldEstimate | None = None

    def values(self, metric: str) -> np.ndarray:
        """The metric on each fold, of shape [folds]; NaN where the fold failed."""
        return np.array([score.values.get(metric, math.nan) for score in self.scores])

    def mean(self, metric: str) -> float:
        """The unweighted mean over folds; NaN where one failed."""
        return float(np.average(self.values(metric)))

    def std(self, metric: str) -> float:
        """The spread over folds, with ddof=0."""
        values = self.values(metric)
        return float(np.sqrt(np.average((values - np.average(values)) ** 2)))

    def estimate(self, metric: str) -> FoldEstimate:
        """The mean with its corrected interval."""
        return corrected_mean(self.values(metric).tolist(), self.test_share)

    @property
    def test_share(self) -> float:
        """Rows of the test parts over rows of the training parts, over all folds."""
        trained = sum(score.n_train for score in self.scores)
        return sum(score.n_test for score in self.scores) / trained if trained else math.nan

    @property
    def errors(self) -> dict[int, str]:
        """What went wrong, by the number of the fold."""
        return {at: score.error for at, score in enumerate(self.scores) if score.error}

    @property
    def has_failed(self) -> bool:
        """Whether all its folds failed."""
        return all(not score.values for score in self.scores)

    @property
    def seconds(self) -> float:
        """The time of its fits, one after the other."""
        return sum(score.seconds for score in self.scores)


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The candidates in order: the best first, those of a halving's earlier rounds last.

    Attributes:
        metric: by which they are ranked.
        higher_is_better: its direction.
        metrics: all that was measured, `metric` first.
        entries: a candidate of a halving has one for each of its rounds.
        fitted: how many folds were fitted for it, and not taken from an earlier search.
    """

    metric: str
    higher_is_better: bool
    metrics: tuple[str, ...]
    entries: tuple[Entry, ...]
    fitted: int = 0

    @property
    def best(self) -> Entry:
        """The first entry."""
        return self.entries[0]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each entry: rank, candidate, hyperparameters, figures, folds, errors."""
        return pd.DataFrame([_record(entry, self) for entry in self.entries])

    def _repr_html_(self) -> str:
        html: str = self.to_pandas().to_html(index=False)
        return html


def make_leaderboard(
    metrics: Sequence[str], higher_is_better: bool, entries: Sequence[Entry], fitted: int
) -> Leaderboard:
    """Ranks entries by the first metric.

    Raises:
        ModelError: when all fits have failed, or no candidate has a mean.
    """
    metric = metrics[0]
    if all(entry.has_failed for entry in entries):
        raise ModelError(
            f"all {sum(len(entry.scores) for entry in entries)} fits failed; the first: "
            f"{next(iter(entries[0].errors.values()))}"
        )
    sign = 1 if higher_is_better else -1
    means = [sign * entry.mean(metric) for entry in entries]
    last = max(entry.iteration for entry in entries)
    final = [at for at, entry in enumerate(entries) if entry.iteration == last]
    known = [at for at in final if not math.isnan(means[at])]
    if not known:
        why = next((text for at in final for text in entries[at].errors.values()), "")
        raise ModelError(f"no candidate has a mean of {metric} over its folds; the first: {why}")
    # Of equal ones the first, as scikit-learn chooses.
    best_at = max(known, key=lambda at: (means[at], -at))
    order = sorted(
        range(len(entries)),
        key=lambda at: (-entries[at].iteration, at != best_at, _sort_key(means[at]), at),
    )
    ranks = _ranks(entries, means)
    ordered = tuple(_place(entries[at], ranks[at], entries[best_at], metric) for at in order)
    return Leaderboard(metric, higher_is_better, tuple(metrics), ordered, fitted)


def _sort_key(mean: float) -> float:
    return math.inf if math.isnan(mean) else -mean


def _ranks(entries: Sequence[Entry], means: Sequence[float]) -> list[int]:
    """1 for the highest of the last round, whose entries come before those of earlier ones.

    Equal ones share the smallest, NaN comes after all of its round.
    """
    ranks = []
    for entry, mean in zip(entries, means, strict=True):
        round_means = [
            other
            for rival, other in zip(entries, means, strict=True)
            if rival.iteration == entry.iteration and not math.isnan(other)
        ]
        later = sum(rival.iteration > entry.iteration for rival in entries)
        better = sum(math.isnan(mean) or other > mean for other in round_means)
        ranks.append(1 + later + better)
    return ranks


def _place(entry: Entry, rank: int, best: Entry, metric: str) -> Entry:
    """An entry with its rank and its difference to the best."""
    difference = None
    if entry is not best and entry.iteration == best.iteration:
        differences = entry.values(metric) - best.values(metric)
        difference = corrected_mean(differences.tolist(), best.test_share)
    return Entry(entry.candidate, entry.scores, entry.iteration, entry.rows, rank, difference)


def _record(entry: Entry, board: Leaderboard) -> dict[str, Any]:
    record: dict[str, Any] = {"rank": entry.rank, "candidate": entry.candidate.name}
    if entry.rows is not None:
        record |= {"iteration": entry.iteration, "rows": entry.rows}
    record |= {f"param.{name}": value for name, value in entry.candidate.params.items()}
    for metric in board.metrics:
        estimate = entry.estimate(metric)
        record |= {
            metric: entry.mean(metric),
            f"{metric}.std": entry.std(metric),
            f"{metric}.ci_low": estimate.low,
            f"{metric}.ci_high": estimate.high,
        }
    difference = entry.difference or FoldEstimate(math.nan)
    record |= {
        "difference": difference.value,
        "difference.ci_low": difference.low,
        "difference.ci_high": difference.high,
        "p_value": difference.p_value,
        "fit_seconds": entry.seconds,
    }
    folds = entry.values(board.metric)
    record |= {f"{board.metric}.fold{at}": value for at, value in enumerate(folds.tolist())}
    return {**record, "error": "; ".join(f"fold {n}: {e}" for n, e in entry.errors.items()) or None}
