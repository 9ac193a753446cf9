"""A model is asked what it returns by the process that scans its rows, and opened there once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from engine.core.child import ChildProcess
from engine.errors import ModelError
from engine.execution import local_pool
from engine.execution.local_pool import LocalPool, begin_worker, describe_early, drop_worker
from engine.models import describe_model
from engine.models.artifact import Artifact, digest, read_artifact

Save = Callable[..., Artifact]


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    drop_worker()
    # Not one that tests lend each other.
    monkeypatch.setattr(local_pool, "ChildProcess", ChildProcess)
    yield
    drop_worker()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    import mlflow.sklearn

    folder = tmp_path_factory.mktemp("fitted") / "model"
    model = LogisticRegression().fit(frame[["a", "b", "c"]], frame["three"])
    mlflow.sklearn.save_model(model, str(folder), pip_requirements=["mlflow"])
    return folder


@pytest.mark.usefixtures("no_worker")
def test_a_pool_takes_the_process_that_was_asked(fitted: Path) -> None:
    artifact = read_artifact(fitted)
    content = digest(fitted)
    asked = describe_early(artifact, content)
    assert asked == describe_model(artifact, content)
    assert asked.classes == ("high", "low", "mid")
    (process,) = local_pool._spare
    with LocalPool() as pool:
        assert pool._take() is process
    assert not local_pool._spare and not local_pool._asked


@pytest.mark.usefixtures("no_worker")
def test_files_that_have_changed_are_not_opened(fitted: Path) -> None:
    with pytest.raises(ModelError, match="not those that the run was planned with"):
        describe_early(read_artifact(fitted), "0" * 64)
    assert len(local_pool._spare) == 1, "the process goes on"


@pytest.mark.usefixtures("no_worker")
def test_a_model_that_ends_its_process_costs_that_process_alone(
    fitted: Path, tmp_path: Path
) -> None:
    artifact = _broken(fitted, tmp_path, "import os; os._exit(3)")
    with pytest.raises(ModelError, match=r"cannot be loaded: its process ended with exit code 3"):
        describe_early(artifact, digest(artifact.path))
    assert not local_pool._spare and not local_pool._asked
    assert describe_early(read_artifact(fitted), digest(fitted)).classes


@pytest.mark.usefixtures("no_worker")
def test_a_run_that_stops_waits_for_no_model(fitted: Path, tmp_path: Path) -> None:
    artifact = _broken(fitted, tmp_path, "import time; time.sleep(600)")
    begin_worker()
    failed: list[Exception] = []

    def ask() -> None:
        try:
            describe_early(artifact, digest(artifact.path))
        except ModelError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not local_pool._asked:
        time.sleep(0.01)
    (process,) = local_pool._asked
    drop_worker()
    thread.join(60)
    assert failed and not thread.is_alive()
    assert process._process.poll() is not None, "nobody has it open any more"
    assert not local_pool._spare and not local_pool._asked


def _broken(fitted: Path, folder: Path, code: str) -> Artifact:
    """A model whose pickle runs some code when it is opened."""
    import pickle
    import shutil

    copied = folder / "broken"
    shutil.copytree(fitted, copied)
    options = read_artifact(copied).flavors["sklearn"]

    class Runs:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return exec, (code,)

    (copied / options["pickled_model"]).write_bytes(pickle.dumps(Runs()))
    text = (copied / "MLmodel").read_text()
    (copied / "MLmodel").write_text(
        text.replace("serialization_format: skops", "serialization_format: pickle")
    )
    return read_artifact(copied)
