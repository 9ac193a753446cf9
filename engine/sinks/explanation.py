"""Why a cell has its verdict, in a few sentences, from what the results table has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.registry import nearest
from engine.errors import InputError
from engine.sinks import format as fmt
from engine.sinks.subjects import model_label

Row = Mapping[str, Any]

NAMED = ("evaluation", "model", "slice", "test")
SHOWN = 10


def name_of(row: Row) -> str:
    """A cell's name: `evaluation/model/slice/test`, with the variant behind it in brackets."""
    parts = {**row, "model": model_label(row["model"])}
    name = "/".join(str(parts[part]) for part in NAMED)
    return name if _is_clean(row) else f"{name} [{row['variant']}]"


def _is_clean(row: Row) -> bool:
    return row.get("variant") in (None, "clean")


def find(rows: Sequence[Row], cell: str) -> Row:
    """The cell that a text names: by its whole name, by the end of it, or by its position.

    Parts may be left out from the front, and `*` stands for any text where one cell fits.

    Raises:
        InputError: when none fits, or several do; the message has those that are near.
    """
    names = [name_of(row) for row in rows]
    if cell.isdecimal() and not any(name.endswith(f"/{cell}") for name in names):
        placed = [row for row in rows if row["position"] == int(cell)]
    else:
        placed = [row for row, name in zip(rows, names, strict=True) if _fits(name, cell)]
    exact = [row for row in placed if name_of(row) == cell]
    placed = exact or placed
    if len(placed) == 1:
        return placed[0]
    if not placed:
        parts = cell.count("/") + 1
        close = nearest(cell, ["/".join(name.split("/")[-parts:]) for name in names])
        hint = f"; nearest is {close!r}" if close else f", such as {names[0]!r}" if names else ""
        raise InputError(
            f"the run has no cell {cell!r}; expected EVALUATION/MODEL/SLICE/TEST, the end of it, "
            f"or a position{hint}"
        )
    listed = "\n".join(f"  {name_of(row)}" for row in placed[:SHOWN])
    more = f"\n  and {len(placed) - SHOWN:,} more" if len(placed) > SHOWN else ""
    raise InputError(f"{len(placed):,} cells fit {cell!r}; name one of them:\n{listed}{more}")


def _fits(name: str, cell: str) -> bool:
    if "*" not in cell:
        return name == cell or name.endswith(f"/{cell}")
    place = 0
    for part in cell.split("*"):
        start = name.find(part, place)
        if start < 0:
            return False
        place = start + len(part)
    return cell.endswith("*") or name.endswith(cell.rsplit("*", 1)[1])


def explain(row: Row, *, confidence: float, on_inconclusive: str, on_error: str) -> str:
    """A cell's verdict in sentences: what was measured, compared, demanded, and what follows."""
    lines = [
        f"{fmt.one_line(name_of(row))}: {row['verdict']}",
        _value_sentence(row, confidence),
        _baseline_sentence(row, confidence),
        _condition_sentence(row),
        _chance_sentence(row),
        _gate_sentence(row, on_inconclusive, on_error),
    ]
    return "\n".join(line for line in lines if line)


def _value_sentence(row: Row, confidence: float) -> str:
    where = "all rows" if row["slice"] == "overall" else f"the slice {fmt.one_line(row['slice'])}"
    # Of the data all rows count; a model is measured on those with a label.
    rows = "labelled rows" if row["model"] else "rows"
    about = (
        f"on {row['n']:,} {rows} of {where} "
        f"({fmt.one_line(row['dataset'])} version {row['dataset_version']})"
    )
    if not _is_clean(row):
        about += f", with the input behind {fmt.one_line(row['variant'])}"
    if row["value"] is None:
        return f"{row['metric']} has no value {about}."
    text = f"{row['metric']} is {fmt.number(row['value'])} {about}"
    if row["ci_low"] is not None:
        low, high = fmt.number(row["ci_low"]), fmt.number(row["ci_high"])
        text += f"; at {confidence * 100:g} % confidence its true value is between {low} and {high}"
    if row["error_bound"]:
        text += f"; approximation can have cost {fmt.number(row['error_bound'])} at most"
    left_out = []
    if row["n_null_label"]:
        left_out.append(f"{row['n_null_label']:,} rows have no label and are left out")
    if row["n_bad_score"]:
        left_out.append(f"{row['n_bad_score']:,} predictions cannot be used")
    return "; ".join([text, *left_out]) + "."


def _baseline_sentence(row: Row, confidence: float) -> str:
    if row["baseline_model"] is None or row["baseline_value"] is None:
        return ""
    name = fmt.one_line(row["baseline_model"])
    other = f"The baseline {name}" if _is_clean(row) else f"{name} with its input as it is"
    text = f"{other} has {fmt.number(row['baseline_value'])} on the same rows"
    if row["delta"] is None:
        return f"{text}."
    text += f"; the difference is {fmt.signed_number(row['delta'])}"
    if row["delta_ci_low"] is not None:
        low, high = fmt.signed_number(row["delta_ci_low"]), fmt.signed_number(row["delta_ci_high"])
        text += f", at {confidence * 100:g} % confidence between {low} and {high}"
    if row["p_value"] is not None:
        text += f"; that there is none has p {row['p_value']:.2g}"
        if row["q_value"] is not None:
            text += f", corrected for the test's slices {row['q_value']:.2g}"
    return f"{text}."


def _condition_sentence(row: Row) -> str:
    if row["condition"] is None:
        return "The test demands nothing: the value is recorded."
    return f"The test demands {row['condition']}: {fmt.one_line(row['reason'], 2000)}."


def _chance_sentence(row: Row) -> str:
    p, q = row.get("violation_p_value"), row.get("violation_q_value")
    # Of a value within its limit there is nothing to say.
    if p is None or p >= 0.5 or row["condition"] is None:
        return ""
    text = f"Were the demand just met, a value this far beyond it would have probability {p:.2g}"
    return f"{text}; corrected for the test's slices {q:.2g}." if q is not None else f"{text}."


def _gate_sentence(row: Row, on_inconclusive: str, on_error: str) -> str:
    rules = {"FAIL": "fail", "INCONCLUSIVE": on_inconclusive, "ERROR": on_error}
    rule = rules.get(row["verdict"])
    if rule is None:
        return ""
    if row["severity"] == "warn":
        return "The test's severity is warn: the gate does not fail on it."
    if rule == "fail":
        return "The gate fails on it."
    return f"The suite's gate has {rule} for it: the gate does not fail on it."
