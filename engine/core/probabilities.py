"""How far a number may be from a probability, and still be one but for rounding."""

from __future__ import annotations

# What is further beyond 0 or 1 is no matter of rounding.
CLIP_TOLERANCE = 1e-4
# Of float32 probabilities of thousands of classes, no sum is further from 1.
SUM_TOLERANCE = 1e-3
