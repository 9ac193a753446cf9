"""Whether PySpark and delta-spark are installed, which evalmatrix's extra `spark` brings."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from engine.errors import InputError

# By what each is imported, and the distribution that brings it.
_PACKAGES = {"pyspark": "pyspark", "delta": "delta-spark"}
INSTALL = "pip install 'evalmatrix[spark]'"


def missing_packages() -> tuple[str, ...]:
    """The distributions that Spark with Delta takes and this Python lacks."""
    return tuple(name for module, name in _PACKAGES.items() if not _is_there(module))


def check_installation(module: str) -> None:
    """Checks that PySpark, or delta-spark, can be imported here.

    Raises:
        InputError: when it is not installed.
    """
    package = module.partition(".")[0]
    if not _is_there(package):
        raise InputError(
            f"this takes Spark, and {sys.executable} has no {_PACKAGES[package]}; {INSTALL}"
        )


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
