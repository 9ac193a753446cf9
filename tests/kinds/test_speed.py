"""`speed`: what a noisy machine tells of two models, by a clock of the tests' own."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from engine.core.vocabulary import Condition, DatasetVersion, ModelTest, Numbers, TaskKind, Verdict
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.probes import ORDER, probe, probe_tasks, sample_columns
from engine.kinds import KINDS, Limit, parameters_text
from engine.kinds.speed import probe as speed_probe
from engine.kinds.speed import timing
from engine.kinds.speed.probe import MEASURES, SpeedProbe, batches_of, timed_numbers
from engine.kinds.speed.timing import Effort, time_alone, time_pairs
from engine.planning import EvaluationPlan, check_fit, distinct_questions
from engine.store.answers import Answer
from engine.suite import load_suite
from tests.fixtures.kernel import OVERALL, Models, plan_of, rows_of

TYPES = (("a", "double"), ("b", "double"), ("label", "int"))


class Host:
    """A machine whose clock is in our hands: it drifts, it has noise, now and then it stalls."""

    def __init__(self, seed: int, calls: int = 6000) -> None:
        rng = np.random.default_rng(seed)
        drift = np.cumsum(rng.normal(0, 0.01, calls))
        stalls = np.where(rng.random(calls) < 0.03, rng.uniform(2, 6, calls), 1.0)
        self.pace = iter((np.exp(drift + rng.normal(0, 0.1, calls)) * stalls).tolist())
        self.now = 0

    def call(self, seconds: float) -> Any:
        def spend(number: int) -> None:
            self.now += int(1e9 * seconds * next(self.pace))

        return spend

    def clock(self) -> int:
        return self.now


def a_test(name: str, *conditions: Condition, batch: int | None = None) -> ModelTest:
    asked = {"speed": name} if batch is None else {"speed": name, "batch": batch}
    compares = any(condition.kind.endswith("_ratio") for condition in conditions)
    end = "_ratio" if compares else MEASURES[name].unit
    test = ModelTest(
        "", f"{name}{end}", conditions, kind="speed", parameters=parameters_text(asked)
    )
    named = f"{KINDS.get('speed').title(test)} {' '.join(c.kind for c in conditions)}".strip()
    return replace(test, name=named)


def plan_for(models: list[Any], *tests: ModelTest, **more: Any) -> EvaluationPlan:
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    return plan_of(
        TaskKind.BINARY, models, [], slice_sets=(OVERALL,), dataset=dataset, tests=tests, **more
    )


@pytest.fixture(scope="module")
def two(models: Models) -> list[Any]:
    table = rows_of(TaskKind.BINARY).to_pandas().dropna(subset=["label"])
    rows, label = table[["a", "b"]], table["label"].astype(int)
    slow = RandomForestClassifier(60, max_depth=3, random_state=0).fit(rows, label)
    return [models.of("line", LogisticRegression().fit(rows, label)), models.of("forest", slow)]


def judged(two: list[Any], test: ModelTest, answers: list[Numbers], **more: Any) -> list[Any]:
    """Cells of a test from what its probes would have found of each model."""
    plan = plan_for(two, test, **more)
    found = {
        question.place: Answer({"[]": {"n": 100.0, **numbers}})
        for question, numbers in zip(distinct_questions(plan), answers, strict=True)
    }
    return list(measure(plan, [], beside=Beside(answers=found)).cells)


def paired(seed: int, slower: float, name: str = "latency_p95", pairs: int = 60) -> Any:
    host, effort = Host(seed), MEASURES[name].effort
    assert effort is not None
    effort = replace(effort, pairs=pairs, pair_seconds=1e6)
    timed = time_pairs(
        host.call(0.001 * slower), host.call(0.001), effort, host.clock, speed_probe.SEED
    )
    return timed_numbers(timed, effort.share)


def test_of_two_equal_models_nothing_is_said_and_a_slower_one_is_found(
    two: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # To collect garbage takes longer than all else here.
    monkeypatch.setattr(timing, "_quiet", nullcontext)
    test = a_test("latency_p95", Condition("max_ratio", 1.1))
    says: dict[float, list[Any]] = {1.0: [], 1.2: []}
    for slower, cells in says.items():
        for seed in range(400):
            found = judged(two, test, [{"calls": 0.0}, paired(seed, slower)], baseline="line")
            cells.append(found[1])
    equal, slow = says[1.0], says[1.2]
    holds = np.mean([cell.measured.ci_low <= 1 <= cell.measured.ci_high for cell in equal])
    slower_said = np.mean([cell.measured.ci_low > 1 for cell in slow])
    assert holds >= 0.95, holds
    assert slower_said >= 0.9, slower_said
    assert not [cell for cell in equal if cell.verdict is Verdict.FAIL]
    assert np.mean([cell.measured.value for cell in slow]) == pytest.approx(1.2, abs=0.02)


def test_the_baseline_itself_is_only_recorded_and_reasons_say_what_was_called(
    two: list[Any],
) -> None:
    test = a_test("latency_p95", Condition("max_ratio", 1.1))
    base, cell = judged(two, test, [{"calls": 0.0}, paired(1, 1.5)], baseline="line")
    assert base.verdict is Verdict.RECORDED and base.measured.reason == "is_baseline"
    assert cell.verdict is Verdict.FAIL and cell.test.metric == "latency_p95_ratio"
    assert "is above 1.1, the max_ratio; p95 " in cell.reason, cell.reason
    assert "of the baseline, in 60 pairs of calls in random order; first call" in cell.reason
    few = judged(two, test, [{"calls": 0.0}, paired(1, 1.5, pairs=5)], baseline="line")[1]
    assert few.verdict is Verdict.INCONCLUSIVE
    assert "has too few calls for a bound" in few.reason
    assert "expected 6 pairs or more for an interval" in few.reason
    section = KINDS.get("speed").section([base, cell])
    assert section is not None and section.rows[1][:3] == [test.name, "forest", test.metric]
    calls, ratio = section.pictures
    assert (calls.title, calls.axis) == (test.name, "milliseconds of a call of 1 row")
    assert [group.name for group in calls.groups] == ["forest", "line, beside forest"]
    answer = paired(1, 1.5)
    for group, stem in zip(calls.groups, ("", "baseline "), strict=True):
        assert group.quantiles == {name: answer[stem + name] for name in ("p50", "p95", "p99")}
    assert calls.groups[1].quantiles["p95"] == answer["baseline"]
    assert calls.groups[0].others == {"first call": answer["cold"]}
    assert calls.groups[0].cell == cell and calls.limits == {}, "a ratio is no time"
    assert (ratio.names, ratio.limits) == (["forest"], [Limit(1.1, False)])
    assert ratio.points[0].low < ratio.points[0].value < ratio.points[0].high


def test_times_of_calls_are_drawn_with_the_limit_of_their_test(two: list[Any]) -> None:
    test = a_test("latency_p95", Condition("max_ms", 2.5), batch=10)
    cells = judged(two, test, [alone(1), alone(2)])
    (calls,) = KINDS.get("speed").section(cells).pictures
    assert [group.name for group in calls.groups] == ["line", "forest"]
    assert calls.axis == "milliseconds of a call of 10 rows"
    assert calls.limits == {"2.5 ms for p95": Limit(2.5, False)}
    # What an older version kept of a run has no numbers, and no picture.
    bare = [replace(cell, measured=replace(cell.measured, numbers=None)) for cell in cells]
    section = KINDS.get("speed").section(bare)
    assert section.pictures == [] and len(section.rows) == 2


def alone(seed: int) -> Any:
    host, effort = Host(seed), replace(MEASURES["latency_p95"].effort, seconds=1e6)
    return timed_numbers(time_alone(host.call(0.001), effort, host.clock), effort.share)


def test_a_rate_is_the_other_way_round(two: list[Any]) -> None:
    test = a_test("rows_per_second", Condition("min_ratio", 0.9))
    answers = [{"calls": 0.0}, paired(2, 1.5, "rows_per_second")]
    _, cell = judged(two, test, answers, baseline="line")
    assert cell.verdict is Verdict.FAIL and cell.measured.value == pytest.approx(1 / 1.5, rel=0.1)
    low, high = cell.measured.ci_low, cell.measured.ci_high
    assert low < cell.measured.value < high < 0.9


@pytest.mark.parametrize(("name", "calls"), [("latency_p95", 59), ("latency_p99", 299)])
def test_a_bound_of_a_quantile_needs_calls(two: list[Any], name: str, calls: int) -> None:
    test = a_test(name, Condition("max_ms", 50.0))
    for count, verdict in ((calls, Verdict.PASS), (calls - 1, Verdict.INCONCLUSIVE)):
        host = Host(3)
        effort = Effort(MEASURES[name].effort.share, count, 1, 1, 1e6)  # type: ignore[union-attr]
        timed = time_alone(host.call(0.002), effort, host.clock)
        (cell,) = judged(two[:1], test, [timed_numbers(timed, effort.share)])
        assert cell.verdict is verdict, cell.reason
        assert f"on this machine: {count} warm calls" in cell.reason
        assert (cell.measured.ci_high is None) is (verdict is Verdict.INCONCLUSIVE)
    assert f"expected {calls} calls or more for a bound" in cell.reason


def test_a_quantile_is_held_by_its_interval(two: list[Any]) -> None:
    test = a_test("latency_p95", Condition("max_ms", 20.0))
    truth = math.exp(0.5 * 1.6448536)
    held = 0
    for seed in range(200):
        times = np.random.default_rng(seed).lognormal(0, 0.5, 200)
        answer = {f"call {place}": time for place, time in enumerate(times.tolist())}
        about = {"calls": 200.0, "cold": 9.0, "p50": 1.0, "p95": 2.0, "p99": 3.0}
        (cell,) = judged(two[:1], test, [{**about, **answer}])
        held += cell.measured.ci_low <= truth <= cell.measured.ci_high
    assert held >= 185


def test_what_takes_too_long_ends_and_says_so(two: list[Any]) -> None:
    host = Host(4)
    effort = Effort(0.95, 400, 60, 20, seconds=20.0)
    timed = time_alone(host.call(3.0), effort, host.clock)
    assert 1 <= len(timed.warm) <= 10
    numbers = timed_numbers(timed, 0.95)
    (cell,) = judged(two[:1], a_test("latency_p95", Condition("max_ms", 9e3)), [numbers])
    assert cell.verdict is Verdict.INCONCLUSIVE and "59 calls" in cell.reason
    assert not timed_numbers(replace(timed, warm=()), 0.95).get("p95")


def test_all_rows_are_called_in_turn() -> None:
    sample = pa.RecordBatch.from_pydict({"a": list(range(7))})
    assert [b.column(0).to_pylist() for b in batches_of(sample, 3)][:2] == [[0, 1, 2], [3, 4, 5]]
    assert [b.num_rows for b in batches_of(sample, 3)] == [3, 3, 3]
    assert [b.column(0).to_pylist() for b in batches_of(sample, 9)] == [[*range(7), 0, 1]]
    assert [b.num_rows for b in batches_of(sample, 1)] == [1] * 7


def test_a_model_that_sleeps_is_slower_than_one_that_does_not(
    two: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real clock, and models that are cheap: what differs is ten times.
    effort = Effort(0.5, 60, 12, 3)
    monkeypatch.setitem(MEASURES, "latency_p50", replace(MEASURES["latency_p50"], effort=effort))

    def predictor(size: int) -> Any:
        return SimpleNamespace(predict=lambda batch: np.linalg.svd(np.ones((size, size))))

    sample = pa.RecordBatch.from_pydict({"a": [1.0, 2.0]})
    numbers = SpeedProbe("latency_p50", 1, True).run(predictor(120), sample, predictor(20))
    test = a_test("latency_p50", Condition("max_ratio", 1.1))
    _, cell = judged(two, test, [{"calls": 0.0}, numbers], baseline="line")
    assert cell.verdict is Verdict.FAIL and cell.measured.value > 2, cell.reason


def test_models_are_measured_in_processes_of_their_own(two: list[Any]) -> None:
    tests = [
        a_test("latency_p50", Condition("max_ratio", 1.1)),
        a_test("load_time", Condition("max_ms", 60_000.0)),
        a_test("peak_memory", Condition("max_mb", 4_000.0)),
    ]
    plan = plan_for(two, *tests, baseline="line")
    answers: dict[Any, Answer] = {}
    tasks = probe_tasks(plan, distinct_questions(plan))
    assert all(task.alone and len(task.questions) == 1 for task in tasks)
    table = rows_of(TaskKind.BINARY, rows=40).select(sample_columns(tasks))
    for name in ORDER:
        table = table.append_column(name, pa.array(np.arange(40)))
    (batch,) = table.combine_chunks().to_batches()
    for task in tasks:
        for found in probe([batch], task):
            for row in found.to_pylist():
                answers[tuple(json.loads(row["place"]))] = Answer.decode(row["payload"])
    cells = measure(plan, [], beside=Beside(answers=answers)).cells
    by_place = {(cell.model.name, cell.test.metric): cell for cell in cells}
    slower = by_place["forest", "latency_p50_ratio"]
    assert slower.verdict is Verdict.FAIL and slower.measured.value > 1.5, slower.reason
    for name in ("line", "forest"):
        assert by_place[name, "load_time_ms"].verdict is Verdict.PASS
        assert "measured once" in by_place[name, "load_time_ms"].reason
        assert 50 < by_place[name, "peak_memory_mb"].measured.value < 4_000


def test_the_size_is_that_of_the_files(two: list[Any], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights").write_bytes(b"0" * 3_000_000)
    (tmp_path / "MLmodel").write_bytes(b"0" * 500_000)
    model = SimpleNamespace(folder=tmp_path)
    numbers = SpeedProbe("size").run(model, pa.RecordBatch.from_pydict({"a": [1]}), None)  # type: ignore[arg-type]
    assert numbers == {"value": 3.5}
    test = a_test("size", Condition("max_ratio", 1.5))
    base, cell = judged(two, test, [{"value": 2.0}, numbers], baseline="line")
    assert base.verdict is Verdict.RECORDED and cell.verdict is Verdict.FAIL
    assert cell.measured.value == 1.75 and "3.5 MB beside 2 MB of the baseline" in cell.reason


def test_a_ratio_needs_a_baseline_and_a_model_that_can_be_called(two: list[Any]) -> None:
    test = a_test("latency_p95", Condition("max_ratio", 1.1))
    with pytest.raises(InputError, match="the evaluation has none; expected a baseline, or max_ms"):
        check_fit(plan_for(two, test))
    stored = [replace(two[0], flavor="columns"), two[1]]
    with pytest.raises(InputError, match="it tries a loaded model, and 'line' is predictions"):
        check_fit(plan_for(stored, test, baseline="line"))


SUITE = """
name: nightly
evaluations:
  - name: claims
    dataset: {{delta: ./claims, task: binary, label: fraud}}
    models: [{{uri: ./model}}]
    tests:
      - {{speed: {asked}}}
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("latency_p96", "latency_p95"),
        ("latency_p95, batch: 0", "batch"),
        ("latency_p95, batch: 1.5", "batch"),
        ("latency_p95, max_ratio: 0", "max_ratio"),
        ("latency_p95, max_mb: 3", "found max_mb for latency_p95, expected max_ms or max_ratio"),
        ("load_time, max_ratio: 2", "found max_ratio for load_time, expected max_ms"),
        ("latency_p95, max_ms: 3, max_ratio: 2", "found max_ms with max_ratio, expected one of"),
        ("size, batch: 3", "found batch for size, for which no rows are asked"),
        ("rows_per_second, max_ratio: 2", "expected min_rate or min_ratio"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE.format(asked=asked))
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert told in str(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("asked", "metric", "title"),
    [
        ("latency_p95, batch: 1, max_ratio: 1.1", "latency_p95_ratio", "speed latency_p95"),
        ("latency_p99, batch: 32, max_ms: 20", "latency_p99_ms", "speed latency_p99 batch 32"),
        ("rows_per_second", "rows_per_second", "speed rows_per_second"),
        ("size, max_mb: 3", "size_mb", "speed size"),
        ("peak_memory, max_ratio: 2", "peak_memory_ratio", "speed peak_memory"),
    ],
)
def test_it_is_read_and_written(asked: str, metric: str, title: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE.format(asked=asked))
    (test,) = load_suite(path).evaluations[0].tests
    kind = KINDS.get("speed")
    assert (test.metric, kind.title(test)) == (metric, title)
    assert kind.write(test) == json.loads(test.parameters)
