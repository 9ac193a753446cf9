"""The trivial models of a plan, fitted on rows of its reference, once for a version of it.

What is fitted is kept in the store's cache under all that it depends on, so that another run with
the same reference fits nothing and reads no row of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from engine.core.json_cache import keep, read_kept
from engine.core.labels import same_label
from engine.core.locations import Store
from engine.core.vocabulary import ModelVersion
from engine.data.columns import is_number
from engine.data.kept_profiles import digest_of
from engine.data.table_rows import TableRows, either_way
from engine.errors import DataError, EvalMatrixError, InputError
from engine.fields.wording import list_text
from engine.kinds import kind_of, trivial_of
from engine.models.trivial.encoding import TEXT_CHARACTERS
from engine.models.trivial.fitting import FITS, Sample, learn_inputs
from engine.models.trivial.model import CONSTANT, fitted_text, trivial_version
from engine.planning.plan import EvaluationPlan
from engine.planning.problem import label_codes
from engine.planning.projection import sample_rows
from engine.planning.slices import python_values
from engine.planning.trivial_rows import label_counts, sample_here, target_sums
from engine.spark import table_errors
from engine.spark.api import F
from engine.spark.lazy_session import LazySession
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


# Goes up when trivial models are fitted otherwise.
TRIVIAL_VERSION = 1
MOST_ROWS = 20_000
# As many labels as are looked at: a class for each.
_MOST_LABELS = 10_000

Say = Callable[[str], None]


class Rows(Protocol):
    """Rows that this process reads itself, where it can, or has Spark read."""

    @property
    def session(self) -> LazySession:
        """The session that reads them."""

    def rows_here(self) -> TableRows:
        """The rows without Spark; raises NotThisWay where only Spark can read them."""

    def frame(self) -> DataFrame:
        """The rows with Spark."""


@dataclass(frozen=True, slots=True)
class TrivialInputs:
    """The columns that trivial models may read, by what they hold; why the others are left out."""

    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    left_out: Mapping[str, str] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All that they may read."""
        return (*self.numbers, *self.texts)


def asked_kinds(plan: EvaluationPlan) -> tuple[str, ...]:
    """The trivial models that the tests of a plan ask for, each once."""
    return tuple(dict.fromkeys(kind for test in plan.tests for kind in trivial_of(test)))


def trivial_inputs(plan: EvaluationPlan, features: Sequence[str] | None) -> TrivialInputs:
    """The columns that the trivial models of a plan are fitted on: those that its models read.

    Args:
        plan: the evaluation.
        features: the suite's own, where it names any: of models whose predictions are stored
            nothing else is known.

    Raises:
        InputError: when there is none that anything can be fitted on.
    """
    if not any(kind in FITS for kind in asked_kinds(plan)):
        return TrivialInputs()
    types = dict(plan.dataset.schema)
    read = [name for model in plan.models if not model.is_stored for name in model.features]
    numbers, texts, left_out = [], [], {}
    for name in dict.fromkeys(read or features or ()):
        kind = types[name]
        if name in plan.columns.sensitive:
            left_out[name] = "sensitive"
        elif is_number(kind) or kind == "boolean":
            numbers.append(name)
        elif kind.startswith(("string", "varchar", "char")):
            texts.append(name)
        else:
            left_out[name] = kind
    if not numbers and not texts:
        what = "the models read no columns that are known, and the suite names no features"
        if left_out:
            what = f"of the columns that the models read none can be used: {_reasons(left_out)}"
        raise InputError(
            f"evaluation {plan.name!r}: a trivial model cannot be fitted: {what}; expected columns "
            "of numbers, truth values or texts, or baseline_models: [majority]"
        )
    return TrivialInputs(tuple(numbers), tuple(texts), left_out)


def with_trivial(
    store: Store, plan: EvaluationPlan, inputs: TrivialInputs, rows: Rows, say: Say
) -> EvaluationPlan:
    """The plan with its trivial models, fitted on the plan's reference.

    Args:
        store: in whose cache it is kept what was fitted.
        plan: the evaluation, with its reference.
        inputs: the columns to fit on.
        rows: gives the rows of the reference at its pinned version.
        say: is told what is done.

    Raises:
        DataError: when the reference's labels, or its columns, do not tell anything.
        InputError: when a library is not installed.
        StoreError: when the reference cannot be read.
    """
    kinds = asked_kinds(plan)
    if not kinds:
        return plan
    fitter = Fitter(store, plan, inputs, rows, say)
    try:
        models = tuple(fitter.model(kind) for kind in kinds)
    except EvalMatrixError as error:
        raise type(error)(f"evaluation {plan.name!r}: {error}") from error
    return pin_trivial(replace(plan, trivial=models))


def pin_trivial(plan: EvaluationPlan) -> EvaluationPlan:
    """The plan whose tests say what their trivial models are fitted on."""
    if not plan.trivial:
        return plan
    fitted = {model.trivial_kind: fitted_text(model) for model in plan.trivial}
    tests = (kind_of(t).pin_trivial(t, fitted) if trivial_of(t) else t for t in plan.tests)
    return replace(plan, tests=tuple(tests))


class Fitter:
    """Fits the trivial models of a plan, or finds them; reads rows once, where it must."""

    def __init__(
        self, store: Store, plan: EvaluationPlan, inputs: TrivialInputs, rows: Rows, say: Say
    ) -> None:
        assert plan.reference is not None, "its kind reads a reference"
        self.store, self.plan, self.inputs, self.rows, self.say = store, plan, inputs, rows, say
        self.reference = plan.reference
        self._sample: Sample | None = None

    def model(self, kind: str) -> ModelVersion:
        """The trivial model of a kind."""
        problem, digest = self.plan.problem, self._digest(kind)
        file = self.store.files / "cache" / "trivial" / f"{digest}.json"
        content = read_kept(file)
        if not isinstance(content, dict) or "fitted" not in content:
            self.say(f"{self.plan.name}: fitting the trivial model {kind!r} on the reference")
            content = self._fit(kind) if kind in FITS else self._constant()
            keep(file, content)
        return trivial_version(kind, digest, content, problem.task, problem.classes)

    def _digest(self, kind: str) -> str:
        """SHA-256 of all that a fitted model depends on."""
        plan, dataset, problem = self.plan, self.reference.dataset, self.plan.problem
        time = None if dataset.timestamp is None else dataset.timestamp.isoformat()
        about: list[Any] = [TRIVIAL_VERSION, kind, dataset.name, dataset.table_id, dataset.uri]
        about += [dataset.version, time, plan.columns.label, plan.columns.weight]
        about += [problem.task.value, [same_label(label) for label in problem.classes]]
        if kind in FITS:
            types = dict(dataset.schema)
            columns = [[name, types[name]] for name in self.inputs.columns]
            left_out = dict(self.inputs.left_out or {})
            about += [columns, left_out, list(plan.row_columns), _library_version()]
        return digest_of(about)

    def _constant(self) -> dict[str, Any]:
        """The shares of the classes, or the mean of the targets, over all rows."""
        problem = self.plan.problem
        if not problem.classes:
            (whole, total, count) = either_way(
                self.rows.session,
                lambda: target_sums(self.rows.rows_here(), self.plan),
                self._target_sums_by_spark,
            )
            if not count:
                raise self._no_labels()
            self._check_finite("mean", total)
            return {
                CONSTANT: float(total) / float(whole),
                "fitted": self._fitted_text(int(count)),
            }
        counts = either_way(
            self.rows.session,
            lambda: label_counts(self.rows.rows_here(), self.plan),
            self._label_counts_by_spark,
        )
        codes, shares, count = label_codes(problem), np.zeros(problem.n_classes), 0
        for label, sum_, n in counts:
            place = _place(label, codes)
            if place >= 0:
                shares[place] += float(sum_)
                count += int(n)
        self._check_classes(shares > 0)
        shares /= shares.sum()
        return {CONSTANT: shares.tolist(), "fitted": self._fitted_text(count)}

    def _target_sums_by_spark(self) -> tuple[Any, ...]:
        weight, label = self._weight(), F.col(column(self.plan.columns.label)).cast("double")
        sums = [F.sum(weight), F.sum(weight * label), F.count(F.lit(1))]
        return tuple(self._collect(self._usable_rows().agg(*sums))[0])

    def _label_counts_by_spark(self) -> list[Any]:
        labels = F.col(column(self.plan.columns.label)).alias("label")
        sums = [F.sum(self._weight()), F.count(F.lit(1))]
        counted = self._usable_rows().groupBy(labels).agg(*sums)
        return self._collect(counted.limit(_MOST_LABELS))

    def _fit(self, kind: str) -> dict[str, Any]:
        """A model that reads columns, fitted on the sample."""
        sample = self._sample = self._sample or self._read_sample()
        with np.errstate(over="ignore"):
            self._check_finite(kind, np.square(sample.target.astype(np.float64)).sum())
        try:
            inputs = learn_inputs(sample)
            content = FITS[kind](sample, inputs)
        except ImportError as error:
            raise InputError(
                f"the trivial model {kind!r} is fitted with scikit-learn, which is not installed; "
                "install it here: pip install scikit-learn"
            ) from error
        except InputError as error:
            raise DataError(
                f"the trivial model {kind!r} cannot be fitted on the reference "
                f"{self.reference.dataset.name!r}: {error}"
            ) from error
        left_out = {**(self.inputs.left_out or {}), **inputs.left_out}
        names = [item.name for item in inputs.columns]
        text = self._fitted_text(sample.table.num_rows, names, left_out)
        return {**content, "fitted": text}

    def _check_finite(self, kind: str, total: float) -> None:
        if not np.isfinite(total):
            raise DataError(
                f"the trivial model {kind!r} cannot be fitted on the reference "
                f"{self.reference.dataset.name!r}: its numbers are too large; expected labels "
                "whose squares have a finite sum"
            )

    def _fitted_text(
        self, rows: int, names: Sequence[str] = (), left_out: Mapping[str, str] | None = None
    ) -> str:
        dataset = self.reference.dataset
        listed = f", {_columns_text(names)}" if names else ""
        apart = f"; left out: {_reasons(left_out)}" if left_out else ""
        where = f"{dataset.name!r} at version {dataset.version}"
        return f"{rows:,} row{'' if rows == 1 else 's'} of {where}{listed}{apart}"

    def _read_sample(self) -> Sample:
        """The labelled rows with the smallest hashes of their keys, in the order of these."""
        columns, names = self.plan.columns, self.inputs.columns
        weighted = [] if columns.weight is None else [columns.weight]
        wanted, texts = [*names, columns.label, *weighted], self.inputs.texts
        table = either_way(
            self.rows.session,
            lambda: sample_here(self.rows.rows_here(), self.plan, wanted, texts, MOST_ROWS),
            lambda: self._sample_by_spark(wanted),
        )
        order = [(name, "ascending") for name in table.column_names[-2:]]
        table = table.sort_by(order).select(range(len(wanted)))
        return self._parse(table, names)

    def _sample_by_spark(self, wanted: Sequence[str]) -> pa.Table:
        rows = self._usable_rows()
        for name in self.inputs.texts:
            if name not in self.reference.row_columns:
                # No document comes to the driver.
                start = F.substring(F.col(column(name)), 1, TEXT_CHARACTERS)
                rows = rows.withColumn(name, start)
        return self._to_arrow(sample_rows(rows, self.reference, wanted, MOST_ROWS))

    def _parse(self, table: pa.Table, names: Sequence[str]) -> Sample:
        """The rows whose labels are classes, or targets, as models are fitted on."""
        problem, labels = self.plan.problem, table.column(len(names))
        if problem.classes:
            codes = label_codes(problem)
            coded = labels.combine_chunks().dictionary_encode()
            places = [_place(label, codes) for label in python_values(coded.dictionary)]
            target = np.array([*places, -1], np.int64)[coded.indices.to_numpy()]
            known = target >= 0
            self._check_classes(np.isin(np.arange(problem.n_classes), target))
        else:
            target = labels.cast(pa.float64(), safe=False).to_numpy()
            known = np.isfinite(target)
            if not known.any():
                raise self._no_labels()
        weight = np.ones(len(target))
        if self.plan.columns.weight is not None:
            weight = table.column(len(names) + 1).cast(pa.float64(), safe=False).to_numpy()
        own = table.select(range(len(names))).rename_columns(list(names)).filter(pa.array(known))
        texts, numbers = self.inputs.texts, self.inputs.numbers
        return Sample(own, numbers, texts, target[known], weight[known], problem.n_classes)

    def _usable_rows(self) -> DataFrame:
        """The rows that can be learned from: those with a label, that count at all."""
        label = F.col(column(self.plan.columns.label))
        usable = label.isNotNull()
        if not self.plan.problem.classes:
            usable = usable & (F.abs(label.cast("double")) < F.lit(float("inf")))
        if self.plan.columns.weight is not None:
            weight = self._weight()
            usable = usable & (weight > 0) & (weight < F.lit(float("inf")))
        return self.rows.frame().where(usable)

    def _weight(self) -> Column:
        """What a row counts."""
        weight = self.plan.columns.weight
        return F.lit(1.0) if weight is None else F.col(column(weight)).cast("double")

    def _check_classes(self, present: np.ndarray) -> None:
        """Raises DataError where the labels are all the same, or none of the classes."""
        classes = self.plan.problem.classes
        if not present.any():
            raise self._no_labels()
        if present.sum() == 1:
            (only,) = (label for label, is_there in zip(classes, present, strict=True) if is_there)
            raise DataError(
                f"the reference {self.reference.dataset.name!r} has rows of one class only, "
                f"{only!r}; expected at least two of {list_text(classes)}"
            )

    def _no_labels(self) -> DataError:
        classes = self.plan.problem.classes
        expected = f"one of {list_text(classes)}" if classes else "a number"
        return DataError(
            f"the reference {self.reference.dataset.name!r} has no rows with a label in "
            f"{self.plan.columns.label!r} that count; expected {expected}"
        )

    def _collect(self, frame: DataFrame) -> list[Any]:
        rows: list[Any] = self._read(frame.collect)
        return rows

    def _to_arrow(self, frame: DataFrame) -> pa.Table:
        table: pa.Table = self._read(frame.toArrow)
        return table

    def _read(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Exception as error:
            name = self.reference.dataset.name
            raise table_errors.read_error(error, f"reference {name!r}") from error


def _place(label: Any, codes: Mapping[str, int]) -> int:
    """The class of a label; -1 of none of them. NaN is no label."""
    return -1 if label is None or label != label else codes.get(same_label(label), -1)


def _library_version() -> str:
    try:
        return version("scikit-learn")
    except PackageNotFoundError:
        return ""


def _columns_text(names: Sequence[str]) -> str:
    """Some columns by name, the first of many."""
    shown = ", ".join(map(repr, names[:5]))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"column{'' if len(names) == 1 else 's'} {shown}{more}"


def _reasons(left_out: Mapping[str, str]) -> str:
    items = list(left_out.items())
    shown = ", ".join(f"{name!r} ({why})" for name, why in items[:5])
    return shown + (f" and {len(items) - 5:,} more" if len(items) > 5 else "")
