"""`drift: domain_classifier`: can rows of the dataset be told from the reference's at all?

A shift of all columns together, which that of no single column shows. What is measured is the area
under the ROC curve of a classifier that is asked about rows that it has not seen: 0.5 where nothing
tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from engine.core.vocabulary import MetricValue, ModelTest, Numbers
from engine.fields.wording import quote
from engine.kinds.drift.classifier import (
    AREA,
    DF,
    HELD,
    LEAST_ROWS,
    LOOKED_AT,
    REFERENCE,
    SE,
    UNITS,
    DomainContrast,
    library_version,
)
from engine.kinds.drift.distances import DISTANCES, column_class
from engine.kinds.estimates import SliceEstimates
from engine.kinds.questions import COUNT, figure
from engine.kinds.setting import Context, Setting
from engine.metrics import Metric, Slices
from engine.statistics import Several
from engine.statistics.two_sample_area import UNIT, Area

DOMAIN = "domain_classifier"
# A column without which less is lost is not told of.
LEAST_LOST = 0.0005
DOMAIN_METRIC = "domain_auc"
DOMAIN_TITLE = "ROC AUC of a classifier of both"


def metric_title(metric: str) -> str:
    """What a distance, or the classifier's area, is called."""
    return DOMAIN_TITLE if metric == DOMAIN_METRIC else DISTANCES[metric].title


def is_domain(test: ModelTest) -> bool:
    """Whether a test of drift is of the classifier, and of no distance."""
    return bool(json.loads(test.parameters)["distance"] == DOMAIN)


def domain_limit_mistake(limit: float) -> str | None:
    """Why no area is on one side of a limit."""
    if 0.5 <= limit <= 1:
        return None
    return f"found {quote(limit)}, expected a number from 0.5 to 1: {DOMAIN} is 0.5 of equal rows"


def domain_misfits(test: ModelTest, setting: Setting) -> Iterator[str]:
    """Why the columns of a test that is expanded tell nothing."""
    parameters = json.loads(test.parameters)
    columns = parameters["columns"]
    if library_version() is None:
        yield "the classifier is scikit-learn's, which is not installed: pip install scikit-learn"
    if not columns:
        yield "no column of the dataset says anything of the population; name the columns"
    for column in columns or ():
        kind = setting.types.get(column)
        if column in setting.columns.sensitive:
            yield (
                f"results would show how far {column!r} has moved, which the suite calls "
                "sensitive; expected columns that are not"
            )
        elif kind is not None and column_class(kind) is None:
            yield (
                f"the column {column!r} is {kind}, which the classifier does not read; expected "
                "numbers, truth values, text, dates or timestamps"
            )


def domain_contrast(test: ModelTest) -> DomainContrast | None:
    """What is asked of the rows."""
    columns = json.loads(test.parameters)["columns"]
    return DomainContrast(tuple(columns)) if columns else None


def domain_metric() -> Metric:
    return figure(DOMAIN_METRIC, higher_is_better=False, bounds=UNIT, intervals=True)


def estimate_domain(on: Slices, context: Context) -> SliceEstimates:
    """The area with its interval, and in words what the classifier looked at."""
    areas = [_area(answer) for answer in on.answers]
    spreads = [None if area is None else area.spread() for area in areas]
    parts = [
        (np.array([place]), spread) for place, spread in enumerate(spreads) if spread is not None
    ]
    spread = Several(len(on), tuple(parts))
    ends = np.array(spread.interval(context.level))
    values = []
    for place, (area, answer, texts) in enumerate(zip(areas, on.answers, on.texts, strict=True)):
        if area is None:
            values.append(_few_rows(answer))
            continue
        low, high = (None if np.isnan(end) else float(end) for end in ends[:, place])
        told = _detail(answer, json.loads(texts.get(LOOKED_AT) or "[]"))
        values.append(MetricValue(area.value, None, 0.0, low, high, detail=told))
    return SliceEstimates.of_values(values, spread)


def _area(answer: Numbers) -> Area | None:
    """The area that was found; None of too few rows."""
    value, units = answer.get(AREA), answer.get(UNITS)
    if value is None or units is None:
        return None
    se, df = (answer.get(name) for name in (SE, DF))
    return Area(value, np.nan if se is None else se, np.nan if df is None else df, units)


def _few_rows(answer: Numbers) -> MetricValue:
    """Why there is no area."""
    ours, theirs = answer.get(COUNT) or 0.0, answer.get(REFERENCE) or 0.0
    detail = (
        f"{ours:,.0f} in the sample and {theirs:,.0f} in that of the reference; expected "
        f"{LEAST_ROWS} of each, that hash to both halves"
    )
    return MetricValue(None, "few_rows", detail=detail)


def _detail(answer: Numbers, lost: Sequence[tuple[str, float]]) -> str:
    """How many rows were held out, and the columns that the classifier looked at."""
    ours, theirs = (answer.get(name) or 0.0 for name in (HELD, f"{HELD}_{REFERENCE}"))
    shown = [f"{name} {much:.3f}" for name, much in lost if much >= LEAST_LOST]
    told = f"lost without a column: {', '.join(shown)}; " if shown else ""
    return f"{told}held out {ours:,.0f} and {theirs:,.0f} rows"
