"""Metrics of predicted values whose loss has a sign or a side: logs, deviances, pinball.

References: scikit-learn's `mean_squared_log_error`, `root_mean_squared_log_error`,
`mean_tweedie_deviance` with its special cases, `d2_tweedie_score`, `mean_pinball_loss`. Where a row
has a target or a prediction for which the loss does not exist, the metric is undefined with the
reason "negative".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from engine.errors import InputError
from engine.metrics.base import METRICS, REGRESSION, Metric, Problem, mean, mean_of, pairs_of
from engine.metrics.basis import Averaged
from engine.metrics.regression import POSITIVE, ROOT, is_constant, target
from engine.metrics.values import Value
from engine.states import Bools, Family, Floats, Mean, MomentsView, Scored

BELOW_ONE = r"0\.[0-9]*[1-9][0-9]*"
POWER = r"-?[0-9]+(?:\.[0-9]+)?"
# Of terms that cancel to less than this share of them, the digits left are mostly rounding.
CANCELLED = 1e-12

Loss = Callable[[Floats, Floats], Floats]
Domain = Callable[[Floats, Floats], Bools]


def _within(name: str, domain: Domain, loss: Loss) -> Mean:
    """The moments of a loss of target and prediction, 0 for the rows where it does not exist."""

    def of_row(batch: Scored) -> Floats:
        truth, scores = _columns(batch)
        inside = domain(truth, scores)
        # 1 is in every domain.
        values = loss(np.where(inside, truth, 1.0), np.where(inside, scores, 1.0))
        return np.where(inside, values, 0.0)

    return Mean(name, of_row)


def _outside(domain: Domain) -> Mean:
    """The moments of the mark of the rows for which a loss does not exist."""
    return Mean(
        f"outside_{domain.__name__}",
        lambda batch: np.asarray(~domain(*_columns(batch)), np.float64),
    )


def _columns(batch: Scored) -> tuple[Floats, Floats]:
    assert batch.scores is not None, "needs predicted values"
    return np.asarray(batch.truth, np.float64), batch.scores


def logs_exist(truth: Floats, scores: Floats) -> Bools:
    """Of 1 + each."""
    return (truth > -1) & (scores > -1)


def all_exist(truth: Floats, scores: Floats) -> Bools:
    """Any numbers."""
    return np.ones(len(truth), bool)


def positive_predictions(truth: Floats, scores: Floats) -> Bools:
    """Of any targets."""
    return scores > 0


def positive_beside_zeros(truth: Floats, scores: Floats) -> Bools:
    """Predictions, and targets that may be 0."""
    return (truth >= 0) & (scores > 0)


def all_positive(truth: Floats, scores: Floats) -> Bools:
    """Targets and predictions."""
    return (truth > 0) & (scores > 0)


def _squared_log_error(truth: Floats, scores: Floats) -> Floats:
    gap: Floats = np.log1p(truth) - np.log1p(scores)
    return gap * gap


def _mean_within(problem: Problem, losses: MomentsView, outside: MomentsView) -> Value:
    return Value(losses.mean, _reasons(outside), basis=Averaged(losses))


def _root_within(problem: Problem, losses: MomentsView, outside: MomentsView) -> Value:
    mean_loss = _mean_within(problem, losses, outside)
    return replace(mean_loss, values=np.sqrt(mean_loss.values), map=ROOT)


def _reasons(outside: MomentsView) -> tuple[tuple[str, Bools], ...]:
    return (("zero_weight", outside.weight == 0), ("negative", outside.mean > 0))


def _loss_metric(name: str, loss: Mean, domain: Domain, summary: str) -> Metric:
    """The metric that is the mean of a loss within its domain."""
    return Metric(
        name,
        REGRESSION,
        lambda problem: (loss, _outside(domain)),
        _mean_within,
        higher_is_better=False,
        bounds=POSITIVE,
        summary=summary,
        paired=lambda problem: (pairs_of(loss),),
    )


def _register_logs() -> None:
    loss = _within("squared_log_error", logs_exist, _squared_log_error)
    summary = "The mean squared difference of the logs of 1 + prediction and 1 + target."
    squared = _loss_metric("mean_squared_log_error", loss, logs_exist, summary)
    METRICS.add(squared.name, squared, aliases=["msle"])
    root = replace(
        squared,
        name="root_mean_squared_log_error",
        function=_root_within,
        summary="The square root of the mean squared log error.",
        paired=None,
    )
    METRICS.add(root.name, root, aliases=["rmsle"])


_register_logs()


def deviance(power: float, truth: Floats, scores: Floats) -> Floats:
    """The unit deviance of Tweedie's distributions (Jørgensen 1987), [rows]."""
    loss: Floats
    if power == 0:
        loss = (truth - scores) ** 2
    elif power == 1:
        loss = 2 * (truth * np.log(np.where(truth > 0, truth / scores, 1.0)) - truth + scores)
    elif power == 2:
        loss = 2 * (np.log(scores / truth) + truth / scores - 1)
    else:
        of_both = truth * scores ** (1 - power) / (1 - power)
        of_scores = scores ** (2 - power) / (2 - power)
        loss = 2 * (half_of_target(power, truth) - of_both + of_scores)
    return loss


def half_of_target(power: float, truth: Floats) -> Floats:
    """The part of half the unit deviance that the target alone makes.

    The mean deviance from the targets' own mean m is 2 (mean of this - this of m).
    """
    part: Floats
    if power == 1:
        part = truth * np.log(np.where(truth > 0, truth, 1.0))
    elif power == 2:
        part = -np.log(truth)
    else:
        base = np.maximum(truth, 0.0) if power < 0 else truth
        part = base ** (2 - power) / ((1 - power) * (2 - power))
    return part


def _deviance(text: str) -> tuple[float, Mean, Domain]:
    """The power that a metric's name ends in, the family of its deviance, and its domain."""
    power = float(text)
    if 0 < power < 1:
        raise InputError(f"no Tweedie deviance has a power between 0 and 1, found {text}")
    domain = all_positive if power >= 2 else positive_beside_zeros
    if power <= 0:
        domain = positive_predictions if power < 0 else all_exist
    return power, _within(f"deviance_{power:g}", domain, partial(deviance, power)), domain


def _tweedie(power: str) -> Metric:
    """The metric `mean_tweedie_deviance_<power>`."""
    _, loss, domain = _deviance(power)
    name = f"mean_tweedie_deviance_{power}"
    return _loss_metric(name, loss, domain, f"The mean Tweedie deviance of power {power}.")


def _register_deviances() -> None:
    METRICS.add_pattern(rf"mean_tweedie_deviance_(?P<power>{POWER})", _tweedie)
    for kind, power in (("poisson", "1"), ("gamma", "2")):
        name, summary = f"mean_{kind}_deviance", f"The mean {kind} deviance."
        METRICS.add(name, replace(_tweedie(power), name=name, summary=summary))


_register_deviances()


def _d2_tweedie(power: str) -> Metric:
    """The metric `d2_tweedie_<power>`."""
    number, loss, domain = _deviance(power)

    def needs(problem: Problem) -> tuple[Family, ...]:
        own = _within(
            f"half_deviance_{number:g}", domain, lambda truth, _: half_of_target(number, truth)
        )
        return loss, _outside(domain), mean(target, problem), own

    return Metric(
        f"d2_tweedie_{power}",
        REGRESSION,
        needs,
        partial(_explained_deviance, number),
        bounds=(-np.inf, 1.0),
        summary=f"The share of the Tweedie deviance of power {power} that is explained.",
    )


def _explained_deviance(
    power: float, problem: Problem, losses: MomentsView, outside: MomentsView, *moments: MomentsView
) -> Value:
    """1 less the ratio of the mean deviance to that from the targets' mean."""
    targets, own = moments
    if power == 0:
        around_mean = targets.m2 / targets.weight
        cancelled = np.zeros(len(around_mean), bool)
    else:
        around_mean = 2 * (own.mean - half_of_target(power, targets.mean))
        cancelled = around_mean <= CANCELLED * np.abs(own.mean)
    constant = is_constant(targets) | cancelled
    # The mean must be a prediction that the deviance allows; only targets below 0 prevent it.
    below = (targets.mean <= 0) & (power < 0)
    undefined = (*_reasons(outside), ("negative", below), ("constant", constant))
    return Value(1 - losses.mean / np.where(constant, np.nan, around_mean), undefined)


METRICS.add_pattern(rf"d2_tweedie(?:_score)?_(?P<power>{POWER})", _d2_tweedie)


def pinball_family(alpha: str) -> Mean:
    """The moments of the pinball loss (Koenker and Bassett 1978)."""
    share = float(alpha)

    def loss(truth: Floats, scores: Floats) -> Floats:
        gap = truth - scores
        return np.where(gap >= 0, share * gap, (share - 1) * gap)

    return _within(f"pinball_{share!r}", all_exist, loss)


def _pinball(alpha: str) -> Metric:
    """The metric `mean_pinball_loss_<alpha>`."""
    family = pinball_family(alpha)
    return Metric(
        f"mean_pinball_loss_{alpha}",
        REGRESSION,
        lambda problem: (family,),
        mean_of,
        higher_is_better=False,
        bounds=POSITIVE,
        summary=f"The mean pinball loss of predictions that are to be the {alpha} quantile.",
        paired=lambda problem: (pairs_of(family),),
    )


METRICS.add_pattern(rf"mean_pinball_loss_(?P<alpha>{BELOW_ONE})", _pinball)
