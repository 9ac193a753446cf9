"""Spark Connect: a server of its own, whole suites through it, Delta without Delta's Python API."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from engine.kinds import KINDS
from engine.metrics import METRICS
from engine.spark.delta_sql import SqlTable, is_table
from engine.spark.internals import delta_jars
from engine.spark.session import QUICK_JAVA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

START_SECONDS = 120
# Driver, server and workers find it from the root of the repository.
OWN_KINDS = "tests.runs.own_question_kinds"
SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": QUICK_JAVA,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
}
EXACT = ["evaluation", "model", "slice", "test", "n", "verdict", "condition"]
CLOSE = ["value", "ci_low", "ci_high", "error_bound", "delta", "delta_ci_low", "p_value"]


def clean_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK"))}
    if path := [p for p in (more.get("PYTHONPATH"), kept.get("PYTHONPATH")) if p]:
        more["PYTHONPATH"] = os.pathsep.join(path)
    return kept | more


@pytest.fixture(scope="module")
def server(
    root: Path, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a Connect server with Delta's jar, and without Delta Connect's plugins."""
    pytest.importorskip("grpc_status", reason="pip install 'pyspark[connect]'")
    folder = tmp_path_factory.mktemp("connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = SETTINGS | {
        "spark.jars": ",".join(delta_jars() or ()),
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    pairs = [part for pair in settings.items() for part in ("--conf", "=".join(pair))]
    main = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    program = Path(sys.executable).parent / "spark-submit"
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "--master", "local[2]", "--driver-memory", "1g", *pairs, *main],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean_environment(PYSPARK_PYTHON=sys.executable, PYTHONPATH=str(root)),
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Spark Connect server started" not in log.read_text(errors="replace"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def python(root: Path, *args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs this Python at the root of the repository."""
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=root,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def results_of(store: Path, run_id: str) -> pd.DataFrame:
    frame = pd.read_parquet(store / "reports" / run_id / "results.parquet")
    return frame.sort_values(EXACT[:4]).reset_index(drop=True)


def check_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert len(left) == len(right) > 0
    pd.testing.assert_frame_equal(left[EXACT], right[EXACT])
    pd.testing.assert_frame_equal(left[CLOSE], right[CLOSE], rtol=1e-9, atol=1e-9)


WITH_A_SESSION = """
import sys
import pyarrow as pa
from pyspark.sql import SparkSession
import engine
from engine.models.load import find_folder

suite, remote, store = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
result = engine.run(suite, run_id="remote-1", spark=spark)
cells = engine.results(store=store, run="remote-1", spark=spark)
assert len(cells) == len(result.outcome.cells), (len(cells), len(result.outcome.cells))
(planned,) = engine.plan(suite, spark=spark)
print("version", planned.plan.dataset.version)

def where(batches):
    for _ in batches:
        yield pa.RecordBatch.from_pydict({"at": [str(find_folder(planned.plan.models[0]))]})

print("at", spark.range(0, 1, 1, 1).mapInArrow(where, "at string").collect()[0].at)
"""


@pytest.fixture
def own_kinds() -> Iterator[None]:
    yield
    # Other tests look at the kinds that are shipped.
    for kind in sys.modules[OWN_KINDS].OWN:
        KINDS._things.pop(kind.key, None)
    METRICS._loaded.discard(f"module {OWN_KINDS}")
    sys.modules.pop(OWN_KINDS, None)


@pytest.mark.slow
@pytest.mark.usefixtures("own_kinds")
def test_the_callers_own_remote_session(
    root: Path,
    server: str,
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    suite = small(
        store=str(world.make_store(tmp_path)),
        dataset={"delta": world.table("claims7"), "version": 0, "weight": "w"},
        models=[{"uri": world.model("good")}, {"uri": world.model("other")}],
        slices=["overall", {"by": ["country"]}, {"quantiles": {"age": 3}}],
        tests=[
            {"metric": "roc_auc"},
            {"metric": "f1", "min": 0.1},
            {"robustness": {"noise": ["f0"], "severities": [3]}, "metric": "roc_auc"},
            {"data_quality": {"not_null": "age"}, "max_share": 0.5},
            {"repeats": "country", "max": 1},
            {"batch_row": 9, "max": 0.1},
        ],
        baseline="good",
    )
    suite["plugins"] = [OWN_KINDS]
    evaluated(suite, "remote", run_id="classic-1")
    script = tmp_path / "remote.py"
    script.write_text(WITH_A_SESSION)
    done = python(
        root, script, world.write("remote", suite), server, tmp_path, PYTHONPATH=str(root)
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "version 0" in done.stdout
    assert "/evalmatrix-model-" in done.stdout.split("at ")[-1]
    check_same(results_of(tmp_path, "classic-1"), results_of(tmp_path, "remote-1"))


@pytest.mark.soak
@pytest.mark.frameworks
def test_the_whole_shipped_suite(root: Path, server: str, tmp_path: Path) -> None:
    texts = {}
    for name in ("nightly.yml", "prepare.yml"):
        text = (root / "conf" / name).read_text()
        assert "./store" in text
        texts[name] = tmp_path / name
        texts[name].write_text(text.replace("./store", str(tmp_path / "store")))
    suite = (texts["nightly.yml"], "--set", "reuse=false")
    prepared = ("jobs/nightly.py", *suite, "--prepare", texts["prepare.yml"], "--run-id", "remote")
    remote = python(root, *prepared, SPARK_REMOTE=server)
    assert remote.returncode in (0, 1), remote.stderr[-5000:]
    classic = python(root, "-m", "engine.cli.app", "run", *suite, "--run-id", "classic")
    assert classic.returncode == remote.returncode, classic.stderr[-5000:]
    left, right = (results_of(tmp_path / "store", name) for name in ("classic", "remote"))
    assert set(left["evaluation"]) == {"breast_cancer", "digits", "diabetes"}
    assert not left["verdict"].eq("ERROR").any()
    check_same(left, right)


def test_delta_in_sql_does_what_its_python_api_does(spark: SparkSession, tmp_path: Path) -> None:
    from delta.tables import DeltaTable
    from pyspark.sql import functions as F

    path = str(tmp_path / "a `quoted` table")
    assert not is_table(spark, path)
    rows = spark.range(10).select("id", F.lit("x").alias("a.b"))
    for _ in range(2):
        rows.write.format("delta").option("delta.columnMapping.mode", "name").mode("append").save(
            path
        )
    assert is_table(spark, path)
    table, known = SqlTable(spark, path, catalog=False), DeltaTable.forPath(spark, path)
    table.update(F.col("id") == 3, {"`a.b`": F.lit("y")})
    table.delete(F.col("id") > 6)
    table.delete_like(spark.createDataFrame([(0, "x")], "id long, `a.b` string"))
    table.compact()
    table.vacuum()
    found = sorted(tuple(row) for row in spark.read.format("delta").load(path).collect())
    assert found == sorted([(i, "y" if i == 3 else "x") for i in range(1, 7)] * 2)
    columns = ("version", "timestamp", "operation")
    assert table.history().select(*columns).collect() == known.history().select(*columns).collect()
    assert table.history(1).count() == 1
    assert (
        table.detail().select("id", "numFiles").collect()
        == known.detail().select("id", "numFiles").collect()
    )
