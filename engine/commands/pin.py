"""`evalmatrix pin`: takes a slice that `discover` found into the suite."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.redacted import redacted
from engine.commands.stored_runs import find_finished_run, open_store
from engine.core.locations import DEFAULT_STORE
from engine.delta.records import records
from engine.errors import InputError
from engine.kinds import DISCOVERED
from engine.planning.plan import load_plans
from engine.planning.slice_predicates import slice_predicate
from engine.planning.suites import read_suite
from engine.store import results as results_sink
from engine.suite import Suite
from engine.suite.add_slice import PinnedSlice, add_slice

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def pin(
    run: str,
    find: str,
    *,
    suite: str | Path | None = None,
    store: str = DEFAULT_STORE,
    spark: SparkSession | None = None,
) -> str:
    """Takes a slice that a test of `discover` found into the suite, so that every run tests it.

    Args:
        run: the run's id, or `latest`.
        find: the find's number in the report, or its slice's name; with several evaluations
            `EVALUATION/NUMBER`.
        suite: the suite's file, which gets one slice more; without it the lines to add are printed.
        store: the store's root.
        spark: the session to use.

    Returns:
        What was added, and where; or the lines to add.

    Raises:
        InputError: when the run has no such find, or the suite has the slice already.
    """
    tables = open_store(store, spark)
    row = find_finished_run(tables, run)
    table = results_sink.read_results(tables["results"], str(row["run_id"]))
    own = _choose(records(table), find, str(row["run_id"]))
    evaluation = str(own["evaluation"])
    plans = {plan.name: plan for plan in load_plans(str(row["evaluations"]))}
    values = dict(own["slice_columns"])
    where = slice_predicate(values, dict(plans[evaluation].dataset.schema))
    pinned = PinnedSlice(str(own["slice"]), where)
    if suite is None:
        return f"# a slice more of the evaluation {evaluation!r}:\n{pinned.block(0)}".rstrip()
    return _pin_into(Path(suite), evaluation, pinned)


def _choose(rows: Sequence[Mapping[str, Any]], find: str, run_id: str) -> Mapping[str, Any]:
    """The cell of a find, by its number within its evaluation or by the slice's name."""
    numbered: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    for row in rows:
        if row["slice_kind"] == DISCOVERED:
            evaluation = str(row["evaluation"])
            counts[evaluation] = counts.get(evaluation, 0) + 1
            numbered[f"{evaluation}/{counts[evaluation]}"] = row
    if not numbered:
        raise InputError(f"the run {run_id!r} has found no slice; expected a test of `discover`")
    if find in numbered:
        return numbered[find]
    chosen = {
        (str(row["evaluation"]), str(row["slice"])): row
        for key, row in numbered.items()
        if find in (row["slice"], key.rpartition("/")[2])
    }
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    listed = "; ".join(f"{key}: {row['slice']}" for key, row in numbered.items())
    what = "several finds" if chosen else "no find"
    raise InputError(f"the run {run_id!r} has {what} {find!r}; expected one of: {listed}")


def _pin_into(path: Path, evaluation: str, pinned: PinnedSlice) -> str:
    before = read_suite(path)
    _refuse_known(before, evaluation, pinned)
    text = path.read_bytes().decode("utf-8-sig")
    changed = add_slice(text, evaluation, pinned)
    path = path.resolve()
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(changed, encoding="utf-8", newline="")
        shutil.copymode(path, new)
        after = read_suite(new)
        _check_added(before, after, evaluation, pinned)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    tests = _tests_on(after, evaluation, pinned.name)
    are = f"{tests} test is" if tests == 1 else f"{tests} tests are"
    return (
        f"{path}: the evaluation {evaluation!r} has the slice {pinned.name!r}, on which {are} "
        f"made: {pinned.where}"
    )


def _refuse_known(suite: Suite, evaluation: str, pinned: PinnedSlice) -> None:
    for own in suite.evaluations:
        if own.name == evaluation and any(
            pinned.name == rule.name or pinned.where == rule.where for rule in own.slices
        ):
            raise InputError(f"the evaluation {evaluation!r} has the slice {pinned.name!r} already")


def _check_added(before: Suite, after: Suite, evaluation: str, pinned: PinnedSlice) -> None:
    """Refuses a file that says anything else than before, but for the slice."""
    expected = [
        [*names, pinned.name] if own.name == evaluation else names
        for own, names in zip(before.evaluations, _slice_names(before), strict=True)
    ]
    if _slice_names(after) != expected:
        raise InputError(
            f"the slice could not be added where the file has its slices; add it by hand:\n"
            f"{pinned.block(0)}"
        )


def _slice_names(suite: Suite) -> list[list[str]]:
    return [[rule.name for rule in own.slices] for own in suite.evaluations]


def _tests_on(suite: Suite, evaluation: str, name: str) -> int:
    (own,) = [entry for entry in suite.evaluations if entry.name == evaluation]
    return sum(name in test.slice_sets for test in own.tests)
