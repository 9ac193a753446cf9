"""How often each kind of test finds a planted defect, and accuses what is sound.

A model with a defect and a sound one (`planted.py`) go through the engine's own code with other
rows for each seed, without Spark (`one_process.py`). Where a kind decides by an interval it is
tried in the hardest case too: the limit is what is true of the model, so each report is false.

    python benchmarks/rates.py [--seeds N] [--only KIND] [--write]
    python benchmarks/rates.py --speed [--runs N] [--write]

prints the tables, and with `--write` puts them into the page between two markers. The second is of
`speed`, which takes processes and minutes. It exits with 1 where what the page promises is not so.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from one_process import Lab
from planted import CASES, ELSEWHERE, Case  # noqa: F401
from scipy import stats

from engine.core.vocabulary import Cell, Verdict

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kinds" / "rates.md"
END = "<!-- end -->"
BEGIN = {speed: f"<!-- begin: benchmarks/rates.py{' --speed' * speed} -->" for speed in (0, 1)}
LEVEL, FOUND, SPEED = 0.05, 0.9, "speed"
COLUMNS = (
    "test", "planted", "found", "sound", "falsely found", "95 % interval", "at its limit",
    "95 % interval",
)  # fmt: skip
SPEED_COLUMNS = (
    "test", "the interval has 1 for the same forest", "95 % interval",
    "a fifth more is said to be slower", "95 % interval", "middle ratio of the same",
    "middle ratio of the slower", "width of an interval",
)  # fmt: skip
# Seeds of one use are not those of another.
APART = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was said."""

    hits: int
    count: int

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of Clopper and Pearson (1934), 95 %."""
        found = stats.binomtest(self.hits, self.count).proportion_ci(method="exact")
        return float(found.low), float(found.high)

    @property
    def columns(self) -> list[str]:
        low, high = self.ends
        return [f"{self.hits} of {self.count}", f"{100 * low:.1f} to {100 * high:.1f} %"]


def judged(lab: Lab, case: Case, defect: bool, seed: int, limit: float | None = None) -> Cell:
    """The cell of a case that a limit is held against."""
    cells = case.bench(lab, defect, seed).cells(case.asked(limit), seed)
    (cell,) = [cell for cell in cells if cell.test.conditions]
    if cell.verdict is Verdict.ERROR:
        raise SystemExit(f"{case_text(case)}: {cell.reason}")
    return cell


def failures(lab: Lab, case: Case, defect: bool, seeds: range, limit: float | None = None) -> Rate:
    """How often a case is reported."""
    said = [judged(lab, case, defect, seed, limit).verdict for seed in seeds]
    return Rate(said.count(Verdict.FAIL), len(said))


def true_figure(lab: Lab, case: Case, defect: bool, seeds: range) -> float:
    """What a condition is held against, in the mean of many samples."""
    cells = [judged(lab, case, defect, seed) for seed in seeds]
    drops = case.limit[0] == "max_drop"
    return float(np.mean([-cell.delta if drops else cell.measured.value for cell in cells]))


def case_text(case: Case) -> str:
    """A test as it stands in a suite, in short."""
    asked = json.dumps(case.asked()).replace('"', "").removeprefix("{").removesuffix("}")
    return asked.replace("column: pixels, shape: [8, 8]", "column: pixels, ...")


def seeds_of(use: int, count: int) -> range:
    return range(use * APART, use * APART + count)


def row(lab: Lab, case: Case, count: int) -> tuple[list[str], bool]:
    """A line of the table, and whether what is promised is held."""
    found = failures(lab, case, True, seeds_of(0, max(count // 2, 1)))
    false = failures(lab, case, False, seeds_of(1, count))
    cells = [f"`{case_text(case)}`", case.defect, found.columns[0], case.sound, *false.columns]
    held = found.ends[1] >= FOUND and false.ends[0] <= LEVEL
    if case.at_limit is None:
        return [*cells, "–", "–"], held
    limit = true_figure(lab, case, case.at_limit, seeds_of(2, count))
    edge = failures(lab, case, case.at_limit, seeds_of(3, count), limit)
    return [*cells, *edge.columns], held and edge.ends[0] <= LEVEL


def speed_row(lab: Lab, case: Case, runs: int) -> tuple[list[str], bool]:
    """A line of the table of speed: what is said of the same forest, and of a slower one."""
    ends: dict[bool, list[tuple[float, float, float]]] = {}
    for defect in (False, True):
        ends[defect] = []
        for seed in seeds_of(defect, runs):
            of = judged(lab, case, defect, seed).measured
            ends[defect].append((of.value, of.ci_low, of.ci_high))
            print(case.test[SPEED], defect, *ends[defect][-1], file=sys.stderr, flush=True)
    same = Rate(sum(low <= 1 <= high for _, low, high in ends[False]), runs)
    slower = Rate(sum(low > 1 for _, low, _ in ends[True]), runs)
    middles = [float(np.median([value for value, _, _ in ends[which]])) for which in ends]
    width = np.median([(high - low) / value for value, low, high in ends[False]])
    cells = [f"`speed: {case.test[SPEED]}`", *same.columns, *slower.columns]
    cells += [*(f"{middle:.3f}" for middle in middles), f"{100 * width:.1f} %"]
    return cells, same.hits >= 0.95 * runs and slower.hits >= 0.9 * runs


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield line(columns)
    yield "|" + " --- |" * len(columns)
    yield from map(line, rows)


def with_table(text: str, begin: str, body: str) -> str:
    """A page with what stands between its markers made anew."""
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise SystemExit(f"{PAGE}: expected the lines {begin!r} and {END!r}")
    return f"{before}{begin}\n\n{body}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries all cases; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=40, help="samples of what is sound")
    parser.add_argument("--runs", type=int, default=40, help="runs of a test of speed")
    parser.add_argument("--only", metavar="TEXT", help="tests whose text has this in it")
    parser.add_argument("--speed", action="store_true", help="the table of speed")
    parser.add_argument("--write", action="store_true", help="into the page")
    options = parser.parse_args(arguments)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    # A process of a model's own imports what the models are made of.
    path = [str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    rows, all_held = [], True
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        kinds = [SPEED] if options.speed else [kind for kind in CASES if kind != SPEED]
        for case in (case for kind in kinds for case in CASES[kind]):
            if options.only and options.only not in case_text(case):
                continue
            if options.speed:
                cells, held = speed_row(lab, case, options.runs)
            else:
                cells, held = row(lab, case, options.seeds)
            print(line(cells), "" if held else "NOT HELD", flush=True)
            rows.append(cells)
            all_held &= held
    if options.write:
        body = "\n".join(table(SPEED_COLUMNS if options.speed else COLUMNS, rows))
        text = with_table(PAGE.read_text(encoding="utf-8"), BEGIN[options.speed], body)
        PAGE.write_text(text, encoding="utf-8")
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
