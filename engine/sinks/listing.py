"""What commands print on standard output: plans and results, as tables or for programs."""

from __future__ import annotations

import sys
from csv import QUOTE_ALL
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.conditions import demand_text
from engine.core.vocabulary import ModelVersion
from engine.sinks import format as fmt
from engine.sinks.lifecycle import promotion_json
from engine.sinks.reading import reading_text
from engine.sinks.subjects import model_label
from engine.sinks.trust import trust_text

_SHOWN = ("evaluation", "model", "slice", "test", "n", "value", "ci_low", "ci_high", "delta",
          "verdict", "reason")  # fmt: skip


def plan_table(evaluation: Any) -> Table:
    """An evaluation as it would run."""
    pinned, dataset = evaluation.plan, evaluation.plan.dataset
    table = Table(title=plain(pinned.name), title_justify="left", show_header=False)
    table.add_column("what", style="bold")
    table.add_column("pinned", overflow="fold")
    table.add_row(
        "dataset", plain(f"{dataset.uri} version {dataset.version}, {dataset.rows:,} rows")
    )
    if dataset.files:
        table.add_row("", plain(f"made of {dataset.files}"))
    if pinned.reference is not None:
        other = pinned.reference.dataset
        table.add_row(
            "reference", plain(f"{other.uri} version {other.version}, {other.rows:,} rows")
        )
        if other.files:
            table.add_row("", plain(f"made of {other.files}"))
    for model in pinned.models:
        mark = " (baseline)" if model.name == pinned.baseline else ""
        table.add_row("model", plain(f"{model.name}{mark}: {model.uri}, {_origin(model)}"))
        for told in filter(None, (reading_text(model), trust_text(model))):
            table.add_row("", plain(told))
    for slice_set in pinned.slice_sets:
        table.add_row("slices", plain(f"{slice_set.name} ({slice_set.kind})"))
    for test in pinned.tests:
        table.add_row("test", plain(f"{test.name}: {demand_text(test) or 'recorded only'}"))
    table.add_row(
        "cost",
        f"{evaluation.rows:,} rows read, {evaluation.predictions:,} predictions, about "
        f"{evaluation.slices:,} slices and {evaluation.cells:,} cells",
    )
    if evaluation.road:
        table.add_row("", plain(f"rows: {evaluation.road}"))
    for name, cost in evaluation.costs:
        table.add_row("", plain(f"{name}: {cost}"))
    table.add_row("reused", plain(f"{evaluation.reused:,} predictions{evaluation.reuse_note}"))
    return table


def _origin(model: ModelVersion) -> str:
    """The flavour of a model, or where its predictions are."""
    if model.endpoint is not None:
        version = "which tells no version, so that nothing of it is used again in another run"
        version = version if model.version is None else f"version {model.version}"
        rate = model.endpoint.rate
        at = "" if rate is None else f", at most {rate:g} requests a second of each machine"
        return f"an endpoint ({model.endpoint.protocol}), {version}{at}"
    if not model.is_stored:
        return model.flavor
    if model.table is None:
        return "predictions in the dataset"
    key = " and ".join(model.table.key)
    return f"predictions of version {model.table.version}, found by {key}"


def results(frame: Any) -> Table:
    """The results of a run, the columns that people read."""
    table = Table(box=None, header_style="bold")
    for name in _SHOWN:
        numeric = name in ("n", "value", "ci_low", "ci_high", "delta")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    named = frame.assign(
        model=[model_label(name) for name in frame["model"]],
        test=[
            test if variant in (None, "clean") else f"{test} [{variant}]"
            for test, variant in zip(frame["test"], frame["variant"], strict=True)
        ],
    )
    for row in named[list(_SHOWN)].itertuples(index=False):
        table.add_row(*[_value_text(value) for value in row])
    return table


def wide() -> Console:
    """Standard output; where it is no terminal, no line of a table is broken for its width."""
    return Console(width=None if sys.stdout.isatty() else 200)


def _value_text(value: Any) -> str | Text:
    if value is None or value != value:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else plain(str(value))


def plain(text: str) -> Text:
    """A text that is shown as it is: no markup, and nothing that drives a terminal."""
    return Text(fmt.log_line(text))


def csv(frame: Any) -> str:
    """The rows of a frame as CSV."""
    text: str = frame.to_csv(index=False)
    if "\r" in text:
        # Python's own writer leaves a field with a bare CR without quotes.
        text = frame.to_csv(index=False, quoting=QUOTE_ALL)
    return text


def result_json(result: Any) -> dict[str, Any]:
    """A run in a few keys, for programs."""
    gate = result.gate
    return {
        "run_id": result.run_id,
        "gate": gate.outcome.value,
        "reason": gate.reason,
        "exit_code": result.exit_code,
        "counts": {verdict.value: count for verdict, count in gate.counts.items()},
        "seconds": round(result.outcome.seconds, 3),
        "places": result.places,
        "tracking_error": result.tracking_error,
        "promotions": [promotion_json(promotion) for promotion in result.promotions],
        "promotion_error": result.promotion_error,
    }


def json_records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame for JSON, which has no infinity: an interval without an end has null."""
    endless = (float("inf"), float("-inf"))

    def finite_or_none(value: Any) -> Any:
        return None if value != value or value in endless else value

    return [
        {key: finite_or_none(entry) for key, entry in row.items()}
        for row in frame.to_dict("records")
    ]


def json_value(value: Any) -> Any:
    """What JSON has no word for: times as ISO 8601, numpy's numbers as Python's."""
    return value.isoformat() if hasattr(value, "isoformat") else value.item()
