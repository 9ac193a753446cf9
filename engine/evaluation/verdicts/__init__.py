"""Verdicts: what a test says of a value, and what all of them decide together.

A verdict is decided by the value's interval, its error bound included: what chance or
approximation can have cost must not change it. Undefined never passes. Where many slices are
judged at once, a failure must be sure enough for that many. The gate counts what was not decided,
and says so.
"""

from __future__ import annotations

from engine.evaluation.verdicts.correction import CorrectedVerdicts, Correction, correct_verdicts
from engine.evaluation.verdicts.decide import decide, is_decided_by_point
from engine.evaluation.verdicts.gate import counts_for_model, gate, gate_of_verdicts

__all__ = [
    "CorrectedVerdicts",
    "Correction",
    "correct_verdicts",
    "counts_for_model",
    "decide",
    "gate",
    "gate_of_verdicts",
    "is_decided_by_point",
]
