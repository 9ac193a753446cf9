"""What a kind may ask beside the scan: a query of the rows, a probe of a loaded model, a contrast.

None adds up as states do. What each found is an *answer*, a few numbers by name, which is kept
for the model, the dataset version and all that was asked, and made anew for another version.
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.vocabulary import ModelVersion, Numbers, TaskKind
from engine.errors import InputError
from engine.kinds.arrow_rows import Here
from engine.metrics import Metric

# The column by which a query is grouped, the one that has the rows of each slice, and the one in
# which a query finds the rows that are marked for it.
SLICE = "_slice"
COUNT = "n"
MARK = "_marked"
# The column in which a query finds what a function made of a row, and the frames that have it.
SKETCH = "_sketch"
SKETCHED, SKETCHED_REFERENCE = "sketched", "sketched_reference"

MOST_SAMPLE_ROWS = 10_000
# A probe may ask a server for more.
MOST_PROBE_ROWS = 50_000
# Of a text in the sample of a contrast so many characters are read.
MOST_CHARACTERS = 1_000


class Predictor(Protocol):
    """A model that is loaded: what the scan asks, too."""

    @property
    def model(self) -> ModelVersion:
        """What is known of the model: its features, its signature, its classes."""

    @property
    def folder(self) -> Path:
        """Where its files are on this machine."""

    @property
    def load_seconds(self) -> float:
        """How long it took to load in this process, with what it imports for it."""

    def predict(self, batch: pa.RecordBatch) -> Any:
        """The prediction for rows: `scores` of float64 or None, `labels` of int64 or None.

        The rows have the model's columns; others are not looked at. No rows are a batch as well,
        which is answered without the model.
        """

    def predict_any(self, batch: pa.RecordBatch) -> Any:
        """The same, but that the model itself is asked for no rows, too."""

    def read_served(self, raw: Any, rows: int) -> Any:
        """The prediction in what a server of this model answered for some rows."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which rows of a query are marked, where SQL cannot tell: by a function of a column.

    `function` takes the column in Arrow and gives an array of 1 for the rows that are; it runs in
    workers. `name` says all that it depends on.
    """

    column: str
    name: str
    function: Callable[[pa.Array], Any] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a function makes of each row, where SQL is too slow: `{sketched}` of a query.

    The expressions `key`, a bigint, and `given` are of the rows' columns, in SQL. `function` takes
    in Arrow what `given` says, and gives what is of the type `ddl`; it runs in workers.
    `{sketched}` has that for each row, as `_sketch`, beside the key, as `id`. `name` says all that
    the function depends on.
    """

    key: str
    given: str
    name: str
    ddl: str
    function: Callable[[pa.Array], pa.Array] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """A query in Spark SQL over the pinned rows.

    `text` reads `{rows}`, the rows of the dataset's version, and where it wants `{reference}`,
    those of the reference's; and `{before}`, those of the Delta version before, without which (the
    first version, one that is no longer kept, or has not the columns) the query is not run and
    each slice's answer has its rows alone. All have `columns` and one more, `_slice`, by which they
    are to be grouped: `SELECT _slice, count(*) AS n, ... FROM {rows} GROUP BY _slice`. It gives a
    row for each slice, with `_slice`, `n` (the rows of the slice) and numbers under names of its
    own.
    Names of columns are written by `column_sql`, texts by `text_sql`. The query runs once for each
    slice set that its test is on. With a `mark` the rows have a truth value `_marked` more. With a
    `sketch` it may read `{sketched}` and `{sketched_reference}`, what that made of the rows.
    What is among `text_columns` is a text of the answer and no number, for `on.texts`; it is kept
    in the store, so nothing sensitive stands in it.
    `here` gives the same of rows in Arrow, where no Spark is there to read the text: by name a
    number or a text for each slice. It raises `NotThisWay` for what only Spark knows.
    """

    text: str
    columns: tuple[str, ...]
    mark: Mark | None = None
    text_columns: tuple[str, ...] = ()
    sketch: Sketch | None = None
    here: Here | None = field(default=None, compare=False, repr=False)

    @property
    def fields(self) -> frozenset[str]:
        """What stands in braces.

        Raises:
            ValueError: when the braces do not match.
        """
        parts = string.Formatter().parse(self.text)
        return frozenset(
            f"{name}{f'!{how}' if how else ''}{f':{form}' if form else ''}"
            for _, name, form, how in parts
            if name is not None
        )

    @property
    def reads_reference(self) -> bool:
        """Whether it looks at the reference's rows."""
        return not self.fields.isdisjoint({"reference", SKETCHED_REFERENCE})

    @property
    def reads_before(self) -> bool:
        """Whether it looks at the rows of the version before."""
        return "before" in self.fields

    def mistake(self) -> str | None:
        """What is wrong with it before anybody runs it; None where nothing is."""
        text: Any = self.text
        if not isinstance(text, str):
            return f"its query is a value of type {type(text).__name__}, expected a text"
        try:
            sketched = {SKETCHED, SKETCHED_REFERENCE} if self.sketch is not None else set()
            unknown = sorted(self.fields - {"rows", "reference", "before"} - sketched)
        except ValueError as error:
            return f"its query's braces do not match: {error}"
        if unknown or "rows" not in self.fields:
            named = ", ".join(f"{{{name}}}" for name in unknown) or "no {rows}"
            return f"found {named} in its query, expected {{rows}} and perhaps {{reference}}"
        if SLICE in self.columns:
            return f"its query reads a column {SLICE!r}, a name that is the slice's; rename it"
        if self.mark is not None and MARK in self.columns:
            return f"its query reads a column {MARK!r}, a name that is the mark's; rename it"
        return None


class Probe(ABC):
    """Something that is tried on a loaded model, with a small sample of the rows.

    A probe runs in a worker, in a process that has only the model (and the baseline, where asked)
    loaded: the process may be ended, blocked or filled at the cost of the probe's own cells. The
    whole of it may take the suite's `timeout` and `memory`. It is pickled, so its class stands at
    the top of a module that workers can import.

    Attributes:
        rows: how many rows it wants, 1 to 50,000: those with the smallest hash of the key, which
            are the same on any partitioning. They have the columns that the model reads.
        keeps: whether another run may take its answer; what measures time says False.
        alone: whether it has its process to itself, while no other probe of the run is under way
            and no scan; what else the machine does is beyond it. Others run beside those of other
            models, and one after the other in the process of one model.
        beside_baseline: whether it is given the baseline too, in the same process.
    """

    rows: int = 100
    keeps: bool = True
    alone: bool = False
    beside_baseline: bool = False

    @property
    @abstractmethod
    def key(self) -> str:
        """Its name with all that its answer depends on, but for the model and the data."""

    @abstractmethod
    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        """Tries the model, and gives finite numbers by name, None where one is not defined.

        `n` are the rows that its cells show; by itself it is those of the sample.

        Args:
            model: the model that is tried.
            batch: the sample; fewer rows than asked for where the dataset has no more.
            baseline: the baseline where `beside_baseline`; None for the baseline itself.
        """

    def mistake(self) -> str | None:
        """What is wrong with it before anybody runs it; None where nothing is."""
        return _rows_mistake("probe", self.rows, MOST_PROBE_ROWS)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """A sample of a table's rows, in an order that is the same on any partitioning.

    `units` are hashes of what each row belongs to: its cluster, its query, else its key. Those of
    one unit have one hash in both tables.
    """

    table: pa.Table
    units: NDArray[np.int64]


class Contrast(ABC):
    """Something that is computed of a sample of the dataset's rows beside one of the reference's.

    It runs in a worker, on all rows only, and is pickled, so its class stands at the top of a
    module that workers can import.

    Attributes:
        rows: how many rows it wants of either table, 1 to 10,000: those with the smallest hash of
            the key, which are the same on any partitioning.
        columns: those that it reads, of one type in both tables; of texts the first 1,000
            characters.
    """

    rows: int = MOST_SAMPLE_ROWS
    columns: tuple[str, ...]

    @property
    @abstractmethod
    def key(self) -> str:
        """Its name with all that its answer depends on, but for its columns and the data."""

    @abstractmethod
    def run(
        self, rows: SampleRows, reference: SampleRows
    ) -> tuple[Numbers, Mapping[str, str | None]]:
        """Gives finite numbers by name, None where one is not defined, and texts.

        `n` are the rows that its cells show; by itself it is those of the dataset's sample. The
        texts are kept in the store, so nothing sensitive stands in them.
        """

    def mistake(self) -> str | None:
        """What is wrong with it before anybody runs it; None where nothing is."""
        if not self.columns:
            return "its contrast reads no columns, expected one or more"
        return _rows_mistake("contrast", self.rows)


def _rows_mistake(what: str, rows: Any, most: int = MOST_SAMPLE_ROWS) -> str | None:
    if isinstance(rows, bool) or not isinstance(rows, int):
        return f"its {what} wants {rows!r} rows, expected a whole number"
    if not 1 <= rows <= most:
        return f"its {what} wants {rows:,} rows, expected 1 to {most:,}"
    return None


def column_sql(column: str) -> str:
    """A column's name as it stands in the text of a `Query`, whatever it holds."""
    return "`" + _in_braces(column).replace("`", "``") + "`"


def text_sql(text: str) -> str:
    """A text as it stands in the text of a `Query`, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + _in_braces(escaped) + "'"


def _in_braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def figure(
    name: str,
    *,
    higher_is_better: bool | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    intervals: bool = False,
    any_rows: bool = False,
) -> Metric:
    """What a test with a question measures: a metric that reads no states."""

    def refuse(problem: Any) -> Any:
        raise InputError(f"{name!r} is read from an answer, by its kind's `estimate`")

    return Metric(
        name, frozenset(TaskKind), _no_states, refuse,
        higher_is_better=higher_is_better, bounds=bounds, intervals=intervals, any_rows=any_rows,
    )  # fmt: skip


def _no_states(problem: Any) -> tuple[()]:
    return ()
