"""Many slices at once: corrected p-values by scipy's, and failures that are not sure enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    MetricValue,
    ModelTest,
    ModelVersion,
    Output,
    RowCounts,
    Slice,
    TaskKind,
    Verdict,
    Within,
)
from engine.evaluation.verdicts import Correction, correct_verdicts

DATASET = DatasetVersion("d", "d", 1, "id", 100)
TEST = ModelTest("t", "recall", (Condition("max_drop", 0.02),))
PS = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def model(name: str) -> ModelVersion:
    return ModelVersion(name, name, None, name, "", "sklearn", TaskKind.BINARY, Output.LABEL)


def cell(
    p: float | None, *, name: str = "m", test: ModelTest = TEST, place: int = 0, two: float = 0.5
) -> Cell:
    failed = p is not None and p < 0.025
    return Cell(
        "e", model(name), DATASET, Slice(f"s{place}", "by", "s"), test, RowCounts(100, 100.0),
        MetricValue(0.5), Verdict.FAIL if failed else Verdict.INCONCLUSIVE, "why",
        p_value=two, violation_p_value=p,
    )  # fmt: skip


def cells(ps: list[float], **more: object) -> list[Cell]:
    return [cell(p, place=place, **more) for place, p in enumerate(ps)]  # type: ignore[arg-type]


@given(PS, st.sampled_from([Within.BH, Within.BY]))
def test_q_values_are_those_of_scipy(ps: list[float], method: Within) -> None:
    made = [replace(each, p_value=p) for each, p in zip(cells(ps), ps, strict=True)]
    judged = correct_verdicts(made, Correction(method))
    expected = false_discovery_control(np.array(ps), method=method.value)
    for name in ("violation_q_value", "q_value"):
        found = [getattr(each, name) for each in judged.cells]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


def test_each_test_and_model_is_a_family_of_its_own() -> None:
    other = replace(TEST, name="another")
    made = [*cells([0.001]), *cells([0.9] * 50, name="n"), *cells([0.9] * 50, test=other)]
    judged = correct_verdicts(made, Correction()).cells
    assert judged[0].violation_q_value == 0.001
    assert judged[0].verdict is Verdict.FAIL
    assert judged[0].reason == "why"


def test_a_failure_must_be_sure_enough_for_its_slices() -> None:
    judged = correct_verdicts(cells([0.02] + [0.9] * 99), Correction())
    assert judged.cells[0].verdict is Verdict.INCONCLUSIVE
    assert judged.cells[0].reason == (
        "why; but with q 0.9 not sure enough for one of 100 slices (level 0.05)"
    )
    assert not judged.rejected
    sure = correct_verdicts(cells([1e-5] + [0.9] * 99), Correction())
    assert sure.cells[0].verdict is Verdict.FAIL
    assert sure.rejected
    assert sure.p == pytest.approx(1e-3)


def test_only_a_significant_difference_passes_when_it_is_not() -> None:
    test = replace(TEST, conditions=(Condition("no_worse", 0.0),))
    judged = correct_verdicts(cells([0.02] + [0.9] * 99, test=test), Correction())
    assert judged.cells[0].verdict is Verdict.PASS


def test_a_test_can_stay_out_of_it() -> None:
    test = replace(TEST, corrected=False)
    judged = correct_verdicts(cells([0.02] + [0.9] * 99, test=test), Correction())
    assert judged.cells[0].verdict is Verdict.FAIL
    assert judged.cells[0].violation_q_value is None
    assert judged.p == 1


def test_no_correction_leaves_the_verdicts() -> None:
    judged = correct_verdicts(cells([0.02] + [0.9] * 99), Correction(Within.NONE))
    assert judged.cells[0].verdict is Verdict.FAIL
    assert judged.cells[0].violation_q_value == 0.02


def test_a_budget_is_shared_by_all_tests() -> None:
    """One test of twenty is just sure enough alone, and not as one of twenty."""
    tests = [replace(TEST, name=f"t{number}") for number in range(20)]
    made = [*cells([0.01], test=tests[0])]
    for test in tests[1:]:
        made += cells([0.9], test=test)
    alone = correct_verdicts(made, Correction()).cells[0]
    together = correct_verdicts(made, Correction(whole=True)).cells[0]
    assert (alone.verdict, together.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)
    surer = [replace(made[0], violation_p_value=1e-4), *made[1:]]
    assert correct_verdicts(surer, Correction(whole=True)).cells[0].verdict is Verdict.FAIL


@given(PS, st.booleans())
def test_nothing_gets_worse_by_it(ps: list[float], whole: bool) -> None:
    before = cells(ps)
    after = correct_verdicts(before, Correction(whole=whole)).cells
    for old, new in zip(before, after, strict=True):
        assert new.violation_q_value is not None
        assert old.violation_p_value is not None
        assert new.violation_q_value >= old.violation_p_value - 1e-15
        assert new.verdict is old.verdict or old.verdict is Verdict.FAIL


def test_nothing_to_judge_is_nothing_wrong() -> None:
    judged = correct_verdicts([cell(None)], Correction(whole=True))
    assert (judged.p, judged.rejected) == (1.0, False)
    assert correct_verdicts([], Correction()).cells == []
