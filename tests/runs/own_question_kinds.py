"""Kinds of tests from outside that ask beside the scan: two with a query, two with a probe.

`broken` does what its parameter says, for what a mistake in a kind may cost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from engine.core.vocabulary import MetricValue, ModelTest
from engine.fields.values import Text
from engine.kinds import (
    KINDS,
    SLICE,
    Context,
    Kind,
    Predictor,
    Probe,
    Query,
    Setting,
    SliceEstimates,
    column_sql,
    figure,
    parameters_text,
)
from engine.metrics import Metric, Slices


class Asking(Kind):
    """What these kinds share: one parameter under their key, and one number that is measured."""

    conditions = ("min", "max", "max_rise")
    field: Any = Text

    def keys(self) -> Mapping[str, Any]:
        return {self.key: (self.field, Field(description=self.description))}

    def read(self, file: Any, canonical: Any) -> dict[str, Any]:
        parameters = parameters_text({self.key: getattr(file, self.key)})
        return {"metric": f"{self.key}_share", "parameters": parameters}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: self.asked(test)}

    def title(self, test: ModelTest) -> str:
        return f"{self.key} {self.asked(test)}"

    def asked(self, test: ModelTest) -> Any:
        return json.loads(test.parameters)[self.key]

    def metric(self, test: ModelTest) -> Metric:
        return figure(f"{self.key}({self.asked(test)})", higher_is_better=False)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        return SliceEstimates.of_values([MetricValue(own["value"]) for own in on.answers])


class Repeats(Asking):
    """The share of rows whose value of a column other rows of the table have as well."""

    key = "repeats"
    description = "The column whose values should be unique."
    measures_data = True

    def query(self, test: ModelTest, setting: Setting) -> Query:
        name = column_sql(self.asked(test))
        counted = f"SELECT *, count(*) OVER (PARTITION BY {name}) AS times FROM {{rows}}"
        text = (
            f"SELECT {SLICE}, count(*) AS n, avg(if(times > 1, 1, 0)) AS value "
            f"FROM ({counted}) GROUP BY {SLICE}"
        )
        return Query(text, (self.asked(test),))


class SharedKeys(Asking):
    """The share of rows whose key the reference has."""

    key = "shared_keys"
    description = "The column that identifies what should not be in both."
    measures_data = True
    reads_reference = True

    def query(self, test: ModelTest, setting: Setting) -> Query:
        name = column_sql(self.asked(test))
        text = (
            f"SELECT own.{SLICE}, count(*) AS n, avg(if(other.{name} IS NULL, 0, 1)) AS value "
            f"FROM {{rows}} own LEFT JOIN (SELECT DISTINCT {name} FROM {{reference}}) other "
            f"ON own.{name} = other.{name} GROUP BY own.{SLICE}"
        )
        return Query(text, (self.asked(test),))


@dataclass(frozen=True)
class RowByRow(Probe):
    """The greatest difference between the scores of a batch and those of its rows alone."""

    rows: int = 20
    journal: str = ""

    @property
    def key(self) -> str:
        return "row by row"

    def run(
        self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None
    ) -> Mapping[str, float]:
        note(self.journal, f"{os.getpid()}")
        together = model.predict(batch).scores
        alone = [model.predict(batch.slice(at, 1)).scores for at in range(batch.num_rows)]
        first = float(batch.column(0)[0].as_py())
        return {"value": float(np.abs(together - np.concatenate(alone)).max()), "first": first}


class BatchRow(Asking):
    """How much a score depends on the rows beside it."""

    key = "batch_row"
    description = "How many rows are tried."
    on_slices = False
    field = int

    def probe(self, test: ModelTest, setting: Setting) -> Probe:
        return RowByRow(self.asked(test), os.environ.get("PROBE_JOURNAL", ""))


@dataclass(frozen=True)
class Slower(Probe):
    """How often slower a model is than the baseline: nobody else's answer, and alone."""

    journal: str = ""
    rows = 10
    keeps = False
    alone = True
    beside_baseline = True

    @property
    def key(self) -> str:
        return "slower"

    def run(
        self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None
    ) -> Mapping[str, float | None]:
        note(self.journal, f"{os.getpid()}")
        if baseline is None:
            return {"value": None}
        seconds = []
        for one in (model, baseline):
            started = time.perf_counter()
            one.predict(batch)
            seconds.append(time.perf_counter() - started)
        return {"value": seconds[0] / seconds[1]}


class Speed(Asking):
    """How often slower a model is than the baseline."""

    key = "slower"
    description = "Anything."
    on_slices = False

    def probe(self, test: ModelTest, setting: Setting) -> Probe:
        return Slower(os.environ.get("PROBE_JOURNAL", ""))

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if context.is_baseline:
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        return super().estimate(test, on, context)


@dataclass(frozen=True)
class BrokenProbe(Probe):
    """Does what it is called."""

    what: str = ""
    beside: Any = None

    @property
    def key(self) -> str:
        return self.what

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Any:
        secret = batch.column(0)[0].as_py()
        if self.what == "raises":
            raise ValueError(f"cannot take {secret}")
        if self.what == "exits":
            os._exit(7)
        if self.what == "hangs":
            time.sleep(600)
        if self.what == "eats":
            np.ones(2**30)
        answers: dict[str, Any] = {
            "a list": [1.0],
            "a text": {"value": f"{secret}"},
            "not finite": {"value": float("nan")},
            "an odd name": {1: 1.0},
            "nothing": None,
            "another": {"other": 1.0},
        }
        return answers.get(self.what, {"value": float(np.mean(model.predict(batch).scores))})


class BrokenModelKind(Asking):
    """A probe that fails."""

    key = "broken_probe"
    description = "How it fails."
    on_slices = False

    def probe(self, test: ModelTest, setting: Setting) -> Any:
        asked = self.asked(test)
        if asked == "no probe":
            return "a probe"
        if asked == "cannot say":
            raise LookupError("no word for it")
        if asked == "no pickle":
            return BrokenProbe(asked, lambda: None)
        return BrokenProbe(asked) if asked != "too many" else RowByRow(10**6)


class BrokenQueryKind(Asking):
    """A query that fails: the parameter is its text."""

    key = "broken_query"
    description = "The text of the query."
    measures_data = True

    def query(self, test: ModelTest, setting: Setting) -> Query:
        return Query(self.asked(test), ("id", "country", "f0"))


def note(journal: str, line: str) -> None:
    """A line more in a journal."""
    if journal:
        with Path(journal).open("a") as file:
            file.write(f"{line}\n")


OWN: Sequence[Kind] = (
    Repeats(),
    SharedKeys(),
    BatchRow(),
    Speed(),
    BrokenModelKind(),
    BrokenQueryKind(),
)
for kind in OWN:
    KINDS.add(kind.key, kind)
