"""How often `discover` finds a weak slice and reports what is not there, and what it costs.

    python benchmarks/discover.py [--seeds N] [--write]
    python benchmarks/discover.py --cost [--rows N]

The first draws rows of 20 columns of 5 values. Errors are 0.1, in a slice of 2 % of the rows 0.2;
or they are 0.1 everywhere; or a candidate has errors of its own, as many as the baseline. States,
search and test are the engine's own, in one process without Spark. With `--write` the table goes
into the page of the kind.

The second scans rows with a logistic regression and a test of accuracy in one process, and the same
with `discover` besides, in pairs and in triples; `sliceline` has the same errors where it is
installed (it is in no requirements), in pairs: its memory grows with the rows, of a million it
takes more than 20 GiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from one_process import LABEL, Bench, Lab, added, scan_table, scanned
from rates import Rate, table, with_table
from sklearn.linear_model import LogisticRegression

from engine.evaluation.measure import measure
from engine.kinds.discover.lattice import (
    Axis,
    Lattice,
    LatticeLosses,
    LatticeView,
    LossTerms,
    PairedLatticeLosses,
)
from engine.kinds.discover.outcome import outcome
from engine.kinds.discover.search import Asked
from engine.states import BUCKETS, Mean, Pair, RowColumns, Scored

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kinds" / "discover.md"
BEGIN = "<!-- begin: benchmarks/discover.py -->"
COLUMNS, VALUES, RATE = 20, 5, 0.1
NAMES = tuple(f"c{n}" for n in range(COLUMNS))
SLICELINE_ROWS = 200_000
SIZES = (10_000, 20_000, 50_000)
HEAD = (
    "rows", "planted", "found and confirmed", "95 % interval", "power that is stated",
    "another slice besides", "nothing planted: any report", "95 % interval",
    "an equal candidate: any report", "95 % interval",
)  # fmt: skip
ASKED = Asked(min_share=0.01, top=10, gap=0.0, level=0.95, exact=True)


def draw(seed: int, rows: int, *, plant: bool) -> tuple[np.ndarray, np.ndarray]:
    """Columns, and the errors of a model; a slice of two columns has 2 % of the rows."""
    rng = np.random.default_rng([20_261_130, seed])
    columns = rng.integers(0, VALUES, (rows, COLUMNS))
    for column, share in ((0, 0.1), (1, 0.2)):
        others = rng.integers(1, VALUES, rows)
        columns[:, column] = np.where(rng.random(rows) < share, 0, others)
    weak = (columns[:, 0] == 0) & (columns[:, 1] == 0) & plant
    errors = rng.random(rows) < np.where(weak, 2 * RATE, RATE)
    return columns, errors.astype(float)


def searched(
    seed: int, columns: np.ndarray, errors: np.ndarray, theirs: np.ndarray | None = None
) -> Any:
    """What a search comes to."""
    axes = tuple(Axis(name, tuple(range(VALUES))) for name in NAMES)
    terms = LossTerms(Lattice(axes, 2), Mean("error", lambda batch: batch.truth), 2, False)
    kept = RowColumns(NAMES, lambda name: columns[:, int(name[1:])].astype(float))
    bucket = np.random.default_rng([7, seed]).integers(0, BUCKETS, len(errors))
    groups = np.zeros(len(errors), np.int64)

    def scored(losses: np.ndarray) -> Scored:
        return Scored(losses, np.ones(len(losses)), bucket, unweighted=True, columns=kept)

    if theirs is None:
        states = LatticeLosses.of_terms(terms).of(scored(errors), groups, 1)
    else:
        pair = Pair(scored(theirs), scored(errors))
        states = PairedLatticeLosses.of_terms(terms).of(pair, groups, 1)
    view = LatticeView(terms.lattice, terms.read(states.values[0]))
    return outcome(view, replace(ASKED, paired=theirs is not None), "error_rate")


def rates(rows: int, seeds: int) -> list[str]:
    """A line of the table."""
    found = others = falsely = equal = 0
    power = []
    for seed in range(seeds):
        names = [f.where.name for f in searched(seed, *draw(seed, rows, plant=True)).finds]
        found += "c0=0 & c1=0" in names
        others += bool(set(names) - {"c0=0 & c1=0"})
        columns, errors = draw(10_000 + seed, rows, plant=False)
        nothing = searched(seed, columns, errors)
        falsely += bool(nothing.finds)
        _, theirs = draw(20_000 + seed, rows, plant=False)
        equal += bool(searched(seed, columns, errors, theirs).finds)
        power.append(nothing.power)
    planted = f"{found / seeds:.0%}"
    rated = [Rate(hits, seeds).columns for hits in (found, falsely, equal)]
    rest = Rate(others, seeds).columns[0]
    return [
        f"{rows:,}", "2 % of the rows, 0.1 to 0.2", planted, rated[0][1],
        f"{np.mean(power):.0%} for 1 %", rest, *rated[1], *rated[2],
    ]  # fmt: skip


def cost(rows: int) -> Iterator[tuple[str, float, float]]:
    """Seconds of a core for the scan, and for what is made of its states."""
    rng = np.random.default_rng(5)
    columns, _ = draw(1, rows, plant=False)
    frame = pd.DataFrame({name: columns[:, n].astype(np.int64) for n, name in enumerate(NAMES)})
    frame[LABEL] = (rng.random(rows) < 1 / (1 + np.exp(1.5 - frame["c0"]))).astype(int)
    frame["key"] = np.arange(rows)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        fit = LogisticRegression().fit(frame[list(NAMES)][:20_000], frame[LABEL][:20_000])
        model = lab.model("logistic", lambda: fit, NAMES, [0, 1])
        bench = Bench([model], frame)
        batches = scan_table(frame, 1)
        asked: dict[str, list[dict[str, Any]]] = {
            "accuracy alone": [{"metric": "accuracy"}],
            "with pairs": [{"metric": "accuracy"}, {"discover": {"columns": list(NAMES)}}],
            "with triples": [
                {"metric": "accuracy"}, {"discover": {"columns": list(NAMES), "depth": 3}},
            ],
        }  # fmt: skip
        for name, tests in asked.items():
            plan = bench.plan(*tests)
            scanned(plan, batches.slice(0, 1000))
            start = time.process_time()
            states = scanned(plan, batches)
            middle = time.process_time()
            measure(plan, added(states))
            yield name, middle - start, time.process_time() - middle
        wrong = (fit.predict(frame[list(NAMES)]) != frame[LABEL]).to_numpy(float)
    yield from sliceline(columns, wrong)


def sliceline(columns: np.ndarray, errors: np.ndarray) -> Iterator[tuple[str, float, float]]:
    """What the package needs for the same errors, where it is installed."""
    if len(errors) > SLICELINE_ROWS:
        return
    try:
        from sliceline.slicefinder import Slicefinder
    except ImportError:
        return
    start = time.process_time()
    Slicefinder(alpha=0.95, k=10, max_l=2, min_sup=len(errors) // 100, verbose=False).fit(
        columns, errors
    )
    yield "sliceline, pairs, errors given", time.process_time() - start, 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries it; 1 where what the page promises is not so."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="samples for each figure")
    parser.add_argument("--write", action="store_true", help="into the page")
    parser.add_argument("--cost", action="store_true", help="what it costs instead")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of --cost")
    options = parser.parse_args(arguments)
    if options.cost:
        for name, scan, rest in cost(options.rows):
            print(
                f"{name}: {scan:.1f} s of a core for the scan, {rest:.2f} s for the rest",
                flush=True,
            )
        return 0
    lines = []
    for rows in SIZES:
        lines.append(rates(rows, options.seeds))
        print(" | ".join(lines[-1]), flush=True)
    if options.write:
        body = "\n".join(table(HEAD, lines))
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), BEGIN, body), encoding="utf-8")
    found, falsely = lines[-1][2], [line[6].split()[0] for line in lines]
    return int(float(found.rstrip("%")) < 95 or max(map(int, falsely)) > 0.1 * options.seeds)


if __name__ == "__main__":
    sys.exit(main())
