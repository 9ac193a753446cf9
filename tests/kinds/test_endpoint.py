"""`endpoint`: what MLflow's server does otherwise than the model is found, a sound model passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    Endpoint,
    ModelTest,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.probes import ORDER, probe, probe_tasks, sample_columns
from engine.kinds import KINDS, parameters_text
from engine.kinds.endpoint.asks import ASKS, asks_of
from engine.kinds.endpoint.figures import estimate_ask
from engine.models import ServedRequest, resolve_endpoint
from engine.planning import EvaluationPlan, check_fit, distinct_questions
from engine.serving import Server, free_port, start_server
from engine.store.answers import Answer
from engine.suite import dump_suite, load_suite
from tests.fixtures.kernel import OVERALL, plan_of
from tests.fixtures.served import resolved, save_logistic, save_planted, table

TYPES = (("a", "double"), ("n", "bigint"), ("word", "string"), ("label", "int"))
ROWS = 250


def a_test(*words: str, **options: Any) -> ModelTest:
    limits = options.pop("conditions", ())
    return ModelTest(
        f"endpoint {','.join(words)}", ASKS[asks_of(words)[0]].metric, limits, kind="endpoint",
        parameters=parameters_text({"endpoint": list(words), **options}),
    )  # fmt: skip


def plan_for(models: list[Any], *tests: ModelTest, **more: Any) -> EvaluationPlan:
    dataset = DatasetVersion("claims", "somewhere", 3, "id", ROWS, schema=TYPES)
    return plan_of(
        TaskKind.BINARY, models, [], slice_sets=(OVERALL,), dataset=dataset, tests=tests, **more
    )


def cells_of(plan: EvaluationPlan, rows: pa.Table | None = None) -> dict[tuple[str, str], Any]:
    """The cells by model and ask: the probes are run in processes of their own, as by a worker."""
    tasks = probe_tasks(plan, distinct_questions(plan))
    sample = (table(ROWS) if rows is None else rows).select(sample_columns(tasks))
    for name in ORDER:
        sample = sample.append_column(name, pa.array(range(sample.num_rows)))
    (batch,) = sample.combine_chunks().to_batches()
    answers = {
        tuple(json.loads(row["place"])): Answer.decode(row["payload"])
        for task in tasks
        for found in probe([batch], task)
        for row in found.to_pylist()
    }
    cells = measure(plan, [], beside=Beside(answers=answers)).cells
    return {
        (cell.model.name, json.loads(cell.test.parameters)["endpoint"][0]): cell for cell in cells
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("served")
    return {"planted": save_planted(root / "planted"), "sound": save_logistic(root / "sound")}


@pytest.fixture(scope="module")
def planted(folders: dict[str, Path]) -> dict[str, Any]:
    model = replace(resolved(folders["planted"], "planted"), classes=(0, 1))
    plan = plan_for([model], a_test("parity", "readiness", "errors", rate=500.0, batch=50))
    return {ask: cell for (_, ask), cell in cells_of(plan).items()}


@pytest.fixture(scope="module")
def sound(folders: dict[str, Path]) -> dict[str, Any]:
    """All asks of a sound model, its load of 200 requests in 4 seconds among them."""
    model = resolved(folders["sound"], "sound")
    plan = plan_for([model], a_test("all", rate=50.0, seconds=4.0))
    return {ask: cell for (_, ask), cell in cells_of(plan).items()}


def test_a_fraction_that_is_answered_as_a_whole_number_is_found(planted: dict[str, Any]) -> None:
    cell = planted["types"]
    assert cell.verdict is Verdict.FAIL
    assert "a fraction (1.5) in whole numbers in 'n' is answered, which the model refuses" in (
        cell.reason
    )


def test_a_bare_nan_is_found(planted: dict[str, Any]) -> None:
    cell = planted["nulls"]
    assert cell.verdict is Verdict.FAIL
    assert "null in 'a' is answered by what is no JSON" in cell.reason


def test_values_of_rows_in_errors_are_found(planted: dict[str, Any]) -> None:
    cell = planted["missing"]
    assert cell.verdict is Verdict.FAIL
    assert "the column is missing in 'a' is refused with values of the row" in cell.reason
    assert planted["not_json"].verdict is Verdict.FAIL
    assert "half a body is refused with values of the row" in planted["not_json"].reason


def test_an_error_of_the_server_is_found(planted: dict[str, Any]) -> None:
    cell = planted["content_type"]
    assert cell.measured.value == 1
    assert "no content type is an error of the server" in cell.reason


def test_the_planted_model_is_at_parity_and_ready(planted: dict[str, Any]) -> None:
    assert planted["parity"].verdict is Verdict.PASS
    assert "in batches 250, alone 100, in another order 250, at once 250" in (
        planted["parity"].measured.detail
    )
    assert planted["readiness"].verdict is Verdict.PASS
    for ask in ("extra", "empty", "too_large", "unseen"):
        assert planted[ask].verdict is Verdict.PASS, planted[ask].reason


def test_no_value_of_a_row_is_told(planted: dict[str, Any]) -> None:
    for cell in planted.values():
        assert "8271" not in f"{cell.reason} {cell.measured.detail}"


def test_the_report_has_signs_and_a_table(planted: dict[str, Any]) -> None:
    section = KINDS.get("endpoint").section(list(planted.values()))
    (signs,) = section.pictures
    assert signs.rows["parity"][0].state == "ok"
    assert signs.rows["types"][0].state == "broken"
    assert len(section.rows) == len(planted)


def test_a_sound_model_is_at_parity_and_bears_its_load(sound: dict[str, Any]) -> None:
    for ask in ("parity", "readiness", "load_errors", "memory", "stop", "nulls", "empty", "extra"):
        assert sound[ask].verdict is Verdict.PASS, (ask, sound[ask].reason)
    assert "200 requests of 200 rows in all" in sound["load_errors"].measured.detail
    p50, p95, p99 = (sound[f"latency_{name}"].measured for name in ("p50", "p95", "p99"))
    assert 0 < p50.value <= p95.value <= p99.value
    assert p50.ci_low <= p50.value <= p50.ci_high
    assert sound["latency_p95"].verdict is Verdict.RECORDED
    assert sound["cold_start"].measured.value > 500


@pytest.fixture(scope="module")
def served(folders: dict[str, Path]) -> Iterator[Server]:
    server, _ = start_server(folders["sound"])
    with server:
        yield server


def test_an_endpoint_is_held_against_the_baseline(folders: dict[str, Path], served: Server) -> None:
    """A server of another model than the one that is beside it: each row is answered otherwise."""
    sound = resolved(folders["sound"], "sound")
    request = ServedRequest("live", served.endpoint, TaskKind.BINARY, like=sound, token="1")
    live = resolve_endpoint(request)
    other = replace(live, name="other", features=("n", "a"), digest="another")
    plan = plan_for([sound, live, other], a_test("parity"), baseline="sound")
    cells = cells_of(plan)
    assert cells["live", "parity"].verdict is Verdict.PASS
    assert cells["other", "parity"].verdict is Verdict.FAIL
    assert cells["other", "parity"].measured.value > ROWS / 2


def test_two_servers_are_called_in_turns(folders: dict[str, Path], served: Server) -> None:
    """The same server twice: neither is slower, whatever the machine does."""
    sound = resolved(folders["sound"], "sound")
    request = ServedRequest("a", served.endpoint, TaskKind.BINARY, like=sound, token="1")
    one = resolve_endpoint(request)
    models = [one, replace(one, name="b", digest="another")]
    ratio = a_test("latency_p50", conditions=(Condition("max_ratio", 2.0),))
    plan = plan_for(models, replace(ratio, metric="latency_p50_ratio"), baseline="a")
    cells = cells_of(plan)
    assert cells["a", "latency_p50"].measured.reason == "is_baseline"
    cell = cells["b", "latency_p50"]
    assert cell.verdict is Verdict.PASS, cell.reason
    assert cell.measured.ci_low <= 1.0 <= cell.measured.ci_high
    assert "in 60 pairs of calls in random order" in cell.measured.detail


def test_the_version_that_answers_is_told_where_the_server_tells_it() -> None:
    numbers = {"breaches": 1.0, "tried": 1.0}
    value, _ = estimate_ask("version", numbers, 0.95)
    assert value.value == 1.0
    unknown, _ = estimate_ask("version", {"breaches": None, "tried": 0.0, "told": 0.0}, 0.95)
    assert unknown.reason == "the server does not tell which version of the model answers"


def nobody() -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{free_port()}", "mlflow")


def test_a_server_that_is_down_is_an_error_with_the_reason(folders: dict[str, Path]) -> None:
    sound = resolved(folders["sound"], "sound")
    endpoint = replace(nobody(), retries=0)
    request = ServedRequest("live", endpoint, TaskKind.BINARY, like=sound, token="1")
    asked = a_test("readiness", "nulls", "load_errors")
    for cell in cells_of(plan_for([resolve_endpoint(request)], asked)).values():
        assert cell.verdict is Verdict.ERROR
        assert "has nobody who listens: the connection was refused" in cell.reason


def test_a_load_beyond_the_rate_of_an_endpoint_is_refused(folders: dict[str, Path]) -> None:
    sound = resolved(folders["sound"], "sound")
    slow = replace(nobody(), rate=10.0)
    request = ServedRequest("live", slow, TaskKind.BINARY, like=sound, token="1")
    plan = plan_for([resolve_endpoint(request)], a_test("load_errors", rate=50.0))
    with pytest.raises(InputError, match="load of 50/s is more than the rate of 'live', 10/s"):
        check_fit(plan)


def test_parity_of_an_endpoint_needs_a_baseline(folders: dict[str, Path]) -> None:
    sound = resolved(folders["sound"], "sound")
    request = ServedRequest("live", nobody(), TaskKind.BINARY, like=sound, token="1")
    plan = plan_for([resolve_endpoint(request)], a_test("parity"))
    with pytest.raises(InputError, match="parity of the endpoint 'live' is held against the base"):
        check_fit(plan)


def test_limits_go_to_the_asks_that_they_fit(folders: dict[str, Path]) -> None:
    sound = resolved(folders["sound"], "sound")
    limits = (Condition("max_ms", 80.0), Condition("max_breaches", 2.0))
    plan = plan_for([sound], a_test("parity", "load", conditions=limits))
    by_ask = {json.loads(test.parameters)["endpoint"][0]: test for test in plan.tests}
    assert by_ask["parity"].conditions == (Condition("max_breaches", 2.0),)
    assert by_ask["latency_p95"].conditions == (Condition("max_ms", 80.0),)
    assert by_ask["latency_p99"].conditions == ()
    assert by_ask["memory"].conditions == (Condition("max_mb", 50.0),)
    single = plan_for([sound], a_test("latency_p99", "stop", conditions=limits[:1]))
    assert [test.conditions for test in single.tests] == [(limits[0],), (limits[0],)]
    assert len({test.name for test in plan.tests}) == len(plan.tests)


def suite_with(tmp_path: Path, test: dict[str, Any]) -> Any:
    evaluation = {
        "name": "e",
        "dataset": {"delta": "./t", "task": "binary", "label": "y"},
        "models": [{"uri": "m"}],
        "baseline": "m",
        "tests": [test],
    }
    path = tmp_path / "suite.yml"
    path.write_text(yaml.safe_dump({"name": "s", "evaluations": [evaluation]}))
    return load_suite(path)


@pytest.mark.parametrize(
    "test",
    [
        {"endpoint": ["parity", "errors", "readiness", "load"], "rate": "50/s"},
        {"endpoint": "all"},
        {"endpoint": "latency_p95", "max_ms": 20.0, "seconds": 5.0, "batch": 10},
        {"endpoint": ["parity"], "rows": 20_000, "max_breaches": 3},
        {"endpoint": ["latency_p50", "latency_p95"], "rate": 500, "max_ratio": 1.1},
    ],
)
def test_a_test_is_read_and_written_again(tmp_path: Path, test: dict[str, Any]) -> None:
    suite = suite_with(tmp_path, test)
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"endpoint": "parrity"}, "did you mean 'parity'"),
        ({"endpoint": []}, "expected all, or a list of parity, errors"),
        ({"endpoint": ["parity", "parity"]}, "'parity' stands twice"),
        ({"endpoint": "parity", "max_ms": 1.0}, "found max_ms for parity, expected max_breaches"),
        ({"endpoint": "parity", "seconds": 1.0}, "found seconds without a load"),
        ({"endpoint": "load", "rate": "1000/s"}, "found 10,000 requests in all, expected 3,900"),
        ({"endpoint": "parity", "rows": 60_000}, "rows"),
        ({"endpoint": "load", "max_ratio": 1.1}, "found max_ratio for load_errors, memory, expect"),
        ({"endpoint": "latency_p95", "max_ratio": 1.1, "max_ms": 1.0}, "max_ratio with max_ms"),
        ({"endpoint": "latency_p95", "max_ratio": 1.1, "seconds": 1.0}, "seconds for a ratio"),
        ({"endpoint": "load", "rate": "fast"}, "expected a rate such as 50/s"),
    ],
)
def test_a_wrong_test_is_told(tmp_path: Path, test: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        suite_with(tmp_path, test)


def test_the_kind_is_registered() -> None:
    assert KINDS.get("endpoint").key == "endpoint"
