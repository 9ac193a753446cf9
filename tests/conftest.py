"""What all tests share: the Spark session, a browser, and the profiles of hypothesis."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent

# Seconds that files of tests take, about, where it is many. Two processes take whole files from one
# list, so the longest come first: at the end none of them waits for the other. Of the first two one
# takes the world of `runs/conftest.py`, which it makes, and one does without.
SECONDS = {
    "runs/test_local_executor.py": 90,
    "runs/test_no_pyspark.py": 70,
    "runs/test_roads.py": 50,
    "runs/test_access.py": 60,
    "pieces/test_reading.py": 40,
    "runs/test_cluster.py": 175,
    "runs/test_canaries.py": 170,
    "runs/test_nightly_line.py": 90,
    "runs/test_object_store.py": 150,
    "stores/test_kept_stores.py": 100,
    "runs/test_reuse.py": 60,
    "data/changes/test_changes.py": 100,
    "runs/test_fuzz.py": 90,
    "runs/test_endpoints.py": 100,
    "serving/test_server.py": 60,
    "runs/test_tasks.py": 70,
    "runs/test_sync.py": 70,
    "runs/test_bad_input.py": 60,
    "runs/test_faults.py": 60,
    "runs/test_bad_models.py": 60,
    "runs/test_chunks.py": 60,
    "commands/test_serve.py": 90,
    "runs/test_trust.py": 80,
    "runs/test_connect.py": 150,
    "runs/test_questions.py": 90,
    "kinds/test_questions.py": 40,
    "commands/artifacts/test_export.py": 20,
    "runs/test_commands.py": 60,
    "training/test_trainer.py": 60,
    "training/test_resume.py": 80,
    "training/test_network_folds.py": 40,
    "training/test_search.py": 20,
    "training/test_cross_validate.py": 20,
    "training/test_leaderboard_run.py": 25,
    "commands/test_experiment.py": 30,
    "runs/test_experiment.py": 40,
    "execution/test_fold_workers.py": 30,
    "execution/test_local_answers.py": 90,
    "runs/test_judgement.py": 50,
    "runs/test_kills.py": 50,
    "runs/test_together.py": 40,
    "runs/test_submit.py": 40,
    "runs/test_run.py": 60,
    "runs/test_kinds.py": 60,
    "runs/test_kinds_of_models.py": 70,
    "kinds/test_endpoint.py": 120,
    "kinds/test_direction.py": 25,
    "sinks/report/test_kind_pictures.py": 20,
    "sinks/report/test_drift_pictures.py": 15,
    "kinds/test_baseline_models.py": 40,
    "planning/test_trivial.py": 25,
    "kinds/test_rates.py": 15,
    "kinds/test_drift.py": 50,
    "kinds/test_discover.py": 30,
    "runs/test_discover.py": 50,
    "kinds/test_near.py": 40,
    "kinds/test_prediction_drift.py": 30,
    "kinds/test_domain_classifier.py": 30,
    "runs/test_drift.py": 70,
    "data/test_reference_bins.py": 25,
    "data/files/test_local_files.py": 70,
    "data/test_arrow_profile.py": 60,
    "statistics/test_distances.py": 20,
    "statistics/test_histogram_distances.py": 20,
    "kinds/test_data_quality_rows.py": 90,
    "kinds/test_data_quality_values.py": 25,
    "runs/test_datasets.py": 40,
    "test_packaging.py": 40,
    "states/test_laws.py": 40,
    "runs/test_notebook.py": 20,
    "runs/test_init.py": 90,
    "runs/test_generate.py": 40,
    "runs/test_watch.py": 90,
    "data/generation/test_generate.py": 25,
    "data/generation/test_plants.py": 10,
    "runs/test_resume.py": 30,
    "models/flavors/test_frameworks.py": 30,
    "execution/kernel/test_scan.py": 30,
    "runs/test_failures.py": 20,
    "runs/test_file_datasets.py": 25,
    "runs/test_files.py": 20,
    "runs/test_cost.py": 20,
    "runs/test_blocks.py": 10,
    "runs/test_promotion.py": 40,
    "runs/test_telemetry.py": 60,
    "runs/test_postgres.py": 90,
    "lifecycle/test_promote.py": 40,
    "lifecycle/test_kills.py": 60,
}

# What Spark would generate and compile for each query: for some hundred rows a fifth of the work.
# With EVALMATRIX_TEST_COMPILED=1 it does, everywhere.
COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
# Each Java that a test starts reads it: the quick compiler, and one thread for garbage.
JAVA = "JAVA_TOOL_OPTIONS"
JAVA_OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]

# What outcomes of runs look like, for the sinks and the tables of the store; and what tests cost.
pytest_plugins = [
    "tests.fixtures.outcomes",
    "tests.fixtures.costs",
    "tests.fixtures.receiver",
    "tests.fixtures.registry",
    "tests.fixtures.object_store",
    "tests.fixtures.postgres",
    "tests.fixtures.warm_workers",
]

# No deadline: on a shared machine it measures the neighbours. "ci" draws the same examples each
# time, so that a commit is judged by what it changed; more of them would find the same each time.
# "dev" goes on searching, and "search" does so for long (`make soak`).
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=24)
settings.register_profile("dev", deadline=None, max_examples=25)
settings.register_profile("search", deadline=None, max_examples=400)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_configure(config: pytest.Config) -> None:
    """Gives each of several processes a folder of its own for temporary files, which it counts.

    The journals of scripted models (`runs/conftest.py`) have theirs before any process is started
    that is to know of it.
    """
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name is not None:
        tempfile.tempdir = None
        os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=f"evalmatrix-tests-{name}-")
        tempfile.tempdir = None
        config.add_cleanup(partial(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True))
    if name is None and not os.environ.get("EVALMATRIX_TEST_COMPILED"):
        options = [f"-D{key}={value}" for key, value in INTERPRETED.items()]
        os.environ[JAVA] = " ".join([os.environ.get(JAVA, ""), *JAVA_OPTIONS, *options]).strip()
    journals = tempfile.mkdtemp(prefix="evalmatrix-journals-")
    os.environ["EVALMATRIX_TEST_JOURNALS"] = journals
    config.add_cleanup(partial(shutil.rmtree, journals, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, each in its own order, and refuses what is told wrongly.

    A test that starts Spark says so: the unit run would start it too.
    """
    lost = [name for name in SECONDS if not (ROOT / "tests" / name).is_file()]
    if lost:
        raise pytest.UsageError(f"tests/conftest.py weighs files that are not there: {lost}")
    weights = {ROOT / "tests" / name: seconds for name, seconds in SECONDS.items()}
    items.sort(key=lambda item: -weights.get(item.path, 0))
    unmarked = [
        item.nodeid
        for item in items
        if "spark" in getattr(item, "fixturenames", ()) and item.get_closest_marker("spark") is None
    ]
    if unmarked:
        raise pytest.UsageError(
            "these tests use the fixture `spark`, and lack @pytest.mark.spark: "
            + ", ".join(unmarked)
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that is not marked `spark` sees no session, as in `make unit`.

    Else it would take that of the tests before it in its process, and Spark's way: another one than
    it is about, and a dear one.
    """
    if item.get_closest_marker("spark") is not None or "pyspark.sql.session" not in sys.modules:
        return (yield)
    from engine.spark import lazy_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_session, "_active", lambda: None)
        for name in [name for name in os.environ if name.startswith(("PYSPARK_GATEWAY", "SPARK"))]:
            patch.delenv(name)
        return (yield)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def nasty() -> ModuleType:
    """Texts that have broken programs before: the module `nasty.py` beside this one."""
    spec = importlib.util.spec_from_file_location("nasty", Path(__file__).with_name("nasty.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the tests: two local cores, Delta, few shuffle partitions.

    It compiles no queries, see `INTERPRETED`; where a test takes `compiled_queries` it does.
    """
    from engine.spark.session import get_session

    folder = tmp_path_factory.mktemp("spark")
    session = get_session(
        app_name="evalmatrix-tests",
        log_file=folder / "spark.log",
        extra={
            "spark.master": "local[2]",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.ui.enabled": "false",
        },
    )
    yield session
    session.stop()


@pytest.fixture
def compiled_queries(spark: SparkSession) -> Iterator[None]:
    """Has the tests' session compile its queries, as a user's does."""
    before = {key: spark.conf.get(key, value) for key, value in COMPILED.items()}
    for key, value in COMPILED.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value or COMPILED[key])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"this user cannot mount: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def browser() -> str:
    """A browser that can run headless; the test skips where the machine has none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on the PATH, looked for {', '.join(names)}")
    return found
