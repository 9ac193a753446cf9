"""Runs to write, as a real one would bring them: three evaluations, many slices, every verdict."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from engine.vocabulary import (
    Cell,
    Condition,
    ConfusionMatrix,
    Curve,
    DatasetVersion,
    EvaluationResult,
    Gate,
    GateOutcome,
    MetricValue,
    ModelTest,
    ModelVersion,
    Output,
    RowCounts,
    RunInfo,
    RunOutcome,
    Severity,
    Slice,
    TaskKind,
    Verdict,
)

START = dt.datetime(2026, 11, 20, 2, 0, 0, tzinfo=dt.UTC)
OVERALL = Slice("overall", "overall", "overall")


@dataclass(frozen=True)
class Sketch:
    """What an evaluation is drawn from: models with their skill, slices, tests."""

    name: str
    task: TaskKind
    models: Mapping[str, float]
    baseline: str | None
    slices: Sequence[str]
    tests: Sequence[ModelTest]
    base: Mapping[str, float]


def make_model(name: str, task: TaskKind = TaskKind.BINARY, version: str = "3") -> ModelVersion:
    return ModelVersion(
        name=name,
        uri=f"models:/claims/{version}",
        version=version,
        digest=f"{abs(sum(map(ord, name))):08x}" * 8,
        path="/models/claims",
        flavor="sklearn",
        task=task,
        output=Output.VALUE if task is TaskKind.REGRESSION else Output.PROBABILITY,
        registered_name="claims",
    )


def make_dataset(name: str = "claims", rows: int = 48_210) -> DatasetVersion:
    return DatasetVersion(name, f"./store/lake/{name}", 7, "5f0c2d9e-table", rows, START)


def make_cell(
    *,
    slice_name: str = "overall",
    model: str = "candidate",
    test: ModelTest | None = None,
    value: float | None = 0.9,
    verdict: Verdict = Verdict.PASS,
    reason: str = "the value keeps its condition",
    **more: object,
) -> Cell:
    piece = OVERALL if slice_name == "overall" else Slice(slice_name, "by", "by")
    cell = Cell(
        evaluation="claims",
        model=make_model(model),
        dataset=make_dataset(),
        slice=piece,
        test=test or ModelTest("recall", "recall", (Condition("min", 0.85),)),
        counts=RowCounts(120, 120.0),
        measured=MetricValue(value, None if value is not None else "one_class"),
        verdict=verdict,
        reason=reason,
    )
    return replace(cell, **more)


def make_outcome(
    evaluations: Sequence[EvaluationResult],
    *,
    outcome: GateOutcome | None = None,
    reason: str | None = None,
    suite: str = "nightly",
) -> RunOutcome:
    """A run with the gate that its cells give, unless told otherwise."""
    cells = [cell for evaluation in evaluations for cell in evaluation.cells]
    counts = {verdict: sum(cell.verdict is verdict for cell in cells) for verdict in Verdict}
    warned = sum(
        cell.verdict is Verdict.FAIL and cell.test.severity is Severity.WARN for cell in cells
    )
    hard = counts[Verdict.FAIL] - warned
    if outcome is None:
        outcome = GateOutcome.FAILED if hard else GateOutcome.PASSED
        outcome = GateOutcome.ERROR if counts[Verdict.ERROR] else outcome
    tested = len(cells) - counts[Verdict.RECORDED]
    info = RunInfo(
        run_id="20261120-020000-nightly",
        suite=suite,
        started_at=START,
        store="./store",
        suite_resolved=f"name: {suite}\nstore: ./store\nevaluations:\n  - name: claims\n",
        versions={"evalmatrix": "0.1.0", "python": "3.11.2", "pyspark": "4.2.0"},
        user="ci",
    )
    if reason is None:
        reason = f"{hard} of {tested} tests failed."
        if counts[Verdict.ERROR]:
            reason = f"{counts[Verdict.ERROR]} of {tested} tests could not be evaluated."
    gate = Gate(outcome, reason, counts, warned)
    return RunOutcome(info, evaluations, gate, START + dt.timedelta(seconds=94.3))


def make_evaluation(cells: Sequence[Cell], **more: object) -> EvaluationResult:
    """An evaluation around some cells of the models they name."""
    models = tuple({cell.model.name: cell.model for cell in cells}.values())
    result = EvaluationResult("claims", TaskKind.BINARY, make_dataset(), models, None, cells)
    return replace(result, **more)


def draw_evaluation(sketch: Sketch) -> EvaluationResult:
    """Makes up values with a known formula; verdicts follow the conditions as the engine's do."""
    data = make_dataset(sketch.name)
    models = tuple(
        make_model(name, sketch.task, str(place + 1)) for place, name in enumerate(sketch.models)
    )
    cells = [cell for model in models for cell in _draw_cells(sketch, model, data)]
    return EvaluationResult(
        name=sketch.name,
        task=sketch.task,
        dataset=data,
        models=models,
        baseline=sketch.baseline,
        cells=cells,
        curves=tuple(_draw_curves(sketch)),
        confusion=tuple(_draw_confusion(sketch)),
        timings={"scan": 41.2, "metrics": 1.4},
        higher_is_better={name: _higher(name) for name in sketch.base},
    )


def _higher(metric: str) -> bool:
    return not metric.endswith(("error", "loss", "score")) or metric == "r2"


def _draw_cells(sketch: Sketch, model: ModelVersion, data: DatasetVersion) -> Iterator[Cell]:
    drawn: dict[str, list[Cell]] = {}
    for place, name in enumerate(["overall", *sketch.slices]):
        rows = data.rows if place == 0 else 8 + (place * 7919) % 2600
        for test in sketch.tests:
            value = _value(sketch, model.name, place, test.metric)
            cell = Cell(
                evaluation=sketch.name,
                model=model,
                dataset=data,
                slice=OVERALL if place == 0 else Slice(name, "by", "by"),
                test=test,
                counts=RowCounts(rows, float(rows), null_labels=12 if place == 0 else 0),
                measured=_measured(value, test.metric, rows),
                verdict=Verdict.RECORDED,
                reason="no condition was set",
            )
            if sketch.baseline not in (None, model.name):
                base = _value(sketch, str(sketch.baseline), place, test.metric)
                cell = _compared(cell, str(sketch.baseline), base, place)
            drawn.setdefault(test.name, []).append(cell)
    judged = [[_judge(cell) for cell in _corrected(cells)] for cells in drawn.values()]
    for row in zip(*judged, strict=True):
        yield from row


def _measured(value: float | None, metric: str, rows: int) -> MetricValue:
    """A value with an interval that is about as wide as such a metric's would be."""
    if value is None:
        return MetricValue(None, "one_class")
    spread = 1.96 * _error(value, metric, rows)
    if not 0 < value < 1:
        return MetricValue(value, ci_low=value - spread, ci_high=value + spread)
    # On the logit scale an interval stays within 0 and 1.
    scale = spread / (value * (1 - value))
    low, high = (math.log(value / (1 - value)) + side * scale for side in (-1, 1))
    return MetricValue(value, ci_low=1 / (1 + math.exp(-low)), ci_high=1 / (1 + math.exp(-high)))


def _error(value: float, metric: str, rows: int) -> float:
    share = 1.0 if metric == "accuracy" else 0.3
    if metric.endswith(("error", "loss", "score")):
        return 0.6 * value / math.sqrt(rows)
    return math.sqrt(max(value * (1 - value), 0.002) / (rows * share))


def _compared(cell: Cell, model: str, base: float | None, place: int) -> Cell:
    """The paired difference: most rows are alike for both models, so it is surer than either."""
    cell = replace(cell, baseline_model=model, baseline_value=base)
    value = cell.measured.value
    if value is None or base is None:
        return cell
    # Of every fifth slice the two models hardly differ.
    delta = (value - base) * (0.02 if place and place % 5 == 0 else 1.0)
    error = 0.35 * _error(value, cell.test.metric, cell.counts.n) + 1e-9
    return replace(
        cell,
        baseline_value=value - delta,
        delta=delta,
        delta_ci_low=delta - 1.96 * error,
        delta_ci_high=delta + 1.96 * error,
        p_value=math.erfc(abs(delta) / error / math.sqrt(2)),
    )


def _violation(cell: Cell) -> float | None:
    """One-sided p of the test's first condition being met."""
    measured = cell.measured
    if not cell.test.conditions or measured.value is None:
        return None
    condition = cell.test.conditions[0]
    room, error = _room(cell, condition), _error(measured.value, cell.test.metric, cell.counts.n)
    if room is None:
        return None
    error *= 0.35 if condition.needs_baseline else 1.0
    return 0.5 * math.erfc(-room / error / math.sqrt(2))


def _room(cell: Cell, condition: Condition) -> float | None:
    """By how much a condition is kept; negative where it is broken."""
    of = cell.delta if condition.needs_baseline else cell.measured.value
    if of is None:
        return None
    return {
        "min": of - condition.bound,
        "max": condition.bound - of,
        "max_drop": of + condition.bound,
        "max_rise": condition.bound - of,
    }[condition.kind]


def _corrected(cells: list[Cell]) -> list[Cell]:
    """Benjamini and Hochberg's correction over the slices of a test."""
    q = _false_discovery([cell.p_value for cell in cells])
    cells = [replace(cell, violation_p_value=_violation(cell)) for cell in cells]
    broken = _false_discovery([cell.violation_p_value for cell in cells])
    return [
        replace(cell, q_value=one, violation_q_value=two)
        for cell, one, two in zip(cells, q, broken, strict=True)
    ]


def _false_discovery(found: list[float | None]) -> list[float | None]:
    known = sorted((p, place) for place, p in enumerate(found) if p is not None)
    corrected: list[float | None] = [None] * len(found)
    least = 1.0
    for rank, (p, place) in reversed(list(enumerate(known, start=1))):
        least = min(least, p * len(known) / rank)
        corrected[place] = least
    return corrected


def _value(sketch: Sketch, model: str, place: int, metric: str) -> float | None:
    if metric == "roc_auc" and place and place % 17 == 0:
        return None
    level, skill = sketch.base[metric], sketch.models[model]
    wave = math.sin(place * 2.7 + len(metric)) * 0.045 + math.cos(place * 1.3 + skill * 9) * 0.02
    # On some slices every model is far off, on some others what is new in a candidate harms.
    wave -= 0.11 if place % 19 == 3 else 0.06 * (skill > 0) * (place % 11 == 4)
    wave = 0.0 if place == 0 else wave
    if _higher(metric):
        return min(level + (1 - level) * skill + wave, 1.0)
    return max(level * (1 - skill) - wave * level * 2, 0.0)


def _judge(cell: Cell) -> Cell:
    value, metric = cell.measured.value, cell.test.metric
    if not cell.test.conditions:
        return cell
    if cell.slice.name.endswith("tablet") and cell.model.name.endswith("v4-wide"):
        why = "the model raised ValueError: found unknown category 'tablet' in column device"
        gone = MetricValue(None, "model_error")
        return replace(cell, verdict=Verdict.ERROR, reason=why, measured=gone, delta=None)
    if value is None:
        why = f"{metric} is undefined: all rows have one class"
        return replace(cell, verdict=Verdict.INCONCLUSIVE, reason=why)
    if cell.counts.n < 30:
        why = "fewer rows than min_slice_rows (30)"
        return replace(cell, verdict=Verdict.INCONCLUSIVE, reason=why)
    condition = cell.test.conditions[0]
    room = _room(cell, condition)
    if room is None:
        why = "the baseline itself, with which the others are compared"
        return replace(cell, verdict=Verdict.RECORDED, reason=why)
    of, low, high = value, cell.measured.ci_low, cell.measured.ci_high
    if condition.needs_baseline:
        of, low, high = cell.delta, cell.delta_ci_low, cell.delta_ci_high
    half = (high - low) / 2
    text = f"{metric} {of:.4f} [{low:.4f}, {high:.4f}]"
    if room >= half:
        return replace(cell, verdict=Verdict.PASS, reason=f"{text} keeps {condition}")
    if room <= -half and cell.violation_q_value <= 0.05:
        return replace(cell, verdict=Verdict.FAIL, reason=f"{text} breaks {condition}")
    more = round(cell.counts.n * ((half / room) ** 2 - 1), -2) if room else math.inf
    why = f"{text} includes the limit of {condition}"
    why += f"; about {more:,.0f} rows more would decide" if 0 < more < 1e6 else ""
    return replace(cell, verdict=Verdict.INCONCLUSIVE, reason=why)


def _draw_curves(sketch: Sketch) -> Iterator[Curve]:
    if sketch.task is TaskKind.REGRESSION:
        return
    labels = [None] if sketch.task is TaskKind.BINARY else [str(digit) for digit in range(10)]
    steps = [place / 2000 for place in range(2001)]
    for model, skill in sketch.models.items():
        for place, label in enumerate(labels):
            bend = 0.10 + 0.25 * (1 - skill) + place * 0.006
            yield Curve("roc", model, "overall", steps, [x**bend for x in steps], label)
            drop = [1 - 0.75 * x ** (3 + 9 * skill) for x in steps]
            yield Curve("precision_recall", model, "overall", steps, drop, label)
            bins = [0.05 + 0.1 * bin_ for bin_ in range(10)]
            seen = [x + 0.12 * (1 - skill) * math.sin(6.28 * x) for x in bins]
            yield Curve("calibration", model, "overall", bins, seen, label, [100.0] * 10)


def _draw_confusion(sketch: Sketch) -> Iterator[ConfusionMatrix]:
    if sketch.task is TaskKind.REGRESSION:
        return
    labels = ("0", "1") if sketch.task is TaskKind.BINARY else tuple(map(str, range(10)))
    for model, skill in sketch.models.items():
        yield ConfusionMatrix(
            model,
            "overall",
            labels,
            tuple(
                tuple(
                    (900.0 if row == column else 0.0) + 60 * (1 - skill) * ((row * 3 + column) % 4)
                    for column in range(len(labels))
                )
                for row in range(len(labels))
            ),
        )


def binary_sketch(slices: int = 60) -> Sketch:
    countries = ["DE", "FR", "US", "GB", "IN", "BR", "JP", "PL", "<null>"]
    devices = ["ios", "android", "web", "tablet", "kiosk", "phone", "tv"]
    names = [f"country={country}" for country in countries]
    names += [f"device={device}" for device in devices]
    names += [f"country={c} & device={d}" for c in countries for d in devices]
    names += [f"merchant={place:04d}" for place in range(max(0, slices - len(names)))]
    return Sketch(
        name="claims",
        task=TaskKind.BINARY,
        models={"claims-v2": 0.0, "claims-v3": 0.25, "claims-v4-wide": 0.16},
        baseline="claims-v2",
        slices=names[:slices],
        tests=[
            ModelTest("roc_auc", "roc_auc", (Condition("min", 0.85),)),
            ModelTest("recall", "recall", (Condition("max_drop", 0.02),)),
            ModelTest("precision", "precision", (Condition("min", 0.70),)),
            ModelTest(
                "log_loss", "log_loss", (Condition("max_rise", 0.02),), severity=Severity.WARN
            ),
            ModelTest("f1", "f1"),
            ModelTest("accuracy", "accuracy"),
            ModelTest("average_precision", "average_precision"),
            ModelTest("brier_score", "brier_score", (Condition("max", 0.16),)),
        ],
        base={
            "roc_auc": 0.902,
            "recall": 0.81,
            "precision": 0.79,
            "log_loss": 0.31,
            "f1": 0.80,
            "accuracy": 0.93,
            "average_precision": 0.76,
            "brier_score": 0.11,
        },
    )


def multiclass_sketch() -> Sketch:
    return Sketch(
        name="digits",
        task=TaskKind.MULTICLASS,
        models={"digits-forest": 0.1, "digits-cnn": 0.5},
        baseline="digits-forest",
        slices=[f"writer={place:02d}" for place in range(12)],
        tests=[
            ModelTest("accuracy", "accuracy", (Condition("min", 0.85),)),
            ModelTest("f1_macro", "f1_macro"),
            ModelTest("log_loss", "log_loss", (Condition("max_rise", 0.05),)),
        ],
        base={"accuracy": 0.93, "f1_macro": 0.92, "log_loss": 0.21},
    )


def regression_sketch() -> Sketch:
    return Sketch(
        name="diabetes",
        task=TaskKind.REGRESSION,
        models={"diabetes-mlp": 0.1},
        baseline=None,
        slices=["sex=1", "sex=2", "age in [18, 30)", "age in [30, 50)"],
        tests=[
            ModelTest("r2", "r2"),
            ModelTest("mean_absolute_error", "mean_absolute_error"),
            ModelTest("mean_squared_error", "mean_squared_error"),
        ],
        base={"r2": 0.48, "mean_absolute_error": 43.7, "mean_squared_error": 2981.3},
    )


def make_full_run(slices: int = 60) -> RunOutcome:
    """Binary with three models, multiclass with two, regression without a condition."""
    sketches = (binary_sketch(slices), multiclass_sketch(), regression_sketch())
    return make_outcome([draw_evaluation(sketch) for sketch in sketches])


@pytest.fixture(scope="session")
def full_run() -> RunOutcome:
    return make_full_run()


@pytest.fixture(scope="session")
def big_run() -> Callable[[int], RunOutcome]:
    """One evaluation of three models with as many slices as asked."""
    return lambda slices: make_outcome([draw_evaluation(binary_sketch(slices))])


@pytest.fixture(scope="session")
def cell_of() -> Callable[..., Cell]:
    return make_cell


@pytest.fixture(scope="session")
def run_of() -> Callable[..., RunOutcome]:
    """A run of one evaluation with the cells given; keywords go to the gate."""

    def build(cells: Sequence[Cell], **gate: object) -> RunOutcome:
        return make_outcome([make_evaluation(cells)], **gate)

    return build
