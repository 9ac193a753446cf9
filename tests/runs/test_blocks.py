"""States of many slices lie in blocks, which reach the driver one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from engine.planning import planner
from engine.store import state_frames, state_writer, states

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def test_states_in_blocks_give_the_same_cells(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite = {
        "models": [{"uri": world.model(name)} for name in ("good", "raise")],
        "slices": ["overall", {"by": ["country", "device"]}, {"quantiles": {"f0": 12}}],
        "tests": [{"metric": name} for name in ("accuracy", "roc_auc")],
    }
    partitions: list[int] = []
    in_parts = state_frames._in_parts

    def noted(*args: Any) -> DataFrame:
        parts = in_parts(*args)
        partitions.append(parts.rdd.getNumPartitions())
        return parts

    few = evaluated(small(name="few", **suite), "few")
    assert not partitions, "few states come to the driver"
    monkeypatch.setattr(state_frames, "_in_parts", noted)
    monkeypatch.setattr(states, "SMALL_BYTES", -1)
    monkeypatch.setattr(state_writer, "SMALL_BYTES", -1)
    whole = evaluated(small(name="whole", **suite), "whole")
    monkeypatch.setattr(planner, "BLOCK_SLICES", 4)
    parted = evaluated(small(name="parted", **suite), "parted")
    assert partitions[0] == 1 and partitions[1] > 8
    about = ["model", "slice", "test", "n", "value", "ci_low", "ci_high", "verdict", "reason"]
    assert parted.table.select(about).equals(whole.table.select(about))
    assert few.table.select(about).equals(whole.table.select(about))
    assert {"ERROR", "RECORDED"} <= set(whole.table["verdict"].to_pylist())
