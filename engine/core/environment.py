"""Variables of the environment in texts of a suite: `${NAME}`, so that no secret is stored.

Where a text may have a secret all the same, `hide_logins` takes it out before it is shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# Also where a password has an `@` that it should not have; a path may well have one.
_LOGIN = re.compile(r"(?<=://)[^/\s'\"]*@")


def fill_variables(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text with the variables that it names in their places.

    Raises:
        KeyError: with the name of a variable that is not set, or empty.
    """
    known = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        if not known.get(match[1]):
            raise KeyError(match[1])
        return known[match[1]]

    return _VARIABLE.sub(value, text)


def hide_logins(text: str) -> str:
    """A text whose URIs are without the users and passwords that they may have.

    >>> hide_logins("no answer from postgresql://me:hunter2@db:5432/mlflow")
    'no answer from postgresql://db:5432/mlflow'
    """
    return _LOGIN.sub("", text)
