"""The experiments of the repository: valid, and with results of what is there now."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from engine.training.experiments.config import read_experiment
from engine.training.experiments.readme import BEGIN, END

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "experiments").glob("*/experiment_config.yml"))


def test_there_are_some():
    assert [folder.name for folder in FOLDERS] == ["forest_depth", "mlp_width"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_results_are_of_the_files_that_are_there(folder):
    results = folder / "experiment_results"
    told = yaml.safe_load((results / "provenance.yml").read_text())
    experiment = read_experiment(folder)
    assert told["git"]["dirty"] is False
    assert told["overrides"] == list(experiment.overrides)
    for file in told["files"]:
        digest = hashlib.sha256((folder / file["path"]).read_bytes()).hexdigest()
        assert digest == file["sha256"], f"{file['path']} has changed: run the experiment again"
    best = pd.read_csv(results / "leaderboard.csv").iloc[0]
    text = (folder / "README.md").read_text()
    block = text[text.index(BEGIN) : text.index(END)]
    metric = re.search(r"Best of \d+ by (\w+):", block)[1]
    assert f"{best[metric]:.4f} ± {best[f'{metric}.std']:.4f}" in block


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_results_are_committed_on_purpose_and_name_no_machine(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    if shutil.which("git") and (ROOT / ".git").exists():
        # Whoever the folder belongs to.
        command = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "check-ignore", *files]
        ignored = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ignored.returncode == 1, ignored.stdout + ignored.stderr
    for path in files:
        assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text()), path
        assert path.stat().st_size < 50_000, path
