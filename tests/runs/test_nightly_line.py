"""A nightly by cron's own line on this machine: twice at once, killed, failed, tracking down."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine import export
from tests.fixtures.tables import read_rows

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("flock") is None, reason="flock is of util-linux"),
]

SUITE = """\
name: claims
store: ./store
evaluations:
  - name: claims
    dataset: {csv: claims.csv, task: binary, label: y, key: id}
    models: [{name: v1, scores: score}]
    tests: [{metric: roc_auc, min: 0.7}]
"""


def start(folder: Path, root: Path, **more: str) -> subprocess.Popen[str]:
    """What cron does with the line: /bin/sh, another folder, next to no environment."""
    crontab = (folder / "crontab").read_text().splitlines()
    (line,) = (line for line in crontab if not re.match(r"#|\w+=", line))
    kept = {key: os.environ[key] for key in ("JAVA_HOME", "PYSPARK_PYTHON") if key in os.environ}
    python = str(Path(sys.executable).parent)
    environment = {
        **kept, "PATH": f"{python}:{os.environ['PATH']}", "HOME": os.environ["HOME"],
        "PYTHONPATH": str(root), "RETRY_SECONDS": "0", **more,
    }  # fmt: skip
    return subprocess.Popen(
        ["/bin/sh", "-c", line.split(maxsplit=5)[5]], cwd="/", env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=300)
    assert out == ""
    return process.returncode, err


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 200
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
        time.sleep(0.1)


def test_nights_of_a_machine(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 400)
    score = np.clip(rng.normal(0.35 + 0.3 * y, 0.2), 0, 1).round(4)
    pd.DataFrame({"id": range(400), "y": y, "score": score}).to_csv("claims.csv", index=False)
    Path("claims.yml").write_text(SUITE)
    export("cron", "claims.yml", out="ops")
    log = tmp_path / "ops" / "logs" / "claims.log"

    # Twice at once: the second does nothing. The run is killed, and its next try goes on with it.
    first = start(tmp_path / "ops", root)
    wait_for(log, "scanning 400 rows")
    run = run_of(first.pid)
    # However long the second takes to begin.
    os.kill(run, signal.SIGSTOP)
    assert finish(start(tmp_path / "ops", root)) == (
        75, "claims: another run is going on (exit code 75); nothing was done\n",
    )  # fmt: skip
    os.kill(run, signal.SIGKILL)
    assert finish(first) == (0, "")
    text = log.read_text()
    (run_id,) = set(re.findall(r"run (claims-\d{8}T\d{6})", text))
    assert f"run {run_id} resumed" in text
    assert list(read_rows(tmp_path / "store" / "results")["run_id"]) == [run_id]

    # A gate that fails: one try, and where to look.
    export("cron", "claims.yml", out="strict", overrides=["evaluations.claims.tests.0.min=0.99"])
    code, said = finish(start(tmp_path / "strict", root))
    assert code == 1
    assert said.startswith("claims: the gate failed (exit code 1)\nrun: claims-")
    report = re.search(r"report: (\S+);", said)
    assert report is not None and (tmp_path / report[1]).exists()
    assert "try 2" not in (tmp_path / "strict" / "logs" / "claims.log").read_text()

    # A tracking server that is down: tried again, nothing predicted again, nothing twice.
    overrides = ["mlflow.tracking_uri=http://127.0.0.1:9"]
    export("cron", "claims.yml", out="down", overrides=overrides)
    code, said = finish(start(tmp_path / "down", root, TRIES="2"))
    assert code == 4
    assert "the machinery failed" in said and "evalmatrix sync" in said
    assert "try 2 of 2" in (tmp_path / "down" / "logs" / "claims.log").read_text()
    assert len(read_rows(tmp_path / "store" / "results")) == 3


def run_of(pid: int) -> int:
    """The process of `evalmatrix run` below the shell of cron: the deepest Python."""
    (script,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (run,) = Path(f"/proc/{script}/task/{script}/children").read_text().split()
    assert "evalmatrix" in Path(f"/proc/{run}/cmdline").read_text()
    return int(run)
