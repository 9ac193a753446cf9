"""An installation without the extra `spark`: what it evaluates, and what it says of the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

# In each process from its start on, also in those that scan.
REFUSES = """
import sys


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "delta"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refusing())
"""
SCRIPT = """
import contextlib, importlib, io, json, pkgutil, sys

import engine


def call(name, *arguments):
    from engine.cli.app import main

    out, sys.argv = io.StringIO(), ["evalmatrix", *arguments]
    print(f"== {name}", file=sys.stderr, flush=True)
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            return {"code": end.code or 0, "out": out.getvalue()}


def main():
    store, suite, by_spark, of_files, catalog = sys.argv[1:]
    commands = {
        "plan": ["plan", suite],
        "run": ["run", suite],
        "again": ["run", suite],
        "results": ["results", "--store", store, "--format", "json"],
        "report": ["report", "--store", store],
        "files": ["run", of_files],
        "spark": ["run", by_spark],
        "catalog": ["run", catalog],
        "doctor": ["doctor", "--store", store],
    }
    told = {name: call(name, *arguments) for name, arguments in commands.items()}
    import pandas as pd

    rows = pd.DataFrame({"y": [0, 1] * 40, "s": [0.2, 0.7, 0.6, 0.9] * 20})
    result = engine.evaluate(rows, {"m": "s"}, label="y", task="binary", store=store)
    cells = result.to_pandas()
    told["evaluate"] = dict(zip(cells["test"], cells["value"], strict=True))
    names = [module.name for module in pkgutil.walk_packages(engine.__path__, "engine.")]
    for name in names:
        importlib.import_module(name)
    told["modules"] = len(names)
    told["imported"] = [name for name in sys.modules if name.split(".")[0] in ("pyspark", "delta")]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def told(
    world: Any,
    small: Callable[..., dict[str, Any]],
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bare")
    store = world.make_store(folder / "store")
    world.few.to_csv(folder / "few.csv", index=False)
    (folder / "sitecustomize.py").write_text(REFUSES)
    (folder / "script.py").write_text(SCRIPT)
    asked = small(store=str(store), slices=["overall", {"by": ["country"]}], reuse=True)
    of_files = small(store=str(store), dataset={"csv": str(folder / "few.csv")})
    of_files["evaluations"][0]["dataset"].pop("delta", None)
    of_files["evaluations"][0]["dataset"].pop("version", None)
    catalog = small(store=str(store), dataset={"delta": "main.lake.claims"})
    by_spark = asked | {"executor": "spark", "reuse": False}
    suites = [asked, by_spark, of_files, catalog]
    files = [str(world.write(f"bare-{number}", suite)) for number, suite in enumerate(suites)]
    done = subprocess.run(
        [sys.executable, str(folder / "script.py"), str(store), *files],
        env={**os.environ, "PYTHONPATH": f"{folder}:{root}"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for part in done.stderr.split("== ")[1:]:
        name, _, text = part.partition("\n")
        answers[name]["err"] = text
    return answers | {"suite": asked}


def test_a_table_is_planned_evaluated_and_read(
    told: dict[str, Any], evaluated: Callable[..., RunResult], world: Any, tmp_path: Path
) -> None:
    assert "rows: processes of this machine read their files" in told["plan"]["out"]
    assert "no pyspark and no delta-spark here: processes of this machine do" in told["run"]["err"]
    assert [told[name]["code"] for name in ("plan", "run", "again", "report", "files")] == [0] * 5
    here = pd.DataFrame(json.loads(told["results"]["out"]))
    store = world.make_store(tmp_path / "store")
    there = evaluated(told["suite"] | {"store": str(store)}, "by-spark").to_pandas()
    columns = ["slice", "test", "n", "value", "ci_low", "ci_high", "verdict"]
    order = {"by": ["slice", "test"], "ignore_index": True}
    pd.testing.assert_frame_equal(
        here[columns].sort_values(**order), there[columns].sort_values(**order)
    )


def test_what_takes_spark_says_what_to_install(told: dict[str, Any]) -> None:
    for name, code in (("spark", 2), ("catalog", 2), ("doctor", 4)):
        shown = told[name]["out"] + told[name]["err"]
        assert told[name]["code"] == code and "pip install 'evalmatrix[spark]'" in shown, name


def test_a_frame_is_evaluated_from_python(told: dict[str, Any]) -> None:
    labels, scores = [0, 1] * 40, [0.2, 0.7, 0.6, 0.9] * 20
    assert told["evaluate"]["accuracy"] == accuracy_score(labels, np.array(scores) > 0.5)
    assert told["evaluate"]["roc_auc"] == roc_auc_score(labels, scores)


def test_no_module_imports_pyspark(told: dict[str, Any]) -> None:
    assert told["modules"] > 600 and told["imported"] == []
