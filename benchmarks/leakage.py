"""What `leakage` finds of planted duplicates, and what it costs beside a plain read of both tables.

Spark generates two tables of 10 inputs from their rows' numbers: numbers, dates, categories, three
texts of eight words, with a score 32 tokens a row. The first thousands of the rows are those of the
reference under other keys: as they are, with one token changed, with three, and with four, which
are too many for `near: 0.8`. The others have nothing in common with the reference but by chance.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import SparkSession
from run import core_seconds

from engine.commands.run import run
from engine.kinds.leakage.minhash import recall
from engine.spark.session import get_session

PLANTED, WORDS, VOCABULARY = 1000, 8, 5000
# With the score, which is an input for all that the table knows.
TOKENS = 8 + 3 * WORDS
# How many tokens are others, in each planted thousand.
CHANGES = (0, 1, 3, 4)
NEAR = 0.8


def jaccard(changes: int) -> float:
    return (TOKENS - changes) / (TOKENS + changes)


def word(text: int, place: int) -> str:
    """A word of a text; one that is changed is another, whatever it was."""
    changed = [n for n, others in enumerate(CHANGES) if others > text + 3 * place]
    if not changed:
        return _word("source", text, place, chr(97 + place))
    groups = ", ".join(map(str, changed))
    own = _word("source", text, place, chr(97 + place))
    return f"IF(planted IN ({groups}), {_word('id', text, place, 'x')}, {own})"


def _word(number: str, text: int, place: int, letter: str) -> str:
    return f"concat('{letter}', pmod(xxhash64({number}, {text}, {place}), {VOCABULARY}))"


def make_table(spark: SparkSession, place: Path, first: int, rows: int, planted: int) -> None:
    """The rows from a number on, of which the first are made of those from 0 on."""
    texts = [
        f"concat_ws(' ', {', '.join(word(text, n) for n in range(WORDS))}) AS t{text}"
        for text in range(3)
    ]
    columns = [
        "id",
        "CAST(pmod(xxhash64(source, 1), 2) AS INT) AS label",
        "pmod(xxhash64(source, 2), 1000) / 1000.0D AS score",
        *(f"pmod(xxhash64(source, {n}), 100003) / 7.0D AS f{n}" for n in range(3)),
        "pmod(xxhash64(source, 3), 90) AS age",
        "pmod(xxhash64(source, 4), 2) = 0 AS flag",
        "date_add(DATE'2026-01-01', CAST(pmod(xxhash64(source, 5), 300) AS INT)) AS day",
        "concat('c', pmod(xxhash64(source, 6), 200)) AS country",
        *texts,
    ]
    numbers = spark.range(first, first + rows, numPartitions=max(8, rows // 500_000))
    is_planted = f"id < {first + planted}"
    frame = numbers.selectExpr(
        "id",
        f"IF({is_planted}, id - {first}, id) AS source",
        f"IF({is_planted}, (id - {first}) DIV {PLANTED}, -1) AS planted",
    ).selectExpr(*columns)
    frame.write.format("delta").save(str(place))


def suite_of(test: dict[str, Any], folder: Path, rows: int) -> dict[str, Any]:
    """A test of the rows, by the planted thousands."""
    edges = [rows + PLANTED * group for group in range(1, len(CHANGES) + 1)]
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    evaluation = {
        "name": "bench",
        "dataset": {"delta": str(folder / f"rows-{rows}"), "task": "binary", "label": "label",
                    "key": "id"},
        "reference": {"delta": str(folder / f"reference-{rows}")},
        "models": [{"name": "stored", "scores": "score"}],
        "slices": [{"name": "planted", "bins": {"id": edges}}],
        "tests": [{**test, "slices": ["planted"], "max_rows": 10**9, "name": "leakage"}],
    }  # fmt: skip
    return {"name": "bench", "store": str(store), "evaluations": [evaluation]}


@contextmanager
def memory() -> Iterator[list[float]]:
    """The most memory, in GiB, that all processes had resident together while the block runs."""
    peak, over, root = [0.0], threading.Event(), psutil.Process()

    def look() -> None:
        while not over.wait(0.5):
            peak[0] = max(peak[0], sum(_resident(one) for one in _tree(root)) / 2**30)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.Error:
        return 0.0


def measure(what: str, do: Callable[[], Any]) -> Any:
    """Prints what something takes."""
    before, started = core_seconds(), time.perf_counter()
    with memory() as peak:
        result = do()
    wall, cores = time.perf_counter() - started, core_seconds() - before
    print(f"{what}\t{wall:.1f}\t{cores:.1f}\t{peak[0]:.1f}", flush=True)
    return result


def tell(result: Any) -> None:
    """Prints what was found of each planted thousand, and of the rest."""
    (evaluation,) = result.outcome.evaluations
    for cell in evaluation.cells:
        found = cell.measured
        print(f"  {cell.slice.name}: {found.value} of {cell.counts.n:,}; {found.detail}")
        if cell.verdict.value == "ERROR":
            print(f"  {cell.reason}")


def read(spark: SparkSession, folder: Path, rows: int) -> None:
    for name in ("rows", "reference"):
        frame = spark.read.format("delta").load(str(folder / f"{name}-{rows}"))
        frame.write.format("noop").mode("overwrite").save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of each of both tables")
    parser.add_argument("--folder", type=Path, default=Path("build/leakage"))
    parser.add_argument("--memory", default="4g", help="of Spark's JVM")
    chosen = parser.parse_args()
    folder, rows = chosen.folder.resolve(), chosen.rows
    folder.mkdir(parents=True, exist_ok=True)
    spark = get_session(
        app_name="leakage",
        log_file=folder / "spark.log",
        extra={"spark.master": "local[2]", "spark.driver.memory": chosen.memory},
    )
    for name, first, planted in (("rows", rows, PLANTED * len(CHANGES)), ("reference", 0, 0)):
        if not (folder / f"{name}-{rows}").exists():
            make_table(spark, folder / f"{name}-{rows}", first, rows, planted)
    for changes in CHANGES:
        similar = jaccard(changes)
        print(
            f"{changes} tokens of {TOKENS} changed: J {similar:.4f}, recall {recall(similar):.5f}"
        )
    print("what\twall s\tcore s\tGiB", flush=True)
    measure("a plain read of both", lambda: read(spark, folder, rows))
    for test in ({"leakage": "rows"}, {"leakage": "rows", "near": NEAR}):
        tell(measure(str(test), lambda test=test: run(suite_of(test, folder, rows))))


if __name__ == "__main__":
    main()
