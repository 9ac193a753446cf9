"""What is told of how models are read, where nobody may have meant it."""

from __future__ import annotations

from collections.abc import Callable

from engine.planning import EvaluationPlan


def tell_of_readings(plan: EvaluationPlan, say: Callable[[str], None]) -> None:
    """Says what nobody may have meant: models that are not trusted, or decide by themselves, ..."""
    for model in plan.models:
        if model.refusal:
            say(f"{plan.name}: {model.name!r} is left out: {model.refusal}")
        if model.asked_twice:
            say(
                f"{plan.name}: {model.name!r} decides by its own predict, which need not be its "
                "largest score: each row is predicted for both"
            )
        if model.squashed:
            say(
                f"{plan.name}: {model.name!r} has a decision function and no probabilities; say "
                "output: logit where its values are log odds"
            )
