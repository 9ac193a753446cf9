"""`evalmatrix export`: what runs a suite elsewhere, written from the suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.commands.artifacts import (
    Wishes,
    WrittenFile,
    find_target,
    read_facts,
    render,
    write_files,
)
from engine.commands.audit_trail import note_at
from engine.commands.redacted import redacted
from engine.store.audit import Act, Departure


@dataclass(frozen=True, slots=True)
class Export:
    """What was written for a target, and what to do with it."""

    target: str
    folder: Path
    files: tuple[WrittenFile, ...]
    then: str


@redacted()
def export(
    target: str,
    suite: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    schedule: str | None = None,
    timezone: str | None = None,
    image: str | None = None,
    model: str | None = None,
    volume: str | None = None,
    template: str | Path | None = None,
    force: bool = False,
) -> Export:
    """Writes what runs a suite elsewhere: manifests, pipelines, units.

    Nothing is run, and no secret is written: artifacts name variables of the environment. The same
    suite and options give the same files.

    Args:
        target: where it shall run: airflow, azure-pipelines, azureml, cron, dagster, databricks,
            docker-compose, github, gitlab, jenkins, kubernetes, sagemaker, spark-operator, systemd
            or terraform.
        suite: the suite file, or what stands in one as a mapping.
        out: the folder of the files; default: `export/<target>`.
        overrides: `dotted.key=value` texts over the suite, as `--set`; artifacts have them too.
        schedule: the five fields of cron; default: `0 3 * * *`.
        timezone: the zone of the schedule; default: UTC.
        image: the container image; default: `evalmatrix:latest`.
        model: the URI of a model to serve or deploy as well.
        volume: the size of a volume, such as 20Gi, that holds what the suite has paths for.
        template: a folder of templates that replace those of the same name.
        force: files that are there and say something else are replaced.

    Raises:
        InputError: when the target is not known, an option is wrong, or the suite cannot run there:
            paths that are not there, secrets; nothing was written.
        StoreError: when the folder cannot be written.
    """
    chosen = find_target(target)
    wishes = Wishes(schedule, timezone, image, model, volume, tuple(overrides))
    folder = Path("export", chosen.name) if out is None else Path(out)
    facts = read_facts(chosen, suite, wishes, folder)
    files = render(chosen, facts, None if template is None else Path(template))
    written = write_files(folder, files, force=force)
    about = {"target": chosen.name, "files": len(written)}
    left = (Departure(f"files that run the suite ({chosen.name})", str(folder)),)
    note_at(facts.store, Act("export", facts.name, about=about, departures=left))
    then = chosen.then.replace("{out}", str(folder)).replace("{slug}", facts.slug)
    return Export(chosen.name, folder, tuple(written), then)
