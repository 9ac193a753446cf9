"""What is forgotten outside the tables: reports, MLflow's artifacts, caches, logs; and what is not.

A report is made again from the states, from which the key is gone by then; where that cannot be,
its files are removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.commands.outcome import look_back, rebuild_outcome
from engine.core.locations import Store
from engine.core.paths import is_folder, local_path
from engine.core.vocabulary import RunOutcome
from engine.delta.head import read_head
from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark
from engine.errors import EvalMatrixError
from engine.planning.suites import stored_suite
from engine.sinks import mlflow
from engine.sinks.files import write_report
from engine.store.audit import AUDIT, read_acts, shown_place
from engine.store.forgetting import Reached, forget_cached, mask_files
from engine.store.row_keys import TELLING, RowKey
from engine.store.runs import find_run
from engine.store.tables import StoreTables
from engine.suite import outline
from engine.suite.yaml_document import SuiteLoader

# Folders of a store whose files are texts that people read.
_TEXTS = {"reports": "other reports", "cards": "cards", "logs": "logs"}
_LOG = "_delta_log"


def clean_reports(tables: StoreTables, keys: Sequence[RowKey], runs: Mapping[str, int]) -> Reached:
    """Makes the reports of runs again whose cells showed a key."""
    again = removed = 0
    for run_id in runs:
        folder = tables.store.report_folder(run_id)
        if not is_folder(folder):
            continue
        outcome = _rebuild(tables, run_id)
        shutil.rmtree(folder)
        if outcome is None:
            removed += 1
        else:
            write_report(outcome, folder)
            again += 1
    note = f"{removed} could not be made again and are gone" if removed else ""
    return Reached("reports", again + removed, "reports that showed a key, made again", note)


def _rebuild(tables: StoreTables, run_id: str) -> RunOutcome | None:
    """A run's outcome from its states; None where these, or what the suite names, are gone."""
    row = find_run(tables["runs"], run_id)
    try:
        assert row is not None, "its results were read"
        suite = stored_suite(str(row["suite_resolved"]))
        return look_back(tables, rebuild_outcome(tables, suite, row))
    except (EvalMatrixError, AssertionError):
        return None


@dataclass(frozen=True, slots=True)
class Copies:
    """The artifacts that MLflow has of reports: what was reached, and what could not be."""

    reached: Reached
    beyond: tuple[str, ...] = ()


def clean_copies(tables: StoreTables, runs: Sequence[str]) -> Copies:
    """Puts the reports of runs in the places of what MLflow has of them on this machine."""
    count, beyond = 0, []
    for run_id in runs:
        row = find_run(tables["runs"], run_id)
        if row is None:
            continue
        suite = outline(str(row["suite_resolved"]))
        uri = suite.tracking_uri or tables.store.tracking_uri
        try:
            places = mlflow.artifact_places(uri, suite.name, run_id)
        except Exception as error:  # whatever a transport, a database or the server raises
            beyond.append(
                f"MLflow at {shown_place(uri)} may have the report and the results of the run "
                f"{run_id}: it did not answer ({type(error).__name__})"
            )
            continue
        for place in places:
            folder = local_path(place)
            if folder is None or not is_folder(folder):
                beyond.append(
                    f"MLflow at {shown_place(uri)} has the report and the results of the run "
                    f"{run_id} as artifacts; delete them there"
                )
                continue
            count += _replace(folder, tables.store.report_folder(run_id))
    what = "files of MLflow's artifacts on this machine"
    return Copies(Reached("mlflow", count, what), tuple(dict.fromkeys(beyond)))


def _replace(folder: Path, report: Path) -> int:
    """Puts files of a report in the places of their copies; a copy without one is removed."""
    count = 0
    for name in mlflow.FILES:
        copy, new = folder / name, report / name
        if copy.is_file():
            count += 1
            if new.is_file():
                shutil.copyfile(new, copy)
            else:
                copy.unlink()
    return count


def clean_files(store: Store, keys: Sequence[RowKey], others: Sequence[Path]) -> Iterator[Reached]:
    """Removes cached files that have a value, and writes over values in logs and other texts."""
    cache = forget_cached(store.files / "cache", keys)
    yield Reached("cache", cache, "files of profiles, bins and others, made again when needed")
    for name, place in _TEXTS.items():
        count, failed = mask_files(_files(store.files / name), keys)
        yield Reached(place, count, "values written over", _failure(failed))
    if others:
        files = [file for place in others for file in _files(place)]
        count, failed = mask_files(files, keys)
        yield Reached("other logs", count, "values written over", _failure(failed))


def _failure(failed: Sequence[Path]) -> str:
    return f"{', '.join(map(str, failed))} could not be written" if failed else ""


def _files(place: Path) -> list[Path]:
    """The files of a folder that are no archives of numbers, or one file."""
    if place.is_file():
        return [place]
    return [file for file in sorted(place.rglob("*"))
            if file.is_file() and file.suffix not in (".parquet", ".png", ".pdf")]  # fmt: skip


def tell_beyond(tables: StoreTables, keys: Sequence[RowKey], runs: Sequence[str]) -> Iterator[str]:
    """What may hold a key and is not reached: the data themselves, and what left the store."""
    suites = _suites(tables)
    columns = {tuple(item["dataset"].get("key") or ()) for item in suites} - {()}
    for folder in ("lake", "frames"):
        for log in sorted((tables.store.files / folder).rglob(_LOG)):
            count = sum(_count(log.parent, key, columns) for key in keys)
            if count:
                yield (
                    f"{log.parent.relative_to(tables.store.files)} has {count:,} rows of the data "
                    "themselves: delete them at their source, run, then vacuum that table"
                )
    yield from _runs_that_name(tables, keys)
    named = {name for names in columns for name in names}
    sliced = {name for item in suites for rule in item["slices"] if isinstance(rule, dict)
              for name in rule.get("by") or ()}  # fmt: skip
    if sliced & named:
        yield (
            f"slices are named by values of the key's column {sorted(sliced & named)[0]!r}: "
            "results, states and reports keep them"
        )
    acts = [act for act in read_acts(tables[AUDIT]) if act.run_id in set(runs)]
    for place in dict.fromkeys(str(item) for act in acts for item in act.departures):
        yield f"of runs that showed a key there left the store: {place}"


def _runs_that_name(tables: StoreTables, keys: Sequence[RowKey]) -> Iterator[str]:
    """Runs whose suites or plans name a value: in predicates, allowed values, bins."""
    table = tables["runs"]
    if not table.exists():
        return
    values = {value for key in keys for value in key.values if len(value) >= TELLING}
    rows = table.rows(["run_id", "suite_resolved", "evaluations"]).to_pylist()
    naming = sorted(
        row["run_id"]
        for row in rows
        if any(value in f"{row['suite_resolved']}{row['evaluations']}" for value in values)
    )
    if naming:
        yield (
            f"the suite or the plan of {len(naming):,} runs names a value, the first {naming[0]}: "
            "what they rest on stays"
        )


def _suites(tables: StoreTables) -> list[dict[str, Any]]:
    """The evaluations of all suites that were run."""
    table = tables["runs"]
    if not table.exists():
        return []
    texts = set(table.rows(["suite_resolved"])["suite_resolved"].to_pylist())
    return [item for text in sorted(texts) for item in yaml.load(text, SuiteLoader)["evaluations"]]


def _count(table: Path, key: RowKey, columns: set[tuple[str, ...]]) -> int:
    """How many rows of a table a key has, by any column that may be the key."""
    ways = [key.named] if key.named is not None else [
        {names[0]: key.text} for names in columns if len(names) == 1]  # fmt: skip
    try:
        types = dict(read_head(table).schema)
    except NeedsSpark:
        return 0
    count = 0
    for way in ways:
        where = [(name, "=", _value_in(value, types.get(name))) for name, value in way.items()]
        if all(value is not None for _, _, value in where):
            count += LocalTable(table).rows(list(way), where).num_rows
    return count


def _value_in(value: str, kind: str | None) -> Any:
    """A value as a column has it; None where it has no such value."""
    if kind == "string":
        return value
    if kind in ("bigint", "int", "smallint", "tinyint"):
        try:
            return int(value)
        except ValueError:
            return None
    return None
