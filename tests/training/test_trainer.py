"""Training for real, on SQLite: what is logged, registered, reused, and refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from engine.core.vocabulary import ColumnSpec, Output, TaskKind, TensorSpec
from engine.errors import DataError, ModelError, SuiteError
from engine.models import ModelRequest, load, resolve
from engine.models.mlflow_client import artifact_root
from engine.training import read_config, train, train_all


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('training')}/mlflow.db"


@pytest.fixture
def model_dir(root, tmp_path):
    """Copies a shipped model folder, so that a test may change it."""

    def copy(name: str = "breast_cancer_forest") -> Path:
        return Path(shutil.copytree(root / "models" / name, tmp_path / name))

    return copy


def change(folder: Path, old: str, new: str, name: str = "model_config.yml") -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def held_out(folder: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_csv, sorted((folder / "test_data").glob("*.csv"))))


def predictor_of(trained, task: str, tracking_uri: str):
    request = ModelRequest(trained.uri, TaskKind(task), tracking_uri, Path("unused"))
    return load(resolve(request))


SMALL = ["params.n_estimators=5"]


def test_the_shipped_forest_is_scikit_learns_own(root, tracking_uri):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    folder = root / "models" / "breast_cancer_forest"
    trained = train(folder, tracking_uri=tracking_uri, version="v1")
    whole = pd.read_csv(folder / "train_data" / "breast_cancer.csv")
    inputs, labels = whole.iloc[:, :-1], whole.iloc[:, -1]
    x_train, x_test, y_train, y_test = train_test_split(
        inputs, labels, test_size=0.2, random_state=42
    )
    expected = RandomForestClassifier(n_estimators=100, random_state=42).fit(x_train, y_train)
    predictor = predictor_of(trained, "binary", tracking_uri)
    found = predictor.predict(pa.Table.from_pandas(x_test)).scores
    np.testing.assert_array_equal(found, expected.predict_proba(x_test))
    assert trained.metrics["accuracy"] == pytest.approx(expected.score(x_test, y_test))
    assert predictor.model.output is Output.PROBABILITY
    assert predictor.model.classes == (0, 1)
    assert predictor.model.inputs[0] == ColumnSpec("mean_radius", "double")


def test_a_run_and_its_version_tell_all(model_dir, tracking_uri):
    folder = model_dir()
    change(folder, "name: breast_cancer_forest", "name: told")
    trained = train(folder, tracking_uri=tracking_uri, overrides=SMALL, version="v2")
    assert (trained.name, trained.version, trained.uri) == ("told", "1", "models:/told/1")
    assert not trained.reused
    client = MlflowClient(tracking_uri)
    run = client.get_run(trained.run_id)
    assert run.data.params["max_depth"] == "3"
    assert run.data.params["n_estimators"] == "5"
    assert run.data.params["held_out_rows"] == "114"
    assert run.data.metrics == pytest.approx(dict(trained.metrics))
    assert run.inputs.dataset_inputs[0].dataset.name == "breast_cancer"
    version = client.get_model_version("told", "1")
    assert version.tags["evalmatrix.task"] == "binary"
    assert version.tags["evalmatrix.output"] == "probability"
    assert json.loads(version.tags["evalmatrix.classes"]) == [0, 1]
    assert version.tags["evalmatrix.variant"] == "v2"
    assert len(version.tags["evalmatrix.train_digest"]) == 64
    # Beside the database, and not below the working directory.
    path = Path(resolve_path(trained, tracking_uri))
    assert path.is_relative_to(Path(artifact_root(tracking_uri).removeprefix("file://")))
    assert (path / "input_example.json").is_file()


def resolve_path(trained, tracking_uri: str) -> str:
    return predictor_of(trained, "binary", tracking_uri).model.path


def test_nothing_is_trained_again_that_has_not_changed(model_dir, tracking_uri):
    folder = model_dir()
    change(folder, "name: breast_cancer_forest", "name: again")

    def again(**options):
        options.setdefault("overrides", SMALL)
        return train(folder, tracking_uri=tracking_uri, if_changed=True, **options)

    first = again()
    assert not first.reused
    second = again()
    assert second.reused
    assert (second.version, second.run_id) == (first.version, first.run_id)
    assert second.metrics == pytest.approx(dict(first.metrics))
    # v1 changes nothing, and is the same model; another version does not make this one old.
    assert again(version="v1").version == "1"
    change(folder, "v1: {}", "v1: {}\n  v3: {max_depth: 9}")
    assert again().reused
    assert again(overrides=["params.n_estimators=6"]).version == "2"
    change(folder, "A random forest", "A forest", "model_code.py")
    assert again().version == "3"
    data = folder / "train_data" / "breast_cancer.csv"
    data.write_text("\n".join(data.read_text().splitlines()[:-1]) + "\n")
    assert again().version == "4"
    assert train(folder, tracking_uri=tracking_uri, overrides=SMALL).version == "5"


def test_all_versions_of_all_folders(model_dir, tracking_uri, tmp_path):
    folder = model_dir()
    change(folder, "name: breast_cancer_forest", "name: all")
    change(folder, "n_estimators: 100", "n_estimators: 5")
    trained = list(train_all(tmp_path, tracking_uri=tracking_uri))
    assert [(model.name, model.version) for model in trained] == [("all", "1"), ("all", "2")]
    reused = list(train_all(tmp_path, tracking_uri=tracking_uri, if_changed=True))
    assert [model.reused for model in reused] == [True, True]
    with pytest.raises(ModelError, match="no model folder below"):
        next(train_all(tmp_path / "nothing", tracking_uri=tracking_uri))


def test_training_leaves_the_process_as_it_was(model_dir, tracking_uri, monkeypatch, capfd):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    train(model_dir(), tracking_uri=tracking_uri, overrides=SMALL)
    assert mlflow.get_tracking_uri() == before
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("task: binary", "tsk: binary", r"line 4, tsk: found the unknown key, .* mean 'task'\?"),
        ("task: binary", "task: binry", r"line 4, task: found 'binry', expected .*'binary'\?"),
        ("output: probability\n", "", "output: is missing"),
        ("framework: sklearn", "framework: xgboost", "expected 'sklearn', 'tensorflow' or 'pyt"),
        ("test_size: 0.2", "test_size: 2", r"split.test_size: found 2, expected less than 1"),
        ("test_size", "test_sise", r"found the unknown key, .* did you mean 'test_size'\?"),
        ("v2: {max_depth", "v2: {max_dept", r"versions.v2.max_dept: found the unknown parameter"),
        ("split: {", "params: 3\nsplit: {", "line 9, params: the key 'params' is given twice"),
        ("v1: {}", "v1: 3", "line 14, versions.v1: found 3, expected a mapping"),
    ],
)
def test_mistakes_in_a_config_are_told_with_their_place(model_dir, old, new, words):
    folder = model_dir()
    change(folder, old, new)
    with pytest.raises(SuiteError, match=words):
        read_config(folder)


def test_all_mistakes_are_told_at_once(model_dir):
    folder = model_dir()
    change(folder, "task: binary", "task: x")
    change(folder, "test_size", "size")
    with pytest.raises(SuiteError) as caught:
        read_config(folder)
    assert len(caught.value.mistakes) == 2


def test_overrides_count_before_versions_and_know_the_parameters(model_dir):
    folder = model_dir()
    config = read_config(folder, overrides=["params.max_depth=7"], version="v2")
    assert config.params["max_depth"] == 7
    assert config.params["max_features"] == "log2"
    with pytest.raises(SuiteError, match=r"max_dept.*did you mean 'max_depth'\?"):
        read_config(folder, overrides=["params.max_dept=7"])
    with pytest.raises(ModelError, match="has no version 'v9', expected one of v1, v2"):
        read_config(folder, version="v9")


def test_what_is_missing_is_told(model_dir, tmp_path, tracking_uri):
    def refused(kind, words):
        with pytest.raises(kind, match=words):
            train(folder, tracking_uri=tracking_uri, overrides=SMALL)

    folder = model_dir()
    with pytest.raises(ModelError, match="cannot be read"):
        read_config(tmp_path)
    change(folder, "train_data: train_data/*.csv", "label: targt")
    refused(DataError, r"has no column 'targt'; did you mean 'target'\?")
    change(folder, "label: targt", "train_data: nothing/*.csv")
    refused(DataError, "no training data: nothing matches")
    change(folder, "train_data: nothing/*.csv", "label: target")
    data = folder / "train_data" / "breast_cancer.csv"
    data.write_text(data.read_text().rstrip()[:-1] + "\n")
    refused(DataError, "1 rows have no label in column 'target'")


def test_failures_of_a_models_own_code_are_told(model_dir, tracking_uri):
    def refused(words):
        with pytest.raises(ModelError, match=words):
            train(folder, tracking_uri=tracking_uri)

    folder = model_dir()
    code = folder / "model_code.py"
    code.write_text("def build(params):\n    raise ValueError('no wood')\n")
    refused(r"model_code.py' failed: ValueError: no wood")
    code.write_text("def make(params):\n    pass\n")
    refused(r"has no function build\(params\)")
    code.write_text("import nonsense_that_is_not_there\n")
    refused("cannot be imported: ModuleNotFoundError")
    code.unlink()
    refused("no file .*: expected one with a function build")


@pytest.mark.frameworks
def test_the_digits_networks_logits(model_dir, tracking_uri):
    folder = model_dir("digits_cnn")
    trained = train(folder, tracking_uri=tracking_uri, overrides=["params.epochs=1"])
    predictor = predictor_of(trained, "multiclass", tracking_uri)
    model = predictor.model
    assert model.output is Output.LOGIT
    assert model.inputs == (TensorSpec(model.inputs[0].name, "float32", (8, 8, 1)),)
    assert model.features[:2] == ("pixel_0_0", "pixel_0_1")
    assert model.classes == tuple(range(10))
    rows = held_out(folder)
    found = predictor.predict(pa.Table.from_pandas(rows)).scores

    import keras
    from scipy.special import softmax

    native = keras.models.load_model(Path(model.path) / "data" / "model.keras")
    images = rows[list(model.features)].to_numpy(np.float32).reshape(-1, 8, 8, 1)
    logits = native.predict_on_batch(images)
    np.testing.assert_allclose(found, softmax(logits.astype(float), axis=1), atol=1e-6)
    kinds = [type(layer).__name__ for layer in native.layers]
    assert kinds[4:10] == [*("Conv2D", "MaxPooling2D") * 2, "Conv2D", "Flatten"]
    assert [layer.filters for layer in native.layers if hasattr(layer, "filters")] == [32, 64, 64]
    assert native.get_layer("image_32x32x3").output.shape == (None, 32, 32, 3)


@pytest.mark.frameworks
def test_the_diabetes_network_loads_without_its_code(model_dir, tracking_uri):
    folder = model_dir("diabetes_mlp")
    trained = train(folder, tracking_uri=tracking_uri, version="v1")
    assert trained.metrics["r2"] > 0.45
    predictor = predictor_of(trained, "regression", tracking_uri)
    rows = held_out(folder)
    found = predictor.predict(pa.Table.from_pandas(rows)).scores
    code = (
        "import sys, torch, pandas as pd; "
        "model = torch.load(sys.argv[1], weights_only=False).eval(); "
        "rows = pd.read_csv(sys.stdin).iloc[:, 1:-1].to_numpy('float32'); "
        "print(*model(torch.from_numpy(rows))[:, 0].tolist())"
    )
    file = str(Path(predictor.model.path) / "data" / "model.pth")
    native = subprocess.run(
        [sys.executable, "-c", code, file],
        input=rows.to_csv(index=False),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder.parent,
    )
    np.testing.assert_allclose(found, np.array(native.stdout.split(), float), rtol=1e-5)
    # The same seed makes the same network.
    again = train(folder, tracking_uri=tracking_uri, version="v1")
    other = predictor_of(again, "regression", tracking_uri)
    np.testing.assert_array_equal(other.predict(pa.Table.from_pandas(rows)).scores, found)
