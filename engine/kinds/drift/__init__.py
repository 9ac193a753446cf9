"""`drift`: is it still the same population? Distances of distributions from the reference's.

Bins are of the reference alone and stand in the plan, counts over them are states that add up, and
the distances with their intervals are statistics of both samples' counts.
"""

from __future__ import annotations

from engine.kinds.drift.bins import (
    BINS,
    PARTS,
    bins_of_numbers,
    bins_of_values,
)
from engine.kinds.drift.distances import DISTANCES, column_class
from engine.kinds.drift.kind import DriftKind
from engine.kinds.drift.predictions import PredictionDriftKind

__all__ = [
    "BINS",
    "DISTANCES",
    "PARTS",
    "DriftKind",
    "PredictionDriftKind",
    "bins_of_numbers",
    "bins_of_values",
    "column_class",
]
