"""Profiles of dataset versions that were looked at before, kept as files of the store's cache.

A version of a table does not change, so what was found in it needs no second look: another night
with nothing new reads no row. A file that is damaged or of another form is passed over.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.vocabulary import Dimension, Label, SliceSet
from engine.data.column_values import asked_values
from engine.data.profile import Profile, Stats, asked_ranges, asked_spreads
from engine.data.source import Source
from engine.data.stored_scores import probability_columns
from engine.kinds import ALL_COLUMNS
from engine.suite import Evaluation

# Goes up when the same rows are looked at otherwise.
PROFILES_VERSION = 1


def profile_digest(source: Source, evaluation: Evaluation) -> str:
    """SHA-256 of what a profile depends on: the table's version, and what is asked of it."""
    # A copy of a table has its id, and may go another way.
    return digest_of([question_digest(source, evaluation), source.version, _time(source)])


def question_digest(source: Source, evaluation: Evaluation) -> str:
    """SHA-256 of the table, and of what is asked of any version of it."""
    dataset, listed = evaluation.dataset, asked_values(evaluation)
    about = [
        PROFILES_VERSION,
        source.table_id,
        source.table,
        dataset.task.value,
        dataset.label,
        dataset.weight,
        dataset.cluster,
        dataset.query,
        sorted({test.group for test in evaluation.tests if test.group is not None}),
        [dataclasses.asdict(rule) for rule in evaluation.slices],
        evaluation.max_slices,
        # Nothing where none is asked, so that what was kept before is found.
        *([asked] if (asked := asked_spreads(evaluation)) else []),
        *(["ranges", ranges] if (ranges := asked_ranges(evaluation)) else []),
        *([["values", *listed]] if listed else []),
        *([[*dataset.key, *dataset.sensitive]] if ALL_COLUMNS in listed else []),
        *([scores] if (scores := _score_columns(evaluation)) else []),
    ]
    return digest_of(about)


def _score_columns(evaluation: Evaluation) -> list[Any]:
    """The scores that are looked at with the rows."""
    return [dataclasses.astuple(columns) for columns in probability_columns(evaluation)]


def digest_of(about: list[Any]) -> str:
    """SHA-256 of what may be written as JSON."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _time(source: Source) -> str:
    return source.timestamp.isoformat()


def find_profile(store: Store, digest: str) -> Profile | None:
    """The profile that was kept under a digest; None without one."""
    try:
        return _from_json(read_kept(kept_file(store, digest)))
    except (KeyError, TypeError, ValueError):
        return None


def keep_profile(store: Store, digest: str, profile: Profile) -> None:
    """Keeps a profile for later runs; where the disk does not take it, they look again."""
    if all(isinstance(label, Label) for label in profile.labels):
        keep(kept_file(store, digest), dataclasses.asdict(profile))


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What was aggregated of the newest version of a table that was looked at, and its time."""

    version: int
    timestamp: str
    stats: Stats


def find_stats(store: Store, question: str) -> Known | None:
    """What is kept of the newest version that a question was asked of; None without one."""
    values = read_kept(kept_file(store, question))
    try:
        return Known(int(values["version"]), values["timestamp"], dict(values["stats"]))
    except (KeyError, TypeError, ValueError):
        return None


def keep_stats(store: Store, question: str, known: Known) -> None:
    """Keeps what was aggregated of a version in the place of what is kept of an older one."""
    # Not where labels are decimals, say, which JSON does not have.
    keep(kept_file(store, question), dataclasses.asdict(known))


def kept_file(store: Store, digest: str) -> Path:
    """Where what is known of rows is kept under a digest."""
    return store.files / "cache" / "profiles" / f"{digest}.json"


def _from_json(values: Mapping[str, Any]) -> Profile:
    return Profile(
        rows=int(values["rows"]),
        labels=tuple(values["labels"]),
        slice_sets=tuple(_slice_set(item) for item in values["slice_sets"]),
        slices=int(values["slices"]),
        rows_per_cluster=float(values["rows_per_cluster"]),
        values={str(name): int(count) for name, count in values["values"].items()},
        spreads=values.get("spreads", {}),
        ranges={
            name: None if ends is None else (float(ends[0]), float(ends[1]))
            for name, ends in values.get("ranges", {}).items()
        },
        column_values=values.get("column_values", {}),
    )


def _slice_set(values: Mapping[str, Any]) -> SliceSet:
    dimensions = tuple(
        Dimension(item["column"], None if item["edges"] is None else tuple(item["edges"]))
        for item in values["dimensions"]
    )
    return SliceSet(values["name"], values["kind"], dimensions, values["where"], values["parent"])
