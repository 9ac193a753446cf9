"""A run that promotes because its suite says so; `runs/test_promotion.py` runs a whole one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import promote
from engine.commands.context import RunContext
from engine.commands.progress import Reporter
from engine.commands.run_promotion import promote_candidates
from engine.commands.run_result import RunResult
from engine.core.locations import Store
from engine.lifecycle.request import Ending
from engine.store.promotions import Step, read_promotions
from tests.fixtures.verdicts import FAIL, INCONCLUSIVE, PASS, Court


@pytest.fixture
def nightly(court: Callable[..., Court]) -> Court:
    made = court(top={"promote": {"alias": "champion"}})
    made.registry.set("claims", "champion", "1")
    made.registry.set("claims", "challenger", "2")
    return made


def end(court: Court, run_id: str, uri: str | None = None) -> RunResult:
    """The end of a run whose results are written."""
    outcome = court.outcomes[run_id]
    context = RunContext(court.suite(), court.tables, outcome.info, Reporter())
    folder = court.store / "reports" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.md").write_text("### Gate passed\n")
    result = RunResult(outcome, Store(str(court.store)), uri or court.registry.uri)
    return promote_candidates(context, result)


def summary(court: Court, run_id: str) -> str:
    return (court.store / "reports" / run_id / "summary.md").read_text()


def test_the_candidate_of_a_run_that_passed_is_promoted(nightly: Court) -> None:
    run = nightly.judge("2", baseline="1")
    result = end(nightly, run)
    (promotion,) = result.promotions
    assert (promotion.ending, promotion.version, result.exit_code) == (Ending.PROMOTED, "2", 0)
    assert nightly.registry.aliases("claims") == {"champion": "2", "previous": "1"}
    rows = read_promotions(nightly.tables["promotions"], "claims")
    assert [(row.step, row.by_run) for row in rows] == [(Step.BEGUN, run), (Step.DONE, run)]
    assert "#### Promotion\n\n- claims version 2 is promoted to" in summary(nightly, run)


def test_the_same_run_promotes_once(nightly: Court) -> None:
    """Resumed, or asked again, even after somebody has rolled it back."""
    run = nightly.judge("2", baseline="1")
    end(nightly, run)
    promote("claims", suite=nightly.mapping(), rollback=True)
    (again,) = end(nightly, run).promotions
    assert "has promoted it before, and does so once" in again.notes[0]
    assert nightly.registry.alias("claims", "champion") == "1"


def test_without_the_key_nothing_is_promoted(court: Callable[..., Court]) -> None:
    here = court()
    here.registry.set("claims", "champion", "1")
    assert end(here, here.judge("2", baseline="1")).promotions == ()
    assert here.registry.aliases("claims") == {"champion": "1"}


REFUSED: dict[str, tuple[Callable[[Court], str], str]] = {
    "failed": (
        lambda court: court.judge("2", [FAIL], baseline="1"), "has not passed: 1 cell failed"),
    "undecided": (
        lambda court: court.judge("2", [PASS, INCONCLUSIVE], baseline="1"),
        "1 of 2 cells could not be decided"),
    "several": (
        lambda court: court.judge("2,3", baseline="1"),
        "has 2 candidates that passed, and does not choose among them"),
    "no baseline": (lambda court: court.judge("2"), "compared it with nothing"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_told_and_costs_no_result(nightly: Court, case: str) -> None:
    judge, words = REFUSED[case]
    run = judge(nightly)
    result = end(nightly, run)
    (promotion,) = result.promotions
    assert promotion.ending is Ending.REFUSED
    assert words in promotion.reasons[0]
    assert result.exit_code == result.gate.outcome.exit_code
    assert nightly.registry.aliases("claims") == {"champion": "1", "challenger": "2"}
    assert "was not promoted" in summary(nightly, run)


def test_a_champion_by_itself_stays_what_it_is(nightly: Court) -> None:
    (promotion,) = end(nightly, nightly.judge("1", baseline=None)).promotions
    assert promotion.ending is Ending.UNCHANGED


def test_a_registry_out_of_reach_costs_no_result(
    nightly: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    run = nightly.judge("2", baseline="1")
    result = end(nightly, run, "http://127.0.0.1:9")
    assert result.promotion_error is not None
    assert result.promotion_error.startswith(f"nothing was promoted by the run {run}: the MLflow")
    assert "its results are complete" in result.promotion_error
    assert (result.gate.outcome.exit_code, result.exit_code) == (0, 4)


BAD: list[tuple[Any, str]] = [
    ("champion", "promote: found 'champion', expected a mapping"),
    ({"alias": "v3"}, "promote.alias: found 'v3', expected an alias"),
    ({"alias": "a b"}, "promote.alias: found 'a b', expected an alias"),
    ({"when": "always"}, "promote.when: found 'always', expected 'passed'"),
    ({"undecided": 2}, "promote.undecided: found 2, expected"),
    ({"alais": "champion"}, "promote.alais: found the unknown key 'alais', expected one of"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_mistakes_of_the_key_are_told(nightly: Court, value: Any, words: str) -> None:
    from engine import SuiteError

    with pytest.raises(SuiteError) as caught:
        nightly.suite(promote=value)
    assert words in str(caught.value)
