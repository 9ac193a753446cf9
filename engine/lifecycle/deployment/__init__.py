"""The folder `models/<name>/deployment/`: how a model is served for tests, and what it is asked.

It has what whoever serves a model needs at hand: where and how it runs, requests that it answers,
and what its server said.
"""

from __future__ import annotations

from engine.lifecycle.deployment.config import (
    CONFIG_FILE,
    DeploymentConfig,
    read_deployment,
    used_memory_text,
)
from engine.lifecycle.deployment.folder import LOGS, MOCKS, Deployed, find_log, write_folder
from engine.lifecycle.deployment.mock_input import mock_bodies

__all__ = [
    "CONFIG_FILE",
    "LOGS",
    "MOCKS",
    "Deployed",
    "DeploymentConfig",
    "find_log",
    "mock_bodies",
    "read_deployment",
    "used_memory_text",
    "write_folder",
]
