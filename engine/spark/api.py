"""PySpark's modules, each imported when a first name of it is used.

Who has no Spark evaluates tables of this machine without it, so no module of the engine imports
PySpark at its top, but for types. What takes Spark names it through here:

    from engine.spark.api import F, T, sql

    frame.select(F.col("age").cast(T.DoubleType()))
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard

from engine.spark.installation import check_installation

if TYPE_CHECKING:
    import delta
    import pyspark
    from pyspark import errors, java_gateway, sql
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

__all__ = [
    "F",
    "T",
    "delta",
    "errors",
    "is_frame",
    "java_gateway",
    "pyspark",
    "spark_errors",
    "sql",
]


class Library:
    """A module that is imported when it is asked for a first name.

    Raises:
        InputError: by each name, where PySpark or delta-spark is not installed.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        module = sys.modules.get(self._name)
        if module is None:
            check_installation(self._name)
            module = import_module(self._name)
        return getattr(module, name)


if not TYPE_CHECKING:
    delta = Library("delta")
    errors = Library("pyspark.errors")
    java_gateway = Library("pyspark.java_gateway")
    pyspark = Library("pyspark")
    sql = Library("pyspark.sql")
    F = Library("pyspark.sql.functions")
    T = Library("pyspark.sql.types")


def spark_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What PySpark raises, and `others`, for `except`; who has not imported it meets none of it."""
    if "pyspark.errors" not in sys.modules:
        return others
    return (errors.PySparkException, *others)


def is_frame(value: object) -> TypeGuard[sql.DataFrame]:
    """Whether a value is a frame of Spark; PySpark is not imported to tell."""
    return "pyspark.sql" in sys.modules and isinstance(value, sql.DataFrame)
