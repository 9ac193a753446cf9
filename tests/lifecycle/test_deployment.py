"""Deployment folders: what their config may say, what is written, what requests are made."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.errors import ModelError, SuiteError
from engine.lifecycle.deployment import (
    CONFIG_FILE,
    DeploymentConfig,
    find_log,
    mock_bodies,
    read_deployment,
    used_memory_text,
    write_folder,
)

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("breast_cancer_forest", "diabetes_mlp")


def read(folder: Path, **keys: Any) -> DeploymentConfig:
    (folder / CONFIG_FILE).write_text(yaml.safe_dump({"name": "claims", **keys}))
    return read_deployment(folder)


@pytest.mark.parametrize(
    ("version", "uri"),
    [
        ("latest", "models:/claims/latest"),
        (3, "models:/claims/3"),
        ("3", "models:/claims/3"),
        ("champion", "models:/claims@champion"),
        ("@champion", "models:/claims@champion"),
    ],
)
def test_a_version_is_a_number_or_an_alias(tmp_path: Path, version: Any, uri: str) -> None:
    assert read(tmp_path, version=version).model_uri == uri


def test_quantities_are_as_kubernetes_spells_them(tmp_path: Path) -> None:
    for cpu, memory, size in [(1, "512Mi", 2**29), ("500m", "1.5G", 1_500_000_000), (0.5, 7, 7)]:
        config = read(tmp_path, resources={"cpu": cpu, "memory": memory})
        assert (config.resources.cpu, config.resources.memory_bytes) == (str(cpu), size)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"replica": 2}, "found the unknown key, expected one of name, where"),
        ({"replica": 2}, "did you mean 'replicas'?"),
        ({"resources": {"mem": "1Gi"}}, "resources.mem: found the unknown key"),
        ({"where": "kubernetes"}, "found 'kubernetes', expected 'local' (elsewhere"),
        ({"replicas": 0}, "replicas: found 0"),
        ({"replicas": "two"}, "replicas: found 'two'"),
        ({"resources": {"cpu": "1 core"}}, "resources.cpu: found '1 core', expected a quantity"),
        ({"resources": {"memory": "1 GB"}}, "resources.memory: found '1 GB'"),
        ({"url": "https://127.0.0.1:5001"}, "expected http://HOST:PORT"),
        ({"url": "http://127.0.0.1"}, "expected http://HOST:PORT"),
        ({"url": "http://ann:pw@127.0.0.1:1"}, "expected http://HOST:PORT"),
        ({"url": "http://127.0.0.1:99999"}, "expected http://HOST:PORT"),
        ({"version": True}, "expected latest, the number of a version, or an alias"),
        ({"version": 0}, "expected latest, the number of a version, or an alias"),
        ({"version": "a/b"}, "expected latest, the number of a version, or an alias"),
        ({"name": ""}, "name"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError) as refused:
        read(tmp_path, **keys)
    assert words in str(refused.value)


def test_a_config_that_is_none_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*`evalmatrix serve .* --init` writes one"):
        read_deployment(tmp_path / "deployment")
    for text, words in {"- 1": "expected a mapping", "a: [": "mistake"}.items():
        (tmp_path / CONFIG_FILE).write_text(text)
        with pytest.raises(SuiteError, match=words):
            read_deployment(tmp_path)


def test_requests_are_made_of_the_signature_alone() -> None:
    inputs = (
        ColumnSpec("n", "long"), ColumnSpec("x", "double"), ColumnSpec("word", "string"),
        ColumnSpec("when", "datetime"), ColumnSpec("yes", "boolean"), ColumnSpec("raw", "binary"),
    )  # fmt: skip
    bodies = mock_bodies("models:/m/1", inputs)
    assert list(bodies) == ["dataframe_split", "dataframe_records", "instances", "inputs"]
    assert json.loads(json.dumps(bodies, allow_nan=False)) == bodies
    split = bodies["dataframe_split"]["dataframe_split"]
    assert split["columns"] == ["n", "x", "word", "when", "yes", "raw"]
    assert [type(value) for value in split["data"][0]] == [int, float, str, str, bool, str]
    records = bodies["dataframe_records"]["dataframe_records"]
    assert [list(row.values()) for row in records] == split["data"]
    assert bodies["inputs"]["inputs"]["n"] == [row["n"] for row in records]
    assert bodies == mock_bodies("models:/m/1", inputs), "the same each time"


def test_a_tensor_is_asked_for_by_arrays() -> None:
    bodies = mock_bodies("models:/m/1", (TensorSpec(None, "float32", (2, 2)),))
    assert list(bodies) == ["instances", "inputs"]
    (first, *_) = bodies["inputs"]["inputs"]
    assert [len(row) for row in first] == [2, 2]
    with pytest.raises(ModelError, match="has no signature"):
        mock_bodies("models:/m/1", ())


def test_a_folder_is_written_and_what_was_there_is_kept(tmp_path: Path) -> None:
    bodies = mock_bodies("models:/m/1", (ColumnSpec("x", "double"),))
    first = write_folder(tmp_path, "ünïcode: model", bodies)
    assert not first.kept
    assert read_deployment(first.folder).name == "ünïcode: model"
    (first.folder / "README.md").write_text("mine")
    (first.folder / "mock_input" / "inputs.json").unlink()
    again = write_folder(tmp_path, "ünïcode: model", bodies)
    assert [path.name for path in again.written] == ["inputs.json"]
    assert (first.folder / "README.md").read_text() == "mine"
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="cannot be written"):
        write_folder(tmp_path / "file", "m", bodies)


def test_logs_are_their_owners(tmp_path: Path) -> None:
    log = find_log(tmp_path / "logs", dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC))
    assert log.name.startswith("20261130T120000Z-")
    assert log.stat().st_mode & 0o777 == 0o600


def test_more_memory_than_was_meant_is_told() -> None:
    config = DeploymentConfig(name="m", replicas=2)
    assert used_memory_text(None, config) is None
    assert used_memory_text(4 * 2**30, config) is None
    told = used_memory_text(5 * 2**30, config)
    assert told == (
        "the server holds 5,120 MiB, its 2 replicas are meant to take 4,096 MiB "
        "(resources.memory: 2Gi)"
    )
    alone = used_memory_text(5 * 2**30, DeploymentConfig(name="m"))
    assert alone is not None and "its replica is meant to take 2,048 MiB" in alone


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_folders_are_as_init_writes_them(name: str, tmp_path: Path) -> None:
    folder = ROOT / "models" / name / "deployment"
    assert read_deployment(folder).name == name
    split = json.loads((folder / "mock_input" / "dataframe_split.json").read_text())
    columns = split["dataframe_split"]["columns"]
    bodies = mock_bodies("m", tuple(ColumnSpec(column, "double") for column in columns))
    written = write_folder(tmp_path, name, bodies)
    for path in written.written:
        shipped = (folder / path.relative_to(written.folder)).read_text()
        assert shipped == path.read_text().replace(str(tmp_path), f"models/{name}")
