"""Keras, PyTorch and pyfunc models that plain MLflow logged, against their own predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from scipy.special import expit, softmax

from engine.core.vocabulary import Output, TensorSpec
from engine.errors import ModelError
from engine.models import load
from engine.models.flavors.keras import import_tensorflow

frameworks = pytest.mark.frameworks


def predict(model, table):
    return load(model).predict(table)


@pytest.fixture(scope="module")
def keras():
    return import_tensorflow().keras


@pytest.fixture(scope="module")
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture(scope="module")
def array(features) -> np.ndarray:
    return features.to_numpy(np.float32)


@frameworks
def test_a_keras_softmax_tells_that_it_is_one(log, find, keras, array, table):
    native = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")]
    )
    expected = native.predict_on_batch(array)
    uri = log("tensorflow", native, signature=infer_signature(array, expected))
    model = find(uri, "multiclass", features=["a", "b", "c"], classes=["high", "low", "mid"])
    assert (model.flavor, model.output) == ("tensorflow", Output.PROBABILITY)
    assert model.inputs == (TensorSpec(None, "float32", (3,)),)
    found = predict(model, table).scores
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # Nothing in the model names its classes: the data's labels must.
    assert find(uri, "multiclass").classes == ()


@frameworks
@pytest.mark.parametrize(("activation", "output"), [("sigmoid", "probability"), (None, "logit")])
def test_a_keras_model_with_one_output(log, find, keras, array, table, activation, output):
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1, activation)])
    entry = keras.Input((3,))
    native = keras.Model(entry, inner(keras.layers.Rescaling(0.5)(entry)))
    model = find(log("tensorflow", native, signature=None), "binary", features=["a", "b", "c"])
    assert model.output is Output(output)
    raw = native.predict_on_batch(array)[:, 0].astype(float)
    expected = raw if activation else expit(raw)
    found = predict(model, table).scores
    np.testing.assert_allclose(found, np.stack([1 - expected, expected], axis=1), atol=1e-6)


@frameworks
def test_keras_takes_several_tensors_by_name(log, find, keras, frame):
    left, right = keras.Input((2,), name="left"), keras.Input((1,), name="right")
    native = keras.Model(
        [left, right], keras.layers.Dense(1)(keras.layers.Concatenate()([left, right]))
    )
    pairs = frame[["a", "b"]].to_numpy(np.float32)
    inputs = {"left": pairs, "right": frame[["c"]].to_numpy(np.float32)}
    expected = native.predict_on_batch(inputs)
    uri = log("tensorflow", native, signature=infer_signature(inputs, expected))
    model = find(uri, "regression", features=["left", "right"])
    table = pa.table({"right": frame["c"], "left": pa.array(list(pairs.tolist()))})
    np.testing.assert_allclose(predict(model, table).scores, expected[:, 0], atol=1e-6)


@frameworks
def test_a_torch_regressor(log, find, torch, features, array, table):
    native = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.Dropout(0.9), torch.nn.Linear(8, 1)
    )
    with torch.inference_mode():
        expected = native.eval()(torch.from_numpy(array)).numpy()
    native.train()
    uri = log(
        "pytorch",
        native,
        signature=infer_signature(features, expected),
        serialization_format="pickle",
    )
    model = find(uri, "regression")
    assert (model.flavor, model.output) == ("pytorch", Output.VALUE)
    # In evaluation mode nothing is dropped.
    np.testing.assert_allclose(predict(model, table).scores, expected[:, 0], atol=1e-6)


@frameworks
@pytest.mark.parametrize("kind", ["pickle", "pt2"])
@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax"])
def test_a_torch_classifier_that_ends_in_softmax(log, find, torch, array, table, kind, last):
    native = torch.nn.Sequential(torch.nn.Linear(3, 3), getattr(torch.nn, last)(dim=1)).eval()
    with torch.inference_mode():
        logits = native[0](torch.from_numpy(array)).numpy()
    uri = log(
        "pytorch",
        native,
        signature=infer_signature(array, logits),
        input_example=array[:4],
        serialization_format=kind,
    )
    model = find(uri, "multiclass", features=["a", "b", "c"])
    assert model.output is (Output.PROBABILITY if last == "Softmax" else Output.LOGIT)
    expected = softmax(logits.astype(float), axis=1)
    np.testing.assert_allclose(predict(model, table).scores, expected, atol=1e-6)


@frameworks
def test_a_torch_classifier_that_does_not_tell_is_asked_about(log, find, torch, array, table):
    native = torch.nn.Sequential(torch.nn.Linear(3, 2))
    uri = log("pytorch", native, serialization_format="pickle")
    with pytest.raises(ModelError, match=r"ends in Linear\) does not tell .* say output: prob"):
        find(uri, "binary")
    model = find(uri, "binary", "logit", features=["a", "b", "c"])
    with torch.inference_mode():
        expected = softmax(native(torch.from_numpy(array)).numpy().astype(float), axis=1)
    np.testing.assert_allclose(predict(model, table).scores, expected, atol=1e-6)


@frameworks
def test_a_rows_figures_do_not_depend_on_its_batch(log, find, keras, torch, frame):
    many = pd.concat([frame] * 3, ignore_index=True)
    table = pa.Table.from_pandas(many)
    layers = keras.layers
    networks = {
        "tensorflow": keras.Sequential(
            [keras.Input((3,)), layers.Dense(64, "relu"), layers.Dense(1)]
        ),
        "pytorch": torch.nn.Sequential(
            torch.nn.Linear(3, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
        ),
    }
    options = {"tensorflow": {"signature": None}, "pytorch": {"serialization_format": "pickle"}}
    order = np.random.default_rng(0).permutation(len(many))
    for flavor, native in networks.items():
        uri = log(flavor, native, **options[flavor])
        predictor = load(find(uri, "regression", features=["a", "b", "c"]))
        whole = predictor.predict(table).scores
        cut = [predictor.predict(table.slice(at, 7)).scores for at in range(0, len(many), 7)]
        np.testing.assert_array_equal(np.concatenate(cut), whole)
        np.testing.assert_array_equal(predictor.predict(table.take(order)).scores, whole[order])


class Scores(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return expit(model_input["b"] - model_input["a"]).to_numpy()


class Names(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return np.where(model_input["a"] > 0, "yes", np.where(model_input["b"] > 0, "no", "what"))


class Sums(PythonModel):
    def predict(self, context, model_input: np.ndarray, params=None):
        return model_input.sum(axis=(1, 2))


def test_a_pyfunc_that_returns_numbers(log, find, features, table):
    uri = log("pyfunc", Scores(), signature=infer_signature(features[["b", "a"]], np.array([0.5])))
    model = find(uri, "binary")
    assert (model.flavor, model.output, model.features) == (
        "pyfunc",
        Output.PROBABILITY,
        ("b", "a"),
    )
    expected = expit(features["b"] - features["a"])
    np.testing.assert_array_equal(predict(model, table).scores[:, 1], expected)
    assert find(uri, "regression").output is Output.VALUE


def test_a_pyfunc_that_returns_labels(log, find, features, table):
    uri = log("pyfunc", Names(), signature=infer_signature(features[["a", "b"]], np.array(["yes"])))
    model = find(uri, "binary", classes=["no", "yes"])
    assert model.output is Output.LABEL
    expected = np.where(features["a"] > 0, 1, np.where(features["b"] > 0, 0, -1))
    np.testing.assert_array_equal(predict(model, table).labels, expected)


def test_a_pyfunc_of_tensors(log, find, features, table):
    array = np.zeros((1, 3, 1))
    uri = log("pyfunc", Sums(), signature=infer_signature(array, np.array([0.5])))
    model = find(uri, "regression", features=["c", "a", "b"])
    np.testing.assert_allclose(predict(model, table).scores, features.sum(axis=1), rtol=1e-12)


def test_a_pyfunc_that_says_nothing_is_asked_about(log, find):
    uri = log("pyfunc", Scores())
    with pytest.raises(ModelError, match=r"without an output signature.* say output: probability"):
        find(uri, "binary")
    assert find(uri, "binary", "probability").output is Output.PROBABILITY
