"""Exports to the targets whose validators need environments of their own, and validates there.

`make export-validators`: makes an environment of each under build/validators, once (some 300 MB),
exports a suite, and runs infrastructure/validators/<target>.py by that environment's Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from engine import export
from engine.suite import dump_mapping

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "validators"
# What each environment has, and the options with which the suite is exported.
TARGETS: dict[str, tuple[list[str], dict[str, str]]] = {
    "airflow": (["apache-airflow==3.3.2"], {"timezone": "Europe/Berlin"}),
    "azureml": (["azure-ai-ml==1.35.2"], {"model": "models:/claims/3"}),
    "dagster": (["dagster==1.13.29"], {"timezone": "Europe/Berlin"}),
    "sagemaker": (["boto3", "moto==5.2.5"], {"model": "s3://bucket/models/claims"}),
}
SUITE = {
    "name": "claims",
    "store": "s3://bucket/evalmatrix",
    "mlflow": {"tracking_uri": "https://mlflow.example.org"},
    "evaluations": [
        {
            "name": "claims",
            "dataset": {"delta": "prod.risk.claims", "task": "binary", "label": "y", "key": "id"},
            "models": [{"uri": "models:/claims/3"}],
            "tests": [{"metric": "roc_auc", "min": 0.8}],
        }
    ],
}


def environment(name: str, packages: list[str]) -> Path:
    """The Python of an environment with these packages."""
    python = BUILD / name / "bin" / "python"
    ready = BUILD / name / "ready"
    if not ready.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run(
            [uv, "venv", "-q", "--clear", "--python", sys.executable, BUILD / name], check=True
        )
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *packages], check=True)
        ready.touch()
    return python


def validate(name: str) -> bool:
    """Whether the artifact of a target is valid."""
    packages, options = TARGETS[name]
    python = environment(name, packages)
    with tempfile.TemporaryDirectory() as temporary:
        home, out = Path(temporary, "home"), Path(temporary, "out")
        home.mkdir()
        suite = home / "claims.yml"
        suite.write_text(dump_mapping(SUITE), encoding="utf-8")
        with chdir(home):
            export(name, "claims.yml", out=out, **options)
        variables = {
            **os.environ, "AIRFLOW_HOME": temporary, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "EVALMATRIX_HOME": temporary, "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
        }  # fmt: skip
        variables.pop("PYTHONPATH", None)
        script = ROOT / "infrastructure" / "validators" / f"{name}.py"
        # -P: the script's own folder has files of these packages' names.
        command = [python, "-P", script, out]
        done = subprocess.run(command, env=variables, cwd=temporary, capture_output=True, text=True)
    ended = "valid" if done.returncode == 0 else f"not valid\n{done.stdout}{done.stderr}"
    sys.stdout.write(f"{name}: {ended}\n")
    return done.returncode == 0


if __name__ == "__main__":
    results = [validate(name) for name in sys.argv[1:] or TARGETS]
    sys.exit(0 if all(results) else 1)
