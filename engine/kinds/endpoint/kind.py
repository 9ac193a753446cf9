"""How a test of an endpoint is written in a suite, and what its part of a report shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PlainValidator, WithJsonSchema

from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    ModelVersion,
    Numbers,
    Severity,
    Verdict,
)
from engine.fields.rates import RateField, rate_text
from engine.fields.values import expected
from engine.fields.wording import suggestion
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.endpoint.asks import (
    ALL,
    ASKS,
    COUNT,
    MB,
    MS,
    QUANTILES,
    RATIO,
    WORDS,
    asks_of,
    limit_of,
)
from engine.kinds.endpoint.figures import Estimated, estimate_ask
from engine.kinds.endpoint.loading import MOST_REQUESTS
from engine.kinds.endpoint.probes import ERROR_ROWS, AnswerProbe, LoadProbe
from engine.kinds.endpoint.ratios import RatioProbe
from engine.kinds.estimates import SliceEstimates
from engine.kinds.pictures import Sign, SignTable
from engine.kinds.questions import MOST_PROBE_ROWS, Probe, figure
from engine.kinds.setting import Context, Section, Setting
from engine.kinds.speed.kind import estimate_pairs
from engine.metrics import Metric, Slices
from engine.statistics import Several

RATE, SECONDS, ROWS, BATCH = 20.0, 10.0, 1_000, 100
_OPTIONS = ("rate", "seconds", "rows", "batch")


def _read_asks(value: Any) -> list[str]:
    """The words of a test as a list: `all`, one, or several that differ."""
    if value == ALL:
        return [ALL]
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not named:
        raise expected(f"all, or a list of {', '.join(WORDS)}")
    for place, name in enumerate(named):
        if not isinstance(name, str) or name not in WORDS:
            raise expected(f"all, or {suggestion(name, WORDS)}")
        if name in named[:place]:
            raise expected(f"asks that differ, but {name!r} stands twice")
    return list(named)


AsksField = Annotated[
    list[str],
    PlainValidator(_read_asks),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": [ALL, *WORDS]},
                {
                    "type": "array",
                    "items": {"type": "string", "enum": WORDS},
                    "minItems": 1,
                    "uniqueItems": True,
                },
            ]
        }
    ),
]
_Seconds = Annotated[float, Field(strict=True, gt=0, le=3600)]
_Rows = Annotated[int, Field(strict=True, ge=1, le=MOST_PROBE_ROWS)]
_Batch = Annotated[int, Field(strict=True, ge=1, le=10_000)]


class EndpointKind(Kind):
    """Is what is served what was tested? Each ask is a test, and a cell, of its own."""

    key = "endpoint"
    description = "A model behind a server: parity with its predictions, errors, readiness, load."
    conditions = (COUNT, MS, MB, RATIO)
    on_slices = False
    is_told_by_name = True

    def keys(self) -> Mapping[str, Any]:
        told = f"all, or some of {', '.join(WORDS)}."
        return {
            self.key: (AsksField, Field(description=f"What is asked of the server: {told}")),
            "rate": (
                RateField | None,
                Field(None, description="Requests a second: of a load exactly, else at most."),
            ),
            "seconds": (
                _Seconds | None,
                Field(None, description="How long a load is; default: 10."),
            ),
            "rows": (
                _Rows | None,
                Field(None, description="Rows of the sample; default: 1000."),
            ),
            "batch": (
                _Batch | None,
                Field(None, description="Rows of a request; default: 100, of a load 1."),
            ),
        }  # fmt: skip

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        try:
            asks = asks_of(_read_asks(test.get(self.key)))
        except Exception:  # told by its field
            return
        if test.get(RATIO) is not None:
            yield from _ratio_mistakes(test, asks)
            return
        for key in (COUNT, MS, MB):
            if test.get(key) is not None and not any(ASKS[ask].condition == key for ask in asks):
                named = ", ".join(sorted({ASKS[ask].condition for ask in asks}))
                yield (key,), f"found {key} for {', '.join(asks)}, expected {named}"
        of_load = any(ASKS[ask].probe == "load" for ask in asks)
        if test.get("seconds") is not None and not of_load:
            yield ("seconds",), "found seconds without a load, expected none"
        yield from _too_many(test, of_load)

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        words = getattr(file, self.key)
        given = {key: getattr(file, key) for key in _OPTIONS}
        parameters = {key: value for key, value in given.items() if value is not None}
        ask = asks_of(words)[0]
        compares = getattr(file, RATIO) is not None
        return {
            "metric": f"{ask}_ratio" if compares else ASKS[ask].metric,
            "parameters": parameters_text({self.key: words, **parameters}),
        }

    def write(self, test: ModelTest) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(test.parameters)
        words = asked.pop(self.key)
        if "rate" in asked:
            asked["rate"] = rate_text(asked["rate"])
        return {self.key: ALL if words == [ALL] else words, **asked}

    def title(self, test: ModelTest) -> str:
        return f"endpoint {','.join(_words(test))}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each ask; of asks of a server's own life where the test starts one."""
        words, title, expanded = _words(test), self.title(test), []
        limits = {condition.kind: condition.bound for condition in test.conditions}
        options = {key: value for key, value in json.loads(test.parameters).items()
                   if key != self.key}  # fmt: skip
        starts = any(not model.is_endpoint for model in setting.models)
        for ask in asks_of(words):
            if ASKS[ask].starts and not starts and ask not in words:
                continue
            if RATIO in limits:
                fresh = replace(
                    test,
                    metric=f"{ask}_ratio",
                    parameters=parameters_text({self.key: [ask], **options}),
                )
                expanded.append(replace(fresh, name=self._name(test, title, fresh, words)))
                continue
            limit = limit_of(ask, words, limits)
            own = replace(
                test,
                metric=ASKS[ask].metric,
                parameters=parameters_text({self.key: [ask], **options}),
                conditions=() if limit is None else (Condition(ASKS[ask].condition, limit),),
            )
            expanded.append(replace(own, name=self._name(test, title, own, words)))
        return expanded

    def _name(self, test: ModelTest, title: str, own: ModelTest, words: list[str]) -> str:
        """The name of one of the tests that a test stands for."""
        ask = _ask(own)
        if [ask] == words:
            return test.name
        fresh = self.title(own)
        return test.name.replace(title, fresh) if title in test.name else f"{test.name} {ask}"

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        ask = _ask(test)
        if _compares(test) and setting.baseline is None:
            yield "max_ratio compares with the baseline, and the evaluation has none; expected one"
        served = [model for model in setting.models if model.is_endpoint]
        if ASKS[ask].probe == "load" and not _compares(test):
            yield from _too_fast(test, served)
        base = next((m for m in setting.models if m.name == setting.baseline), None)
        if ask in ("parity", "version") and served and (base is None or base.is_endpoint):
            named = ", ".join(repr(model.name) for model in served)
            yield (
                f"{ask} of the endpoint {named} is held against the baseline, expected a baseline "
                "that is a model with a uri"
            )

    def probe(self, test: ModelTest, setting: Setting) -> Probe:
        ask, asked = _ask(test), json.loads(test.parameters)
        rate, rows = asked.get("rate"), asked.get("rows", ROWS)
        if _compares(test):
            return RatioProbe(ask, asked.get("batch", 1), rate)
        if ASKS[ask].probe == "load":
            seconds, size = asked.get("seconds", SECONDS), asked.get("batch", 1)
            return LoadProbe(rate or RATE, seconds, size, max(rows, size))
        beside = setting.baseline is not None and any(m.is_endpoint for m in setting.models)
        rows = rows if ask == "parity" else min(rows, ERROR_ROWS)
        return AnswerProbe(ask, asked.get("batch", BATCH), rate, rows, beside)

    def metric(self, test: ModelTest) -> Metric:
        ask = _ask(test)
        return figure(
            f"{test.metric}({ask})" if ASKS[ask].probe == "errors" else test.metric,
            higher_is_better=False, bounds=(0.0, math.inf), intervals=ask in QUANTILES,
        )  # fmt: skip

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        ask = _ask(test)
        if _compares(test) and context.is_baseline:
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        estimate = _estimate_ratio if _compares(test) else estimate_ask
        estimated = [estimate(ask, answer, context.level) for answer in on.answers]
        parts = tuple(
            (np.array([place]), spread)
            for place, (_, spread) in enumerate(estimated)
            if spread is not None
        )
        return SliceEstimates.of_values(
            [value for value, _ in estimated], Several(len(on), parts) if parts else None
        )

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The asks by models as signs, and what was measured in a table."""
        signs: dict[str, dict[str, Sign]] = {}
        for cell in cells:
            signs.setdefault(_row(cell.test), {})[cell.model.name] = _sign(cell)
        models = list(dict.fromkeys(cell.model.name for cell in cells))
        order = [*ASKS, *(f"{ask}_ratio" for ask in QUANTILES)]
        table = {row: [signs[row].get(model) for model in models] for row in order if row in signs}
        if not table:
            return None
        rows = [
            [cell.test.name, cell.model.name, _number_text(cell.measured.value),
             cell.measured.detail or cell.reason]
            for cell in cells
        ]  # fmt: skip
        return Section(
            "Endpoint",
            "The model behind a server, asked as a service asks it. A number says how many rows, "
            "requests or looks broke what was asked; latencies count from the time when a request "
            "was due.",
            ["test", "model", "value", "measured"],
            rows,
            pictures=[SignTable("Endpoint", models, table)],
            cells=cells,
        )


def _ratio_mistakes(test: Mapping[str, Any], asks: Sequence[str]) -> Mistakes:
    """Yields what a limit of a ratio does not go with."""
    if any(ask not in QUANTILES for ask in asks):
        named = ", ".join(ask for ask in asks if ask not in QUANTILES)
        yield (RATIO,), f"found max_ratio for {named}, expected it for {', '.join(QUANTILES)} alone"
    elif test.get(MS) is not None:
        yield (RATIO,), "found max_ratio with max_ms, expected one of the two"
    elif test.get("seconds") is not None:
        yield (
            ("seconds",),
            "found seconds for a ratio, which is of pairs; expected none",
        )


def _row(test: ModelTest) -> str:
    """The row of a test in the table of signs."""
    return test.metric if _compares(test) else _ask(test)


def _compares(test: ModelTest) -> bool:
    return test.metric.endswith("_ratio")


def _estimate_ratio(ask: str, answer: Numbers, level: float) -> Estimated:
    """The ratio of latencies to the baseline's."""
    if not answer.get("calls"):
        return MetricValue(None, "no request was answered in time"), None
    return estimate_pairs(answer, QUANTILES[ask], False, level)


def _too_many(test: Mapping[str, Any], of_load: bool) -> Mistakes:
    """Yields that a load has more requests than are kept."""
    rate, seconds = test.get("rate", RATE), test.get("seconds", SECONDS)
    if isinstance(rate, str):
        number, _, unit = rate.partition("/")
        try:
            rate = float(number) / (60 if unit.strip() == "min" else 1)
        except ValueError:
            return
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in (rate, seconds))
    if of_load and numbers and rate * seconds > MOST_REQUESTS:
        yield (
            ("seconds" if test.get("seconds") is not None else "rate",),
            f"found {rate * seconds:,.0f} requests in all, expected {MOST_REQUESTS:,} at most; "
            "more rows go by batch",
        )


def _too_fast(test: ModelTest, served: Sequence[ModelVersion]) -> Iterator[str]:
    """Why a load is more than an endpoint may be asked."""
    rate = json.loads(test.parameters).get("rate", RATE)
    for model in served:
        most = None if model.endpoint is None else model.endpoint.rate
        if most is not None and rate > most:
            yield (
                f"its load of {rate_text(rate)} is more than the rate of {model.name!r}, "
                f"{rate_text(most)}; expected that or less"
            )


def _words(test: ModelTest) -> list[str]:
    words: list[str] = json.loads(test.parameters)[EndpointKind.key]
    return words


def _ask(test: ModelTest) -> str:
    """The ask of a test that stands for one."""
    return asks_of(_words(test))[0]


def _sign(cell: Cell) -> Sign:
    """What came of an ask of a model."""
    value, told = cell.measured.value, cell.measured.detail or cell.reason
    if cell.verdict is Verdict.ERROR:
        return Sign("error", "error", cell.reason)
    if value is None:
        return Sign("undecided", "not known", cell.reason)
    own = ASKS[_ask(cell.test)]
    unit = "times the baseline's" if _compares(cell.test) else own.condition.removeprefix("max_")
    text = f"{value:,.4g} {unit}"
    if own.condition == COUNT:
        text = "kept" if not value else f"{int(value):,} {own.unit}{'' if value == 1 else 's'}"
    if cell.verdict is Verdict.FAIL:
        return Sign("broken" if cell.test.severity is Severity.FAIL else "allowed", text, told)
    if cell.verdict is Verdict.INCONCLUSIVE:
        return Sign("undecided", text, told)
    return Sign("ok", text, told)


def _number_text(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


KINDS.add("endpoint", EndpointKind())
