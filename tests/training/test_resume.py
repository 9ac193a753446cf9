"""Real processes: equal figures on any number of them, nothing fitted twice, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelError, StoreError
from engine.training import search_model
from engine.training.journal import Journal
from engine.training.local_workers import LocalWorkers
from engine.training.tasks import FoldScore, FoldTask
from tests.fixtures.folds import here, make_folder

# Each fit leaves a line: which candidate, on which rows, and in which process.
CODE = """
import os
import time

import numpy as np
from sklearn.tree import DecisionTreeClassifier


def build(params):
    params = dict(params)
    params.pop("wait")
    return DecisionTreeClassifier(**params)


def fit(model, inputs, labels, params):
    if params["max_depth"] == 5 and os.path.exists(os.path.join(HOME, "deadly")):
        os._exit(9)
    time.sleep(params["wait"])
    # A draw that shows whether generators are seeded for each fit.
    model.random_state = int(np.random.randint(1000))
    model.fit(inputs, labels)
    line = f"{params['max_depth']} {inputs['a'].sum():.12f} {os.getpid()}\\n"
    with open(os.path.join(HOME, "fits"), "a") as file:
        file.write(line)
    return model
"""
CONFIG = """
name: tree
framework: sklearn
task: binary
output: probability
label: y
params: {max_depth: 3, max_features: 1, wait: 0.0}
search: {params: {max_depth: [1, 2, 3, 4, 5, 6]}}
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_folder(tmp_path, code=f"HOME = {str(tmp_path)!r}\n{CODE}", config=CONFIG)


def fits(folder: Path) -> list[tuple[str, str]]:
    """The candidate and the rows of each fit so far."""
    file = folder.parent / "fits"
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(line.split()[:2]) for line in lines]


def search(folder: Path, workers: int | None = None, overrides: Sequence[str] = (), **more):
    """A search by so many processes; without a number in this one."""
    local = None if workers is None else lambda work: LocalWorkers(work, workers)
    options = here(make=local, **more)
    uri = f"sqlite:///{folder.parent}/mlflow.db"
    return search_model(folder, tracking_uri=uri, overrides=overrides, options=options)


def test_one_fit_for_each_fold_and_equal_figures_on_any_number_of_processes(folder):
    one = search(folder, 1).leaderboard
    assert len(fits(folder)) == one.fitted == 6 * 5
    result = search(folder, 2, register=True)
    assert len(fits(folder)) == 30 + 30 + 1, "one more for the best, on all rows"
    assert len(set(fits(folder))) == 31, "no candidate met the same rows twice"
    assert result.trained.version == "1"
    pids = {line.split()[2] for line in (folder.parent / "fits").read_text().splitlines()}
    assert len(pids) == 4, "three workers, and this process for the best"
    two = result.leaderboard
    assert [e.candidate.params for e in one.entries] == [e.candidate.params for e in two.entries]
    for left, right in zip(one.entries, two.entries, strict=True):
        for metric in one.metrics:
            np.testing.assert_array_equal(left.values(metric), right.values(metric))


def test_a_process_that_dies_costs_its_fold(folder):
    (folder.parent / "deadly").touch()
    change = ["cv.folds=2", "search.params.max_depth=[4,5,6]"]
    journal = folder.parent / "journal"
    board = search(folder, 1, journal=journal, overrides=change).leaderboard
    worst = board.entries[-1]
    assert worst.candidate.params == {"max_depth": 5} and worst.has_failed
    assert worst.errors[0] == "its process ended with exit code 9"
    assert len(set(fits(folder))) == len(fits(folder)) == 4
    # Memory may do another time: it is tried again, and the others are not.
    (folder.parent / "deadly").unlink()
    again = search(folder, 1, journal=journal, overrides=change).leaderboard
    assert again.fitted == 2 and not any(entry.has_failed for entry in again.entries)
    assert len(fits(folder)) == 6


def test_a_killed_search_goes_on(folder, root):
    command = [sys.executable, "-m", "engine.cli.app", "train", str(folder), "--search",
               "--workers", "2", "--store", str(folder.parent / "store")]  # fmt: skip
    slow = [*command, "--set", "params.wait=0.3"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(slow, env=environment, stderr=subprocess.PIPE)
    searches = folder.parent / "store" / "searches"

    def finished() -> list[dict]:
        return [
            json.loads(line)
            for file in searches.glob("*.jsonl")
            for line in file.read_text().splitlines()
        ]

    deadline = time.monotonic() + 120
    while len(finished()) < 7:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = finished()
    assert 7 <= len(kept) < 30
    # Workers see that they are alone, and end.
    time.sleep(1.5)
    before = len(fits(folder))
    assert before <= len(kept) + 2, "a worker is at one fold at a time"
    done = subprocess.run(slow, env=environment, capture_output=True, text=True, check=True)
    assert f"{len(kept)} folds were there already, {30 - len(kept)} were fitted" in done.stderr
    assert len(fits(folder)) - before == 30 - len(kept)
    assert len(finished()) == 30
    assert "difference to the best" in done.stdout


def test_ctrl_c_says_how_to_go_on(folder, root):
    command = [sys.executable, "-m", "engine.cli.app", "train", str(folder), "--search",
               "--workers", "1", "--store", str(folder.parent / "store"),
               "--set", "params.wait=0.3"]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(fits(folder)) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "finished folds are kept; the same command goes on from there" in told
    count = len(fits(folder))
    time.sleep(1.5)
    assert len(fits(folder)) == count, "no worker goes on"


def test_what_decides_a_fold_is_in_its_key(folder):
    journal = folder.parent / "journal"
    assert search(folder, journal=journal).leaderboard.fitted == 30
    more = "search: {params: {max_depth: [1, 2, 3, 4, 5, 6, 7]}}"
    config = folder / "model_config.yml"
    config.write_text(
        config.read_text().replace("search: {params: {max_depth: [1, 2, 3, 4, 5, 6]}}", more)
    )
    assert search(folder, journal=journal).leaderboard.fitted == 5, "only the new candidate"
    config.write_text(config.read_text() + "cv: {folds: 4}\n")
    assert search(folder, journal=journal).leaderboard.fitted == 28
    config.write_text(config.read_text() + "seed: 1\n")
    assert search(folder, journal=journal).leaderboard.fitted == 28
    code = folder / "model_code.py"
    code.write_text(code.read_text() + "# changed\n")
    assert search(folder, journal=journal).leaderboard.fitted == 28


def test_a_line_that_was_cut_off_is_done_again(tmp_path):
    file = tmp_path / "folds.jsonl"
    journal = Journal(file)
    for number in range(3):
        task = FoldTask(f"key{number}", {"a": [1, None]}, number)
        journal.add(task, FoldScore({"auc": float("nan") if number else 1 / 3}, n_test=4))
    lost = FoldTask("lost", {}, 0)
    journal.add(lost, FoldScore(error="died", lost=True))
    file.write_text(file.read_text()[:-20])
    again = Journal(file)
    assert len(again) == 2 and again.find("key2") is None and again.find("lost") is None
    assert again.find("key0").values == {"auc": 1 / 3}
    assert np.isnan(again.find("key1").values["auc"])
    again.add(FoldTask("key2", {}, 2), FoldScore({"auc": 1.0}))
    assert len(Journal(file)) == 3


def test_a_full_disk_is_told(disk):
    journal = Journal(disk / "folds.jsonl")
    (disk / "filler").write_bytes(b"x" * (64 << 20))
    with pytest.raises(StoreError, match="cannot be written: No space left on device"):
        journal.add(FoldTask("key", {}, 0), FoldScore({"auc": 0.5}))


def test_code_that_cannot_be_imported_is_no_failed_fold(folder):
    (folder / "model_code.py").write_text("import no_such_module\n")
    with pytest.raises(ModelError, match="cannot be imported: ModuleNotFoundError"):
        search(folder, 1, journal=folder.parent / "journal")
    assert not (folder.parent / "journal").exists()
