"""From states to cells: metrics, differences and verdicts of one evaluation, slice by slice.

The states of one slice are held at a time, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from engine.kernel import FAILURE, METER, METER_COLUMNS, ROWS, refuse_many
from engine.matrix import EvaluationPlan
from engine.measure.cells import Failures, Found, Judge
from engine.measure.groups import GroupedSlice
from engine.measure.order import Order, told_apart
from engine.metrics import METRICS, Metric, Problem, SliceStates, confusion, curves
from engine.slices import from_key, key_values
from engine.states import ROW_COLUMNS, States, Sums, decode
from engine.verdicts import Correction, corrected
from engine.vocabulary import (
    Cell,
    ConfusionMatrix,
    Curve,
    EvaluationResult,
    MetricValue,
    RowCounts,
    Slice,
    SliceSet,
    TaskKind,
)


@dataclass(frozen=True, slots=True)
class StateRow:
    """One row of the states table; rows come sorted by slice set and slice key."""

    model: int
    slice_set: str
    slice_key: str
    family: str
    payload: bytes


@dataclass(slots=True)
class Measured:
    """What the states of an evaluation say so far."""

    plan: EvaluationPlan
    cells: list[Cell] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    confusion: list[ConfusionMatrix] = field(default_factory=list)
    meters: dict[str, float] = field(default_factory=dict)
    failures: dict[tuple[int, str], str] = field(default_factory=dict)
    thresholds: dict[tuple[str, str], float] = field(default_factory=dict)


def measure(
    plan: EvaluationPlan,
    rows: Iterable[StateRow],
    *,
    alpha: float | None = None,
    earlier: Sequence[EvaluationResult] = (),
) -> EvaluationResult:
    """The cells, pictures and costs of an evaluation, from its sorted states.

    Args:
        plan: the evaluation.
        rows: its states, sorted by slice set and slice key.
        alpha: the share of false alarms that all tests together may have, where an error budget
            over many runs sets it; else each test has its own, 1 - confidence.
        earlier: the run's evaluations before this one, on which thresholds may be chosen.

    Raises:
        DataError: when there are more slices than the plan allows.
    """
    of = Measured(plan)
    judge = Judge(plan, of.failures, {each.name: each.thresholds for each in earlier})
    groups = {each.name: each for each in plan.group_sets}
    chosen: dict[Slice, dict[int, RowCounts]] = {}
    slices: Counter[str] = Counter()
    for set_name, in_set in groupby(rows, key=lambda row: row.slice_set):
        of_set = groupby(in_set, key=lambda row: row.slice_key)
        if set_name in groups:
            of.cells += _compared_groups(judge, groups[set_name], of_set)
            continue
        for key, group in of_set:
            if set_name == "":
                _read_meta(of, group)
                continue
            slices[set_name] += 1
            refuse_many(plan, set_name, slices[set_name])
            where = from_key(plan.sets_by_name, set_name, key)
            states = _slice_states(plan, _by_model(group), of.failures)
            of.cells += judge.cells(where, states)
            if where.kind == "where":
                chosen[where] = {number: on.rows for number, on in states.items()}
            if where.kind == "overall":
                _draw(of, where, states)
                of.thresholds.update(_best_thresholds(of, states))
    of.cells += list(_unmatched_groups(judge, of.cells, chosen))
    order = Order(plan)
    level = 1 - plan.confidence if alpha is None else alpha
    how = Correction(plan.correction, level, whole=alpha is not None)
    judged = corrected(sorted(of.cells, key=order.place), how)
    return EvaluationResult(
        name=plan.name,
        task=plan.problem.task,
        dataset=plan.dataset,
        models=plan.models,
        baseline=plan.baseline,
        cells=told_apart(judged.cells),
        curves=of.curves,
        confusion=of.confusion,
        timings=of.meters,
        model_errors={plan.models[n].name: why for (n, key), why in of.failures.items() if not key},
        higher_is_better={t.metric: METRICS.get(t.metric).higher_is_better for t in plan.tests},
        p_value=judged.p,
        alpha=level,
        rejected=judged.rejected,
        thresholds=of.thresholds,
    )


def _compared_groups(
    judge: Judge, slice_set: SliceSet, of_set: Iterable[tuple[str, Iterator[StateRow]]]
) -> Iterator[Cell]:
    """The cells of tests that compare groups; those of one slice come one after the other."""
    parent = judge.plan.sets_by_name[str(slice_set.parent)]
    held: GroupedSlice | None = None
    for key, group in of_set:
        values = key_values(key)
        if held is None or held.values != values[:-1]:
            if held is not None:
                yield from held.cells(judge)
            held = GroupedSlice(slice_set, parent, values[:-1])
        held.add(values, _slice_states(judge.plan, _by_model(group), judge.failures))
    if held is not None:
        yield from held.cells(judge)


def _unmatched_groups(
    judge: Judge, cells: Sequence[Cell], chosen: Mapping[Slice, Mapping[int, RowCounts]]
) -> Iterator[Cell]:
    """The cells of tests that compare groups on slices without a row: no group has a state."""
    made = {(cell.slice, cell.test.name) for cell in cells}
    for where, counts in chosen.items():
        for test in judge.plan.tests_on(where.set_name):
            if test.group is not None and (where, test.name) not in made:
                empty = {number: Found(MetricValue(None, "empty")) for number in counts}
                yield from judge.judged(where, test, empty, counts)


def _read_meta(of: Measured, rows: Iterable[StateRow]) -> None:
    for row in rows:
        if row.family == FAILURE:
            of.failures[row.model, row.slice_key] = row.payload.decode()
        elif row.family == METER:
            sums = decode(row.payload)
            assert isinstance(sums, Sums)
            meter = dict(zip(METER_COLUMNS, sums.values.sum(axis=(0, 1)).tolist(), strict=True))
            model = of.plan.models[row.model].name
            of.meters[f"predict_seconds/{model}"] = meter["predict_seconds"]
            for name in ("predictions", "predict_seconds", "scan_seconds", "loads", "batches"):
                of.meters[name] = of.meters.get(name, 0.0) + meter[name]
            of.meters["rows"] = meter["rows"]


def _by_model(rows: Iterator[StateRow]) -> dict[int, dict[str, States]]:
    found: dict[int, dict[str, States]] = {}
    for row in rows:
        found.setdefault(row.model, {})[row.family] = decode(row.payload)
    return found


def _row_counts(states: Mapping[str, States]) -> RowCounts:
    rows = states[ROWS]
    assert isinstance(rows, Sums)
    sums = dict(zip(ROW_COLUMNS, rows.values.sum(axis=(0, 1)).tolist(), strict=True))
    return RowCounts(
        n=int(sums["n"]),
        weight_sum=sums["weight"],
        null_labels=int(sums["null_labels"]),
        bad_scores=int(sums["bad_scores"]),
        unknown_labels=int(sums["unknown_labels"]),
    )


def _slice_states(
    plan: EvaluationPlan, found: Mapping[int, dict[str, States]], failures: Failures
) -> dict[int, SliceStates]:
    """The states of each model on one slice, and beside them the baseline's if it has any."""
    base = next((n for n, model in enumerate(plan.models) if model.name == plan.baseline), None)

    def of(number: int, baseline: SliceStates | None = None) -> SliceStates:
        families = found[number]
        rows = families[ROWS]
        assert isinstance(rows, Sums)
        return SliceStates(
            _row_counts(families),
            families,
            buckets=rows.values[0, :, ROW_COLUMNS.index("weight")],
            sampling=plan.sampling,
            baseline=baseline,
        )

    other = None
    if base is not None and base in found and (base, "") not in failures:
        other = of(base)
    return {
        number: other if other is not None and number == base else of(number, other)
        for number in found
    }


def _best_thresholds(
    of: Measured, states: Mapping[int, SliceStates]
) -> dict[tuple[str, str], float]:
    """The threshold that is best for each aim and model, where its scores were kept."""
    found = {}
    problem = of.plan.problem
    for best in ("f1", "youden", "cost") if problem.task is TaskKind.BINARY else ():
        metric = METRICS.get(f"best_threshold_{best}")
        for number, on in states.items():
            lost = any((number, key) in of.failures for key in ("", *_keys(metric, problem)))
            if lost or any(key not in on for key in _keys(metric, problem)):
                continue
            value = metric.value(problem, on).value
            if value is not None:
                found[best, of.plan.models[number].digest] = value
    return found


def _keys(metric: Metric, problem: Problem) -> list[str]:
    return [family.key for family in metric.needs(problem)]


def _draw(of: Measured, where: Slice, states: Mapping[int, SliceStates]) -> None:
    for number, on in states.items():
        if (number, "") in of.failures:
            continue
        model = of.plan.models[number].name
        of.curves += curves(of.plan.problem, on, model=model, slice_name=where.name)
        matrix = confusion(of.plan.problem, on, model=model, slice_name=where.name)
        if matrix is not None:
            of.confusion.append(matrix)
