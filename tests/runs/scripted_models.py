"""Models that misbehave as they are told; logged with their code, so that workers can load them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

SCALE = 1.5


class Scripted(ClassifierMixin, BaseEstimator):
    """Scores by `f0` alone; `behaviour` says what goes wrong where `f1` is above `limit`.

    The journal is a file of the folder EVALMATRIX_TEST_JOURNALS. A command in a file beside it is
    run once, in the middle of a scan.
    """

    def __init__(self, journal: str, behaviour: str = "good", limit: float = 1e9) -> None:
        self.journal = journal
        self.behaviour = behaviour
        self.limit = limit

    def fit(self, X: pd.DataFrame, y: Any) -> Scripted:  # noqa: N803
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.array(["f0", "f1"], dtype=object)
        self.n_features_in_ = 2
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        journal = Path(os.environ["EVALMATRIX_TEST_JOURNALS"], self.journal)
        with journal.open("a") as file:
            file.write(f"{len(X)}\n")
        hook = journal.with_suffix(".hook")
        if hook.exists():
            command = hook.read_text()
            hook.unlink()
            subprocess.run(["sh", "-c", command], check=False)
        if self.behaviour == "slow" and not journal.with_suffix(".quick").exists():
            time.sleep(120)
        score = 1 / (1 + np.exp(-SCALE * X["f0"].to_numpy(dtype=float)))
        beyond = X["f1"].to_numpy(dtype=float) > self.limit
        if beyond.any() and self.behaviour == "raise":
            raise ValueError("f1 is out of the range that I know")
        if self.behaviour == "nan":
            score[beyond] = np.nan
        return np.stack([1 - score, score], axis=1)

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        threshold = 0.2 if self.behaviour == "cautious" else 0.5
        return (self.predict_proba(X)[:, 1] > threshold).astype(int)
