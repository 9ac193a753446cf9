"""The data and the models of the benchmarks: generated, seeded, and of three costs."""

from __future__ import annotations

import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import yaml
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from engine.cli.app import configure_logging
from engine.spark.session import get_session

FEATURES = [f"f{number}" for number in range(20)]
SMALL = {"country": 6, "device": 3, "plan": 4, "age_band": 2}
LARGE = {"country": 25, "device": 6, "plan": 12, "age_band": 8}
METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
)
MODELS = {
    "logistic": lambda: LogisticRegression(max_iter=200),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
    "forest": lambda: RandomForestClassifier(n_estimators=100, max_depth=8, random_state=0),
}


def quiet_session(
    folder: str, java_memory: str | None = None
) -> tuple[SparkSession, Path, dict[str, Path]]:
    """A session that says nothing, the folder of a benchmark, and its models by name."""
    warnings.simplefilter("ignore")
    configure_logging()
    logging.getLogger("evalmatrix").setLevel(logging.WARNING)
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    extra = {"spark.driver.memory": java_memory} if java_memory else {}
    spark = get_session(log_file=place / "spark.log", extra=extra)
    return spark, place, make_models(place / "models")


@dataclass(frozen=True, slots=True)
class Size:
    """One point of the benchmark: how much of each of the four directions."""

    rows: int
    models: tuple[str, ...]
    slices: str
    tests: int


def make_rows(rows: int, levels: dict[str, int], seed: int = 0) -> pd.DataFrame:
    """Rows with twenty features, a label that depends on them, and four columns to slice by."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, len(FEATURES)))
    signal = features[:, :5] @ np.array([1.0, -0.8, 0.6, 0.4, -0.2]) + features[:, 5] ** 2 - 1
    data = pd.DataFrame(features, columns=FEATURES)
    for name, count in levels.items():
        data[name] = random.integers(0, count, rows).astype(str)
    data["label"] = (signal + random.logistic(size=rows) > 0).astype(np.int64)
    data["id"] = np.arange(rows)
    return data


def levels(slices: str) -> dict[str, int]:
    """How many values each slice column has: `large` gives some 1,100 slices, the others 80."""
    return LARGE if slices == "large" else SMALL


def slice_rules(slices: str) -> list[object]:
    """No slices, or all values and pairwise crosses of the four columns."""
    names = list(SMALL)
    if slices == "overall":
        return ["overall"]
    pairs = [[a, b] for place, a in enumerate(names) for b in names[place + 1 :]]
    return ["overall", *({"by": [name]} for name in names), *({"by": pair} for pair in pairs)]


def make_models(folder: Path) -> dict[str, Path]:
    """Trains each model on 20,000 rows of its own and saves it as an MLflow model."""
    data = make_rows(20_000, SMALL, seed=1)
    paths = {}
    for name, build in MODELS.items():
        paths[name] = folder / name
        if not paths[name].exists():
            model = build().fit(data[FEATURES], data["label"])
            mlflow.sklearn.save_model(
                model,
                paths[name],
                serialization_format="cloudpickle",
                signature=mlflow.models.infer_signature(data[FEATURES], data["label"]),
            )
    return paths


def make_table(spark: SparkSession, folder: Path, size: Size) -> str:
    """A Delta table of the size, made once."""
    kind = "large" if size.slices == "large" else "small"
    table = folder / f"rows-{size.rows}-{kind}"
    if not table.exists():
        files = folder / f"{table.name}.parquet"
        make_rows(size.rows, levels(size.slices)).to_parquet(files, index=False)
        spark.read.parquet(str(files)).write.format("delta").save(str(table))
        files.unlink()
    return str(table)


def write_suite(folder: Path, table: str, paths: dict[str, Path], size: Size) -> Path:
    """The suite of a size, with a store of its own."""
    store = Path(tempfile.mkdtemp(prefix="store-", dir=folder))
    evaluation = {
        "name": "bench",
        "dataset": {"delta": table, "task": "binary", "label": "label", "key": "id"},
        "models": [{"uri": str(paths[name]), "name": name} for name in size.models],
        "slices": slice_rules(size.slices),
        "tests": [{"metric": name} for name in METRICS[: size.tests]],
    }
    suite = {"name": "bench", "store": str(store), "evaluations": [evaluation]}
    path = folder / "suite.yml"
    path.write_text(yaml.safe_dump(suite))
    return path
