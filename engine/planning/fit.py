"""Which tests make sense for the models, the task and the data at hand."""

from __future__ import annotations

from engine.errors import InputError
from engine.kinds import kind_of
from engine.planning.plan import EvaluationPlan


def check_fit(plan: EvaluationPlan) -> None:
    """Refuses tests that make no sense for the models and the data at hand.

    Raises:
        InputError: when a metric needs scores of a model that gives labels only, names a class
            that does not exist, or has a margin of the wrong direction; all of these at once.
    """
    setting = plan.setting
    mistakes = [
        f"evaluation {plan.name!r}: test {test.name!r}: {text}"
        for test in plan.tests
        for text in kind_of(test).misfits(test, setting)
    ]
    if mistakes:
        raise InputError("\n".join(mistakes))
