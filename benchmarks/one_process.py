"""A test of a suite on a model and rows in this process: the engine's own code without Spark.

A test is what a suite file has. It is read, pinned and planned, the model is saved by MLflow and
resolved, the rows are scanned and the cells judged, all by the modules that a run uses. Left out
are Spark and the store. A probe is given the loaded model here, but for one that wants a process
to itself: it has a fresh one, as in a run.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.core.vocabulary import (
    Cell,
    Columns,
    DatasetVersion,
    ModelTest,
    ModelVersion,
    SliceSet,
    TaskKind,
)
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.contrasts import SIDE, UNIT, ContrastTask, contrast
from engine.execution.kernel.merge import merge
from engine.execution.kernel.probes import ORDER, probe_tasks
from engine.execution.kernel.probes import probe as try_probe
from engine.execution.kernel.scan import scan
from engine.kinds import Contrast, Probe, kind_of, pin_bins, pin_test
from engine.kinds.drift import PARTS, bins_of_numbers
from engine.metrics import Problem
from engine.models import ModelRequest, resolve
from engine.models.load import load
from engine.planning import EvaluationPlan, check_fit, distinct_questions, expand_tests
from engine.planning.scan_columns import BUCKET_COLUMN, ROW_COLUMN
from engine.planning.suites import read_suite
from engine.states import BUCKETS
from engine.states.rows import STATE_KEY, STATE_SCHEMA, StateRow
from engine.store.answers import Answer

LABEL = "label"
OVERALL = SliceSet("overall", "overall")
_TYPES = {"f": "double", "i": "bigint", "b": "boolean", "O": "string", "U": "string"}

Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Lab:
    """A folder with the models that were saved in it, each once."""

    folder: Path
    known: dict[str, ModelVersion] = field(default_factory=dict)

    def model(
        self, name: str, fit: Callable[[], Any], features: Sequence[str], classes: Sequence[Any]
    ) -> ModelVersion:
        """A model of classes under a name, fitted and saved when it is asked for first."""
        if name not in self.known:
            path = self.folder / name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mlflow.sklearn.save_model(
                    fit(), path, serialization_format="cloudpickle", pip_requirements=[]
                )
            found = resolve(
                ModelRequest(
                    uri=str(path),
                    task=_task(classes),
                    tracking_uri="",
                    cache_dir=self.folder / "cache",
                    name=name,
                    features=features,
                )
            )
            self.known[name] = replace(found, classes=tuple(classes))
        return self.known[name]


@dataclass(frozen=True)
class Bench:
    """Models on rows: what a test is tried on.

    `rows` and `reference` have the column `label`. The last of the models is the one that is
    looked at; where there are two, the first is the baseline.
    """

    models: Sequence[ModelVersion]
    rows: pd.DataFrame
    reference: pd.DataFrame | None = None

    def plan(self, *asked: Asked) -> EvaluationPlan:
        """The plan of some tests, with all of it that depends on the data."""
        classes, names = self.models[-1].classes, [model.name for model in self.models]
        baseline = names[0] if len(names) > 1 else None
        plan = EvaluationPlan(
            name="rates",
            dataset=_version("rows", self.rows),
            columns=Columns(LABEL, None, ("key",)),
            problem=Problem(_task(classes), tuple(classes)),
            models=tuple(self.models),
            baseline=baseline,
            slice_sets=(OVERALL,),
            tests=(),
            min_slice_rows=1,
            max_slices=10,
        )
        tests = read_tests(asked, plan.problem.task, names, self.reference is not None)
        pinned = [_pinned(test, self.rows) for test in expand_tests(tests, plan.setting)]
        plan = replace(plan, tests=tuple(pinned))
        if self.reference is not None:
            plan = replace(plan, tests=_binned(plan.tests, self.reference))
            plan = plan.beside(_version("reference", self.reference))
        check_fit(plan)
        return plan

    def cells(self, asked: Asked, seed: int) -> list[Cell]:
        """The cells of the model that is looked at, or of the data."""
        plan = self.plan(asked)
        reference: list[StateRow] = []
        if plan.reference is not None and self.reference is not None:
            reference = added(scanned(plan.reference, scan_table(self.reference, seed + 1)))
        answers = _answers(plan, self.rows) | _contrasts(plan, self.rows, self.reference, seed)
        beside = Beside(reference=reference, answers=answers)
        states = added(scanned(plan, scan_table(self.rows, seed)))
        result = measure(plan, states, beside=beside)
        wanted = {"", self.models[-1].name}
        return [cell for cell in result.cells if cell.model.name in wanted]


def read_tests(
    asked: Sequence[Asked], task: TaskKind, models: Sequence[str], has_reference: bool
) -> tuple[ModelTest, ...]:
    """Tests as a suite has them, by the way of a suite."""
    evaluation: dict[str, Any] = {
        "name": "rates",
        "dataset": {"delta": "./rows", "task": task.value, "label": LABEL, "key": "key"},
        "models": [{"uri": f"./{name}", "name": name} for name in models],
        "slices": ["overall"],
        "tests": [dict(test) for test in asked],
    }
    if len(models) > 1:
        evaluation["baseline"] = models[0]
    if has_reference:
        evaluation["reference"] = {"delta": "./reference"}
    suite = read_suite({"name": "rates", "store": "./store", "evaluations": [evaluation]})
    return suite.evaluations[0].tests


def _task(classes: Sequence[Any]) -> TaskKind:
    if not len(classes):
        return TaskKind.REGRESSION
    return TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS


def _version(name: str, rows: pd.DataFrame) -> DatasetVersion:
    types = [(column, _type(rows[column])) for column in rows]
    return DatasetVersion(name, name, 0, name, len(rows), schema=tuple(types))


def _type(column: pd.Series) -> str:
    """The type of a column, as Spark writes it."""
    first = column.dropna().iloc[0]
    return "array<double>" if isinstance(first, np.ndarray) else _TYPES[column.dtype.kind]


def _pinned(test: ModelTest, rows: pd.DataFrame) -> ModelTest:
    """A test with what it asks of the columns, by pandas."""
    kind = kind_of(test)
    spreads = {name: float(rows[name].std()) for name in kind.spreads(test)}
    ranges = {
        name: (float(rows[name].min()), float(rows[name].max())) for name in kind.ranges(test)
    }
    values = {
        name: [[value, float(n)] for value, n in rows[name].value_counts(normalize=True).items()]
        for name in kind.values(test)
    }
    return pin_test(test, spreads, values, ranges)


def _binned(tests: Sequence[ModelTest], reference: pd.DataFrame) -> tuple[ModelTest, ...]:
    """Tests with the bins of a reference's numbers, by pandas."""
    bins = {}
    for name in {name for test in tests for name in kind_of(test).bins(test)}:
        cuts = reference[name].quantile(np.linspace(0, 1, PARTS + 1), interpolation="lower")
        bins[name] = bins_of_numbers(cuts.tolist(), float(reference[name].std()))
    return tuple(pin_bins(tests, bins)[0])


def scan_table(rows: pd.DataFrame, seed: int) -> pa.Table:
    """Rows with a bucket and a hash of their key, as the projection of a scan gives them."""
    rng, count = np.random.default_rng([20_261_130, seed]), len(rows)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.append_column(BUCKET_COLUMN, pa.array(rng.integers(0, BUCKETS, count, np.int32)))
    keys = rng.integers(-(2**63), 2**63 - 1, count)
    return table.append_column(ROW_COLUMN, pa.array(keys))


def scanned(plan: EvaluationPlan, table: pa.Table, batch: int | None = None) -> pa.Table:
    """The states of a scan of a single partition, by batches of so many rows."""
    batches = table.combine_chunks().to_batches(max_chunksize=batch)
    return pa.Table.from_batches(scan(batches, plan), STATE_SCHEMA)


def added(states: pa.Table) -> list[StateRow]:
    """The states of each key added, as the shuffle of a run brings them together."""
    ordered = states.sort_by([(name, "ascending") for name in STATE_KEY])
    merged = pa.Table.from_batches(merge(ordered.to_batches()), STATE_SCHEMA)
    return [
        StateRow(**{name: value for name, value in row.items() if name != "sign"})
        for row in merged.to_pylist()
    ]


def _answers(plan: EvaluationPlan, rows: pd.DataFrame) -> dict[Any, Answer]:
    """What probes find of the models."""
    answers, alone = {}, []
    for question in distinct_questions(plan):
        probe, model = question.content, question.subject.model
        if isinstance(probe, Contrast):
            continue
        assert isinstance(probe, Probe), "without Spark nothing is asked in SQL"
        assert model is not None, "a probe is of a model"
        if probe.alone:
            # The baseline is not held against itself.
            alone += [question] if model.name != plan.baseline else []
            continue
        sample = pa.RecordBatch.from_pandas(rows.head(probe.rows), preserve_index=False)
        numbers = probe.run(load(model), sample.select(list(model.features)), None)
        answers[question.place] = Answer({"[]": {"n": float(len(sample)), **numbers}})
    for task in probe_tasks(plan, alone):
        sample = pa.Table.from_pandas(rows.head(task.rows), preserve_index=False)
        for name in ORDER:
            sample = sample.append_column(name, pa.array(np.arange(len(sample))))
        for found in try_probe(sample.combine_chunks().to_batches(), task):
            for row in found.to_pylist():
                answers[tuple(json.loads(row["place"]))] = Answer.decode(row["payload"])
    return answers


def _contrasts(
    plan: EvaluationPlan, rows: pd.DataFrame, reference: pd.DataFrame | None, seed: int
) -> dict[Any, Answer]:
    """What contrasts find of both tables, whose rows have hashes by chance."""
    answers = {}
    for question in distinct_questions(plan):
        if not isinstance(question.content, Contrast):
            continue
        assert reference is not None, "a contrast is of two tables"
        sides = []
        for side, frame in enumerate((rows, reference)):
            rng = np.random.default_rng([20_261_130, seed, side])
            own = frame[list(question.content.columns)].head(question.content.rows)
            hashes = {name: rng.integers(-(2**63), 2**63 - 1, len(own)) for name in (UNIT, *ORDER)}
            sides.append(own.assign(**{SIDE: side == 1, **hashes}))
        both = pa.Table.from_pandas(pd.concat(sides), preserve_index=False)
        (found,) = contrast(both.to_batches(), ContrastTask(question.content))
        answers[question.place] = Answer.decode(found["payload"][0].as_py())
    return answers
