"""`contract`: does a model behave as a component? A check a cell, with the input that breaks it."""

from __future__ import annotations

from engine.kinds.contract.kind import ContractKind

__all__ = ["ContractKind"]
