"""What a model is evaluated on: dataset versions and their slices."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from engine.core.vocabulary.plain import LATER


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A Delta table at a version, as it was pinned when the run was planned.

    `files` says in a few words which files the version is made of; "" where it is not made of any.
    """

    name: str
    uri: str
    version: int
    table_id: str
    rows: int
    timestamp: dt.datetime | None = None
    is_catalog_table: bool = False
    schema: tuple[tuple[str, str], ...] = ()
    files: str = field(default="", metadata=LATER)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One column that cuts rows into slices: by value, or by the edges of its bins.

    With `edges` e0 < e1 < ... the intervals are (-inf, e0), [e0, e1), ..., [ek, inf).
    """

    column: str
    edges: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class SliceSet:
    """A rule that cuts a dataset into slices: overall, by dimensions (crossed), or by a predicate.

    `name` is how tests refer to it; `kind` is one of overall, by, bins, quantiles, where. A set of
    kind groups cuts the slices of another, its `parent`, by the values of its last dimension.
    """

    name: str
    kind: str
    dimensions: tuple[Dimension, ...] = ()
    where: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A named subset of the rows. `values` has one text for each column, None for null."""

    name: str
    kind: str
    set_name: str
    values: tuple[tuple[str, str | None], ...] = ()

    @property
    def columns(self) -> dict[str, str | None]:
        return dict(self.values)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the dataset and what each is for."""

    label: str
    weight: str | None = None
    key: tuple[str, ...] = ()
    cluster: str | None = None
    sensitive: tuple[str, ...] = ()
    query: str | None = None

    @property
    def are_clustered(self) -> bool:
        """Whether several rows may belong together: a cluster, or a query, that is not the key."""
        whole = self.cluster or self.query
        return whole is not None and self.key != (whole,)
