"""URIs, aliases, and what is told of a model that is not there or does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import Output
from engine.errors import ModelError, TrackingError
from engine.models import load


@pytest.fixture(scope="module")
def claims(log, frame, features) -> list[str]:
    """The URIs of two versions of the registered model `claims`."""
    signature = infer_signature(features, frame["two"])
    return [
        log(
            "sklearn",
            LogisticRegression(C=c).fit(features, frame["two"]),
            signature=signature,
            register="claims",
        )
        for c in (1.0, 0.1)
    ]


def test_every_kind_of_uri_finds_the_same_files(claims, find, tracking_uri):
    registered = find("models:/claims/2", "binary")
    model_id = claims[1].removeprefix("models:/")
    run_id = MlflowClient(tracking_uri).get_logged_model(model_id).source_run_id
    uris = [
        "models:/claims/latest",
        claims[1],
        f"runs:/{run_id}/model",
        registered.path,
        Path(registered.path).as_uri(),
    ]
    assert {find(uri, "binary").digest for uri in uris} == {registered.digest}
    assert find("models:/claims/1", "binary").digest != registered.digest
    assert (registered.name, registered.version) == ("claims-v2", "2")
    assert (registered.registered_name, registered.model_id) == ("claims", model_id)
    assert find(registered.path, "binary", name="mine").name == "mine"


def test_an_alias_is_resolved_once(claims, find, tracking_uri):
    client = MlflowClient(tracking_uri)
    client.set_registered_model_alias("claims", "champion", "1")
    model = find("models:/claims@champion", "binary")
    assert (model.version, model.uri) == ("1", "models:/claims@champion")
    client.set_registered_model_alias("claims", "champion", "2")
    # What was resolved stays what it was.
    assert model.digest == find("models:/claims/1", "binary").digest
    assert load(model).model.version == "1"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("models:/claims/7", r"registered model 'claims' has no version '7'; its versions: 1, 2"),
        ("models:/claims@best", r"'claims' has no alias 'best'; its versions: 1, 2"),
        ("models:/claim/1", r"'claim' does not exist; .*'claims'.*; did you mean 'claims'\?"),
        ("models:/claim/latest", r"'claim' does not exist"),
        ("models:/claims", r"'claims' has no version; its versions: 1, 2"),
        ("models:/m-00000000000000000000000000000000", "no logged model 'm-0000"),
        ("models:/a/b/c", r"expected models:/<name>/<version>"),
        ("runs:/00000000000000000000000000000000/model", "no run '0000"),
        ("runs:/abc", "expected models:/"),
        ("nowhere/at/all", "no folder at"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(claims, find, uri, words):
    with pytest.raises(ModelError, match=words):
        find(uri, "binary")


def test_the_models_of_a_run_are_listed(claims, find, tracking_uri):
    model_id = claims[0].removeprefix("models:/")
    run_id = MlflowClient(tracking_uri).get_logged_model(model_id).source_run_id
    with pytest.raises(ModelError, match="has no model 'modell'; its models: 'model'"):
        find(f"runs:/{run_id}/modell", "binary")


def test_an_empty_registry_is_told_and_not_made(find, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ModelError, match=r"registered at sqlite.*: none; `evalmatrix train`"):
        find("models:/claims/1", "binary", tracking_uri=uri)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(find, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"server at http://127.0.0.1:9 cannot be reached"):
        find("models:/claims/1", "binary", tracking_uri="http://127.0.0.1:9")


def test_a_download_that_fails_leaves_nothing(find, tmp_path):
    with pytest.raises(ModelError, match=r"'https://127\.0\.0\.1:9/model' cannot be downloaded"):
        find("https://127.0.0.1:9/model", "binary", cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def noted(tmp_path, source, **notes) -> str:
    """A copy of a model's folder with notes as our training stores them."""
    folder = tmp_path / "noted"
    shutil.copytree(source.path, folder)
    data = yaml.safe_load((folder / "MLmodel").read_text())
    data["metadata"] = {"evalmatrix": notes}
    (folder / "MLmodel").write_text(yaml.safe_dump(data))
    return str(folder)


def test_notes_count_before_the_model_and_the_suite_before_notes(claims, find, tmp_path):
    source = find("models:/claims/1", "binary")
    uri = noted(tmp_path, source, task="binary", output="logit", classes=["no", "yes"])
    model = find(uri, "binary")
    assert (model.output, model.classes) == (Output.LOGIT, ("no", "yes"))
    assert find(uri, "binary", "label").output is Output.LABEL
    with pytest.raises(
        ModelError, match=r"trained for task 'binary', .* evaluates it as 'regression'"
    ):
        find(uri, "regression")


def test_classes_may_be_renamed_and_reordered(claims, find, table, features):
    plain = find("models:/claims/1", "binary")
    assert (plain.classes, plain.own_classes, plain.places) == ((0, 1), (), ())
    expected = load(plain).predict(table).scores
    renamed = find("models:/claims/1", "binary", classes=["no", "yes"])
    assert (renamed.classes, renamed.own_classes, renamed.places) == (
        ("no", "yes"),
        (0, 1),
        (0, 1),
    )
    np.testing.assert_array_equal(load(renamed).predict(table).scores, expected)
    turned = find("models:/claims/1", "binary", classes=[1, 0])
    np.testing.assert_array_equal(load(turned).predict(table).scores, expected[:, ::-1])
    labels = load(find("models:/claims/1", "binary", "label")).predict(table).labels
    again = load(find("models:/claims/1", "binary", "label", classes=["1", "0"])).predict(table)
    np.testing.assert_array_equal(again.labels, 1 - labels)
    for classes in ([0, 1, 2], [1, "no"]):
        with pytest.raises(ModelError, match=r"has the classes \[0, 1\], dataset.classes are"):
            find("models:/claims/1", "binary", classes=classes)


def test_features_are_taken_in_the_models_order(claims, find):
    uri = "models:/claims/1"
    assert find(uri, "binary", features=["c", "x", "b", "a"]).features == ("a", "b", "c")
    with pytest.raises(ModelError, match=r"wants the column 'b', which is not among"):
        find(uri, "binary", features=["a", "c"])


def test_a_model_of_another_task_is_refused(log, claims, find, frame, features):
    with pytest.raises(ModelError, match=r"LogisticRegression\) returns .* not fit task 'regres"):
        find("models:/claims/1", "regression")
    uri = log("sklearn", LinearRegression().fit(features, frame["value"]))
    with pytest.raises(ModelError, match=r"LinearRegression\) returns value, .* task 'binary'"):
        find(uri, "binary")
    three = log("sklearn", LogisticRegression().fit(features, frame["three"]))
    with pytest.raises(ModelError, match=r"has the 3 classes .* task 'binary' takes two"):
        find(three, "binary")
    with pytest.raises(ModelError, match="output 'value' does not fit task 'binary'"):
        find("models:/claims/1", "binary", "value")


def test_a_library_that_is_missing_is_named(find, tmp_path):
    data = {"flavors": {"python_function": {"loader_module": "mlflow.h2o"}, "h2o": {}}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(data))
    with pytest.raises(ModelError, match=r"needs the library 'h2o', .*: pip install h2o"):
        find(str(tmp_path), "binary")


def test_a_broken_artifact_is_told(claims, find, tmp_path):
    source = find("models:/claims/1", "binary")
    folder = tmp_path / "broken"
    shutil.copytree(source.path, folder)
    (folder / "model.skops").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"the sklearn model in .* cannot be loaded: BadZipFile"):
        find(str(folder), "binary")


def test_two_models_of_one_uri_predict_alike(claims, find, table):
    one, two = find(claims[0], "binary"), find("models:/claims/1", "binary")
    np.testing.assert_array_equal(load(one).predict(table).scores, load(two).predict(table).scores)
