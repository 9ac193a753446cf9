"""What a nightly job needs before it evaluates: files taken into Delta, model versions trained.

Both are done once: a file that the lake has makes no new version of its table, and a version whose
code, configuration and data have not changed is not trained again.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.commands.progress import Reporter
from engine.core.locations import Store
from engine.data.ingest import Ingested, ingest
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.training import Trained, train_all


class TableFiles(BaseModel):
    """Files for a table of the lake, in the order of their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field(min_length=1, pattern=r"^[\w-]+$")
    csv: str | None = None
    parquet: str | None = None


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
        InputError: when the file, or what it names, is wrong.
        StoreError: when the store cannot be written, or Spark does not start.
    """
    if path is None:
        return
    tell, wanted = Reporter(), read_provision(path)
    store = Store(wanted.store)
    store.check_writable()
    session = LazySession(log_file=store.log_file, say=tell.say)
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


def provide_tables(session: LazySession, wanted: Provision, tell: Reporter) -> list[Ingested]:
    """Takes the files into the lake."""
    store, done = Store(wanted.store), []
    if wanted.tables:
        tell.say("reading new files into the lake")
    for files in wanted.tables:
        pattern, fmt = (files.csv, "csv") if files.csv else (files.parquet, "parquet")
        if pattern is None:
            raise InputError(f"table {files.table!r}: expected `csv:` or `parquet:` with a glob")
        ingested = ingest(session, pattern, table=store.table(f"lake/{files.table}"), fmt=fmt)
        tell.say(
            f"{files.table}: {len(ingested.added)} files added, {len(ingested.known)} known, "
            f"version {ingested.version}"
        )
        done.append(ingested)
    return done


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
