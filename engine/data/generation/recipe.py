"""What is made, as a file says it: `GENERATE.yml`, read and validated, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from engine.data.generation.given import ConditionField
from engine.data.generation.plants import PLANTS, PlantField
from engine.data.generation.strict import Name, Strict
from engine.errors import InputError, Mistake, SuiteError
from engine.fields.wording import Loc, quote, suggestion
from engine.suite.overrides import apply_overrides
from engine.suite.strict_models import WORDS, known_keys, report_error
from engine.suite.yaml_document import Document, read_document

_WORDS = {
    **WORDS,
    "int_type": "a whole number",
    "string_type": "a text",
    "float_type": "a number",
    "bool_type": "true or false",
}


class SourceTable(Strict):
    """The rows that made ones are like: a Delta table, or files."""

    delta: Name | None = None
    csv: Name | None = None
    parquet: Name | None = None
    version: int | Literal["latest"] = "latest"

    @model_validator(mode="after")
    def _is_one(self) -> SourceTable:
        chosen = [name for name in ("delta", "csv", "parquet") if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ValueError(
                f"found {', '.join(chosen) or 'none'}, expected one of delta, csv, parquet"
            )
        return self

    @property
    def place(self) -> str:
        """What it names."""
        return self.delta or self.csv or self.parquet or ""

    @property
    def fmt(self) -> str:
        """`delta`, `csv` or `parquet`."""
        return "delta" if self.delta else "csv" if self.csv else "parquet"


class KnownColumn(Strict):
    """A column whose distribution is said: one of these."""

    normal: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    uniform: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    categories: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)] | None = (
        None
    )

    @model_validator(mode="after")
    def _is_one(self) -> KnownColumn:
        if sum(part is not None for part in (self.normal, self.uniform, self.categories)) != 1:
            raise ValueError("expected one of normal: [mean, sd], uniform: [low, high], categories")
        if self.normal is not None and self.normal[1] <= 0:
            raise ValueError(
                f"found the standard deviation {self.normal[1]:g}, expected more than 0"
            )
        if self.uniform is not None and self.uniform[0] >= self.uniform[1]:
            raise ValueError(f"found {self.uniform}, expected the lower end first")
        return self


class KnownTarget(Strict):
    """A label of 0 and 1 with `P(1) = 1 / (1 + exp(-z))`, z linear in columns of numbers.

    With `score` that probability is a column too: scores of a model that is perfectly calibrated.
    """

    name: Name
    intercept: float = 0.0
    weights: Annotated[dict[str, float], Field(min_length=1)]
    score: Name | None = None


class KnownPopulation(Strict):
    """Independent columns, and perhaps a label that depends on them."""

    columns: Annotated[dict[str, KnownColumn], Field(min_length=1)]
    target: KnownTarget | None = None

    @model_validator(mode="after")
    def _knows_columns(self) -> KnownPopulation:
        target = self.target
        if target is None:
            return self
        numbers = [name for name, column in self.columns.items() if column.categories is None]
        for name in target.weights:
            if name not in numbers:
                raise ValueError(
                    f"found a weight of {name!r}, expected {suggestion(name, numbers)}"
                )
        for own in (target.name, target.score):
            if own in self.columns:
                raise ValueError(f"the target's column {own!r} is among the columns")
        return self


class Recipe(Strict):
    """A `GENERATE.yml`.

    `dataset`, `model` and `population` are the three things that rows can be made from.
    """

    out: Name
    rows: Annotated[int, Field(ge=1, le=2**40)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    dataset: SourceTable | None = None
    model: Name | None = None
    population: KnownPopulation | None = None
    label: Name | None = None
    key: Name | None = None
    by: list[Name] = Field(default_factory=list)
    leave_out: list[Name] = Field(default_factory=list)
    given: dict[str, ConditionField] = Field(default_factory=dict)
    least_rows: Annotated[int, Field(ge=1)] = 5
    fit_rows: Annotated[int, Field(ge=100)] = 1_000_000
    real: bool = False
    boundaries: bool = False
    plant: list[PlantField] = Field(default_factory=list)
    reference: Name | None = None
    closeness: bool = True
    store: Name = "./store"
    tracking_uri: Name | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        chosen = [n for n in ("dataset", "model", "population") if getattr(self, n) is not None]
        if len(chosen) != 1:
            named = " and ".join(chosen) or "none"
            raise ValueError(f"found {named}, expected one of dataset, model, population")
        if self.boundaries and (self.model is None or self.plant or self.given):
            raise ValueError("`boundaries` is of a model's signature, without `plant` and `given`")
        if self.boundaries and (self.rows is not None or self.reference or self.key or self.label):
            raise ValueError("`boundaries` has rows and columns of its own: no `rows`, `key`, ...")
        if self.model is not None and self.label is not None:
            raise ValueError("`label` is of a dataset or a population: a signature has none")
        if self.rows is None and not self.real and not self.boundaries:
            raise ValueError("`rows` is missing: how many are to be made")
        if self.real and self.dataset is None:
            raise ValueError("`real` is of a dataset: its own rows are taken")
        if self.real and (self.given or self.rows is not None):
            raise ValueError("with `real` all rows of the dataset are taken: no `rows`, no `given`")
        if self.real and self.reference is not None:
            raise ValueError("with `real` the dataset itself is the reference")
        if self.reference == self.out:
            raise ValueError("`reference` and `out` are the same table")
        own = {"label": self.label, "key": self.key}
        for key, name in own.items():
            if name is not None and name in self.leave_out:
                raise ValueError(f"the {key} {name!r} is in `leave_out`")
        if self.key is not None and self.key in (self.label, *self.by):
            raise ValueError(f"the key {self.key!r} is the label, or in `by`, too")
        for key in ("by", "leave_out"):
            if getattr(self, key) and self.dataset is None:
                raise ValueError(f"`{key}` is of a dataset")
        return self


def read_recipe(
    source: str | Path | Mapping[str, Any] | None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Reads what is to be made, with overrides applied.

    Args:
        source: the file, or what it has; None where options say all.
        overrides: `dotted.key=value` texts.
        options: top-level keys that count before the file; what a row is made from replaces it.

    Raises:
        SuiteError: all the mistakes, each with its place.
        InputError: when the file cannot be read.
    """
    if source is None or isinstance(source, Mapping):
        name, document = "GENERATE.yml", Document(dict(source or {}), root="recipe")
    else:
        name = str(source)
        try:
            document = read_document(Path(source).read_text(encoding="utf-8"), "recipe")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name!r} cannot be read: {error}") from error
    if not document.mistakes and not isinstance(document.data, dict):
        text = quote(document.data)
        document.mistakes.append(Mistake(name, f"found {text}, expected a mapping"))
    if not document.mistakes:
        _set_options(document.data, options or {})
        apply_overrides(document, overrides)
    recipe = None
    if not document.mistakes:
        try:
            recipe = Recipe.model_validate(document.data)
        except ValidationError as error:
            _report(error, document)
    if recipe is None or document.mistakes:
        raise SuiteError(name, document.mistakes)
    return recipe


def _set_options(data: dict[str, Any], options: Mapping[str, Any]) -> None:
    sources = ("dataset", "model", "population")
    if any(name in options for name in sources):
        for name in sources:
            data.pop(name, None)
    data.update(options)


def _report(error: ValidationError, document: Document) -> None:
    places: set[Loc] = set()
    for details in error.errors(include_url=False):
        loc = _place(details["loc"])
        if loc in places:
            # One that fits none of several types has an error for each.
            continue
        places.add(loc)
        if _is_condition(loc):
            shown = quote(_value_at(document.data, loc))
            document.report(
                loc, f"found {shown}, expected a value, a list of values, null, or `min` and `max`"
            )
        elif details["type"] == "value_error":
            document.report(loc, details["msg"].removeprefix("Value error, "))
        elif details["type"].startswith("union_tag"):
            shown = quote(details["input"])
            document.report(loc, f"found {shown}, expected one key, {suggestion('', PLANTS)}")
        else:
            report_error(document, loc, details, _known_keys(loc[:-1]), _WORDS)


def _place(loc: Loc) -> Loc:
    """A place without what pydantic adds to it: the name of a plant's model, `[key]`, a type."""
    if loc[:1] == ("plant",):
        loc = (*loc[:2], *loc[3:]) if len(loc) > 2 else loc
    for end in range(2, len(loc)):
        if _is_condition(loc[:end]):
            return loc[:end]
    return tuple(step for step in loc if step != "[key]")


def _is_condition(loc: Loc) -> bool:
    """Whether a place is that of a condition on a column."""
    return len(loc) > 1 and (loc[:-1] == ("given",) or loc[-2:-1] == ("where",))


def _value_at(data: Any, loc: Loc) -> Any:
    for step in loc:
        data = data[step]
    return data


def _known_keys(loc: Loc) -> list[str]:
    """The keys that the mapping at a place may have."""
    if loc[:1] == ("plant",):
        return list(PLANTS[str(loc[2])].model_fields) if len(loc) > 2 else list(PLANTS)
    return known_keys(Recipe, loc)
