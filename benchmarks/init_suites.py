"""What the suites that `evalmatrix init` drafts say of fresh rows: of good models and broken ones.

For each seed a suite is drafted from some rows, and evaluated on as many fresh ones with the
champion, another good model and the champion with its weights shuffled; then on fresh rows in which
a column is swapped. The table has how many of the tests decide, and how often the gate fails.

    python benchmarks/init_suites.py [--seeds N] [--only claims,...] [--folder F] [--write]

prints the table, and with `--write` puts it into docs/init.md. It exits with 1 where fewer than
90 % of the tests decide for a good model, or a broken one passes.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from deltalake import write_deltalake
from init_worlds import World, claims_world, shipped_world

import engine
from engine.commands.evaluate_alone import evaluate_alone
from engine.commands.progress import Reporter
from engine.core.vocabulary import Cell, Severity, Verdict
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession

PAGE = Path(__file__).resolve().parent.parent / "docs" / "init.md"
BEGIN, END = "<!-- begin: benchmarks/init_suites.py -->", "<!-- end -->"
SHIPPED = ("breast_cancer_forest", "diabetes_mlp", "digits_forest", "digits_cnn")
DECIDED = 0.9
GOOD, SHUFFLED, CHAMPION, SWAPPED = "good", "shuffled", "champion", "swapped"


@dataclass
class Tally:
    """What came of the suites of one world."""

    world: str
    rows: list[int] = field(default_factory=list)
    tests: list[int] = field(default_factory=list)
    verdicts: dict[str, Counter[Verdict]] = field(default_factory=dict)
    metrics: dict[str, Counter[Verdict]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, who: str, cells: list[Cell]) -> None:
        judged = [cell for cell in cells if cell.test.conditions]
        verdicts = [cell.verdict for cell in judged if cell.verdict is not Verdict.RECORDED]
        self.verdicts.setdefault(who, Counter()).update(verdicts)
        of_metrics = [
            cell.verdict
            for cell in judged
            if cell.test.kind == "metric" and cell.verdict is not Verdict.RECORDED
        ]
        self.metrics.setdefault(who, Counter()).update(of_metrics)
        hard = [cell for cell in judged if cell.test.severity is Severity.FAIL]
        self.failed[who] += any(cell.verdict is Verdict.FAIL for cell in hard)


def decided(verdicts: Counter[Verdict]) -> float:
    """The share of cells that passed or failed."""
    every = sum(verdicts.values())
    return (verdicts[Verdict.PASS] + verdicts[Verdict.FAIL]) / every if every else 0.0


def passed(verdicts: Counter[Verdict]) -> float:
    """The share of cells that passed."""
    return verdicts[Verdict.PASS] / max(sum(verdicts.values()), 1)


def try_world(world: World, seeds: int, folder: Path) -> Tally:
    """Drafts a suite for each seed and evaluates it on fresh rows."""
    tally = Tally(world.name)
    place = folder / world.name
    write(place / "reference", world.reference)
    for seed in range(seeds):
        draft, fresh = world.draw(seed)
        write(place / f"draft-{seed}", draft)
        write(place / f"fresh-{seed}", fresh)
        write(place / f"swapped-{seed}", world.swap(fresh))
        drafted = engine.init(
            world.champion,
            data=str(place / f"draft-{seed}"),
            reference=str(place / "reference"),
            store=str(folder / "store"),
            out=place / f"suite-{seed}.yml",
            force=True,
        )
        tally.rows.append(len(draft))
        tally.tests.append(drafted.tests)
        for who, cells in evaluate(world, drafted.text, place, seed):
            tally.add(who, cells)
        print(world.name, seed, {who: dict(v) for who, v in tally.verdicts.items()}, tally.failed)
    return tally


def evaluate(world: World, text: str, place: Path, seed: int) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of each model on fresh rows, with those of the data, and on swapped columns."""
    session, tell = LazySession(log_file=place / "spark.log"), Reporter()
    suite: dict[str, Any] = yaml.safe_load(text)
    suite["mlflow"] = {"tracking_uri": f"sqlite:///{place.parent / 'store' / 'mlflow.db'}"}
    (own,) = suite["evaluations"]
    own["dataset"]["delta"] = str(place / f"fresh-{seed}")
    own["models"] = [
        {"uri": world.champion, "name": CHAMPION},
        {"uri": world.good, "name": GOOD},
        {"uri": world.shuffled, "name": SHUFFLED},
    ]
    own["baseline"] = CHAMPION
    # What takes seconds and is not judged; below, what takes processes and is not of the rows.
    own["tests"] = [test for test in own["tests"] if "speed" not in test]
    swapped = copy.deepcopy(suite)
    swapped["evaluations"][0]["dataset"]["delta"] = str(place / f"swapped-{seed}")
    swapped["evaluations"][0]["models"] = own["models"][:1]
    swapped["evaluations"][0]["tests"] = [test for test in own["tests"] if "contract" not in test]
    suite["store"] = str(place / f"store-{seed}")
    swapped["store"] = str(place / f"store-{seed}-swapped")
    cells = list(evaluate_alone(read_suite(suite), session, tell).cells)
    for who in (CHAMPION, GOOD, SHUFFLED):
        yield who, [cell for cell in cells if cell.model.name in (who, "")]
    yield SWAPPED, list(evaluate_alone(read_suite(swapped), session, tell).cells)


def write(table: Path, rows: Any) -> None:
    """Rows as a Delta table, once."""
    if not (table / "_delta_log").exists():
        write_deltalake(str(table), rows.reset_index(drop=True))


def table(tallies: list[Tally]) -> str:
    """The table, as Markdown."""
    head = (
        "| model and table | suites | rows | tests | good model: decided | of metrics | passed | "
        "champion: decided | gate failed: champion | good | weights shuffled | column swapped |"
    )
    lines = [head, "|" + " --- |" * 12]
    for one in tallies:
        suites = len(one.rows)
        good, champion = one.verdicts[GOOD], one.verdicts[CHAMPION]
        cells = [
            one.world,
            str(suites),
            f"{one.rows[0]:,}",
            f"{min(one.tests)} to {max(one.tests)}",
            f"{decided(good):.1%}",
            f"{decided(one.metrics[GOOD]):.1%}",
            f"{passed(good):.1%}",
            f"{decided(champion):.1%}",
            *(f"{one.failed[who]} of {suites}" for who in (CHAMPION, GOOD, SHUFFLED, SWAPPED)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def worlds(folder: Path, only: list[str]) -> Iterator[tuple[str, Callable[[], World]]]:
    """The worlds that are asked for, by name."""
    uri = f"sqlite:///{folder / 'store' / 'mlflow.db'}"
    (folder / "store").mkdir(parents=True, exist_ok=True)
    every: dict[str, Callable[[], World]] = {"claims": lambda: claims_world(folder)}
    for name in SHIPPED:
        every[name] = lambda name=name: shipped_world(name, uri, folder)  # type: ignore[misc]
    return ((name, make) for name, make in every.items() if not only or name in only)


def put(body: str) -> None:
    """Puts the table into its page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path, default=Path("build/init-suites"))
    parser.add_argument("--write", action="store_true", help="into the page")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("mlflow", "evalmatrix"):
        logging.getLogger(name).setLevel(logging.ERROR)
    folder = options.folder.absolute()
    only = [name for name in options.only.split(",") if name]
    tallies = []
    for _, make in worlds(folder, only):
        tallies.append(try_world(make(), options.seeds, folder))
        if options.write:
            # What is known by now: the whole takes long.
            put(table(tallies))
    print(table(tallies))
    bad = [one.world for one in tallies if decided(one.verdicts[GOOD]) < DECIDED]
    bad += [t.world for t in tallies for who in (SHUFFLED, SWAPPED) if t.failed[who] < len(t.rows)]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
