"""Mistakes in `cv` and `search`: told with their place, all at once, before anything is fitted."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest

from engine.errors import DataError, InputError, ModelError, SuiteError
from engine.training import read_config, search_model
from engine.training.space import Range, read_space
from tests.fixtures.folds import CONFIG, here, make_folder, make_table

DEPTHS = "params: {max_depth: [1, 2]}"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("cv: {fold: 3}", r"line 8, cv.fold: found the unknown key, .*did you mean 'folds'\?"),
        ("cv: {folds: 1}", r"cv.folds: found 1, expected greater than or equal to 2"),
        ("cv: {folds: many}", r"cv.folds: found 'many', expected a valid integer"),
        ("cv: {repeats: 2, shuffle: false}", r"cv.shuffle: found false, expected true: repeats"),
        ("cv: {random_state: 1}", r"cv.random_state: has no effect without shuffle: true"),
        ("search: {}", r"search.params: is missing"),
        ("search: {params: {}}", r"search.params: found no parameter"),
        ("search: 3", r"search: found 3, expected a mapping"),
        ("search: {metod: grid, " + DEPTHS + "}", r"search.metod: .*did you mean 'method'\?"),
        ("search: {method: bayes, " + DEPTHS + "}", r"search.method: found 'bayes', expected 'gr"),
        ("search: {params: {max_dept: [1]}}", r"max_dept: found the unknown .*'max_depth'\?"),
        ("search: {params: {max_depth: []}}", r"search.params.max_depth: found an empty list"),
        ("search: {params: {max_depth: [1, 1]}}", r"max_depth: found 1 twice"),
        ("search: {params: {max_depth: 3}}", r"max_depth: found 3, expected a list of choices$"),
        ("search: {params: {max_depth: {min: 1, max: 3}}}", r"found a range, which is for the met"),
        ("search: {metric: roc_ac, " + DEPTHS + "}", r"unknown metric 'roc_ac'.*'roc_auc'\?"),
        ("search: {metric: r2, " + DEPTHS + "}", r"metric: found 'r2', which does not measure"),
        ("search: {metric: psi, " + DEPTHS + "}", r"search.metric: found "),
        ("search: {method: tpe, " + DEPTHS + "}", r"search.trials: is missing"),
        ("search: {method: random, trials: 0, " + DEPTHS + "}", r"trials: found 0, expected gr"),
        ("search: {trials: 3, " + DEPTHS + "}", r"search.trials: has no meaning for grid"),
        ("search: {factor: 2, " + DEPTHS + "}", r"search.factor: is for the method halving"),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(tmp_path, more, words):
    with pytest.raises(SuiteError, match=words):
        read_config(make_folder(tmp_path, more + "\n"))


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ("{min: 3}", r"max_depth.max: is missing"),
        ("{min: 3, max: 1}", r"found min 3 and max 1, expected min below max"),
        ("{min: 0, max: 1, log: true}", r"max_depth.min: found 0, expected more than 0"),
        ("{min: 1, max: 9, log: true, step: 2}", r"max_depth.step: found a step beside log"),
        ("{min: 1, max: 9, step: 0}", r"max_depth.step: found 0, expected more than 0"),
        ("{min: 1, max: 9, stp: 2}", r"max_depth.stp: .*did you mean 'step'\?"),
        ("{min: low, max: 9}", r"max_depth.min: found 'low', expected a number"),
        ("{min: 1, max: .inf}", r"max_depth.max: found inf, expected a number"),
        ("{min: 1, max: 2, log: 1}", r"max_depth.log: found 1, expected true or false"),
        ("{min: 0.5, max: 2, int: true}", r"max_depth.int: found true beside a fraction"),
        ("3", r"expected a list of choices, or a mapping with min and max"),
    ],
)
def test_mistakes_in_a_range_have_their_place(tmp_path, span, words):
    more = f"search: {{method: random, trials: 3, params: {{max_depth: {span}}}}}\n"
    with pytest.raises(SuiteError, match=words):
        read_config(make_folder(tmp_path, more))


def test_all_are_told_at_once(tmp_path):
    more = """
        cv: {repeats: 3, shuffle: false, random_state: 4}
        search: {method: random, metric: r2, params: {max_dept: [], min_samples_leaf: 4}}
        """
    with pytest.raises(SuiteError) as caught:
        read_config(make_folder(tmp_path, more))
    assert len(caught.value.mistakes) == 7
    assert all(mistake.line is not None for mistake in caught.value.mistakes)


def test_overrides_say_what_is_searched(tmp_path):
    folder = make_folder(tmp_path)
    config = read_config(folder, overrides=["cv.folds=3", "search={params: {max_depth: [1, 2]}}"])
    assert config.cv.folds == 3 and config.search.params == {"max_depth": [1, 2]}
    with pytest.raises(SuiteError, match=r"given by --set cv.folds=1"):
        read_config(folder, overrides=["cv.folds=1"])


def test_ranges():
    spaces = read_space(
        {
            "whole": {"min": 1, "max": 3},
            "real": {"min": 1, "max": 3, "int": False},
            "steps": {"min": 0.1, "max": 0.5, "step": 0.1},
            "whole_steps": {"min": 2, "max": 9, "step": 3},
            "log": {"min": 1, "max": 1000, "log": True},
        }
    )
    assert spaces["whole"] == Range(1, 3, whole=True)
    assert not spaces["real"].whole
    assert spaces["steps"].steps == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert spaces["whole_steps"].steps == [2, 5, 8]
    state = np.random.RandomState(0)
    drawn = [spaces["log"].distribution().rvs(random_state=state) for _ in range(4000)]
    assert min(drawn) == 1 and max(drawn) <= 1000
    assert all(isinstance(number, int) for number in drawn)
    # Of whole numbers whose logarithms are uniform from 1/2 to 1000.5 so many are below 31.5.
    share = math.log(31.5 / 0.5) / math.log(1000.5 / 0.5)
    assert np.mean(np.array(drawn) <= 31) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("more", "rows", "words"),
    [
        ("cv: {folds: 200}", 240, r"cv.folds is 200, and there are 180 rows for training"),
        ("cv: {folds: 150}", 240, r"cv.folds is 150, and a class has \d+ rows for training"),
        ("cv: {group: nobody}", 240, r"has no column 'nobody'"),
        ("cv: {group: whos}", 240, r"has no column 'whos'; did you mean 'who'\?"),
        ("cv: {folds: 40, group: who}", 100, r"the rows for training are of \d+ groups"),
        (
            "cv: {folds: 9}\nsearch: {method: halving, " + DEPTHS + "}",
            44,
            r"begins with 36 rows .* 33",
        ),
    ],
)
def test_too_few_rows_are_told_before_anything_is_fitted(tmp_path, more, rows, words):
    tasks = []
    extra = "" if "search" in more else "\nsearch: {" + DEPTHS + "}"
    folder = make_folder(tmp_path, more + extra + "\n", table=make_table(rows))
    with pytest.raises(DataError, match=words):
        search_model(folder, tracking_uri="sqlite:///unused.db", options=here(tasks))
    assert tasks == []


def test_a_group_of_a_row_may_not_be_lacking(tmp_path):
    table = make_table().assign(who=lambda frame: frame["who"].where(frame.index != 7))
    folder = make_folder(tmp_path, "cv: {group: who}\nsearch: {" + DEPTHS + "}\n", table=table)
    with pytest.raises(DataError, match="1 rows have no group in column 'who'"):
        search_model(folder, tracking_uri="sqlite:///unused.db", options=here())


def test_what_cannot_be_searched(tmp_path):
    folder = make_folder(tmp_path)
    with pytest.raises(ModelError, match="has no 'search' in its config"):
        search_model(folder, tracking_uri="sqlite:///unused.db", options=here())
    broken = make_folder(tmp_path / "broken", "search: {params: {max_depth: [0, -1]}}\n")
    with pytest.raises(ModelError, match="all 10 fits failed; the first: InvalidParameterError"):
        search_model(broken, tracking_uri="sqlite:///unused.db", options=here())
    other = make_folder(
        tmp_path / "other", "search: {params: {max_depth: [1]}}\n", code="import no_such_module\n"
    )
    with pytest.raises(ModelError, match="cannot be imported: ModuleNotFoundError"):
        search_model(other, tracking_uri="sqlite:///unused.db", options=here())


def test_tpe_without_optuna_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    folder = make_folder(tmp_path, "search: {method: tpe, trials: 2, " + DEPTHS + "}\n")
    tasks = []
    with pytest.raises(InputError, match=r"pip install 'evalmatrix\[search\]'"):
        search_model(folder, tracking_uri="sqlite:///unused.db", options=here(tasks))
    assert tasks == []


def test_a_label_that_is_all_a_model_says(tmp_path):
    config = CONFIG.replace("output: probability", "output: label")
    folder = make_folder(tmp_path, "search: {metric: roc_auc, " + DEPTHS + "}\n", config=config)
    with pytest.raises(SuiteError, match="the task 'binary' and the output 'label'"):
        read_config(folder)
