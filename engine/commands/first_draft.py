"""From the arguments of `init` to a suite: look, measure once, choose, write, read it again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.authoring.behaviour_tests import add_behaviour_tests
from engine.commands.authoring.data_tests import add_data_tests
from engine.commands.authoring.document import Heading, suite_text
from engine.commands.authoring.guesses import guess_roles
from engine.commands.authoring.model_tests import add_model_tests
from engine.commands.authoring.trial import trial_suite
from engine.commands.authoring.wishes import Draft, Situation, Wishes
from engine.commands.evaluate_alone import evaluate_alone
from engine.commands.progress import Reporter
from engine.core.locations import Store
from engine.core.signals import cut_waits
from engine.core.vocabulary import EvaluationResult, TaskKind
from engine.data.source import Source, pin_source
from engine.data.table_profile import TableProfile, profile_table, spread_of
from engine.errors import DataError, InputError, StoreError
from engine.models.look import ModelLook, look_at_model
from engine.planning.model_finder import short_waits
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.suite import dump_suite, model_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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


@dataclass(frozen=True, slots=True)
class Drafted:
    """A suite that was written: its text, its file, what was guessed, and what was left out."""

    text: str
    out: Path | None
    told: tuple[str, ...]
    omissions: tuple[str, ...]
    tests: int

    def __str__(self) -> str:
        return self.text


def draft_suite(wanted: Wanted, *, spark: SparkSession | None) -> Drafted:
    """Writes the suite.

    Raises:
        InputError: when an argument, a model or the data are wrong; nothing was written.
        StoreError: when the machinery failed.
    """
    if wanted.out is not None and wanted.out.exists() and not wanted.force:
        raise InputError(
            f"{str(wanted.out)!r} is there already; give --force to overwrite it, or another --out"
        )
    tell, store = Reporter(), Store(wanted.store)
    store.check_writable()
    short_waits()
    session = LazySession(spark, log_file=store.log_file, say=tell.say)
    with cut_waits():
        situation = look(wanted, session, tell)
        for line in situation.roles.told:
            tell.say(line)
        result = _measure(situation, wanted, session, tell)
    draft = Draft()
    add_model_tests(draft, situation, result.cells)
    add_data_tests(draft, situation, result.cells)
    add_behaviour_tests(draft, situation, result.cells)
    heading = Heading(wanted.store, wanted.tracking_uri, situation.roles.told)
    meaning, text = suite_text(situation, draft, heading)
    _write(text, meaning, wanted)
    count = sum(map(len, draft.tests.values()))
    return Drafted(text, wanted.out, situation.roles.told, tuple(draft.omissions), count)


def look(wanted: Wanted, session: LazySession, tell: Reporter) -> Situation:
    """Looks at models and tables, and finds what the columns are for."""
    given = dict(wanted.columns)
    given["stored"] = tuple(given.get("stored", ()))
    if not wanted.models and not given["stored"]:
        raise InputError("no model is given; expected --model URI, or --from-predictions COLUMN")
    looks = _look_at_models(wanted, tell)
    types = {name: kind for one in looks for name, kind in one.types.items()}
    source, table = _look_at_table(wanted, _place(wanted.data), types, session, tell)
    stored = tuple(_score_columns(text, table) for text in given.pop("stored"))
    wishes = Wishes(**given, stored=stored)
    roles = guess_roles(table, looks, wishes)
    training = None
    beside = _reference(wanted)
    if beside is not None:
        training = _look_at_table(wanted, beside, types, session, tell)[1]
    by_value = roles.task is TaskKind.REGRESSION
    models = (*({"uri": uri} for uri in wanted.models), *_stored_models(stored, table, by_value))
    dataset = {**_place(wanted.data), "task": roles.task.value, "label": roles.label}
    optional = {
        "positive_label": roles.positive_label,
        "key": list(roles.key) if len(roles.key) > 1 else next(iter(roles.key), None),
        "cluster": wishes.cluster,
        "weight": wishes.weight,
        "sensitive": list(wishes.sensitive) or None,
    }
    dataset |= {name: value for name, value in optional.items() if value is not None}
    names = (
        *map(model_name, wanted.models),
        *(str(model["name"]) for model in models[len(looks) :]),
    )
    has_scores = all("scores" in model for model in models[len(looks) :])
    return Situation(
        _name(wanted.data), dataset, models, names, looks, roles, wishes, table, source.version,
        spread=spread_of(source, roles.label) if by_value else None,
        reference=_reference(wanted),
        training=training,
        gives_scores=has_scores and all(one.gives_scores for one in looks),
    )  # fmt: skip


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
    endings = [ending.lower().removeprefix(".") for ending in Path(data).suffixes]
    kind = next((kind for kind in ("csv", "parquet") if kind in endings), "delta")
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


def _measure(
    situation: Situation, wanted: Wanted, session: LazySession, tell: Reporter
) -> EvaluationResult:
    """The trial: one evaluation in a store that is gone afterwards."""
    tell.say(f"measuring {situation.champion} on {situation.rows:,} rows")
    uri = wanted.tracking_uri or Store(wanted.store).tracking_uri
    folder = tempfile.mkdtemp(prefix="evalmatrix-init-")
    try:
        suite = read_suite(trial_suite(situation, folder, uri))
        return evaluate_alone(suite, session, tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(text: str, meaning: Mapping[str, Any], wanted: Wanted) -> None:
    """Writes the suite, once it is read again as what was meant."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "suite.yml"
        draft.write_text(text, encoding="utf-8", newline="")
        if dump_suite(read_suite(draft)) != dump_suite(read_suite(meaning)):
            raise StoreError("the suite reads as another one than was meant; nothing was written")
    if wanted.out is None:
        return
    try:
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
        new = wanted.out.with_name(f".{wanted.out.name}.new")
        new.write_text(text, encoding="utf-8", newline="")
        new.replace(wanted.out)
    except OSError as error:
        raise InputError(
            f"{str(wanted.out)!r} cannot be written: {error.strerror or error}"
        ) from error
