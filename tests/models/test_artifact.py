from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.errors import ModelError
from engine.models.artifact import digest, read_artifact


def write(folder: Path, **data) -> Path:
    data.setdefault("flavors", {"sklearn": {"pickled_model": "model.pkl"}})
    (folder / "MLmodel").write_text(yaml.safe_dump(data))
    return folder


def test_signature_notes_and_flavour_are_read(tmp_path):
    inputs = [{"type": "double", "name": "a"}, {"type": "string", "name": "b", "required": False}]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]
    signature = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}
    write(tmp_path, signature=signature, model_id="m-1", metadata={"evalmatrix": {"task": "x"}})
    artifact = read_artifact(tmp_path)
    assert artifact.flavor == "sklearn"
    assert artifact.inputs == (ColumnSpec("a", "double"), ColumnSpec("b", "string", optional=True))
    assert artifact.output_types == ("int64",)
    assert artifact.notes == {"task": "x"}
    assert artifact.model_id == "m-1"


def test_tensors_lose_their_row_axis(tmp_path):
    spec = {"dtype": "float32", "shape": [-1, 8, 8, 1]}
    write(tmp_path, signature={"inputs": json.dumps([{"type": "tensor", "tensor-spec": spec}])})
    assert read_artifact(tmp_path).inputs == (TensorSpec(None, "float32", (8, 8, 1)),)


def test_columns_without_names_count_as_no_signature(tmp_path):
    write(tmp_path, signature={"inputs": '[{"type": "double"}]', "outputs": None})
    assert read_artifact(tmp_path).inputs == ()


@pytest.mark.parametrize(
    ("flavors", "expected"),
    [
        ({"python_function": {}, "sklearn": {}}, "sklearn"),
        ({"python_function": {}, "tensorflow": {"model_type": "keras"}}, "tensorflow"),
        ({"python_function": {}, "tensorflow": {"model_type": "tf2-module"}}, "pyfunc"),
        ({"python_function": {}, "pytorch": {}}, "pytorch"),
        ({"python_function": {}, "xgboost": {}}, "pyfunc"),
    ],
)
def test_flavours(tmp_path, flavors, expected):
    assert read_artifact(write(tmp_path, flavors=flavors)).flavor == expected


def test_a_flavour_that_is_no_mapping_is_told(tmp_path):
    with pytest.raises(ModelError, match="its flavour 'onnx' is a str, expected a mapping"):
        read_artifact(write(tmp_path, flavors={"sklearn": {}, "onnx": "model.onnx"}))


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(ModelError, match="no folder at"):
        read_artifact(tmp_path / "missing")
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"expected a file MLmodel in it, found weights\.bin"):
        read_artifact(tmp_path)
    (tmp_path / "MLmodel").write_text("[")
    with pytest.raises(ModelError, match="cannot be read"):
        read_artifact(tmp_path)
    write(tmp_path, flavors={"spark": {}})
    with pytest.raises(ModelError, match=r"has the flavours \['spark'\]"):
        read_artifact(tmp_path)


def test_the_digest_is_of_the_files_alone(tmp_path):
    def make(name: str) -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        (folder / "MLmodel").write_text("x")
        (folder / "data" / "weights").write_bytes(b"\0\1")
        return folder

    one, two = make("one"), make("two")
    assert digest(one) == digest(two)
    # What appears without the model changing.
    (one / "registered_model_meta").write_text("name: m")
    (one / ".cache").write_text("")
    (one / "code" / "__pycache__").mkdir(parents=True)
    (one / "code" / "__pycache__" / "m.pyc").write_bytes(b"\0")
    assert digest(one) == digest(two)
    # A byte, a name and a place each count.
    (two / "data" / "weights").write_bytes(b"\0\2")
    assert digest(one) != digest(two)
    (two / "data" / "weights").rename(two / "weights")
    (two / "weights").write_bytes(b"\0\1")
    assert digest(one) != digest(two)
