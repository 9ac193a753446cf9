"""Which systems are told of a run as it was: the keys of `telemetry`."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from engine.fields.file_model import FileModel
from engine.fields.values import Text, expected
from engine.suite.suite import TelemetryConfig

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_KEYS = ("openlineage", "otlp", "prometheus")
_URL = "a URL such as http://host:port"


def _has_variables(text: str) -> bool:
    """Whether it is known only in the environment of a run what the text says."""
    return bool(_VARIABLE.search(text)) and "${" not in _VARIABLE.sub("", text)


def _parts(text: str, wanted: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018
    except ValueError:
        raise expected(wanted) from None
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise expected(wanted)
    if parts.username or parts.password or parts.query:
        raise expected(
            "${NAME}, a variable of the environment that has the URL: a user or a query in it may "
            "be a secret, and a suite is stored"
        )
    return parts


def _check_openlineage(text: str) -> str:
    wanted = f"{_URL}, file:///path, or ${{NAME}} of the environment"
    if not _has_variables(text):
        parts = _parts(text, wanted)
        is_file = parts.scheme == "file" and parts.path.startswith("/") and not parts.hostname
        if not is_file and parts.scheme not in ("http", "https"):
            raise expected(wanted)
    return text


def _check_otlp(text: str) -> str:
    wanted = f"{_URL} of a receiver of OTLP over HTTP, or ${{NAME}} of the environment"
    if not _has_variables(text) and _parts(text, wanted).scheme not in ("http", "https"):
        raise expected(wanted)
    return text


def _check_prometheus(text: str) -> str:
    wanted = (
        "a path that ends in .prom, a Pushgateway's URL such as http://host:9091, or ${NAME} of "
        "the environment"
    )
    if _has_variables(text) or (text.endswith(".prom") and "://" not in text):
        return text
    if _parts(text, wanted).scheme not in ("http", "https"):
        raise expected(wanted)
    return text


class TelemetryFile(FileModel):
    """Which systems are told of a run: lineage, traces, metrics; by default none."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in _KEYS]})

    openlineage: Annotated[Text, AfterValidator(_check_openlineage)] | None = Field(
        None, description="Where OpenLineage's events go: http://host:port, or file:///path."
    )
    otlp: Annotated[Text, AfterValidator(_check_otlp)] | None = Field(
        None, description="Where OpenTelemetry's spans go, by OTLP over HTTP: http://host:4318."
    )
    prometheus: Annotated[Text, AfterValidator(_check_prometheus)] | None = Field(
        None,
        description="Where Prometheus' metrics go: a textfile, ./metrics.prom, or a Pushgateway.",
    )

    @model_validator(mode="after")
    def _check_some(self) -> TelemetryFile:
        if all(getattr(self, key) is None for key in _KEYS):
            raise expected("openlineage, otlp, prometheus or several of them")
        return self

    def config(self) -> TelemetryConfig:
        """The keys as the engine works with them."""
        return TelemetryConfig(self.openlineage, self.otlp, self.prometheus)
