"""One evaluation with everything pinned, and what can be read from it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from engine.core.vocabulary import (
    LATER,
    Columns,
    DatasetVersion,
    Dimension,
    ModelTest,
    ModelVersion,
    Output,
    OverRuns,
    SliceSet,
    TaskKind,
    Variant,
    Within,
    plain,
)
from engine.errors import DataError
from engine.kinds import Setting, asks_beside, kind_of, trivial_of, variants_of
from engine.kinds.metric import ANY_THRESHOLD
from engine.metrics import Problem, Sampling
from engine.planning.subjects import Subject
from engine.planning.test_names import free_name
from engine.states import ColumnFamily, Confusion, Family, PairFamily, Scores

MAX_PICTURED_CLASSES = 20

AnyFamily = Family | ColumnFamily


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """One evaluation with everything pinned: it takes one scan of its dataset version.

    `libraries` are the versions of the models' frameworks by flavour, `code` the digests of the
    modules of users' own metrics (None for one that cannot be read), `blocks` into how many parts
    the states of a slice set go (1 where none is named). With `keep`, predictions are stored.
    `timeout` and `memory` are the seconds and bytes that a model may take for a batch. `reference`
    is the plan of another dataset, for what tests ask of that. `numbered` are the variants (None
    for the data) in the order of their numbers, where it is not that of the tests: a run that is
    judged by other tests keeps the numbers of its states. `trivial` are the models that are fitted
    on the reference, for the others to be better than. `started_at` is when its run
    began, for tests that ask how old something is.
    """

    name: str
    dataset: DatasetVersion
    columns: Columns
    problem: Problem
    models: tuple[ModelVersion, ...]
    baseline: str | None
    slice_sets: tuple[SliceSet, ...]
    tests: tuple[ModelTest, ...]
    min_slice_rows: int
    max_slices: int
    plugins: tuple[str, ...] = ()
    confidence: float = 0.95
    correction: Within = Within.BH
    over_runs: OverRuns = OverRuns.NONE
    rows_per_cluster: float = 1.0
    libraries: tuple[tuple[str, str], ...] = ()
    code: tuple[tuple[str, str | None], ...] = ()
    blocks: tuple[tuple[str, int], ...] = ()
    keep: bool = False
    timeout: float = 1800.0
    memory: int | None = None
    reference: EvaluationPlan | None = field(default=None, metadata=LATER)
    numbered: tuple[Variant | None, ...] = field(default=(), metadata=LATER)
    trivial: tuple[ModelVersion, ...] = field(default=(), metadata=LATER)
    started_at: dt.datetime | None = field(default=None, metadata=LATER)

    def beside(self, dataset: DatasetVersion) -> EvaluationPlan:
        """The same plan with what its tests ask of a reference dataset, if they ask anything.

        It is a plan of its own: it has the same slices and blocks, its states have names, are kept
        and brought up to date like others.
        """
        asking = [test for test in self.tests if kind_of(test).reads_reference]
        if not asking:
            return replace(self, reference=None)
        # A query and a contrast read the rows themselves, a probe is of a model, a trivial model is
        # fitted by then: none of them asks for states of the rows.
        setting = self.setting
        tests = tuple(
            test for test in asking if not asks_beside(test, setting) and not trivial_of(test)
        )
        # No suite can write such a name.
        reference = replace(
            self,
            name=f"{self.name}\treference",
            dataset=dataset,
            tests=tests,
            baseline=None,
            keep=False,
            reference=None,
            numbered=(),
            trivial=(),
        )
        return replace(self, reference=reference)

    def number_in_reference(self, number: int) -> int | None:
        """The number that a subject has in the reference's plan; None where it is in none."""
        if self.reference is None:
            return None
        own = self.subjects[number]
        for subject in self.reference.subjects:
            if (subject.model, subject.variant) == (own.model, own.variant):
                return subject.number
        return None

    @property
    def base(self) -> int | None:
        """The place of the baseline among the models."""
        names = [model.name for model in self.models]
        return names.index(self.baseline) if self.baseline in names else None

    @property
    def setting(self) -> Setting:
        """What the kinds of tests are asked about."""
        types = dict(self.dataset.schema)
        return Setting(self.problem, self.models, self.baseline, self.columns, types)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that tests ask for, each once, behind those that it is made of."""
        asked = (variant for test in self.tests for variant in variants_of(test))
        known = (variant for variant in asked if variant is not None)
        return tuple(dict.fromkeys(one for variant in known for one in (*variant.members, variant)))

    @property
    def subject_order(self) -> tuple[Variant | None, ...]:
        """The variants in the order of their numbers; None stands for the data."""
        of_data = any(kind_of(test).measures_data for test in self.tests)
        asked: list[Variant | None] = [*self.variants, *([None] if of_data else [])]
        return tuple(dict.fromkeys([*self.numbered, *asked]))

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All that has states, by its number."""
        base = self.base
        subjects = [
            Subject(n, model, None, None if n == base else base)
            for n, model in enumerate(self.models)
        ]
        places: dict[Variant, int] = {}
        subjects += [Subject(len(self.models) + n, model) for n, model in enumerate(self.trivial)]
        for variant in self.subject_order:
            if variant is None:
                subjects.append(Subject(len(subjects)))
                continue
            first = places[variant] = len(subjects)
            rival = None if base is None else first + base
            for n, model in enumerate(self.models):
                behind = tuple(places[member] + n for member in variant.members)
                members = (n, *behind) if behind else ()
                subjects.append(Subject(first + n, model, variant, n, rival, members))
        return tuple(subjects)

    @property
    def tests_models(self) -> bool:
        """Whether any test is about what models predict: else none does in the scan."""
        return any(self._reads_predictions(test) for test in self.tests)

    def _reads_predictions(self, test: ModelTest) -> bool:
        kind = kind_of(test)
        if kind.measures_data:
            return False
        return bool(kind.families(test, self.problem) or kind.pair_families(test, self.problem))

    def is_about(self, test: ModelTest, subject: Subject) -> bool:
        """Whether a test has cells of a subject."""
        if subject.is_trivial:
            return False
        if subject.model is None:
            return kind_of(test).measures_data
        return subject.variant in variants_of(test)

    def trivial_numbers(self, test: ModelTest) -> dict[str, int]:
        """The numbers of the trivial models that a test's are held against, by their kinds."""
        kinds = [model.trivial_kind for model in self.trivial]
        known = [kind for kind in trivial_of(test) if kind in kinds]
        return {kind: len(self.models) + kinds.index(kind) for kind in known}

    @property
    def bucket_columns(self) -> tuple[str, ...]:
        """The columns by which a row is put in a bucket: its cluster, its query, its key."""
        whole = self.columns.cluster or self.columns.query
        return self.row_columns if whole is None else (whole,)

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The columns that tell a row from others: its key, else all of it."""
        return self.columns.key or tuple(name for name, _ in self.dataset.schema)

    @property
    def sets_by_name(self) -> dict[str, SliceSet]:
        return {slice_set.name: slice_set for slice_set in self.slice_sets}

    @property
    def group_sets(self) -> tuple[SliceSet, ...]:
        """The slices of tests that compare groups, cut by the groups; they have no cells."""
        sets: dict[tuple[str, str], SliceSet] = {}
        taken = {slice_set.name for slice_set in self.slice_sets}
        for test in self.tests:
            for parent in self.slice_sets if test.group is not None else ():
                key = (parent.name, str(test.group))
                if parent.name in test.slice_sets and key not in sets:
                    group_set = _groups(parent, key[1])
                    sets[key] = replace(group_set, name=free_name(group_set.name, taken))
                    taken.add(sets[key].name)
        return tuple(sets.values())

    @property
    def scanned_sets(self) -> tuple[SliceSet, ...]:
        """All slice sets that the scan makes states of."""
        return (*self.slice_sets, *self.group_sets)

    @property
    def sampling(self) -> Sampling:
        """How the rows came: with weights, in clusters. Of a ranking, how its queries did."""
        columns = self.columns
        if self.problem.task is TaskKind.RANKING:
            # A query counts 1, whatever its rows weigh, and is no cluster of itself.
            clustered = columns.cluster not in (None, columns.query)
            return Sampling(False, clustered, self.rows_per_cluster if clustered else 1.0)
        clustered = columns.cluster is not None and columns.key != (columns.cluster,)
        return Sampling(columns.weight is not None, clustered, self.rows_per_cluster)

    @property
    def data_sampling(self) -> Sampling:
        """How the rows came, where each counts 1: of the states of columns."""
        return Sampling(False, self.columns.are_clustered, self.rows_per_cluster)

    def tests_on(self, set_name: str) -> list[ModelTest]:
        """The tests that apply to the slices of a set."""
        return [test for test in self.tests if set_name in test.slice_sets]

    def tests_reading(self, slice_set: SliceSet) -> list[ModelTest]:
        """The tests whose figures are made of the states of a set's slices."""
        if slice_set.parent is None:
            return [test for test in self.tests_on(slice_set.name) if test.group is None]
        group = slice_set.dimensions[-1].column
        return [test for test in self.tests_on(slice_set.parent) if test.group == group]

    def families(self, slice_set: SliceSet, subject: Subject) -> tuple[AnyFamily, ...]:
        """The states to keep of a subject on a slice set: what its tests and pictures need."""
        by_key: dict[str, AnyFamily] = {}
        for test in self.tests_reading(slice_set):
            for family in self._families_of_test(test, subject):
                by_key.setdefault(family.key, family)
        if slice_set.kind == "overall" and subject.is_clean and self.tests_models:
            assert subject.model is not None, "it is a model"
            for family in self._picture_families(subject.model):
                by_key.setdefault(family.key, family)
        return tuple(by_key.values())

    def _families_of_test(self, test: ModelTest, subject: Subject) -> Sequence[AnyFamily]:
        kind = kind_of(test)
        if subject.model is None:
            return kind.column_families(test) if kind.measures_data else ()
        if subject.is_trivial:
            held_against = subject.number in self.trivial_numbers(test).values()
            return kind.families(test, self.problem) if held_against else ()
        # A model as it is has what its variants are compared with.
        variants = variants_of(test)
        needed = subject.variant in variants or (subject.is_clean and len(variants) > 0)
        return kind.families(test, self.problem) if needed else ()

    def pair_families(self, slice_set: SliceSet, subject: Subject) -> tuple[PairFamily, ...]:
        """The states to keep of a subject beside that with which it is compared."""
        if subject.reference is None:
            return ()
        by_key: dict[str, PairFamily] = {}
        simple = not (self.sampling.weighted or self.sampling.clustered)
        for test in self.tests_reading(slice_set):
            if self.is_about(test, subject):
                for family in kind_of(test).pair_families(test, self.problem):
                    if simple or not family.simple_only:
                        by_key.setdefault(family.key, family)
        return tuple(by_key.values())

    def _picture_families(self, model: ModelVersion) -> list[Family]:
        problem = self.problem
        one_of_classes = problem.task in (TaskKind.BINARY, TaskKind.MULTICLASS)
        if not one_of_classes or problem.n_classes > MAX_PICTURED_CLASSES:
            return []
        if model.output is Output.LABEL:
            return [Confusion(problem.n_classes)]
        binary = problem.task is TaskKind.BINARY
        shown = [problem.positive] if binary else range(problem.n_classes)
        return [Confusion(problem.n_classes), *(Scores(k) for k in shown)]

    @property
    def digest(self) -> str:
        """SHA-256 of what the states depend on: models, dataset version, columns, slices, metrics.

        Two plans of one digest have the same states, whatever they are called and demand.
        """
        about = {
            "dataset": [self.dataset.table_id, self.dataset.version],
            "columns": replace(self.columns, sensitive=()),
            "problem": replace(self.problem, is_ordered=True),
            "baseline": [m.digest for m in self.models if m.name == self.baseline],
            "models": [m.reading for m in self.models],
            "slice_sets": self.slice_sets,
            "metrics": sorted(
                {
                    (test.metric_at(ANY_THRESHOLD), test.group or "", *test.slice_sets)
                    for test in self.tests
                    if test.kind == "metric"
                }
                | {
                    (f"{test.kind} {test.parameters}", test.metric, *test.slice_sets)
                    for test in self.tests
                    if test.kind != "metric"
                }
            ),
            "plugins": self.plugins,
            **({} if self.reference is None else {"reference": self.reference.digest}),
            **({"trivial": [m.reading for m in self.trivial]} if self.trivial else {}),
        }
        return _digest(about)

    @property
    def judging_digest(self) -> str:
        """SHA-256 of what the verdicts depend on: the states, and what is demanded of them."""
        about = [self.digest, self.tests, self.min_slice_rows, self.confidence]
        about += [self.correction, self.over_runs]
        return _digest(about)


def _groups(parent: SliceSet, group: str) -> SliceSet:
    dimensions = (*parent.dimensions, Dimension(group))
    name = f"groups of {group} in {parent.name}"
    return SliceSet(name, "groups", dimensions, parent.where, parent.name)


def _digest(about: object) -> str:
    return hashlib.sha256(json.dumps(plain(about), sort_keys=True).encode()).hexdigest()


_ADAPTER: TypeAdapter[tuple[EvaluationPlan, ...]] = TypeAdapter(tuple[EvaluationPlan, ...])


def dump_plans(plans: Sequence[EvaluationPlan]) -> str:
    """Plans as JSON, from which `load_plans` makes equal ones."""
    return json.dumps(plain(tuple(plans)), default=str)


def load_plans(text: str) -> tuple[EvaluationPlan, ...]:
    """The plans that `dump_plans` wrote."""
    return _ADAPTER.validate_json(text)


def refuse_many(plan: EvaluationPlan, set_name: str, count: int) -> None:
    """Raises DataError when a slice set has more slices than the plan allows."""
    if count > plan.max_slices:
        raise DataError(
            f"evaluation {plan.name!r}: the slices by {set_name!r} are more than max_slices "
            f"({plan.max_slices:,}); slice by a column of fewer values, or raise max_slices"
        )
