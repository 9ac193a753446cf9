"""How often each check of `leakage` finds what is planted in a table, and accuses a sound one.

Samples of rows stand beside samples of a reference, all of them in one table each, told apart by
`sample`, which is a part of the key. A whole run asks all checks on the slice of each sample. In
the table with leaks some rows of each sample are planted for each check.

    python benchmarks/planted_leaks.py [--samples N] [--write]

prints the table, and with `--write` puts it into the page of `leakage`. It exits with 1 where a
planted sample is not in FAIL, or more than 5 % of the sound ones surely are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from rates import LEVEL, Rate, line, table, with_table

from engine.commands.run import run
from engine.core.vocabulary import Cell, Verdict
from engine.spark.session import get_session

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kinds" / "leakage.md"
BEGIN = "<!-- begin: benchmarks/planted_leaks.py -->"
COLUMNS = (
    "test", "planted in a sample", "found", "as many as planted", "falsely found in sound samples",
    "95 % interval",
)  # fmt: skip
ROWS, PLANTED, WORDS = 800, 8, 20
DAY = np.datetime64("2026-01-01")
VOCABULARY = np.array([f"word{n}" for n in range(300)])

# A test with its limit, what is planted for it, and how many rows that are.
Leak = tuple[Mapping[str, Any], str, int | None]
LEAKS: tuple[Leak, ...] = (
    ({"leakage": "rows"}, "8 of 800 rows copied under another key", PLANTED),
    (
        {"leakage": "rows", "near": 0.8},
        "8 with two of 20 words changed and another label, beside these", 2 * PLANTED,
    ),
    ({"leakage": "keys"}, "8 keys of the reference", PLANTED),
    ({"leakage": "entities"}, "8 rows of customers of the reference", PLANTED),
    (
        {"leakage": "dates", "column": "day"},
        "8 rows as old as the reference's newest, beside the copies", 3 * PLANTED,
    ),
    ({"leakage": "target"}, "a column that is the label, times three plus seven", None),
)  # fmt: skip


def asked(test: Mapping[str, Any]) -> dict[str, Any]:
    """A test as a suite has it."""
    limit = {"max": 0.8} if test["leakage"] == "target" else {"max_rows": 0}
    return {**test, **limit, "name": name_of(test), "slices": ["samples"]}


def name_of(test: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in test.values())


def test_text(test: Mapping[str, Any]) -> str:
    return f"`{', '.join(f'{key}: {value}' for key, value in test.items())}`"


def sample_of(rng: np.random.Generator, sample: int, first: int, leaks: bool) -> pd.DataFrame:
    """Rows that know nothing of others, later than the reference's; `leaks` in what `twin` says."""
    label = rng.integers(0, 2, ROWS)
    texts = [" ".join(rng.choice(VOCABULARY, WORDS, replace=False)) for _ in range(ROWS)]
    age = 300 + np.arange(ROWS) % 60 if first else np.arange(ROWS) % 300
    return pd.DataFrame(
        {
            "sample": sample,
            "n": first + np.arange(ROWS),
            "customer": [f"{sample}-{first + n // 3}" for n in range(ROWS)],
            "a": rng.normal(size=ROWS),
            "text": texts,
            "day": (DAY + age.astype("timedelta64[D]")).astype(object),
            "twin": 3 * (label if leaks else rng.integers(0, 2, ROWS)) + 7,
            "label": label,
            "score": 0.5,
        }
    )


def leak_into(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """The rows with a few planted for each check, each where no other is."""
    rows = rows.copy()
    parts = [rows.index[PLANTED * part : PLANTED * (part + 1)] for part in range(5)]
    inputs = ["a", "text", "day", "twin", "label"]
    for part in parts[:2]:
        rows.loc[part, inputs] = reference.loc[part, inputs]
    words = rows.loc[parts[1], "text"].str.split(n=2)
    rows.loc[parts[1], "text"] = [f"new other {rest}" for _, _, rest in words]
    rows.loc[parts[1], "label"] = 1 - rows.loc[parts[1], "label"]
    rows.loc[parts[2], "n"] = reference.loc[parts[2], "n"]
    rows.loc[parts[3], "customer"] = reference.loc[parts[3], "customer"]
    rows.loc[parts[4], "day"] = reference["day"].max()
    return rows


def cells_of(folder: Path, leaks: bool, samples: int) -> list[Cell]:
    """The cells of a run on a table with leaks, or a sound one."""
    rng = np.random.default_rng([20_261_130, leaks])
    ours, theirs = [], []
    for sample in range(samples):
        reference = sample_of(rng, sample, 0, leaks)
        rows = sample_of(rng, sample, 10_000, leaks)
        ours.append(leak_into(rows, reference) if leaks else rows)
        theirs.append(reference)
    for name, frames in (("rows", ours), ("reference", theirs)):
        every = pa.Table.from_pandas(pd.concat(frames), preserve_index=False)
        write_deltalake(folder / name, every)
    evaluation = {
        "name": "leaks",
        "dataset": {"delta": str(folder / "rows"), "task": "binary", "label": "label",
                    "key": ["sample", "n"], "cluster": "customer"},
        "reference": {"delta": str(folder / "reference")},
        "models": [{"name": "stored", "scores": "score"}],
        "slices": [{"name": "samples", "by": ["sample"]}],
        "tests": [asked(test) for test, _, _ in LEAKS],
    }  # fmt: skip
    suite = {"name": "leaks", "store": str(folder / "store"), "evaluations": [evaluation]}
    (found,) = run(suite).outcome.evaluations
    return [cell for cell in found.cells if cell.test.conditions]


def failures(cells: Sequence[Cell], test: Mapping[str, Any]) -> Rate:
    own = [cell for cell in cells if cell.test.name == name_of(test)]
    wrong = [cell.reason for cell in own if cell.verdict is Verdict.ERROR]
    if wrong or not own:
        raise SystemExit(f"{name_of(test)}: {wrong[:1]}")
    return Rate(sum(cell.verdict is Verdict.FAIL for cell in own), len(own))


def row_of(leak: Leak, planted: Sequence[Cell], sound: Sequence[Cell]) -> tuple[list[str], bool]:
    """A line of the table, and whether what is promised is held."""
    test, text, count = leak
    found, false = failures(planted, test), failures(sound, test)
    own = [cell.measured.value for cell in planted if cell.test.name == name_of(test)]
    exact = "–" if count is None else Rate(sum(one == count for one in own), len(own)).columns[0]
    cells = [test_text(test), text, found.columns[0], exact, *false.columns]
    return cells, found.hits == found.count and false.ends[0] <= LEVEL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=40, help="of sound rows; half of leaks")
    parser.add_argument("--write", action="store_true", help="into the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        get_session(app_name="leaks", log_file=folder / "spark.log")
        planted = cells_of(folder / "planted", True, max(options.samples // 2, 1))
        sound = cells_of(folder / "sound", False, options.samples)
        rows = [row_of(leak, planted, sound) for leak in LEAKS]
    for cells, held in rows:
        print(line(cells), "" if held else "NOT HELD", flush=True)
    if options.write:
        body = "\n".join(table(COLUMNS, [cells for cells, _ in rows]))
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), BEGIN, body), encoding="utf-8")
    return 0 if all(held for _, held in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
