"""Searches against scikit-learn's own classes: the same candidates, folds, figures and best."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform, randint, uniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupShuffleSplit,
    HalvingGridSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_validate,
    train_test_split,
)
from sklearn.tree import DecisionTreeClassifier

from engine.training import search_model
from tests.fixtures.folds import CONFIG, here, make_folder, make_table

SPACE = {"max_depth": [1, 2, 4, 6], "min_samples_leaf": [1, 5, 20]}
BASE = {"max_depth": 3, "min_samples_leaf": 1, "random_state": 0}


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('search')}/mlflow.db"


@pytest.fixture
def training_rows():
    """The rows that are not held out, as scikit-learn splits them."""
    table = make_table().drop(columns="who")
    train, _ = train_test_split(table, test_size=0.25, random_state=3)
    return train[["a", "b", "c"]], train["y"].to_numpy()


def by_params(board):
    """Entries by the hyperparameters that were tried, and the round."""
    return {
        (entry.iteration, *sorted(entry.candidate.params.items())): entry for entry in board.entries
    }


def check_same(board, oracle, metric="roc_auc", sign=1):
    """Every candidate's folds, mean, spread and rank are the oracle's, and so is the best."""
    results = oracle.cv_results_
    entries = by_params(board)
    assert len(entries) == len(results["params"])
    for at, params in enumerate(results["params"]):
        iteration = int(results["iter"][at]) if "iter" in results else 0
        entry = entries[(iteration, *sorted(params.items()))]
        splits = [results[f"split{fold}_test_score"][at] for fold in range(len(entry.scores))]
        np.testing.assert_array_equal(sign * entry.values(metric), splits)
        np.testing.assert_array_equal(sign * entry.mean(metric), results["mean_test_score"][at])
        np.testing.assert_array_equal(entry.std(metric), results["std_test_score"][at])
        if "iter" not in results:
            assert entry.rank == results["rank_test_score"][at]
    assert board.best.candidate.params == oracle.best_params_


def test_grid_is_grid_search_cv(tmp_path, tracking_uri, training_rows):
    folder = make_folder(tmp_path, f"search: {{params: {SPACE}}}\n")
    tasks = []
    board = search_model(folder, tracking_uri=tracking_uri, options=here(tasks)).leaderboard
    oracle = GridSearchCV(DecisionTreeClassifier(**BASE), SPACE, scoring="roc_auc")
    check_same(board, oracle.fit(*training_rows))
    order = [task.candidate for task in tasks[::5]]
    assert order == [{**BASE, **params} for params in ParameterGrid(SPACE)]
    assert len(tasks) == board.fitted == 12 * 5


def test_an_error_is_less_when_it_is_better(tmp_path, tracking_uri, training_rows):
    more = f"""
        cv: {{folds: 4, repeats: 2, random_state: 11}}
        search: {{metric: log_loss, params: {SPACE}}}
        """
    folder = make_folder(tmp_path, more)
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    cv = RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=11)
    oracle = GridSearchCV(DecisionTreeClassifier(**BASE), SPACE, scoring="neg_log_loss", cv=cv)
    check_same(board, oracle.fit(*training_rows), "log_loss", sign=-1)
    assert not board.higher_is_better
    assert board.best.mean("log_loss") == min(entry.mean("log_loss") for entry in board.entries)


def test_random_is_randomized_search_cv(tmp_path, tracking_uri, training_rows):
    more = """
        search:
          method: random
          trials: 12
          params:
            max_depth: {min: 1, max: 8}
            ccp_alpha: {min: 0.0001, max: 0.1, log: true}
            min_impurity_decrease: {min: 0.0, max: 0.01}
            min_samples_leaf: [1, 5, 20]
        """
    config = CONFIG.replace("params: {", "params: {ccp_alpha: 0.0, min_impurity_decrease: 0.0, ")
    folder = make_folder(tmp_path, more, config=config)
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    space = {
        "max_depth": randint(1, 9),
        "ccp_alpha": loguniform(0.0001, 0.1),
        "min_impurity_decrease": uniform(0, 0.01),
        "min_samples_leaf": [1, 5, 20],
    }
    oracle = RandomizedSearchCV(
        DecisionTreeClassifier(**BASE), space, n_iter=12, scoring="roc_auc", random_state=42
    )
    check_same(board, oracle.fit(*training_rows))


def test_lists_are_drawn_without_replacement(tmp_path, tracking_uri, training_rows):
    more = f"""
        seed: 9
        search: {{method: random, trials: 12, metric: accuracy, params: {SPACE}}}
        """
    folder = make_folder(tmp_path, more)
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    oracle = RandomizedSearchCV(
        DecisionTreeClassifier(**BASE), SPACE, n_iter=12, scoring="accuracy", random_state=9
    )
    check_same(board, oracle.fit(*training_rows), "accuracy")
    assert len(by_params(board)) == 12


@pytest.mark.parametrize(("factor", "metric"), [(3, "accuracy"), (2, "roc_auc")])
def test_halving_is_halving_grid_search_cv(tmp_path, tracking_uri, training_rows, factor, metric):
    more = f"search: {{method: halving, factor: {factor}, metric: {metric}, params: {SPACE}}}\n"
    folder = make_folder(tmp_path, more)
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    oracle = HalvingGridSearchCV(
        DecisionTreeClassifier(**BASE), SPACE, scoring=metric, factor=factor, random_state=42
    )
    with warnings.catch_warnings():
        # Folds of few rows have a single class: that is NaN to both.
        warnings.simplefilter("ignore")
        oracle.fit(*training_rows)
    check_same(board, oracle, metric)
    last = oracle.n_iterations_ - 1
    sizes = {entry.iteration: entry.rows for entry in board.entries}
    assert sizes == dict(enumerate(oracle.n_resources_))
    assert board.best.iteration == last and board.best.rank == 1
    assert all(entry.difference is None for entry in board.entries if entry.iteration < last)


def test_a_failed_fold_costs_its_own_candidate(tmp_path, tracking_uri, training_rows):
    """NaN and last, as scikit-learn's `error_score=nan`."""
    space = {"max_depth": [2, 0, 4]}
    folder = make_folder(tmp_path, f"search: {{params: {space}}}\n")
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    oracle = GridSearchCV(DecisionTreeClassifier(**BASE), space, scoring="roc_auc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle.fit(*training_rows)
    check_same(board, oracle)
    worst = board.entries[-1]
    assert worst.rank == 3 and worst.has_failed and np.isnan(worst.mean("roc_auc"))
    assert "InvalidParameterError" in worst.errors[0]


def test_one_failed_fold_of_five_is_enough(tmp_path, tracking_uri, training_rows):
    code = """
        from sklearn.tree import DecisionTreeClassifier

        class Moody(DecisionTreeClassifier):
            def fit(self, inputs, labels):
                if self.max_depth == 4 and inputs["a"].iloc[0] == FIRST:
                    raise ValueError("not in the mood")
                return super().fit(inputs, labels)

        def build(params):
            return Moody(**params)
        """
    inputs, labels = training_rows
    train, _ = list(StratifiedKFold(5).split(inputs, labels))[2]
    first = repr(float(inputs["a"].iloc[train[0]]))
    folder = make_folder(
        tmp_path, "search: {params: {max_depth: [2, 4]}}\n", code=code.replace("FIRST", first)
    )
    board = search_model(folder, tracking_uri=tracking_uri, options=here()).leaderboard
    worst = board.entries[-1]
    assert worst.candidate.params == {"max_depth": 4}
    assert 2 in worst.errors and "not in the mood" in worst.errors[2]
    assert np.isnan(worst.mean("roc_auc")) and not worst.has_failed
    assert worst.difference.p_value is None


def test_groups_stay_together_and_are_no_feature(tmp_path, tracking_uri):
    table = make_table()
    more = """
        cv: {folds: 3, group: who, shuffle: true}
        search: {params: {max_depth: [2, 4]}}
        """
    tasks = []
    folder = make_folder(tmp_path, more, table=table)
    options = here(tasks, register=True)
    result = search_model(folder, tracking_uri=tracking_uri, options=options)
    splitter = GroupShuffleSplit(1, test_size=0.25, random_state=3)
    train, held_out = next(splitter.split(table, groups=table["who"]))
    assert not set(table["who"].iloc[train]) & set(table["who"].iloc[held_out])
    rows = table.iloc[train]
    oracle = GridSearchCV(
        DecisionTreeClassifier(**BASE),
        {"max_depth": [2, 4]},
        scoring="roc_auc",
        cv=StratifiedGroupKFold(3, shuffle=True, random_state=42),
    ).fit(rows[["a", "b", "c"]], rows["y"].to_numpy(), groups=rows["who"])
    check_same(result.leaderboard, oracle)
    expected = oracle.best_estimator_.score(
        table[["a", "b", "c"]].iloc[held_out], table["y"].iloc[held_out]
    )
    assert result.trained.metrics["accuracy"] == pytest.approx(expected)


def test_versions_are_compared_where_nothing_is_searched(tmp_path, tracking_uri, training_rows):
    folder = make_folder(tmp_path, "versions: {v1: {}, deep: {max_depth: 8}}\n")
    options = here()
    options = type(options)(make_workers=options.make_workers)
    board = search_model(folder, tracking_uri=tracking_uri, options=options).leaderboard
    assert {entry.candidate.name for entry in board.entries} == {"v1", "deep"}
    for name, depth in (("v1", 3), ("deep", 8)):
        entry = next(entry for entry in board.entries if entry.candidate.name == name)
        tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
        expected = cross_validate(tree, *training_rows, scoring=["roc_auc", "neg_log_loss", "f1"])
        np.testing.assert_array_equal(entry.values("roc_auc"), expected["test_roc_auc"])
        np.testing.assert_array_equal(entry.values("log_loss"), -expected["test_neg_log_loss"])
        np.testing.assert_array_equal(entry.values("f1"), expected["test_f1"])


def test_labels_that_are_texts(tmp_path, tracking_uri):
    table = make_table().drop(columns="who")
    words = table.assign(y=np.where(table["y"] == 1, "yes", "no"))
    board, other = (
        search_model(
            make_folder(tmp_path / name, "search: {params: {max_depth: [2, 4]}}\n", table=frame),
            tracking_uri=tracking_uri,
            options=here(),
        ).leaderboard
        for name, frame in (("numbers", table), ("words", words))
    )
    columns = [name for name in board.to_pandas().columns if not name.endswith("seconds")]
    pd.testing.assert_frame_equal(board.to_pandas()[columns], other.to_pandas()[columns])


def test_tpe_is_repeatable_and_learns(tmp_path, tracking_uri):
    more = """
        search:
          method: tpe
          trials: 10
          params:
            max_depth: {min: 1, max: 12}
            min_samples_leaf: [1, 5, 20]
        """
    folder = make_folder(tmp_path, more)
    tasks = []
    boards = [
        search_model(folder, tracking_uri=tracking_uri, options=here(tasks)).leaderboard
        for _ in range(2)
    ]
    tried = [
        [(entry.candidate.name, dict(entry.candidate.params)) for entry in board.entries]
        for board in boards
    ]
    assert tried[0] == tried[1] and len(tried[0]) == 10
    # A candidate that is asked for twice is fitted once.
    distinct = {str(sorted(params.items())) for _, params in tried[0]}
    assert boards[0].fitted == 5 * len(distinct)
    other = search_model(
        folder, tracking_uri=tracking_uri, overrides=["seed=1"], options=here()
    ).leaderboard
    assert [e.candidate.params for e in other.entries] != [params for _, params in tried[0]]
