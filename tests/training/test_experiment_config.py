"""`experiment_config.yml`: all mistakes at once with their places, before anything runs."""

from __future__ import annotations

from textwrap import dedent

import pytest

from engine.errors import InputError, SuiteError
from engine.training import read_config
from engine.training.experiments.config import read_experiment
from tests.fixtures.folds import make_folder

MORE = """
    versions: {small: {max_depth: 1}, wide: {max_depth: 6}}
    search: {params: {max_depth: [1, 2]}}
    """


@pytest.fixture
def write(tmp_path):
    make_folder(tmp_path, MORE)
    (tmp_path / "suite.yml").write_text("name: a\n")

    def write_config(text: str):
        folder = tmp_path / "experiments" / "depth"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "experiment_config.yml").write_text(dedent(text).lstrip())
        return folder

    return write_config


def mistakes(folder, *overrides):
    with pytest.raises(SuiteError) as caught:
        read_experiment(folder, overrides)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_what_it_changes_in_the_models_config(write, tmp_path):
    folder = write("""
        question: How deep?
        model: ../../model
        seed: 7
        cv: {folds: 4, shuffle: true}
        search: true
        overrides:
          params: {min_samples_leaf: 5}
          split.test_size: 0.5
        """)
    experiment = read_experiment(folder)
    model_dir, config = experiment.model
    assert experiment.kind == "search" and experiment.name == "depth"
    assert (config.seed, config.cv.folds, config.split.test_size) == (7, 4, 0.5)
    assert config.params == {"max_depth": 3, "min_samples_leaf": 5, "random_state": 0}
    assert config.search.params == {"max_depth": [1, 2]}
    # The overrides are all that the trainer needs to read the same.
    assert read_config(model_dir, overrides=experiment.overrides) == config
    assert read_experiment(folder, ["search=false"]).kind == "cv"
    assert read_experiment(folder, ["cv.folds=9"]).model[1].cv.folds == 9
    assert read_experiment(folder, store="elsewhere").config.store == "elsewhere"


def test_a_version_is_compared_alone_and_overrides_count_after_it(write):
    folder = write("""
        question: How good is the small one?
        model: ../../model
        version: small
        cv: true
        overrides: [params.min_samples_leaf=3]
        """)
    experiment = read_experiment(folder)
    config = experiment.model[1]
    assert experiment.kind == "cv"
    assert config.params == {"max_depth": 1, "min_samples_leaf": 3, "random_state": 0}
    assert config.versions == {"small": {}}


def test_all_mistakes_are_told_with_their_lines(write):
    folder = write("""
        question: ""
        modle: ../../model
        cv: {folds: 1, shufle: true}
        register: perhaps
        suites: [3]
        """)
    told = mistakes(folder)
    assert told == [
        "line 1, question: found '', expected a text that is not empty",
        "line 3, cv.folds: found 1, expected greater than or equal to 2",
        "line 3, cv.shufle: found the unknown key, expected one of folds, repeats, shuffle, "
        "random_state, stratify, group; did you mean 'shuffle'?",
        "line 4, register: found 'perhaps', expected true or false",
        "line 5, suites[0]: found 3, expected a mapping",
        "line 2, modle: found the unknown key, expected one of question, model, version, "
        "overrides, cv, search, register, suites, seed, store, tracking_uri; did you mean 'model'?",
    ]


def test_what_is_not_there_is_told_with_the_rest(write):
    folder = write("""
        question: Why?
        model: ../../modle
        suites:
          - ../../suite.yml
          - {path: missing.yml}
          - {path: ../../suite.yml, overrides: {name: "{registered}"}}
        """)
    told = mistakes(folder)
    assert [text.partition(":")[0] for text in told] == [
        "line 2, model",
        "line 5, suites[1]",
        "line 6, suites[2]",
    ]
    assert "found '../../modle', expected a folder with a model_config.yml" in told[0]
    assert "found 'missing.yml', expected a file" in told[1]
    assert "expected register: true" in told[2]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("model: ../../model", "found none of cv, search and suites"),
        ("cv: true", "model: is missing beside cv"),
        ("{}", "question: is missing"),
        ("model: ../../model\nversion: smal\ncv: true", "line 3, version: .*did you mean 'small'"),
    ],
)
def test_what_is_missing(write, lines, words):
    head = "" if lines == "{}" else "question: Why?\n"
    folder = write(head + lines)
    with pytest.raises(SuiteError, match=words):
        read_experiment(folder)


def test_mistakes_of_the_models_config_stand_where_the_experiment_made_them(write):
    folder = write("""
        question: Why?
        model: ../../model
        search:
          params:
            max_dept: [1, 2]
        overrides:
          - seed=4
          - params.min_samples=3
        """)
    told = mistakes(folder)
    assert len(told) == 2
    assert told[0].startswith(
        "line 8, overrides[1]: params.min_samples: found the unknown parameter"
    )
    assert told[1].startswith("line 5, search.params.max_dept: found the unknown parameter")
    assert "did you mean 'max_depth'?" in told[1] and "--set" not in told[1]


def test_a_mistake_of_a_mapping_of_overrides(write):
    folder = write("""
        question: Why?
        model: ../../model
        cv: true
        overrides:
          params:
            max_depth: 2
            min_samples: 3
        """)
    (told,) = mistakes(folder)
    assert told.startswith("line 7, overrides.params.min_samples: params.min_samples: found the")


def test_search_of_a_model_without_one(write, tmp_path):
    make_folder(tmp_path)
    folder = write("question: Why?\nmodel: ../../model\nsearch: true\n")
    assert mistakes(folder) == ["line 3, search: found true, but the model's config has no search"]


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_experiment(tmp_path / "nowhere")
    with pytest.raises(SuiteError, match="expected a mapping"):
        read_experiment(write("[1]"))
    with pytest.raises(SuiteError, match="line 2, experiment: is not YAML"):
        read_experiment(write("question: [\n"))
