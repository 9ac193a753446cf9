"""From states to cells: metrics, differences and verdicts of one evaluation, slice by slice.

The states of one slice are held at a time, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from engine.kernel import FAILURE, METER, METER_COLUMNS, ROWS, refuse_many
from engine.matrix import EvaluationPlan, free_name
from engine.metrics import METRICS, SliceStates, confusion, curves
from engine.slices import from_key, interval_texts
from engine.states import ROW_COLUMNS, States, Sums, decode
from engine.verdicts import Measurement, decide
from engine.vocabulary import (
    Cell,
    ConfusionMatrix,
    Curve,
    EvaluationResult,
    MetricValue,
    ModelTest,
    ModelVersion,
    RowCounts,
    Slice,
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


def measure(plan: EvaluationPlan, rows: Iterable[StateRow]) -> EvaluationResult:
    """The cells, pictures and costs of an evaluation, from its sorted states.

    Raises:
        DataError: when there are more slices than the plan allows.
    """
    of = Measured(plan)
    slices: Counter[str] = Counter()
    for (set_name, key), group in groupby(rows, key=lambda row: (row.slice_set, row.slice_key)):
        if set_name == "":
            _read_meta(of, group)
            continue
        slices[set_name] += 1
        refuse_many(plan, set_name, slices[set_name])
        where = from_key(plan.sets_by_name, set_name, key)
        _measure_slice(of, where, _by_model(group))
    order = _Order(plan)
    return EvaluationResult(
        name=plan.name,
        task=plan.problem.task,
        dataset=plan.dataset,
        models=plan.models,
        baseline=plan.baseline,
        cells=_told_apart(sorted(of.cells, key=order.place)),
        curves=of.curves,
        confusion=of.confusion,
        timings=of.meters,
        model_errors={plan.models[n].name: why for (n, key), why in of.failures.items() if not key},
        higher_is_better={t.metric: METRICS.get(t.metric).higher_is_better for t in plan.tests},
    )


def _told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Gives slices of different sets that would share a name names of their own.

    `where: "age < 18"` and a bin below 18 do; the set that the suite names first keeps the name.
    """
    names: dict[Slice, str] = {}
    taken: set[str] = set()
    for where in dict.fromkeys(cell.slice for cell in cells):
        known = f"{where.name} ({where.set_name})" if where.name in taken else where.name
        names[where] = free_name(known, taken)
        taken.add(names[where])
    return [
        cell
        if names[cell.slice] == cell.slice.name
        else replace(cell, slice=replace(cell.slice, name=names[cell.slice]))
        for cell in cells
    ]


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


def _measure_slice(of: Measured, where: Slice, found: Mapping[int, dict[str, States]]) -> None:
    plan = of.plan
    states = {
        number: SliceStates(_row_counts(families), families) for number, families in found.items()
    }
    base = next((n for n, model in enumerate(plan.models) if model.name == plan.baseline), None)
    for test in plan.tests_on(where.set_name):
        values = {number: _value(of, test, number, on) for number, on in states.items()}
        baseline = values[base][0] if base in values else None
        for number, on in states.items():
            value, failure = values[number]
            measurement = Measurement(
                value,
                on.rows,
                baseline=baseline,
                is_baseline=number == base,
                failure=failure,
                min_rows=plan.min_slice_rows,
                nothing_matched=where.kind == "where" and _rows_seen(on.rows) == 0,
            )
            of.cells.append(_cell(plan, plan.models[number], where, test, measurement))
    if where.kind == "overall":
        _draw(of, where, states)


def _rows_seen(rows: RowCounts) -> int:
    return rows.n + rows.null_labels


def _value(
    of: Measured, test: ModelTest, number: int, on: SliceStates
) -> tuple[MetricValue, str | None]:
    """A metric's value, or the reason why it could not be computed."""
    undefined = MetricValue(None, "failed")
    if (number, "") in of.failures:
        return undefined, f"the model failed: {of.failures[number, '']}"
    metric = METRICS.get(test.metric)
    problem = of.plan.problem
    try:
        for family in metric.needs(problem):
            if (number, family.key) in of.failures:
                return undefined, f"the metric failed: {of.failures[number, family.key]}"
        return metric.value(problem, on), None
    except Exception as error:  # a user's own metric costs its own cells only
        return undefined, f"the metric failed: {type(error).__name__}: {error}"


def _cell(
    plan: EvaluationPlan, model: ModelVersion, where: Slice, test: ModelTest, of: Measurement
) -> Cell:
    verdict, reason = decide(test, of)
    compared = of.baseline is not None and not of.is_baseline
    base = of.baseline.value if of.baseline is not None and compared else None
    value = of.value.value
    return Cell(
        evaluation=plan.name,
        model=model,
        dataset=plan.dataset,
        slice=where,
        test=test,
        counts=of.rows,
        measured=of.value,
        verdict=verdict,
        reason=reason,
        baseline_model=plan.baseline if compared else None,
        baseline_value=base,
        delta=value - base if value is not None and base is not None else None,
    )


def _draw(of: Measured, where: Slice, states: Mapping[int, SliceStates]) -> None:
    for number, on in states.items():
        if (number, "") in of.failures:
            continue
        model = of.plan.models[number].name
        of.curves += curves(of.plan.problem, on, model=model, slice_name=where.name)
        matrix = confusion(of.plan.problem, on, model=model, slice_name=where.name)
        if matrix is not None:
            of.confusion.append(matrix)


class _Order:
    """The order of cells in every output: by slice set, slice, test and model, as in the suite."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.sets = {each.name: place for place, each in enumerate(plan.slice_sets)}
        self.tests = {test.name: place for place, test in enumerate(plan.tests)}
        self.models = {model.name: place for place, model in enumerate(plan.models)}
        self.edges = {
            (each.name, dimension.column): interval_texts(dimension.edges)
            for each in plan.slice_sets
            for dimension in each.dimensions
            if dimension.edges is not None
        }

    def place(self, cell: Cell) -> tuple[object, ...]:
        """The sort key of a cell; numbers among slice values sort as numbers, null last."""
        values = tuple(
            self._value(cell.slice.set_name, column, value) for column, value in cell.slice.values
        )
        return (
            self.sets[cell.slice.set_name],
            values,
            self.tests[cell.test.name],
            self.models[cell.model.name],
        )

    def _value(self, set_name: str, column: str, value: str | None) -> tuple[int, float, str]:
        if value is None:
            return 3, 0.0, ""
        texts = self.edges.get((set_name, column))
        if texts is not None:
            return 0, float(texts.index(value)) if value in texts else float(len(texts)), value
        try:
            as_number = float(value)
        except ValueError:
            return 1, 0.0, value
        return (2, 0.0, value) if as_number != as_number else (0, as_number, value)
