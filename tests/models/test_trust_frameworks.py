"""What PyTorch's and Keras' files are, of models that their own libraries wrote."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.models import infer_signature

from engine.core.vocabulary import ModelFormat, Trust
from engine.errors import ModelError
from engine.models import load
from engine.models.artifact import read_artifact
from engine.models.flavors.keras import import_tensorflow
from engine.models.trust.formats import pieces_of

pytestmark = pytest.mark.frameworks

SAFE = Trust(tuple(kind for kind in ModelFormat if not kind.runs_code))


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def net() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Softmax(1)).eval()


@pytest.fixture
def program(log, find, net, features) -> Callable[[], Path]:
    """The folder of an exported program, which a test may change: it is logged anew."""
    import torch

    def program() -> Path:
        array = features.to_numpy(np.float32)
        with torch.inference_mode():
            answers = net(torch.from_numpy(array)).numpy()
        uri = log(
            "pytorch",
            net,
            serialization_format="pt2",
            input_example=array[:2],
            signature=infer_signature(array, answers),
        )
        model = find(uri, "binary", "probability", features=["a", "b", "c"], trust=SAFE)
        assert model.refusal == ""
        assert model.credentials.formats == (ModelFormat.PT2,)
        assert load(model).native is not None
        return Path(model.path)

    return program


def formats_of(folder: Path) -> set[str]:
    return {piece.format.value for piece in pieces_of(read_artifact(folder))}


def test_a_pickled_network_is_not_opened(log, find, net, features, tmp_path):
    marker = tmp_path / "it ran"
    net.extra = Bomb(marker)
    uri = log("pytorch", net, serialization_format="pickle")
    del net.extra
    marker.unlink(missing_ok=True)
    model = find(uri, "binary", trust=SAFE, classes=(0, 1))
    assert "data/model.pth is pickle" in model.refusal
    with pytest.raises(ModelError, match="not trusted"):
        load(model)
    assert not marker.exists()


def test_an_exported_program_with_a_pickle_in_it_is_one(program, tmp_path):
    """PyTorch unpickles the example inputs of a program without limits when it has to."""
    import torch

    folder, marker = program(), tmp_path / "it ran"
    file = next(folder.rglob("*.pt2"))
    members = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    inputs = next(name for name in members if "sample_inputs" in name)
    torch.save(((Bomb(marker),), {}), tmp_path / "inputs.pt")
    members[inputs] = (tmp_path / "inputs.pt").read_bytes()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert formats_of(folder) == {"pt2", "pickle"}
    assert not marker.exists()
    # It is no idle fear: to load it runs the code.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.load(str(file))
    assert marker.exists()


def test_a_keras_file_is_one_and_custom_objects_are_a_pickle(log, find, features, tmp_path):
    keras = import_tensorflow().keras
    native = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    array = features.to_numpy(np.float32)
    uri = log("tensorflow", native, signature=infer_signature(array, native.predict(array)))
    model = find(uri, "binary", features=["a", "b", "c"], trust=SAFE, classes=(0, 1))
    assert (model.refusal, model.credentials.formats) == ("", (ModelFormat.KERAS,))
    folder = Path(model.path)
    (folder / "data" / "global_custom_objects.cloudpickle").write_bytes(pickle.dumps({}))
    assert formats_of(folder) == {"keras", "pickle"}
    custom = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    custom.save(folder / "data" / "model.keras")
    assert formats_of(folder) == {"keras", "pickle", "code"}
    native.save(folder / "data" / "model.h5")
    assert "h5" in formats_of(folder)
