"""`invariance`: flips and moves by another road; planted ones found, sound models not accused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    EvaluationResult,
    ModelTest,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError
from engine.kinds import KINDS, parameters_text, pin_test
from engine.kinds.perturbations import perturb
from engine.planning import EvaluationPlan, check_fit
from engine.planning.scan_columns import ROW_COLUMN
from tests.fixtures.kernel import (
    BY_COUNTRY,
    OVERALL,
    Models,
    evaluated,
    plan_of,
    rows_of,
)

KIND = KINDS.get("invariance")
TYPES = (("a", "double"), ("b", "bigint"), ("label", "int"), ("country", "string"))
VALUES = {
    "b": [[0, 0.5], [1, 0.5]],
    "a": [[(at - 9.5) / 8, 1.0] for at in range(20)],
}


def invariance(
    *conditions: Condition, asked: Any = None, sets: Sequence[SliceSet] = (OVERALL,), **more: Any
) -> ModelTest:
    test = ModelTest(
        "stays", "flip_rate", conditions, tuple(each.name for each in sets),
        kind="invariance", parameters=parameters_text({**(asked or {"swap": ["b"]}), **more}),
    )  # fmt: skip
    return pin_test(test, {}, VALUES)


def table_of(rows: int = 1500, seed: int = 1, task: TaskKind = TaskKind.BINARY) -> pa.Table:
    """Rows whose `b` is 0 or 1, as a sex is, and null in some; with a hash of their key."""
    table = rows_of(task, rows=rows, seed=seed)
    rng = np.random.default_rng(seed + 100)
    b = pa.array(rng.integers(0, 2, rows), pa.int64(), mask=rng.random(rows) < 0.1)
    table = table.set_column(table.schema.get_field_index("b"), "b", b)
    keys = rng.integers(-(2**63), 2**63 - 1, rows)
    return table.append_column(ROW_COLUMN, pa.array(keys, pa.int64()))


def plan_for(model: Any, *tests: ModelTest, task: TaskKind = TaskKind.BINARY) -> EvaluationPlan:
    plan = plan_of(task, [model], [], slice_sets=(OVERALL, BY_COUNTRY))
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    plan = replace(plan, dataset=dataset, columns=replace(plan.columns, weight=None))
    expanded = [one for test in tests for one in KIND.expand(test, plan.setting)]
    return replace(plan, tests=tuple(expanded))


def fit(leak: float, task: TaskKind = TaskKind.BINARY) -> Any:
    """A linear model of `a` that leans on `b` by so much."""
    binary = task is TaskKind.BINARY
    model = LogisticRegression() if binary else LinearRegression()
    frame = table_of(400, 9).to_pandas()[["a", "b"]].fillna(0)
    model.fit(frame, (frame["a"] > 0).astype(int) if binary else frame["a"])
    shape = (1, 2) if binary else (2,)
    model.coef_ = np.array([1.0, leak]).reshape(shape)
    model.intercept_ = np.zeros(1) if binary else 0.0
    return FillNull(model)


class FillNull:
    """A model that takes null for 0."""

    def __new__(cls, model: Any) -> Any:
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline

        imputer = SimpleImputer(strategy="constant", fill_value=0.0)
        frame = table_of(50, 9).to_pandas()[["a", "b"]]
        return make_pipeline(imputer.set_output(transform="pandas").fit(frame), model)


def figures(result: EvaluationResult, metric: str) -> dict[str, Any]:
    return {cell.slice.name: cell.measured for cell in result.cells if cell.test.metric == metric}


@pytest.mark.parametrize("parts", [1, 4])
def test_shares_are_those_of_rows_that_were_changed(models: Models, parts: int) -> None:
    table = table_of()
    model = fit(0.7)
    test = invariance(sets=(OVERALL, BY_COUNTRY), tolerance=0.15)
    plan = plan_for(models.of("leans", model), test)
    result = evaluated(plan, table, parts, seed=parts)
    whole = table.combine_chunks().to_batches()[0]
    (variant,) = plan.variants
    assert variant.name == "swap(b)"
    behind = perturb(whole, np.asarray(table[ROW_COLUMN]), variant).to_pandas()[["a", "b"]]
    frame = table.to_pandas()
    before, after = (model.predict_proba(x)[:, 1] for x in (frame[["a", "b"]], behind))
    changed = frame["label"].notna() & frame["b"].notna()
    assert (behind["b"][changed] == 1 - frame["b"][changed]).all()
    expected = {
        "flip_rate": (before > 0.5) != (after > 0.5),
        "move_rate": abs(before - after) > 0.15,
    }
    checked = 0
    for metric, differs in expected.items():
        for name, measured in figures(result, metric).items():
            mask = changed.copy()
            if name != "overall":
                value = next(c.slice for c in result.cells if c.slice.name == name)
                country = value.columns["country"]
                mask &= frame["country"].isna() if country is None else frame["country"] == country
            if not mask.any():
                assert measured.reason == "unchanged"
                continue
            assert measured.value == pytest.approx(differs[mask].mean(), abs=1e-12), name
            checked += 1
    assert checked >= 10
    measured = figures(result, "flip_rate")["overall"]
    left = 1 - changed.sum() / frame["label"].notna().sum()
    assert measured.detail == f"{left:.1%} of the rows were left as they were, and do not count"
    assert {cell.variant for cell in result.cells} == {"swap(b)"}


def test_no_flips_among_rows_still_have_an_upper_bound(models: Models) -> None:
    plan = plan_for(models.of("blind", fit(0.0)), invariance(Condition("max_flips", 0.01)))
    table = table_of(200)
    (cell,) = evaluated(plan, table).cells
    assert cell.measured.value == 0.0 and cell.measured.ci_low == 0.0
    n = sum(
        label is not None and b is not None
        for label, b in zip(table["label"].to_pylist(), table["b"].to_pylist(), strict=True)
    )
    exact = stats.binomtest(0, n).proportion_ci(0.95).high
    assert 0.5 * exact < cell.measured.ci_high < 1.2 * exact
    # So few rows do not show that it is at most one in a hundred.
    assert cell.verdict is Verdict.INCONCLUSIVE
    (cell,) = evaluated(plan, table_of(4000)).cells
    assert cell.verdict is Verdict.PASS


def test_planted_flips_are_found_and_sound_models_are_not_accused(models: Models) -> None:
    verdicts: dict[float, list[Verdict]] = {}
    for leak, seeds in ((0.0, 30), (0.5, 10)):
        known = models.of(f"leak-{leak}", fit(leak))
        plan = plan_for(known, invariance(Condition("max_flips", 0.01)))
        for seed in range(seeds):
            (cell,) = evaluated(plan, table_of(1500, seed), 2, seed).cells
            verdicts.setdefault(leak, []).append(cell.verdict)
    assert Verdict.FAIL not in verdicts[0.0]
    assert verdicts[0.5] == [Verdict.FAIL] * 10


def test_a_share_at_the_limit_is_accused_at_most_at_the_level(models: Models) -> None:
    """The hypothesis is "at most the limit": the true share is the limit, and few are accused."""
    known = models.of("leak-0.5", fit(0.5))
    (cell,) = evaluated(plan_for(known, invariance()), table_of(60_000, 999)).cells
    limit = round(cell.measured.value, 3)
    assert cell.verdict is Verdict.RECORDED and limit > 0.1
    plan = plan_for(known, invariance(Condition("max_flips", limit)))
    failed = [
        evaluated(plan, table_of(700, seed)).cells[0].verdict is Verdict.FAIL for seed in range(80)
    ]
    assert sum(failed) <= stats.binom.ppf(0.995, 80, 0.05)


def test_numbers_that_are_predicted_move_and_do_not_flip(models: Models) -> None:
    task = TaskKind.REGRESSION
    known = models.of("numbers", fit(0.5, task), task)
    for tolerance, share in ((0.4, 1.0), (0.6, 0.0)):
        test = invariance(Condition("max_moves", 0.5), tolerance=tolerance)
        plan = plan_for(known, test, task=task)
        check_fit(plan)
        (cell,) = evaluated(plan, table_of(600, task=task)).cells
        assert (cell.test.metric, cell.test.name) == ("move_rate", "stays moves")
        assert cell.measured.value == share
        assert cell.verdict is (Verdict.FAIL if share else Verdict.PASS)


def test_a_shuffled_column_is_noticed_where_it_matters(models: Models) -> None:
    known = models.of("blind", fit(0.0))
    tests = [invariance(Condition("max_flips", 0.01), asked={"shuffle": [c]}) for c in ("a", "b")]
    tests = [replace(test, name=name) for test, name in zip(tests, "ab", strict=True)]
    cells = evaluated(plan_for(known, *tests), table_of(3000), 3).cells
    assert [cell.verdict for cell in cells] == [Verdict.FAIL, Verdict.PASS]
    # Of some rows the new value is the old one: they do not count.
    assert cells[1].measured.detail is not None


def test_two_demands_are_two_tests() -> None:
    test = invariance(Condition("max_flips", 0.01), Condition("max_moves", 0.1), tolerance=0.2)
    setting = plan_of(TaskKind.BINARY, [], []).setting
    flips, moves = KIND.expand(test, setting)
    assert (flips.metric, [c.kind for c in flips.conditions]) == ("flip_rate", ["max_flips"])
    assert (moves.metric, [c.kind for c in moves.conditions]) == ("move_rate", ["max_moves"])
    assert (flips.name, moves.name) == ("stays flips", "stays moves")
    assert KIND.write(test) == {"invariance": {"swap": ["b"]}, "tolerance": 0.2}
    assert KIND.title(test) == "invariance swap(b)"
    assert KIND.cost(test, setting) == "1 variant: each model predicts each row 1 time more"


def test_its_section_shows_shares_with_their_ends(models: Models) -> None:
    plan = plan_for(models.of("leak-0.5", fit(0.5)), invariance(tolerance=0.01))
    section = KIND.section(evaluated(plan, table_of()).cells)
    assert section is not None
    assert section.columns[-3:] == ["share", "at least", "at most"]
    assert [row[2] for row in section.rows] == ["the class", "the score"]
    for row in section.rows:
        share, least, most = (float(text.rstrip("%")) for text in row[-3:])
        assert least < share <= most
    assert [one.axis.split()[-4] for one in section.pictures] == ["class", "score"]
    assert [one.names for one in section.pictures] == [["leak-0.5"], ["leak-0.5"]]
    assert KIND.section([]) is None


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (invariance(asked={"swap": ["a"]}), "swap wants categories: text, whole numbers or truth"),
        (invariance(asked={"swap": ["bb"]}), "the dataset has no column 'bb'; did you mean 'b'?"),
        (invariance(asked={"swap": ["country"]}), "no model reads the column 'country'"),
        (
            pin_test(invariance(), {}, {"b": [[1, 1.0]]}),
            "the column 'b' has 1 value that at least one in a thousand rows has",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_scan(
    models: Models, test: ModelTest, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_fit(plan_for(models.of("blind", fit(0.0)), test))
    assert message in str(refused.value)


def test_models_and_tasks_that_it_does_not_fit_are_refused(models: Models) -> None:
    known = models.of("blind", fit(0.0))
    labels = replace(known, output=Output.LABEL)
    with pytest.raises(InputError, match="tolerance is of scores, and 'blind' returns labels"):
        check_fit(plan_for(labels, invariance(tolerance=0.1)))
    check_fit(plan_for(labels, invariance()))
    numbers = models.of("numbers", fit(0.5, TaskKind.REGRESSION), TaskKind.REGRESSION)
    for test in (invariance(), invariance(Condition("max_flips", 0.1), tolerance=1.0)):
        with pytest.raises(InputError, match="a regression has no classes that flip"):
            check_fit(plan_for(numbers, test, task=TaskKind.REGRESSION))
    plan = plan_for(known, invariance())
    hidden = replace(plan, columns=replace(plan.columns, sensitive=("b",)))
    with pytest.raises(InputError, match="the values of 'b', which the suite calls sensitive"):
        check_fit(hidden)
    # Values that the suite names show nothing of the data.
    named = invariance(asked={"swap": {"b": [0, 1]}})
    assert "values" not in json.loads(named.parameters)
    check_fit(replace(hidden, tests=(named,)))


def test_a_clean_model_that_fails_leaves_nothing_to_compare_with(models: Models) -> None:
    plan = plan_for(models.odd("raises"), invariance())
    (cell,) = evaluated(plan, table_of()).cells
    assert cell.verdict is Verdict.ERROR and "failed" in cell.reason


@pytest.mark.parametrize(
    ("asked", "mistake"),
    [
        ({"invariance": {"swap": "b", "shuffle": "a"}}, "found shuffle and swap, expected exactly"),
        ({"invariance": {}}, "found no perturbation, expected exactly one of shuffle, swap"),
        ({"invariance": {"swap": "b"}, "max_moves": 0.1}, "found max_moves without tolerance"),
    ],
)
def test_mistakes_of_a_suite_are_told(asked: dict[str, Any], mistake: str) -> None:
    assert any(mistake in text for _, text in KIND.mistakes(asked))
