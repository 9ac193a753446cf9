"""What a new JVM is given: a configuration of its log, unless the user has one, and a folder."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

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
