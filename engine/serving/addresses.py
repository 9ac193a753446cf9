"""Where an endpoint is: its protocol, the URLs behind its own, its headers, what may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from engine.core.environment import fill_variables
from engine.core.registry import did_you_mean
from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving.protocols import PROTOCOLS, Protocol


def protocol_of(endpoint: Endpoint) -> Protocol:
    """The protocol that an endpoint speaks.

    Raises:
        EndpointError: when there is none of that name, or it lacks the model's name.
    """
    protocol = PROTOCOLS.find(endpoint.protocol)
    if protocol is None:
        known = PROTOCOLS.names()
        raise EndpointError(
            f"no protocol is called {endpoint.protocol!r}, expected one of {', '.join(known)}"
            f"{did_you_mean(endpoint.protocol, PROTOCOLS.names(aliases=True))}"
        )
    if protocol.names_model and not endpoint.model:
        raise EndpointError(
            f"the protocol {protocol.key!r} asks for a model by its name, and the endpoint "
            f"{shown_url(endpoint.url)} has none; expected the key 'model'"
        )
    return protocol


def read_headers(
    endpoint: Endpoint, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers with the variables of the environment in their places.

    Raises:
        EndpointError: when a variable is not set, or holds what no header can.
    """
    try:
        headers = {name: fill_variables(text, environment) for name, text in endpoint.headers}
    except KeyError as error:
        raise EndpointError(
            f"the headers of the endpoint {shown_url(endpoint.url)} want the variable "
            f"{error.args[0]!r} of the environment, which is not set here"
        ) from None
    for name, text in headers.items():
        if not (text.isascii() and text.isprintable()):
            raise EndpointError(
                f"the header {name!r} of the endpoint {shown_url(endpoint.url)} holds a line break "
                "or what is not ASCII, expected neither"
            )
    return headers


def url_of(endpoint: Endpoint, path: str) -> str:
    """The URL of a path behind an endpoint's; where its own ends in that path, it stays as it is.

    >>> url_of(Endpoint("http://a:5001/", "mlflow"), "/invocations")
    'http://a:5001/invocations'
    >>> url_of(Endpoint("http://a/serving/invocations", "mlflow"), "/invocations")
    'http://a/serving/invocations'
    """
    base = endpoint.url.rstrip("/")
    asks = PROTOCOLS.get(endpoint.protocol).ask_path(endpoint)
    base = base.removesuffix(asks)
    return base + path


def shown_url(url: str) -> str:
    """A URL without what may be a secret: a user's name, a password, what is behind a `?`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"
