"""What a nightly job needs before it evaluates: files taken into Delta, model versions trained.

Both are done once: where no file has changed its table has no new version, and a version whose
code, configuration and data have not changed is not trained again. A table has exactly the rows of
the files that match now, as a suite's dataset of files has.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.commands.progress import Reporter
from engine.core.locations import Store
from engine.data.files.lake import Question, Taken, take
from engine.data.files.reading import Reading
from engine.data.personal import look_at_table
from engine.errors import InputError
from engine.fields.column_types import ColumnTypes, NullValues
from engine.spark.lazy_session import LazySession
from engine.store.reach import check_store
from engine.training import Trained, train_all


class TableFiles(BaseModel):
    """Files for a table of the lake: those that match now are the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field(min_length=1, pattern=r"^[\w-]+$")
    csv: str | None = None
    parquet: str | None = None
    columns: ColumnTypes | None = None
    null_values: NullValues | None = None


class Provision(BaseModel):
    """The file that `--prepare` names: tables of the lake and folders of models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = "./store"
    tracking_uri: str | None = None
    tables: tuple[TableFiles, ...] = ()
    models: str | None = None


def prepare(path: str | Path | None) -> None:
    """Prepares what a file names, if one is named: tables of the lake, and versions of models.

    Args:
        path: a YAML file with `tables` to fill and `models` to train first.

    Raises:
        InputError: when the file, or what it names, is wrong, or its files take Spark and there
            is no Java to start one.
        StoreError: when the store cannot be written, or Spark does not start.
    """
    if path is None:
        return
    tell, wanted = Reporter(), read_provision(path)
    store = Store(wanted.store)
    check_store(store)
    session = LazySession(executor="auto", log_file=store.log_file, say=tell.say)
    provide_tables(session, wanted, tell)
    provide_models(wanted, tell)


def read_provision(path: str | Path) -> Provision:
    """Reads a `--prepare` file.

    Raises:
        InputError: when it is missing, no YAML, or has unknown keys or wrong values.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return Provision.model_validate(yaml.safe_load(text) or {})
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InputError("\n  ".join([f"{path}: {len(lines)} mistakes", *lines])) from error


def provide_tables(session: LazySession, wanted: Provision, tell: Reporter) -> list[Taken]:
    """Takes the files into the lake."""
    store, done = Store(wanted.store), []
    if wanted.tables:
        tell.say("looking at the files of the lake")
    names = [files.table for files in wanted.tables]
    for files in wanted.tables:
        if names.count(files.table) > 1:
            raise InputError(
                f"table {files.table!r} stands twice; expected each once, with one glob for all of "
                "its files"
            )
        pattern, fmt = (files.csv, "csv") if files.csv else (files.parquet, "parquet")
        if pattern is None:
            raise InputError(f"table {files.table!r}: expected `csv:` or `parquet:` with a glob")
        facts = store.files / "cache" / "files"
        table = store.table(f"lake/{files.table}")
        asked = Question(pattern, fmt, table, _reading(files), facts)
        taken = take(session, asked, say=partial(_tell, tell, files.table))
        made_of = asked.words(file.name for file in taken.known)
        tell.say(f"{files.table}: version {taken.version}, of {made_of}")
        looks = look_at_table(session, table, taken.version, store)
        for column in looks.columns if looks.is_first else ():
            tell.say(f"{files.table}: {column} in the dataset of a suite")
        done.append(taken)
    return done


def _tell(tell: Reporter, table: str, text: str) -> None:
    tell.say(f"{table}: {text}")


def _reading(files: TableFiles) -> Reading:
    nulls = files.null_values or ()
    if isinstance(nulls, dict):
        return Reading(files.columns or {}, (), {name: tuple(nulls[name]) for name in nulls})
    return Reading(files.columns or {}, tuple(nulls))


def provide_models(wanted: Provision, tell: Reporter) -> list[Trained]:
    """Trains the versions of every model folder that are not registered yet."""
    if wanted.models is None:
        return []
    store = Store(wanted.store)
    uri = wanted.tracking_uri or store.tracking_uri
    trained = []
    tell.say("training the models that are new or have changed (some minutes the first time)")
    for model in train_all(wanted.models, tracking_uri=uri, if_changed=True):
        word = "unchanged" if model.reused else "trained"
        tell.say(f"{model.name} version {model.version} {word}")
        trained.append(model)
    return trained
