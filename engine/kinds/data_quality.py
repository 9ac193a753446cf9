"""`data_quality`: is the table fit to judge by? Shares of rows that break a rule, by slice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, create_model

from engine.conditions import CONDITIONS, LimitRule
from engine.core.vocabulary import DecideBy, ModelTest, TaskKind
from engine.fields.file_model import FileModel
from engine.fields.values import Columns, Proportion
from engine.kinds.base import KINDS, Kind, parameters_text
from engine.kinds.setting import Setting
from engine.metrics import Metric, share_of
from engine.states import ColumnFamily, column_nulls

CONDITIONS.add(
    "max_share",
    LimitRule(
        "max_share",
        "The greatest share of rows that may break the rule, 0 to 1.",
        least=False,
        field=Proportion,
    ),
)

NOT_NULL = "not_null"
NULL_SHARE = "null_share"


class DataQualityKind(Kind):
    """Shares of rows whose columns break a rule.

    The rows are all there are, not a sample of others: tests are decided by the share itself, and
    the interval says what to expect of rows to come.
    """

    key = "data_quality"
    description = "The share of rows whose columns break a rule, without a model."
    conditions = ("max_share",)
    measures_data = True
    decides_by = DecideBy.POINT

    def keys(self) -> Mapping[str, Any]:
        columns = Field(description="Columns that should have a value in every row.")
        rules: dict[str, Any] = {NOT_NULL: (Columns, columns)}
        file = create_model(
            "DataQualityFile",
            __base__=FileModel,
            __doc__="Rules by their keys, each with the columns that should keep it.",
            **rules,
        )
        return {self.key: (file, Field(description="The rules that columns should keep."))}

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        return {"metric": NULL_SHARE, "parameters": parameters_text(getattr(file, self.key))}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: json.loads(test.parameters)}

    def title(self, test: ModelTest) -> str:
        return f"data_quality {NOT_NULL}({','.join(_columns(test))})"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each column."""
        columns = _columns(test)
        if len(columns) == 1:
            return (test,)
        title, expanded = self.title(test), []
        for column in columns:
            own = replace(test, parameters=parameters_text({NOT_NULL: [column]}))
            name = test.name.replace(title, self.title(own))
            expanded.append(replace(own, name=name if title in test.name else f"{name} {column}"))
        return expanded

    def column_families(self, test: ModelTest) -> Sequence[ColumnFamily]:
        return [column_nulls(column) for column in _columns(test)]

    def metric(self, test: ModelTest) -> Metric:
        (column,) = _columns(test)
        return Metric(
            f"{NULL_SHARE}({column})",
            frozenset(TaskKind),
            lambda problem: (column_nulls(column),),  # type: ignore[arg-type, return-value]
            share_of,
            higher_is_better=False,
            bounds=(0.0, 1.0),
            many=True,
        )


def _columns(test: ModelTest) -> list[str]:
    columns: list[str] = json.loads(test.parameters)[NOT_NULL]
    return columns


KINDS.add("data_quality", DataQualityKind())
