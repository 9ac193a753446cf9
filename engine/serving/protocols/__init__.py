"""The protocols that servers of models speak, one file for each family.

A new one is a class with a `write` and a `read` that registers itself in `PROTOCOLS`; from outside
the same by the entry point `evalmatrix.protocols`.
"""

from __future__ import annotations

from engine.serving.protocols import clouds, kserve, mlflow, open_inference  # noqa: F401
from engine.serving.protocols.base import PROTOCOLS, Protocol, plain_predictions

__all__ = ["PROTOCOLS", "Protocol", "plain_predictions"]
