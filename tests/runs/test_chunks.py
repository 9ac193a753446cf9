"""A long scan in chunks: the same results, and after a kill only the chunk that was going on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import WorkerDiedError
from engine.execution import checkpoints, scans
from engine.store.state_writer import store_states, write_rows
from tests.fixtures import tables
from tests.fixtures.alike import no_pieces

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., "RunResult"]

SLICES = ["overall", {"by": ["country", "device"]}, {"bins": {"age": [30]}}]
LOCAL = {"executor": "local"}
TESTS = [{"metric": name} for name in ("accuracy", "recall", "roc_auc", "log_loss", "flip_rate")]


class Killed(BaseException):
    """What ends a run here where a signal would."""


@pytest.fixture
def parts(world: Any, tmp_path: Any) -> Callable[..., str]:
    """A table of some rows in files of the sizes that are told, a version for each."""

    def make(*sizes: int, name: str = "parts") -> str:
        start = 0
        for size in sizes:
            tables.write_rows(tmp_path / name, world.rows[start : start + size])
            start += size
        return str(tmp_path / name)

    return make


@pytest.fixture
def suite(world: Any, small: Suites, tmp_path: Any) -> Callable[..., dict[str, Any]]:
    def make(table: str, version: int, **over: Any) -> dict[str, Any]:
        over.setdefault("store", str(tmp_path / "store"))
        world.know_scripts(tmp_path / "store")
        return small(
            dataset={"delta": table, "version": version},
            models=[{"uri": world.model(name)} for name in ("good", "other")],
            baseline="good",
            slices=SLICES,
            tests=TESTS,
            mlflow={"tracking_uri": world.tracking_uri},
            **over,
        )

    return make


def figures(result: RunResult) -> pd.DataFrame:
    cells = result.outcome.cells
    frame = pd.DataFrame(
        [
            (c.model.name, c.slice.name, c.test.name, c.measured.value, c.counts.n, c.verdict.value)
            for c in cells
        ],
        columns=["model", "slice", "test", "value", "n", "verdict"],
    )
    return frame.set_index(["model", "slice", "test"]).sort_index()


def same(mine: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert not mine.index.duplicated().any() and len(mine) > 20
    assert mine[["n", "verdict"]].equals(theirs[["n", "verdict"]])
    np.testing.assert_allclose(
        mine["value"].astype(float), theirs["value"].astype(float), rtol=0, atol=1e-9
    )


def labelled(world: Any, rows: int) -> int:
    return int(world.rows["fraud"][:rows].notna().sum())


def die_after(
    count: int, monkeypatch: pytest.MonkeyPatch, error: Callable[..., BaseException] = Killed
) -> list[str]:
    """Lets the write after some fail before it begins; gives the steps that were written."""
    steps: list[str] = []

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(states: Any, plan: Any, target: Any, **more: Any) -> Any:
            if len(steps) == count:
                steps.append("dead")
                raise error("gone")
            rows = write(states, plan, target, **more)
            steps.append(target.step)
            return rows

        return call

    monkeypatch.setattr(scans, "store_states", dying(store_states))
    # What says that a scan's predictions are kept is written by itself.
    monkeypatch.setattr(scans, "write_rows", dying(write_rows))
    return steps


@pytest.mark.parametrize(
    ("sizes", "way"), [((700, 200), "pieces"), ((300, 300, 300), "files"), ((700, 200), "hash")]
)
def test_a_killed_scan_goes_on_after_its_last_chunk(
    world: Any,
    parts: Callable[..., str],
    suite: Callable[..., dict[str, Any]],
    evaluated: Runs,
    monkeypatch: pytest.MonkeyPatch,
    sizes: tuple[int, ...],
    way: str,
) -> None:
    if way != "pieces":
        # Where only Spark can read the rows, it reads files, or those of a hash.
        monkeypatch.setattr(scans, "_short_way", no_pieces)
    table = parts(*sizes)
    last = len(sizes) - 1
    # Processes of this machine give the figures of Spark's workers.
    whole = evaluated(suite(table, last) | LOCAL, "whole")
    for name in ("good", "other"):
        world.forget(name)
    made = suite(table, last, checkpoint_rows=300)
    with monkeypatch.context() as patch:
        steps = die_after(2, patch)
        with pytest.raises(Killed):
            evaluated(made, "chunks", run_id="killed")
    assert [step[:9] for step in steps[:2]] == ["part 1 of", "part 2 of"]
    done = sum(world.journal("good"))
    assert 0 < done < labelled(world, 900)
    states = tables.read_rows(f"{made['store']}/states", run="killed")
    assert states.empty, "chunks are nobody's results"

    again = evaluated(made, "chunks", resume="killed")

    for name in ("good", "other"):
        assert sum(world.journal(name)) == labelled(world, 900), "each row was predicted once"
    same(figures(again), figures(whole))
    assert tables.read_rows(f"{made['store']}/chunks").empty


def test_a_run_that_is_killed_between_its_states_and_its_chunks_leaves_none(
    world: Any,
    parts: Callable[..., str],
    suite: Callable[..., dict[str, Any]],
    evaluated: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed("gone")

    made = suite(parts(200, 200), 1, checkpoint_rows=200) | LOCAL
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "forget", die)
        with pytest.raises(Killed):
            evaluated(made, "left", run_id="left")
    world.forget("good")
    assert not tables.read_rows(f"{made['store']}/chunks").empty
    evaluated(made, "left", resume="left")
    assert not world.journal("good"), "what was finished is not predicted again"
    assert tables.read_rows(f"{made['store']}/chunks").empty


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_rows_that_changed_are_taken_in_chunks(
    world: Any,
    parts: Callable[..., str],
    suite: Callable[..., dict[str, Any]],
    evaluated: Runs,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from delta.tables import DeltaTable

    table = parts(600, 600)
    made = suite(table, 1, reuse=True, predictions="keep")
    evaluated(made, "first")
    DeltaTable.forPath(spark, table).update("id < 400", {"f0": "f0 + 1.0"})
    for name in ("good", "other"):
        world.forget(name)
    made |= {"checkpoint_rows": 200}
    made["evaluations"][0]["dataset"]["version"] = 2
    with monkeypatch.context() as patch:
        steps = die_after(3, patch)
        with pytest.raises(Killed):
            evaluated(made, "second", run_id="changed")
    assert all(" of 4 " in step for step in steps[:3])
    # The second part had not said yet that its predictions are kept.
    finished, cut_off = world.journal("good")
    again = evaluated(made, "second", resume="changed")
    assert world.journal("good")[2] == cut_off
    # Each changed row came and went, and is predicted as it was and as it is.
    assert sum(world.journal("good")[2:]) + finished == 2 * labelled(world, 400)
    more = {"metric": "brier_score"}
    made["evaluations"][0]["tests"].append(more)
    world.forget("good")
    wider = evaluated(made, "third")
    assert not world.journal("good"), "all predictions are kept"
    fresh = suite(table, 2, store=made["store"] + "2")
    fresh["evaluations"][0]["tests"].append(more)
    whole = figures(evaluated(fresh, "fresh"))
    same(figures(wider), whole)
    same(figures(again), whole.drop("brier_score", level="test"))


def test_a_worker_that_dies_costs_its_chunk(
    world: Any,
    parts: Callable[..., str],
    suite: Callable[..., dict[str, Any]],
    evaluated: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = parts(200, 200)
    made = suite(table, 1, checkpoint_rows=200)
    world.forget("good")
    steps = die_after(1, monkeypatch, WorkerDiedError)
    result = evaluated(made, "worker")
    assert steps[1] == "dead" and len(set(steps)) == len(steps) == 4
    assert sum(world.journal("good")) == labelled(world, 400)
    assert figures(result)["n"].loc["good", "overall", "accuracy"] == labelled(world, 400)
