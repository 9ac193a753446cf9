"""Models in folders of nasty names, and nasty names in the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.linear_model import LogisticRegression

from engine.models import load
from engine.models.artifact import digest
from engine.models.mlflow_client import database_path, versions_of

FOLDER = 'a b\'#%[x]{y}🙂 100% & "ü" $z\n;'
REQUIREMENTS = {"pip_requirements": ["mlflow"]}


def save(flavor: str, path: Path, native: Any, features: Any) -> np.ndarray:
    """Saves a model of a flavour at a path; gives what it says of the features."""
    import mlflow

    if flavor == "sklearn":
        signature = infer_signature(features, native.predict(features))
        options = {"serialization_format": "cloudpickle", "signature": signature}
        mlflow.sklearn.save_model(native, str(path), **options, **REQUIREMENTS)
        return np.asarray(native.predict_proba(features))
    array = features.to_numpy(np.float32)
    if flavor == "pyfunc":
        signature = infer_signature(features, np.zeros(2))
        options = {"python_model": native, "signature": signature}
        mlflow.pyfunc.save_model(str(path), **options, **REQUIREMENTS)
        return np.asarray(native.predict(None, features))
    if flavor == "tensorflow":
        expected = np.asarray(native.predict_on_batch(array))
        signature = infer_signature(array, expected)
        mlflow.tensorflow.save_model(native, str(path), signature=signature, **REQUIREMENTS)
        return expected
    import torch

    with torch.inference_mode():
        expected = native.eval()(torch.from_numpy(array)).numpy()
    options = {"signature": infer_signature(array, expected), "serialization_format": "pickle"}
    mlflow.pytorch.save_model(native, str(path), **options, **REQUIREMENTS)
    return np.asarray(expected)


class Halves(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return np.full((len(model_input), 2), 0.5)


def native_of(flavor: str, frame: Any, features: Any) -> Any:
    if flavor == "sklearn":
        return LogisticRegression().fit(features, frame["two"])
    if flavor == "pyfunc":
        return Halves()
    if flavor == "tensorflow":
        from engine.models.flavors.keras import import_tensorflow

        keras = import_tensorflow().keras
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    import torch

    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Softmax(dim=1))


FLAVORS = [
    "sklearn",
    "pyfunc",
    pytest.param("tensorflow", marks=pytest.mark.frameworks),
    pytest.param("pytorch", marks=pytest.mark.frameworks),
]


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.filterwarnings("ignore")
def test_a_model_is_loaded_from_a_folder_of_any_name(
    flavor: str, find: Any, frame: Any, features: Any, table: Any, tmp_path: Path
) -> None:
    path = tmp_path / FOLDER / "model"
    path.parent.mkdir()
    expected = save(flavor, path, native_of(flavor, frame, features), features)
    model = find(
        str(path), "binary", "probability", features=["a", "b", "c"], classes=[0, 1], name="m"
    )
    assert (model.path, model.flavor) == (str(path), flavor)
    np.testing.assert_allclose(load(model).predict(table).scores, expected, atol=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == [FOLDER]


def test_a_file_of_a_model_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("x")
    before = digest(tmp_path)
    (tmp_path / os.fsdecode(b"\xff.bin")).write_text("x")
    assert digest(tmp_path) != before


@pytest.mark.parametrize("name", ["it's", 'q"x', "a'b\"c", "' OR 1=1 --", "a\\'b", "%", "ü 🙂"])
def test_versions_are_found_whatever_a_model_is_called(
    name: str, find: Any, tracking_uri: str, tmp_path: Path, frame: Any, features: Any
) -> None:
    client = MlflowClient(tracking_uri)
    client.create_registered_model(name)
    client.create_model_version(name, tmp_path.as_uri())
    assert [(each.name, int(each.version)) for each in versions_of(client, name)] == [(name, 1)]
    with pytest.raises(Exception, match="its versions: 1"):
        find(f"models:/{name}/7", "binary")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////a b/#1/mlflow.db", "/a b/#1/mlflow.db"),
        ("sqlite:////a%20b/mlflow.db", "/a b/mlflow.db"),
        ("sqlite:////a/mlflow.db?timeout=3", "/a/mlflow.db"),
    ],
)
def test_a_database_lies_where_mlflow_looks_for_it(uri: str, path: str) -> None:
    assert database_path(uri) == Path(path)
