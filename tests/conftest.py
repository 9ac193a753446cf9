"""What all tests share: the Spark session, a browser, and the profiles of hypothesis."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent

# What outcomes of runs look like, for the sinks and the tables of the store.
pytest_plugins = ["tests.fixtures.outcomes"]

# No deadline: on a shared machine it measures the neighbours. "ci" draws the same examples each
# time, so that a commit is judged by what it changed; "dev" goes on searching.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_configure(config: pytest.Config) -> None:
    """Gives each of several processes a folder of its own for temporary files, which it counts."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name is not None:
        tempfile.tempdir = None
        os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=f"evalmatrix-tests-{name}-")
        tempfile.tempdir = None
        config.add_cleanup(partial(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a test that starts Spark without saying so: the unit run would start it too."""
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
    """The one Spark session of the tests: two local cores, Delta, few shuffle partitions."""
    from engine.spark.session import get_session

    folder = tmp_path_factory.mktemp("spark")
    session = get_session(
        app_name="evalmatrix-tests",
        log_file=folder / "spark.log",
        extra={
            "spark.master": "local[2]",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.ui.enabled": "false",
        },
    )
    yield session
    session.stop()


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
