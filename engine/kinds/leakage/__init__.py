"""`leakage`: do the test data stand in the training data? One class for each check."""

from __future__ import annotations

from engine.kinds.leakage.kind import MAX_ROWS, LeakageKind

__all__ = ["MAX_ROWS", "LeakageKind"]
