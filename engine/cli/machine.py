"""What the commands about this machine print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"


FormOption = Annotated[Form, typer.Option("--format", help="How to print.")]


def show_findings(findings: Sequence[Any]) -> int:
    """Nothing: each finding was printed as soon as it was known. 4 where one is not well."""
    return 0 if all(finding.well or finding.optional for finding in findings) else 4


def show_archive(archive: Path) -> int:
    """Where the archive is, and how large."""
    typer.echo(f"{archive} ({archive.stat().st_size / 2**20:.0f} MiB)")
    return 0


def show_schema(schema: dict[str, Any]) -> int:
    """The schema as JSON."""
    typer.echo(json.dumps(schema, indent=2))
    return 0


def show_kinds(listed: Sequence[Any], *, form: FormOption = Form.TABLE) -> int:
    """A line for each kind of test, or all that one is asked by."""
    return _show(listed, form)


def show_metrics(listed: Sequence[Any], *, form: FormOption = Form.TABLE) -> int:
    """A line for each metric, or all that is known of one."""
    return _show(listed, form)


def _show(listed: Sequence[Any], form: Form) -> int:
    if form is Form.JSON:
        typer.echo(json.dumps([entry.data() for entry in listed], indent=2))
        return 0
    width = max((len(entry.name) for entry in listed), default=0)
    for entry in listed:
        if len(listed) == 1:
            typer.echo(str(entry))
        else:
            typer.echo(f"{entry.name:<{width}}  {entry.line}")
    return 0
