"""What is known of a table that was made, as a file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from engine.data.generation.closeness import Closeness
from engine.data.generation.make import Generated, Planted
from engine.data.generation.recipe import Recipe
from engine.data.generation.write import local_folder

_DIGITS = 6
_WORST_PAIRS = 20


def write_answers(result: Generated, recipe: Recipe, folder: Path) -> Path:
    """Writes `<out>.answers.yml`, with the recipe that made the rows, and gives its place."""
    path = Path(f"{folder}.answers.yml")
    document = {**summary(result), "recipe": recipe.model_dump(mode="json", exclude_unset=True)}
    # Without the types that only numpy has.
    document = json.loads(json.dumps(document, default=float))
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def beside(table: str) -> Path | None:
    """What names of files beside a table begin with; None where it is not on this machine."""
    return local_folder(table)


def summary(result: Generated) -> dict[str, Any]:
    """All that is known of made rows, as plain values."""
    document: dict[str, Any] = {
        "table": result.table, "version": result.version, "rows": result.rows, "seed": result.seed,
        "source": result.source,
    }  # fmt: skip
    if result.reference is not None:
        document["reference"] = dict(zip(("table", "version"), result.reference, strict=True))
    if result.met < 1:
        document["share of draws that meet the conditions"] = round(result.met, _DIGITS)
    if result.planted:
        document["planted"] = [_plant_entry(item) for item in result.planted]
    if result.closeness is not None and result.floor is not None:
        document["closeness"] = _figures(result.closeness)
        document["closeness of two halves of the source"] = _figures(result.floor)
    if result.copies is not None:
        document["rows that equal one of the source"] = result.copies
        document["share of one half of the source that the other has"] = round(
            result.repeated or 0.0, _DIGITS
        )
    if result.outcomes:
        document["boundaries"] = [asdict(outcome) for outcome in result.outcomes]
    if result.notes:
        document["notes"] = list(result.notes)
    return document


def _plant_entry(item: Planted) -> dict[str, Any]:
    answer = item.answer
    told: dict[str, Any] = {
        "plant": dict(item.plant), "rows": round(float(answer.rows), 1),
        "finds": {name: round(float(value), _DIGITS) for name, value in answer.finds.items()},
    }  # fmt: skip
    more = {"where": answer.where, "says": answer.says, "models": answer.models}
    told |= {name: value for name, value in more.items() if value}
    return {**told, "test": answer.test} if answer.test else told


def _figures(closeness: Closeness) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: round(float(value), _DIGITS) if isinstance(value, float) else value
        for name, value in closeness.summary().items()
    }
    worst = sorted(closeness.pairs.items(), key=lambda item: item[1])[:_WORST_PAIRS]
    figures["each column"] = {name: round(x, _DIGITS) for name, x in closeness.columns.items()}
    figures["worst pairs"] = {" and ".join(pair): round(x, _DIGITS) for pair, x in worst}
    return figures
