"""Whose `predict` names the class of the largest score, beside scikit-learn's own estimators."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import all_estimators

from engine.core.vocabulary import Output
from engine.errors import ModelError
from engine.models.flavors.decision import decides_otherwise, takes_documents, votes_of_pairs
from engine.models.flavors.sklearn import describe
from engine.models.load import load

CLASSIFIERS = [
    (name, kind)
    for name, kind in all_estimators(type_filter="classifier")
    if not [
        parameter
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.default is parameter.empty and parameter.kind.name == "POSITIONAL_OR_KEYWORD"
    ]
]


class Handed(Pipeline):
    """A pipeline with a threshold of its own."""

    def predict(self, features):
        return (self.predict_proba(features)[:, 1] > 0.2).astype(int)


class Renamed(LogisticRegression):
    """A known estimator under another name."""


def rows(classes: int, seed: int = 0):
    features, labels = make_classification(
        400, 6, n_informative=4, n_classes=classes, flip_y=0.3, random_state=seed
    )
    # Whole numbers make rows alike, hence ties.
    return np.abs(np.round(features)), labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("name", "kind"), CLASSIFIERS, ids=[name for name, _ in CLASSIFIERS])
def test_where_the_largest_score_is_said_to_decide_it_does(name, kind, classes):
    features, labels = rows(classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            native = kind().fit(features, labels)
        except (ValueError, TypeError):
            pytest.skip("takes other rows than these")
    if decides_otherwise(native):
        return
    if hasattr(native, "predict_proba"):
        scores = native.predict_proba(features)
    elif hasattr(native, "decision_function"):
        scores = native.decision_function(features)
        scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
    else:
        return
    by_score = native.classes_[np.argmax(scores, axis=1)]
    np.testing.assert_array_equal(by_score, native.predict(features))


class Cautious(ClassifierMixin, BaseEstimator):
    """Says 1 from a probability of 0.2 on."""

    def fit(self, features, labels):
        self.inner_ = LogisticRegression().fit(features, labels)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, features):
        return self.inner_.predict_proba(features)

    def predict(self, features):
        return (self.predict_proba(features)[:, 1] > 0.2).astype(int)


class Sly(LogisticRegression):
    """A known estimator in whose probabilities somebody had a hand."""

    def predict_proba(self, features):
        return super().predict_proba(features)[:, ::-1]


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
def test_who_decides_otherwise():
    features, labels = rows(2)
    plain = LogisticRegression().fit(features, labels)
    for native in (
        plain,
        make_pipeline(StandardScaler(), RandomForestClassifier(10)).fit(features, labels),
        GridSearchCV(plain, {"C": [1.0, 2.0]}).fit(features, labels),
        VotingClassifier([("a", plain)], voting="soft").fit(features, labels),
        OneVsRestClassifier(plain).fit(features, labels),
        LinearSVC().fit(features, labels),
    ):
        assert not decides_otherwise(native), native
    for native in (
        FixedThresholdClassifier(plain, threshold=0.2).fit(features, labels),
        SVC(probability=True).fit(features, labels),
        SGDClassifier(loss="modified_huber").fit(*rows(3)),
        OneVsRestClassifier(SVC(probability=True)).fit(features, labels),
    ):
        assert decides_otherwise(native), native
    # Of anybody's own code only its answers tell.
    patched = LogisticRegression().fit(features, labels)
    patched.predict = lambda x: np.zeros(len(x), int)
    assert decides_otherwise(patched) is None
    own = make_pipeline(StandardScaler(), Cautious()).fit(features, labels)
    assert decides_otherwise(own) is None
    assert decides_otherwise(OneVsRestClassifier(Cautious()).fit(features, labels)) is None
    assert decides_otherwise(Sly().fit(features, labels)) is None
    # Whoever hands on the answers of another may put a hand to them.
    assert decides_otherwise(Handed([("c", LogisticRegression())]).fit(features, labels)) is None
    pipeline = make_pipeline(LogisticRegression()).fit(features, labels)
    pipeline.predict = lambda x: np.zeros(len(x), int)
    assert decides_otherwise(pipeline) is None
    assert decides_otherwise(OneVsRestClassifier(BaggingClassifier(plain)).fit(features, labels))
    huber = OneVsRestClassifier(SGDClassifier(loss="modified_huber")).fit(*rows(3))
    assert decides_otherwise(huber)
    # Who derives from a known estimator and leaves its answers alone is known.
    assert decides_otherwise(Renamed().fit(features, labels)) is False


def test_votes_of_pairs_are_no_scores_of_classes():
    features, labels = rows(3)
    pairs = SVC(decision_function_shape="ovo").fit(features, labels)
    # Three pairs of three classes: their number tells nothing.
    assert pairs.decision_function(features).shape == (400, 3)
    for native in (
        pairs,
        make_pipeline(StandardScaler(), pairs),
        GridSearchCV(pairs, {"C": [1.0]}),
    ):
        native.fit(features, labels)
        assert votes_of_pairs(native)
        assert describe(native, None).offered == (Output.LABEL,)
    assert not votes_of_pairs(SVC().fit(features, labels))
    assert describe(SVC().fit(features, labels), None).squashed
    assert not votes_of_pairs(SVC(decision_function_shape="ovo").fit(*rows(2)))


def test_a_tuned_threshold_is_the_decision(log, find, frame, features, table):
    native = FixedThresholdClassifier(LogisticRegression(), threshold=0.15)
    native.fit(features, frame["two"])
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "binary")
    assert (model.output, model.decides, model.squashed) == (Output.PROBABILITY, True, False)
    found = load(model).predict(table)
    np.testing.assert_array_equal(found.labels, native.predict(features))
    np.testing.assert_allclose(found.scores, native.predict_proba(features))
    assert (found.labels != found.scores.argmax(axis=1)).any()
    empty = load(model).predict(table.slice(0, 0))
    assert (empty.scores.shape, empty.labels.shape) == ((0, 2), (0,))


def test_a_decision_function_is_squashed_until_the_suite_calls_it_logits(
    log, find, frame, features
):
    native = LinearSVC().fit(features, frame["two"])
    uri = log("sklearn", native, serialization_format="cloudpickle")
    assert (find(uri, "binary").output, find(uri, "binary").squashed) == (Output.LOGIT, True)
    assert not find(uri, "binary", "logit").squashed


DOCUMENTS = ["fine day", "bad day", "fine night", "bad night"] * 5


@pytest.mark.parametrize("union", [False, True])
def test_a_vectorizer_gets_a_column_of_texts(log, find, union):
    first = FeatureUnion([("v", TfidfVectorizer())]) if union else TfidfVectorizer()
    texts, labels = pd.Series(DOCUMENTS, name="text"), [1, 0, 1, 0] * 5
    native = make_pipeline(first, LogisticRegression()).fit(texts, labels)
    assert takes_documents(native)
    _texts_are_predicted_as_by(native, log, find)


class Lengths(BaseEstimator):
    """Takes a series of texts, and says nothing of it."""

    def fit(self, texts, labels=None):
        return self

    def transform(self, texts):
        return np.array([[len(text), text.count("fine")] for text in texts], float)


def test_a_series_is_given_where_a_table_has_no_answer_for_each_row(log, find):
    native = make_pipeline(Lengths(), LogisticRegression()).fit(DOCUMENTS, [1, 0, 1, 0] * 5)
    assert not takes_documents(native)
    _texts_are_predicted_as_by(native, log, find)


def _texts_are_predicted_as_by(native, log, find):
    uri = log("sklearn", native, serialization_format="cloudpickle")
    model = find(uri, "binary", features=["text"])
    table = pa.table({"text": DOCUMENTS})
    expected = native.predict_proba(pd.Series(DOCUMENTS))
    # A first batch of one row, too.
    for part in (table.slice(0, 1), table):
        found = load(model).predict(part).scores
        np.testing.assert_allclose(found, expected[: part.num_rows])


class Wrapped(ClassifierMixin, BaseEstimator):
    """Hides an estimator under a name of its own."""

    def fit(self, features, labels):
        self.model = SVC(decision_function_shape="ovo").fit(features, labels)
        self.classes_ = self.model.classes_
        return self

    def decision_function(self, features):
        return self.model.decision_function(features)

    def predict(self, features):
        return self.model.predict(features)


def test_pairs_are_found_in_estimators_of_anybodys(log, find):
    features, labels = rows(3)
    native = make_pipeline(StandardScaler(), Wrapped()).fit(features, labels)
    assert votes_of_pairs(native)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    words = "offers label, the suite says output: logit; values for pairs of classes are no scores"
    with pytest.raises(ModelError, match=words):
        find(uri, "multiclass", "logit")


class HourOf(BaseEstimator):
    """Takes times with a zone."""

    def fit(self, frame, labels=None):
        return self

    def transform(self, frame):
        since = frame["t"] - pd.Timestamp("2024-01-01", tz="UTC")
        return np.stack([frame["t"].dt.hour, since.dt.days], axis=1)


def test_a_model_of_zoned_times_without_a_signature_gets_them(log, find):
    times = pd.date_range("2024-01-01", periods=50, freq="7h", tz="UTC")
    frame = pd.DataFrame({"t": times})
    native = make_pipeline(HourOf(), LogisticRegression()).fit(frame, times.hour > 12)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    found = load(find(uri, "binary", features=["t"])).predict(pa.Table.from_pandas(frame))
    np.testing.assert_allclose(found.scores, native.predict_proba(frame))


def test_regressors_with_empty_classes_are_regressors():
    from sklearn.linear_model import LinearRegression

    native = LinearRegression()
    native.classes_ = []
    assert describe(native, None).offered == (Output.VALUE,)
    native.classes_ = np.array([])
    pipeline = make_pipeline(StandardScaler(), native)
    assert describe(pipeline, None).offered == (Output.VALUE,)


@pytest.mark.parametrize("classes", [[0, 1], (0, 1)])
def test_classes_may_be_in_a_list(classes):
    native = LogisticRegression().fit(*rows(2))
    native.classes_ = classes
    assert describe(native, None).classes == (0, 1)


def test_labels_of_what_has_no_classes(log, find, table, features):
    native = IsolationForest(n_estimators=10, random_state=0).fit(features)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    model = find(uri, "binary", "label", classes=[-1, 1])
    expected = (native.predict(features) > 0).astype(int)
    np.testing.assert_array_equal(load(model).predict(table).labels, expected)


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_texts_are_what_an_encoder_has_seen(log, find, missing):
    texts = np.array(["a", "b", missing] * 30, object)
    frame = pd.DataFrame({"t": pd.Series(texts, dtype=object)})
    native = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    native.fit(frame, [0, 0, 1] * 30)
    uri = log("sklearn", native, serialization_format="cloudpickle")
    found = load(find(uri, "binary")).predict(pa.table({"t": ["a", "b", None] * 30}))
    np.testing.assert_allclose(found.scores, native.predict_proba(frame))
