"""One evaluation with everything pinned, and what can be read from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from engine.core.vocabulary import (
    DatasetVersion,
    Dimension,
    ModelTest,
    ModelVersion,
    Output,
    OverRuns,
    SliceSet,
    TaskKind,
    Within,
    plain,
)
from engine.errors import DataError
from engine.metrics import METRICS, Problem, Sampling
from engine.planning.test_names import free_name
from engine.states import Confusion, Family, PairFamily, Scores

MAX_PICTURED_CLASSES = 20
# A metric needs the same states at all thresholds.
ANY_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the dataset and what each is for."""

    label: str
    weight: str | None = None
    key: tuple[str, ...] = ()
    cluster: str | None = None
    sensitive: tuple[str, ...] = ()
    query: str | None = None


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """One evaluation with everything pinned: it takes one scan of its dataset version.

    `libraries` are the versions of the models' frameworks by flavour, `code` the digests of the
    modules of users' own metrics (None for one that cannot be read), `blocks` into how many parts
    the states of a slice set go (1 where none is named). With `keep`, predictions are stored.
    `timeout` and `memory` are the seconds and bytes that a model may take for a batch.
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

    @property
    def base(self) -> int | None:
        """The place of the baseline among the models."""
        names = [model.name for model in self.models]
        return names.index(self.baseline) if self.baseline in names else None

    @property
    def bucket_columns(self) -> tuple[str, ...]:
        """The columns by which a row is put in a bucket: its cluster, its query, its key."""
        whole = self.columns.cluster or self.columns.query
        if whole is not None:
            return (whole,)
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

    def tests_on(self, set_name: str) -> list[ModelTest]:
        """The tests that apply to the slices of a set."""
        return [test for test in self.tests if set_name in test.slice_sets]

    def tests_reading(self, slice_set: SliceSet) -> list[ModelTest]:
        """The tests whose figures are made of the states of a set's slices."""
        if slice_set.parent is None:
            return [test for test in self.tests_on(slice_set.name) if test.group is None]
        group = slice_set.dimensions[-1].column
        return [test for test in self.tests_on(slice_set.parent) if test.group == group]

    def families(self, slice_set: SliceSet, model: ModelVersion) -> tuple[Family, ...]:
        """The states to keep of a model on a slice set: what its tests and its pictures need."""
        by_key: dict[str, Family] = {}
        for test in self.tests_reading(slice_set):
            metric = METRICS.get(test.metric_at(ANY_THRESHOLD))
            of_baseline = metric.of_baseline(self.problem) if metric.of_baseline else ()
            for family in (*metric.families(self.problem, compared=False), *of_baseline):
                if isinstance(family, Family):
                    by_key.setdefault(family.key, family)
        if slice_set.kind == "overall":
            for family in self._picture_families(model):
                by_key.setdefault(family.key, family)
        return tuple(by_key.values())

    def pair_families(self, slice_set: SliceSet, model: ModelVersion) -> tuple[PairFamily, ...]:
        """The states to keep of a model beside the baseline; none of the baseline itself."""
        if self.baseline is None or model.name == self.baseline:
            return ()
        by_key: dict[str, PairFamily] = {}
        for test in self.tests_reading(slice_set):
            metric = METRICS.get(test.metric_at(ANY_THRESHOLD))
            for family in metric.families(self.problem, compared=True):
                if isinstance(family, PairFamily):
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
            "problem": self.problem,
            "baseline": [m.digest for m in self.models if m.name == self.baseline],
            "models": [[m.digest, m.output, m.classes, m.inputs, m.features] for m in self.models],
            "slice_sets": self.slice_sets,
            "metrics": sorted(
                {
                    (test.metric_at(ANY_THRESHOLD), test.group or "", *test.slice_sets)
                    for test in self.tests
                }
            ),
            "plugins": self.plugins,
        }
        return _digest(about)

    @property
    def judging_digest(self) -> str:
        """SHA-256 of what the verdicts depend on: the states, and what is demanded of them."""
        return _digest([self.digest, self.tests, self.min_slice_rows, self.confidence,
                        self.correction, self.over_runs])  # fmt: skip


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
