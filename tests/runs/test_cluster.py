"""A standalone cluster of two workers: what is shipped to them, what is lost, what they lack."""

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
    """Calls `spark-submit` on a cluster, with or without an environment for the workers."""

    root: Path
    master: str
    environment: Path | None = None

    def start(
        self, job: Path, *args: str | Path, python: str = "", **conf: str
    ) -> subprocess.Popen[str]:
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
            "spark.pyspark.python": python or "./environment/bin/python",
            "spark.executor.memory": "1g",
            "spark.driver.extraJavaOptions": QUICK_JAVA,
            "spark.executor.extraJavaOptions": QUICK_JAVA,
            "spark.ui.enabled": "false",
            "spark.log.level": "WARN",
            "spark.sql.shuffle.partitions": "2",
            **{key.replace("_", "."): value for key, value in conf.items()},
        }
        if self.environment is not None:
            options["spark.archives"] = f"{self.environment}#environment"
        pairs = [part for pair in options.items() for part in ("--conf", "=".join(pair))]
        return subprocess.Popen(
            [bin_ / "spark-submit", "--master", self.master, *pairs, job, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )

    def run(self, job: Path, *args: str | Path, **conf: str) -> tuple[int, str]:
        process = self.start(job, *args, **conf)
        try:
            out, err = process.communicate(timeout=600)
        finally:
            process.kill()
        return process.returncode, out + err


def said(output: str) -> str:
    """What a run has said, without Java's stacks."""
    lines = [line for line in output.splitlines() if not line.startswith(("\tat ", "26/"))]
    return "\n".join(lines)[-8000:]


@pytest.fixture
def submitter(root: Path, cluster: Any, environment: Path) -> Submitter:
    return Submitter(root, cluster.master, environment)


@pytest.fixture(scope="module")
def travelling(world: Any) -> Callable[..., dict[str, Any]]:
    """The suite of a store: two registered models and one that notes where it predicts."""
    import mlflow
    from mlflow.models import infer_signature

    code = Path(__file__).with_name("travelling_models.py")
    module = load(code)

    def make(folder: Path, gate: Path | None = None) -> dict[str, Any]:
        x = world.few[["f0"]]
        model = module.Traveller(str(folder / "journal"), str(gate) if gate else None).fit(x, None)
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
            ],
        }
        return {
            "name": "travels",
            "store": str(folder / "store"),
            "reuse": False,
            "mlflow": {"tracking_uri": world.tracking_uri},
            "evaluations": [evaluation],
        }

    return make


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


@pytest.fixture
def run_locally(
    world: Any,
    travelling: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> Callable[..., Path]:
    """Runs the suite in local mode as `local-NAME`; gives its file, with the journal emptied."""

    def go(name: str, gate: Path | None = None) -> Path:
        suite = travelling(tmp_path, gate)
        if gate is not None:
            gate.touch()
        evaluated(suite, name, run_id=f"local-{name}")
        if gate is not None:
            gate.unlink()
        (tmp_path / "journal").unlink()
        return Path(world.write(name, suite))

    return go


def test_workers_have_only_what_was_shipped(
    root: Path,
    world: Any,
    submitter: Submitter,
    run_locally: Callable[..., Path],
    tmp_path: Path,
) -> None:
    suite = run_locally("travels")
    code, output = submitter.run(
        root / "jobs" / "nightly.py",
        suite,
        "--run-id",
        "cluster-1",
        spark_executor_resource_gpu_amount="1",
        spark_task_resource_gpu_amount="1",
    )
    assert code == 0, said(output)
    found = notes(tmp_path)
    assert sum(note["rows"] for note in found) >= world.rows["fraud"].notna().sum()
    for note in found:
        assert "/environment/bin/" in note["python"]
        assert "/environment/lib/" in note["engine"]
        assert "/evalmatrix-model-" in note["code"]
        # Spark gives a task the GPU that its worker says it has.
        assert note["gpus"] == [GPU]
    assert len({note["python"].partition("/environment/")[0] for note in found}) == 2
    check_same(results_of(tmp_path, "local-travels"), results_of(tmp_path, "cluster-1"))


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail("waited in vain")


def test_a_lost_python_and_a_lost_executor_cost_a_retry(
    root: Path, submitter: Submitter, run_locally: Callable[..., Path], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    suite = run_locally("lost", gate)

    def pids() -> set[int]:
        return {note["pid"] for note in notes(tmp_path)}

    process = submitter.start(root / "jobs" / "nightly.py", suite, "--run-id", "lost-cluster")
    try:
        first, second = wait_for(lambda: sorted(pids()) if len(pids()) >= 2 else None, process)[:2]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(pids()) >= 3, process)
        executor = next(p for p in psutil.Process(second).parents() if p.name() == "java")
        assert "CoarseGrainedExecutorBackend" in " ".join(executor.cmdline())
        executor.kill()
        wait_for(lambda: len(pids()) >= 4, process)
        gate.touch()
        out, err = process.communicate(timeout=400)
    finally:
        gate.touch()
        process.kill()
    assert process.returncode == 0, said(out + err)
    check_same(results_of(tmp_path, "local-lost"), results_of(tmp_path, "lost-cluster"))


LOOK = """
import sys
from engine.execution.workers import check_cluster
from engine.errors import EvalMatrixError
from engine.spark.session import get_session
from engine.core.vocabulary import ModelVersion, Output, TaskKind

spark = get_session()
for path in sys.argv[1:]:
    flavor = path.rpartition("/")[2]
    model = ModelVersion("m", path, None, "d", path, flavor, TaskKind.BINARY, Output.LABEL)
    try:
        check_cluster(spark, [model])
        print("FOUND", flavor, "well")
    except EvalMatrixError as error:
        print("FOUND", flavor, type(error).__name__, error)
"""


def test_a_packed_environment_that_lacks_a_flavor(submitter: Submitter, tmp_path: Path) -> None:
    kinds = {"sklearn": "sklearn: {}", "pytorch": "pytorch: {}"}
    for name, flavor in kinds.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(f"flavors: {{{flavor}}}")
    job = tmp_path / "look.py"
    job.write_text(LOOK)
    _, output = submitter.run(job, tmp_path / "sklearn", tmp_path / "pytorch")
    assert "FOUND sklearn well" in output, said(output)
    assert "FOUND pytorch InputError the workers' Python (" in output
    assert "lacks the library 'torch', which a model of the suite needs" in output


def test_workers_without_the_engine(
    root: Path, world: Any, cluster: Any, small: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    suite = world.write("bare", small(store=str(tmp_path / "store")))
    submitter = Submitter(root, cluster.master)
    nightly = root / "jobs" / "nightly.py"
    code, output = submitter.run(nightly, suite, python=str(bare / "bin" / "python"))
    assert code == 2, said(output)
    assert "the workers' Python lacks '" in output and "infrastructure/pack.py" in output
    code, output = submitter.run(nightly, suite, python="/nowhere/python")
    assert code == 2, said(output)
    assert "the workers cannot start Python: there is no '/nowhere/python' on them" in output


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
