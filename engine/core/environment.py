"""Variables of the environment in texts of a suite: `${NAME}`, so that no secret is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


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
