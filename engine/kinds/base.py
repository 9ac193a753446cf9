"""What a kind of test is: all there is to say of it, in one class, registered under its key.

A kind says how it is asked for in a suite, what it needs of the scan (predictions of models, of
their variants, states of columns), and what is measured from that. Verdicts, intervals, reports,
increments and the rest are the same for all.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, Field, create_model

from engine.conditions import CONDITIONS
from engine.core.redaction import redacted_message
from engine.core.registry import Registry
from engine.core.vocabulary import (
    Cell,
    DecideBy,
    ModelTest,
    ModelVersion,
    Night,
    Severity,
    Variant,
)
from engine.errors import EvalMatrixError, InputError
from engine.fields.file_model import FileModel
from engine.fields.values import DecideField, Name, SeverityField, TextList
from engine.kinds.column_facts import ColumnFacts
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.finds import Find
from engine.kinds.pictures import KindPicture
from engine.kinds.questions import Contrast, Probe, Query
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import Metric, Problem, Slices
from engine.states import ColumnFamily, Family, PairFamily

CLEAN = "clean"

Mistakes = Iterator[tuple[tuple[str | int, ...], str]]


class KindFile(FileModel):
    """The keys that a test of any kind has in a suite."""

    kind: ClassVar[str] = "metric"

    name: Name | None = Field(None, description="The test's name; default: from what it asks.")
    decide: DecideField | None = Field(
        None, description="interval or point: what is held against the limit; default: the suite's."
    )
    corrected: bool = Field(
        True, description="false: each slice is judged as if it were the only one."
    )
    slices: TextList | None = Field(
        None, description="Names of the slice sets to test on; default: all of the evaluation."
    )
    severity: SeverityField = Field(
        Severity.FAIL, description="fail: the gate fails with it; warn: it is only reported."
    )


class Kind(ColumnFacts, ABC):
    """A kind of test.

    Attributes:
        key: the key of a test in the suite that says it is of this kind.
        description: what it asks, in a line.
        conditions: the keys of the conditions that its tests may have.
        metric_key: the key that names a metric, where it has one.
        compares_itself: whether a margin is held against the model's own clean predictions, so
            that it needs no baseline in the evaluation.
        measures_data: whether it measures the data, without a model.
        reads_reference: whether it needs the same states of the evaluation's reference dataset, or
            looks at its rows in a query.
        on_slices: whether a test that names no slices is on all of them; else it is on `overall`
            (`is_on_slices` where that depends on what it asks).
        is_told_by_name: whether tests of different things measure one metric, so that a table calls
            their cells by the test and not by the metric; so it is of all that measure the data.
        looks_back: whether its part of the report shows what earlier runs found, by `history`.
        decides_by: what its tests hold against their limits where they do not say; None for what
            the suite says.
    """

    key: ClassVar[str]
    description: ClassVar[str]
    conditions: ClassVar[tuple[str, ...]] = ()
    metric_key: ClassVar[str] = "metric"
    compares_itself: ClassVar[bool] = False
    measures_data: ClassVar[bool] = False
    reads_reference: ClassVar[bool] = False
    on_slices: ClassVar[bool] = True
    is_told_by_name: ClassVar[bool] = False
    looks_back: ClassVar[bool] = False
    decides_by: ClassVar[DecideBy | None] = None

    @abstractmethod
    def keys(self) -> Mapping[str, Any]:
        """The keys that its tests have besides, as pydantic's fields: a type and a `Field`."""

    def file(self) -> type[KindFile]:
        """How a test of this kind is written in a suite."""
        keys: dict[str, Any] = {
            name: (
                CONDITIONS.get(name).field | None,
                Field(None, description=CONDITIONS.get(name).description),
            )
            for name in self.conditions
        }
        name = "".join(part.title() for part in self.key.split("_")) + "TestFile"
        own = {**self.keys(), **keys}
        file = create_model(name, __base__=KindFile, __doc__=self.description, **own)
        file.kind = self.key
        return file

    # What a suite says.

    @abstractmethod
    def read(self, file: Any, canonical: Any) -> dict[str, Any]:
        """The fields of `ModelTest` that are the kind's own: `metric`, `parameters`, ...

        Args:
            file: the test as the suite has it, of the class that `file` gives.
            canonical: gives a metric's own name for an alias.
        """

    @abstractmethod
    def write(self, test: ModelTest) -> dict[str, Any]:
        """The kind's own keys of a test, from which `read` makes it again."""

    @abstractmethod
    def title(self, test: ModelTest) -> str:
        """What a test is called that has no name of its own."""

    def needs_baseline(self, test: Mapping[str, Any]) -> bool:
        """Whether a margin of a test of the suite is held against the evaluation's baseline."""
        return not self.compares_itself

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        """What is wrong in a test of the suite whose keys have any values: key path, sentence."""
        return iter(())

    def is_on_slices(self, file: Any) -> bool:
        """Whether this test of the suite, which names no slices, is on all of them."""
        return self.on_slices

    # What is known once data and models are.

    def meets_rival(self, test: ModelTest) -> bool:
        """Whether a variant is compared with the baseline behind it, not with its own model.

        `on.rival` are then the baseline's slices behind the same variant, in whose `baseline` are
        those of the baseline as it is.
        """
        return False

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """The tests that one of the suite stands for; their names are made unique."""
        return (test,)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        """Why a test makes no sense for the models and the data at hand, before the scan."""
        return iter(())

    def trivial_models(self, test: ModelTest) -> Sequence[str]:
        """The kinds of trivial models that a test holds models against.

        They are fitted on the reference before the scan, and predict the rows of the dataset: the
        states of each are made as those of the models, and are in `on.trivial`.
        """
        return ()

    def pin_trivial(self, test: ModelTest, fitted: Mapping[str, str]) -> ModelTest:
        """The test with what trivial models are fitted on, in words, by their kinds."""
        return test

    # What it needs of the scan.

    def variants(self, test: ModelTest) -> Sequence[Variant | None]:
        """Behind which variants models are tested; None is the model as it is."""
        return () if self.measures_data else (None,)

    def families(self, test: ModelTest, problem: Problem) -> Sequence[Family]:
        """The states to keep of what is tested, and of that with which it is compared.

        By default those of what is measured.
        """
        own = () if self.measures_data else self.metric(test).families(problem, compared=False)
        return [family for family in own if isinstance(family, Family)]

    def pair_families(self, test: ModelTest, problem: Problem) -> Sequence[PairFamily]:
        """The states to keep of what is tested beside that with which it is compared."""
        own = () if self.measures_data else self.metric(test).families(problem, compared=True)
        return [family for family in own if isinstance(family, PairFamily)]

    def column_families(self, test: ModelTest) -> Sequence[ColumnFamily]:
        """The states to keep of columns."""
        return ()

    def state_keys(self, test: ModelTest, problem: Problem) -> list[str]:
        """The states without which it has no value."""
        keys = [family.key for family in self.families(test, problem)]
        keys += [family.key for family in self.column_families(test)]
        if self.metric(test).against:
            keys += [family.key for family in self.pair_families(test, problem)]
        return keys

    # What it asks beside the scan.

    def query(self, test: ModelTest, setting: Setting) -> Query | None:
        """What a test of a kind that measures the data asks of its rows; None for nothing.

        Such a test has no states: what it found is in `on.answers` when it is measured.
        """
        return None

    def probe(self, test: ModelTest, setting: Setting) -> Probe | None:
        """What a test of models tries on each of them, loaded in a worker; None for nothing.

        Such a test has no states, and is on all rows only: what a probe found of the model is in
        `on.answers` when it is measured.
        """
        return None

    def contrast(self, test: ModelTest, setting: Setting) -> Contrast | None:
        """What a test of a kind that measures the data computes of samples of both tables.

        Such a test has no states, reads the reference, and is on all rows only: what was found is
        in `on.answers` and `on.texts` when it is measured.
        """
        return None

    # What comes out.

    @abstractmethod
    def metric(self, test: ModelTest) -> Metric:
        """What is measured: its direction, its bounds, whether it has intervals."""

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        """The figures of a test on slices, with how sure they are; by default of its metric.

        `on.baseline` are the same slices of what it is compared with, `on.reference` those of the
        reference dataset, `on.trivial` those of trivial models by their kinds. Where the test has a
        query or a probe, `on.answers` are its numbers by name, for each slice.
        """
        alone = self.measures_data or not context.compares
        metric, level = self.metric(test), context.level
        return estimate_metric(metric, context.problem, on, level=level, alone=alone)

    def finds(self, test: ModelTest, on: Slices, context: Context) -> Sequence[Find]:
        """The slices that a test found by itself on all rows, the worst first.

        They have cells beside those of the slices that the suite lists, and are recorded.
        """
        return ()

    def note(self, test: ModelTest, model: ModelVersion) -> str:
        """What a reader should know of the cells of a model, behind their reasons; "" for none."""
        return ""

    def cost(self, test: ModelTest, setting: Setting) -> str:
        """What it costs beside the scan, in a few words for `plan`; "" where nothing."""
        if query_of(test, setting) is not None:
            count = len(test.slice_sets)
            return "a query" if count == 1 else f"a query on each of {count} slice sets"
        contrast = contrast_of(test, setting)
        if contrast is not None:
            return f"a sample of {contrast.rows:,} rows of both tables"
        probe = probe_of(test, setting)
        if probe is None:
            return ""
        rows, count = f"{probe.rows:,} row{'' if probe.rows == 1 else 's'}", len(setting.models)
        apart = ", one after the other" if probe.alone and count > 1 else ""
        anew = "" if probe.keeps else ", in every run"
        return f"a probe of {rows} in {_models_text(count)}{apart}{anew}"

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The kind's own part of an evaluation's report, of all cells of its tests."""
        return None

    def history(self, cells: Sequence[Cell], nights: Sequence[Night]) -> Sequence[KindPicture]:
        """Pictures in its part of how it went night by night, where the kind looks back.

        `nights` are what the latest runs found on all rows, the run of the cells the last of them.
        """
        return ()


KINDS: Registry[Kind] = Registry("kind of test", "evalmatrix.kinds")


def key_in(test: Any) -> str:
    """The key that says of which kind a test of a suite is; `metric` where none does."""
    keys = [kind.key for kind in KINDS if kind.key != KindFile.kind]
    named = [key for key in keys if isinstance(test, Mapping) and key in test]
    return named[0] if named else KindFile.kind


def kind_of(test: ModelTest) -> Kind:
    """The kind of a test.

    Raises:
        InputError: when no kind has its key.
    """
    return KINDS.get(test.kind)


def _models_text(count: int) -> str:
    return "the model" if count == 1 else f"each of {count} models"


def query_of(test: ModelTest, setting: Setting) -> Query | None:
    """The query of a test that measures the data.

    Raises:
        InputError: when the kind fails to say it, or gives something else.
    """
    of_data = kind_of(test).measures_data
    query: Query | None = _ask(test, setting, "query", Query) if of_data else None
    return query


def contrast_of(test: ModelTest, setting: Setting) -> Contrast | None:
    """The contrast of a test that measures the data; raises as `query_of` does."""
    of_data = kind_of(test).measures_data
    contrast: Contrast | None = _ask(test, setting, "contrast", Contrast) if of_data else None
    return contrast


def probe_of(test: ModelTest, setting: Setting) -> Probe | None:
    """The probe of a test of models; raises as `query_of` does."""
    of_data = kind_of(test).measures_data
    probe: Probe | None = None if of_data else _ask(test, setting, "probe", Probe)
    return probe


def asks_beside(test: ModelTest, setting: Setting) -> bool:
    """Whether a test asks beside the scan, and so has no states."""
    return any(ask(test, setting) is not None for ask in (query_of, contrast_of, probe_of))


def _ask(test: ModelTest, setting: Setting, method: str, content: type[Any]) -> Any:
    """What a kind asks by one of its methods."""
    try:
        asked = getattr(kind_of(test), method)(test, setting)
    except EvalMatrixError:
        raise
    except Exception as error:
        raise InputError(
            f"the kind {test.kind!r} could not say what it asks: {redacted_message(error)}"
        ) from error
    if asked is None or isinstance(asked, content):
        return asked
    raise InputError(
        f"{method!r} of the kind {test.kind!r} gave a value of type {type(asked).__name__}, "
        f"expected a {content.__name__} or None"
    )


@lru_cache(maxsize=4096)
def variants_of(test: ModelTest) -> tuple[Variant | None, ...]:
    """Behind which variants a test is made: a plan asks it for each slice set and subject."""
    return tuple(kind_of(test).variants(test))


@lru_cache(maxsize=4096)
def trivial_of(test: ModelTest) -> tuple[str, ...]:
    """The kinds of trivial models that a test holds models against."""
    return tuple(kind_of(test).trivial_models(test))


def loss_columns(test: ModelTest, problem: Problem) -> tuple[str, ...]:
    """The columns of rows that the losses of a test read, beside the label and the predictions."""
    kind = kind_of(test)
    if kind.measures_data:
        return ()
    names = [name for family in kind.families(test, problem) for name in family.columns]
    names += [name for family in kind.pair_families(test, problem) for name in family.columns]
    return tuple(dict.fromkeys(names))


def parameters_text(parameters: BaseModel | Mapping[str, Any]) -> str:
    """Parameters as the JSON that `ModelTest` holds: equal ones are equal texts."""
    if isinstance(parameters, BaseModel):
        parameters = parameters.model_dump(exclude_none=True)
    data = dict(parameters)
    return json.dumps(data, sort_keys=True, ensure_ascii=False)
