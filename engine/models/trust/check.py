"""What a suite, the registry and a model's files say of whether the model may be opened."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit, urlunsplit

from engine.core.vocabulary import ANY_MODEL, Credentials, Trust
from engine.errors import ModelError
from engine.models.artifact import Artifact, digest, read_artifact
from engine.models.mlflow_client import real_uri
from engine.models.trust.formats import pickle_imports, pieces_of, pieces_text
from engine.models.trust.loaders import Piece
from engine.models.trust.signature import signature_problem
from engine.models.uris import Located, Locator

_SHOWN = 12


def examine(
    artifact: Artifact, located: Located, content: str, trust: Trust, tracking_uri: str
) -> Credentials:
    """What is known of a model before it is opened, and whether it may be.

    Args:
        artifact: its folder.
        located: where it was found, and what the registry noted of it.
        content: the digest of its files as they are.
        trust: what the suite asks.
        tracking_uri: the server of the registry.

    Raises:
        InputError: when the suite's key cannot be read.
    """
    pieces = pieces_of(artifact)
    noted, signed = located.noted_digest, False
    refusal = _change_of(located, content)
    if not refusal and trust.registries:
        refusal = _foreign(located, tracking_uri, trust)
    if trust.signed_by is not None:
        problem = signature_problem(artifact.path, trust.signed_by)
        signed = problem is None
        if not signed and not refusal:
            refusal = f"{problem}, and trust.signed_by asks for one by {trust.signed_by!r}"
    if not refusal and trust.formats:
        refusal = _other_formats(pieces, trust)
    return Credentials(
        formats=tuple(dict.fromkeys(piece.format for piece in pieces)),
        imports=tuple(pickle_imports(artifact, pieces)[:_SHOWN]),
        signed=signed,
        registered=None if noted is None else noted == content,
        refusal=refusal and f"it is not trusted, and was not opened: {refusal}",
    )


@dataclass(frozen=True, slots=True)
class TrustedModel:
    """A model that may be opened: its folder, what is known of it, and where it was found."""

    artifact: Artifact
    credentials: Credentials
    located: Located
    digest: str


def find_trusted(uri: str, locator: Locator, trust: Trust = ANY_MODEL) -> TrustedModel:
    """Finds a model that is to be opened as a whole, by somebody else or for other ends than a run.

    Raises:
        InputError: when the suite's key cannot be read.
        ModelError: when there is no such model, or it is not trusted.
        TrackingError: when the tracking server cannot be reached.
    """
    located = locator.locate(uri)
    artifact = read_artifact(located.path)
    content = digest(artifact.path)
    credentials = examine(artifact, located, content, trust, locator.tracking_uri)
    if credentials.refusal:
        raise ModelError(f"model {uri!r}: {credentials.refusal}")
    return TrustedModel(artifact, credentials, located, content)


def refuse_changes(uri: str, located: Located, content: str) -> None:
    """Refuses a model whose files are others than those that were registered.

    Raises:
        ModelError: with both digests.
    """
    if problem := _change_of(located, content):
        raise ModelError(f"model {uri!r} is not opened: {problem}")


def _change_of(located: Located, content: str) -> str:
    noted = located.noted_digest
    if noted is None or noted == content:
        return ""
    return (
        f"its files were changed since it was registered (their digest is {content[:12]}, the "
        f"registry noted {noted[:12]})"
    )


def _foreign(located: Located, tracking_uri: str, trust: Trust) -> str:
    name = located.registered_name
    asked = " or ".join(map(repr, trust.registries))
    if name is None:
        return f"its URI names no registered model, and trust.registries allows {asked}"
    place = f"{bare_address(tracking_uri)}/{name}"
    if any(fnmatchcase(place, glob) for glob in trust.registries):
        return ""
    return f"it is {place!r}, and trust.registries allows {asked}"


def _other_formats(pieces: list[Piece], trust: Trust) -> str:
    unlisted = [piece for piece in pieces if piece.format not in trust.formats]
    if not unlisted:
        return ""
    return f"{pieces_text(unlisted)}, and trust.formats allows {', '.join(trust.formats)}"


def bare_address(tracking_uri: str) -> str:
    """A tracking URI without the user and the password that it may have, and without a last `/`."""
    tracking_uri = real_uri(tracking_uri)
    parts = urlsplit(tracking_uri)
    host = parts.netloc.rpartition("@")[2]
    if not parts.netloc:
        return tracking_uri.rstrip("/")
    return urlunsplit(parts._replace(netloc=host)).rstrip("/")
