"""The jobs under a real spark-submit: the arguments and exit codes of the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.spark.internals import delta_jars
from engine.spark.session import QUICK_JAVA

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

# Jobs one after the other, each as a whole program; the last one ends the process.
IN_TURN = """
import json
import runpy
import sys

*first, last = json.loads(sys.argv[1])
for job in first:
    sys.argv = job
    try:
        runpy.run_path(job[0], run_name="__main__")
    except SystemExit as ended:
        print("=== ended with", ended.code, flush=True)
sys.argv = last
runpy.run_path(last[0], run_name="__main__")
"""


def submit(root: Path, job: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    bin_ = Path(sys.executable).parent
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "JAVA_TOOL"))
    }
    env = {
        **kept,
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "PYSPARK_PYTHON": sys.executable,
    }
    jars = delta_jars()
    assert jars, "the tests' own session has left Delta's jars on this machine"
    return subprocess.run(
        [
            str(bin_ / "spark-submit"),
            "--master",
            "local[2]",
            "--jars",
            ",".join(jars),
            "--conf",
            f"spark.driver.extraJavaOptions={QUICK_JAVA}",
            str(job),
            *map(str, args),
        ],
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
        check=False,
    )


def gate(
    small: Callable[..., dict[str, Any]], world: Any, store: Path, bound: float
) -> tuple[Path, str, str]:
    """The arguments of a job whose gate demands an accuracy."""
    suite = small(store=str(world.make_store(store)), tests=[{"metric": "accuracy", "min": bound}])
    return world.write("submit", suite), "--run-id", "submitted-1"


@pytest.mark.soak
def test_nightly_ends_well(
    root: Path, world: Any, small: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    done = submit(root, root / "jobs" / "nightly.py", *gate(small, world, tmp_path, 0.1))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "GATE PASSED" in done.stdout
    assert (tmp_path / "reports" / "submitted-1" / "index.html").exists()


def test_jobs_end_with_the_commands_exit_codes(
    root: Path, world: Any, small: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Files are taken in, a suite is wrong, and a gate fails, which ends the process."""
    world.few.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "wrong.yml").write_text("name: x\nevaluations: 3\n")
    ingest, nightly = (root / "jobs" / f"{name}.py" for name in ("ingest", "nightly"))
    jobs = [
        (ingest, tmp_path / "*.csv", tmp_path / "table"),
        (nightly, tmp_path / "wrong.yml"),
        (nightly, *gate(small, world, tmp_path / "store", 1.0)),
    ]
    (tmp_path / "jobs.py").write_text(IN_TURN)
    done = submit(root, tmp_path / "jobs.py", json.dumps([[*map(str, job)] for job in jobs]))
    assert done.returncode == 1, done.stderr[-3000:]
    # spark-submit sends the standard error of a Python program to its own standard output.
    ingested, wrong, failed = done.stdout.split("=== ended with ")
    assert "version 0: 1 files added, 0 known" in ingested and wrong.startswith("0\n")
    assert failed.startswith("2\n") and "mistake" in wrong + done.stderr
    assert "GATE FAILED" in failed
    assert (tmp_path / "store" / "reports" / "submitted-1" / "index.html").exists()
