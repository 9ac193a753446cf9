"""A random forest, as scikit-learn makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.ensemble import RandomForestClassifier


def build(params: Mapping[str, Any]) -> RandomForestClassifier:
    """Makes the forest; it is fitted by its own `fit`."""
    return RandomForestClassifier(**params)
