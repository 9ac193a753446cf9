"""Kinds of tests, one file for each, which says all there is to say of it.

A new kind is a file here that registers itself, its test and its page in `docs/kinds/`; one from
outside does the same from a module that the suite names, or by the entry point `evalmatrix.kinds`.
"""

from __future__ import annotations

from engine.kinds import data_quality, metric, robustness  # noqa: F401
from engine.kinds.base import (
    CLEAN,
    KINDS,
    Context,
    Kind,
    KindFile,
    Section,
    Setting,
    key_in,
    kind_of,
    parameters_text,
    variants_of,
)
from engine.kinds.estimates import (
    NO_DIFFERENCE,
    Difference,
    Part,
    SliceEstimate,
    SliceEstimates,
    estimate_metric,
)
from engine.kinds.extensions import load_extensions

__all__ = [
    "CLEAN",
    "KINDS",
    "NO_DIFFERENCE",
    "Context",
    "Difference",
    "Kind",
    "KindFile",
    "Part",
    "Section",
    "Setting",
    "SliceEstimate",
    "SliceEstimates",
    "estimate_metric",
    "key_in",
    "kind_of",
    "load_extensions",
    "parameters_text",
    "variants_of",
]
