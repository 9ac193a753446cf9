from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.core.vocabulary import ColumnSpec, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.output_columns import class_columns, has_columns, suggested_output
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
        (["x", "y"], ("a", "b"), None),
        (["a", "x"], ("a", "b"), None),
        (["a", "a"], ("a", "b"), None),
        (["a"], ("a", "b"), None),
        (["predict", "p0", "p1"], (0, 1), None),
    ],
)
def test_columns_are_read_by_the_names_of_classes(names, classes, places):
    assert class_columns(names, classes) == places


def test_some_names_of_classes_are_no_order():
    assert has_columns(["wolf", "other"], ("ant", "wolf"))
    assert not has_columns(["0", "1"], (1, 2))
    assert not has_columns(["low", "high"], ("ant", "wolf"))


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
    # Names that say nothing leave the order as it is.
    nameless = frame.set_axis(["x", "y"], axis=1)
    np.testing.assert_array_equal(read_outputs(nameless, version(), 2).scores, found[:, ::-1])
    with pytest.raises(ModelError, match="returned 2 columns, of which some have the name of a"):
        read_outputs(frame.set_axis(["b", "y"], axis=1), version(), 2)


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
