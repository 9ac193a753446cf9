"""How close made rows are to their source, what models learn of them, and what making them costs.

Each source is held beside made rows and beside its own other half, and a classifier is trained on
made rows and on as many real ones, and tested on real rows that neither has seen. `--write` puts
the tables into the page; `--rows` makes so many rows of 40 columns and says what that took.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from rates import table, with_table
from run import core_seconds
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from engine import generate
from engine.data.generation.closeness import compare, halves
from engine.data.generation.fit import Settings, fit
from engine.data.generation.maker import Maker

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "generation.md"
BEGIN = {
    name: f"<!-- begin: benchmarks/closeness.py {name} -->" for name in ("closeness", "models")
}
SEEDS = 8


@dataclass(frozen=True)
class SourceCase:
    """A table with a label, and the models that are trained on it and on made rows."""

    name: str
    frame: pd.DataFrame
    label: str
    models: dict[str, Callable[[], Any]]
    score: Callable[[Any, pd.DataFrame, pd.Series], float]
    figure: str


def area(model: Any, rows: pd.DataFrame, label: pd.Series) -> float:
    return float(roc_auc_score(label, model.predict_proba(rows)[:, 1]))


def explained(model: Any, rows: pd.DataFrame, label: pd.Series) -> float:
    return float(r2_score(label, model.predict(rows)))


def mixed_table(rows: int, seed: int = 1) -> pd.DataFrame:
    """40 columns of all types that depend on four hidden numbers, and a label of these."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 4))
    columns: dict[str, Any] = {}
    for n in range(20):
        own = hidden[:, n % 4] + rng.normal(size=rows)
        columns[f"n{n}"] = np.exp(own / 2) if n % 3 == 0 else np.round(own, 2)
    for n in range(8):
        columns[f"i{n}"] = rng.poisson(np.exp(0.4 * hidden[:, n % 4] + 1))
    for n in range(4):
        columns[f"b{n}"] = hidden[:, n] + rng.normal(size=rows) > 1.5
    for n in range(6):
        own = hidden[:, n % 4] + rng.normal(size=rows)
        columns[f"c{n}"] = np.array(list("cadb"))[np.digitize(own, [-0.7, 0.0, 1.8])]
    days = rng.integers(0, 700, rows).astype("timedelta64[D]")
    columns["day"] = (np.datetime64("2024-01-01") + days).astype("datetime64[us]")
    frame = pd.DataFrame(columns)
    for n in range(5):
        frame.loc[hidden[:, n % 4] + rng.normal(size=rows) > 2, f"n{n}"] = np.nan
    frame["y"] = (hidden.sum(axis=1) + rng.normal(size=rows) > 1).astype(int)
    return frame


def trees_of_all() -> Any:
    """Boosted trees, which take texts as numbers and nulls as they are."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(encoder, HistGradientBoostingClassifier(random_state=0))


def cases() -> Iterator[SourceCase]:
    cancer = datasets.load_breast_cancer(as_frame=True).frame
    linear = lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))  # noqa: E731
    forest = lambda: RandomForestClassifier(200, random_state=0)  # noqa: E731
    yield SourceCase(
        "breast cancer (569 x 31)", cancer, "target",
        {"logistic regression": linear, "random forest": forest}, area, "AUC",
    )  # fmt: skip
    diabetes = datasets.load_diabetes(as_frame=True, scaled=False).frame
    yield SourceCase(
        "diabetes (442 x 11)", diabetes, "target", {"linear regression": LinearRegression},
        explained, "R2",
    )  # fmt: skip
    mixed = mixed_table(200_000)
    yield SourceCase(
        "mixed (200,000 x 40)", mixed, "y", {"boosted trees": trees_of_all}, area, "AUC"
    )


def closeness_rows(case: SourceCase) -> Iterator[list[str]]:
    source = pa.Table.from_pandas(case.frame, preserve_index=False)
    started = time.process_time()
    population = fit(source, Settings(label=case.label))
    fitted = time.process_time() - started
    made = Maker(population, 1, max(source.num_rows, 5000), {}).sample(7)
    made = made.slice(0, max(source.num_rows, 1000))
    for name, own in (("made", compare(source, made)), ("two halves of it", halves(source))):
        said = own.summary()
        worst = f"{said['columns, worst']:.3f}", f"{said['pairs, worst']:.3f}"
        area_text = "–" if own.area is None else f"{own.area:.3f} ± {1.96 * (own.area_se or 0):.3f}"
        yield [
            case.name if name == "made" else "", name, f"{said['columns, mean']:.3f}", worst[0],
            f"{said['pairs, mean']:.3f}", worst[1], area_text,
            f"{fitted:.1f} s" if name == "made" else "",
        ]  # fmt: skip


def model_rows(case: SourceCase) -> Iterator[list[str]]:
    seeds = SEEDS if len(case.frame) < 10_000 else 2
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in case.models}
    for seed in range(seeds):
        classes = case.frame[case.label] if case.figure == "AUC" else None
        train, test = train_test_split(
            case.frame, test_size=0.3, random_state=seed, stratify=classes
        )
        source = pa.Table.from_pandas(train, preserve_index=False)
        population = fit(source, Settings(label=case.label))
        rows = max(len(train), 2000)
        made = pa.Table.from_batches(Maker(population, seed, rows, {}).batches()).to_pandas()
        for name, model in case.models.items():
            scores = []
            for frame in (train, made):
                inputs, label = frame.drop(columns=case.label), frame[case.label]
                fitted = model().fit(inputs, label)
                scores.append(case.score(fitted, test.drop(columns=case.label), test[case.label]))
            figures[name].append((scores[0], scores[1]))
    for name, pairs in figures.items():
        real, made_score = np.mean(pairs, axis=0)
        yield [
            case.name, name, case.figure, f"{real:.4f}", f"{made_score:.4f}",
            f"{made_score - real:+.4f}", str(seeds),
        ]  # fmt: skip


def make_many(rows: int) -> None:
    """Makes a table of 40 columns, and says what it took beside the bytes that it has."""
    folder = Path(tempfile.mkdtemp(dir=ROOT / "build"))
    source = pa.Table.from_pandas(mixed_table(200_000), preserve_index=False)
    write_deltalake(str(folder / "source"), source)
    process = psutil.Process()
    before, started, cpu = process.memory_info().rss, time.perf_counter(), core_seconds()
    recipe = {"label": "y", "closeness": False}
    generate(recipe, data=str(folder / "source"), rows=rows, out=str(folder / "made"))
    taken, cores = time.perf_counter() - started, core_seconds() - cpu
    size = sum(DeltaTable(str(folder / "made")).get_add_actions()["size_bytes"].to_pylist())
    peak = _peak_mib()
    print(
        f"{rows:,} rows x 40: {taken:.0f} s, {cores:.0f} core-s, {size / 2**20:,.0f} MiB in Delta; "
        f"memory {before / 2**20:,.0f} MiB before, {peak:,.0f} MiB at most"
    )
    shutil.rmtree(folder)


def _peak_mib() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into the page")
    parser.add_argument("--rows", type=int, help="make so many rows instead")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.rows:
        (ROOT / "build").mkdir(exist_ok=True)
        make_many(chosen.rows)
        return
    similar, learned = [], []
    for case in cases():
        similar += closeness_rows(case)
        learned += model_rows(case)
    columns = ["source", "beside", "columns, mean", "worst", "pairs, mean", "worst", "AUC",
               "fitted in"]  # fmt: skip
    bodies = {
        "closeness": "\n".join(table(columns, similar)),
        "models": "\n".join(
            table(["source", "model", "figure", "trained on real rows", "on made rows",
                   "difference", "splits"], learned)
        ),
    }  # fmt: skip
    for name, body in bodies.items():
        print(body, end="\n\n", flush=True)
        if chosen.write:
            text = with_table(PAGE.read_text(encoding="utf-8"), BEGIN[name], body)
            PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
