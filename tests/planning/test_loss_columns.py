"""Columns that losses need: read by the scan, refused before it, part of the states' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import (
    Columns,
    Condition,
    DatasetVersion,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
)
from engine.errors import InputError
from engine.metrics import BINARY, METRICS, Metric, Problem, mean, mean_metric, metric
from engine.planning import EvaluationPlan, check_fit, needs
from engine.planning.projection import column_names
from engine.planning.scan_columns import BUCKET_COLUMN

TYPES = {"a": "double", "y": "int", "amount": "decimal(10,2)", "iban": "string",
         "tags": "array<string>", "day": "date"}  # fmt: skip


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "_things", dict(METRICS._things))
    monkeypatch.setattr(METRICS, "_aliases", dict(METRICS._aliases))


def loss(batch: Any, problem: Any) -> np.ndarray:
    return np.zeros(len(batch))


def register(*columns: str, name: str = "money") -> None:
    METRICS._things.pop(name, None)
    mean_metric(name, tasks=BINARY, needs_columns=columns)(loss)


def plan_for(*metrics: str, **more: Any) -> EvaluationPlan:
    models = tuple(
        ModelVersion(
            name, f"models:/{name}/1", "1", f"digest of {name}", f"/models/{name}", "sklearn",
            TaskKind.BINARY, Output.PROBABILITY, (0, 1), (), ("a",),
        )
        for name in ("m", "n")
    )  # fmt: skip
    types = {**TYPES, **more.pop("types", {})}
    return EvaluationPlan(
        name="claims",
        dataset=DatasetVersion("claims", "/lake/claims", 4, "id", 100, schema=tuple(types.items())),
        columns=Columns("y", key=("a",), sensitive=("iban",)),
        problem=Problem(TaskKind.BINARY, (0, 1)),
        models=models,
        baseline="m",
        slice_sets=(SliceSet("overall", "overall"),),
        tests=tuple(ModelTest(name, name, (), ("overall",)) for name in metrics),
        min_slice_rows=1,
        max_slices=10,
        **more,
    )


def test_the_scan_reads_what_is_needed_and_no_more() -> None:
    register("amount", "day")
    assert column_names(plan_for("accuracy")) == ["y", "a", BUCKET_COLUMN]
    plan = plan_for("money", "accuracy")
    assert column_names(plan) == ["y", "a", "amount", "day", BUCKET_COLUMN]
    check_fit(plan)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("amuont",), "'money' needs the column 'amuont' (its needs_columns), which the dataset "
         "lacks; did you mean 'amount'?"),
        (("amount", "iban"), "'money' needs the column 'iban' (its needs_columns), which the suite "
         "calls sensitive: results would tell of its values; expected a column that is not"),
        (("tags",), "'money' needs the column 'tags' (its needs_columns), which is array<string>; "
         "expected numbers, truth values, text, dates or timestamps"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_had_are_refused(columns: tuple[str, ...], message: str) -> None:
    register(*columns)
    with pytest.raises(InputError) as caught:
        check_fit(plan_for("money", "accuracy"))
    assert str(caught.value) == f"evaluation 'claims': test 'money': {message}"


def test_it_is_refused_beside_other_mistakes() -> None:
    register("amuont")
    drop = ModelTest("loss", "log_loss", (Condition("max_drop", 0.1),), ("overall",))
    plan = plan_for("money")
    with pytest.raises(InputError) as caught:
        check_fit(replace(plan, tests=(*plan.tests, drop)))
    assert len(str(caught.value).splitlines()) == 2


def names(*columns: str, **more: Any) -> dict[tuple[int, str], str | None]:
    register(*columns)
    plan = plan_for("money", "accuracy", **more)
    module = loss.__module__
    plan = replace(plan, code=((module, "digest of the code"),))
    return {(n.model, n.family): n.state for n in needs(plan)}


def own(named: dict[tuple[int, str], str | None]) -> list[str | None]:
    return [state for (_, family), state in named.items() if "money" in family]


def test_states_are_named_by_the_columns_and_their_types() -> None:
    plain, of_amount, of_day = names(), names("amount"), names("amount", "day")
    other_type = names("amount", types={"amount": "double"})
    grown = names("amount", types={"new": "int"})
    assert len({*own(plain), *own(of_amount), *own(of_day), *own(other_type)}) == 4 * 3
    assert None not in own(of_amount)
    # Two means and one pair; what reads no column has the name that it always had.
    assert own(grown) == own(of_amount)
    for other in (of_amount, of_day, other_type):
        rest = {key: state for key, state in other.items() if "money" not in key[1]}
        assert rest == {key: state for key, state in plain.items() if "money" not in key[1]}


def test_losses_without_columns_have_the_keys_that_they_always_had() -> None:
    problem = Problem(TaskKind.BINARY, (0, 1))
    register()
    families = METRICS.get("money").families(problem, compared=True)
    module = loss.__module__
    assert [f.key for f in families] == [f"mean({module}:money)", f"paired_mean({module}:money)"]
    register("amount", "it's")
    families = METRICS.get("money").families(problem, compared=True)
    assert [f.key for f in families] == [
        f"mean({module}:money of 'amount',\"it's\")",
        f"paired_mean({module}:money of 'amount',\"it's\")",
    ]
    assert {f.columns for f in families} == {("amount", "it's")}


def test_columns_are_declared_on_the_metric_or_on_the_loss() -> None:
    problem = Problem(TaskKind.BINARY, (0, 1))

    def needs_of(**more: Any) -> Callable[[Problem], Any]:
        return lambda problem: (mean(loss, problem, **more),)

    metric("on_metric", tasks=BINARY, needs=needs_of(), needs_columns=["amount"])(lambda p, m: m)
    on_loss = Metric("l", BINARY, needs_of(needs_columns=("amount",)), lambda p, m: m)
    (of_metric,) = METRICS.get("on_metric").needs(problem)
    (of_loss,) = on_loss.needs(problem)
    assert of_metric == of_loss
    assert of_loss.columns == ("amount",)
    # What is made of it again is the same.
    assert replace(METRICS.get("on_metric"), bounds=(0, 1)).needs(problem) == (of_metric,)


@pytest.mark.parametrize("wrong", ["amount", ("",), (1,), {"amount"}, None])
def test_names_of_columns_are_texts_in_a_tuple(wrong: Any) -> None:
    message = r"metric 'money': found needs_columns=.*, expected a tuple of columns' names"
    with pytest.raises(InputError, match=message):
        mean_metric("money", tasks=BINARY, needs_columns=wrong)(loss)
    with pytest.raises(InputError, match="the loss 'l': found needs_columns="):
        mean(loss, Problem(TaskKind.BINARY, (0, 1)), name="l", needs_columns=wrong)
