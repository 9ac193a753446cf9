"""Contrasts and probes tried in processes of this machine, without Spark: the kernel's own work."""

from __future__ import annotations

import json
import pickle
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from engine.core.vocabulary import DatasetVersion
from engine.data.table_rows import TableRows
from engine.errors import WorkerDiedError
from engine.execution.kernel.contrasts import SIDE, ContrastTask
from engine.execution.kernel.probes import ProbeTask, probe_jobs, sample_columns
from engine.execution.local_pool import LocalPool
from engine.execution.local_samples import OTHER_TYPES, Sampling, join_samples
from engine.execution.local_worker import AskShare, read_batches, write_batches
from engine.kinds import Contrast
from engine.pieces import NotThisWay
from engine.planning import EvaluationPlan, QuestionPlace
from engine.store.answers import Answer

Rows = Mapping[DatasetVersion, TableRows]


def check_contrast(plan: EvaluationPlan, content: Contrast, rows: Rows) -> None:
    """Looks whether a contrast is one to answer here; no row is read.

    Raises:
        NotThisWay: where only Spark can.
    """
    sides = [Sampling.of_contrast(side, content).check(rows[side.dataset]) for side in _sides(plan)]
    if sides[0] != sides[1]:
        raise NotThisWay(OTHER_TYPES)


def answer_contrast_here(
    plan: EvaluationPlan, content: Contrast, rows: Rows, pool: LocalPool
) -> Answer:
    """What a contrast found.

    Raises:
        NotThisWay: where only Spark can tell it.
        UnreadableError: for a file that cannot be read here.
    """
    ours, theirs = (
        Sampling.of_contrast(side, content).take(rows[side.dataset]) for side in _sides(plan)
    )
    task = ContrastTask(content, plan.plugins)
    sample = join_samples(ours, theirs, SIDE, task.names)
    share = _share(pool, task, _write(pool, sample))
    try:
        ((_, file),) = pool.run([share])
    except WorkerDiedError as error:
        return Answer(failure=f"the contrast failed: {error}")
    (payload,) = read_batches(file).column("payload").to_pylist()
    return Answer.decode(payload)


def _sides(plan: EvaluationPlan) -> tuple[EvaluationPlan, EvaluationPlan]:
    assert plan.reference is not None, "it reads a reference"
    return plan, plan.reference


def probe_sampling(plan: EvaluationPlan, tasks: Iterable[ProbeTask]) -> Sampling:
    """The sample that probes of models are tried with."""
    tasks = list(tasks)
    most = max(task.rows for task in tasks)
    return Sampling(tuple(sample_columns(tasks)), plan.row_columns, most)


def probe_models_here(
    plan: EvaluationPlan, tasks: Sequence[ProbeTask], rows: TableRows, pool: LocalPool
) -> Iterator[list[tuple[QuestionPlace, Answer]]]:
    """What probes found, those of a job together.

    Raises:
        NotThisWay: where only Spark can take their sample.
        UnreadableError: for a file that cannot be read here.
    """
    sample = probe_sampling(plan, tasks).take(rows)
    file = _write(pool, sample)
    for together in probe_jobs(tasks):
        shares = [_share(pool, task, file) for task in together]
        answers = []
        for _, done in pool.run(shares):
            table = read_batches(done)
            pairs = zip(table["place"].to_pylist(), table["payload"].to_pylist(), strict=True)
            answers += [(tuple(json.loads(text)), Answer.decode(told)) for text, told in pairs]
        yield answers


def _write(pool: LocalPool, sample: pa.Table) -> str:
    file = pool.folder / f"sample-{uuid.uuid4().hex}.arrow"
    return write_batches(file, sample.to_batches(), sample.schema)


def _share(pool: LocalPool, task: ContrastTask | ProbeTask, sample: str) -> AskShare:
    file = pool.folder / f"{uuid.uuid4().hex}.pkl"
    file.write_bytes(pickle.dumps(task))
    return AskShare(str(file), sample, str(file.with_suffix(".arrow")))
