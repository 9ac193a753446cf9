"""Whether what `generate` plants is found by the kind of test made for it, at its size.

Samples with all effects planted, and samples with the same columns and none, each beside its own
reference: a slice each of two tables, which a run evaluates. Printed are how often an effect is
found (FAIL), how often the interval holds the figure of the answer (or the count is the same), and
how often a sound sample is accused.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from rates import table, with_table

from engine.commands.run import run
from engine.data.generation.make import Generated, make
from engine.data.generation.recipe import read_recipe
from engine.spark.lazy_session import LazySession

PAGE = Path(__file__).resolve().parent.parent / "docs" / "generation.md"
BEGIN = "<!-- begin: benchmarks/planted_answers.py -->"
ROWS = 2000
POPULATION = {
    "columns": {
        "x": {"normal": [0.0, 1.0]},
        "z": {"normal": [5.0, 2.0]},
        "v": {"uniform": [0.0, 1.0]},
        "c": {"categories": {"a": 0.5, "b": 0.3, "d": 0.2}},
        "w": {"uniform": [10.0, 20.0]},
    },
    "target": {"name": "y", "weights": {"v": 4.0}, "intercept": -2.5},
}
WEAK = {"where": {"c": "d"}, "otherwise": 0.1}
PLANTS: dict[str, dict[str, Any]] = {
    "a column moved by half a standard deviation": {"drift": {"column": "x", "shift": 0.5}},
    "a quarter of a column is one value": {"drift": {"column": "c", "share": 0.25, "to": "b"}},
    "nulls in 2 % of a column": {"broken": {"column": "z", "share": 0.02}},
    "2 % of a column in another unit": {"broken": {"column": "w", "share": 0.02, "factor": 100.0}},
    "another label in 10 % of the rows": {"label_noise": {"share": 0.1, "keep": "clean"}},
    "a column that is the label in 90 % of the rows": {"leakage": {"column": "s", "share": 0.9}},
    "a slice with an error of 0.3, others 0.1": {"weak_slice": {**WEAK, "error": 0.3}},
    "20 rows of the reference": {"leakage": {"rows": 20}},
    "20 rows twice": {"duplicates": {"rows": 20}},
}
# The same columns without effects; a label in disguise is none where it is drawn by chance.
SOUND = [
    {"label_noise": {"share": 0.0, "keep": "clean"}},
    {"leakage": {"column": "s", "share": 0.0}},
    {"weak_slice": {**WEAK, "error": 0.1}},
]
# What is asked of the weak slice: the kind that finds slices by itself is tried by `planted.py`.
WEAK_TEST = {"metric": "accuracy", "min": 0.8, "slices": ["weak"]}


@contextmanager
def no_progress(text: str, rows: int) -> Iterator[Callable[[int], None]]:
    yield lambda more: None


def sample(folder: Path, seed: int, plants: list[dict[str, Any]]) -> Generated:
    recipe = {
        "out": str(folder / "sample"), "reference": str(folder / "sample-reference"), "rows": ROWS,
        "seed": seed, "key": "id", "population": POPULATION, "plant": plants,
    }  # fmt: skip
    return make(LazySession(), read_recipe(recipe), no_progress)


def samples(folder: Path, name: str, plants: list[dict[str, Any]], seeds: range) -> Generated:
    """Tables of all samples, `name` and `name-reference`; and what is known of the last."""
    parts: dict[str, list[pd.DataFrame]] = {"": [], "-reference": []}
    for seed in seeds:
        generated = sample(folder, seed * 2, plants)
        for suffix, frames in parts.items():
            rows = DeltaTable(str(folder / f"sample{suffix}")).to_pandas()
            frames.append(rows.assign(sample=f"s{seed}", id=rows["id"] + seed * ROWS))
    for suffix, frames in parts.items():
        rows = pa.Table.from_pandas(pd.concat(frames), preserve_index=False)
        write_deltalake(str(folder / f"{name}{suffix}"), rows)
    return generated


def suite_of(folder: Path, name: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    evaluation = {
        "name": name,
        "dataset": {"delta": str(folder / name), "task": "binary", "label": "y", "key": "id"},
        "reference": {"delta": str(folder / f"{name}-reference")},
        "models": [{"name": "truth", "predicted": "clean"},
                   {"name": "planted", "predicted": "predicted"}],
        "slices": [{"by": ["sample"], "name": "sample"},
                   {"by": ["sample", "c"], "name": "weak"}],
        "tests": tests,
    }  # fmt: skip
    return {"name": name, "store": str(folder / "store"), "evaluations": [evaluation]}


def tests_of(generated: Generated) -> dict[str, tuple[dict[str, Any], dict[str, float]]]:
    """A test for each plant, by the plant's words, and the figures that it is to find."""
    tests = {}
    # They stand in the order in which they are planted.
    for words, item in zip(PLANTS, generated.planted, strict=True):
        own = {**item.answer.test, "slices": ["sample"]}
        asked = WEAK_TEST if "weak_slice" in item.plant else own
        tests[words] = ({**asked, "name": words}, dict(item.answer.finds))
    return tests


def cells_of(results: pd.DataFrame, words: str) -> pd.DataFrame:
    own = results[results["test"].str.startswith(words)]
    model = {"another": "truth", "a slice": "planted"}
    for start, name in model.items():
        if words.startswith(start):
            own = own[own["model"] == name]
    return own[own["slice"].str.contains("c=d")] if words.startswith("a slice") else own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20, help="planted; of sound ones twice that")
    parser.add_argument("--write", action="store_true", help="into the page")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = chosen.samples
        planted = samples(folder, "planted", list(PLANTS.values()), range(count))
        samples(folder, "sound", SOUND, range(100, 100 + 2 * count))
        tests = tests_of(planted)
        asked = [test for test, _ in tests.values()]
        results = {
            kind: run(suite_of(folder, kind, asked)).table.to_pandas()
            for kind in ("planted", "sound")
        }
    lines = []
    for words, (test, figures) in tests.items():
        own, sound = (cells_of(results[kind], words) for kind in ("planted", "sound"))
        metric = next(name for name in figures if name in set(own["metric"]))
        low, high = own["ci_low"].fillna(own["value"]), own["ci_high"].fillna(own["value"])
        room = 1e-9
        has_interval = own["ci_low"].notna().any() or own["value"].eq(own["value"].round()).all()
        held = ((low - room <= figures[metric]) & (figures[metric] <= high + room)).sum()
        kind = next(key for key in test if key not in ("name", "slices"))
        figure = (
            f"{held} of {len(own)}" if has_interval else f"{own['value'].mean():.4g} on average"
        )
        lines.append([
            words, f"`{kind}`", f"`{metric}` {figures[metric]:.4g}",
            f"{(own['verdict'] == 'FAIL').sum()} of {len(own)}", figure,
            f"{(sound['verdict'] == 'FAIL').sum()} of {len(sound)}",
        ])  # fmt: skip
    columns = ["planted", "kind of test", "figure", "found", "interval or count holds the figure",
               "sound samples accused"]  # fmt: skip
    body = "\n".join(table(columns, lines))
    print(body)
    if chosen.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), BEGIN, body), encoding="utf-8")


if __name__ == "__main__":
    main()
