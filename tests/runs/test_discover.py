"""`discover` in whole runs: nights that cost what is new, finds in every output, a find pinned."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml

from engine.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

FIGURES = ["slice", "test", "n", "value", "ci_low", "ci_high", "verdict", "reason"]


def make_rows(rows: int, first: int, seed: int) -> pd.DataFrame:
    """Rows whose scores are wrong twice as often where a vip has an ios device."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(first, first + rows),
            "country": rng.choice(["DE", "FR", None], rows),
            "device": rng.choice(["ios", "web"], rows, p=[0.2, 0.8]),
            "vip": rng.random(rows) < 0.2,
            "age": rng.integers(18, 80, rows).astype(float),
            "secret": rng.choice(["x", "y"], rows),
            "note": [f"note {n}" for n in range(rows)],
            "fraud": rng.integers(0, 2, rows),
        }
    )
    frame.loc[rng.random(rows) < 0.03, "age"] = np.nan
    weak = frame["vip"] & (frame["device"] == "ios")
    for name, rate in (("good", 0.1), ("bad", np.where(weak, 0.3, 0.1))):
        wrong = rng.random(rows) < rate
        frame[name] = np.where(wrong, 1 - frame["fraud"], frame["fraud"]) * 0.8 + 0.1
    return frame


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    folder = tmp_path_factory.mktemp("discover")

    def write(rows: pd.DataFrame, mode: str = "append") -> str:
        rows.to_parquet(folder / "rows.parquet", index=False)
        frame = spark.read.parquet(str(folder / "rows.parquet"))
        frame.write.format("delta").mode(mode).save(str(folder / "table"))
        return str(folder / "table")

    return write


def write_suite(table: str, folder: Path) -> Path:
    """The suite's file; both stores have one MLflow, which takes seconds to make its tables."""
    suite = {
        "name": "desk",
        "store": str(folder / "store"),
        "mlflow": {"tracking_uri": f"sqlite:///{folder.parent / 'mlflow.db'}"},
        "evaluations": [
            {
                "name": "desk",
                "dataset": {
                    "delta": table, "task": "binary", "label": "fraud", "key": ["id"],
                    "sensitive": ["secret"],
                },
                "models": [{"name": "good", "scores": "good"}, {"name": "bad", "scores": "bad"}],
                "baseline": "good",
                "slices": ["overall"],
                "tests": [
                    {"metric": "accuracy"},
                    {"discover": {"min_share": 0.03}},
                    {"discover": {"depth": 3}, "against": "baseline", "severity": "warn"},
                ],
            }
        ],
    }  # fmt: skip
    folder.mkdir()
    (folder / "suite.yml").write_text(yaml.safe_dump(suite, sort_keys=False))
    return folder / "suite.yml"


def finds(result: RunResult) -> pd.DataFrame:
    frame = result.to_pandas()
    return frame[frame["slice_kind"] == "discovered"]


def test_nights_of_a_search(spark: SparkSession, table: Callable[..., str], tmp_path: Path) -> None:
    from engine import judge, pin, run

    path = table(make_rows(12_000, 0, 1), "overwrite")
    suite, store = write_suite(path, tmp_path / "nights"), tmp_path / "nights" / "store"
    first = run(suite, spark=spark)
    rows = finds(first)
    assert set(rows["model"]) == {"bad"}
    assert set(rows["slice"]) == {"device=ios & vip=true"}
    assert set(rows["metric"]) == {"error_rate"}
    counts = first.to_pandas().query("metric == 'weak_slices'").set_index(["model", "test"])
    assert counts.loc[("bad", "discover all"), "verdict"] == "FAIL"
    assert counts.loc[("good", "discover all"), "verdict"] == "PASS"
    assert "secret" not in first.to_pandas().to_json()
    against = counts.loc[("bad", "discover all against baseline")]
    assert against["verdict"] == "FAIL" and against["severity"] == "warn"

    # Every output tells of them.
    reports = store / "reports" / first.run_id
    page = (reports / "index.html").read_text()
    assert "Discovered slices" in page and "1. device=ios &amp; vip=true" in page
    cases = {case.get("name") for case in ET.parse(reports / "junit.xml").iter("testcase")}
    assert any("weak_slices" in str(case) or "discover" in str(case) for case in cases)

    # Another night with nothing new reads no row; one with new rows finds what a new store finds.
    again = run(suite, spark=spark)
    assert again.to_pandas()[FIGURES].equals(first.to_pandas()[FIGURES])
    assert again.outcome.evaluations[0].timings.get("rows", 0) == 0
    table(make_rows(4_000, 12_000, 2))
    night = run(suite, spark=spark)
    fresh = run(write_suite(path, tmp_path / "fresh"), spark=spark)
    pd.testing.assert_frame_equal(
        night.to_pandas()[FIGURES], fresh.to_pandas()[FIGURES], rtol=1e-9, check_exact=False
    )

    page = (store / "reports" / night.run_id / "index.html").read_text()
    assert "Weak slices, night by night" in page

    # Judged again, with another demand, from the states that are kept.
    judged = judge("latest", store=str(store), overrides=["evaluations.0.tests.1.max_finds=1"])
    counts = judged.to_pandas().query("metric == 'weak_slices'").set_index(["model", "test"])
    assert counts.loc[("bad", "discover all"), "verdict"] == "PASS"
    assert set(finds(judged)["slice"]) == {"device=ios & vip=true"}

    # A find is taken into the suite, and tested from then on.
    lines = pin("latest", "1", store=str(store))
    assert "device = 'ios' AND vip = true" in lines
    told = pin(night.run_id, "1", suite=suite, store=str(store))
    assert "on which 1 test is made" in told
    with pytest.raises(InputError, match="has the slice 'device=ios & vip=true' already"):
        pin(night.run_id, "1", suite=suite, store=str(store))
    with pytest.raises(InputError, match=r"no find '7'; expected one of: desk/1: device=ios"):
        pin(night.run_id, "7", store=str(store))
    pinned = run(suite, spark=spark).to_pandas()
    own = pinned[(pinned["slice_kind"] == "where") & (pinned["metric"] == "accuracy")]
    assert set(own["slice"]) == {"device=ios & vip=true"}
    n = finds(night).iloc[0]["n"]
    assert set(own["n"]) == {n}, "the rows that were found"
    named = pinned[pinned["slice_kind"] == "discovered"]["slice"]
    assert set(named) == {"device=ios & vip=true (discovered)"}
