"""`data_quality`: what it looks like in a suite, and which of its checks a test is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, create_model

from engine.conditions import CONDITIONS, Decision, Evidence, LimitRule, Measurement
from engine.core.vocabulary import Cell, Condition, DecideBy, ModelTest
from engine.fields.file_model import FileModel
from engine.fields.values import Proportion
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.data_quality.check import Asked, Check, title_of
from engine.kinds.data_quality.checks import CHECKS
from engine.kinds.data_quality.keys import (
    BAD_COUNT,
    SHOW_KEYS,
    Count,
    has_keys,
    keys_estimate,
    keys_metric,
    keys_misfits,
    keys_query,
)
from engine.kinds.data_quality.table import quality_section
from engine.kinds.estimates import SliceEstimates
from engine.kinds.questions import Query
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import Metric, Slices
from engine.states import ColumnFamily

MAX_SHARE = "max_share"
FACTS = "facts"
# What a test of several checks measures, before it is expanded.
BAD_SHARE = "bad_share"


class ShareRule(LimitRule):
    """A limit on a share of rows, whose reason says how many they are."""

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        decision = super().decide_by_interval(condition, measurement, evidence)
        return _with_detail(decision, measurement)

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        return _with_detail(super().decide_by_point(condition, measurement), measurement)


def _with_detail(decision: Decision, measurement: Measurement) -> Decision:
    detail = measurement.value.detail
    return replace(decision, reason=f"{decision.reason}: {detail}") if detail else decision


CONDITIONS.add(
    MAX_SHARE,
    ShareRule(
        MAX_SHARE,
        "The greatest share of rows that may break the rule, 0 to 1.",
        least=False,
        field=Proportion,
    ),
)


class DataQualityKind(Kind):
    """Shares of rows that break a check, and what is known of the table as a whole.

    The rows are all there are, not a sample of others: tests are decided by the share itself, and
    the interval says what to expect of rows to come.
    """

    key = "data_quality"
    description = "What the data should be, without a model: checks, and the share of bad rows."
    conditions = (MAX_SHARE,)
    measures_data = True
    decides_by = DecideBy.POINT

    def keys(self) -> Mapping[str, Any]:
        checks: dict[str, Any] = {
            key: (check.field | None, Field(None, description=check.description))
            for key, check in CHECKS.items()
        }
        file = create_model(
            "DataQualityFile",
            __base__=FileModel,
            __doc__="Checks by their keys, each with the columns that should keep it.",
            **checks,
        )
        shown = Field(None, description="How many keys of bad rows each check and slice shows.")
        return {
            self.key: (file, Field(description="The checks that the data should keep.")),
            SHOW_KEYS: (Count | None, shown),
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        checks = test.get(self.key)
        if not isinstance(checks, Mapping):
            return
        asked = [check for key, check in CHECKS.items() if checks.get(key) is not None]
        if not asked and not set(checks) - set(CHECKS):
            yield (self.key,), f"found no check, expected one or more of {', '.join(CHECKS)}"
        elif asked and test.get(MAX_SHARE) is not None and not any(c.is_share for c in asked):
            named = " and ".join(check.key for check in asked)
            yield (MAX_SHARE,), f"found max_share with {named}, which have limits of their own"

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        parameters = getattr(file, self.key).model_dump(exclude_none=True)
        names = [CHECKS[key].figure for key in parameters]
        metric = names[0] if len(names) == 1 else BAD_SHARE
        shown = getattr(file, SHOW_KEYS)
        parameters |= {} if shown is None else {SHOW_KEYS: shown}
        return {"metric": metric, "parameters": parameters_text(parameters)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = json.loads(test.parameters)
        shown = {SHOW_KEYS: parameters[SHOW_KEYS]} if SHOW_KEYS in parameters else {}
        return {self.key: {key: parameters[key] for key in CHECKS if key in parameters}, **shown}

    def title(self, test: ModelTest) -> str:
        return f"{self.key} {' '.join(title_of(*part) for part in _parts(test))}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each check and column, with the facts of the dataset that it rests on."""
        parts = _parts(test)
        if any(asked.facts for _, asked in parts):
            return (test,)
        singles = [
            (check, asked) for check, whole in parts for asked in check.split(whole.value, setting)
        ]
        title, several = self.title(test), len(parts) > 1
        naming = (title, several, len(singles) == 1)
        tests = [self._single(test, check, asked, naming) for check, asked in singles]
        shown = json.loads(test.parameters).get(SHOW_KEYS)
        if shown is None:
            return tests
        beside = zip(tests, (self._beside(*pair, shown) for pair in
                             zip(tests, singles, strict=True)), strict=True)  # fmt: skip
        return [one for pair in beside for one in pair if one is not None]

    def _beside(self, test: ModelTest, single: tuple[Check, Asked], shown: int) -> ModelTest | None:
        """The test of the keys of a check's bad rows; None of one that finds no single rows."""
        check, asked = single
        if not check.finds_rows:
            return None
        facts = {**asked.facts, SHOW_KEYS: shown}
        return replace(
            test,
            name=f"{test.name} keys",
            metric=BAD_COUNT,
            conditions=(),
            parameters=parameters_text({check.key: asked.value, FACTS: facts}),
        )

    def _single(
        self, test: ModelTest, check: Check, asked: Asked, naming: tuple[str, bool, bool]
    ) -> ModelTest:
        title, several, alone = naming
        facts = {FACTS: asked.facts} if asked.facts else {}
        single = replace(
            test,
            metric=check.figure,
            parameters=parameters_text({check.key: asked.value, **facts}),
        )
        if not check.is_share:
            single = replace(single, conditions=check.conditions(asked))
        if check.whole_only and "overall" in test.slice_sets:
            single = replace(single, slice_sets=("overall",))
        if alone:
            return single
        own = title_of(check, asked) if several else check.label(asked)
        name = f"{test.name} {own}"
        if title in test.name:
            name = test.name.replace(title, self.title(single))
        return replace(single, name=name)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        for check, asked in _parts(test):
            if has_keys(asked):
                yield from keys_misfits(setting)
            else:
                yield from check.misfits(asked, setting)

    def column_families(self, test: ModelTest) -> Sequence[ColumnFamily]:
        return [
            family
            for check, asked in _parts(test)
            if not has_keys(asked)
            for family in check.families(asked)
        ]

    def query(self, test: ModelTest, setting: Setting) -> Query | None:
        check, asked = _part(test)
        if has_keys(asked):
            return keys_query(check, asked, setting)
        return check.query(asked, setting)

    def metric(self, test: ModelTest) -> Metric:
        check, asked = _part(test)
        return keys_metric(check, asked) if has_keys(asked) else check.metric(asked)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        check, asked = _part(test)
        return keys_estimate(on) if has_keys(asked) else check.estimate(asked, on, context)

    def section(self, cells: Sequence[Cell]) -> Section | None:
        return quality_section([(cell, *_part(cell.test)) for cell in cells])


def _parts(test: ModelTest) -> list[tuple[Check, Asked]]:
    """The checks of a test; of one that is expanded a single one of single columns."""
    parameters = json.loads(test.parameters)
    facts = parameters.get(FACTS, {})
    return [
        (check, Asked(parameters[key], facts)) for key, check in CHECKS.items() if key in parameters
    ]


def _part(test: ModelTest) -> tuple[Check, Asked]:
    """The check of a test that is expanded."""
    return _parts(test)[0]


KINDS.add("data_quality", DataQualityKind())
