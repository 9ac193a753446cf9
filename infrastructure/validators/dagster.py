"""Loads the definitions by Dagster's own command, and materializes them with a told command."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

ROWS = [
    {"evaluation": "claims", "verdict": "PASS"},
    {"evaluation": "claims", "verdict": "FAIL"},
    {"evaluation": "others", "verdict": "FAIL"},
]


def main(folder: Path) -> None:
    """Raises where something is wrong."""
    (file,) = folder.glob("*.py")
    dagster = Path(sys.executable).with_name("dagster")
    subprocess.run([dagster, "definitions", "validate", "-f", file], check=True, cwd=folder)
    (folder / "rows").write_text(json.dumps(ROWS), encoding="utf-8")
    command = folder / "told"
    command.write_text(
        '#!/bin/sh\necho "$@" >>"$CALLS"\n'
        'case $1 in results) cat "$ROWS" ;; *) exit "$CODE" ;; esac\n', encoding="utf-8",
    )  # fmt: skip
    command.chmod(0o755)
    calls = folder / "calls"
    os.environ |= {"EVALMATRIX": str(command), "CALLS": str(calls), "ROWS": str(folder / "rows")}
    spec = importlib.util.spec_from_file_location("definitions", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for code in (0, 1, 2, 3):
        os.environ["CODE"] = str(code)
        ended = dg.materialize([module.verdicts], raise_on_error=False)
        assert ended.success == (code == 0), code
        checks = ended.get_asset_check_evaluations()
        assert len(checks) == (0 if code == 2 else 1), code
        for check in checks:
            assert not check.passed and check.metadata["FAIL"].value == 1
            assert check.severity.value == ("WARN" if code == 0 else "ERROR")
    assert calls.read_text().splitlines()[0].startswith("run claims.yml --run-id claims-")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
