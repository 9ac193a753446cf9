"""Which commit was run: asked of real repositories."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.training.experiments.git import read_commit
from engine.training.experiments.provenance import (
    git_part,
    package_lock,
    platform_part,
    shown_path,
    warning_of,
)
from tests.fixtures.git import git, needs_git

pytestmark = needs_git


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    own = folder / "experiments" / "depth"
    own.mkdir(parents=True)
    (folder / "code.py").write_text("a = 1\n")
    (own / "experiment_config.yml").write_text("question: Why?\n")
    git(tmp_path, "init", "-q", "-b", "work", str(folder))
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def test_a_clean_commit(repository):
    commit = read_commit(repository / "experiments" / "depth")
    assert commit.commit == git(repository, "rev-parse", "HEAD")
    assert (commit.branch, commit.changes, commit.root) == ("work", (), repository.resolve())
    assert warning_of(commit) is None
    assert commit.tags == {
        "mlflow.source.git.commit": commit.commit,
        "mlflow.source.git.branch": "work",
        "mlflow.source.git.dirty": "false",
    }
    assert git_part(commit) == {"commit": commit.commit, "branch": "work", "dirty": False}


def test_what_an_experiment_writes_makes_no_commit_dirty(repository):
    own = repository / "experiments" / "depth"
    (own / "experiment_results").mkdir()
    (own / "experiment_results" / "results.csv").write_text("a\n")
    (own / "README.md").write_text("a\n")
    (repository / "store").mkdir()
    (repository / "store" / "mlflow.db").write_text("a\n")
    left_out = [own / "experiment_results", own / "README.md", repository / "store"]
    assert not read_commit(own, left_out).is_dirty
    assert len(read_commit(own).changes) == 3
    # Changed, new, removed and staged files, with names that git would quote.
    (repository / "code.py").write_text("a = 2\n")
    (own / "a name ü.yml").write_text("a\n")
    (own / "experiment_config.yml").unlink()
    (repository / "README.md").write_text("another README\n")
    git(repository, "add", "README.md")
    commit = read_commit(own, left_out)
    assert commit.changes == (
        "README.md",
        "code.py",
        "experiments/depth/a name ü.yml",
        "experiments/depth/experiment_config.yml",
    )
    assert git_part(commit)["dirty_paths"] == list(commit.changes)
    assert commit.tags["mlflow.source.git.dirty"] == "true"
    assert "dirty: README.md, code.py" in warning_of(commit)


def test_no_branch_no_commit_no_repository_no_git(repository, tmp_path, monkeypatch):
    git(repository, "checkout", "-q", "--detach")
    detached = read_commit(repository)
    assert detached.branch == "" and "mlflow.source.git.branch" not in detached.tags
    git(tmp_path, "init", "-q", "bare-of-commits")
    empty = read_commit(tmp_path / "bare-of-commits")
    assert empty.note == "nothing is committed yet" and empty.tags == {}
    outside = read_commit(tmp_path)
    assert outside.note == "not in a git repository" and outside.root is None
    assert warning_of(outside) == "no commit says what was run: not in a git repository"
    assert git_part(outside) == {"commit": None, "note": "not in a git repository"}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_commit(repository).note == "git is not installed"


def test_paths_do_not_lead_out_of_the_repository(repository):
    own = repository / "experiments" / "depth"
    assert shown_path(repository / "models" / "a.csv", own, repository) == "../../models/a.csv"
    assert shown_path(own / "x" / ".." / "suite.yml", own, repository) == "suite.yml"
    assert shown_path("/somewhere/else/a.csv", own, repository) == "a.csv"
    assert shown_path(repository / "a.csv", own, None) == "a.csv"


def test_the_lock_has_what_this_interpreter_imports():
    lines = package_lock().splitlines()
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert {f"{name}=={version(name)}" for name in ("numpy", "scikit-learn", "mlflow")} <= {*lines}
    assert platform_part()["python"] == sys.version.split()[0]
    assert Path("/etc/hostname").read_text().strip() not in str(platform_part())
