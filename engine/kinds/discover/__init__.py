"""`discover`: slices that nobody listed, searched on one half of the rows, tested on the other."""

from __future__ import annotations

from engine.kinds.discover.kind import DiscoverKind

__all__ = ["DiscoverKind"]
