"""What the wider doors cost: predictions that are there already, and frames of a notebook.

`stored`: the same cells from three models that are loaded, from columns of the dataset, and from a
table of their own, in one warm session: core-seconds of all processes, and what of them is reading
rows into Python (a scan that drops them) and making states (the workers' own time).

`frames`: the peak of resident memory while a frame of pandas, Polars or Arrow becomes a table, over
what the process had with the frame in it, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from run import core_seconds
from world import FEATURES, METRICS, SMALL, make_rows, quiet_session, slice_rules

from engine.commands.run import run

MODELS = ("logistic", "boosting", "forest")


def make_tables(spark: SparkSession, folder: Path, paths: dict[str, Path], rows: int) -> Path:
    """Rows with the models' scores as columns, and a table of these scores by the key alone."""
    place = folder / f"stored-{rows}"
    if not place.exists():
        data = make_rows(rows, SMALL)
        for name in MODELS:
            model = mlflow.sklearn.load_model(str(paths[name]))
            data[f"p_{name}"] = model.predict_proba(data[FEATURES])[:, 1]
        scores = data[["id", *(f"p_{name}" for name in MODELS)]].sample(frac=1, random_state=0)
        for table, frame in (("rows", data), ("scores", scores)):
            file = folder / f"{table}.parquet"
            frame.to_parquet(file, index=False)
            spark.read.parquet(str(file)).write.format("delta").save(str(place / table))
            file.unlink()
    return place


def models_of(kind: str, place: Path, paths: dict[str, Path]) -> list[dict[str, Any]]:
    if kind == "loaded":
        return [{"uri": str(paths[name]), "name": name} for name in MODELS]
    if kind == "columns":
        return [{"name": name, "scores": f"p_{name}"} for name in MODELS]
    table = {"delta": str(place / "scores"), "key": "id"}
    return [{"name": name, "predictions": {**table, "scores": f"p_{name}"}} for name in MODELS]


def suite_of(kind: str, place: Path, paths: dict[str, Path]) -> dict[str, Any]:
    store = place / f"store-{kind}"
    shutil.rmtree(store, ignore_errors=True)
    evaluation = {
        "name": "bench",
        "dataset": {
            "delta": str(place / "rows"), "task": "binary", "label": "label", "key": "id",
        },
        "models": models_of(kind, place, paths),
        "slices": slice_rules("small"),
        "tests": [{"metric": name} for name in METRICS],
    }  # fmt: skip
    return {"name": "bench", "store": str(store), "evaluations": [evaluation]}


def _drop(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = sum(batch.num_rows for batch in batches)
    yield pa.record_batch({"rows": [rows]})


def reading(frame: DataFrame) -> float:
    """The core-seconds of a scan that gets the columns into Python and drops them."""
    before = core_seconds()
    frame.repartition(8).mapInArrow(_drop, "rows long").collect()
    return core_seconds() - before


def stored(folder: str, rows: int) -> None:
    """Prints what the same cells cost by each road, and holds their values against each other."""
    spark, place, paths = quiet_session(folder)
    tables = make_tables(spark, place, paths, rows)
    frame = spark.read.format("delta").load(str(tables / "rows"))
    label = ["label", "id", *SMALL]
    scores = [f"p_{name}" for name in MODELS]
    few = make_tables(spark, place, paths, 20_000)
    run(suite_of("columns", few, paths))
    read = {
        "loaded": reading(frame.select(*label, *FEATURES)),
        "columns": reading(frame.select(*label, *scores)),
    }
    there = spark.read.format("delta").load(str(tables / "scores"))
    read["table"] = reading(frame.select(*label).join(there, "id", "left"))
    before = core_seconds()
    run(suite_of("columns", few, paths))
    fixed = core_seconds() - before
    print(f"a run of 20,000 rows takes {fixed:.1f} core-seconds: about what no row costs")
    values: dict[str, Any] = {}
    print("road\twall s\tcore s\treading core s\tworkers' states s\tpredicting s\tloads")
    for kind in ("loaded", "columns", "table"):
        suite = suite_of(kind, tables, paths)
        before, started = core_seconds(), time.perf_counter()
        result = run(suite)
        wall, cores = time.perf_counter() - started, core_seconds() - before
        (evaluation,) = result.outcome.evaluations
        timings = evaluation.timings
        states = timings["scan_seconds"] - timings["predict_seconds"]
        values[kind] = {
            (cell.model.name, cell.slice.name, cell.test.name): cell.measured.value
            for cell in evaluation.cells
        }
        figures = [wall, cores, read[kind], states, timings["predict_seconds"]]
        shown = "\t".join(f"{figure:.1f}" for figure in figures)
        print(f"{kind}\t{shown}\t{timings['loads']:.0f}", flush=True)
    for kind in ("columns", "table"):
        pairs = [(values["loaded"][place], value) for place, value in values[kind].items()]
        worst = max(abs(one - other) for one, other in pairs)
        print(f"{kind}: {len(pairs):,} cells, the largest difference to the loaded is {worst:.1e}")


def make_frame(kind: str, rows: int) -> Any:
    """Ten columns of numbers, one of texts, a label and a key."""
    rng = np.random.default_rng(0)
    data = {f"f{n}": rng.normal(size=rows) for n in range(10)}
    data["label"] = rng.integers(0, 2, rows)
    data["id"] = np.arange(rows)
    country = np.array(["DE", "FR", "US", "PL"])[rng.integers(0, 4, rows)]
    if kind == "pandas":
        return pd.DataFrame({**data, "country": pd.Series(country, dtype=object)})
    table = pa.table({**data, "country": country})
    if kind == "arrow":
        return table
    import polars

    return polars.from_arrow(table)


def peak_of(kind: str, rows: int, folder: str) -> None:
    """Prints, as JSON, the memory of this process before and while a frame becomes a table."""
    from process_cost import peak_mib

    from engine.core.locations import Store
    from engine.data.frame_tables import write_frame
    from engine.data.frames import frame_of
    from engine.spark.lazy_session import LazySession

    frame = make_frame(kind, rows)
    # What made the frame is no matter of ours.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib("self")
    store = Store(folder)
    session = LazySession(None, log_file=store.log_file)
    started = time.perf_counter()
    write_frame(session, store, "bench", frame_of(frame))
    wall = time.perf_counter() - started
    again = time.perf_counter()
    write_frame(session, store, "bench", frame_of(frame))
    figures = {"before": before, "peak": peak_mib("self"), "wall": wall}
    print(json.dumps({**figures, "again": time.perf_counter() - again}))


def frames(folder: str, rows: int) -> None:
    """Prints the memory that each kind of frame takes beside itself."""
    print("frame\tMiB with the frame\tpeak MiB\tpeak by it\tseconds\tagain s")
    for kind in ("pandas", "polars", "arrow"):
        place = Path(folder).absolute() / f"frames-{kind}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        command = [sys.executable, __file__, "peak", "--rows", str(rows), "--kind", kind]
        done = subprocess.run(
            [*command, "--folder", str(place)], capture_output=True, text=True, check=True
        )
        said = json.loads(done.stdout.splitlines()[-1])
        ratio = said["peak"] / said["before"]
        print(
            f"{kind}\t{said['before']:,.0f}\t{said['peak']:,.0f}\t{ratio:.2f}\t{said['wall']:.1f}\t"
            f"{said['again']:.1f}",
            flush=True,
        )
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("stored", "frames", "peak"))
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, help="by default a million, and ten million of a frame")
    parser.add_argument("--kind", default="pandas")
    chosen = parser.parse_args()
    if chosen.what == "stored":
        stored(chosen.folder, chosen.rows or 1_000_000)
    elif chosen.what == "frames":
        frames(chosen.folder, chosen.rows or 10_000_000)
    else:
        peak_of(chosen.kind, chosen.rows or 10_000_000, chosen.folder)


if __name__ == "__main__":
    main()
