"""What a run costs beside its evaluation, as whole processes or inside a warm session.

Wall-clock seconds are those until the command's end; core-seconds are those of all processes that
it started, the JVM and Spark's workers among them, until the last one's end. `--engine` names the
checkout to measure; given twice, the two take turns and the second is divided by the first.

    .venv/bin/python benchmarks/fixed_costs.py --only 1,2,6 --json figures.json
    .venv/bin/python benchmarks/fixed_costs.py --engine ../before --engine . --times 5
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from checkout import MEMORY, Engine, Values, Worker
from deltalake import write_deltalake
from process_cost import adopt_orphans, stop_descendants
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
SMALL_ROWS, FEW_ROWS = 20_000, 3_000
SMALL = ("logistic", "boosting")
LARGE = ("logistic", "boosting", "forest")
SMALL_TESTS = ("accuracy", "recall", "f1", "roc_auc", "log_loss")
LARGE_TESTS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "average_precision",
    "log_loss",
)
COLUMNS = ("country", "device", "plan", "age_band")
SMALL_SLICES: list[Any] = ["overall", {"by": ["country"]}, {"by": ["device"]}]
LARGE_SLICES: list[Any] = [
    "overall",
    *({"by": [name]} for name in COLUMNS),
    *({"by": list(pair)} for pair in itertools.combinations(COLUMNS, 2)),
]
SECONDS = ("wall s", "core s")
DATA = ("rows", "new")
COPIED = ("engine", "conf", "jobs", "models")
NOT_COPIED = shutil.ignore_patterns("__pycache__")
NIGHTLY = "conf/nightly.yml"
CELL = "breast_cancer/breast_cancer_forest-v2/overall/roc_auc"
PREPARED_NIGHTLY = ("jobs/nightly.py", NIGHTLY, "--prepare", "conf/prepare.yml")

# What a repetition gives: the values, by what they are, of a figure's number and name.
Measured = Mapping[tuple[int, str], Values]


def tell(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Row:
    """A figure of an engine: the values of all repetitions, by what they are."""

    figure: int
    what: str
    engine: str
    values: dict[str, list[float]]


@dataclass
class Bench:
    """What is measured, how often, and what has come out."""

    engines: Sequence[Engine]
    shared: Path
    times: int
    rows: int
    chosen: frozenset[int]
    found: list[Row] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(10**9, 10**6))

    def repeat(self, act: Callable[[Engine], Measured]) -> None:
        """Measures so many times, the engines by turns; keeps what was asked for."""
        rows: dict[tuple[int, str], dict[str, Row]] = {}
        try:
            for _, engine in itertools.product(range(self.times), self.engines):
                for (figure, what), values in act(engine).items():
                    new = Row(figure, what, engine.label, {})
                    row = rows.setdefault((figure, what), {}).setdefault(engine.label, new)
                    for name, value in values.items():
                        row.values.setdefault(name, []).append(value)
        finally:
            by_engine = itertools.chain.from_iterable(one.values() for one in rows.values())
            self.found.extend(row for row in by_engine if row.figure in self.chosen)

    @contextmanager
    def warm(self) -> Iterator[dict[Engine, Worker]]:
        """A warm process of each engine."""
        workers: dict[Engine, Worker] = {}
        try:
            for engine in self.engines:
                workers[engine] = Worker(engine, self.shared)
                workers[engine].ask("data", folder=str(self.shared), rows=SMALL_ROWS, new=FEW_ROWS)
            yield workers
            for worker in workers.values():
                worker.close()
        finally:
            stop_descendants()

    def make_data(self) -> None:
        """Makes what is missing of the tables and the models that the chosen figures share."""
        sizes = [(SMALL_ROWS, FEW_ROWS)] if self.chosen & {1, 2, 3, 7, 8, 9} else []
        sizes += [(self.rows, self.rows // 100)] if self.chosen & {7, 8} else []
        files = [
            f"{name}-{count}" for size in sizes for name, count in zip(DATA, size, strict=True)
        ]
        if all((self.shared / file).exists() for file in files):
            return
        tell("making the data and the models")
        worker = Worker(self.engines[0], self.shared)
        for rows, new in sizes:
            worker.ask("data", folder=str(self.shared), rows=rows, new=new)
        worker.close()
        stop_descendants()

    def copy_table(self, engine: Engine, rows: int, name: str) -> Path:
        """A table of an engine's own, which it may append to."""
        table = engine.folder / name
        shutil.rmtree(table, ignore_errors=True)
        shutil.copytree(self.shared / f"rows-{rows}", table)
        return table

    def append(self, table: Path, count: int) -> None:
        """A new version of a table, with so many rows more."""
        rows = pq.read_table(self.shared / f"new-{count}")
        first = next(self.ids)
        fresh = pa.array(range(first, first + count), pa.int64())
        write_deltalake(
            str(table), rows.set_column(rows.schema.get_field_index("id"), "id", fresh),
            mode="append",
        )  # fmt: skip

    def write_suite(self, engine: Engine, table: Path, *, large: bool) -> Path:
        """The small or the large suite, with a store that does not exist yet."""
        names, metrics = (LARGE, LARGE_TESTS) if large else (SMALL, SMALL_TESTS)
        models = self.shared / "models"
        evaluation = {
            "name": "bench",
            "dataset": {"delta": str(table), "task": "binary", "label": "label", "key": "id"},
            "models": [{"uri": str(models / name), "name": name} for name in names],
            "slices": LARGE_SLICES if large else SMALL_SLICES,
            "tests": [{"metric": name} for name in metrics],
        }
        store = engine.folder / f"store-of-{table.name}"
        shutil.rmtree(store, ignore_errors=True)
        path = engine.folder / f"{table.name}.yml"
        suite = {"name": "bench", "store": str(store), "evaluations": [evaluation]}
        path.write_text(yaml.safe_dump(suite))
        return path


def nothing_new_warm(bench: Bench) -> None:
    """The small suite again, the third and later runs of a process."""
    tell("1: nothing new, in a warm session")
    with bench.warm() as workers:
        suites = {
            engine: bench.write_suite(
                engine, bench.copy_table(engine, SMALL_ROWS, "warm"), large=False
            )
            for engine in workers
        }
        for engine, _ in itertools.product(workers, range(2)):
            workers[engine].run(suites[engine])
        bench.repeat(
            lambda engine: {(1, "nothing new, warm"): workers[engine].run(suites[engine])[1]}
        )


def small_runs(bench: Bench) -> None:
    """The small suite from its process's start: with nothing new, and with some rows new."""
    tell("2, 3: nothing new and a few new rows, from process start")
    tables = {engine: bench.copy_table(engine, SMALL_ROWS, "small") for engine in bench.engines}
    suites = {
        engine: str(bench.write_suite(engine, tables[engine], large=False)) for engine in tables
    }
    for engine, suite in suites.items():
        engine.command("run", suite)
    if 2 in bench.chosen:
        bench.repeat(lambda engine: {(2, "nothing new"): engine.command("run", suites[engine])})

    def few_rows(engine: Engine) -> Measured:
        bench.append(tables[engine], FEW_ROWS)
        values = engine.command("run", suites[engine])
        return {(3, f"{FEW_ROWS:,} rows more"): values, (9, "memory in figure 3"): memory(values)}

    if bench.chosen & {3, 9}:
        bench.repeat(few_rows)


def memory(values: Values) -> Values:
    """Of the values those of memory."""
    return {name: value for name, value in values.items() if name.endswith(MEMORY)}


def nightly(bench: Bench) -> None:
    """The shipped suite with nothing new, and the commands that read its store."""
    copies = {}
    for engine in bench.engines:
        tell(f"4, 5: preparing the shipped suite (minutes), {engine.label}")
        copies[engine] = copy = engine.folder / "checkout"
        for part in COPIED:
            shutil.copytree(engine.path / part, copy / part, ignore=NOT_COPIED)
        engine.python(*PREPARED_NIGHTLY, checkout=copy)
    tell("4, 5: the shipped suite with nothing new, and what reads its store")
    runs: dict[str, Callable[[Engine], Values]] = {
        "run nightly.yml": lambda e: e.command("run", NIGHTLY, checkout=copies[e]),
        "nightly.py --prepare": lambda e: e.python(*PREPARED_NIGHTLY, checkout=copies[e]),
    }
    reads = [["results"], ["explain", "latest", CELL], ["report"], ["judge"], ["plan", NIGHTLY]]
    if 4 in bench.chosen:
        bench.repeat(lambda engine: {(4, what): act(engine) for what, act in runs.items()})
    if 5 in bench.chosen:
        bench.repeat(
            lambda engine: {
                (5, " ".join(read)): engine.command(*read, checkout=copies[engine])
                for read in reads
            }
        )


def no_run(bench: Bench) -> None:
    """What ends before there is anything to run: a mistake, and help."""
    tell("6: a mistake in a suite, and help")
    for engine in bench.engines:
        suite = bench.write_suite(engine, engine.folder / "mistaken", large=False)
        suite.write_text(suite.read_text().replace("slices:", "sloces:"))
    bench.repeat(
        lambda engine: {
            (6, "an unknown key"): engine.command("run", "mistaken.yml", code=2),
            (6, "--help"): engine.command("--help"),
            (6, "run --help"): engine.command("run", "--help"),
        }
    )


def large_runs(bench: Bench) -> None:
    """The large suite in a warm session: all rows, then a hundredth more; the models alone."""
    tell(f"7, 8: {bench.rows:,} rows, then 1 % more, in a warm session (minutes)")
    with bench.warm() as workers:
        paths = [str(bench.shared / "models" / name) for name in LARGE]
        alone = workers[bench.engines[0]].ask("predict", rows=bench.rows, models=paths)
        for engine in workers:
            one_percent(bench, engine, workers[engine], (SMALL_ROWS, FEW_ROWS))

        def full(engine: Engine) -> Measured:
            cycle = one_percent(bench, engine, workers[engine], (bench.rows, bench.rows // 100))
            told, all_rows, more = cycle
            what = f"{bench.rows:,} rows, {told['slices']} slices, {told['cells']:,} cells"
            share = 100 * more["wall s"] / all_rows["wall s"]
            predicting, by_itself = told["predict_seconds"], alone["core_seconds"]
            return {
                (7, what): all_rows,
                (7, "1 % more"): {**more, "% of the wall": share},
                (8, "core s of the run by the models' own"): {
                    "predicting s in workers": predicting,
                    "by these": all_rows["core s"] / predicting,
                    "predicting core s alone": by_itself,
                    "by those": all_rows["core s"] / by_itself,
                },
                (9, "memory in figure 7"): memory(all_rows),
            }

        bench.repeat(full)


def one_percent(
    bench: Bench, engine: Engine, worker: Worker, size: tuple[int, int]
) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """A run of all rows in a new store, and one after some more; what the first tells, and both."""
    table = bench.copy_table(engine, size[0], "large")
    suite = bench.write_suite(engine, table, large=True)
    told, all_rows = worker.run(suite)
    bench.append(table, size[1])
    _, more = worker.run(suite)
    return told, all_rows, more


def show(bench: Bench) -> None:
    """The table: minimum and median; the second engine's minimum by the first's."""
    table = Table(box=None)
    for name in ("", "figure", "engine", *SECONDS, "JVMs", "more: minimum / median"):
        table.add_column(name, justify="right" if name in (*SECONDS, "JVMs") else "left")
    first: dict[tuple[int, str], Row] = {}
    for row in bench.found:
        base = first.setdefault((row.figure, row.what), row)

        def cell(name: str, row: Row = row, base: Row = base) -> str:
            values, before = row.values.get(name), base.values.get(name)
            if not values:
                return "-"
            text = f"{min(values):,.2f} / {statistics.median(values):,.2f}"
            return f"{text} ({min(values) / min(before):.2f}x)" if row != base and before else text

        more = [
            f"{name} {cell(name)}"
            for name in row.values
            if name not in (*SECONDS, "JVMs", "lingering s")
            and (row.figure == 9 or not name.endswith(MEMORY))
        ]
        jvms = f"{max(row.values['JVMs']):.0f}" if "JVMs" in row.values else "-"
        cells = (row.engine, *map(cell, SECONDS), jvms, "; ".join(more))
        table.add_row(str(row.figure), row.what, *cells)
    Console(width=170).print(table)


def write_json(bench: Bench, file: Path, load: float) -> None:
    """All values of all repetitions, for a later comparison."""
    told = {
        "measured at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cores": os.cpu_count(),
        "load at start and end": [load, os.getloadavg()[0]],
        "class archive": bool(list((Path.home() / ".cache" / "evalmatrix").glob("*.jsa"))),
        "figures": [asdict(row) for row in sorted(bench.found, key=lambda row: row.figure)],
    }
    file.write_text(json.dumps(told, indent=1))


FIGURES: dict[Callable[[Bench], None], set[int]] = {
    nothing_new_warm: {1},
    small_runs: {2, 3},
    nightly: {4, 5},
    no_run: {6},
    large_runs: {7, 8},
}


def main() -> None:
    """Measures the chosen figures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="1,2,3,4,5,6,7,8,9", help="figures, such as 1,2,5")
    parser.add_argument("--times", type=int, default=3, help="repetitions of each figure")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of figures 7 and 8")
    parser.add_argument(
        "--engine", type=Path, action="append", help="a checkout; this one by default"
    )
    parser.add_argument("--json", type=Path, help="a file for all values of all repetitions")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/fixed-costs"), help="where data and runs lie"
    )
    given = parser.parse_args()
    shared, load = given.folder.resolve(), os.getloadavg()[0]
    shutil.rmtree(shared / "runs", ignore_errors=True)
    engines = []
    for number, path in enumerate(given.engine or [HERE.parent]):
        engines.append(Engine(path.resolve(), shared / "runs" / str(number)))
        engines[-1].folder.mkdir(parents=True)
        engines[-1].check()
    chosen = frozenset(map(int, given.only.split(",")))
    bench = Bench(engines, shared, given.times, given.rows, chosen)
    # Memory is read while figures 3 and 7 are measured; the first is the quicker one.
    needed = chosen | {3} if 9 in chosen and not chosen & {3, 7, 8} else chosen
    adopt_orphans()
    # A request to end is obeyed as Ctrl-C is: nothing is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bench.make_data()
        for measure_figures, numbers in FIGURES.items():
            if needed & numbers:
                measure_figures(bench)
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing is left running") from None
    finally:
        stop_descendants()
        show(bench)
        if given.json:
            write_json(bench, given.json, load)


if __name__ == "__main__":
    main()
