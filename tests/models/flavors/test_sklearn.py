"""scikit-learn models that plain MLflow logged, against scikit-learn's own predictions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engine.core.vocabulary import Output
from engine.errors import ModelError
from engine.models import check_inputs, load, loaded_count
from engine.models.artifact import read_artifact
from engine.models.flavors.sklearn import _hide, describe
from engine.models.load import CACHE_SIZE, open_native


def predict(model, table):
    return load(model).predict(table)


@pytest.mark.parametrize("kind", ["skops", "cloudpickle", "pickle"])
def test_a_classifier_in_every_format(log, find, frame, features, table, kind):
    native = LogisticRegression().fit(features, frame["three"])
    signature = infer_signature(features, native.predict(features))
    model = find(
        log("sklearn", native, signature=signature, serialization_format=kind), "multiclass"
    )
    assert (model.flavor, model.output) == ("sklearn", Output.PROBABILITY)
    assert model.classes == ("high", "low", "mid")
    assert model.features == ("a", "b", "c")
    found = predict(model, table)
    np.testing.assert_array_equal(found.scores, native.predict_proba(features))
    assert found.labels is None


def test_a_regressor_without_a_signature(log, find, frame, features, table):
    native = LinearRegression().fit(features, frame["value"])
    model = find(log("sklearn", native), "regression")
    assert (model.output, model.classes, model.inputs) == (Output.VALUE, (), ())
    # The estimator itself knows the names that it was fitted with.
    assert model.features == ("a", "b", "c")
    np.testing.assert_allclose(predict(model, table).scores, native.predict(features), rtol=1e-12)


def test_an_estimator_fitted_with_an_array_gets_one(log, find, frame, features, table):
    native = LinearRegression().fit(features.to_numpy(), frame["value"])
    model = find(log("sklearn", native), "regression", features=["a", "b", "c"])
    np.testing.assert_allclose(
        predict(model, table).scores, native.predict(features.to_numpy()), rtol=1e-12
    )


def test_a_tensor_signature(log, find, frame, features, table):
    array = features.to_numpy()
    native = LogisticRegression().fit(array, frame["two"])
    uri = log("sklearn", native, signature=infer_signature(array, native.predict(array)))
    model = find(uri, "binary", features=("a", "b", "c"))
    np.testing.assert_array_equal(predict(model, table).scores, native.predict_proba(array))


def test_decision_values_are_logits_where_the_suite_says_so(log, find, frame, features, table):
    native = RidgeClassifier().fit(features, frame["two"])
    uri, values = log("sklearn", native), native.decision_function(features)
    model = find(uri, "binary", "logit")
    assert model.output is Output.LOGIT and not model.squashed
    np.testing.assert_allclose(predict(model, table).scores[:, 1], expit(values), rtol=1e-14)
    # Else they are in the same order, and no more.
    ranked = predict(find(uri, "binary"), table).scores[:, 1]
    np.testing.assert_array_equal(np.argsort(ranked), np.argsort(values))
    np.testing.assert_array_equal(ranked > 0.5, values > 0)


def test_labels_where_the_estimator_or_the_suite_has_no_more(log, find, frame, features, table):
    native = VotingClassifier(
        [("a", LogisticRegression()), ("b", RidgeClassifier())], voting="hard"
    ).fit(features, frame["three"])
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "multiclass")
    assert model.output is Output.LABEL
    labels = np.array(model.classes)[predict(model, table).labels]
    np.testing.assert_array_equal(labels, native.predict(features))
    asked = find(
        log("sklearn", LogisticRegression().fit(features, frame["two"])), "binary", "label"
    )
    assert predict(asked, table).labels.tolist() == predict_labels(asked, features)


def predict_labels(model, features):
    native = open_native(model.digest, read_artifact(model.path))
    return native.predict(features).tolist()


def test_mixed_columns_through_a_pipeline(log, find, frame):
    inputs = frame[["three", "a"]]
    columns = ColumnTransformer([("s", OneHotEncoder(), ["three"]), ("n", StandardScaler(), ["a"])])
    native = make_pipeline(columns, LogisticRegression()).fit(inputs, frame["two"])
    signature = infer_signature(inputs, native.predict(inputs))
    model = find(
        log("sklearn", native, signature=signature, serialization_format="cloudpickle"), "binary"
    )
    found = predict(model, pa.Table.from_pandas(frame[["a", "b", "three"]]))
    np.testing.assert_array_equal(found.scores, native.predict_proba(inputs))


def test_a_batch_and_an_empty_one(log, find, frame, features, table):
    native = LogisticRegression().fit(features, frame["two"])
    model = find(log("sklearn", native, register="batches"), "binary")
    predictor = load(model)
    batch = table.slice(5, 7).to_batches()[0]
    np.testing.assert_array_equal(
        predictor.predict(batch).scores, native.predict_proba(features)[5:12]
    )
    assert predictor.predict(table.slice(0, 0)).scores.shape == (0, 2)


def test_missing_columns_are_found_before_and_during(log, find, frame, features):
    native = LogisticRegression().fit(features, frame["two"])
    model = find(log("sklearn", native), "binary")
    assert check_inputs(model, ["a", "c", "x"]) == ["b"]
    assert check_inputs(model, ["c", "b", "a"]) == []
    with pytest.raises(ModelError, match="wants the column 'b', the data have 'a', 'c'"):
        predict(model, pa.table({"a": [1.0], "c": [1.0]}))


def test_what_the_estimator_lacks_is_told(log, find, frame, features, table):
    native = RidgeClassifier().fit(features, frame["two"])
    words = r"\(RidgeClassifier\) offers logit or label, the suite says output: probability"
    uri = log("sklearn", native)
    with pytest.raises(ModelError, match=words):
        find(uri, "binary", "probability")
    model = replace(find(uri, "binary"), output=Output.PROBABILITY)
    with pytest.raises(
        ModelError, match="needs predict_proba, which RidgeClassifier does not have"
    ):
        load(model)


def test_a_model_is_loaded_once_and_the_cache_is_bounded(log, find, frame, features, table):
    def make(seed: int):
        noisy = features + np.random.default_rng(seed).normal(size=features.shape)
        return LogisticRegression().fit(noisy, frame["two"])

    first = find(log("sklearn", make(0)), "binary")
    before = loaded_count()
    load(first)
    for _ in range(3):
        predict(first, table)
    # Finding out its classes has loaded it already, in this process.
    assert loaded_count() == before
    others = [find(log("sklearn", make(seed)), "binary") for seed in range(1, CACHE_SIZE)]
    assert loaded_count() == before + CACHE_SIZE - 1
    load(first)
    assert loaded_count() == before + CACHE_SIZE - 1
    # One more pushes out what was not used for longest: now the second, not the first.
    find(log("sklearn", make(99)), "binary")
    load(first)
    assert loaded_count() == before + CACHE_SIZE
    load(others[0])
    assert loaded_count() == before + CACHE_SIZE + 1


def test_threads_are_those_of_the_task(log, find, frame, features, monkeypatch):
    forest = RandomForestClassifier(5, n_jobs=-1, random_state=0)
    native = VotingClassifier(
        [("f", forest), ("k", make_pipeline(StandardScaler(), KNeighborsClassifier(n_jobs=8)))],
        voting="soft",
    ).fit(features, frame["two"])
    model = find(log("sklearn", native, serialization_format="cloudpickle"), "binary")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    load(model)
    loaded = open_native(model.digest, read_artifact(model.path))
    fitted_forest, pipeline = loaded.estimators_
    assert [loaded.n_jobs, fitted_forest.n_jobs, pipeline[-1].n_jobs] == [3, 3, 3]


def test_forbidden_pickles_are_refused(log, find, frame, features, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    native = LogisticRegression().fit(features, frame["two"])
    uri = log("sklearn", native, serialization_format="cloudpickle")
    with pytest.raises(ModelError, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        find(uri, "binary")


def test_code_that_was_logged_with_a_model_is_found(log, find, frame, features, table, tmp_path):
    package = tmp_path / "evalmatrix_test_shifted"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from sklearn.linear_model import LinearRegression\n"
        "class Shifted(LinearRegression):\n"
        "    def predict(self, X):\n"
        "        return super().predict(X) + 1000\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        from evalmatrix_test_shifted import Shifted

        native = Shifted().fit(features, frame["value"])
        uri = log("sklearn", native, code_paths=[str(package)], serialization_format="cloudpickle")
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["evalmatrix_test_shifted"]
    model = find(uri, "regression")
    np.testing.assert_allclose(predict(model, table).scores, native.predict(features), rtol=1e-12)
    # Importing the code has left caches in the artifact; its digest is the same.
    assert find(uri, "regression").digest == model.digest


def test_several_targets_are_refused(log, find, frame, features):
    targets = pd.DataFrame({"x": frame["two"], "y": 1 - frame["two"]})
    uri = log(
        "sklearn", KNeighborsClassifier().fit(features, targets), serialization_format="pickle"
    )
    with pytest.raises(ModelError, match="predicts 2 targets at once"):
        find(uri, "binary")


def test_a_classifier_that_cannot_predict_offers_what_it_can() -> None:
    class Scorer:
        classes_ = np.array([0, 1])

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            return np.full((len(rows), 2), 0.5)

    assert describe(Scorer(), None).offered == (Output.PROBABILITY,)


# What skops trusts by itself, and what it asks for of models of many kinds.
TRUST = """
import json, sys
IMPORTS
import numpy as np
from skops.io import _trusted_types as types, dumps, get_untrusted_types
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

x = np.arange(40.0).reshape(20, 2)
y = np.arange(20) % 2
natives = [
    HistGradientBoostingClassifier(max_iter=2), RandomForestClassifier(2), SVC(),
    GaussianProcessRegressor(), LogisticRegression(), SGDClassifier(), KNeighborsClassifier(),
    make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()),
    make_pipeline(ColumnTransformer([("one", StandardScaler(), [0])]), SVC()),
]
asked = [get_untrusted_types(data=dumps(native.fit(x, y))) for native in natives]
names = {name: value for name, value in vars(types).items() if name.endswith("_TYPE_NAMES")}
print(json.dumps([asked, names, "torch" in sys.modules]))
"""


@pytest.mark.frameworks
def test_skops_trusts_the_same_types_without_pytorch(root):
    ours = "from engine.models.flavors.sklearn import import_skops; import_skops()"
    (asked, names, torch), (asked_light, names_light, torch_light) = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", TRUST.replace("IMPORTS", imports)],
                cwd=root,
                capture_output=True,
                check=True,
            ).stdout
        )
        for imports in ("import skops.io", ours)
    )
    assert (torch, torch_light) == (True, False)
    assert any(asked) and names["SKLEARN_ESTIMATOR_TYPE_NAMES"]
    assert (asked_light, names_light) == (asked, names)


# A model of a user's own that computes by PyTorch, written by skops.
WITH_TORCH = """
import torch
from sklearn.base import BaseEstimator, ClassifierMixin


class ByTorch(ClassifierMixin, BaseEstimator):
    def fit(self, rows, labels):
        self.classes_ = [0, 1]
        return self

    def predict_proba(self, rows):
        ones = torch.sigmoid(torch.from_numpy(rows.to_numpy().sum(axis=1)))
        return torch.stack([1 - ones, ones], dim=1).numpy()
"""


@pytest.mark.frameworks
def test_a_model_of_skops_that_needs_pytorch_gets_it(root, tmp_path):
    (tmp_path / "by_torch.py").write_text(WITH_TORCH)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from engine.models.artifact import Artifact
from engine.models.flavors.sklearn import import_skops, open_model
skops = import_skops()
assert "torch" not in sys.modules
import numpy as np, pandas as pd
from pathlib import Path
options = {{"pickled_model": "model.skops", "serialization_format": "skops"}}
if not Path("model.skops").exists():
    import by_torch
    skops.dump(by_torch.ByTorch().fit(None, None), "model.skops")
    sys.exit()
options["skops_trusted_types"] = ["by_torch.ByTorch"]
model = open_model(Artifact(Path("."), {{"sklearn": options}}))
print(model.predict_proba(pd.DataFrame({{"a": [0.0]}})).tolist())
# What was hidden can be imported when it is wanted.
import torch, sklearn.externals.array_api_compat.torch as bridge
print(bridge.asarray([1.0]).dtype)
"""
    env = {**os.environ, "PYTHONPATH": str(root)}
    for _ in range(2):  # written, then read by another process
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[[0.5, 0.5]]", "torch.float32"]


def test_modules_are_hidden_from_one_thread_for_a_while(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hidden_module.py").touch()
    (tmp_path / "other_module.py").touch()
    before, imported = list(sys.meta_path), []
    thread = threading.Thread(target=lambda: imported.append(__import__("other_module")))
    with _hide(["hidden_module", "other_module"]):
        with pytest.raises(ModuleNotFoundError):
            import hidden_module
        thread.start()
        thread.join()
    assert imported == [sys.modules.pop("other_module")]
    import hidden_module

    assert sys.modules.pop("hidden_module") is hidden_module
    assert sys.meta_path == before
