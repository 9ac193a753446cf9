"""From states to cells: metrics, differences and verdicts of one evaluation, slice by slice.

The states of one block of slices are held at a time, so that memory does not grow with their
number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from engine.core.collector import collector_paused
from engine.core.vocabulary import (
    NO_MODEL,
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
from engine.evaluation.answer_cells import answered_cells
from engine.evaluation.blocks import Block, References
from engine.evaluation.cells import Judge
from engine.evaluation.groups import GroupedSlice
from engine.evaluation.order import Order, with_unique_names
from engine.evaluation.shares import Sharing, Spread, slice_keys
from engine.evaluation.verdicts import Correction, correct_verdicts
from engine.kinds import DISCOVERED, SliceEstimate, kind_of
from engine.metrics import METRICS, Metric, Problem, Slices, confusion, curves
from engine.planning import EvaluationPlan
from engine.planning.plan import refuse_many
from engine.planning.slices import from_key, key_values
from engine.states import Sums, decode
from engine.states.rows import (
    CHANCE,
    CLIPPED,
    FAILURE,
    METER,
    METER_COLUMNS,
    NOTES,
    RESOURCES,
    StateRow,
    add_resources,
    read_failures,
    read_notes,
    read_resources,
)
from engine.store.answers import Answers

__all__ = ["StateRow", "measure"]

NOT_DETERMINISTIC = "the model is not deterministic: another run may find another value"


@dataclass(frozen=True, slots=True)
class Beside:
    """What an evaluation is measured from beside its states.

    `reference` are the sorted states of the reference dataset, where the plan has one, `answers`
    what is known of the plan's questions; `spread` judges in other processes what is a lot.
    """

    reference: Iterable[StateRow] = ()
    answers: Answers = field(default_factory=dict)
    spread: Spread | None = None


@dataclass(slots=True)
class PartialResult:
    """What the states of an evaluation say so far."""

    plan: EvaluationPlan
    cells: list[Cell] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    confusion: list[ConfusionMatrix] = field(default_factory=list)
    meters: dict[str, float] = field(default_factory=dict)
    failures: dict[tuple[int, str], str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    notes: dict[int, dict[str, int]] = field(default_factory=dict)
    thresholds: dict[tuple[str, str], float] = field(default_factory=dict)


@collector_paused()
def measure(
    plan: EvaluationPlan,
    rows: Iterable[StateRow],
    *,
    alpha: float | None = None,
    earlier: Sequence[EvaluationResult] = (),
    beside: Beside | None = None,
) -> EvaluationResult:
    """The cells, pictures and costs of an evaluation, from its sorted states.

    Args:
        plan: the evaluation.
        rows: its states, sorted by slice set and block.
        alpha: the share of false alarms that all tests together may have, where an error budget
            over many runs sets it; else each test has its own, 1 - confidence.
        earlier: the run's evaluations before this one, on which thresholds may be chosen.
        beside: what is known beside the states.

    Raises:
        DataError: when there are more slices than the plan allows.
    """
    result = PartialResult(plan)
    thresholds = {before.name: before.thresholds for before in earlier}
    judge = Judge(plan, result.failures, thresholds, result.notes)
    groups = {group_set.name: group_set for group_set in plan.group_sets}
    sets = plan.sets_by_name
    beside = beside or Beside()
    references = References.of(plan, beside.reference)
    sharing = Sharing(judge, beside.spread)
    chosen: dict[Slice, dict[int, RowCounts]] = {}
    slices: Counter[str] = Counter()
    for (set_name, _), in_block in groupby(rows, key=lambda row: (row.slice_set, row.block)):
        if set_name == "":
            _read_meta(result, in_block)
            continue
        if set_name in groups:
            result.cells += _compared_groups(judge, groups[set_name], Block.of(in_block))
            continue
        of_block = list(in_block)
        keys = slice_keys(of_block)
        slices[set_name] += len(keys)
        refuse_many(plan, set_name, slices[set_name])
        if sharing.takes(set_name, len(keys)):
            sharing.hand_over(of_block, len(keys))
            continue
        block = Block.of(of_block)
        places = [from_key(sets, set_name, key) for key in keys]
        states = block.slices(plan, keys)
        references.lay_beside(states, set_name, keys)
        result.cells += judge.block(places, states)
        for at, where in enumerate(places):
            if where.kind == "where" and groups:
                chosen[where] = {number: on.counts[at] for number, on in states.items()}
            if where.kind == "overall":
                alone = {n: on.slices[at] for n, on in states.items() if n < len(plan.models)}
                _draw(result, where, alone)
                result.thresholds.update(_best_thresholds(result, alone))
    for cells in sharing.cells():
        result.cells += cells
    result.cells += list(_unmatched_groups(judge, result.cells, chosen)) if chosen else []
    result.cells += (
        list(answered_cells(judge, beside.answers, result.cells)) if judge.questions else []
    )
    order = Order(plan)
    level = 1 - plan.confidence if alpha is None else alpha
    how = Correction(plan.correction, level, whole=alpha is not None)
    verdicts = correct_verdicts(order.sort(result.cells), how)
    return EvaluationResult(
        name=plan.name,
        task=plan.problem.task,
        dataset=plan.dataset,
        models=plan.models,
        baseline=plan.baseline,
        cells=with_unique_names(_with_notes(verdicts.cells, _notes(plan, result.doubts))),
        curves=result.curves,
        confusion=result.confusion,
        timings=result.meters,
        model_errors={
            plan.models[n].name: why
            for (n, key), why in result.failures.items()
            if not key and n < len(plan.models)
        },
        higher_is_better=_directions(plan, result.cells),
        p_value=verdicts.p,
        alpha=level,
        rejected=verdicts.rejected,
        thresholds=result.thresholds,
        not_deterministic=result.doubts,
        clipped={
            plan.models[number].name: counts[CLIPPED]
            for number, counts in result.notes.items()
            if CLIPPED in counts and number < len(plan.models)
        },
    )


def _directions(plan: EvaluationPlan, cells: Sequence[Cell]) -> dict[str, bool | None]:
    """Whether more is better of each metric; of what a test found by itself it is a loss."""
    directions = {t.metric: kind_of(t).metric(t).higher_is_better for t in plan.tests}
    for cell in cells:
        if cell.slice.kind == DISCOVERED:
            directions.setdefault(cell.test.metric, False)
    return directions


def _notes(plan: EvaluationPlan, doubts: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """What is to be said behind the reasons of cells, by the names of model and test."""
    notes = {}
    for model in plan.models:
        of_model = NOT_DETERMINISTIC if model.name in doubts else ""
        for test in plan.tests:
            of_kind = "" if kind_of(test).measures_data else kind_of(test).note(test, model)
            told = "; ".join(filter(None, [of_kind, of_model]))
            if told:
                notes[model.name, test.name] = told
    return notes


def _with_notes(cells: Sequence[Cell], notes: Mapping[tuple[str, str], str]) -> Sequence[Cell]:
    """The cells with what is to be said behind their reasons."""
    if not notes:
        return cells
    return [_with_note(cell, notes.get((cell.model.name, cell.test.name))) for cell in cells]


def _with_note(cell: Cell, note: str | None) -> Cell:
    if note is None:
        return cell
    return replace(cell, reason=f"{cell.reason}; {note}".removeprefix("; "))


def _compared_groups(judge: Judge, slice_set: SliceSet, block: Block) -> Iterator[Cell]:
    """The cells of tests that compare groups; those of one slice come one after the other."""
    parent = judge.plan.sets_by_name[str(slice_set.parent)]
    held: GroupedSlice | None = None
    keys = block.slice_keys()
    states = block.slices(judge.plan, keys)
    for at, key in enumerate(keys):
        values = key_values(key)
        if held is None or held.values != values[:-1]:
            if held is not None:
                yield from held.cells(judge)
            held = GroupedSlice(slice_set, parent, values[:-1])
        held.add(values, {number: on.slices[at] for number, on in states.items()})
    if held is not None:
        yield from held.cells(judge)


def _unmatched_groups(
    judge: Judge, cells: Sequence[Cell], chosen: Mapping[Slice, Mapping[int, RowCounts]]
) -> Iterator[Cell]:
    """The cells of tests that compare groups on slices without a row: no group has a state."""
    cell_keys = {(cell.slice, cell.test.name) for cell in cells}
    for where, counts in chosen.items():
        for test in judge.plan.tests_on(where.set_name):
            if test.group is not None and (where, test.name) not in cell_keys:
                empty = {
                    number: SliceEstimate(MetricValue(None, "empty"))
                    for number in counts
                    if judge.plan.is_about(test, judge.subjects[number])
                }
                yield from judge.group_cells(where, test, empty, counts)


def _read_meta(result: PartialResult, rows: Iterable[StateRow]) -> None:
    for row in rows:
        if row.family == FAILURE:
            for family, reason in read_failures(row.payload).items():
                result.failures[row.model, family] = reason
        elif row.family == CHANCE:
            result.doubts[_model_name(result.plan, row.model)] = row.payload.decode()
        elif row.family == NOTES:
            result.notes[row.model] = read_notes(row.payload)
        elif row.family == RESOURCES:
            took = read_resources(row.payload)
            of_model = _model_name(result.plan, row.model)
            if of_model:
                took[f"predict_cpu_seconds/{of_model}"] = took["predict_cpu_seconds"]
            add_resources(result.meters, took)
        elif row.family == METER:
            sums = decode(row.payload)
            assert isinstance(sums, Sums), "costs are sums"
            meter = dict(zip(METER_COLUMNS, sums.values.sum(axis=(0, 1)).tolist(), strict=True))
            of_model = _model_name(result.plan, row.model)
            if of_model:
                for part in ("predict_seconds", "predictions"):
                    meter[f"{part}/{of_model}"] = meter[part]
            for meter_name, cost in meter.items():
                result.meters[meter_name] = result.meters.get(meter_name, 0.0) + cost


def _model_name(plan: EvaluationPlan, number: int) -> str:
    """The name of a subject's model; "" of the data."""
    return (plan.subjects[number].model or NO_MODEL).name


def _best_thresholds(
    result: PartialResult, states: Mapping[int, Slices]
) -> dict[tuple[str, str], float]:
    """The threshold that is best for each aim and model, where its scores were kept."""
    thresholds = {}
    problem = result.plan.problem
    for best in ("f1", "youden", "cost") if problem.task is TaskKind.BINARY else ():
        metric = METRICS.get(f"best_threshold_{best}")
        for number, on in states.items():
            lost = any((number, key) in result.failures for key in ("", *_keys(metric, problem)))
            if lost or any(key not in on.families for key in _keys(metric, problem)):
                continue
            value = metric.value(problem, on).value
            if value is not None:
                thresholds[best, result.plan.models[number].digest] = value
    return thresholds


def _keys(metric: Metric, problem: Problem) -> list[str]:
    return [family.key for family in metric.needs(problem)]


def _draw(result: PartialResult, where: Slice, states: Mapping[int, Slices]) -> None:
    for number, on in states.items():
        if (number, "") in result.failures:
            continue
        model = result.plan.models[number].name
        result.curves += curves(result.plan.problem, on, model=model, slice_name=where.name)
        matrix = confusion(result.plan.problem, on, model=model, slice_name=where.name)
        if matrix is not None:
            result.confusion.append(matrix)
