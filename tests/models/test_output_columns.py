from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.core.vocabulary import ColumnSpec, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.output_columns import (
    class_columns,
    names_some,
    say_something,
    single_class,
    suggested_output,
)
from engine.models.outputs import read_outputs


@pytest.mark.parametrize(
    ("names", "classes", "places"),
    [
        (["wolf", "ant", "fox"], ("ant", "fox", "wolf"), (1, 2, 0)),
        (["1", "0"], (0, 1), (1, 0)),
        (["p0", "p1"], (0, 1), (0, 1)),
        (["p1", "p0"], ("0", "1"), (1, 0)),
        (["prob_wolf", "prob_ant"], ("ant", "wolf"), (1, 0)),
        (["wolf_score", "ant_score"], ("ant", "wolf"), (1, 0)),
        (["P(True)", "P(False)"], (False, True), (1, 0)),
        (["p_a_b", "p_a"], ("a", "a_b"), (1, 0)),
        (["p10", "p1"], (1, 10), (1, 0)),
        (["p10", "p1"], (1.0, 10.0), (1, 0)),
        (["p10", "p1"], ("1.0", "10.0"), (1, 0)),
        (["p_10.0", "p_1.0"], (1, 10), (1, 0)),
        (["x", "y"], ("a", "b"), None),
        (["a", "x"], ("a", "b"), None),
        (["a", "a"], ("a", "b"), None),
        (["a"], ("a", "b"), None),
        (["predict", "p0", "p1"], (0, 1), None),
        (["p1", "p0"], (False, True), (1, 0)),
        (["p1", "p0"], (0.0, 1.0), (1, 0)),
        (["p1", "p0"], ("0.0", "1.0"), (1, 0)),
        (["p_true", "p_false"], (False, True), (1, 0)),
        (["p_true", "p_false"], ("False", "True"), (1, 0)),
        (["prob_True", "prob_False"], (0, 1), (1, 0)),
        (["p_2", "p_1"], ("01", "02"), (1, 0)),
        (["YES", "NO"], ("no", "yes"), (1, 0)),
        (["Prob_Yes", "Prob_No"], ("no", "yes"), (1, 0)),
        (["p_very_good", "p_good"], ("good", "very good"), (1, 0)),
        (["p_NewYork", "p_Rome"], ("New York", "Rome"), (0, 1)),
        (["positive", "negative"], ("neg", "pos"), None),
        (["p_yes", "q_no"], ("no", "yes"), None),
        (["p_wolf", "p_fox", "p_rest"], ("ant", "fox", "wolf"), None),
    ],
)
def test_columns_are_read_by_the_names_of_classes(names, classes, places):
    assert class_columns(names, classes) == places


def test_some_names_of_classes_are_no_order():
    assert names_some(["wolf", "other"], ("ant", "wolf"))
    assert names_some(["p_wolf", "p_fox", "p_rest"], ("ant", "fox", "wolf"))
    assert not names_some(["low", "high"], ("ant", "wolf"))
    assert not say_something([0, 1]) and not say_something([])
    assert say_something(["0", "1"]) and say_something([1, 0]) and say_something(["score"])


@pytest.mark.parametrize(
    ("name", "classes", "place"),
    [
        ("p_fraud", ("fraud", "ok"), 0),
        ("fraud_score", ("fraud", "ok"), 0),
        ("ok", ("fraud", "ok"), 1),
        ("not_fraud", ("fraud", "ok"), None),
        ("p_very_good", ("good", "very good"), None),
        ("score", ("fraud", "ok"), None),
        ("p0", (0, 1), 0),
        ("p_1", (0, 1), 1),
        ("prob_true", (False, True), 1),
        ("class_0", (0, 1), 0),
        ("0", (0, 1), None),
        ("score_v0", (0, 1), None),
        ("model1", (0, 1), None),
        ("p0", (0, 1, 2), None),
        ("p_no", ("no", "yes"), 0),
        ("p_not_no", ("no", "yes"), None),
        ("p_1.0", (0, 1), 1),
        ("p10", (0.0, 1.0), None),
    ],
)
def test_a_single_column_may_have_the_name_of_a_class(name, classes, place):
    assert single_class(name, classes) == place


@pytest.mark.parametrize(
    "wrap",
    [
        lambda p: pd.DataFrame({"p_a": p}),
        lambda p: pd.Series(p, name="p_a"),
        lambda p: {"a": p},
        lambda p: pa.table({"prob_a": p}),
    ],
)
def test_one_score_is_of_the_class_that_its_column_names(wrap):
    p = np.array([0.9, 0.2])
    expected = np.stack([p, 1 - p], axis=1)
    np.testing.assert_allclose(read_outputs(wrap(p), version(), 2).scores, expected)
    signature = version(outputs=(ColumnSpec("p_a", "double"),))
    np.testing.assert_allclose(read_outputs(p, signature, 2).scores, expected)
    stored = version(score_columns=("p_a",))
    frame = pd.DataFrame({"p_a": p, "other": p})
    np.testing.assert_allclose(read_outputs(frame, stored, 2).scores, expected)
    # Without a name it is the second class's.
    np.testing.assert_allclose(read_outputs(p, version(), 2).scores, expected[:, ::-1])


def test_the_names_of_a_signature_count_where_the_model_returns_none():
    named = version(outputs=(ColumnSpec("b", "double"), ColumnSpec("a", "double")))
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    for raw in (scores, scores.tolist(), pd.DataFrame(scores)):
        np.testing.assert_array_equal(read_outputs(raw, named, 2).scores, scores[:, ::-1])


def test_columns_of_any_table_are_read_by_their_names():
    table = pa.table({"b": [0.9, 0.2], "a": [0.1, 0.8]})
    np.testing.assert_array_equal(
        read_outputs(table, version(), 2).scores, [[0.1, 0.9], [0.8, 0.2]]
    )
    labels = pd.DataFrame({"b": [1, 0], "a": [0, 1]})
    multi = version("label", task=TaskKind.MULTILABEL)
    assert read_outputs(labels, multi, 2).labels.tolist() == [[0, 1], [1, 0]]


def test_a_score_that_is_the_labels_own_is_refused():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=100)
    label = np.where(p > 0.5, "b", "a")
    frame = pd.DataFrame({"label": label, "score": np.maximum(p, 1 - p)})
    both = version(label_column="label", score_columns=("score",), decides=True)
    with pytest.raises(ModelError, match="it looks like the score of the label that was predicted"):
        read_outputs(frame, both, 100)
    right = read_outputs(frame.assign(score=p), both, 100)
    assert (right.scores.argmax(axis=1) == right.labels).all()


@pytest.mark.parametrize("threshold", [0.7, 0.3])
def test_a_threshold_of_its_own_is_not_taken_for_the_score_of_the_label(threshold):
    p = np.linspace(0.5, 0.99, 100) if threshold > 0.5 else np.linspace(0.01, 0.5, 100)
    frame = pd.DataFrame({"label": np.where(p > threshold, "b", "a"), "score": p})
    both = version(label_column="label", score_columns=("score",), decides=True)
    read = read_outputs(frame, both, 100)
    np.testing.assert_array_equal(read.scores[:, 1], p)
    assert read.labels.tolist() == (p > threshold).astype(int).tolist()


def test_the_values_of_a_decision_function_keep_their_order():
    values = np.array([-1e6, -50.0, -40.0, 0.0, 37.0, 40.0, 1e6])
    one = version("logit", squashed=True)
    scores = read_outputs(values, one, 7).scores
    assert (np.diff(scores[:, 1]) > 0).all() and scores[3].tolist() == [0.5, 0.5]
    three = version("logit", "abc", TaskKind.MULTICLASS, squashed=True)
    raw = np.random.default_rng(0).normal(size=(50, 3)) * 30
    mapped = read_outputs(raw, three, 50).scores
    for column in range(3):
        assert (np.argsort(mapped[:, column]) == np.argsort(raw[:, column])).all()
    assert (mapped.argmax(axis=1) == raw.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ((np.array([0, 1]), np.zeros((2, 2))), "returned a tuple of 2, whose parts are of several"),
        (np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"), "returned datetime64"),
        (np.array([1j, 2j]), "returned complex128"),
    ],
)
def test_what_is_no_number_is_told(raw, words):
    with pytest.raises(ModelError, match=words):
        read_outputs(raw, version(), 2)


def version(output="probability", classes=("a", "b"), task=TaskKind.BINARY, **fields):
    return ModelVersion(
        "m", "u", None, "d", "p", "pyfunc", task, Output(output), tuple(classes), **fields
    )


def test_a_frame_is_put_into_the_order_of_the_classes():
    frame = pd.DataFrame({"b": [0.9, 0.2], "a": [0.1, 0.8]})
    found = read_outputs(frame, version(), 2).scores
    np.testing.assert_array_equal(found, [[0.1, 0.9], [0.8, 0.2]])
    rows = frame.to_dict("records")
    np.testing.assert_array_equal(read_outputs(rows, version(), 2).scores, found)
    columns = {name: frame[name].to_numpy() for name in frame}
    np.testing.assert_array_equal(read_outputs(columns, version(), 2).scores, found)
    # Names that say nothing leave the order as it is, others are refused until the suite says it.
    nameless = frame.set_axis([0, 1], axis=1)
    np.testing.assert_array_equal(read_outputs(nameless, version(), 2).scores, found[:, ::-1])
    for names in (["b", "y"], ["x", "y"]):
        with pytest.raises(ModelError, match="2 columns whose names are not those of the classes"):
            read_outputs(frame.set_axis(names, axis=1), version(), 2)
    ordered = version(class_source="dataset.classes")
    turned = read_outputs(frame.set_axis(["x", "y"], axis=1), ordered, 2).scores
    np.testing.assert_array_equal(turned, found[:, ::-1])


def test_a_models_own_order_and_names_are_turned_into_the_evaluations():
    model = version(classes=("low", "mid", "high"), task=TaskKind.MULTICLASS)
    own = version(
        classes=model.classes,
        task=TaskKind.MULTICLASS,
        own_classes=("high", "low", "mid"),
        places=(2, 0, 1),
    )
    scores = np.array([[0.7, 0.1, 0.2]])
    np.testing.assert_array_equal(read_outputs(scores, own, 1).scores, [[0.1, 0.2, 0.7]])
    labels = version(
        "label", model.classes, TaskKind.MULTICLASS, own_classes=(0, 1, 2), places=(2, 0, 1)
    )
    assert read_outputs(np.array([0, 1, 2, 3]), labels, 4).labels.tolist() == [2, 0, 1, -1]


def test_labels_of_another_type_are_the_classes_where_there_is_one_way():
    ints = version("label", (0, 1))
    assert read_outputs(np.array(["0", "1", "x"]), ints, 3).labels.tolist() == [0, 1, -1]
    assert read_outputs(
        np.array([True, False]), version("label", ("0", "1")), 2
    ).labels.tolist() == [1, 0]
    assert read_outputs(np.array([1]), version("label", ("1", "01")), 1).labels.tolist() == [-1]


def test_the_columns_that_the_suite_names():
    frame = pd.DataFrame({"predict": [1, 0], "p0": [0.4, 0.6], "p1": [0.6, 0.4]})
    both = version(classes=(0, 1), label_column="predict", score_columns=("p1", "p0"), decides=True)
    found = read_outputs(frame, both, 2)
    np.testing.assert_array_equal(found.scores, [[0.4, 0.6], [0.6, 0.4]])
    assert found.labels.tolist() == [1, 0]
    one = version(classes=(0, 1), score_columns=("p1",))
    np.testing.assert_array_equal(read_outputs(frame, one, 2).scores, found.scores)
    label = version("label", (0, 1), label_column="predict")
    assert read_outputs(frame, label, 2).labels.tolist() == [1, 0]
    with pytest.raises(ModelError, match="none is called 'gone', as the suite's output says"):
        read_outputs(frame, version(classes=(0, 1), score_columns=("gone",)), 2)
    with pytest.raises(ModelError, match="expected named columns with 'p1'"):
        read_outputs(np.zeros(2), one, 2)


def test_what_a_suite_could_say_is_offered():
    outputs = [
        ColumnSpec("predict", "long"),
        ColumnSpec("p0", "double"),
        ColumnSpec("p1", "double"),
    ]
    assert suggested_output(outputs) == "output: {label: predict, scores: [p0, p1]}"
    assert suggested_output(outputs[:2]) == "output: {label: predict, scores: p0}"
    assert suggested_output(outputs[1:]) == "output: {scores: [p0, p1]}"
