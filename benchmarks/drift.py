"""What `drift` costs beside a plain read of both tables: 50 columns, in bounded memory.

The tables are those of `data_quality.py`, the reference with other rows of the same population:
whole numbers, floats, texts and dates. All columns are compared by distances of bins, and those of
numbers by KS and Wasserstein too.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from data_quality import FLOATS, WHOLES, make_table, measure
from pyspark.sql import SparkSession

from engine.commands.run import run
from engine.spark.session import get_session

NUMBERS = [*(f"f{n}" for n in range(FLOATS)), *(f"w{n}" for n in range(WHOLES))]
TESTS: dict[str, list[dict[str, Any]]] = {
    "psi": [{"drift": "psi", "max": 0.1}],
    "psi, ks and wasserstein": [
        {"drift": "psi", "max": 0.1},
        {"drift": "ks", "columns": NUMBERS, "max": 0.1},
        {"drift": "wasserstein", "columns": NUMBERS, "max": 0.1},
    ],
    "domain classifier": [{"drift": "domain_classifier", "columns": NUMBERS, "max": 0.6}],
}


def suite_of(tests: list[dict[str, Any]], folder: Path, rows: int) -> dict[str, Any]:
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    evaluation = {
        "name": "bench",
        "dataset": {"delta": str(folder / f"rows-{rows}"), "task": "binary", "label": "label",
                    "key": "id"},
        "reference": {"delta": str(folder / f"reference-{rows}")},
        "models": [{"name": "stored", "scores": "score"}],
        "slices": ["overall"],
        "tests": tests,
    }  # fmt: skip
    return {"name": "bench", "store": str(store), "evaluations": [evaluation]}


def read(spark: SparkSession, folder: Path, rows: int) -> None:
    for name in ("rows", "reference"):
        frame = spark.read.format("delta").load(str(folder / f"{name}-{rows}"))
        frame.write.format("noop").mode("overwrite").save()


def tell(result: Any) -> None:
    (evaluation,) = result.outcome.evaluations
    values = [cell.measured.value for cell in evaluation.cells if cell.measured.value is not None]
    bounds = [cell.measured.error_bound or 0.0 for cell in evaluation.cells]
    errors = sum(cell.verdict.value == "ERROR" for cell in evaluation.cells)
    print(
        f"  {len(evaluation.cells)} cells, values up to {max(values):.5f}, bounds up to "
        f"{max(bounds):.5f}, {errors} errors",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of each of both tables")
    parser.add_argument("--folder", type=Path, default=Path("build/drift"))
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    spark = get_session(
        app_name="drift",
        log_file=folder / "spark.log",
        extra={
            "spark.master": "local[2]", "spark.ui.enabled": "false", "spark.driver.memory": "2g",
            "spark.sql.shuffle.partitions": "16",
        },
    )  # fmt: skip
    for name, rows, first in (
        ("rows", chosen.rows, 0), ("reference", chosen.rows, chosen.rows),
        ("rows", 10_000, 0), ("reference", 10_000, 10_000),
    ):  # fmt: skip
        if not (folder / f"{name}-{rows}").exists():
            make_table(spark, folder / f"{name}-{rows}", rows, first)
    # What is compiled and imported once is no cost of rows.
    run(suite_of(TESTS["psi"], folder, 10_000))
    print("what\twall s\tcore s\tworker MiB", flush=True)
    measure("a run of 10,000 rows", lambda: run(suite_of(TESTS["psi"], folder, 10_000)))
    measure("a plain read of both", lambda: read(spark, folder, chosen.rows))
    for name, tests in TESTS.items():
        tell(measure(name, lambda tests=tests: run(suite_of(tests, folder, chosen.rows))))


if __name__ == "__main__":
    main()
