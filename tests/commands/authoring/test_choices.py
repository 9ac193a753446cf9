"""Which tests a draft keeps: those that the measured intervals can decide, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from engine.commands.authoring.behaviour_tests import add_behaviour_tests
from engine.commands.authoring.data_tests import add_data_tests
from engine.commands.authoring.model_tests import add_model_tests
from engine.commands.authoring.slices import candidates
from engine.commands.authoring.task_metrics import task_metrics
from engine.commands.authoring.trial import drift_columns, noisy_columns
from engine.commands.authoring.wishes import Draft, Roles, Situation, Wishes
from engine.core.vocabulary import (
    Cell,
    MetricValue,
    ModelTest,
    RowCounts,
    Slice,
    TaskKind,
    Verdict,
)
from tests.fixtures.outcomes import make_cell
from tests.fixtures.tables_of import ROWS, column, look, situation, table

ID = column("id", "whole", is_unique=True)
AGE = column("age", least=18.0, greatest=80.0)
CITY = column("city", "text", values=["Oslo", "Rome"])
FRAUD = column("fraud", "whole", values=[0, 1])
ROLES = Roles("fraud", TaskKind.BINARY, ("id",))


def claims(**over: Any) -> Situation:
    rows = over.pop("rows", table(ID, AGE, CITY, FRAUD))
    return situation(rows, ROLES, look("age", "city", task=TaskKind.BINARY), **over)


def cell(
    name: str, value: float, half: float, *, kind: str = "metric", place: str = "", **over: Any
) -> Cell:
    """A cell of the champion with a symmetric interval, on all rows or on a slice `set/name`."""
    set_name, _, slice_name = place.partition("/")
    piece = Slice(slice_name or "overall", "by", set_name or "overall")
    given: dict[str, Any] = {
        "model": "m-v1",
        "test": ModelTest(over.pop("test", name), name, kind=kind),
        "slice": piece,
        "measured": MetricValue(value, ci_low=value - half, ci_high=value + half),
        "counts": RowCounts(over.pop("n", ROWS), 1.0),
    }
    return make_cell(**{**given, **over})


def asked(draft: Draft, **keys: Any) -> list[dict[str, Any]]:
    every = [dict(entry.test) for tests in draft.tests.values() for entry in tests]
    return [test for test in every if keys.items() <= test.items()]


def models(situation: Situation, *cells: Cell) -> Draft:
    draft = Draft()
    add_model_tests(draft, situation, cells)
    return draft


def test_limits_are_two_half_widths_off_and_the_first_metric_fails() -> None:
    draft = models(
        claims(),
        cell("roc_auc", 0.9, 0.02),
        cell("accuracy", 0.8, 0.03),
        cell("log_loss", 0.4, 0.05),
    )
    (paired,) = asked(draft, metric="roc_auc", max_drop=0.04)
    assert "severity" not in paired
    assert list(draft.tests) == ["Beside the champion", "The champion's own level"]
    assert asked(draft, metric="roc_auc", min=0.86, slices=["overall"])
    assert asked(draft, metric="accuracy", min=0.74, severity="warn")
    assert asked(draft, metric="log_loss", max=0.5, severity="warn")
    assert asked(draft, metric="log_loss", no_worse=True, severity="warn")
    assert any(text.startswith("f1: the champion has no interval") for text in draft.omissions)


def test_a_rival_says_how_wide_differences_are() -> None:
    own = cell("roc_auc", 0.9, 0.02)
    both = claims(names=("m-v1", "rival"))
    named = make_cell(
        model="rival", test=own.test, slice=own.slice, counts=own.counts, measured=own.measured,
        delta=0.01, delta_ci_low=-0.005, delta_ci_high=0.025,
    )  # fmt: skip
    draft = models(both, own, named)
    assert asked(draft, metric="roc_auc", max_drop=0.03)
    assert "known to +- 0.015" in draft.tests["Beside the champion"][0].why


def test_what_tells_nothing_is_left_out_with_its_figures() -> None:
    draft = models(claims(), cell("roc_auc", 0.7, 0.15), cell("accuracy", 0.5, 0.01))
    assert asked(draft, metric="roc_auc") == [
        {"metric": "roc_auc", "no_worse": True, "slices": ["overall"]}
    ]
    assert not [test for test in asked(draft) if "min" in test]
    assert any("0.7 +- 0.15 on 1,000 rows" in text for text in draft.omissions)


@pytest.mark.parametrize(("half", "kept"), [(0.06, True), (0.14, False)])
def test_slices_are_kept_where_all_of_them_decide(half: float, kept: bool) -> None:
    cells = [
        cell("roc_auc", 0.9, 0.02),
        cell("roc_auc", 0.9, 0.03, place="city/city=Oslo", n=900),
        cell("roc_auc", 0.85, half, place="city/city=Rome", n=100),
    ]
    draft = models(claims(rows=table(ID, CITY, FRAUD)), *cells)
    assert [entry.test for entry in draft.slices] == ([{"by": "city"}] if kept else [])
    limits = asked(draft, name="roc_auc by city")
    assert [test["min"] for test in limits] == ([0.73] if kept else [])
    if not kept:
        assert any(
            "slices by city" in text and "the smallest has 100" in text for text in draft.omissions
        )


def test_slices_are_of_few_values_or_cut_and_never_of_the_key() -> None:
    names = [rule.name for rule in candidates(claims())]
    assert names == ["city", "age in 4", "age in 2"]
    assert candidates(claims(wishes=Wishes(sensitive=("city", "age")))) == []


def data(situation: Situation, *cells: Cell) -> Draft:
    draft = Draft()
    add_data_tests(draft, situation, cells)
    return draft


def test_quality_is_what_was_so_in_each_row() -> None:
    holes = column("age", nulls=3, least=18.0, greatest=80.0)
    draft = data(claims(rows=table(ID, holes, CITY, FRAUD)))
    nulls, ranges, allowed = (
        next(test for test in asked(draft) if check in test["data_quality"])
        for check in ("not_null", "range", "allowed")
    )
    assert nulls["data_quality"] == {"unique": ["id"], "not_null": ["id"]}
    second = [test for test in asked(draft) if "city" in test["data_quality"].get("not_null", [])]
    assert second[0]["data_quality"]["not_null"] == ["city", "fraud"]
    assert second[0]["max_share"] == 0.003
    assert any("nulls are there (age 3)" in text for text in draft.omissions)
    assert ranges["data_quality"]["range"] == {"age": [0, 120]}
    assert allowed["data_quality"]["allowed"] == {"city": ["Oslo", "Rome"]}
    assert allowed["severity"] == "warn" and "severity" not in ranges


def test_values_that_were_seen_once_say_that_there_are_others() -> None:
    rare = column("city", "text", values=["Oslo", "Rome"])
    rare = type(rare)(**{
        **{name: getattr(rare, name) for name in rare.__slots__},
        "values": (("Oslo", 999), ("Rome", 1)),
    })  # fmt: skip
    assert not [
        test for test in asked(data(claims(rows=table(ID, AGE, rare, FRAUD))))
        if "allowed" in test["data_quality"]
    ]  # fmt: skip


def test_sensitive_columns_show_no_value() -> None:
    own = claims(wishes=Wishes(sensitive=("city", "age")), training=table(AGE, CITY, FRAUD))
    draft = data(own)
    text = str([draft.tests, draft.omissions])
    assert "Oslo" not in text and "age" not in text and "city" not in text
    assert drift_columns(own) == ["fraud"]
    assert noisy_columns(own) == []


@pytest.mark.parametrize(("reach", "limit"), [(0.03, 0.1), (0.09, 0.2), (0.4, None)])
def test_drift_has_a_usual_limit_well_above_what_was_seen(
    reach: float, limit: float | None
) -> None:
    own = claims(training=table(AGE, CITY, FRAUD))
    draft = data(own, cell("psi", reach / 2, reach / 2, kind="drift", model=""))
    assert [test["max"] for test in asked(draft, drift="psi")] == ([limit] if limit else [])
    assert any("too much for a limit" in text for text in draft.omissions) is (limit is None)


def test_leaks_that_are_there_are_told_and_not_tested() -> None:
    own = claims(training=table(ID, AGE, CITY, FRAUD))
    for count in (0.0, 4.0):
        leak = cell("rows", count, 0, kind="leakage", test="leakage rows", model="")
        draft = data(own, leak)
        assert bool(asked(draft, leakage="rows")) is (count == 0)
        assert any("4 of 1,000 rows" in text for text in draft.omissions) is (count == 4)


def behave(*cells: Cell) -> Draft:
    draft = Draft()
    add_behaviour_tests(draft, claims(), [cell("roc_auc", 0.9, 0.02), *cells])
    return draft


def test_the_contract_has_the_checks_that_the_champion_keeps() -> None:
    draft = behave(
        cell("breaches", 0, 0, kind="contract", test="contract order"),
        cell("breaches", 0, 0, kind="contract", test="contract unseen"),
        cell(
            "breaches", 2, 0, kind="contract", test="contract nulls",
            verdict=Verdict.FAIL, reason="2 inputs",
        ),
    )  # fmt: skip
    assert asked(draft, contract=["order"]) == [{"contract": ["order"]}]
    assert asked(draft, contract=["unseen"], severity="warn")
    assert any("nulls: FAIL of the champion: 2 inputs" in text for text in draft.omissions)


@pytest.mark.parametrize(("loss", "kept"), [(0.01, True), (0.3, False)])
def test_noise_may_cost_what_it_costs_now(loss: float, kept: bool) -> None:
    noisy = cell(
        "roc_auc", 0.9 - loss, 0.02, kind="robustness",
        delta=-loss, delta_ci_low=-loss - 0.01, delta_ci_high=-loss + 0.01,
    )  # fmt: skip
    draft = behave(noisy)
    limits = [test["max_drop"] for test in asked(draft) if "robustness" in test]
    assert limits == ([0.03] if kept else [])


def test_the_first_metric_is_one_that_the_models_have() -> None:
    assert task_metrics(claims())[0].name == "roc_auc"
    by_labels = task_metrics(claims(gives_scores=False))
    assert [metric.name for metric in by_labels] == ["accuracy", "f1"]
    assert by_labels[0].trivial == 0.5


@pytest.mark.parametrize(("gain", "half", "limit"), [(0.4, 0.01, 0.2), (0.1, 0.04, 0.02)])
def test_half_of_what_a_champion_is_better_by_is_enough(
    gain: float, half: float, limit: float
) -> None:
    name = "baseline_models majority roc_auc"
    draft = behave(cell("roc_auc_gain", gain, half, kind="baseline_models", test=name))
    assert [test["min_gain"] for test in asked(draft, metric="roc_auc")] == [limit]
    unsure = behave(cell("roc_auc_gain", 0.05, 0.04, kind="baseline_models", test=name))
    assert not asked(unsure, metric="roc_auc")
    assert any(text.startswith("better than a majority: by 0.05") for text in unsure.omissions)
