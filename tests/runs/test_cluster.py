"""A standalone cluster of two workers: what is shipped to them, what is lost, what they lack.

One job under `spark-submit` does in turn all that the tests look at: it meets Pythons that lack
something, then evaluates a suite while the test ends one worker's Python and another's executor.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psutil
import pytest

from engine.spark.internals import delta_jars
from engine.spark.session import QUICK_JAVA

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1200)]

GPU = "7"
EXACT = ["model", "slice", "test", "n", "verdict", "condition"]
CLOSE = ["value", "ci_low", "ci_high", "error_bound", "delta", "delta_ci_low", "p_value"]


def load(path: Path) -> Any:
    """A module by its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cluster(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two workers of one core; each tells Spark that it has a GPU, which it has not."""
    script = tmp_path_factory.mktemp("gpu") / "discover"
    script.write_text(f'#!/bin/sh\necho \'{{"name": "gpu", "addresses": ["{GPU}"]}}\'\n')
    script.chmod(0o755)
    resource = "-Dspark.worker.resource.gpu"
    options = (f"{resource}.amount=1", f"{resource}.discoveryScript={script}")
    with load(root / "infrastructure" / "local_cluster.py").LocalCluster(options=options) as made:
        yield made
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(made.folder) in str(p.info)]
    assert not left and not made.folder.exists()


@pytest.fixture(scope="module")
def environment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment for workers as `infrastructure/pack.py` makes it: the engine and sklearn."""
    out = tmp_path_factory.mktemp("packed") / "environment.tar.gz"
    done = subprocess.run(
        [sys.executable, root / "infrastructure" / "pack.py", "--flavors", "sklearn", "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


@dataclass(frozen=True)
class Submitter:
    """Calls `spark-submit` on a cluster, with an environment for the workers."""

    root: Path
    master: str
    environment: Path

    def start(self, output: Path, job: Path, *args: str | Path) -> subprocess.Popen[bytes]:
        """Starts a job, whose output goes to a file."""
        bin_ = Path(sys.executable).parent
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK"))}
        env = kept | {
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        jars = delta_jars()
        assert jars, "the tests' own session has left Delta's jars on this machine"
        options = {
            "spark.jars": ",".join(jars),
            "spark.pyspark.driver.python": sys.executable,
            "spark.pyspark.python": "./environment/bin/python",
            "spark.archives": f"{self.environment}#environment",
            # Spark gives a task the GPU that its worker says it has.
            "spark.executor.resource.gpu.amount": "1",
            "spark.task.resource.gpu.amount": "1",
            "spark.executor.memory": "1g",
            "spark.driver.extraJavaOptions": QUICK_JAVA,
            "spark.executor.extraJavaOptions": QUICK_JAVA,
            "spark.ui.enabled": "false",
            "spark.log.level": "WARN",
            "spark.sql.shuffle.partitions": "2",
        }
        pairs = [part for pair in options.items() for part in ("--conf", "=".join(pair))]
        with output.open("wb") as out:
            return subprocess.Popen(
                [bin_ / "spark-submit", "--master", self.master, *pairs, job, *map(str, args)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
            )


def said(output: str) -> str:
    """What a run has said, without Java's stacks."""
    lines = [line for line in output.splitlines() if not line.startswith(("\tat ", "26/"))]
    return "\n".join(lines)[-8000:]


def travelling(world: Any, folder: Path, gate: Path) -> dict[str, Any]:
    """A suite of two registered models and one that notes where it predicts."""
    import mlflow
    from mlflow.models import infer_signature

    code = Path(__file__).with_name("travelling_models.py")
    x = world.few[["f0"]]
    model = load(code).Traveller(str(folder / "journal"), str(gate)).fit(x, None)
    mlflow.sklearn.save_model(
        model,
        folder / "traveller",
        signature=infer_signature(x, model.classes_),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
        code_paths=[str(code)],
    )
    evaluation = {
        "name": "claims",
        "dataset": {
            "delta": world.table("claims7"),
            "task": "binary",
            "label": "fraud",
            "key": "id",
            "weight": "w",
        },
        "models": [
            {"uri": "models:/claims/1"},
            {"uri": "models:/claims/2"},
            {"uri": str(folder / "traveller")},
        ],
        "baseline": "claims-v1",
        "slices": ["overall", {"by": ["country"]}, {"by": ["country", "device"]}],
        "tests": [
            {"metric": "roc_auc", "min": 0.6},
            {"metric": "recall", "max_drop": 0.01},
            {"metric": "log_loss"},
            {"robustness": {"noise": ["f0"], "severities": [3]}, "metric": "roc_auc"},
            {"data_quality": {"not_null": "age"}, "max_share": 0.5},
        ],
    }
    return {
        "name": "travels",
        "store": str(folder / "store"),
        "reuse": False,
        "mlflow": {"tracking_uri": world.tracking_uri},
        "evaluations": [evaluation],
    }


def notes(folder: Path) -> list[dict[str, Any]]:
    path = folder / "journal"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def results_of(folder: Path, run_id: str) -> pd.DataFrame:
    frame = pd.read_parquet(folder / "store" / "reports" / run_id / "results.parquet")
    return frame.sort_values(["model", "slice", "test"]).reset_index(drop=True)


def check_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert len(left) == len(right) > 50
    pd.testing.assert_frame_equal(left[EXACT], right[EXACT])
    pd.testing.assert_frame_equal(left[CLOSE], right[CLOSE], rtol=1e-9, atol=1e-9)


JOB = """
import runpy
import sys
from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.errors import EvalMatrixError
from engine.execution.workers import check_cluster
from engine.spark.session import get_session

nightly, bare, suite, travels, *paths = sys.argv[1:]
spark = get_session()
packed = spark.sparkContext.pythonExec

def say(*words):
    print(*words, file=sys.stderr, flush=True)

def job(name, python, *args):
    spark.sparkContext.pythonExec = python
    sys.argv = [nightly, *args]
    say("=== BEGIN", name)
    try:
        runpy.run_path(nightly, run_name="__main__")
    except SystemExit as ended:
        say("=== END", name, ended.code)

job("without Python", "/nowhere/python", suite)
job("without the engine", bare, suite)
spark.sparkContext.pythonExec = packed
for path in paths:
    flavor = path.rpartition("/")[2]
    model = ModelVersion("m", path, None, "d", path, flavor, TaskKind.BINARY, Output.LABEL)
    try:
        check_cluster(spark, [model])
        say("FOUND", flavor, "well")
    except EvalMatrixError as error:
        say("FOUND", flavor, type(error).__name__, error)
job("travels", packed, travels, "--run-id", "cluster")
"""


def wait_for(what: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail("waited in vain")


@dataclass(frozen=True)
class Done:
    """What the job has said, and where the suite's models and results are."""

    folder: Path
    output: str
    # Where the model predicted first, before anything was lost.
    first: list[dict[str, Any]]

    def section(self, name: str) -> tuple[int, str]:
        """The exit code of one of the jobs, and what it said."""
        _, _, after = self.output.partition(f"=== BEGIN {name}\n")
        text, end, code = after.partition(f"=== END {name} ")
        assert end, said(self.output)
        return int(code.split()[0]), text


def lose_a_python_and_an_executor(
    process: subprocess.Popen[bytes], folder: Path
) -> list[dict[str, Any]]:
    """Kills them while their tasks wait at the gate; gives the notes from before."""

    def pids() -> set[int]:
        return {note["pid"] for note in notes(folder)}

    before = wait_for(lambda: notes(folder) if len(pids()) >= 2 else None, process)
    first, second = sorted({note["pid"] for note in before})[:2]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(pids()) >= 3, process)
    executor = next(p for p in psutil.Process(second).parents() if p.name() == "java")
    assert "CoarseGrainedExecutorBackend" in " ".join(executor.cmdline())
    executor.kill()
    wait_for(lambda: len(pids()) >= 4, process)
    found: list[dict[str, Any]] = before
    return found


@pytest.fixture(scope="module")
def done(
    root: Path,
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    cluster: Any,
    environment: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Done:
    """The job, after its suite was run in local mode as `local`."""
    folder = tmp_path_factory.mktemp("cluster")
    gate = folder / "gate"
    gate.touch()
    travels = travelling(world, folder, gate)
    evaluated(travels, "travels", run_id="local")
    (folder / "journal").unlink()
    gate.unlink()
    bare = folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    for name, flavor in {"sklearn": "sklearn: {}", "pytorch": "pytorch: {}"}.items():
        (folder / name).mkdir()
        (folder / name / "MLmodel").write_text(f"flavors: {{{flavor}}}")
    script, output = folder / "job.py", folder / "output"
    script.write_text(JOB)
    process = Submitter(root, cluster.master, environment).start(
        output,
        script,
        root / "jobs" / "nightly.py",
        bare / "bin" / "python",
        world.write("bare", small(store=str(folder / "bare-store"))),
        world.write("travels", travels),
        folder / "sklearn",
        folder / "pytorch",
    )
    try:
        first = lose_a_python_and_an_executor(process, folder)
        gate.touch()
        process.wait(400)
    finally:
        gate.touch()
        process.kill()
    text = output.read_text(errors="replace")
    assert process.returncode == 0, said(text)
    return Done(folder, text, first)


def test_workers_without_the_engine(done: Done) -> None:
    code, output = done.section("without the engine")
    assert code == 2, said(output)
    assert "the workers' Python lacks '" in output and "infrastructure/pack.py" in output
    code, output = done.section("without Python")
    assert code == 2, said(output)
    assert "the workers cannot start Python: there is no '/nowhere/python' on them" in output


def test_a_packed_environment_that_lacks_a_flavor(done: Done) -> None:
    assert "FOUND sklearn well" in done.output, said(done.output)
    assert "FOUND pytorch InputError the workers' Python (" in done.output
    assert "lacks the library 'torch', which a model of the suite needs" in done.output


def test_workers_have_only_what_was_shipped(world: Any, done: Done) -> None:
    code, output = done.section("travels")
    assert code == 0, said(output)
    found = notes(done.folder)
    assert sum(note["rows"] for note in found) >= world.rows["fraud"].notna().sum()
    for note in found:
        assert "/environment/bin/" in note["python"]
        assert "/environment/lib/" in note["engine"]
        assert "/evalmatrix-model-" in note["code"]
        assert note["gpus"] == [GPU]
    assert len({note["python"].partition("/environment/")[0] for note in done.first}) == 2


def test_a_lost_python_and_a_lost_executor_cost_a_retry(done: Done) -> None:
    assert len({note["pid"] for note in notes(done.folder)}) >= 4
    check_same(results_of(done.folder, "local"), results_of(done.folder, "cluster"))


@pytest.mark.parametrize("variable", ["MASTER", "SPARK_REMOTE"])
def test_what_cannot_be_reached_is_told_of_within_seconds(
    root: Path, world: Any, small: Callable[..., dict[str, Any]], tmp_path: Path, variable: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scheme = {"MASTER": "spark", "SPARK_REMOTE": "sc"}[variable]
    started = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "engine.cli.app",
            "run",
            world.write("far", small(store=str(tmp_path))),
        ],
        cwd=root,
        env=os.environ | {variable: f"{scheme}://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    assert f"{scheme}://127.0.0.1:{port} cannot be reached" in done.stderr
    assert "Connection refused" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - started < 45
