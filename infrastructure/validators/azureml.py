"""Loads endpoint and deployment by the strict loader of Azure's own package."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.ai.ml import load_online_deployment, load_online_endpoint


def main(folder: Path) -> None:
    """Raises where something is wrong."""
    endpoint = load_online_endpoint(folder / "endpoint.yml")
    deployment = load_online_deployment(folder / "deployment.yml")
    assert endpoint.name == deployment.endpoint_name == "em-claims"
    assert deployment.model == "claims:3"
    wrong = folder / "wrong.yml"
    text = (folder / "deployment.yml").read_text()
    wrong.write_text(text.replace("instance_count", "instance_cuont"))
    try:
        load_online_deployment(wrong)
    except Exception:  # its own classes of errors, of which several are raised
        return
    raise AssertionError("the loader takes unknown keys")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
