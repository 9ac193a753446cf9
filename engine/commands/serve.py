"""`evalmatrix serve`: a model behind MLflow's scoring server, for tests."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.commands.audit_trail import note_at
from engine.commands.redacted import redacted
from engine.core.locations import DEFAULT_STORE, Store
from engine.core.registry import did_you_mean
from engine.core.vocabulary import ANY_MODEL, Trust
from engine.errors import InputError
from engine.lifecycle.deployment import (
    CONFIG_FILE,
    LOGS,
    Deployed,
    DeploymentConfig,
    find_log,
    mock_bodies,
    read_deployment,
    used_memory_text,
    write_folder,
)
from engine.models.trust import TrustedModel, find_trusted
from engine.models.uris import Locator
from engine.planning.suites import read_suite
from engine.serving import free_port
from engine.serving.deployed import DeployedServer
from engine.store.audit import Act, Departure
from engine.suite import Suite
from engine.training.config import CONFIG_FILE as MODEL_CONFIG
from engine.training.config import read_config

_TOLD = logging.getLogger("evalmatrix")
_LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is served; as a context manager its server is stopped at the end.

    Attributes:
        uri: the model's.
        url: where it is asked.
        digest: of its files.
        formats: what they are.
        log: what the server says.
        example: a file with a request, where there is one.
        server: answers until it is stopped.
    """

    uri: str
    url: str
    digest: str
    formats: tuple[str, ...]
    log: Path
    example: Path | None
    server: DeployedServer

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


@dataclass(frozen=True, slots=True)
class _Wish:
    """A model as it is asked for: where it is looked for, trusted, and served."""

    uri: str
    tracking_uri: str
    store: Store
    trust: Trust = ANY_MODEL
    folder: Path | None = None
    config: DeploymentConfig | None = None

    def find(self) -> TrustedModel:
        """The model, which may be opened."""
        cache = self.store.files / "cache" / "models"
        return find_trusted(self.uri, Locator(self.tracking_uri, cache), self.trust)


@redacted()
def serve(
    model: str,
    *,
    suite: str | Path | None = None,
    host: str | None = None,
    port: int | None = None,
    init: bool = False,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
) -> Served | Deployed:
    """Serves a model by MLflow's scoring server on this machine, for tests.

    A folder of `models/` is served as its `deployment/deployment_config.yml` says. Nothing is
    served that the suite does not trust, or whose files were changed since it was registered.

    Args:
        model: a folder `models/<name>`, the name of a model of the suite, or a URI such as
            models:/claims@champion.
        suite: the suite that names the model, where its registry is, and what is trusted.
        host: the address to listen on; default: what the folder says, or 127.0.0.1.
        port: the port to listen on; default: what the folder says, or one that is free.
        init: writes the folder `deployment/` of a model folder instead, what is missing of it.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        store: the store's root, without a suite.
        tracking_uri: where MLflow is, without a suite; default: in the store.

    Returns:
        The server, which answers; or the folder that was written.

    Raises:
        InputError: when there is no such model, it is not trusted, its deployment's config is
            wrong, or nobody can listen there.
        TrackingError: when the tracking server cannot be reached.
    """
    known = None if suite is None else read_suite(suite, tuple(overrides))
    if overrides and known is None:
        raise InputError("found overrides and no suite that they are over; name one by --suite")
    place = Store(store if known is None else known.store)
    uri = (known and known.mlflow.tracking_uri) or tracking_uri or place.tracking_uri
    wish = _Wish(model, uri, place, ANY_MODEL if known is None else known.trust)
    if (Path(model) / MODEL_CONFIG).is_file():
        wish = replace(wish, folder=Path(model))
        return _init(wish) if init else _serve_folder(wish, host, port)
    if init:
        raise InputError(
            f"a deployment folder is that of a folder of models/ with a {MODEL_CONFIG}, found "
            f"{model!r}; without one, serve the model as it is"
        )
    wish = replace(wish, uri=_uri_of(model, known))
    return _start(wish, (host or _LOCAL, _free(port)), place.files / LOGS)


def _uri_of(model: str, suite: Suite | None) -> str:
    """The URI of a model of a suite, or one that is given as such."""
    sources = [source for item in (suite.evaluations if suite else ()) for source in item.models]
    named = {source.name: source.uri for source in sources}
    if model in named:
        if not named[model]:
            raise InputError(
                f"the model {model!r} of the suite has its predictions in a table or at an "
                "endpoint already; expected one with a `uri`"
            )
        return named[model]
    if ":/" in model or (Path(model) / "MLmodel").is_file():
        return model
    if suite is not None:
        hint = did_you_mean(model, named)
        raise InputError(
            f"the suite has no model {model!r}, expected one of {', '.join(map(repr, named))}, or "
            f"a URI{hint}"
        )
    raise InputError(
        f"found the model {model!r}, expected a folder with a {MODEL_CONFIG} or an MLmodel file, "
        "a URI such as models:/claims@champion, or with --suite the name of one of its models"
    )


def _init(wish: _Wish) -> Deployed:
    """Writes the deployment folder of a model that is registered."""
    assert wish.folder is not None, "it was looked for"
    name = read_config(wish.folder).name
    config = DeploymentConfig(name=name)
    model = replace(wish, uri=config.model_uri).find()
    bodies = mock_bodies(config.model_uri, model.artifact.inputs)
    return write_folder(wish.folder, name, bodies)


def _serve_folder(wish: _Wish, host: str | None, port: int | None) -> Served:
    assert wish.folder is not None, "it was looked for"
    folder = wish.folder / "deployment"
    config, name = read_deployment(folder), read_config(wish.folder).name
    if config.name != name:
        raise InputError(
            f"{str(folder / CONFIG_FILE)!r} is of the model {config.name!r}, its folder's "
            f"{MODEL_CONFIG} is of {name!r}; expected the same name"
        )
    wish = replace(wish, uri=config.model_uri, config=config, folder=folder)
    address = (host or config.host, config.port if port is None else _free(port))
    return _start(wish, address, folder / LOGS)


def _free(port: int | None) -> int:
    """The port that is asked for; one that is free where none is."""
    if port is not None and not 0 <= port < 2**16:
        raise InputError(f"found the port {port}, expected 0 (any that is free) to 65535")
    return port or free_port()


def _start(wish: _Wish, address: tuple[str, int], logs: Path) -> Served:
    """Starts the server, and waits until it answers."""
    model = wish.find()
    replicas = 1 if wish.config is None else wish.config.replicas
    log = find_log(logs, dt.datetime.now(dt.UTC))
    left = (Departure("predictions for whoever asks", f"{address[0]}:{address[1]}"),)
    note_at(wish.store.root, Act("serve", about={"model": wish.uri}, departures=left))
    _TOLD.info("serving %s: starting MLflow's server", wish.uri)
    with log.open("wb") as output:
        server = DeployedServer(model.artifact.path, address, workers=replicas, output=output)
    try:
        server.wait_until_ready()
    except BaseException as error:
        server.stop()
        if isinstance(error, InputError):
            raise InputError(f"model {wish.uri!r}: {error}; what it said is in {log}") from None
        raise
    if wish.config is not None and (told := used_memory_text(server.memory_bytes(), wish.config)):
        _TOLD.warning(told)
    return Served(
        wish.uri,
        server.endpoint.url,
        model.digest,
        tuple(model.credentials.formats),
        log,
        _example(wish.folder),
        server,
    )


def _example(folder: Path | None) -> Path | None:
    mocks = () if folder is None else sorted((folder / "mock_input").glob("*.json"))
    return next(iter(mocks), None)
