"""Perturbations: changes of a model's input behind which it is tested, one file for each."""

from __future__ import annotations

from engine.kinds.perturbations import (  # noqa: F401
    blur,
    brightness,
    case,
    contrast,
    dropped_words,
    gaussian_noise,
    missing,
    noise,
    occlusion,
    outliers,
    punctuation,
    rotation,
    scale,
    shift,
    shuffle,
    step,
    swap,
    typos,
)
from engine.kinds.perturbations.base import (
    PERTURBATIONS,
    SEVERITIES,
    WHOLE,
    Perturbation,
    changed_rows,
    normal_numbers,
    perturb,
    uniform_numbers,
    variant_stem,
)

__all__ = [
    "PERTURBATIONS",
    "SEVERITIES",
    "WHOLE",
    "Perturbation",
    "changed_rows",
    "normal_numbers",
    "perturb",
    "uniform_numbers",
    "variant_stem",
]
