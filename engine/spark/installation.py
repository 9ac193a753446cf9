"""What Spark takes of this machine: PySpark and delta-spark, by the extra `spark`, and Java."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from engine.errors import InputError
from engine.spark.java import MIN_JAVA, has_java

# By what each is imported, and the distribution that brings it.
_PACKAGES = {"pyspark": "pyspark", "delta": "delta-spark"}
INSTALL = "pip install 'evalmatrix[spark]'"


def lack() -> str:
    """What is missing for a Spark of this machine, in words; "" where nothing is."""
    packages = [f"no {name}" for module, name in _PACKAGES.items() if not _is_there(module)]
    return " and ".join([*packages, *([] if has_java() else [f"no Java {MIN_JAVA}"])])


def need() -> str:
    """What to do about what is missing, the end of a message; "" where nothing is."""
    packages = [] if all(map(_is_there, _PACKAGES)) else [INSTALL]
    return " and ".join([*packages, *([] if has_java() else [f"install Java {MIN_JAVA} or newer"])])


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
