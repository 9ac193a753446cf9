from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.outputs import no_rows, read_outputs


def model(output: str, classes=(0, 1)) -> ModelVersion:
    task = TaskKind.REGRESSION if output == "value" else TaskKind.MULTICLASS
    classes = () if output == "value" else tuple(classes)
    return ModelVersion("m", "u", None, "d", "p", "sklearn", task, Output(output), classes)


def scores(raw, output, classes=(0, 1)):
    rows = len(raw)
    return read_outputs(np.asarray(raw), model(output, classes), rows).scores


@pytest.mark.parametrize("raw", [[0.25, 1.0], [[0.25], [1.0]], [[0.75, 0.25], [0.0, 1.0]]])
def test_probabilities_of_two_classes(raw):
    np.testing.assert_array_equal(scores(raw, "probability"), [[0.75, 0.25], [0.0, 1.0]])


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=5))
def test_one_logit_is_the_second_classes(logits):
    found = scores(logits, "logit")
    both = scores([[0.0, logit] for logit in logits], "logit")
    np.testing.assert_allclose(found, both, rtol=1e-12, atol=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)


def test_logits_are_stable_and_of_double_precision():
    found = scores(np.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]], np.float32), "logit", "abc")
    assert found.dtype == np.float64
    exact = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(found, [[1, 0, 0], exact], rtol=1e-15)


def test_nan_and_infinity_are_kept():
    raw = [[np.nan, 0.5], [np.inf, 0.0]]
    np.testing.assert_array_equal(scores(raw, "probability"), raw)
    assert np.isnan(scores(raw, "logit")[0]).all()
    np.testing.assert_array_equal(scores([np.nan, -np.inf], "value"), [np.nan, -np.inf])


def test_labels_become_indices_into_the_classes():
    found = read_outputs(np.array(["b", "zzz", "a"]), model("label", "ab"), 3)
    assert found.scores is None
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    "raw",
    [
        [0, 1, 1],
        [0.0, 1.0, 1.0],
        [False, True, True],
        [[0], [1], [1]],
        pd.Series([0, 1, 1]),
        pd.DataFrame({"prediction": [0, 1, 1]}),
        {"prediction": [0, 1, 1]},
    ],
)
def test_equal_labels_of_other_types_are_the_same(raw):
    assert read_outputs(raw, model("label"), 3).labels.tolist() == [0, 1, 1]


def test_a_label_that_is_missing_is_unknown():
    raw = np.array(["a", None, float("nan")], dtype=object)
    assert read_outputs(raw, model("label", "ab"), 3).labels.tolist() == [0, -1, -1]


@pytest.mark.parametrize("raw", [[1.5, 2.0], [[1.5], [2.0]], pd.DataFrame({"y": [1.5, 2.0]})])
def test_values(raw):
    found = read_outputs(raw, model("value"), 2).scores
    np.testing.assert_array_equal(found, [1.5, 2.0])
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    ("raw", "output", "classes", "words"),
    [
        (np.zeros((2, 3)), "probability", "ab", r"shape \(2, 3\), expected \(2, 2\)"),
        (np.zeros((3, 2)), "probability", "ab", r"shape \(3, 2\), expected \(2,\) or \(2, 2\)"),
        (np.zeros(2), "probability", "abc", r"shape \(2,\), expected \(2, 3\)"),
        (np.zeros((2, 1)), "logit", "abc", r"shape \(2, 1\), expected \(2, 3\)"),
        (np.zeros((2, 2)), "value", "", r"shape \(2, 2\), expected \(2,\)"),
        (np.zeros((2, 2)), "label", "ab", r"shape \(2, 2\), expected \(2,\)"),
        (np.array(0.5), "value", "", r"shape \(\), expected \(2,\)"),
        (np.zeros((2, 2, 1)), "probability", "ab", r"shape \(2, 2, 1\)"),
        (np.array(["x", "y"]), "value", "", "expected numbers for output 'value'"),
        ({"a": [1], "b": [2]}, "value", "", r"returned 2 columns, expected one for output 'value'"),
        ([0, 1], "label", "", "its classes are not known"),
    ],
)
def test_what_does_not_fit_is_told_with_both_shapes(raw, output, classes, words):
    with pytest.raises(ModelError, match=words):
        read_outputs(raw, model(output, classes), 2)


def test_an_empty_batch_needs_no_model():
    assert no_rows(model("probability", "abc")).scores.shape == (0, 3)
    assert no_rows(model("value")).scores.shape == (0,)
    assert no_rows(model("label")).labels.shape == (0,)
