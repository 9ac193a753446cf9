"""Perturbations: changes of a model's input behind which it is tested, one file for each."""

from __future__ import annotations

from engine.kinds.perturbations import noise, step  # noqa: F401
from engine.kinds.perturbations.base import (
    PERTURBATIONS,
    SEVERITIES,
    Perturbation,
    normal_numbers,
    perturb,
    uniform_numbers,
    variant_stem,
)

__all__ = [
    "PERTURBATIONS",
    "SEVERITIES",
    "Perturbation",
    "normal_numbers",
    "perturb",
    "uniform_numbers",
    "variant_stem",
]
