"""What `init` looks at before it measures: the models, the table, the training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.commands.authoring.guesses import guess_roles
from engine.commands.authoring.wishes import Roles, Situation, Wishes
from engine.commands.progress import Reporter
from engine.core.locations import Store
from engine.core.paths import data_format
from engine.core.vocabulary import TaskKind
from engine.data.looks import profile_table, spread_of
from engine.data.source import Source, pin_source
from engine.data.table_profile import TableProfile
from engine.errors import DataError, InputError
from engine.models.look import ModelLook, look_at_model
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.suite import model_name


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arguments of `init`."""

    models: tuple[str, ...]
    data: str
    out: Path | None
    reference: str | None
    store: str
    tracking_uri: str | None
    force: bool
    columns: Mapping[str, Any] = field(default_factory=dict)


def look(wanted: Wanted, session: LazySession, tell: Reporter) -> Situation:
    """Looks at models and tables, and finds what the columns are for.

    Raises:
        InputError: when an argument, a model or a table is wrong or says too little.
    """
    given = dict(wanted.columns)
    named = tuple(given.pop("stored", ()))
    if not wanted.models and not named:
        raise InputError("no model is given; expected --model URI, or --from-predictions COLUMN")
    looks = _look_at_models(wanted, tell)
    types = {name: kind for one in looks for name, kind in one.types.items()}
    place, beside = _place(wanted.data), _reference(wanted)
    source, table = _look_at_table(wanted, place, types, session, tell)
    wishes = Wishes(**given, stored=tuple(_score_columns(text, table) for text in named))
    roles = guess_roles(table, looks, wishes)
    training = None if beside is None else _look_at_table(wanted, beside, types, session, tell)[1]
    by_value = roles.task is TaskKind.REGRESSION
    stored = _stored_models(wishes.stored, table, by_value)
    return Situation(
        _name(wanted.data),
        _dataset(place, roles, wishes),
        (*({"uri": uri} for uri in wanted.models), *stored),
        (*map(model_name, wanted.models), *(str(model["name"]) for model in stored)),
        looks,
        roles,
        wishes,
        table,
        source.version,
        spread=spread_of(source, roles.label) if by_value else None,
        reference=beside,
        training=training,
        gives_scores=all("scores" in one for one in stored) and all(o.gives_scores for o in looks),
    )


def _dataset(place: Mapping[str, Any], roles: Roles, wishes: Wishes) -> dict[str, Any]:
    """The dataset as a suite has it, with the keys that say something."""
    key = list(roles.key)
    optional = {
        "positive_label": roles.positive_label,
        "key": key if len(key) > 1 else next(iter(key), None),
        "cluster": wishes.cluster,
        "weight": wishes.weight,
        "sensitive": list(wishes.sensitive) or None,
    }
    own = {name: value for name, value in optional.items() if value is not None}
    return {**place, "task": roles.task.value, "label": roles.label, **own}


def _look_at_models(wanted: Wanted, tell: Reporter) -> tuple[ModelLook, ...]:
    store = Store(wanted.store)
    uri = wanted.tracking_uri or store.tracking_uri
    cache = store.files / "cache"
    looks = []
    for model in dict.fromkeys(wanted.models):
        tell.say(f"looking at the model {model}")
        looks.append(look_at_model(model, uri, cache / "models", cache / "descriptions"))
    return tuple(looks)


def _place(data: str) -> dict[str, Any]:
    """A table or files as a suite has them, by the endings of the name."""
    kind = data_format(data)
    return {kind: data, **({} if kind == "delta" else {"name": _name(data)})}


def _reference(wanted: Wanted) -> dict[str, Any] | None:
    """The training data as a suite has them; files of one name are another table all the same."""
    if wanted.reference is None:
        return None
    place = _place(wanted.reference)
    if place.get("name") == _name(wanted.data):
        place["name"] = f"{place['name']}_reference"
    return place


def _name(data: str) -> str:
    """What a table is called: its last part; of files that of their folder or of the file."""
    path = Path(data.rstrip("/"))
    stem = path.name.split(".")[0] if "." in path.name else path.name
    if any(sign in path.name for sign in "*?["):
        stem = path.parent.name
    return stem or "data"


def _look_at_table(
    wanted: Wanted,
    place: Mapping[str, Any],
    types: Mapping[str, str],
    session: LazySession,
    tell: Reporter,
) -> tuple[Source, TableProfile]:
    """A table, pinned, and what its columns are like."""
    data = str(next(iter(place.values())))
    tell.say(f"looking at {data}")
    pending = {
        "name": "init",
        "store": wanted.store,
        "evaluations": [
            {
                "name": _name(data),
                "dataset": {**place, "task": "binary", "label": "pending"},
                "models": [{"name": "pending", "scores": "pending"}],
                "tests": [{"metric": "accuracy"}],
            }
        ],
    }
    (evaluation,) = read_suite(pending).evaluations
    source = pin_source(session, Store(wanted.store), evaluation, wanted=types, say=tell.say)
    table = profile_table(source)
    if table.rows == 0:
        raise DataError(f"{data!r} has no rows at version {source.version}")
    return source, table


def _score_columns(text: str, table: TableProfile) -> tuple[str, ...]:
    """The columns of one model's predictions: a name may have commas of its own."""
    return (text,) if text in table.columns else tuple(text.split(","))


def _stored_models(
    stored: tuple[tuple[str, ...], ...], table: TableProfile, by_value: bool
) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = []
    for columns in stored:
        kinds = {table.columns[name].kind for name in columns if name in table.columns}
        has_scores = by_value or kinds == {"number"} or len(columns) > 1
        value = list(columns) if len(columns) > 1 else columns[0]
        models.append({"name": columns[0], "scores" if has_scores else "predicted": value})
    return models
