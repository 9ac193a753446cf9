"""Which models may be opened: by their files, their signature, their registry."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from engine.core.vocabulary import ModelFormat, Output, Trust
from engine.errors import InputError, ModelError
from engine.models import load
from engine.models.artifact import SIGNATURE, digest, read_artifact
from engine.models.look import look_at_model
from engine.models.mlflow_client import use_tracking_uri
from engine.models.trust.check import bare_address
from engine.models.trust.formats import pieces_of

SAFE = Trust(tuple(kind for kind in ModelFormat if not kind.runs_code))


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it ran"


@pytest.fixture(scope="module")
def forest(log, frame, features) -> str:
    """A random forest as MLflow logs it by default: by skops."""
    from engine.models.flavors.sklearn import import_skops

    import_skops()
    native = RandomForestClassifier(3, random_state=0).fit(features, frame["two"])
    trusted = ["sklearn.tree._tree.Tree"]
    how = {"serialization_format": "skops", "skops_trusted_types": trusted}
    return str(log("sklearn", native, register="forest", **how))


@pytest.fixture
def copy(find, tmp_path) -> Callable[..., Path]:
    """Copies the folder of a logged model, to be changed."""

    def copy(uri: str, task: str = "binary") -> Path:
        target = tmp_path / "copy"
        return Path(shutil.copytree(find(uri, task).path, target))

    return copy


def formats_of(folder: Path) -> set[str]:
    return {piece.format.value for piece in pieces_of(read_artifact(folder))}


def set_flavor(folder: Path, flavor: str, **options: Any) -> None:
    """Writes into the MLmodel file what somebody else might write."""
    file = folder / "MLmodel"
    data = yaml.safe_load(file.read_text())
    data["flavors"].setdefault(flavor, {}).update(options)
    file.write_text(yaml.safe_dump(data))


def test_a_sound_model_is_trusted_and_its_formats_are_told(forest, find):
    model = find(forest, "binary", trust=SAFE)
    assert model.refusal == ""
    assert model.credentials.formats == (ModelFormat.SKOPS,)
    assert model.output is Output.PROBABILITY
    assert load(model).native is not None


def test_a_pickle_is_not_opened_where_it_is_not_allowed(log, find, frame, features, marker):
    native = LogisticRegression().fit(features, frame["two"])
    native.extra = Bomb(marker)
    uri = log("sklearn", native, serialization_format="cloudpickle", register="bomb")
    marker.unlink(missing_ok=True)
    for version in (uri, "models:/bomb/1"):
        model = find(version, "binary", trust=SAFE, classes=(0, 1))
        assert "it is not trusted, and was not opened: model.pkl is pickle" in model.refusal
        with pytest.raises(ModelError, match=r"trust\.formats allows skops, pt2"):
            load(model)
    assert not marker.exists()
    # The same model runs its code where pickles are allowed: the marker can be written.
    trust = Trust((*SAFE.formats, ModelFormat.PICKLE))
    assert load(find(uri, "binary", trust=trust)).native is not None
    assert marker.exists()


def test_a_pickle_that_is_said_to_be_skops_is_one(forest, copy, find, marker):
    folder = copy(forest)
    (folder / "model.skops").write_bytes(pickle.dumps(Bomb(marker)))
    assert formats_of(folder) == {"pickle"}
    model = find(str(folder), "binary", trust=SAFE, classes=(0, 1))
    assert "model.skops is pickle" in model.refusal
    assert model.credentials.imports[0] == "pathlib.Path.touch"
    with pytest.raises(ModelError, match="not trusted"):
        load(model)
    assert not marker.exists()


def test_skops_that_asks_for_foreign_types_is_code(forest, copy, find):
    folder = copy(forest)
    set_flavor(folder, "sklearn", skops_trusted_types=["sklearn.tree._tree.Tree", "os.system"])
    assert formats_of(folder) == {"skops", "code"}
    assert "os.system" in find(str(folder), "binary", trust=SAFE, classes=(0, 1)).refusal


@pytest.mark.parametrize(
    ("flavor", "options", "kind"),
    [
        ("python_function", {"loader_module": "my_loader"}, "code"),
        ("python_function", {"code": "code"}, "code"),
        ("python_function", {"loader_module": "mlflow.pyfunc.model"}, "pickle"),
        ("python_function", {"loader_module": "mlflow.spark"}, "other"),
        ("sklearn", {"serialization_format": "pickle"}, "pickle"),
        # Files that MLflow would unpickle without a look at what the flavour says of them.
        ("python_function", {"data": "requirements.txt"}, "pickle"),
        ("python_function", {"model_path": "requirements.txt"}, "pickle"),
        ("python_function", {"loader_module": "mlflow.pytorch"}, "other"),
        ("lightgbm", {"data": "a.txt", "model_class": "lightgbm.LGBMClassifier"}, "pickle"),
        ("pytorch", {"model_data": "requirements.txt"}, "pickle"),
        ("xgboost", {"data": "model.skops", "model_class": "antigravity.Booster"}, "code"),
        ("tensorflow", {"keras_module": "antigravity"}, "code"),
        ("sklearn", {"pickled_model": "/tmp/model.skops"}, "other"),
        ("onnx", {"data": "../../elsewhere/model.onnx"}, "other"),
    ],
)
def test_what_the_flavours_would_run_counts(forest, copy, find, flavor, options, kind):
    folder = copy(forest)
    set_flavor(folder, flavor, **options)
    assert kind in formats_of(folder)
    assert find(str(folder), "binary", trust=SAFE, classes=(0, 1)).refusal


def test_every_file_of_the_folder_counts(forest, copy):
    folder = copy(forest)
    assert formats_of(folder) == {"skops"}
    (folder / "notes.md").write_text("# a text")
    (folder / "numbers.npy").write_bytes(b"\x93NUMPY" + bytes(10))
    assert formats_of(folder) == {"skops"}
    (folder / "helper.py").write_text("")
    assert formats_of(folder) == {"skops", "code"}
    (folder / ".hidden").write_bytes(pickle.dumps([1]))
    assert formats_of(folder) == {"skops", "code", "pickle"}
    (folder / "elsewhere").symlink_to("/usr")
    (folder / "below").mkdir()
    (folder / "below" / "MLmodel").write_text("flavors: {}")
    (folder / "objects.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': ")
    told = {piece.what: piece.format.value for piece in pieces_of(read_artifact(folder))}
    assert (told["the link elsewhere"], told["objects.npy"]) == ("other", "pickle")
    assert told["below/MLmodel"] == "other"


def test_a_pyfunc_is_a_pickle_with_its_loader(log, find, copy, marker):
    import mlflow.pyfunc

    class Model(mlflow.pyfunc.PythonModel):
        def __init__(self) -> None:
            self.bomb = Bomb(marker)

        def predict(self, context, model_input: list[float], params=None):
            return np.zeros(len(model_input))

    uri = log("pyfunc", Model())
    marker.unlink(missing_ok=True)
    model = find(uri, "regression", trust=SAFE)
    assert "python_model.pkl is pickle" in model.refusal
    with pytest.raises(ModelError, match="not trusted"):
        load(model)
    assert not marker.exists()


def test_a_model_whose_files_were_changed_is_not_opened(forest, find, tracking_uri, tmp_path):
    client, uri = MlflowClient(tracking_uri), "models:/noted/1"
    client.create_registered_model("noted")
    with use_tracking_uri(tracking_uri):
        client.create_model_version("noted", forest, model_id=forest.removeprefix("models:/"))
    assert find(uri, "binary").credentials.registered is None
    client.set_model_version_tag("noted", "1", "evalmatrix.digest", find(uri, "binary").digest)
    assert find(uri, "binary").credentials.registered is True
    client.set_model_version_tag("noted", "1", "evalmatrix.digest", "0" * 64)
    model = find(uri, "binary", classes=(0, 1))
    assert "files were changed since it was registered" in model.refusal
    with pytest.raises(ModelError, match="the registry noted 000000000000"):
        load(model)
    with pytest.raises(ModelError, match="is not opened: its files were changed"):
        look_at_model(uri, tracking_uri, tmp_path, tmp_path)


def test_a_worker_hashes_what_it_opens(forest, copy, find):
    model = find(str(copy(forest)), "binary", output="probability", features=["a", "b", "c"])
    # Planned with other files than there are now; nobody has them open by this digest.
    folder = Path(model.path)
    (folder / "note.txt").write_text("one more file")
    moved = replace(model, digest=digest(folder))
    (folder / "note.txt").write_text("changed since")
    with pytest.raises(ModelError, match="not those that the run was planned with"):
        load(moved)
    (folder / "note.txt").write_text("one more file")
    assert load(moved).native is not None


def test_registries_are_globs_of_server_and_name(forest, find, tracking_uri):
    for globs in (("*/forest",), ("http://x/*", f"{tracking_uri}/f*")):
        assert not find("models:/forest/1", "binary", trust=Trust(registries=globs)).refusal
    other = Trust(registries=("https://models.example/*",))
    refusal = find("models:/forest/1", "binary", trust=other, classes=(0, 1)).refusal
    assert f"it is '{tracking_uri}/forest', and trust.registries allows 'https" in refusal
    unnamed = find(forest, "binary", trust=Trust(registries=("*",)), classes=(0, 1))
    assert "its URI names no registered model" in unnamed.refusal


def test_an_address_is_told_without_its_password():
    assert bare_address("https://ann:secret@models.example:5000/") == "https://models.example:5000"
    assert bare_address("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
    assert bare_address("databricks") == "databricks"


# Signatures, made by the command that users have for it.


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path]:
    """Pairs of keys: of the one who signs, and of somebody else."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("keys")
    for who in ("own", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / who).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / f"{who}.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return {name: folder / name for name in ("own", "own.pub", "other", "other.pub")}


@pytest.fixture
def signed(forest, copy, keys) -> Path:
    folder = copy(forest)
    command = [sys.executable, "-m", "model_signing", "sign", "key", str(folder)]
    signature = ["--signature", str(folder / SIGNATURE), "--private_key", str(keys["own"])]
    subprocess.run([*command, *signature], check=True, capture_output=True)
    return folder


def test_a_signature_is_checked_and_changes_no_digest(signed, forest, find, keys):
    trust = Trust(signed_by=str(keys["own.pub"]))
    model = find(str(signed), "binary", trust=trust)
    assert (model.refusal, model.credentials.signed) == ("", True)
    assert model.digest == find(forest, "binary").digest
    # What MLflow adds to a download was not there to be signed.
    (signed / "registered_model_meta").write_text("model_name: forest\n")
    assert find(str(signed), "binary", trust=trust).credentials.signed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "conda.yaml").write_text("x"), r"\(some were changed\)"),
        (lambda folder: (folder / "more.txt").write_text("x"), r"\(some were added\)"),
        (lambda folder: (folder / "conda.yaml").unlink(), r"\(some are gone\)"),
        (lambda folder: (folder / SIGNATURE).unlink(), "it has no signature"),
        (lambda folder: (folder / SIGNATURE).write_text("{}"), "its signature in model.sig"),
    ],
)
def test_a_signature_that_does_not_hold_keeps_the_model_shut(signed, find, keys, change, words):
    change(signed)
    trust = Trust(signed_by=str(keys["own.pub"]))
    model = find(str(signed), "binary", trust=trust, classes=(0, 1))
    with pytest.raises(ModelError, match=words):
        load(model)
    assert not model.credentials.signed


def test_a_signature_of_another_key_is_none(signed, find, keys):
    trust = Trust(signed_by=str(keys["other.pub"]))
    refusal = find(str(signed), "binary", trust=trust, classes=(0, 1)).refusal
    assert "its signature in model.sig is not of this key" in refusal


@pytest.mark.parametrize("content", [None, "no key", "private"])
def test_a_key_that_is_none_is_a_mistake_of_the_suite(forest, find, keys, tmp_path, content):
    file = tmp_path / "key.pub"
    if content is not None:
        file.write_text(keys["own"].read_text() if content == "private" else content)
    with pytest.raises(InputError, match=r"trust\.signed_by: .*key\.pub' cannot be read"):
        find(forest, "binary", trust=Trust(signed_by=str(file)))


# Archives, whose own formats have ways to carry code.


def write_zip(path: Path, **members: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            text = content if isinstance(content, bytes) else json.dumps(content)
            archive.writestr(name.replace("__", "/").replace("_json", ".json"), text)
    return path


@pytest.mark.parametrize(
    ("layer", "formats"),
    [
        ({"module": "keras.layers", "class_name": "Dense", "registered_name": None}, {"keras"}),
        ({"module": "keras.layers", "class_name": "Lambda"}, {"keras", "code"}),
        ({"module": "my_layers", "class_name": "Dense"}, {"keras", "code"}),
        ({"class_name": "Mine", "registered_name": "pack>Mine"}, {"keras", "code"}),
    ],
)
def test_a_keras_file_with_a_function_in_it_is_code(forest, copy, layer, formats):
    folder = copy(forest)
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    write_zip(folder / "model.keras", config_json=config, metadata_json={})
    assert formats_of(folder) == {"skops"} | formats


@pytest.mark.parametrize(
    ("expression", "safe"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Mul(Integer(2), Symbol('s0', integer=True))", True),
        ("s0 + 2*s1 - 1", True),
        ("__import__('os').system('true')", False),
        ("exec(chr(97))", False),
        ("Add('exec(1)')", False),
        ("(lambda: 1)()", False),
        ("Symbol(Add('exec(1)'))", False),
    ],
)
def test_an_exported_program_is_plain_arithmetic_or_code(forest, copy, expression, safe):
    folder = copy(forest)
    node = {"target": "torch.ops.aten.linear.default", "inputs": [{"expr_str": expression}]}
    write_zip(folder / "model.pt2", m__archive_format=b"pt2", m__models__model_json={"n": [node]})
    assert formats_of(folder) == {"skops", "pt2"} | (set() if safe else {"code"})
