"""Models that do to their process what they are told; logged with their code."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin


class Wild(ClassifierMixin, BaseEstimator):
    """Scores by `f0` alone; `kind` says what it does where `f1` is above 2.5, in a few rows."""

    def __init__(self, kind: str = "") -> None:
        self.kind = kind

    def fit(self, X: pd.DataFrame, y: Any) -> Wild:  # noqa: N803
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.array(["f0", "f1"], dtype=object)
        self.n_features_in_ = 2
        return self

    def predict_proba(self, X: pd.DataFrame) -> Any:  # noqa: N803
        score = 1 / (1 + np.exp(-1.5 * X["f0"].to_numpy(dtype=float)))
        far = X["f1"].to_numpy(dtype=float) > 2.5
        found = np.stack([1 - score, score], axis=1)
        return getattr(self, f"_{self.kind}")(found, far) if self.kind and far.any() else found

    def _raises(self, found: np.ndarray, far: np.ndarray) -> Any:
        raise ValueError("out of range")

    def _nan(self, found: np.ndarray, far: np.ndarray) -> Any:
        found[far] = np.nan
        return found

    def _noisy(self, found: np.ndarray, far: np.ndarray) -> Any:
        chance = np.random.default_rng().uniform(0, 0.1, size=len(found))
        score = 0.9 * found[:, 1] + chance
        return np.stack([1 - score, score], axis=1)

    def _shape(self, found: np.ndarray, far: np.ndarray) -> Any:
        return found[:-1]

    def _huge(self, found: np.ndarray, far: np.ndarray) -> Any:
        # 4 TB to look at, and no bytes at all.
        return np.broadcast_to(0.5, (len(found), 5_000_000_000))

    def _text(self, found: np.ndarray, far: np.ndarray) -> Any:
        return np.array([["x" * 2_000_000] * 2] * len(found), dtype=object)

    def _exits(self, found: np.ndarray, far: np.ndarray) -> Any:
        os._exit(7)

    def _hangs(self, found: np.ndarray, far: np.ndarray) -> Any:
        time.sleep(600)

    def _eats(self, found: np.ndarray, far: np.ndarray) -> Any:
        held = [np.ones(2**27)]  # a GiB each
        while len(held) < 64:
            held.append(np.ones(2**27))
        return found

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)
