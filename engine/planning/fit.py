"""Which tests make sense for the models, the task and the data at hand."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.registry import did_you_mean
from engine.core.vocabulary import ModelTest
from engine.errors import InputError
from engine.kinds import Setting, kind_of
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
        for text in (*_missing_columns(test, setting), *kind_of(test).misfits(test, setting))
    ]
    if mistakes:
        raise InputError("\n".join(mistakes))


def _missing_columns(test: ModelTest, setting: Setting) -> Iterator[str]:
    """The columns of which a test asks states and that the dataset lacks."""
    for family in kind_of(test).column_families(test):
        if family.column not in setting.types:
            hint = did_you_mean(family.column, setting.types)
            yield f"the dataset has no column {family.column!r}{hint}"
