"""From a recipe to a table of rows, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.locations import Store
from engine.core.registry import did_you_mean
from engine.data.generation.blocks import BLOCK
from engine.data.generation.boundary_table import Outcomes, as_table, find_outcomes
from engine.data.generation.closeness import MOST_ROWS, Closeness, compare, halves
from engine.data.generation.copies import CopyCount, repeated_share
from engine.data.generation.fit import Settings, fit
from engine.data.generation.given import check_given
from engine.data.generation.known import Independent
from engine.data.generation.maker import Maker, RealRows, Source, check_met, with_class_shares
from engine.data.generation.marginals import has_room, is_number
from engine.data.generation.mock import Mock
from engine.data.generation.plants import Answer, Draw, PlantBody, body_of
from engine.data.generation.plants.drift import Drift
from engine.data.generation.plants.plant import COPIES
from engine.data.generation.population import Population
from engine.data.generation.recipe import Recipe
from engine.data.generation.sources import SourceRows, read_source
from engine.data.generation.write import check_target, write_made
from engine.errors import DataError
from engine.models.artifact import digest, read_artifact
from engine.models.boundaries import Outcome
from engine.models.trust import refuse_changes
from engine.models.uris import Locator
from engine.spark.lazy_session import LazySession

Show = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows that so many rows are made, of what; what it gives is told of each some."""

# Made rows that a small source is held beside; of fewer chance would be seen alone.
_LEAST_COMPARED = 1000
# The reference is another draw of the same population.
_REFERENCE_SEED = 1


@dataclass(frozen=True, slots=True)
class Planted:
    """A plant as the recipe has it, and what a right test finds of it."""

    plant: Mapping[str, Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Generated:
    """A table that was made.

    Attributes:
        table: where it is, at `version`, with so many `rows`.
        reference: the table without plants, and its version.
        source: what it was generated from, in a few words.
        met: the share of drawn rows that meet the conditions.
        closeness: of the made rows to the source; `floor`: of two halves of the source.
        copies: how many made rows equal one of the source's in all columns but the key, None where
            it was not looked at; `repeated` is the share of one half of the source that the other
            half has.
        planted: the plants, with what a right test finds.
        notes: what is not in it, or is otherwise than in the source; a sentence each.
        answers: the file that says all this; `page` shows closeness in pictures.
        outcomes: of the boundaries of a model's signature.
    """

    table: str
    version: int
    rows: int
    seed: int
    source: str
    met: float = 1.0
    reference: tuple[str, int] | None = None
    closeness: Closeness | None = None
    floor: Closeness | None = None
    copies: int | None = None
    repeated: float | None = None
    planted: tuple[Planted, ...] = ()
    notes: tuple[str, ...] = ()
    answers: Path | None = None
    page: Path | None = None
    outcomes: tuple[Outcome, ...] = ()


def make(session: LazySession, recipe: Recipe, show: Show) -> Generated:
    """Makes what a recipe says.

    Args:
        session: is asked for Spark where a table is not on this machine.
        recipe: what is generated.
        show: shows progress.

    Raises:
        DataError: when source, conditions, plants or target do not go together; nothing is made.
        ModelError: when there is no such model, or it has no signature.
        StoreError: when a table cannot be written.
    """
    for table in filter(None, (recipe.out, recipe.reference)):
        check_target(table)
    if recipe.boundaries:
        return _make_boundaries(session, recipe, show)
    source, rows = _source(session, recipe)
    _check_columns(recipe, source.schema)
    check_given(recipe.given, _without_key(source.schema, recipe.key))
    met = check_met(source, recipe.seed, recipe.given)
    clean = Maker(source, recipe.seed, _count(recipe, source), recipe.given)
    sample = clean.sample() if recipe.plant else None
    other = _reference(clean, recipe, sample)
    maker, planted = _with_plants(clean, recipe, rows, other, sample)
    generated = Generated(
        recipe.out, 0, maker.rows, recipe.seed, _source_text(recipe, rows), met,
        planted=planted, notes=_notes(recipe, source, rows),
    )  # fmt: skip
    counter = None if rows is None or recipe.real else CopyCount(rows.rows, recipe.key)
    version, counted = _write(session, maker, recipe.out, counter, show)
    generated = replace(generated, version=version, copies=counted)
    if recipe.reference is not None and other is not None:
        version, _ = _write(session, other, recipe.reference, None, show)
        generated = replace(generated, reference=(recipe.reference, version))
    return _with_closeness(generated, recipe, clean, rows)


def _make_boundaries(session: LazySession, recipe: Recipe, show: Show) -> Generated:
    """The table of what becomes of each boundary of a model's signature."""
    folder, mock = _mock(recipe)
    outcomes = find_outcomes(folder, mock, recipe.seed)
    table = as_table(outcomes)
    maker = Maker(Outcomes(table), recipe.seed, table.num_rows, {})
    version, _ = _write(session, maker, recipe.out, None, show)
    text = f"the boundaries of the signature of {recipe.model}"
    return Generated(
        recipe.out, version, table.num_rows, recipe.seed, text, outcomes=tuple(outcomes)
    )


def _mock(recipe: Recipe) -> tuple[Path, Mock]:
    """A model's folder, and what makes its inputs."""
    assert recipe.model is not None, "the recipe names a model"
    store = Store(recipe.store)
    uri = recipe.tracking_uri or store.tracking_uri
    located = Locator(uri, store.files / "cache" / "models").locate(recipe.model)
    inputs = read_artifact(located.path).inputs
    if recipe.boundaries:
        refuse_changes(recipe.model, located, digest(located.path))
    return Path(located.path), Mock.of(recipe.model, inputs, recipe.key)


def _source(session: LazySession, recipe: Recipe) -> tuple[Source, SourceRows | None]:
    if recipe.population is not None:
        return Independent.of(recipe.population, recipe.key), None
    if recipe.model is not None:
        return _mock(recipe)[1], None
    rows = read_source(session, recipe)
    if recipe.real:
        return RealRows(rows.rows), rows
    settings = Settings(recipe.label, tuple(recipe.by), recipe.key, recipe.least_rows)
    return fit(rows.rows, settings), rows


def _without_key(schema: pa.Schema, key: str | None) -> pa.Schema:
    return pa.schema([column for column in schema if column.name != key])


def _check_columns(recipe: Recipe, schema: pa.Schema) -> None:
    """Refuses a label that is not made, a key that is made twice, one that has no room.

    Raises:
        DataError: with what was expected.
    """
    names = schema.names
    if recipe.label is not None and recipe.label not in names:
        raise DataError(
            f"no column {recipe.label!r} for the label{did_you_mean(recipe.label, names)}"
        )
    if recipe.key is not None and names.count(recipe.key) > 1:
        raise DataError(f"the key {recipe.key!r} is among the columns; expected another name")
    if recipe.key is not None and recipe.rows is not None:
        kind = schema.field(recipe.key).type
        if is_number(kind) and not has_room(kind, np.array([float(recipe.rows)])):
            raise DataError(
                f"the key {recipe.key!r} is {kind}, which has no room for {recipe.rows:,} numbers"
            )


def _count(recipe: Recipe, source: Source) -> int:
    if isinstance(source, RealRows):
        return int(source.table.num_rows)
    assert recipe.rows is not None, "the recipe says how many"
    return recipe.rows


def _source_text(recipe: Recipe, rows: SourceRows | None) -> str:
    if rows is not None:
        assert recipe.dataset is not None, "rows are of a dataset"
        return f"{recipe.dataset.place} version {rows.version} ({rows.total:,} rows)"
    return f"the signature of {recipe.model}" if recipe.model else "the recipe's population"


def _notes(recipe: Recipe, source: Source, rows: SourceRows | None) -> tuple[str, ...]:
    notes = list(source.notes) if isinstance(source, Population) else []
    if rows is not None and rows.rows.num_rows < rows.total:
        notes.insert(
            0,
            f"distributions are of {rows.rows.num_rows:,} of {rows.total:,} rows, chosen by a hash "
            "of what they hold (`fit_rows`)",
        )
    if isinstance(source, Population):
        notes.append(
            "rules between columns, interactions of three columns and keys to other tables are not "
            "carried over"
        )
    return tuple(notes)


def _reference(clean: Maker, recipe: Recipe, sample: pa.Table | None) -> Maker | None:
    """What makes the reference: another draw, with the columns that plants add and no effect."""
    if recipe.reference is None:
        return None
    bodies = [body_of(plant)[1].sound() for plant in recipe.plant]
    sound = [(place, body) for place, body in enumerate(bodies) if body is not None]
    other = replace(clean, seed=recipe.seed + _REFERENCE_SEED)
    draws = []
    for place, body in sorted(sound, key=lambda item: item[1].rank):
        assert sample is not None, "there are plants"
        draw = Draw(other.seed, place, other.rows, sample, _label(recipe), recipe.key)
        body.answer(draw)
        draws.append((body, _lean(body, draw)))
        sample = _with_added(sample, body, draw)
    return replace(other, plants=tuple(draws))


def _label(recipe: Recipe) -> str | None:
    target = recipe.population.target if recipe.population is not None else None
    return recipe.label or (target.name if target is not None else None)


def _with_plants(
    clean: Maker,
    recipe: Recipe,
    rows: SourceRows | None,
    other: Maker | None,
    sample: pa.Table | None,
) -> tuple[Maker, tuple[Planted, ...]]:
    """The maker with its plants, each checked against the columns; and their answers."""
    if sample is None:
        return clean, ()
    named = [body_of(plant) for plant in recipe.plant]
    label = _label(recipe)
    source = with_class_shares(clean.source, [body for _, body in named], label)
    maker = replace(clean, source=source, rows=_count(recipe, source))
    normal = frozenset(
        name
        for name, column in (recipe.population.columns if recipe.population else {}).items()
        if column.normal is not None
    )
    planted, plants = [], []
    for stream, (key, body) in sorted(enumerate(named), key=lambda item: item[1][1].rank):
        draw = Draw(
            recipe.seed, stream, maker.rows, sample, label, recipe.key,
            None if rows is None else rows.rows, other, normal,
        )  # fmt: skip
        told = {key: body.model_dump(mode="json", exclude_unset=True)}
        planted.append(Planted(told, body.answer(draw)))
        plants.append((body, _lean(body, draw)))
        sample = _with_added(sample, body, plants[-1][1])
    return replace(maker, plants=tuple(plants)), tuple(planted)


def _lean(body: PlantBody, draw: Draw) -> Draw:
    """What a plant needs to change rows: it goes to whoever makes some."""
    copies = body.rank == COPIES
    needed = draw.source if copies and draw.reference is None else None
    moved = [body.column] if isinstance(body, Drift) and body.shift is not None else []
    lean = draw.settle(moved)
    return replace(lean, source=needed, reference=draw.reference if copies else None)


def _with_added(sample: pa.Table, body: PlantBody, draw: Draw) -> pa.Table:
    """The sample with the columns that a plant adds, for the plants after it."""
    if body.rank >= COPIES:
        return sample
    numbers = np.arange(sample.num_rows, dtype=np.int64)
    changed = body.apply(sample, numbers, replace(draw, rows=sample.num_rows))
    added = [name for name in changed.column_names if name not in sample.column_names]
    for name in added:
        sample = sample.append_column(changed.schema.field(name), changed.column(name))
    return sample.combine_chunks()


def _write(
    session: LazySession, maker: Maker, table: str, counter: CopyCount | None, show: Show
) -> tuple[int, int | None]:
    with show(f"making {table}", maker.rows) as advance:
        version = write_made(session, maker, table, advance, counter)
    return version, None if counter is None else counter.rows


def _with_closeness(
    generated: Generated, recipe: Recipe, clean: Maker, rows: SourceRows | None
) -> Generated:
    """With the figures of closeness, of rows without conditions and plants."""
    if rows is None or recipe.real or not recipe.closeness:
        return generated
    own = rows.rows.drop_columns([recipe.key]) if recipe.key else rows.rows
    bare = replace(clean, given={})
    compared = min(max(own.num_rows, _LEAST_COMPARED), MOST_ROWS)
    drawn = bare.sample(-(-compared // BLOCK)).slice(0, compared)
    return replace(
        generated,
        closeness=compare(own, drawn),
        floor=halves(own),
        repeated=repeated_share(rows.rows, recipe.key),
    )
