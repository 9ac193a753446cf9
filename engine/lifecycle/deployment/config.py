"""A deployment's `deployment_config.yml`: read and validated, all mistakes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from engine.errors import Mistake, ModelError, SuiteError
from engine.fields.values import Name, Text, expected
from engine.fields.wording import quote
from engine.suite.strict_models import Strict, known_keys, report_error
from engine.suite.yaml_document import Document, read_document

CONFIG_FILE = "deployment_config.yml"

# As Kubernetes spells quantities of memory.
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip
_MEMORY = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
_MIB = 2**20
_MOST_PORT = 2**16


def _check_url(text: str) -> str:
    words = "http://HOST:PORT, without a path"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise expected(words) from None
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "http" or not parts.hostname or not port or rest:
        raise expected(words)
    return text.rstrip("/")


def _as_text(value: Any) -> Any:
    """A number as YAML reads it: 1 and 0.5 are quantities too, yes and no are none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _check_version(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and value.strip() and "/" not in value:
        return value.removeprefix("@")
    raise expected("latest, the number of a version, or an alias such as champion")


Cpu = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]+)?)$")]
Memory = Annotated[str, BeforeValidator(_as_text), Field(pattern=_MEMORY)]
Version = Annotated[int | str, BeforeValidator(_check_version)]
Url = Annotated[Text, AfterValidator(_check_url)]


class Resources(Strict):
    """What a replica is meant to take, as Kubernetes spells it."""

    cpu: Cpu = "1"
    memory: Memory = "2Gi"

    @property
    def memory_bytes(self) -> int:
        """The memory of a replica."""
        number = self.memory.rstrip("kKMGTi")
        return int(float(number) * _UNITS[self.memory[len(number) :]])


class DeploymentConfig(Strict):
    """Where a model is served, which version of it, and by how much."""

    name: Name
    where: Literal["local"] = "local"
    version: Version = "latest"
    url: Url = "http://127.0.0.1:5001"
    replicas: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    resources: Resources = Resources()

    @property
    def model_uri(self) -> str:
        """The URI of the version that is served."""
        if isinstance(self.version, int) or self.version == "latest" or self.version.isdecimal():
            return f"models:/{self.name}/{self.version}"
        return f"models:/{self.name}@{self.version}"

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(urlsplit(self.url).hostname)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(urlsplit(self.url).port or 0)


_WORDS = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "literal_error": "'local' (elsewhere it is served by what `evalmatrix export` writes)",
    "string_pattern_mismatch": "a quantity as Kubernetes spells it: 2, 500m for cpu; 512Mi, 1Gi "
    "for memory",
}


def read_deployment(folder: Path) -> DeploymentConfig:
    """Reads the config of a deployment folder.

    Raises:
        ModelError: when there is no such file, or it cannot be read.
        SuiteError: all the mistakes of the file, each with its place.
    """
    path = folder / CONFIG_FILE
    try:
        document = read_document(path.read_text(encoding="utf-8"), "deployment")
    except FileNotFoundError:
        raise ModelError(
            f"no file {str(path)!r}, which says how the model is served; `evalmatrix serve "
            f"{folder.parent} --init` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from error
    config = _validate(document, path)
    if config is None or document.mistakes:
        raise SuiteError(str(path), document.mistakes)
    return config


def _validate(document: Document, path: Path) -> DeploymentConfig | None:
    if document.mistakes:
        return None
    if not isinstance(document.data, dict):
        words = f"found {quote(document.data)}, expected a mapping"
        document.mistakes.append(Mistake(path.name, words))
        return None
    try:
        return DeploymentConfig.model_validate(document.data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            loc = details["loc"]
            report_error(document, loc, details, known_keys(DeploymentConfig, loc[:-1]), _WORDS)
    return None


def used_memory_text(used: int | None, config: DeploymentConfig) -> str | None:
    """A sentence where a server holds more memory than its replicas are meant to take."""
    meant = config.replicas * config.resources.memory_bytes
    if used is None or used <= meant:
        return None
    count = config.replicas
    meant_for = "its replica is" if count == 1 else f"its {count} replicas are"
    return (
        f"the server holds {used / _MIB:,.0f} MiB, {meant_for} meant to take {meant / _MIB:,.0f} "
        f"MiB (resources.memory: {config.resources.memory})"
    )
