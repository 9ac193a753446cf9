"""Questions to an MLflow tracking server, and what its answers and silences mean."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from engine.core.locks import sole_writer
from engine.core.registry import nearest
from engine.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The error codes by which MLflow says that there is no such thing, or that its name is none.
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "BAD_REQUEST")

SHOWN_NAMES = 20

T = TypeVar("T")


def ask(tracking_uri: str, question: Callable[[Any], T]) -> T | None:
    """Puts a question to the server's `MlflowClient`; None when there is no such thing.

    Raises:
        TrackingError: when the server cannot be reached, or refuses to answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    database = database_path(tracking_uri)
    if database is not None and not database.exists():
        # Asking would make the database, only to find it empty.
        return None
    try:
        return question(MlflowClient(tracking_uri))
    except MlflowException as error:
        if is_absent(error):
            return None
        raise unreachable(tracking_uri, error) from error
    except Exception as error:
        # Whatever a client's transport or a database's driver raises.
        raise unreachable(tracking_uri, error) from error


def is_absent(error: Exception) -> bool:
    """Whether MLflow says by an error that there is no such thing."""
    return getattr(error, "error_code", None) in _NOT_THERE


def make_database(tracking_uri: str) -> None:
    """Makes MLflow's tables for an SQLite URI that has no file yet; does nothing for other URIs.

    MLflow makes them in some hundred steps, in which two processes disturb each other, and of which
    a process that is killed leaves a part that MLflow refuses for ever. So they are made elsewhere,
    by one process at a time, and put in place when they are whole.
    """
    database = database_path(tracking_uri)
    if database is None or database.exists():
        return
    from mlflow import MlflowClient

    database = database.absolute()
    with sole_writer(database):
        if database.exists():
            return
        begun = database.with_name(f".{database.name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        new_database = begun / database.name
        with quiet("mlflow.store.db.utils"):
            MlflowClient(f"sqlite:///{new_database}").search_experiments(max_results=1)
        new_database.replace(database)
        shutil.rmtree(begun, ignore_errors=True)


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Keeps what a logger tells and warns of back, where it is meant."""
    target = logging.getLogger(logger)
    before = target.level
    target.setLevel(logging.ERROR)
    try:
        yield
    finally:
        target.setLevel(before)


def find_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """The id of an experiment, which is made where there is none.

    `artifact_root` is where a new one keeps its files; None leaves that to the server.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_root))
        except MlflowException as error:
            experiment = client.get_experiment_by_name(name)
            # Another process may have made it since.
            if experiment is None or error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    return str(experiment.experiment_id)


def versions_of(client: Any, name: str) -> list[Any]:
    """The versions of a registered model, whatever it is called; `client` is an `MlflowClient`.

    They are in no order: Unity Catalog sorts none.
    """
    quote = '"' if "'" in name else "'"
    # MLflow's filters have no way to write a quote within quotes.
    query = None if quote in name else f"name = {quote}{name}{quote}"
    page = client.search_model_versions(query)
    versions = list(page)
    while page.token:
        page = client.search_model_versions(query, page_token=page.token)
        versions += page
    return [version for version in versions if version.name == name]


def no_such_model(tracking_uri: str, name: str, lacks: str = "") -> str:
    """Says which models are registered instead of one that is not, or that lacks something.

    Raises:
        TrackingError: when the server cannot be reached.
    """
    models = ask(tracking_uri, lambda client: client.search_registered_models(max_results=1000))
    names = sorted(model.name for model in models or ())
    close = nearest(name, names)
    hint = f"; did you mean {close!r}?" if close else ""
    listed = ", ".join(map(repr, names[:SHOWN_NAMES])) or "none; `evalmatrix train` registers one"
    problem = lacks if lacks and name in names else "does not exist"
    place = f"registered at {tracking_uri}"
    return f"registered model {name!r} {problem}; {place}: {listed}{hint}"


@contextlib.contextmanager
def use_tracking_uri(tracking_uri: str) -> Iterator[None]:
    """Makes a server the one that MLflow's functions use, and puts the old one back afterwards.

    MLflow keeps it for the whole process, and in the environment.
    """
    import mlflow

    before, variable = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def unreachable(tracking_uri: str, error: Exception) -> TrackingError:
    """Makes the error of a server that did not answer, in one line."""
    reason = (str(error).splitlines() or [""])[0][:300]
    return TrackingError(
        f"the MLflow tracking server at {tracking_uri} cannot be reached: "
        f"{type(error).__name__}: {reason}; start it or correct the tracking URI, then run again"
    )


def database_path(tracking_uri: str) -> Path | None:
    """The file of an SQLite tracking URI, None for other ones."""
    match = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", tracking_uri)
    # As MLflow reads it.
    return Path(unquote(match[1])) if match and match[1] != ":memory:" else None


def artifact_root(tracking_uri: str) -> str | None:
    """Where a new experiment keeps its files: the folder `artifacts` beside an SQLite database.

    MLflow would take a folder below the working directory. A server has a place of its own: None.
    """
    database = database_path(tracking_uri)
    return (database.absolute().parent / "artifacts").as_uri() if database else None
