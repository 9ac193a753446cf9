"""What a template may know of a suite and of the wishes about it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from engine.commands.artifacts.schedules import check_schedule
from engine.commands.artifacts.targets import Place, Target
from engine.commands.artifacts.unfit import check_fit
from engine.core.locations import Store
from engine.core.object_store import in_object_store
from engine.core.paths import is_catalog_name
from engine.core.registry import did_you_mean
from engine.errors import InputError
from engine.planning.suites import read_suite
from engine.suite import Suite, dump_mapping

# A CronJob's name is the beginning of its jobs' names, which have 63 characters.
_SLUG = 40
_SUITE_BYTES = 900_000
_IMAGE = re.compile(r"[a-z0-9]+(?:[._/:-][A-Za-z0-9_.-]+)*(?:@sha256:[0-9a-f]{64})?")
_SIZE = re.compile(r"[1-9]\d{0,5}(?:Mi|Gi|Ti)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# What some place of an artifact would read as an expression of its own.
_SYNTAX = re.compile(
    r"[$`%\\\"']|\{\{|\}\}|[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for beside the suite: None where nothing was said."""

    schedule: str | None = None
    timezone: str | None = None
    image: str | None = None
    model: str | None = None
    volume: str | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A suite as templates see it.

    `slug` is the name as a DNS label; `suite_path` the file as it was given, `suite_text` what
    stands in it. `arguments` go behind the suite's file on each command line. `reports` is the
    folder of the runs' reports, `environment` the names of variables that hold secrets, `models`
    the registered models, `tables` those of a catalog.
    Of this machine are `directory`, where the suite's paths begin, `out`, where the artifact
    lies, and `command`, what is called.
    """

    name: str
    slug: str
    suite_path: str
    suite_text: str
    schedule: str
    timezone: str
    image: str
    model: str | None
    volume: str | None
    arguments: tuple[str, ...]
    store: str
    reports: str
    tracking_uri: str | None
    models: tuple[str, ...]
    tables: tuple[str, ...]
    evaluations: tuple[str, ...]
    plugins: tuple[str, ...]
    environment: tuple[str, ...]
    directory: str
    out: str
    command: str


def read_facts(
    target: Target, suite: str | Path | Mapping[str, Any], wishes: Wishes, out: Path
) -> Facts:
    """Reads a suite, and checks that it can run at the target as it is wished.

    Raises:
        InputError: when the suite, or a wish, is wrong or does not fit the target.
    """
    loaded = read_suite(suite, wishes.overrides)
    text = _source(suite)
    _check_wishes(target, wishes)
    check_fit(target, loaded, text, wishes)
    directory = Path.cwd()
    local = Store(loaded.store).local
    reports = (local or directory / "evalmatrix") / "reports"
    facts = Facts(
        name=loaded.name,
        slug=slug_of(loaded.name),
        suite_path=_suite_path(target, suite, directory),
        suite_text=text,
        schedule=check_schedule(wishes.schedule or "0 3 * * *"),
        timezone=wishes.timezone or "UTC",
        image=wishes.image or "evalmatrix:latest",
        model=wishes.model,
        volume=wishes.volume,
        arguments=tuple(word for item in wishes.overrides for word in ("--set", item)),
        store=loaded.store,
        reports=_relative(reports, directory),
        tracking_uri=loaded.mlflow.tracking_uri,
        models=_model_names(loaded),
        tables=_tables(loaded),
        evaluations=tuple(item.name for item in loaded.evaluations),
        plugins=loaded.plugins,
        environment=_environment(loaded, text),
        directory=str(directory),
        out=_absolute(out),
        command=_command(),
    )
    _check_syntax(target, facts, wishes)
    return facts


def slug_of(name: str) -> str:
    """A name as a DNS label: what does not fit is told apart by a mark of the whole name.

    >>> slug_of("nightly"), slug_of("Prüfung, groß")
    ('nightly', 'prufung-gro-f57a9c')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug == name and len(slug) <= _SLUG and slug[:1].isalpha():
        return slug
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    slug = slug[: _SLUG - 8].strip("-")
    return f"{slug if slug[:1].isalpha() else f's{slug}'}-{mark}"


def _source(suite: str | Path | Mapping[str, Any]) -> str:
    """What stands in the suite's file."""
    if isinstance(suite, Mapping):
        return dump_mapping(suite)
    text = Path(suite).read_text(encoding="utf-8-sig")
    if len(text.encode()) > _SUITE_BYTES:
        raise InputError(
            f"{suite}: is {len(text.encode()):,} bytes long, expected at most {_SUITE_BYTES:,}: "
            "what is deployed with it takes no more"
        )
    return text


def _suite_path(target: Target, suite: str | Path | Mapping[str, Any], directory: Path) -> str:
    """The suite's file as the artifact names it.

    Raises:
        InputError: when there is no such file where the artifact runs.
    """
    if target.ships:
        return "suite.yml"
    if isinstance(suite, Mapping):
        raise InputError(
            f"found a mapping as the suite, expected a file: {target.name} reads it where it runs"
        )
    path = _relative(Path(suite), directory)
    if target.place is Place.CHECKOUT and Path(path).is_absolute():
        raise InputError(
            f"the suite {str(suite)!r} lies outside {str(directory)!r}, expected one below it: "
            f"{target.name} has a copy of this folder, and no other"
        )
    return path


def _absolute(path: Path) -> str:
    return os.path.normpath(path.absolute())


def _relative(path: Path, directory: Path) -> str:
    path = Path(_absolute(path))
    return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else str(path)


def _command() -> str:
    """The command beside this Python, or the one on the path."""
    beside = Path(sys.executable).with_name("evalmatrix")
    return str(beside) if beside.exists() else shutil.which("evalmatrix") or "evalmatrix"


def _model_names(suite: Suite) -> tuple[str, ...]:
    """The registered models of a suite, once each."""
    uris = (model.uri for item in suite.evaluations for model in item.models)
    names = (re.split(r"[/@]", uri.removeprefix("models:/"))[0] for uri in uris
             if uri.startswith("models:/") and not uri.startswith("models:/m-"))  # fmt: skip
    return tuple(dict.fromkeys(names))


def _tables(suite: Suite) -> tuple[str, ...]:
    names = (item.dataset.uri for item in suite.evaluations if item.dataset.format == "delta")
    return tuple(dict.fromkeys(filter(is_catalog_name, names)))


def _environment(suite: Suite, text: str) -> tuple[str, ...]:
    """Names of the variables that a run may need: secrets, which no artifact has itself."""
    names: list[str] = []
    uri = suite.mlflow.tracking_uri or ""
    if uri.startswith(("http://", "https://")):
        names += ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"]
    if uri.startswith("databricks"):
        names += ["DATABRICKS_HOST", "DATABRICKS_TOKEN"]
    sources = [item.dataset.uri for item in suite.evaluations]
    sources += [item.reference.uri for item in suite.evaluations if item.reference is not None]
    if any(map(in_object_store, [suite.store, *sources])):
        names += ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]
        # A server that is not Amazon's is known by its address, which is none where it is not set.
        if os.environ.get("AWS_ENDPOINT_URL"):
            names.append("AWS_ENDPOINT_URL")
    return tuple(dict.fromkeys([*names, *_VARIABLE.findall(text)]))


def _check_wishes(target: Target, wishes: Wishes) -> None:
    """Raises InputError for a wish that is wrong, or that means nothing at the target."""
    for name in ("schedule", "timezone", "image", "model", "volume"):
        if getattr(wishes, name) is not None and name not in target.options:
            takes = ", ".join(f"--{option}" for option in sorted(target.options)) or "none"
            raise InputError(
                f"found --{name}, of which {target.name} makes no use; it takes {takes}"
            )
    zone = wishes.timezone
    if zone is not None and zone not in available_timezones():
        hint = did_you_mean(zone, available_timezones())
        raise InputError(f"found --timezone {zone!r}, expected a zone such as Europe/Berlin{hint}")
    if wishes.image is not None and not _IMAGE.fullmatch(wishes.image):
        raise InputError(f"found --image {wishes.image!r}, expected registry/name:tag")
    for name in sorted(target.needs):
        if getattr(wishes, name) is None:
            raise InputError(f"found no --{name}, expected one for {target.name} to deploy")
    if wishes.model is not None and target.model and not target.model.fullmatch(wishes.model):
        raise InputError(
            f"found --model {wishes.model!r}, expected for {target.name} {target.model_form}"
        )
    if wishes.volume is not None and not _SIZE.fullmatch(wishes.volume):
        raise InputError(f"found --volume {wishes.volume!r}, expected a size such as 20Gi")


def _check_syntax(target: Target, facts: Facts, wishes: Wishes) -> None:
    """Raises InputError for a text that stands in artifacts and has the syntax of one in it."""
    texts = {
        "the suite's path": facts.suite_path,
        "the folder of reports": facts.reports,
        "--model": facts.model or "",
        **{f"--set {item.partition('=')[0]!r}": item for item in wishes.overrides},
    }
    if target.place is Place.MACHINE:
        texts |= {
            "the folder from which it is run": facts.directory,
            "--out": facts.out,
            "the path of evalmatrix": facts.command,
        }
    for what, text in texts.items():
        if odd := _SYNTAX.search(text):
            raise InputError(
                f"{what} has {odd[0]!r} in it, which schedulers read as syntax of their own; "
                "expected a text without quotes, backslashes, '$', '%', '{{' and control characters"
            )
