"""`evalmatrix serve`: the shipped deployments really served, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from engine import serve, train
from engine.errors import InputError, ModelError, SuiteError
from engine.lifecycle.deployment import read_deployment
from engine.serving import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("serve") / "store")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """Copies of the shipped folders, whose models are trained and registered."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("breast_cancer_forest", "diabetes_mlp"):
        shutil.copytree(ROOT / "models" / name, folder / name)
        small = ["params.n_estimators=5"] if name == "breast_cancer_forest" else ["params.epochs=1"]
        train(folder / name, store=store, overrides=small)
    return folder


def ask(url: str, body: bytes) -> Any:
    kind = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/invocations", body, kind), timeout=60
    ) as reply:
        return json.loads(reply.read())["predictions"]


def processes_of(log: Path) -> list[str]:
    """The command lines of the servers that write to a log."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "fd" / "1").resolve() == log.resolve():
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def check_answers(url: str, inputs: Path) -> None:
    """One row, however it is put, is answered alike."""
    answers = [ask(url, path.read_bytes()) for path in sorted(inputs.glob("*.json"))]
    assert len(answers) == 4
    assert len(answers[0]) == 3
    assert all(answer == answers[0] for answer in answers)


def test_each_mock_input_of_a_shipped_network_is_answered(models: Path, store: str) -> None:
    with serve(str(models / "diabetes_mlp"), store=store, port=0) as served:
        assert served.uri == "models:/diabetes_mlp/latest"
        assert served.example is not None
        check_answers(served.url, served.example.parent)
        assert processes_of(served.log)
    assert not processes_of(served.log)
    assert served.log.parent == models / "diabetes_mlp" / "deployment" / "deployment_logs"
    assert "POST /invocations" in served.log.read_text()


def test_the_command_goes_on_until_it_is_told_to_stop(models: Path, store: str) -> None:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "engine.cli.app",
        "serve",
        str(models / "breast_cancer_forest"),
    ]
    process = subprocess.Popen(
        [*command, "--store", store, "--port", str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == f"http://127.0.0.1:{port}\n"
    told = "".join(process.stderr.readline() for _ in range(4))
    (curl,) = re.findall(r"ask it: (curl .*)", told)
    assert "files: skops" in told
    answer = subprocess.run(curl, shell=True, capture_output=True, check=True, text=True).stdout
    assert len(json.loads(answer)["predictions"]) == 3
    check_answers(
        f"http://127.0.0.1:{port}", models / "breast_cancer_forest" / "deployment" / "mock_input"
    )
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "evalmatrix: the server stopped after" in rest
    assert time.monotonic() - started < 10
    with socket.socket() as some:
        assert some.connect_ex(("127.0.0.1", port)) != 0


# What is refused, before anything is started.


@pytest.fixture
def config(models: Path) -> Iterator[Path]:
    """The config of a deployment, to be changed."""
    file = models / "breast_cancer_forest" / "deployment" / "deployment_config.yml"
    before = file.read_text()
    yield file
    file.write_text(before)


def test_an_address_that_is_taken_is_told(models: Path, store: str) -> None:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        some.listen()
        port = some.getsockname()[1]
        with pytest.raises(ModelError, match=rf"127\.0\.0\.1:{port}: somebody else listens there"):
            serve(str(models / "breast_cancer_forest"), store=store, port=port)
    with pytest.raises(ModelError, match="it is no address of this machine"):
        serve(str(models / "breast_cancer_forest"), store=store, host="192.0.2.1", port=0)
    with pytest.raises(InputError, match="found the port 70000, expected 0"):
        serve(str(models / "breast_cancer_forest"), store=store, port=70_000)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"version": 99}, "'breast_cancer_forest' has no version '99'; its versions: "),
        ({"version": "best"}, "has no alias 'best'"),
        ({"name": "other"}, "is of the model 'other', its folder's model_config.yml is of"),
        ({"repl": 1}, "found the unknown key"),
    ],
)
def test_a_config_that_does_not_fit_is_told(
    models: Path, store: str, config: Path, keys: dict[str, Any], words: str
) -> None:
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **keys}))
    with pytest.raises((InputError, SuiteError), match=words):
        serve(str(models / "breast_cancer_forest"), store=store)


def test_a_model_that_is_none_is_told(store: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found the model 'claims', expected a folder with"):
        serve("claims", store=store)
    with pytest.raises(InputError, match="'claims' does not exist"):
        serve("models:/claims/1", store=store)
    with pytest.raises(InputError, match="a deployment folder is that of a folder of models/"):
        serve("models:/breast_cancer_forest/1", store=store, init=True)
    with pytest.raises(InputError, match="found overrides and no suite"):
        serve("models:/breast_cancer_forest/1", store=store, overrides=["a=b"])


def suite_of(folder: Path, store: str, **keys: Any) -> str:
    evaluation = {
        "name": "e",
        "dataset": {"delta": "t", "task": "binary", "label": "y"},
        "models": [
            {"uri": "models:/breast_cancer_forest/1", "name": "forest"},
            {"uri": str(folder / "bomb"), "name": "bomb"},
            {"name": "kept", "scores": ["p"]},
        ],
        "tests": [{"metric": "roc_auc"}],
    }
    path = folder / "suite.yml"
    whole = {"name": "s", "store": store, "evaluations": [evaluation], **keys}
    path.write_text(yaml.safe_dump(whole))
    return str(path)


def test_a_suite_says_which_model_and_what_is_trusted(
    models: Path, store: str, tmp_path: Path
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it ran",)

    suite = suite_of(tmp_path, store, trust={"formats": ["skops"]})
    with pytest.raises(InputError, match="the suite has no model 'forst', expected one of"):
        serve("forst", suite=suite)
    with pytest.raises(InputError, match="has its predictions in a table or at an endpoint"):
        serve("kept", suite=suite)
    bomb = tmp_path / "bomb"
    bomb.mkdir()
    flavors = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "skops"}}
    (bomb / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    (bomb / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match=r"it is not trusted, and was not opened: model\.pkl is"):
        serve("bomb", suite=suite)
    assert not (tmp_path / "it ran").exists()
    with serve("forest", suite=suite) as served:
        assert served.log.parent == Path(store) / "deployment_logs"
        assert served.formats == ("skops",)


def test_files_that_were_changed_are_not_served(models: Path, store: str) -> None:
    client = MlflowClient(f"sqlite:///{store}/mlflow.db")
    noted = client.get_model_version("breast_cancer_forest", "1").tags["evalmatrix.digest"]
    client.set_model_version_tag("breast_cancer_forest", "1", "evalmatrix.digest", "0" * 64)
    try:
        with pytest.raises(ModelError, match="files were changed since it was registered"):
            serve(str(models / "breast_cancer_forest"), store=store)
    finally:
        client.set_model_version_tag("breast_cancer_forest", "1", "evalmatrix.digest", noted)


def test_a_deployment_folder_is_written(models: Path, store: str, tmp_path: Path) -> None:
    folder = models / "breast_cancer_forest"
    kept = serve(str(folder), store=store, init=True)
    assert not kept.written
    shutil.move(str(folder / "deployment"), tmp_path / "deployment")
    try:
        new = serve(str(folder), store=store, init=True)
        assert len(new.written) == 7
        assert read_deployment(new.folder).model_uri == "models:/breast_cancer_forest/latest"
    finally:
        shutil.rmtree(folder / "deployment")
        shutil.move(tmp_path / "deployment", folder / "deployment")
    assert os.access(folder / "deployment", os.W_OK)
