"""What users bring: metrics, conditions, kinds of tests and perturbations of their own."""

from __future__ import annotations

from collections.abc import Iterable

from engine.conditions import CONDITIONS
from engine.kinds.base import KINDS
from engine.kinds.perturbations import PERTURBATIONS
from engine.metrics import METRICS


def load_extensions(modules: Iterable[str] = ()) -> None:
    """Imports the modules of a suite, which register what they bring, and all entry points.

    Raises:
        InputError: when one of them cannot be imported.
    """
    METRICS.load(modules)
    for registry in (CONDITIONS, KINDS, PERTURBATIONS):
        registry.load()
