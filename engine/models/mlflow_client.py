"""Questions to an MLflow tracking server, and what its answers and silences mean."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from engine.core.environment import fill_variables, hide_logins
from engine.core.registry import nearest
from engine.errors import InputError, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The error codes by which MLflow says that there is no such thing, or that its name is none.
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "BAD_REQUEST")

SHOWN_NAMES = 20
_TRIES = 3

T = TypeVar("T")


def real_uri(tracking_uri: str) -> str:
    """A tracking URI with the variables of the environment that it names, `${NAME}`, in place.

    Messages have it as it is written, so that they have no secret.

    Raises:
        InputError: when one of them is not set.
    """
    try:
        return fill_variables(tracking_uri)
    except KeyError as error:
        raise InputError(
            f"the tracking URI {hide_logins(tracking_uri)!r} names the variable {error.args[0]!r} "
            "of the environment, which is not set; set it, or correct mlflow.tracking_uri"
        ) from None


def client_of(tracking_uri: str) -> MlflowClient:
    """The client of a tracking server or a database.

    Raises:
        InputError: when a variable of the environment is missing for its URI.
        Exception: whatever the driver of a database's server raises that is down.
    """
    from mlflow import MlflowClient

    uri = real_uri(tracking_uri)
    if is_database(uri) and database_path(uri) is None:
        _reach_database(uri)
    return MlflowClient(uri)


def _reach_database(uri: str) -> None:
    """Connects to a database's server once: where it is down MLflow tries for minutes, each time.

    Raises:
        Exception: whatever its driver raises the last time.
    """
    from mlflow.store.db.utils import create_sqlalchemy_engine

    for left in reversed(range(_TRIES)):
        engine = create_sqlalchemy_engine(uri)
        try:
            with engine.connect():
                return
        except Exception:
            if not left:
                raise
            time.sleep(1.0)
        finally:
            engine.dispose()


def ask(tracking_uri: str, question: Callable[[Any], T]) -> T | None:
    """Puts a question to the server's `MlflowClient`; None when there is no such thing.

    Raises:
        TrackingError: when the server cannot be reached, or refuses to answer.
    """
    from mlflow.exceptions import MlflowException

    database = database_path(tracking_uri)
    if database is not None and not database.exists():
        # Asking would make the database, only to find it empty.
        return None
    try:
        return question(client_of(tracking_uri))
    except InputError:
        raise
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
    place = f"registered at {hide_logins(tracking_uri)}"
    return f"registered model {name!r} {problem}; {place}: {listed}{hint}"


@contextlib.contextmanager
def use_tracking_uri(tracking_uri: str) -> Iterator[None]:
    """Makes a server the one that MLflow's functions use, and puts the old one back afterwards.

    MLflow keeps it for the whole process, and in the environment.
    """
    import mlflow

    before, variable = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(real_uri(tracking_uri))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def unreachable(tracking_uri: str, error: Exception) -> TrackingError:
    """Makes the error of a server that did not answer, in one line."""
    return TrackingError(
        f"the MLflow tracking server at {hide_logins(tracking_uri)} cannot be reached: "
        f"{reason_of(error, tracking_uri)}; start it or correct the tracking URI, then run again"
    )


def reason_of(error: Exception, tracking_uri: str) -> str:
    """What a client's error says first, after its type, without what the URI has that is secret."""
    said = (str(error).splitlines() or [""])[0]
    for secret in sorted(_secrets_of(tracking_uri), key=len, reverse=True):
        said = said.replace(secret, "***")
    return f"{type(error).__name__}: {hide_logins(said)[:300]}"


def _secrets_of(tracking_uri: str) -> set[str]:
    """The password in a URI, as it is written there and as it is meant."""
    login = urlsplit(real_uri(tracking_uri)).netloc.rpartition("@")[0]
    password = login.partition(":")[2]
    return {password, unquote(password)} - {""}


def database_path(tracking_uri: str) -> Path | None:
    """The file of an SQLite tracking URI, None for other ones."""
    match = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", real_uri(tracking_uri))
    # As MLflow reads it.
    return Path(unquote(match[1])) if match and match[1] != ":memory:" else None


def is_database(tracking_uri: str) -> bool:
    """Whether a tracking URI is that of a database, which is asked without a server."""
    kind = urlsplit(real_uri(tracking_uri)).scheme.partition("+")[0]
    return kind in ("sqlite", "postgresql", "mysql", "mssql")


def artifact_root(tracking_uri: str) -> str | None:
    """Where a new experiment keeps its files: the folder `artifacts` beside an SQLite database.

    MLflow would take a folder below the working directory. A server has a place of its own: None.
    """
    database = database_path(tracking_uri)
    return (database.absolute().parent / "artifacts").as_uri() if database else None
