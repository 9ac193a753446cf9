"""Evidence is what finished runs wrote of exactly this version, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.core.vocabulary import GateOutcome, Severity
from engine.lifecycle.evidence import RegisteredVersion, by_run, find_evidence, has_verdict
from tests.fixtures.verdicts import DATA, ERROR, FAIL, INCONCLUSIVE, PASS, RECORDED, Court


def test_a_store_without_runs_has_none(court: Callable[..., Court]) -> None:
    assert find_evidence(court().tables, "claims") == []


def test_a_run_is_evidence_for_the_version_that_it_judged(court: Callable[..., Court]) -> None:
    here = court()
    run = here.judge("2", [PASS, PASS, INCONCLUSIVE, RECORDED], baseline="1")
    (found,) = find_evidence(here.tables, "claims", "2")
    wanted = here.version("claims", "2", "challenger").digest
    assert found.version == RegisteredVersion("claims", "2", wanted)
    assert (found.run_id, found.suite, found.evaluation, found.model, found.user) == (
        run, "nightly", "claims", "challenger", "ann",
    )  # fmt: skip
    assert (found.dataset_version, found.gate.outcome) == (0, GateOutcome.PASSED)
    assert (found.cells_judged, found.cells_undecided, found.counts[PASS]) == (3, 1, 2)
    assert found.baseline is not None
    assert (found.baseline.version, found.baseline_alias) == ("1", "champion")
    (other,) = find_evidence(here.tables, "claims", "1")
    assert (other.model, other.baseline, other.baseline_alias) == ("champion", None, None)
    assert find_evidence(here.tables, "claims", "3") == []
    assert find_evidence(here.tables, "claim") == []
    assert find_evidence(here.tables, "claims", suite="weekly") == []


def test_a_run_that_has_not_finished_is_none(court: Callable[..., Court]) -> None:
    here = court()
    here.judge("2", finished=False)
    assert find_evidence(here.tables, "claims") == []


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ([PASS], GateOutcome.PASSED),
        ([PASS, FAIL], GateOutcome.FAILED),
        ([PASS, ERROR], GateOutcome.ERROR),
        ([PASS, INCONCLUSIVE], GateOutcome.PASSED),
        ({"claims": [PASS], DATA: [FAIL]}, GateOutcome.FAILED),
        ({"claims": [PASS], DATA: [PASS]}, GateOutcome.PASSED),
    ],
)
def test_its_gate_is_that_of_the_model_and_of_the_data(
    court: Callable[..., Court], verdicts: list, outcome: GateOutcome
) -> None:
    here = court()
    here.judge("2", verdicts, baseline="1")
    (found,) = find_evidence(here.tables, "claims", "2")
    assert found.gate.outcome is outcome


def test_the_rules_are_those_of_the_run_s_suite(court: Callable[..., Court]) -> None:
    here = court(top={"gate": {"on_inconclusive": "fail"}})
    here.judge("2", [PASS, INCONCLUSIVE])
    here.judge("3", [PASS, FAIL], severity=Severity.WARN)
    gates = {item.version.version: item.gate for item in find_evidence(here.tables, "claims")}
    assert gates["2"].outcome is GateOutcome.FAILED
    assert (gates["3"].outcome, gates["3"].warnings) == (GateOutcome.PASSED, 1)


def test_names_may_be_in_any_script(court: Callable[..., Court]) -> None:
    here = court(model="Schäden 傷")
    here.judge("2")
    (found,) = find_evidence(here.tables, "Schäden 傷")
    assert str(found.version) == "Schäden 傷 version 2"


def test_runs_come_one_after_the_other(court: Callable[..., Court]) -> None:
    here = court(evaluations=("a", "b"))
    first, second = here.judge("2"), here.judge("3")
    runs = by_run(find_evidence(here.tables, "claims"))
    assert [[(item.run_id, item.evaluation) for item in run] for run in runs] == [
        [(first, "a"), (first, "b")],
        [(second, "a"), (second, "b")],
    ]


def test_a_verdict_is_of_this_suite_version_digest_and_data(court: Callable[..., Court]) -> None:
    here = court(evaluations=("a", "b"))
    here.judge("2", [FAIL])
    digest = here.version("claims", "2", "x").digest
    judged, suite = RegisteredVersion("claims", "2", digest), here.suite()

    def known(model: RegisteredVersion = judged, asked: object = suite, **data: int) -> bool:
        return has_verdict(here.tables, asked, model, data or {"a": 0, "b": 0})  # type: ignore[arg-type]

    assert known()
    assert known(a=0)
    assert not known(a=0, b=1)
    assert not known(replace(judged, digest="0" * 64))
    assert not known(replace(judged, version="3"))
    assert not known(replace(judged, name="other"))
    assert not known(asked=here.suite(confidence=0.9))
    assert not known(asked=here.suite(name="weekly"))
    assert known(asked=here.suite(reuse=False, mlflow={"max_slice_metrics": 3}))
    here.keys["tests"] = [{"metric": "accuracy", "min": 0.4}]
    assert not known(asked=here.suite())


def test_a_verdict_that_another_run_must_complete_is_none(court: Callable[..., Court]) -> None:
    here = court(evaluations=("a", "b"))
    model = RegisteredVersion("claims", "2", here.version("claims", "2", "x").digest)
    here.judge("2")
    here.append()
    here.judge("3")
    wanted = {"a": 0, "b": 0}
    assert has_verdict(here.tables, here.suite(), model, wanted)
    assert not has_verdict(here.tables, here.suite(), model, {"a": 1, "b": 0})


def test_runs_whose_plugin_is_gone_are_left_out_and_told(
    here: Court, caplog: pytest.LogCaptureFixture
) -> None:
    here.judge("2", suite=replace(here.suite(), plugins=("gone_plugin",)))
    with caplog.at_level("WARNING", logger="evalmatrix"):
        assert find_evidence(here.tables, "claims", "2") == []
        find_evidence(here.tables, "claims", "2")
    (record,) = caplog.records
    assert "are no evidence" in record.message and "gone_plugin" in record.message
