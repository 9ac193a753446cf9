"""The functions of `scipy.special`, which is imported when one is called.

It takes as long as all else that a command needs to read a suite and tell its mistakes.
"""

from __future__ import annotations

from typing import Any

import scipy


def __getattr__(name: str) -> Any:
    return getattr(scipy.special, name)
