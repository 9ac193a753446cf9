"""The key `telemetry` of a suite: what it takes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import SuiteError
from engine.suite import Suite, TelemetryConfig, dump_suite, load_suite

EVERYTHING = {"openlineage": "http://h:5000", "otlp": "${OTLP}", "prometheus": "./metrics.prom"}


def suite(**more: Any) -> Suite:
    return load_suite(
        {
            "name": "s",
            "evaluations": [
                {
                    "name": "e",
                    "dataset": {"csv": "t.csv", "task": "binary", "label": "y"},
                    "models": [{"name": "m", "scores": "s"}],
                    "tests": [{"metric": "accuracy"}],
                }
            ],
            **more,
        }
    )


def test_it_is_off_until_asked() -> None:
    assert suite().telemetry is None
    assert "telemetry" not in dump_suite(suite())


@pytest.mark.parametrize(
    "keys",
    [
        EVERYTHING,
        {"openlineage": "file:///tmp/events.jsonl"},
        {"otlp": "https://collector:4318/v1/traces"},
        {"prometheus": "http://gateway:9091"},
        {"prometheus": "${FOLDER}/metrics.prom"},
    ],
)
def test_it_is_kept_as_it_is(keys: dict[str, str], tmp_path: Path) -> None:
    read = suite(telemetry=keys)
    assert read.telemetry == TelemetryConfig(**keys)
    path = tmp_path / "s.yml"
    path.write_text(dump_suite(read))
    assert yaml.safe_load(path.read_text())["telemetry"] == keys
    assert load_suite(path) == read


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "expected openlineage, otlp, prometheus or several of them"),
        ({"openlinage": "http://h"}, "did you mean 'openlineage'?"),
        ({"openlineage": "h:5000"}, "expected a URL such as http://host:port, file:///path"),
        ({"openlineage": "file://host/path"}, "expected a URL such as"),
        ({"openlineage": "http://h:port"}, "expected a URL such as"),
        ({"otlp": "grpc://h:4317"}, "a receiver of OTLP over HTTP"),
        ({"otlp": "file:///x"}, "a receiver of OTLP over HTTP"),
        ({"otlp": "http://"}, "a receiver of OTLP over HTTP"),
        ({"otlp": "http://me:hunter2@h"}, "a variable of the environment"),
        ({"openlineage": "https://h/?token=hunter2"}, "a variable of the environment"),
        ({"prometheus": "https://me:hunter2@h"}, "a variable of the environment"),
        ({"prometheus": "metrics.txt"}, "a path that ends in .prom"),
        ({"prometheus": "s3://b/metrics.prom"}, "a path that ends in .prom"),
        ({"otlp": 4318}, "expected a text"),
    ],
)
def test_mistakes_are_told_without_what_may_be_secret(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(SuiteError) as told:
        suite(telemetry=keys)
    assert says in str(told.value) and "hunter2" not in str(told.value)
