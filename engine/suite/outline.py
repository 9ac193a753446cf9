"""What a resolved suite says of where its runs are, without a look at what it demands of models.

A run of long ago may name a plugin that is gone or a metric of another version, and is still
where it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from engine.suite.yaml_document import SuiteLoader


@dataclass(frozen=True, slots=True)
class Outline:
    """The suite's name, its evaluations by name, and MLflow's place where the suite names one."""

    name: str
    evaluations: tuple[str, ...]
    tracking_uri: str | None


def outline(text: str) -> Outline:
    """Reads what `dump_suite` wrote."""
    data = yaml.load(text, SuiteLoader)
    return Outline(
        name=data["name"],
        evaluations=tuple(evaluation["name"] for evaluation in data["evaluations"]),
        tracking_uri=data.get("mlflow", {}).get("tracking_uri"),
    )
