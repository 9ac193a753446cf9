"""Makes every CSV file that the models are shipped with, from scikit-learn's bundled data sets.

    python data/make_data.py [ROOT]

writes the files of all model folders below ROOT (default: `models`), the same bytes each time.
`train_data` holds a whole set, of which the training holds rows out by the split that stands in
the model's config; `test_data` holds exactly these rows, so that no model is evaluated on what it
was trained on, and `reference_data` the others, on which it was. The test rows come in two parts:
part-0 is version 0 of the dataset, part-1 is what version 1 adds. Their `id` is the row's number in
the whole set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split

SEED = 42


@dataclass(frozen=True)
class Shipped:
    """A model folder's data: the whole set, its rows by their use, and how many are in part-0."""

    model: str
    file: str
    whole: pd.DataFrame
    test: pd.DataFrame
    training: pd.DataFrame
    first_part: int


def shipped_sets() -> Iterator[Shipped]:
    """Yields what is shipped for each model folder."""
    cancer = load_breast_cancer(as_frame=True).frame
    cancer.columns = [name.replace(" ", "_") for name in cancer.columns]
    yield Shipped("breast_cancer_forest", "breast_cancer", cancer, *_by_use(cancer, 0.2), 60)

    diabetes = load_diabetes(as_frame=True, scaled=False).frame
    diabetes = diabetes.rename(columns={"target": "progression"})
    yield Shipped("diabetes_mlp", "diabetes", diabetes, *_by_use(diabetes, 0.5), 120)

    digits = load_digits(as_frame=True).frame.astype(int).rename(columns={"target": "digit"})
    by_use = _by_use(digits, 0.5, stratify=digits["digit"])
    pixels = [name for name in digits.columns if name.startswith("pixel")]
    # A column to slice by that is no input: how much ink the image has, from 0 to 16.
    for rows in by_use:
        rows.insert(len(rows.columns) - 1, "ink", rows[pixels].mean(axis=1).round(3))
    for model in ("digits_cnn", "digits_forest"):
        yield Shipped(model, "digits", digits, *by_use, 500)


def _by_use(
    whole: pd.DataFrame, share: float, stratify: pd.Series | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that training holds out, and the others; each in the order of the whole set."""
    training, test = train_test_split(
        np.arange(len(whole)), test_size=share, random_state=SEED, stratify=stratify
    )
    return _rows_of(whole, test), _rows_of(whole, training)


def _rows_of(whole: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    places = np.sort(places)
    rows = whole.iloc[places].copy()
    rows.insert(0, "id", places)
    return rows


def write(root: Path) -> list[Path]:
    """Writes all files below `root`, and returns their paths."""
    written = []
    for shipped in shipped_sets():
        parts = {
            f"train_data/{shipped.file}.csv": shipped.whole,
            "test_data/part-0.csv": shipped.test.iloc[: shipped.first_part],
            "test_data/part-1.csv": shipped.test.iloc[shipped.first_part :],
            f"reference_data/{shipped.file}.csv": shipped.training,
        }
        for name, rows in parts.items():
            path = root / shipped.model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.to_csv(path, index=False, lineterminator="\n")
            written.append(path)
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "models"
    for path in write(target):
        sys.stdout.write(f"{path}\n")
