"""A store that an earlier version wrote stays valid: `make_store.py` says what is in it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from deltalake import DeltaTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    # MLflow, of how the kept models are written
    pytest.mark.filterwarnings("ignore:.*Add type hints to the `predict` method:UserWarning"),
]

HERE = Path(__file__).parent
KILLED = ("checkpoint_rows=100", "reuse=false")
# What is of a run alone; of times, pandas and JSON have units of their own.
OF_THE_RUN = ["run_id", "started_at"]
# What the methods of today make of the same states: intervals of shares are mid-p since.
JUDGED = ["ci_low", "ci_high", "delta_ci_low", "delta_ci_high", "p_value", "q_value",
          "violation_p_value", "violation_q_value", "verdict", "reason"]  # fmt: skip


@pytest.fixture(scope="module", params=["0.1.0"])
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The folder of a kept store, with the figures that its own version gave."""
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(HERE / f"{request.param}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    # The plans of runs name their tables and models by absolute paths.
    old, new = expected["folder"], str(folder)
    moved = {"evaluations": f"replace(evaluations, '{old}', '{new}')"}
    DeltaTable(folder / "store" / "runs").update(updates=moved)
    return {**expected, "folder": folder, "store": str(folder / "store")}


@pytest.fixture(autouse=True)
def at_the_store(kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's paths are relative, as a user writes them."""
    monkeypatch.chdir(kept["folder"])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return plain


def figures(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).drop(columns=OF_THE_RUN)
    # In the table each evaluation counts for itself, in a run's result they count on.
    frame = frame.sort_values(["evaluation", "position"], ignore_index=True)
    return frame.drop(columns="position")


def same(frame: pd.DataFrame, expected: list[dict[str, Any]], *, judged: bool = True) -> None:
    theirs = figures(expected)
    ours = figures(records(frame))[theirs.columns]
    if not judged:
        # Of means nothing has changed.
        means = ours["metric"].isin(["mean_absolute_error", "mean_squared_error", "log_loss"])
        same_columns = [name for name in JUDGED if name.startswith("ci_")]
        pd.testing.assert_frame_equal(
            ours.loc[means, same_columns], theirs.loc[means, same_columns], rtol=1e-12
        )
        assert means.any()
        ours, theirs = ours.drop(columns=JUDGED), theirs.drop(columns=JUDGED)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12, atol=1e-12, check_dtype=False)


def test_results_are_read(kept: dict[str, Any], spark: SparkSession) -> None:
    import engine

    same(engine.results(store=kept["store"], run="first", spark=spark), kept["first"])


def test_the_report_is_built_from_the_states(kept: dict[str, Any], spark: SparkSession) -> None:
    import engine

    page = engine.report(store=kept["store"], run="first", out=kept["folder"] / "r", spark=spark)
    assert "first" in page.read_text(encoding="utf-8")
    rebuilt = pd.read_parquet(page.with_name("results.parquet"))
    rebuilt["slice_columns"] = [dict(each) for each in rebuilt["slice_columns"]]
    same(rebuilt, kept["first"], judged=False)


def test_the_run_is_judged_again(kept: dict[str, Any], spark: SparkSession) -> None:
    import engine

    override = ["evaluations.binary.min_slice_rows=60"]
    judged = engine.judge("first", store=kept["store"], overrides=override, spark=spark)
    same(judged.to_pandas(), kept["judged"], judged=False)


def test_a_killed_run_is_completed_and_equals_states_brought_up_to_date(
    kept: dict[str, Any], spark: SparkSession
) -> None:
    """Two roads to the same figures: the parts of one run, and the states of another."""
    import engine

    (binary, *_) = engine.plan("suite.yml", spark=spark)
    assert (binary.predictions, binary.reused) == (2 * 80, 2 * 240)
    updated = engine.run("suite.yml", spark=spark)
    chunks = DeltaTable(kept["folder"] / "store" / "chunks").to_pyarrow_table()
    assert chunks.num_rows > 0, "it was killed between two parts"
    completed = engine.run("suite.yml", overrides=KILLED, resume="killed", spark=spark)
    assert (completed.exit_code, completed.tracking_error) == (0, None)
    same(completed.to_pandas(), records(updated.to_pandas()))
