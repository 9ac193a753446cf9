"""PySpark's loggers of what fails in a query: they write values of the data to standard error."""

from __future__ import annotations

import sys
from typing import Any

QUERY_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


def silence_query_loggers() -> None:
    """Silences them where PySpark is imported; where it is not, whoever imports it does."""
    module: Any = sys.modules.get("pyspark.logger")
    for name in QUERY_LOGGERS if module is not None else ():
        module.PySparkLogger.getLogger(name).disabled = True
