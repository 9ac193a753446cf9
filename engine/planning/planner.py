"""From a suite to a plan: data taken into Delta, versions pinned, models found, all of it checked.

What is wrong with the inputs is found here, before any model predicts a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from engine.core.locations import Store
from engine.core.object_store import in_object_store
from engine.core.registry import nearest
from engine.core.vocabulary import (
    ColumnSpec,
    DatasetVersion,
    ModelVersion,
    Predictions,
)
from engine.data.columns import check_columns
from engine.data.kept_profiles import (
    Known,
    find_profile,
    find_stats,
    keep_profile,
    keep_stats,
    profile_digest,
    question_digest,
)
from engine.data.looks import check_predicates, count_rows, look_at, profile_of, update_look
from engine.data.personal import Look, find_personal
from engine.data.profile import Profile
from engine.data.reference_bins import reference_bins
from engine.data.source import Source, pin_source
from engine.delta.object_look import check_data
from engine.errors import DataError, EvalMatrixError, InputError
from engine.kinds import (
    Bins,
    Contrast,
    Query,
    contrast_of,
    kind_of,
    loss_columns,
    pin_bins,
    pin_test,
    query_of,
    trivial_of,
)
from engine.planning import (
    Columns,
    EvaluationPlan,
    check_fit,
    code_of,
    expand_tests,
    libraries,
    make_problem,
)
from engine.planning.classes import fit_classes
from engine.planning.decisions import settle_decision
from engine.planning.file_columns import check_marks, zeros_note
from engine.planning.inputs import fill_inputs
from engine.planning.model_finder import ModelFinder
from engine.planning.predictions import PredictionTables
from engine.planning.readings import tell_of_readings
from engine.planning.trivial import trivial_inputs, with_trivial
from engine.spark import table_errors
from engine.spark.lazy_session import LazySession
from engine.suite import Evaluation, Suite

# As many slices as lie together in one part of the states table.
BLOCK_SLICES = 1024

Say = Callable[[str], None]
Pin = Callable[[Evaluation], Source]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An evaluation that can run: its plan, and about how many slices it has.

    `personal` are columns that look personal and of which the suite says nothing.
    """

    plan: EvaluationPlan
    slices: int
    personal: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True)
class _Look:
    """An evaluation whose dataset is pinned, with its profile where one is kept."""

    evaluation: Evaluation
    source: Source
    digest: str
    profile: Profile | None
    reference: _Look | None = None

    @property
    def is_new(self) -> bool:
        """Whether rows of it, or of its reference, have to be looked at."""
        beside = self.reference
        return self.profile is None or (beside is not None and beside.profile is None)


def prepare(
    session: LazySession,
    suite: Suite,
    *,
    finder: ModelFinder,
    say: Say = lambda text: None,
    scans: bool = True,
) -> list[Prepared]:
    """Pins and checks the evaluations of a suite.

    Args:
        session: the session, which is started where only Spark can tell what is asked.
        suite: the suite.
        finder: finds its models.
        say: is told what is done.
        scans: whether rows are scanned thereafter: then the session, where it may be started, is
            begun beside all this as soon as it is known that a version is new.

    Raises:
        DataError: for a dataset that is missing, empty, or does not have what is asked of it.
        ModelError: for a model that is not found or does not fit the data.
    """
    store = Store(suite.store)
    places = _places(suite)
    for place in filter(in_object_store, places):
        check_data(place)
    session.require(suite.store, *places)
    looks = []
    for evaluation in suite.evaluations:
        say(f"{evaluation.name}: pinning the dataset")
        pin = partial(
            pin_source, session, store, wanted=_signature_types(suite, evaluation, finder), say=say
        )
        looks.append(_look(pin, store, evaluation))
        if scans and looks[-1].is_new:
            session.begin()
    return [_prepare(suite, store, look, finder, say) for look in looks]


def _places(suite: Suite) -> list[str]:
    """Where the datasets lie."""
    sources = [
        source
        for evaluation in suite.evaluations
        for source in (evaluation.dataset, evaluation.reference)
    ]
    return [source.uri for source in sources if source is not None]


def _signature_types(suite: Suite, evaluation: Evaluation, finder: ModelFinder) -> dict[str, str]:
    """The types that signatures give the columns of CSV files, of all who read these files.

    What they do not agree on is left out.
    """
    if "csv" not in (
        evaluation.dataset.format,
        evaluation.reference and evaluation.reference.format,
    ):
        return {}
    types: dict[str, set[str]] = {}
    for other in suite.evaluations:
        if other is evaluation or other.dataset.name == evaluation.dataset.name:
            for model in finder.models(other):
                for name, spec in zip(model.features, model.inputs, strict=False):
                    if isinstance(spec, ColumnSpec) and spec.type is not None:
                        types.setdefault(name, set()).add(spec.type)
    return {name: kinds.pop() for name, kinds in types.items() if len(kinds) == 1}


def _look(pin: Pin, store: Store, evaluation: Evaluation) -> _Look:
    source = pin(evaluation)
    check_columns(source.schema, evaluation)
    digest = profile_digest(source, evaluation)
    look = _Look(evaluation, source, digest, find_profile(store, digest))
    asked = any(kind_of(test).reads_reference for test in evaluation.tests)
    if evaluation.reference is None or not asked:
        return look
    return replace(look, reference=_look_beside(pin, store, evaluation))


def _look_beside(pin: Pin, store: Store, evaluation: Evaluation) -> _Look:
    """The reference, of which only the rows are counted: its slices are those of the dataset."""
    assert evaluation.reference is not None, "it is asked for"
    beside = replace(evaluation, dataset=evaluation.reference, reference=None)
    source = pin(beside)
    check_columns(source.schema, beside)
    digest = f"{profile_digest(source, beside)}-rows"
    return _Look(beside, source, digest, find_profile(store, digest))


def _prepare(suite: Suite, store: Store, look: _Look, finder: ModelFinder, say: Say) -> Prepared:
    evaluation, source, seen = look.evaluation, look.source, look.profile
    if seen is None:
        check_predicates(source, evaluation)
    count = len(evaluation.models)
    say(f"{evaluation.name}: finding {count} model{'' if count == 1 else 's'}")
    tables = PredictionTables(store, source, evaluation)
    models = tuple(
        fill_inputs(model, evaluation, source.schema)
        for model in tables.pin(finder.models(evaluation))
    )
    check_marks(source, evaluation, models)
    if note := zeros_note(source, models):
        say(f"{evaluation.name}: {note}")
    if seen is None:
        say(f"{evaluation.name}: looking at the labels")
        seen = _profile(store, source, evaluation)
        keep_profile(store, look.digest, seen)
    tables.check()
    dataset = source.dataset(evaluation.dataset.name, seen.rows)
    settle = partial(settle_decision, store=store, source=source, evaluation=evaluation)
    plan = _plan(suite, evaluation, models, (dataset, seen), settle)
    tell_of_readings(plan, say)
    if look.reference is not None:
        say(f"{evaluation.name}: looking at the reference")
        inputs = trivial_inputs(plan, evaluation.dataset.features)
        plan = _with_reference(store, look.reference, plan, inputs.columns, say)
        plan = with_trivial(store, plan, inputs, look.reference.source, say)
    own = evaluation.dataset
    personal = find_personal(store, source).without((*own.sensitive, *own.public)).columns
    for column in personal:
        say(f"{evaluation.name}: {column}")
    return Prepared(plan, seen.slices, personal)


def _with_reference(
    store: Store, look: _Look, plan: EvaluationPlan, fitted_on: Sequence[str], say: Say
) -> EvaluationPlan:
    """The plan with that of the reference dataset, which has what models and tests read.

    `fitted_on` are the columns that trivial models read.
    """
    name, source, seen = look.evaluation.dataset.name, look.source, look.profile
    types, wanted = dict(plan.dataset.schema), dict.fromkeys(fitted_on)
    reading = [test for test in plan.tests if kind_of(test).reads_reference]
    reading = [test for test in reading if not trivial_of(test)]
    asked: list[Query | Contrast | None] = [
        query_of(test, plan.setting) or contrast_of(test, plan.setting) for test in reading
    ]
    if not all(asked):
        # A scan of it reads what models and tests read.
        for model in plan.models:
            if model.table is None:
                wanted.update(dict.fromkeys(model.features))
        for test in plan.tests:
            wanted.update({family.column: None for family in kind_of(test).column_families(test)})
            wanted.update(dict.fromkeys(loss_columns(test, plan.problem)))
    for question in asked:
        wanted.update(dict.fromkeys(() if question is None else question.columns))
    there = dict(source.schema)
    missing = [column for column in wanted if column not in there]
    if missing:
        close = nearest(missing[0], there)
        hint = f"; nearest to {missing[0]!r} is {close!r}" if close else ""
        raise DataError(
            f"evaluation {plan.name!r}: the reference {name!r} lacks the columns {missing}, which "
            f"the dataset has{hint}"
        )
    for column in wanted:
        if there[column] != types.get(column):
            raise DataError(
                f"evaluation {plan.name!r}: the column {column!r} is {there[column]} in the "
                f"reference {name!r} and {types.get(column)} in the dataset; expected one type"
            )
    if seen is None:
        seen = _count_rows(look)
        keep_profile(store, look.digest, seen)
    dataset = source.dataset(name, seen.rows)
    binned = {column for test in reading for column in kind_of(test).bins(test)}
    if binned:
        bins = reference_bins(store, source, name, look.digest, binned)
        plan = _with_bins(plan, bins, say)
    return plan.beside(dataset)


def _with_bins(plan: EvaluationPlan, bins: Mapping[str, Bins], say: Say) -> EvaluationPlan:
    """The plan with the bins of its reference in its tests, without tests that have none."""
    try:
        tests, left_out = pin_bins(plan.tests, bins)
    except InputError as error:
        raise InputError(f"evaluation {plan.name!r}: {error}") from error
    for test in left_out:
        say(
            f"{plan.name}: {test.name!r} is left out: most rows of the reference have values that "
            "fewer than one in a thousand rows have, so there are no bins"
        )
    return replace(plan, tests=tests)


def _count_rows(look: _Look) -> Profile:
    """How many rows a reference has, whose predicates are looked at as well."""
    name = look.evaluation.dataset.name
    check_predicates(look.source, look.evaluation)
    try:
        rows = count_rows(look.source)
    except Exception as error:
        raise table_errors.read_error(error, f"reference {name!r}") from error
    if not rows:
        raise DataError(
            f"evaluation {look.evaluation.name!r}: the reference {name!r} has no rows at this "
            "version"
        )
    return Profile(rows, (), (), 0)


def _profile(store: Store, source: Source, evaluation: Evaluation) -> Profile:
    """The profile of a version that is new; of one to which rows were appended by these alone."""
    question = question_digest(source, evaluation)
    known, stats = find_stats(store, question), None
    try:
        if (
            known is not None
            and known.version < source.version
            and source.has_version(known.version, known.timestamp)
        ):
            stats = update_look(source, known.version, evaluation, known.stats)
        if stats is None:
            stats = look_at(source, evaluation)
        seen = profile_of(source, stats, evaluation)
        keep_stats(store, question, Known(source.version, source.timestamp.isoformat(), stats))
        return seen
    except EvalMatrixError:
        raise
    except Exception as error:
        raise table_errors.read_error(error, f"dataset {evaluation.dataset.name!r}") from error


def _plan(
    suite: Suite,
    evaluation: Evaluation,
    models: tuple[ModelVersion, ...],
    data: tuple[DatasetVersion, Profile],
    settle: Callable[[ModelVersion], ModelVersion],
) -> EvaluationPlan:
    dataset, seen = data
    source = evaluation.dataset
    try:
        problem = make_problem(
            source.task,
            models,
            labels=seen.labels,
            positive_label=source.positive_label,
            classes=source.classes,
        )
        models = tuple(settle(fit_classes(model, problem, source.classes)) for model in models)
    except InputError as error:
        raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
    problem = replace(problem, costs=evaluation.costs)
    plan = EvaluationPlan(
        name=evaluation.name,
        dataset=dataset,
        columns=Columns(
            source.label,
            source.weight,
            source.key,
            source.cluster,
            source.sensitive,
            source.query,
        ),
        problem=problem,
        models=models,
        baseline=evaluation.baseline,
        slice_sets=seen.slice_sets,
        tests=evaluation.tests,
        min_slice_rows=evaluation.min_slice_rows,
        max_slices=evaluation.max_slices,
        plugins=suite.plugins,
        confidence=suite.confidence,
        correction=suite.false_alarms.within,
        over_runs=suite.false_alarms.over_runs,
        rows_per_cluster=seen.rows_per_cluster,
        libraries=libraries(models),
        keep=evaluation.predictions is Predictions.KEEP,
        timeout=evaluation.timeout,
        memory=evaluation.memory,
    )
    tests = expand_tests(evaluation.tests, plan.setting)
    facts = seen.spreads, seen.column_values, seen.ranges
    plan = replace(plan, tests=tuple(pin_test(test, *facts) for test in tests))
    check_fit(plan)
    return replace(plan, code=code_of(plan), blocks=_blocks(plan, seen))


def _blocks(plan: EvaluationPlan, seen: Profile) -> tuple[tuple[str, int], ...]:
    """Into how many parts the states of the larger slice sets go."""
    blocks = []
    for name, by in ((one.name, one.dimensions) for one in plan.scanned_sets):
        sizes = [len(d.edges) + 3 if d.edges else seen.values.get(d.column, 3) for d in by]
        slices = min(prod(sizes), plan.dataset.rows)
        if slices > BLOCK_SLICES:
            blocks.append((name, 1 << (slices // BLOCK_SLICES).bit_length()))
    return tuple(blocks)
