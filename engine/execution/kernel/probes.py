"""What a worker does with probes: it tries each on a loaded model, in a process of the model's own.

Nothing here knows Spark. What a probe costs beside its own answer is the process, which is ended
with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine.core.redaction import redacted_message
from engine.core.vocabulary import ModelVersion
from engine.kinds import COUNT, Probe, load_extensions
from engine.models import Limits, ModelStopped
from engine.models.isolation.child_process import Child
from engine.planning import EvaluationPlan, Question, QuestionPlace
from engine.planning.slices import slice_key
from engine.store.answers import Answer

PROBED_SCHEMA = pa.schema([("place", pa.string()), ("payload", pa.binary())])
PROBED_DDL = "place string, payload binary"

# The columns of a sample by which its rows are ordered: the hash of the key, then of the rest.
ORDER = ("\0hash", "\0rest")


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """The probes of one model, which one process tries one after the other."""

    model: ModelVersion
    baseline: ModelVersion | None
    questions: tuple[tuple[QuestionPlace, Probe], ...]
    limits: Limits
    plugins: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether nothing else of the run may be under way."""
        return any(probe.alone for _, probe in self.questions)

    @property
    def rows(self) -> int:
        """The most rows that one of them wants."""
        return max(probe.rows for _, probe in self.questions)


def probe_tasks(plan: EvaluationPlan, asked: Sequence[Question]) -> list[ProbeTask]:
    """The probes among questions: those of a model together, and each apart that is to be alone."""
    groups: dict[tuple[int, str], list[tuple[QuestionPlace, Probe]]] = {}
    for question in asked:
        probe, number = question.content, question.subject.number
        if isinstance(probe, Probe):
            apart = question.key if probe.alone else ""
            groups.setdefault((number, apart), []).append((question.place, probe))
    limits, base = Limits(plan.timeout, plan.memory), plan.base
    return [
        ProbeTask(
            plan.models[number],
            None if base is None or base == number else plan.models[base],
            tuple(probes),
            limits,
            plan.plugins,
        )
        for (number, _), probes in groups.items()
    ]


def probe_jobs(tasks: Sequence[ProbeTask]) -> Iterator[list[ProbeTask]]:
    """Those that are under way together: all that need not be alone, then each of the others."""
    beside = [task for task in tasks if not task.alone]
    if beside:
        yield beside
    for task in tasks:
        if task.alone:
            yield [task]


def sample_columns(tasks: Iterable[ProbeTask]) -> list[str]:
    """The columns that models of these probes read."""
    names: dict[str, None] = {}
    for task in tasks:
        for model in (task.model, task.baseline):
            names.update(dict.fromkeys(model.features if model is not None else ()))
    return list(names)


def probe(batches: Iterable[pa.RecordBatch], task: ProbeTask) -> Iterator[pa.RecordBatch]:
    """The answers of the probes of a model (`PROBED_SCHEMA`), from a sample with `ORDER`."""
    load_extensions(task.plugins)
    table = pa.Table.from_batches(batches)
    ordered = table.sort_by([(name, "ascending") for name in ORDER]).combine_chunks()
    (sample,) = ordered.drop_columns(list(ORDER)).to_batches() or [None]
    assert sample is not None, "a dataset has rows"
    for place, answer in _answers(task, sample):
        row = {"place": json.dumps(place), "payload": answer.encode()}
        yield pa.RecordBatch.from_pylist([row], PROBED_SCHEMA)


def _answers(task: ProbeTask, sample: pa.RecordBatch) -> Iterator[tuple[QuestionPlace, Answer]]:
    child: Child | None = None
    try:
        for place, own_probe in task.questions:
            child = child or Child(task.model, task.limits)
            try:
                yield place, _try(task, own_probe, child, sample)
            except ModelStopped as stopped:
                yield place, Answer(failure=f"the model failed in the probe: {stopped}")
                child.close()
                child = None
            except Exception as error:  # what a probe costs is its own cells
                yield place, Answer(failure=f"the probe failed: {redacted_message(error)}")
    finally:
        if child is not None:
            child.close()


def _try(task: ProbeTask, own_probe: Probe, child: Child, sample: pa.RecordBatch) -> Answer:
    baseline = task.baseline if own_probe.beside_baseline else None
    read = dict.fromkeys([*task.model.features, *(baseline.features if baseline else ())])
    batch = sample.slice(0, own_probe.rows).select(list(read))
    numbers = child.probe(own_probe, batch, baseline)
    return Answer({slice_key(()): {COUNT: float(batch.num_rows), **numbers}})
