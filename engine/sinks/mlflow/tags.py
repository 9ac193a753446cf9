"""The words that MLflow has of us: our tags, their lengths, and which runs are meant by them."""

from __future__ import annotations

PREFIX = "evalmatrix"
MAX_TAG = 5000
MAX_PARAM = 6000
MAX_RUN_NAME = 250

RunKey = tuple[str, str]
"""What an MLflow run is of: an evaluation, and one of its models or none."""


def key_of(evaluation: str, model: str = "") -> RunKey:
    """What a run is of, as its tags say it."""
    return evaluation[:MAX_TAG], model[:MAX_TAG]
