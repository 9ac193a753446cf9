"""Models and tables that `init_suites.py` drafts suites from: the shipped ones, and one more.

Each has a champion, another model as good, and the champion with its weights shuffled. Rows are
drawn by a seed: those for the draft, and as many fresh ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engine.core.vocabulary import TaskKind
from engine.models import ModelRequest, load, resolve
from engine.models.artifact import read_artifact
from engine.models.log_model import FittedModel, log_model, training_run
from engine.training import train

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("diabetes_mlp", "digits_cnn")
FEATURES = ["country", "device", "age", "amount"]


@dataclass(frozen=True)
class World:
    """A table and models of it: `draw` gives rows for the draft and fresh ones, for a seed."""

    name: str
    champion: str
    good: str
    shuffled: str
    reference: pd.DataFrame
    draw: Callable[[int], tuple[pd.DataFrame, pd.DataFrame]]
    swap: Callable[[pd.DataFrame], pd.DataFrame]


def swap_columns(one: str, other: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A table in which two columns have each other's values."""
    return lambda rows: rows.assign(**{one: rows[other], other: rows[one]})


def turn_over(rows: pd.DataFrame) -> pd.DataFrame:
    """The lines of an image from the last to the first: of 64 columns two alone are hardly any."""
    lines = {f"pixel_{line}_{at}": (line, at) for line in range(8) for at in range(8)}
    return rows.assign(**{name: rows[f"pixel_{7 - y}_{x}"] for name, (y, x) in lines.items()})


def claims(rows: int, seed: int) -> pd.DataFrame:
    """Rows of strings, numbers and nulls, with a label that depends on all of them."""
    random = np.random.default_rng(seed)
    data = pd.DataFrame({
        "claim_id": np.arange(rows) + seed * 10_000_000,
        "country": random.choice(["DE", "FR", "NO", "on"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        "device": random.choice(["ios", "web"], rows),
        "age": random.integers(18, 80, rows).astype(float),
        "amount": np.exp(random.normal(4, 1, rows)),
        "note": [f"case {number}" for number in random.integers(0, 10**9, rows)],
    })  # fmt: skip
    signal = 0.04 * (data.age - 45) + 0.9 * (np.log(data.amount) - 4)
    signal += data.country.map({"DE": 0.5, "FR": -0.5, "NO": 1, "on": -1})
    signal += 0.6 * (data.device == "web")
    data["fraud"] = (1.3 * signal + 0.8 * random.logistic(size=rows) > 0.3).astype(int)
    data.loc[random.random(rows) < 0.08, "age"] = np.nan
    data.loc[random.random(rows) < 0.05, "country"] = None
    return data


def fit_claims(rows: pd.DataFrame, strength: float) -> Any:
    """A pipeline over strings, numbers and nulls."""
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore")
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    parts = [("texts", texts, FEATURES[:2]), ("numbers", numbers, FEATURES[2:])]
    pipeline = make_pipeline(ColumnTransformer(parts), LogisticRegression(C=strength))
    return pipeline.fit(rows[FEATURES], rows["fraud"])


def claims_world(folder: Path, rows: int = 2_000) -> World:
    """The pipeline that `init` has never seen."""
    training = claims(3_000, 1)
    models = {
        "champion": fit_claims(training, 1.0),
        "good": fit_claims(claims(3_000, 2), 0.3),
    }
    models["shuffled"] = shuffle(models["champion"], np.random.default_rng(0))
    for name, model in models.items():
        path = folder / "claims" / name
        if not path.exists():
            inputs = training[FEATURES]
            mlflow.sklearn.save_model(
                model,
                path,
                signature=infer_signature(inputs, model.predict(inputs)),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )

    def draw(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        return claims(rows, 100 + 2 * seed), claims(rows, 101 + 2 * seed)

    places = [str(folder / "claims" / name) for name in ("champion", "good", "shuffled")]
    return World("claims", *places, training, draw, swap_columns("age", "amount"))


SWAPS: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "breast_cancer_forest": swap_columns("worst_area", "worst_concave_points"),
    "diabetes_mlp": swap_columns("bmi", "s5"),
    "digits_forest": turn_over,
    "digits_cnn": turn_over,
}


def shipped_world(name: str, tracking_uri: str, folder: Path) -> World:
    """A shipped model, and it with another seed as good; its test rows are halved by the seed."""
    source = ROOT / "models" / name
    other = ["seed=7"] if name in NETWORKS else ["params.random_state=7"]
    first, second = (
        train(source, tracking_uri=tracking_uri, version="v1", overrides=seed, if_changed=True).uri
        for seed in ([], other)
    )
    tests = _read(source / "test_data")
    shuffled = _log_shuffled(first, tests, tracking_uri, folder)

    def draw(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        order = np.random.default_rng(seed).permutation(len(tests))
        half = len(tests) // 2
        return tests.iloc[order[:half]], tests.iloc[order[half : 2 * half]]

    return World(name, first, second, shuffled, _read(source / "reference_data"), draw, SWAPS[name])


def _read(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))])


def _log_shuffled(uri: str, rows: pd.DataFrame, tracking_uri: str, folder: Path) -> str:
    """The model with its weights in another order, logged as it was."""
    task = {"diabetes": TaskKind.REGRESSION, "breast": TaskKind.BINARY}
    kind = next((task[word] for word in task if word in uri), TaskKind.MULTICLASS)
    version = resolve(ModelRequest(uri, kind, tracking_uri, folder))
    artifact = read_artifact(version.path)
    native = shuffle(load(version).native, np.random.default_rng(0))
    example: Any = rows[list(version.features)].head(5).astype(float)
    if artifact.flavor == "tensorflow":
        example = example.to_numpy(np.float32).reshape(-1, 8, 8, 1)
    fitted = FittedModel(native, artifact.flavor, example, artifact.notes)
    with training_run(tracking_uri, "shuffled", version.name):
        return log_model(fitted, "shuffled")


def shuffle(native: Any, random: np.random.Generator) -> Any:
    """A copy of a model with each of its arrays of weights in any order."""
    if hasattr(native, "get_weights"):
        import keras

        twin = keras.models.clone_model(native)
        twin.set_weights([_any_order(weight, random) for weight in native.get_weights()])
        return twin
    twin = copy.deepcopy(native)
    if hasattr(twin, "parameters"):
        import torch

        with torch.no_grad():
            for weight in twin.parameters():
                weight.copy_(torch.from_numpy(_any_order(weight.numpy(), random)))
        return twin
    for tree in getattr(twin, "estimators_", []):
        tree.tree_.value[:] = random.permutation(tree.tree_.value, axis=0)
    if hasattr(twin, "steps"):
        twin[-1].coef_ = _any_order(twin[-1].coef_, random)
    return twin


def _any_order(weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return random.permutation(weights.ravel()).reshape(weights.shape)
