"""`speed`: how fast a model answers, alone or beside the baseline, and how much it takes."""

from __future__ import annotations

from engine.kinds.speed.kind import SpeedKind

__all__ = ["SpeedKind"]
