"""A model that tells where it is predicting; logged with its code, so that workers can load it."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

PATIENCE_SECONDS = 300.0


class Traveller(ClassifierMixin, BaseEstimator):
    """Scores by `f0`; notes where it is, and waits until the file `gate` is there.

    It has no `predict`, which the engine would look at before the scan.
    """

    def __init__(self, journal: str, gate: str | None = None) -> None:
        self.journal = journal
        self.gate = gate

    def fit(self, X: pd.DataFrame, y: Any) -> Traveller:  # noqa: N803
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.array(["f0"], dtype=object)
        self.n_features_in_ = 1
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        device = importlib.import_module("engine.models.flavors.device")
        note = {
            "pid": os.getpid(),
            "rows": len(X),
            "python": sys.executable,
            "engine": sys.modules["engine"].__file__,
            "code": __file__,
            "gpus": device.task_gpu(),
        }
        with Path(self.journal).open("a") as file:
            file.write(json.dumps(note) + "\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.gate and not Path(self.gate).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        score = 1 / (1 + np.exp(-1.5 * X["f0"].to_numpy(dtype=float)))
        return np.stack([1 - score, score], axis=1)
