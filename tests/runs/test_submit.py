"""The jobs under a real spark-submit: the arguments and exit codes of the command."""

from __future__ import annotations

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


def submit(root: Path, job: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    bin_ = Path(sys.executable).parent
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK"))}
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
            str(root / "jobs" / job),
            *map(str, args),
        ],
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    ("bound", "code", "word"),
    [pytest.param(0.1, 0, "PASSED", marks=pytest.mark.soak), (1.0, 1, "FAILED")],
)
def test_nightly_ends_with_the_gates_exit_code(
    root: Path,
    world: Any,
    small: Callable[..., dict[str, Any]],
    tmp_path: Path,
    bound: float,
    code: int,
    word: str,
) -> None:
    suite = small(store=str(tmp_path), tests=[{"metric": "accuracy", "min": bound}])
    path = world.write(f"submit-{code}", suite)
    done = submit(root, "nightly.py", path, "--run-id", "submitted-1")
    assert done.returncode == code, done.stderr[-3000:]
    assert f"GATE {word}" in done.stdout
    assert (tmp_path / "reports" / "submitted-1" / "index.html").exists()


def test_ingest_and_a_wrong_suite(root: Path, world: Any, tmp_path: Path) -> None:
    world.few.to_csv(tmp_path / "a.csv", index=False)
    done = submit(root, "ingest.py", tmp_path / "*.csv", tmp_path / "table")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "version 0: 1 files added, 0 known" in done.stdout
    (tmp_path / "wrong.yml").write_text("name: x\nevaluations: 3\n")
    wrong = submit(root, "nightly.py", tmp_path / "wrong.yml")
    # spark-submit sends the standard error of a Python program to its own standard output.
    assert wrong.returncode == 2 and "mistake" in wrong.stdout + wrong.stderr
