"""The configuration of Spark's log: ours for the sessions that we start, else the user's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from engine.session import _logging_no_data

VARIABLE = "LOG4J_CONFIGURATION_FILE"


def test_a_new_jvm_is_given_a_configuration_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with _logging_no_data():
        file = Path(url2pathname(urlsplit(os.environ[VARIABLE]).path))
        text = file.read_text()
    assert VARIABLE not in os.environ
    assert re.search(r"^rootLogger.level = warn$", text, re.MULTILINE)
    # Log4j would put the whole exception behind a pattern that has none.
    assert "alwaysWriteExceptions = false" in text


def test_a_users_own_configuration_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mine.properties")
    with _logging_no_data():
        assert os.environ[VARIABLE] == "mine.properties"
    assert os.environ[VARIABLE] == "mine.properties"
