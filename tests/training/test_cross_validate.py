"""`engine.cross_validate` against scikit-learn's, on estimators as they are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GroupKFold, RepeatedKFold, ShuffleSplit, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

import engine
from engine.errors import DataError, InputError, ModelError
from engine.training.estimator_folds import Samples, validate_estimators
from tests.fixtures.folds import Here, make_table

TABLE = make_table()
X, Y, GROUPS = TABLE[["a", "b", "c"]], TABLE["y"], TABLE["who"]
VALUES = TABLE["a"] * 2 + TABLE["b"]


def validate(estimators, x, y, *, cv=5, groups=None, scoring=None):
    """In this process; the engine's own workers have a test below."""
    samples = Samples(x, y, groups, cv)
    return validate_estimators(
        estimators, samples, scoring=scoring, make_workers=lambda work: Here(work, [])
    )


def entry(board, name):
    return next(entry for entry in board.entries if entry.candidate.name == name)


@pytest.mark.parametrize("x", [X, X.to_numpy(), csr_array(X.to_numpy())], ids=type)
def test_the_folds_are_those_of_scikit_learn(x):
    scoring = ["roc_auc", "accuracy", "neg_log_loss"]
    models = {"logistic": LogisticRegression(C=0.1), "tree": DecisionTreeClassifier(random_state=1)}
    board = validate(models, x, Y.to_numpy(), scoring=scoring)
    for name, model in models.items():
        expected = cross_validate(model, x, Y.to_numpy(), scoring=scoring)
        for metric in scoring:
            np.testing.assert_array_equal(
                entry(board, name).values(metric), expected[f"test_{metric}"]
            )
        values = expected["test_roc_auc"]
        assert entry(board, name).mean("roc_auc") == values.mean()
        assert entry(board, name).std("roc_auc") == pytest.approx(values.std(), rel=1e-12)
    assert board.fitted == 10


@pytest.mark.parametrize(
    ("cv", "groups"),
    [
        (3, None),
        (RepeatedKFold(n_splits=4, n_repeats=3, random_state=2), None),
        (ShuffleSplit(6, test_size=0.3, random_state=np.random.RandomState(5)), None),
        (GroupKFold(4), GROUPS),
        ([(np.arange(100), np.arange(100, 240))], None),
    ],
    ids=["folds", "repeats", "drawn", "groups", "splits"],
)
def test_any_splitter(cv, groups):
    # A splitter with a generator draws other folds at each call.
    oracle = ShuffleSplit(6, test_size=0.3, random_state=np.random.RandomState(5))
    expected = cross_validate(
        LinearRegression(),
        X,
        VALUES,
        cv=oracle if isinstance(cv, ShuffleSplit) else cv,
        groups=groups,
        scoring="r2",
    )
    board = validate([LinearRegression(), Ridge()], X, VALUES, cv=cv, groups=groups, scoring="r2")
    np.testing.assert_array_equal(
        entry(board, "LinearRegression").values("r2"), expected["test_score"]
    )


def test_what_measures():
    def own(model, rows, labels):
        return float(np.mean(model.predict(rows) == labels))

    model = LogisticRegression()
    plain = cross_validate(model, X, Y)["test_score"]
    np.testing.assert_array_equal(validate(model, X, Y).best.values("score"), plain)
    np.testing.assert_array_equal(validate(model, X, Y, scoring=own).best.values("score"), plain)
    named = {"mine": own, "absolute": make_scorer(mean_absolute_error), "loss": "log_loss"}
    board = validate(model, X, Y, scoring=named)
    np.testing.assert_array_equal(board.best.values("mine"), plain)
    np.testing.assert_allclose(board.best.values("absolute"), 1 - plain)
    losses = cross_validate(model, X, Y, scoring="neg_log_loss")["test_score"]
    np.testing.assert_array_equal(board.best.values("loss"), -losses)
    # The order of the directions.
    models = {"bad": DummyClassifier(strategy="uniform", random_state=0), "good": model}
    for metric in ("log_loss", "neg_log_loss", "accuracy"):
        assert validate(models, X, Y, scoring=metric).best.candidate.name == "good"


def test_a_generator_is_copied_for_each_fold():
    model = ExtraTreeClassifier(random_state=np.random.RandomState(3))
    expected = cross_validate(
        ExtraTreeClassifier(random_state=np.random.RandomState(3)), X, Y, scoring="accuracy"
    )
    board = validate(model, X, Y, scoring="accuracy")
    np.testing.assert_array_equal(board.best.values("accuracy"), expected["test_score"])


def test_an_estimator_that_fails_costs_itself():
    models = {"broken": DecisionTreeClassifier(max_depth=0), "sound": GaussianNB()}
    board = validate(models, X, Y, scoring=["accuracy", "roc_auc"])
    assert board.best.candidate.name == "sound"
    worst = board.entries[-1]
    assert worst.has_failed and worst.rank == 2 and len(worst.errors) == 5
    frame = board.to_pandas()
    assert frame["rank"].tolist() == [1, 2] and np.isnan(frame["accuracy"][1])
    with pytest.raises(ModelError, match="all 5 fits failed"):
        validate({"broken": DecisionTreeClassifier(max_depth=0)}, X, Y)


def test_a_metric_that_cannot_be_measured_is_nan_with_its_reason():
    board = validate(LinearRegression(), X, Y, scoring=["r2", "log_loss"])
    assert np.isfinite(board.best.values("r2")).all()
    assert np.isnan(board.best.values("log_loss")).all()
    assert "log_loss could not be measured (" in board.best.errors[0]


def test_what_is_refused():
    def refused(kind, words, *arguments, **options):
        with pytest.raises(kind, match=words):
            validate(*arguments, **options)

    refused(InputError, "there are no estimators", {}, X, Y)
    refused(
        InputError, "'GaussianNB' is a class, not an instance", {"GaussianNB": GaussianNB}, X, Y
    )
    refused(InputError, "'x' is a int, expected an object with `fit`", {"x": 3}, X, Y)
    refused(InputError, "some of the estimators are classifiers", [Ridge(), GaussianNB()], X, Y)
    refused(InputError, "no metric is called 'roc_ac'; did you mean 'roc_auc'", Ridge(), X, Y,
            scoring="roc_ac")  # fmt: skip
    refused(DataError, "the folds cannot be made: .*300", GaussianNB(), X, Y, cv=300)
    with pytest.raises(InputError, match="workers is 'many', expected a number of 1 or more"):
        engine.cross_validate(GaussianNB(), X, Y, workers="many")


def test_the_comparison_with_the_best():
    models = {"logistic": LogisticRegression(), "nothing": DummyClassifier()}
    board = validate(models, X, Y, cv=RepeatedKFold(n_splits=5, n_repeats=4, random_state=0),
                     scoring="accuracy")  # fmt: skip
    best, other = board.entries
    differences = other.values("accuracy") - best.values("accuracy")
    error = np.sqrt(np.var(differences, ddof=1) * (1 / 20 + 48 / 192))
    from scipy.stats import t as student

    assert best.difference is None
    assert other.difference.value == pytest.approx(differences.mean())
    assert other.difference.p_value == pytest.approx(
        2 * student.sf(abs(differences.mean() / error), 19)
    )
    estimate = best.estimate("accuracy")
    assert estimate.low < best.mean("accuracy") < estimate.high


SCRIPT = """
import numpy as np
import engine
from sklearn.linear_model import LogisticRegression

class Mine(LogisticRegression):
    "Of a script: no other process can import it."

rows = np.random.default_rng(0).normal(size=(60, 2))
board = engine.cross_validate(Mine(), rows, rows[:, 0] > 0, scoring="accuracy", workers=2)
print(board.best.values("accuracy").tolist(), board.fitted)
"""


def test_a_script_needs_no_guard_and_may_have_its_own_classes(tmp_path, root):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, env={"PYTHONPATH": str(root)},
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = np.random.default_rng(0).normal(size=(60, 2))
    expected = cross_validate(LogisticRegression(), rows, rows[:, 0] > 0, scoring="accuracy")
    assert done.stdout == f"{expected['test_score'].tolist()} 5\n"
    assert done.stderr == ""
