"""What makes a suite unfit for a target: paths of this machine, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.commands.artifacts.targets import Place, Target
from engine.core.locations import Store
from engine.core.paths import is_catalog_name, is_there, local_path
from engine.errors import InputError
from engine.suite import Suite

if TYPE_CHECKING:
    from engine.commands.artifacts.facts import Wishes

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})
# What is a secret by its looks; `${NAME}` in its place is none. What it is, and what instead.
_SECRETS = (
    (re.compile(r"\w://[^/\s'\"@]*:[^/\s'\"@]+@"), "a password in a URI"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "a key of AWS"),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abps]-|hf_|sk-)[\w-]{16,}"), "a token"),
    (re.compile(r"\bdapi[0-9a-f]{32}\b"), "a token of Databricks"),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\."), "a JSON web token"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"hooks\.slack\.com/services/\w"), "the address of a webhook"),
    (
        re.compile(
            r"(?i)(?:password|passwd|pwd|secret|token|api_?key|account_?key|signature|\bsig)"
            # A variable; the type of a column that has such a name; a range, a list, a mapping.
            r"[\"']?\s*[:=]\s*[\"']?(?!\$\{|[\[{]|(?:string|binary|boolean|date|timestamp|integer"
            r"|bigint|long|double|float|decimal)\b)[^\s\"'&,}#]{4,}"
        ),
        "a value of a password, a key or a token",
    ),
)


def check_fit(target: Target, suite: Suite, text: str, wishes: Wishes) -> None:
    """Checks that a suite can run at a target.

    Raises:
        InputError: with all that keeps it from that.
    """
    mistakes = [*secrets(text, wishes)]
    if target.place is Place.CLUSTER:
        mistakes += _out_of_reach(suite, has_volume=wishes.volume is not None)
        mistakes += _not_served(suite, wishes.model or "")
    elif target.place is Place.CHECKOUT:
        mistakes += _outside(suite)
    if mistakes:
        head = f"the suite cannot run at {target.name}: {len(mistakes)} "
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise InputError(f"{head}{'reason' if len(mistakes) == 1 else 'reasons'}\n{lines}")


def secrets(text: str, wishes: Wishes) -> Iterator[str]:
    """Where secrets stand, without their values."""
    lines = [(f"line {n}", line) for n, line in enumerate(text.splitlines(), start=1)]
    lines += [(f"--set {item.partition('=')[0]}", item) for item in wishes.overrides]
    lines += [("--model", wishes.model or "")]
    for where, line in lines:
        what = next((what for pattern, what in _SECRETS if pattern.search(line)), None)
        if what is not None:
            yield (
                f"{where}: found {what} (its value is withheld), expected none: what is written "
                "here is stored and shown; take it from the environment, as ${NAME} in headers and "
                "the tracking URI, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for "
                "the tracking server"
            )


def _paths(suite: Suite) -> Iterator[tuple[str, str]]:
    """All paths of a machine in a suite: the key, and the path."""
    if Store(suite.store).local is not None:
        yield "store", suite.store
    if suite.trust.signed_by:
        yield "trust.signed_by", suite.trust.signed_by
    for key, place in _receivers(suite):
        # A variable of the environment may be anything there.
        if "${" not in place and _is_path(place, may_be_table=False):
            yield key, place
    for item in suite.evaluations:
        where = f"evaluations.{item.name}"
        for key, source in (("dataset", item.dataset), ("reference", item.reference)):
            if source is not None and _is_path(source.uri, may_be_table=source.format == "delta"):
                yield f"{where}.{key}", source.uri
        for model in item.models:
            if _is_path(model.uri, may_be_table=False):
                yield f"{where}.models.{model.name}", model.uri
            if model.table is not None and _is_path(model.table.uri, may_be_table=True):
                yield f"{where}.models.{model.name}.predictions", model.table.uri


def _receivers(suite: Suite) -> Iterator[tuple[str, str]]:
    """Who is told of a run: the key, and the URL or the path."""
    telemetry = {} if suite.telemetry is None else asdict(suite.telemetry)
    yield from ((f"telemetry.{key}", place) for key, place in telemetry.items() if place)
    for number, notice in enumerate(suite.notify):
        if notice.webhook is not None:
            yield f"notify[{number}].webhook", notice.webhook


def _is_path(place: str, *, may_be_table: bool) -> bool:
    """Whether a place is a path of a machine; a folder of that name comes before a table."""
    if not place or place.startswith(("models:/", "runs:/")) or local_path(place) is None:
        return False
    return not may_be_table or not is_catalog_name(place) or is_there(place)


def _out_of_reach(suite: Suite, *, has_volume: bool) -> Iterator[str]:
    """The places that no pod can reach, each with what was expected."""
    for key, place in _paths(suite):
        if not (has_volume and _is_inside(place)):
            instead = "a path below this folder" if has_volume else (
                "a URI of an object store, a table of a catalog, or --volume SIZE for a volume of "
                "its own where the target takes one"
            )  # fmt: skip
            yield f"{key}: found the path {place!r}, expected {instead}"
    yield from _loopback(suite)
    uri = suite.mlflow.tracking_uri
    if uri is None and not has_volume:
        yield (
            "mlflow.tracking_uri: found none, expected the URI of a tracking server: the default "
            "is an SQLite file beside the run, which is gone with it"
        )
    elif uri is not None and _is_file(uri) and not has_volume:
        yield f"mlflow.tracking_uri: found {uri!r}, a file, expected a tracking server"


def _not_served(suite: Suite, model: str) -> Iterator[str]:
    """Why a model cannot be served on a cluster."""
    uri = suite.mlflow.tracking_uri
    if _is_path(model, may_be_table=False):
        yield f"--model: found the path {model!r}, expected a URI: no volume is mounted to serve it"
    elif model.startswith(("models:/", "runs:/")) and (uri is None or _is_file(uri)):
        yield (
            f"--model: found {model!r} and no tracking server in mlflow.tracking_uri, expected one "
            "that knows it, or the URI of the model's files"
        )


def _outside(suite: Suite) -> Iterator[str]:
    """The places that a copy of this folder does not have."""
    for key, place in _paths(suite):
        if not _is_inside(place):
            yield f"{key}: found the path {place!r}, expected one below this folder, or a URI"
    yield from _loopback(suite)


def _loopback(suite: Suite) -> Iterator[str]:
    uris = [("mlflow.tracking_uri", suite.mlflow.tracking_uri or ""), *_receivers(suite)]
    for item in suite.evaluations:
        uris += [(f"evaluations.{item.name}.models.{model.name}.endpoint", model.endpoint.url)
                 for model in item.models if model.endpoint is not None]  # fmt: skip
    for key, uri in uris:
        if uri.startswith("http") and urlsplit(uri).hostname in _LOOPBACK:
            yield f"{key}: found {uri!r}, which is this machine, expected a server's own name"


def _is_file(uri: str) -> bool:
    """Whether a tracking URI names files of a machine."""
    if uri.startswith(("sqlite:", "file:")):
        return True
    return "://" not in uri and not uri.startswith("databricks")


def _is_inside(place: str) -> bool:
    """Whether a path is relative, and does not lead out of the folder it is relative to."""
    path = PurePath(place)
    return not (place.startswith("~") or ":/" in place or path.is_absolute() or ".." in path.parts)
