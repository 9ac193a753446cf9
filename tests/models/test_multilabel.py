"""Models that give a row any number of labels, and models that rank, against their own words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from engine.core.vocabulary import Output, TaskKind
from engine.errors import ModelError
from engine.models import load
from engine.models.flavors.keras import import_tensorflow
from engine.models.outputs import no_rows, read_outputs

MULTILABEL = TaskKind.MULTILABEL
TWO = ("a", "b")


@pytest.fixture(scope="module")
def indicators(frame) -> np.ndarray:
    """Three labels of each row."""
    columns = [frame["two"], (frame["a"] > 0.4), (frame["three"] == "low")]
    return np.stack([column.to_numpy().astype(int) for column in columns], axis=1)


def ones(found, classes) -> np.ndarray:
    """The oracle for lists of probabilities, label by label and row by row."""
    return np.array(
        [
            [
                sum(p for p, each in zip(row, known, strict=True) if each == 1)
                for row, known in zip(rows, classes, strict=True)
            ]
            for rows in zip(*found, strict=True)
        ]
    )


MATRICES = [
    OneVsRestClassifier(LogisticRegression()),
    ClassifierChain(LogisticRegression()),
    MLPClassifier((4,), solver="lbfgs", max_iter=20, tol=1e9),
    make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
]
LISTS = [
    RandomForestClassifier(7, random_state=0),
    DecisionTreeClassifier(max_depth=3),
    KNeighborsClassifier(),
    MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)),
    make_pipeline(StandardScaler(), KNeighborsClassifier()),
]


def name_of(native) -> str:
    steps = getattr(native, "named_steps", {"": native}).values()
    return "-".join(type(step).__name__ for step in steps)


@pytest.mark.parametrize("native", MATRICES, ids=name_of)
def test_matrices_of_probabilities(log, find, features, indicators, table, native):
    native.fit(features, indicators)
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "multilabel")
    assert (model.output, model.classes) == (Output.PROBABILITY, ("0", "1", "2"))
    found = load(model).predict(table)
    assert found.labels is None
    np.testing.assert_allclose(found.scores, native.predict_proba(features), rtol=1e-12)


@pytest.mark.parametrize("never", [None, 0, 1])
@pytest.mark.parametrize("native", LISTS, ids=name_of)
def test_lists_of_probabilities(log, find, features, indicators, table, native, never):
    targets = indicators.copy()
    if never is not None:
        targets[:, 1] = never
    native.fit(features, targets)
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "multilabel")
    assert (model.output, model.classes) == (Output.PROBABILITY, ("0", "1", "2"))
    found = load(model).predict(table).scores
    np.testing.assert_allclose(
        found, ones(native.predict_proba(features), native.classes_), rtol=1e-12
    )
    if never is not None:
        assert (found[:, 1] == never).all()
    np.testing.assert_array_equal(found > 0.5, native.predict(features))


@pytest.mark.parametrize(
    "native",
    [
        OneVsRestClassifier(LinearSVC()),
        RidgeClassifier(),
        GridSearchCV(RidgeClassifier(), {"alpha": [1.0, 2.0]}, cv=2),
    ],
    ids=name_of,
)
def test_decision_values_go_through_the_sigmoid(log, find, features, indicators, table, native):
    native.fit(features, indicators)
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "multilabel")
    assert model.output is Output.LOGIT
    found = load(model).predict(table).scores
    np.testing.assert_allclose(found, expit(native.decision_function(features)), rtol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_labels_only_where_the_suite_asks_for_them(log, find, features, indicators, table, sparse):
    targets = csr_matrix(indicators) if sparse else indicators
    native = OneVsRestClassifier(LogisticRegression()).fit(features, targets)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    predictor = load(find(uri, "multilabel", "label"))
    found = predictor.predict(table)
    assert found.scores is None
    expected = native.predict(features)
    np.testing.assert_array_equal(found.labels, expected.toarray() if sparse else expected)
    assert predictor.predict(table.slice(0, 0)).labels.shape == (0, 3)


def test_the_suite_names_the_labels(log, find, features, indicators):
    native = OneVsRestClassifier(LogisticRegression()).fit(features, indicators)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    for names in (["warm", "wet", "late"], [0, 1, 2], ["0", "1", "2"]):
        assert find(uri, "multilabel", classes=names).classes == tuple(names)
    for names in (["warm", "wet"], [2, 1, 0]):
        with pytest.raises(ModelError, match=r"has the labels \['0', '1', '2'\], expected"):
            find(uri, "multilabel", classes=names)


def test_one_class_for_each_row_is_no_set_of_labels(log, find, frame, features, indicators):
    one = LogisticRegression().fit(features, frame["three"])
    uri = log("sklearn", make_pipeline(StandardScaler(), one).fit(features, frame["three"]))
    with pytest.raises(ModelError, match=r"Pipeline\) gives a row one of its classes, task 'multi"):
        find(uri, "multilabel")
    many = log(
        "sklearn",
        OneVsRestClassifier(LogisticRegression()).fit(features, indicators),
        serialization_format="cloudpickle",
    )
    for task in ("binary", "multiclass"):
        with pytest.raises(ModelError, match=f"predicts 3 targets at once, task '{task}' takes"):
            find(many, task)
    with pytest.raises(ModelError, match="output 'value' does not fit task 'multilabel'"):
        find(many, "multilabel", "value")


def test_targets_of_several_classes_are_no_labels(log, find, frame, features):
    targets = np.stack([frame["two"], np.arange(len(frame)) % 3], axis=1)
    uri = log(
        "sklearn", KNeighborsClassifier().fit(features, targets), serialization_format="pickle"
    )
    with pytest.raises(ModelError, match=r"predicts 2 targets at once, .* of which each is 0 or 1"):
        find(uri, "multilabel")


def test_a_regressor_ranks(log, find, frame, features, table):
    native = LinearRegression().fit(features, frame["value"])
    model = find(log("sklearn", native), "ranking")
    assert (model.output, model.classes) == (Output.VALUE, ())
    np.testing.assert_allclose(load(model).predict(table).scores, native.predict(features))
    classifier = LogisticRegression().fit(features, frame["two"])
    with pytest.raises(ModelError, match="which does not fit task 'ranking'"):
        find(log("sklearn", classifier), "ranking")


class Both(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return pd.DataFrame({"warm": expit(model_input["a"]), "wet": expit(model_input["b"])})


def test_a_pyfunc_of_two_columns(log, find, features, table):
    example = Both().predict(None, features)
    uri = log("pyfunc", Both(), signature=infer_signature(features[["a", "b"]], example))
    model = find(uri, "multilabel", classes=["warm", "wet"])
    assert (model.output, model.classes) == (Output.PROBABILITY, ("warm", "wet"))
    np.testing.assert_array_equal(load(model).predict(table).scores, example.to_numpy())


@pytest.mark.frameworks
@pytest.mark.parametrize(("last", "output"), [("sigmoid", "probability"), (None, "logit")])
def test_a_keras_model_of_labels(log, find, features, table, last, output):
    layers = (keras := import_tensorflow().keras).layers
    native = keras.Sequential([keras.Input((3,)), layers.Dense(4, last)])
    array = features.to_numpy(np.float32)
    raw = native.predict_on_batch(array)
    uri = log("tensorflow", native, signature=infer_signature(array, raw))
    model = find(uri, "multilabel", features=["a", "b", "c"], classes=list("wxyz"))
    assert model.output is Output(output)
    expected = raw.astype(float) if last else expit(raw.astype(float))
    np.testing.assert_allclose(load(model).predict(table).scores, expected, atol=1e-6)
    # Without names the data must say how many labels there are.
    assert find(uri, "multilabel", features=["a", "b", "c"]).classes == ()


@pytest.mark.frameworks
@pytest.mark.parametrize("last", ["Sigmoid", "Softmax", "LogSoftmax"])
def test_softmax_is_of_one_class(log, find, features, table, last):
    import torch

    torch.manual_seed(0)
    options = {} if last == "Sigmoid" else {"dim": 1}
    native = torch.nn.Sequential(torch.nn.Linear(3, 4), getattr(torch.nn, last)(**options)).eval()
    uri = log("pytorch", native, serialization_format="pickle")
    if last != "Sigmoid":
        with pytest.raises(ModelError, match=r"ends in \w+\) gives a row one of its classes"):
            find(uri, "multilabel", features=["a", "b", "c"], classes=list("wxyz"))
        return
    model = find(uri, "multilabel", features=["a", "b", "c"], classes=list("wxyz"))
    with torch.inference_mode():
        expected = native(torch.from_numpy(features.to_numpy(np.float32))).numpy()
    np.testing.assert_allclose(load(model).predict(table).scores, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("raw", "output", "expected"),
    [
        ([[0.2, 0.9], [1.0, 1.0]], "probability", [[0.2, 0.9], [1.0, 1.0]]),
        ([[0.0, -800.0], [800.0, 0.0]], "logit", [[0.5, 0.0], [1.0, 0.5]]),
        ([[True, False], [False, True]], "label", [[1, 0], [0, 1]]),
        ([[1.0, 0.0], [2.0, np.nan]], "label", [[1, 0], [-1, -1]]),
        (pd.DataFrame({"x": [1, 0], "y": [1, 1]}), "label", [[1, 1], [0, 1]]),
    ],
)
def test_outputs_are_read_label_by_label(version, raw, output, expected):
    model = version(task=MULTILABEL, output=Output(output), classes=TWO)
    found = read_outputs(raw, model, 2)
    if output == "label":
        assert found.scores is None and found.labels.dtype == np.int64
        assert found.labels.tolist() == expected
    else:
        assert found.labels is None and found.scores.dtype == np.float64
        np.testing.assert_array_equal(found.scores, expected)


def test_a_single_label_may_lie_flat(version):
    model = version(task=MULTILABEL, output=Output.PROBABILITY, classes=("a",))
    assert read_outputs(np.array([0.1, 0.9]), model, 2).scores.tolist() == [[0.1], [0.9]]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (np.zeros((2, 3)), r"shape \(2, 3\), expected \(2, 2\)"),
        (np.zeros(2), r"shape \(2,\), expected \(2, 2\)"),
        (np.zeros((3, 2)), r"shape \(3, 2\), expected"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\), expected"),
        (np.array([["x", "y"], ["x", "y"]]), "expected numbers for output"),
    ],
)
@pytest.mark.parametrize("output", ["probability", "logit", "label"])
def test_what_does_not_fit_is_told(version, raw, output, words):
    model = version(task=MULTILABEL, output=Output(output), classes=TWO)
    with pytest.raises(ModelError, match=words):
        read_outputs(raw, model, 2)


@pytest.mark.parametrize("output", ["probability", "logit"])
def test_no_rows_have_a_column_for_each_label(version, output):
    model = version(task=MULTILABEL, output=Output(output), classes=TWO)
    assert no_rows(model).scores.shape == (0, 2)
