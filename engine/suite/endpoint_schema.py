"""The keys of a model that is served: where it answers, and how it may be asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from engine.core.vocabulary import Endpoint
from engine.fields.file_model import FileModel
from engine.fields.rates import RateField, rate_text
from engine.fields.values import Name, Number, Text, expected
from engine.fields.wording import Loc, quote, suggestion
from engine.serving import PROTOCOLS

# The keys that only a model with `endpoint` has.
OPTIONS = ("protocol", "served_name", "headers", "rate", "timeout", "concurrency", "batch",
           "retries", "like")  # fmt: skip
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_USUAL = Endpoint("", "")


def _check_url(text: str) -> str:
    """A URL without a secret in it: it is stored, shown and logged."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise expected("a URL such as http://127.0.0.1:5001") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise expected("a URL such as http://127.0.0.1:5001")
    if parts.username is not None or parts.password is not None:
        raise expected("a URL without a user: put what it is for into headers, as ${NAME}")
    if parts.query or parts.fragment:
        raise expected("a URL without a query, nothing behind ? or #")
    if not text.isascii() or any(letter.isspace() for letter in text):
        raise expected("a URL of ASCII without blanks")
    return text


def _check_protocol(value: Any) -> str:
    PROTOCOLS.load()
    if not isinstance(value, str) or PROTOCOLS.find(value) is None:
        raise expected(suggestion(value, PROTOCOLS.names()))
    return PROTOCOLS.canonical(value)


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, text in headers.items():
        if not _HEADER.fullmatch(name):
            raise expected("names of HTTP headers, such as Authorization")
        if "${" not in text or "${" in _VARIABLE.sub("", text):
            raise expected(
                "values with a variable of the environment, such as 'Bearer ${TOKEN}': a suite is "
                "stored, and holds no secrets"
            )
    return headers


UrlField = Annotated[
    Text,
    AfterValidator(_check_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^/?#@]+[^?#]*$"}),
]
ProtocolField = Annotated[
    str, PlainValidator(_check_protocol), WithJsonSchema({"type": "string", "minLength": 1})
]
HeadersField = Annotated[
    dict[Text, Text],
    Field(min_length=1, max_length=50),
    AfterValidator(_check_headers),
]


class EndpointKeys(FileModel):
    """What a model has that is served."""

    endpoint: UrlField | None = Field(
        None, description="The URL of a served model, which is asked for its predictions."
    )
    protocol: ProtocolField | None = Field(
        None,
        description="What it speaks: mlflow, kserve, oip, tfserving, sagemaker, azure.",
    )
    served_name: Text | None = Field(
        None, description="The model's name on the server, for kserve, oip and tfserving."
    )
    headers: HeadersField | None = Field(
        None, description="Headers of each request; ${NAME} is a variable of the environment."
    )
    rate: RateField | None = Field(
        None, description="The most requests of this machine, such as 200/s; default: no limit."
    )
    timeout: Number | None = Field(
        None, gt=0, le=3600, description="How long an answer may take; default: 30."
    )
    concurrency: int | None = Field(
        None, ge=1, le=64, description="How many requests a worker has under way; default: 1."
    )
    batch: int | None = Field(
        None, ge=1, le=100_000, description="The most rows of a request; default: 100."
    )
    retries: int | None = Field(
        None,
        ge=0,
        le=10,
        description="How often a lost request is sent again; default: 2.",
    )
    like: Name | None = Field(
        None,
        description="The model of the evaluation whose inputs and classes it has; default: the "
        "baseline, where that is no endpoint.",
    )


def endpoint_of(file: EndpointKeys) -> Endpoint | None:
    """The endpoint that a model's keys say; None where it is none."""
    if file.endpoint is None:
        return None
    given = {
        "model": file.served_name, "timeout": file.timeout, "retries": file.retries,
        "concurrency": file.concurrency, "batch": file.batch, "rate": file.rate,
    }  # fmt: skip
    return Endpoint(
        file.endpoint,
        file.protocol or "",
        headers=tuple((file.headers or {}).items()),
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def endpoint_keys(endpoint: Endpoint, like: str | None) -> dict[str, Any]:
    """The keys from which an endpoint is read again, None or empty where they are not needed."""
    return {
        "endpoint": endpoint.url,
        "protocol": endpoint.protocol,
        "served_name": endpoint.model,
        "headers": dict(endpoint.headers) or None,
        "rate": None if endpoint.rate is None else rate_text(endpoint.rate),
        "timeout": endpoint.timeout,
        "concurrency": endpoint.concurrency,
        "batch": endpoint.batch,
        "retries": endpoint.retries,
        "like": like,
    }


def check_endpoint(
    at: Loc, raw: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Loc, str]]:
    """Yields what is wrong with the keys of a served model, or with those of one that is not.

    Args:
        at: where the model stands.
        raw: the model, in which anything may be of a wrong type.
        models: the models of the evaluation by their names.
    """
    if raw.get("endpoint") is None:
        for key in OPTIONS:
            if raw.get(key) is not None:
                yield (*at, key), f"found {key} without endpoint, expected the URL of a server"
        return
    others = [key for key in ("uri", "scores", "predicted", "predictions") if raw.get(key)]
    if others:
        yield (
            (*at, others[0]),
            f"found {others[0]} with endpoint, expected one of the two; the columns that a model "
            "returns are named in its output",
        )
    if raw.get("name") is None:
        yield at, "found no name, expected one: there is no uri from which it could come"
    protocol = raw.get("protocol")
    if protocol is None:
        yield at, f"found no protocol, expected one of {', '.join(PROTOCOLS.names())}"
    known = PROTOCOLS.find(protocol) if isinstance(protocol, str) else None
    if known is not None and known.names_model is not (raw.get("served_name") is not None):
        if known.names_model:
            yield at, f"found no served_name for {known.key}, expected the model's name there"
        else:
            yield (
                (*at, "served_name"),
                f"found a name for {known.key}, which has none; expected none",
            )
    like = raw.get("like")
    if isinstance(like, str) and (like not in models or models[like].get("uri") is None):
        offered = [name for name, model in models.items() if model.get("uri") is not None]
        expected_ = suggestion(like, offered) if offered else "one with a uri"
        yield (*at, "like"), f"found {quote(like)}, expected a model of the evaluation, {expected_}"
