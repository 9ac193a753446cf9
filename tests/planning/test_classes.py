"""Which class each score is of, and in which order and type the evaluation has its classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core.vocabulary import ColumnSpec, ModelTest, ModelVersion, Output, TaskKind
from engine.errors import DataError, ModelError
from engine.kinds import Setting, kind_of
from engine.metrics import Problem
from engine.planning import Columns, make_problem
from engine.planning.classes import fit_classes, with_classes
from engine.sinks.reading import reading_text

BINARY, MULTI = TaskKind.BINARY, TaskKind.MULTICLASS


def model(*classes: Any, **more: Any) -> ModelVersion:
    source = "classes_ of the model" if classes else ""
    made = ModelVersion(
        "m", "u", "1", "d", "p", "pyfunc", MULTI, Output.PROBABILITY, classes, class_source=source
    )
    return replace(made, **more)


def problem(models: Any, labels: Any, classes: Any = (), **more: Any) -> Problem:
    more.setdefault("positive_label", None)
    return make_problem(more.pop("task", MULTI), models, labels=labels, classes=classes, **more)


def test_the_suites_order_is_the_evaluations_and_models_have_their_own() -> None:
    named = ("low", "mid", "high")
    made = problem([model("high", "low", "mid")], ("mid", "low"), named)
    assert made.classes == named and made.is_ordered
    fitted = fit_classes(model("high", "low", "mid"), made, named)
    assert (fitted.own_classes, fitted.places) == (("high", "low", "mid"), (2, 0, 1))
    # In the same order there is nothing to turn, and kept states keep their names.
    same = fit_classes(model(*named), made, named)
    assert (same.own_classes, same.places) == ((), ())
    assert same.reading == [same.digest, same.output, named, (), ()]
    # Names of the suite's own are by place.
    renamed = fit_classes(model(0, 1, 2), made, named)
    assert (renamed.own_classes, renamed.places) == ((0, 1, 2), (0, 1, 2))
    with pytest.raises(ModelError, match="name each of the model's classes, in any order, or give"):
        fit_classes(
            model("low", "mid", "top"), replace(made, classes=("mid", "high", "low")), named
        )


@pytest.mark.parametrize(
    ("own", "labels", "named", "classes"),
    [
        (("0", "1"), (0, 1), (), (0, 1)),
        (("0", "1"), (0, 1), (0, 1), (0, 1)),
        (("False", "True"), (False, True), (), (False, True)),
        ((0, 1), ("0", "1"), ("0", "1"), ("0", "1")),
        ((0, 1), ("False", "True"), ("False", "True"), ("False", "True")),
        ((0, 1), ("False", "True"), (), ("False", "True")),
        (("0", "1"), (1,), (), (0, 1)),
        ((False, True), (0, 1), (), (False, True)),
        ((), ("10", "9", "1"), (), ("1", "9", "10")),
    ],
)
def test_labels_of_another_type_are_matched(
    own: Any, labels: Any, named: Any, classes: Any
) -> None:
    task = MULTI if len(classes) > 2 else BINARY
    made = problem([model(*own)], labels, named, task=task)
    assert made.classes == classes and [*map(type, made.classes)] == [*map(type, classes)]
    fitted = fit_classes(model(*own), made, named)
    assert fitted.places in ((), tuple(range(len(classes))))


def test_the_positive_label_is_found_by_its_text() -> None:
    made = problem([model("no", "0")], ("0", "no"), task=BINARY, positive_label=0)
    assert made.positive == 1


def test_an_advice_is_not_what_was_done() -> None:
    with pytest.raises(DataError, match=r"holds \[2\].*; where they go by other names, say so in"):
        problem([model(0, 1)], (0, 2), task=BINARY)
    with pytest.raises(DataError) as told:
        problem([model(0, 1)], (0, 2), (0, 1), task=BINARY)
    assert str(told.value).endswith("none of the classes; dataset.classes are [0, 1]")
    # Of labels that could be matched nothing is said.
    with pytest.raises(DataError, match=r"holds \[''\]"):
        problem([model(0, 1)], ("0", "1", ""), task=BINARY)


def test_the_models_classes_in_the_suite_are_the_order_of_its_scores() -> None:
    named = ("low", "mid", "high")
    made = problem([], named, named)
    own = with_classes(model(), ("high", "low", "mid"))
    fitted = fit_classes(own, made, named)
    assert (fitted.own_classes, fitted.places) == (("high", "low", "mid"), (2, 0, 1))
    assert fitted.class_source == "the model's classes in the suite"
    # What a model calls by numbers has these names, one by one.
    encoded = fit_classes(with_classes(model(0, 1, 2), ("high", "low", "mid")), made, named)
    assert (encoded.own_classes, encoded.places) == ((0, 1, 2), (2, 0, 1))
    with pytest.raises(ModelError, match="expected one for each"):
        with_classes(model(0, 1, 2), ("a", "b"))


def outputs(**types: str) -> dict[str, Any]:
    return {"outputs": tuple(ColumnSpec(name, kind) for name, kind in types.items())}


@pytest.mark.parametrize(
    ("more", "source"),
    [
        (outputs(wolf="double", ant="double", fox="double"), "the names of its columns"),
        ({}, "the sorted labels of the data"),
        ({"output": Output.LABEL}, "the labels that it returns"),
        ({"score_columns": ("x", "y", "z")}, "the order of the suite's scores"),
    ],
)
def test_it_is_told_how_the_classes_of_scores_are_known(more: Any, source: str) -> None:
    made = Problem(MULTI, ("ant", "fox", "wolf"))
    fitted = fit_classes(model(**more), made)
    assert fitted.class_source == source
    assert reading_text(fitted).endswith(f"'ant', 'fox', 'wolf', by {source}")
    if source.startswith("the sorted"):
        assert fit_classes(model(**more), made, made.classes).class_source == "dataset.classes"


def test_what_is_told_of_a_reading() -> None:
    made = Problem(MULTI, ("low", "mid", "high"))
    turned = fit_classes(model("high", "low", "mid"), made, made.classes)
    assert reading_text(turned) == "scores of 'high', 'low', 'mid', by classes_ of the model"
    renamed = fit_classes(model(0, 1, 2), made, made.classes)
    assert reading_text(renamed).startswith("scores of 0 for 'low', 1 for 'mid', 2 for 'high'")
    asked = replace(renamed, decides=True, squashed=True)
    assert "labels by its own predict, asked beside its scores" in reading_text(asked)
    assert reading_text(asked).endswith("the scores of a decision function, no probabilities")
    assert reading_text(model(output=Output.VALUE)) == ""


@pytest.mark.parametrize(
    ("columns", "say"),
    [
        (
            {"predict": "long", "p0": "double", "p1": "double"},
            r"\{label: predict, scores: \[p0, p1\]\}",
        ),
        ({"label": "string", "score": "double"}, r"\{label: label, scores: score\}"),
    ],
)
def test_columns_that_are_no_scores_of_classes_are_refused(columns: Any, say: str) -> None:
    made = Problem(BINARY, ("ant", "wolf"))
    with pytest.raises(
        ModelError, match=f"a score for each of the classes .* say output: {say} in"
    ):
        fit_classes(model(**outputs(**columns)), made)
    with pytest.raises(ModelError, match=r"expected one number .* output: \{scores: "):
        fit_classes(model(output=Output.VALUE, **outputs(**columns)), Problem(TaskKind.REGRESSION))


@pytest.mark.parametrize("names", [("ant", "other"), ("x", "y")])
def test_columns_of_other_names_are_refused_until_the_suite_says_which_are_which(
    names: Any,
) -> None:
    made = Problem(BINARY, ("ant", "wolf"))
    columns = outputs(**dict.fromkeys(names, "double"))
    with pytest.raises(ModelError, match=r"`classes` in the order .* classes: \[ant, wolf\]"):
        fit_classes(model(**columns), made)
    said = with_classes(model(**columns), ("wolf", "ant"))
    assert fit_classes(said, made).places == (1, 0)
    three = outputs(ant="double", fox="double", wolf="double")
    with pytest.raises(ModelError, match=r"all classes in dataset.classes where the data lack so"):
        fit_classes(model(**three), made)


@pytest.mark.parametrize("metric", ["cohen_kappa_linear", "cohen_kappa_quadratic"])
def test_distances_need_an_order_that_is_meant(metric: str) -> None:
    def misfits(made: Problem) -> list[str]:
        setting = Setting(made, (model(*made.classes),), None, Columns("y"), {})
        test = ModelTest(metric, metric)
        return list(kind_of(test).misfits(test, setting))

    texts = ("high", "low", "mid")
    (told,) = misfits(problem([model(*texts)], texts))
    assert "nothing says the order of ['high', 'low', 'mid']; name them in their order" in told
    assert not misfits(problem([model(*texts)], texts, ("low", "mid", "high")))
    assert not misfits(problem([model(1, 2, 3)], (1, 2, 3)))
    assert not misfits(problem([], ("2", "10", "1")))
    assert misfits(problem([model("1", "10", "2")], ("2", "10", "1")))
    assert not misfits(problem([model("a", "b")], ("a", "b"), task=BINARY))


@pytest.mark.parametrize("name", ["score", "p_yes", "p_no"])
def test_one_stored_score_beside_a_positive_label_that_is_first(name: str) -> None:
    from engine.models import stored_predictions

    stored = stored_predictions("m", BINARY, [name], None)
    made = problem([stored], ("no", "yes"), task=BINARY, positive_label="no")
    if name != "score":
        assert fit_classes(stored, made).classes == ("no", "yes")
        return
    with pytest.raises(ModelError, match=r"which would be that of 'yes', .* \[yes, no\] where it"):
        fit_classes(stored, made)
    said = with_classes(stored, ("yes", "no"))
    assert fit_classes(said, made).places == (1, 0)
    second = problem([stored], ("no", "yes"), task=BINARY, positive_label="yes")
    assert fit_classes(stored, second).classes == ("no", "yes")
