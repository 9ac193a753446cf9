"""What the commands about this machine print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer


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
