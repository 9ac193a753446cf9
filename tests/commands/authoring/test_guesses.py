"""What `init` takes for the label, the key and the task, and where it asks instead."""

from __future__ import annotations

from typing import Any

import pytest

from engine.commands.authoring.guesses import guess_roles
from engine.commands.authoring.wishes import Wishes
from engine.core.vocabulary import TaskKind
from engine.data.table_profile import TableProfile
from engine.errors import DataError, InputError
from tests.fixtures.tables_of import column, look, table

ID = column("id", "whole", is_unique=True)
AGE = column("age")
FRAUD = column("fraud", "whole", values=[0, 1])


def guess(rows: TableProfile, *looks: Any, **said: Any) -> Any:
    return guess_roles(rows, looks, Wishes(**said))


def test_the_label_is_the_one_column_that_no_model_reads() -> None:
    roles = guess(table(ID, AGE, FRAUD), look("age", task=TaskKind.BINARY, classes=(0, 1)))
    assert (roles.label, roles.task, roles.key) == ("fraud", TaskKind.BINARY, ("id",))
    assert len(roles.told) == 3
    assert "'fraud'" in roles.told[0] and "binary" in roles.told[1] and "'id'" in roles.told[2]


def test_columns_of_other_values_than_the_classes_are_no_label() -> None:
    ink = column("ink", "whole", distinct=900)
    digit = column("digit", "whole", values=range(10))
    city = column("city", "text", values=["Rome", "Oslo"])
    model = look("age", task=TaskKind.MULTICLASS, classes=tuple(range(10)))
    assert guess(table(ID, AGE, ink, city, digit), model).label == "digit"


def test_of_several_the_name_tells_and_else_all_are_named() -> None:
    target = column("target", "whole", values=[0, 1])
    other = column("vip", "whole", values=[0, 1])
    roles = guess(table(AGE, other, target), look("age"))
    assert roles.label == "target"
    assert "'vip'" in roles.told[0]
    with pytest.raises(DataError, match="'vip', 'fraud'; say which by --label"):
        guess(table(AGE, other, FRAUD), look("age"))


def test_no_column_is_left_for_the_label() -> None:
    with pytest.raises(DataError, match=r"can be the label; the columns .* are 'id'"):
        guess(table(ID, AGE), look("age"))
    with pytest.raises(DataError, match=r"no column .* can be the label; expected"):
        guess(table(AGE), look("age"))


def test_what_the_table_lacks_is_told_all_at_once() -> None:
    with pytest.raises(DataError) as raised:
        guess(table(ID, AGE, FRAUD), look("agee", "city"), label="fruad", key=("no",))
    text = str(raised.value)
    assert "reads 'agee', 'city'" in text and "did you mean 'age'" in text
    assert (
        "--label is 'fruad'" in text and "did you mean 'fraud'" in text and "--key is 'no'" in text
    )


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (column("y", "text", values=["a", "b"]), TaskKind.BINARY),
        (column("y", "boolean", values=[False, True]), TaskKind.BINARY),
        (column("y", "text", values=["a", "b", "c"]), TaskKind.MULTICLASS),
        (column("y"), TaskKind.REGRESSION),
        (column("y", "whole", distinct=300), TaskKind.REGRESSION),
    ],
)
def test_the_task_follows_from_the_label(label: Any, task: TaskKind) -> None:
    assert guess(table(AGE, label), look("age")).task is task


def test_whole_numbers_of_few_values_may_be_both() -> None:
    stars = column("stars", "whole", values=range(1, 6))
    with pytest.raises(InputError, match="--task multiclass or --task regression"):
        guess(table(AGE, stars), look("age"))
    assert guess(table(AGE, stars), look("age"), task="regression").task is TaskKind.REGRESSION


@pytest.mark.parametrize(
    ("label", "task", "words"),
    [
        (FRAUD, "ranking", "the task is ranking"),
        (FRAUD, "binry", "did you mean 'binary'"),
        (column("fraud", "text", values=["a", "b"]), "regression", "is string; expected numbers"),
        (column("fraud", "whole", values=[1, 2, 3]), "binary", "has 3 values"),
        (column("fraud", distinct=1_000), "multiclass", "more than 40 different numbers"),
        (column("fraud", "whole", values=[1]), "binary", "one value only"),
        (column("fraud", nulls=1_000, distinct=0), "regression", "no value in 1,000 rows"),
    ],
)
def test_a_task_that_the_label_contradicts_is_refused(label: Any, task: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        guess(table(AGE, label), look("age"), label="fraud", task=task)


def test_a_task_that_a_model_contradicts_is_refused() -> None:
    model = look("age", task=TaskKind.REGRESSION)
    with pytest.raises(InputError, match="the task is binary, and Model is of regression"):
        guess(table(AGE, FRAUD), model, task="binary", label="fraud")
    both = [model, look("age", task=TaskKind.BINARY)]
    with pytest.raises(InputError, match="the models are of several tasks"):
        guess(table(AGE, FRAUD), *both, label="fraud")


def test_a_label_of_other_classes_than_the_models_is_refused() -> None:
    model = look("age", task=TaskKind.BINARY, classes=("no", "yes"))
    with pytest.raises(DataError, match="has the value 0, and model 'models:/m/1' has the classes"):
        guess(table(AGE, FRAUD), model, label="fraud")


def test_a_key_that_a_model_reads_is_none() -> None:
    roles = guess(table(ID, FRAUD), look("id"))
    assert roles.key == ()
    assert "key: none" in roles.told[-1]


def test_the_positive_label_is_one_of_the_two() -> None:
    rows = table(ID, AGE, column("fraud", "text", values=["No", "Yes"]))
    assert guess(rows, look("age"), positive_label="no").positive_label == "No"
    with pytest.raises(InputError, match="--positive-label is 'maybe'"):
        guess(rows, look("age"), positive_label="maybe")
