"""What a new JVM is given: a configuration of its log, unless the user has one, and a folder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from engine.errors import StoreError
from engine.spark import internals, session
from engine.spark.session import _environment, _with_scratch

VARIABLE = "LOG4J_CONFIGURATION_FILE"
OPTIONS = "spark.driver.extraJavaOptions"


def test_a_new_jvm_is_given_a_configuration_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    file = Path(url2pathname(urlsplit(_environment()[VARIABLE]).path))
    text = file.read_text()
    assert re.search(r"^rootLogger.level = warn$", text, re.MULTILINE)
    # Log4j would put the whole exception behind a pattern that has none.
    assert "alwaysWriteExceptions = false" in text


def test_a_users_own_configuration_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mine.properties")
    assert VARIABLE not in _environment()


def test_temporary_files_lie_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    made = _with_scratch({OPTIONS: "-Xss4m"}, Path("/a b/c"))
    assert made == {OPTIONS: '-Xss4m "-Djava.io.tmpdir=/a b/c"', "spark.local.dir": "/a b/c"}
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/fast")
    assert "spark.local.dir" not in _with_scratch({OPTIONS: ""}, Path("/c"))


def test_the_first_session_of_a_machine_says_that_it_fetches_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Not fetched here: what stands for the JVM prints like its resolver, and fails."""

    class Builder:
        def __getattr__(self, name: str) -> Callable[..., Builder]:
            return lambda *args: self

        def getOrCreate(self) -> None:  # noqa: N802
            raise RuntimeError("no gateway")

    def launch(settings: object, log_file: Path) -> None:
        with log_file.open("ab") as log:
            subprocess.run(["sh", "-c", "seq 200; echo unresolved >&2"], stdout=log, stderr=log)

    for variable in ("SPARK_REMOTE", "MASTER", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(session, "delta_jars", lambda: None)
    monkeypatch.setattr(session, "check_java", lambda: None)
    monkeypatch.setattr(session, "launch_jvm", launch)
    monkeypatch.setattr(session, "scratch_folder", lambda: tmp_path)
    fetching = SimpleNamespace(configure_spark_with_delta_pip=lambda builder: builder)
    monkeypatch.setattr(session, "delta", fetching)
    stand_in = SimpleNamespace(getActiveSession=lambda: None, builder=Builder())
    monkeypatch.setattr(session, "sql", SimpleNamespace(SparkSession=stand_in))
    with caplog.at_level("INFO", "evalmatrix"), pytest.raises(StoreError, match="unresolved"):
        session.get_session()
    assert caplog.messages == ["fetching Spark's Delta jars (once, about a minute)"]
    assert capfd.readouterr().err == ""


def test_jars_are_looked_for_where_java_has_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java asks the system for it, and not HOME."""
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    passwd = SimpleNamespace(pw_dir=str(tmp_path / "home"))
    monkeypatch.setattr(internals.pwd, "getpwuid", lambda user: passwd)
    assert internals.delta_jars() is None
    jars = tmp_path / "home" / ".ivy2.5.2" / "jars"
    jars.mkdir(parents=True)
    jar = jars / f"io.delta_delta-spark_2.13-{version('delta-spark')}.jar"
    jar.touch()
    assert internals.delta_jars() == [str(jar)]
