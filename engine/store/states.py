"""The states that a store keeps, and which of them an evaluation can use.

A state is known by its name (`engine.planning.Need`) and the version of the dataset it was made of;
it does not matter which run made it. What a run itself made is known by its place as well.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.delta.filters import Filter
from engine.errors import InputError
from engine.planning import EvaluationPlan, Need, Question, distinct_questions, needs
from engine.states.rows import (
    ANSWER,
    CHANCE,
    FAILURE,
    IRREVERSIBLE,
    METER,
    NOTES,
    PREDICTIONS,
    RESOURCES,
    STATES_VERSION,
    read_failures,
)
from engine.store.answers import Answer, Answers, find_answers
from engine.store.tables import StoreTable

Place = tuple[int, str, str]

WRITER = ("run_id", "evaluation", "step")
ROW = ("slice_set", "block", "model", "family", "slice_keys", "payload")

SMALL_BYTES = 256 * 2**20
"""As many bytes of files as the driver reads states from by itself."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Which scan wrote states: of a run, of an evaluation, and which of its scans."""

    run_id: str
    evaluation: str
    step: str

    def is_of(self, run_id: str, plan: EvaluationPlan) -> bool:
        return (self.run_id, self.evaluation) == (run_id, plan.name)


@dataclass(frozen=True, slots=True)
class Kept:
    """One state that is kept: its name, what it was made of, and who wrote it.

    Of predictions, `chain` are the versions at which they were made, see `store.predictions`.
    """

    state: str | None
    place: Place
    version: int
    writer: Writer
    blocks: int
    chain: tuple[int, ...] = ()


@dataclass(slots=True)
class StateCatalog:
    """What a store keeps of a dataset, as far as an evaluation could use it.

    `failed` are the reasons of this run's own failures by model and family; `lost` are the places
    of states that could not be taken from others, with the reason. `unread` is set where a scan has
    just written what is believed to be kept, and its notes have not been read. `reference` is that
    of the plan's reference dataset. `answers` are those of the run itself, `other_answers` those
    that others left.
    """

    plan: EvaluationPlan
    run_id: str
    kept: list[Kept] = field(default_factory=list)
    failed: dict[tuple[int, str], str] = field(default_factory=dict)
    lost: dict[Place, str] = field(default_factory=dict)
    unread: bool = False
    fresh: tuple[str, pa.Table] | None = None
    own_steps: set[str] = field(default_factory=set)
    reference: StateCatalog | None = None
    answers: dict[tuple[int, str, str], Answer] = field(default_factory=dict)
    other_answers: dict[tuple[int, str, str], Answer] = field(default_factory=dict)
    needs: tuple[Need, ...] = field(init=False)
    questions: tuple[Question, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs(self.plan)
        self.questions = distinct_questions(self.plan)

    def usable(self, version: int, without: Iterable[Writer] = ()) -> dict[Place, Kept]:
        """The kept state of each need at a version of the dataset, where there is one.

        Of several that are the same, the run's own comes first, then the oldest.
        """
        passed = set(without)
        by_state: dict[str, Kept] = {}
        by_place: dict[Place, Kept] = {}
        for entry in self.kept:
            if entry.version != version or entry.writer in passed:
                continue
            if entry.writer.is_of(self.run_id, self.plan):
                by_place[entry.place] = entry
            if entry.state is not None:
                by_state.setdefault(entry.state, entry)
        chosen = {}
        for need in self.needs:
            kept = by_place.get(need.place)
            if kept is None and need.state is not None:
                kept = by_state.get(need.state)
            if kept is not None:
                chosen[need.place] = kept
        return _alike(chosen)

    def has_failed(self, need: Need) -> bool:
        """Whether this run has tried, and the model or what is made of it failed."""
        places = {(need.model, ""), (need.model, need.family)}
        reference = self.plan.subjects[need.model].reference
        if need.paired and reference is not None:
            places.add((reference, ""))
        return not self.failed.keys().isdisjoint(places)

    def add_own(
        self, block_counts: Mapping[Place, int], step: str, rows: pa.Table | None = None
    ) -> None:
        """Adds what a scan of the run has just written, by place, with the number of its parts.

        `rows` are its states where the driver has them.
        """
        writer, version = Writer(self.run_id, self.plan.name, step), self.plan.dataset.version
        states = {need.place: need.state for need in self.needs}
        self.kept += [
            Kept(states[place], place, version, writer, blocks)
            for place, blocks in block_counts.items()
        ]
        self.unread = True
        self.fresh = None if rows is None else (step, rows)

    def forget_others(self) -> None:
        """Leaves only what the run itself has made."""
        self.kept = [entry for entry in self.kept if entry.writer.is_of(self.run_id, self.plan)]
        self.other_answers.clear()
        if self.reference is not None:
            self.reference.forget_others()

    @property
    def known_answers(self) -> Answers:
        """What is known of the questions, the run's own first."""
        return {**self.other_answers, **self.answers}

    @property
    def open_questions(self) -> list[Question]:
        """What is asked and has no answer yet, nor was tried by the run in vain."""
        known = self.known_answers
        return [question for question in self.questions if question.place not in known]

    @property
    def versions(self) -> list[int]:
        """The versions of the dataset that there are states of, the nearest first."""
        pinned = self.plan.dataset.version
        return sorted({entry.version for entry in self.kept}, key=lambda v: (abs(v - pinned), -v))


def blocks_of(kept: Mapping[Place, Kept]) -> dict[str, int]:
    """Into how many parts the states of each slice set go."""
    return {slice_set: entry.blocks for (_, slice_set, _), entry in kept.items()}


class NotUpdatedError(Exception):
    """Kept states could not be brought up to date, for the reason that is told."""


def _alike(kept: Mapping[Place, Kept]) -> dict[Place, Kept]:
    """Those that lie in as many parts as most of their slice set: others do not fit beside them."""
    counts: dict[str, Counter[int]] = {}
    for (_, slice_set, _), entry in kept.items():
        counts.setdefault(slice_set, Counter())[entry.blocks] += 1
    usual = {
        name: max(counter, key=lambda blocks: (counter[blocks], blocks))
        for name, counter in counts.items()
    }
    return {place: entry for place, entry in kept.items() if entry.blocks == usual[place[1]]}


def find_states(
    table: StoreTable, plan: EvaluationPlan, *, run_id: str, reuse: bool = True
) -> StateCatalog:
    """Looks up what a store keeps that an evaluation of a run could use.

    Without `reuse` that is what the run itself has left, and no file of another is opened.
    """
    catalog = StateCatalog(plan, run_id)
    of_run: list[Filter] = [] if reuse else [("run_id", "=", run_id)]
    _sort_out(catalog, _catalog_rows(table, plan, of_run))
    asked = catalog.questions
    catalog.answers, catalog.other_answers = find_answers(
        table, plan, asked, run_id=run_id, where=of_run
    )
    if plan.reference is not None:
        catalog.reference = find_states(table, plan.reference, run_id=run_id, reuse=reuse)
    if not reuse:
        catalog.forget_others()
    return catalog


def _catalog_rows(
    table: StoreTable, plan: EvaluationPlan, of_run: Sequence[Filter]
) -> list[dict[str, Any]]:
    """What the states of a dataset and its models are of, and what the notes on them say."""
    if not table.exists() or "state" not in table.columns():  # none, or of an older version
        return []
    where: list[Filter] = [
        *of_run,
        ("dataset_id", "=", plan.dataset.table_id),
        ("schema_version", "=", STATES_VERSION),
        ("model_digest", "in", sorted({subject.digest for subject in plan.subjects})),
    ]
    about = ["slice_set", "model", "family", "dataset_version", "created_at", *WRITER]
    states = table.rows(["state", "blocks", *about], [*where, ("slice_set", "!=", "")], spares=True)
    notes = table.rows(
        ["state", "blocks", *about, "slice_keys", "payload"],
        [*where, ("slice_set", "=", ""), ("family", "!=", ANSWER)],
        spares=True,
    ).rename_columns({"payload": "note", "slice_keys": "about"})
    rows = [*states.to_pylist(), *notes.to_pylist()]
    # A stable order: the families of one scan have one time.
    return sorted(rows, key=lambda row: (row["created_at"], *(row[name] for name in WRITER)))


def _sort_out(catalog: StateCatalog, rows: Sequence[Mapping[str, Any]]) -> None:
    failed: set[tuple[Writer, int, str]] = set()
    entries: dict[tuple[Writer, Place], Kept] = {}
    for row in rows:
        writer = Writer(*(row[name] for name in WRITER))
        model, family = row["model"], row["family"]
        own = writer.is_of(catalog.run_id, catalog.plan)
        if own:
            catalog.own_steps.add(writer.step)
        if family == FAILURE:
            reasons = read_failures(row["note"])
            failed |= {(writer, model, name) for name in reasons}
            if own:
                catalog.failed |= {(model, name): why for name, why in reasons.items()}
        elif family == IRREVERSIBLE and own:
            slice_set, _, lost_family = row["about"]
            catalog.lost[model, slice_set, lost_family] = row["note"].decode()
        elif family == CHANCE and not own:
            # Sums of such a model are no sums of what it says the next time.
            failed.add((writer, model, ""))
        elif family not in (METER, IRREVERSIBLE, CHANCE, NOTES, RESOURCES):
            place = (model, row["slice_set"], family)
            chain = tuple(json.loads(row["note"])) if family == PREDICTIONS else ()
            kept = Kept(row["state"], place, row["dataset_version"], writer, row["blocks"], chain)
            entries[writer, place] = kept
    paired = {need.family for need in catalog.needs if need.paired}
    # Where any model failed, the pairs of all may lack rows; the run's own were measured so.
    broken = {
        writer
        for writer, _, family in failed
        if not family and not writer.is_of(catalog.run_id, catalog.plan)
    }
    catalog.kept = [
        entry
        for (writer, (model, _, family)), entry in entries.items()
        if failed.isdisjoint([(writer, model, ""), (writer, model, family)])
        and not (family in paired and writer in broken)
    ]


def wanted_runs(chosen: Mapping[Place, Kept]) -> list[Filter]:
    """The filters that leave about the kept states of these places."""
    return [
        ("run_id", "in", sorted({kept.writer.run_id for kept in chosen.values()})),
        ("dataset_version", "in", sorted({kept.version for kept in chosen.values()})),
        ("schema_version", "=", STATES_VERSION),
        ("slice_set", "!=", ""),
    ]


def kept_rows(table: StoreTable, chosen: Mapping[Place, Kept]) -> pa.Table:
    """The kept states of these places, under the places' own numbers and names."""
    places: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    for place, kept in chosen.items():
        # One state may be that of several: of an alias and its version, say.
        key = (kept.state, *writer_key(kept.writer), *kept.place[:2])
        places.setdefault(key, []).append(place[:2])
    names = ("state", *WRITER, "model", "slice_set")
    rows = table.rows([*ROW, "state", *WRITER], wanted_runs(chosen), spares=True)
    keys = zip(*(rows[name].to_pylist() for name in names), strict=True)
    targets = [(at, target) for at, key in enumerate(keys) for target in places.get(key, ())]
    rows = rows.take(pa.array([at for at, _ in targets], pa.int64()))
    models, sets = zip(*(target for _, target in targets), strict=True) if targets else ((), ())
    renamed = {
        **{name: rows[name] for name in ROW},
        "model": pa.array(models, pa.int32()),
        "slice_set": pa.array(sets, pa.string()),
    }
    return pa.table(renamed)


def writer_key(writer: Writer) -> tuple[str, str, str]:
    return writer.run_id, writer.evaluation, writer.step


def is_small(table: StoreTable, where: Sequence[Filter]) -> bool:
    """Whether the driver reads such rows by itself."""
    size = table.bytes_of(where) if table.exists() else 0
    return size is not None and size <= SMALL_BYTES


def missing_needs(catalog: StateCatalog, without: Iterable[Writer] = ()) -> list[Need]:
    """What an evaluation needs, has not found, and has not tried in vain."""
    usable = catalog.usable(catalog.plan.dataset.version, without)
    return [
        need for need in catalog.needs if need.place not in usable and not catalog.has_failed(need)
    ]


def check_complete(table: StoreTable, catalog: StateCatalog) -> None:
    """Raises InputError where the store lacks what a run's evaluation was measured from."""
    if all(need.spare for need in missing_needs(catalog)) and not catalog.open_questions:
        if catalog.reference is not None:
            check_complete(table, catalog.reference)
        return
    name, run_id = catalog.plan.name, catalog.run_id
    old = _other_version(table, catalog)
    if old is not None:
        raise InputError(
            f"the run {run_id!r} keeps states of version {old}, expected version "
            f"{STATES_VERSION}: another version of evalmatrix made them; run the suite anew (the "
            "results table still has its results)"
        )
    raise InputError(
        f"the store lacks states of the evaluation {name!r} of the run {run_id!r}: it was stopped "
        f"before they were finished (complete it with --resume {run_id}), or they have expired "
        "(the results table still has its results)"
    )


def _other_version(table: StoreTable, catalog: StateCatalog) -> int | None:
    if not table.exists():
        return None
    where = [("run_id", "=", catalog.run_id), ("evaluation", "=", catalog.plan.name)]
    versions = set(table.rows(["schema_version"], where)["schema_version"].to_pylist())
    return min(versions - {STATES_VERSION}, default=None)
