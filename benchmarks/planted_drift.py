"""Tables that have moved from their reference beside such that have not, for `planted.py`.

`DRIFT` has the arguments of its cases, by kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from one_process import LABEL, Bench, Lab
from sklearn.linear_model import LinearRegression, LogisticRegression

NUMBERS = ["a", "b"]
ROWS = 1000
CORRELATION = 0.8
# So many standard deviations further.
MOVED = 0.7


def pairs(tag: int, seed: int, correlation: float = CORRELATION, moved: float = 0.0) -> Any:
    """Two columns of mean 0 and variance 1, and a label that is their sum or its sign."""
    rng = np.random.default_rng([20_261_130, 10, tag, seed])
    a, noise = rng.normal(size=(2, ROWS))
    b = correlation * a + np.sqrt(1 - correlation**2) * noise
    target = a + 0.5 * b + rng.normal(size=ROWS)
    columns = {"a": a + moved, "b": b, LABEL: target, "key": np.arange(ROWS)}
    return pd.DataFrame(columns)


def with_classes(frame: Any) -> Any:
    return frame.assign(**{LABEL: (frame[LABEL] > 0).astype(int)})


def classifier(lab: Lab) -> Any:
    """A logistic regression of both columns."""
    train = with_classes(pairs(0, 0))
    return lab.model(
        "drift-classes", lambda: LogisticRegression().fit(train[NUMBERS], train[LABEL]), NUMBERS,
        (0, 1),
    )  # fmt: skip


def on_classes(moved: float = 0.0, correlation: float = CORRELATION) -> Any:
    """A classifier on rows that have moved, or have not."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        far = {"moved": moved, "correlation": correlation} if defect else {}
        rows = with_classes(pairs(1, seed, **far))
        return Bench([classifier(lab)], rows, with_classes(pairs(2, seed)))

    return bench


def on_values(lab: Lab, defect: bool, seed: int) -> Bench:
    """A regression on rows that have moved, or have not."""
    train = pairs(0, 0)
    model = lab.model(
        "drift-values", lambda: LinearRegression().fit(train[NUMBERS], train[LABEL]), NUMBERS, ()
    )
    return Bench([model], pairs(1, seed, moved=MOVED if defect else 0.0), pairs(2, seed))


SAME = "another sample of the same population"
SHIFT = f"a column moved by {MOVED} standard deviations"
DRIFT: dict[str, list[tuple[Any, ...]]] = {
    "drift": [
        (
            {"drift": "psi", "columns": ["a"]}, ("max", 0.1), on_classes(MOVED), SHIFT, SAME, None,
        ),
        (
            {"drift": "domain_classifier", "columns": NUMBERS}, ("max", 0.6),
            on_classes(correlation=-CORRELATION),
            "a correlation that has turned, which no column shows by itself", SAME,
        ),
    ],
    "prediction_drift": [
        ({"prediction_drift": "psi"}, ("max", 0.1), on_classes(MOVED), SHIFT, SAME, None),
        (
            {"prediction_drift": "wasserstein"}, ("max", 0.2), on_values,
            f"{SHIFT} (regression)", SAME,
        ),
    ],
}  # fmt: skip
