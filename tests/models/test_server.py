"""A tracking server that keeps the artifacts to itself: models are downloaded, once."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from engine.models import load
from engine.models.log_model import FittedModel, log_model, register, training_run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "log").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            yield _ready(f"http://127.0.0.1:{port}", folder / "log")
        finally:
            # The server and its workers, which are one group.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def _ready(uri: str, log: Path) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):
                return uri
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text())


@pytest.mark.slow
def test_models_of_a_server_are_downloaded_once(server, find, frame, features, table, tmp_path):
    native = LogisticRegression().fit(features, frame["two"])
    with training_run(server, "remote", "run") as run_id:
        uri = log_model(FittedModel(native, "sklearn", features.head(3), {}), "model")
        register(uri, "remote", {"task": "binary"})
    cache = tmp_path / "cache"
    options = {"tracking_uri": server, "cache_dir": cache}
    model = find("models:/remote/1", "binary", **options)
    assert Path(model.path).parent == cache
    found = load(model).predict(table).scores
    np.testing.assert_allclose(found, native.predict_proba(features), rtol=1e-12)
    before = Path(model.path).stat().st_mtime_ns
    latest = find("models:/remote/latest", "binary", **options)
    assert dataclasses.replace(latest, uri=model.uri) == model
    assert Path(model.path).stat().st_mtime_ns == before
    assert find(f"runs:/{run_id}/model", "binary", **options).digest == model.digest
    tags = MlflowClient(server).get_model_version("remote", "1").tags
    assert tags == {"evalmatrix.task": "binary"}
