"""Who runs this process: the system's user, and for whom a CI or a notebook server says it is."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping

# The variables in which systems say for whom they run a process.
_SYSTEMS = {
    "github": "GITHUB_ACTOR",
    "gitlab": "GITLAB_USER_LOGIN",
    "jenkins": "BUILD_USER_ID",
    "azure": "BUILD_REQUESTEDFOR",
    "bitbucket": "BITBUCKET_STEP_TRIGGERER_UUID",
    "circleci": "CIRCLE_USERNAME",
    "jupyterhub": "JUPYTERHUB_USER",
    "domino": "DOMINO_STARTING_USERNAME",
}


def user_name() -> str:
    """Who runs this process; empty where the system does not tell."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def on_behalf(environment: Mapping[str, str] | None = None) -> str:
    """For whom a CI or a notebook server runs this process: `github:ada`; empty where none says."""
    known = os.environ if environment is None else environment
    for system, variable in _SYSTEMS.items():
        if name := " ".join(known.get(variable, "").split()):
            return f"{system}:{name[:100]}"
    return ""
