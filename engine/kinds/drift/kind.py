"""`drift`: is it still the same population? Columns and the label against the `reference`.

The reference is the training data, an older version of the table, or another table. Bins come from
it alone; both samples are counted over them, and the size of the difference is held against its
limit, with an interval that knows how many rows and clusters both have. All columns together are
looked at by a classifier (`domain.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from engine.core.vocabulary import Cell, MetricValue, ModelTest, Night
from engine.errors import InputError
from engine.fields.values import Columns, expected
from engine.fields.wording import quote, suggestion
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.drift.bin_rows import bin_rows, fine_rows, with_rows
from engine.kinds.drift.bins import (
    DEVIATION,
    EDGES,
    FINE_EDGES,
    VALUES,
    bin_names,
    bins_family,
    short_texts,
    sums_family,
)
from engine.kinds.drift.distances import DISTANCES, column_class, fits
from engine.kinds.drift.domain import (
    DOMAIN,
    DOMAIN_METRIC,
    domain_contrast,
    domain_limit_mistake,
    domain_metric,
    domain_misfits,
    estimate_domain,
    is_domain,
)
from engine.kinds.drift.estimate import (
    NO_REFERENCE,
    Samples,
    estimate_counts,
    estimate_sums,
    sums_of,
)
from engine.kinds.drift.pictures import night_lines
from engine.kinds.drift.section import drift_section
from engine.kinds.estimates import SliceEstimates
from engine.kinds.pictures import KindPicture
from engine.kinds.questions import Contrast, figure
from engine.kinds.setting import Bins, Context, Section, Setting
from engine.metrics import Metric, Slices
from engine.states import ColumnFamily

ALL = "all"


def choose_distance(value: Any) -> str:
    """The key of a distance."""
    if isinstance(value, str) and value in DISTANCES:
        return value
    raise expected(f"a distance, {suggestion(value, list(DISTANCES))}")


DistanceField = Annotated[
    str,
    BeforeValidator(choose_distance),
    WithJsonSchema({"type": "string", "enum": list(DISTANCES)}),
]


def choose_asked(value: Any) -> str:
    """The key of a distance, or of the classifier."""
    if isinstance(value, str) and value in ASKED:
        return value
    raise expected(f"a distance, {suggestion(value, ASKED)}")


ASKED = [*DISTANCES, DOMAIN]
AskedField = Annotated[
    str,
    BeforeValidator(choose_asked),
    WithJsonSchema({"type": "string", "enum": ASKED}),
]


def limit_mistakes(kind: str, test: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Why no value of a distance is on one side of a limit."""
    distance, limit = test.get(kind), test.get("max")
    if not isinstance(limit, int | float) or isinstance(limit, bool):
        return
    if distance == DOMAIN and (mistake := domain_limit_mistake(limit)):
        yield "max", mistake
    if not isinstance(distance, str) or distance not in DISTANCES:
        return
    most = DISTANCES[distance].most
    if not limit >= 0 or limit > most:
        span = "of 0 or more" if most > 1 else "from 0 to 1"
        yield "max", f"found {quote(limit)}, expected a number {span}, as {distance} is"


class DriftKind(Kind):
    """The distance of a column's distribution from that of the reference."""

    key = "drift"
    description = "How far columns and the label have moved from the reference, alone or together."
    conditions = ("max",)
    measures_data = True
    reads_reference = True
    looks_back = True

    def keys(self) -> Mapping[str, Any]:
        columns = Field(ALL, description="all, a column or a list of columns; default: all.")
        return {
            self.key: (AskedField, Field(description=self.description)),
            "columns": (Literal["all"] | Columns, columns),
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        for key, sentence in limit_mistakes(self.key, test):
            yield (key,), sentence

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        columns = None if file.columns == ALL else list(file.columns)
        parameters = {"distance": file.drift, "columns": columns}
        metric = DOMAIN_METRIC if file.drift == DOMAIN else file.drift
        return {"metric": metric, "parameters": parameters_text(parameters)}

    def is_on_slices(self, file: Any) -> bool:
        return bool(file.drift != DOMAIN)

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = json.loads(test.parameters)
        return {
            self.key: parameters["distance"],
            "columns": ALL if parameters["columns"] is None else parameters["columns"],
        }

    def title(self, test: ModelTest) -> str:
        parameters = json.loads(test.parameters)
        columns = parameters["columns"] or [ALL]
        return f"{self.key} {parameters['distance']}({','.join(columns)})"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each column, all of which are corrected together; of the classifier one."""
        parameters = json.loads(test.parameters)
        if is_domain(test):
            columns = parameters["columns"]
            every = usual_columns(setting) if columns is None else columns
            return (replace(test, parameters=parameters_text({**parameters, "columns": every})),)
        named, title, expanded = parameters["columns"], self.title(test), []
        distance = DISTANCES[parameters["distance"]]
        usual = [name for name in usual_columns(setting) if fits(distance, setting.types[name])]
        for column in usual if named is None else named:
            kind = setting.types.get(column, "")
            about = {
                **parameters, "columns": [column], "type": kind, "named": named is not None,
            }  # fmt: skip
            own = replace(test, parameters=parameters_text(about), family=test.name)
            name = test.name.replace(title, self.title(own))
            expanded.append(replace(own, name=name if title in test.name else f"{name} {column}"))
        return expanded or (test,)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        if is_domain(test):
            yield from domain_misfits(test, setting)
            return
        parameters = json.loads(test.parameters)
        distance = DISTANCES[parameters["distance"]]
        if parameters["columns"] is None:
            yield f"no column of the dataset can be compared by {distance.key}; name the columns"
            return
        (column,) = parameters["columns"]
        kind = setting.types.get(column)
        if kind is None:
            return
        if column in setting.columns.sensitive:
            yield (
                f"results would show which values of {column!r} are frequent, which the suite "
                "calls sensitive; expected a column that is not"
            )
        elif column_class(kind) is None:
            yield (
                f"the column {column!r} is {kind}, of which there are no bins; expected numbers, "
                "truth values, text, dates or timestamps"
            )
        elif not fits(distance, kind):
            yield (
                f"{distance.key} is of numbers, dates and timestamps, found {column!r} of the type "
                f"{kind}; expected another distance, such as psi"
            )

    def bins(self, test: ModelTest) -> Sequence[str]:
        return () if is_domain(test) else json.loads(test.parameters)["columns"] or ()

    def pin_bins(self, test: ModelTest, bins: Mapping[str, Bins]) -> ModelTest | None:
        if is_domain(test):
            return test
        parameters = json.loads(test.parameters)
        distance = DISTANCES[parameters["distance"]]
        (column,) = parameters["columns"] or [None]
        if column not in bins:
            return test
        wanted = (FINE_EDGES, DEVIATION) if distance.of_order else (VALUES, EDGES)
        own = {key: bins[column][key] for key in wanted if key in bins[column]}
        if bins[column] and not own:
            # Of a run that is judged again by another distance.
            return test
        if own:
            return replace(test, parameters=parameters_text({**parameters, "bins": own}))
        if not parameters["named"]:
            return None
        raise InputError(
            f"test {test.name!r}: the column {column!r} cannot be binned: most rows of the "
            "reference have values that fewer than one in a thousand rows have; expected a column "
            "of frequent values, or of numbers"
        )

    def known_bins(self, test: ModelTest) -> Mapping[str, Bins]:
        parameters = json.loads(test.parameters)
        if "bins" not in parameters:
            return {}
        return {parameters["columns"][0]: parameters["bins"]}

    def column_families(self, test: ModelTest) -> Sequence[ColumnFamily]:
        if is_domain(test):
            return ()
        parameters = json.loads(test.parameters)
        columns, bins = parameters["columns"] or (), parameters.get("bins", {})
        family = sums_family if DISTANCES[parameters["distance"]].of_order else bins_family
        return [family(column, bins) for column in columns]

    def contrast(self, test: ModelTest, setting: Setting) -> Contrast | None:
        return domain_contrast(test) if is_domain(test) else None

    def metric(self, test: ModelTest) -> Metric:
        if is_domain(test):
            return domain_metric()
        distance = DISTANCES[json.loads(test.parameters)["distance"]]
        bounds = (0.0, distance.most)
        return figure(test.metric, higher_is_better=False, bounds=bounds, intervals=True)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if is_domain(test):
            return estimate_domain(on, context)
        if on.reference is None:
            return SliceEstimates.repeat_value(len(on), NO_REFERENCE)
        parameters = json.loads(test.parameters)
        distance, bins = DISTANCES[parameters["distance"]], parameters["bins"]
        (family,) = self.column_families(test)
        names = () if distance.of_order else bin_names(bins, parameters["type"])
        samples = Samples(
            sums_of(on.reference, family.key), sums_of(on, family.key), on.sampling.clustered, names
        )
        if not distance.of_order:
            estimates = estimate_counts(distance, samples, context.level)
            if not context.is_overall:
                return estimates
            texts = short_texts(bins.get(EDGES, ()), parameters["type"])
            return with_rows(estimates, bin_rows(samples, texts))
        edges = bins[FINE_EDGES]
        if not edges:
            return SliceEstimates.repeat_value(len(on), _no_numbers())
        estimates = estimate_sums(distance, samples, edges, bins[DEVIATION], context.level)
        if not context.is_overall:
            return estimates
        return with_rows(estimates, fine_rows(samples, edges, parameters["type"]))

    def cost(self, test: ModelTest, setting: Setting) -> str:
        return super().cost(test, setting) if is_domain(test) else ""

    def section(self, cells: Sequence[Cell]) -> Section | None:
        return drift_section(cells)

    def history(self, cells: Sequence[Cell], nights: Sequence[Night]) -> Sequence[KindPicture]:
        return night_lines(cells, nights)


def usual_columns(setting: Setting) -> list[str]:
    """All columns that say something of the population, those of dates and times left out."""
    return [
        name
        for name in setting.plain_columns
        if column_class(setting.types[name]) not in (None, "time")
    ]


def _no_numbers() -> MetricValue:
    return MetricValue(None, "empty", detail="no number in the reference")


KINDS.add("drift", DriftKind())
