"""The keys `retention` and `public` of a suite: what they take, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from engine.errors import SuiteError
from engine.suite import RetentionConfig, Suite, demands, dump_suite, load_suite


def suite(dataset: dict[str, Any] | None = None, **more: Any) -> Suite:
    return load_suite(
        {
            "name": "s",
            "evaluations": [
                {
                    "name": "e",
                    "dataset": {"csv": "t.csv", "task": "binary", "label": "y", **(dataset or {})},
                    "models": [{"name": "m", "scores": "s"}],
                    "tests": [{"metric": "accuracy"}],
                }
            ],
            **more,
        }
    )


def test_all_is_kept_until_a_suite_says_otherwise() -> None:
    assert suite().retention is None
    assert "retention" not in dump_suite(suite())


@pytest.mark.parametrize(
    "keys",
    [
        {"predictions_days": 90, "reports_days": 365},
        {"predictions_days": 0.5},
        {"reports_days": 0},
    ],
)
def test_days_are_read_and_written(keys: dict[str, float]) -> None:
    read = suite(retention=keys)
    assert read.retention == RetentionConfig(**keys)
    assert yaml.safe_load(dump_suite(read))["retention"] == keys
    assert load_suite(yaml.safe_load(dump_suite(read))) == read


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "expected predictions_days, reports_days or both"),
        ({"predictions_days": -1}, "0"),
        ({"predictions_days": "90d"}, "90d"),
        ({"report_days": 1}, "report_days"),
    ],
)
def test_what_is_no_number_of_days_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        suite(retention=keys)


def test_a_column_is_sensitive_or_public() -> None:
    read = suite({"public": ["mail"], "sensitive": ["name"]})
    assert read.evaluations[0].dataset.public == ("mail",)
    assert yaml.safe_load(dump_suite(read))["evaluations"][0]["dataset"]["public"] == ["mail"]
    with pytest.raises(SuiteError, match="found 'name', which is sensitive"):
        suite({"public": ["name"], "sensitive": ["name"]})


def test_verdicts_do_not_rest_on_what_is_public_or_for_how_long_it_is_kept() -> None:
    other = suite({"public": ["mail"]}, retention={"reports_days": 1})
    assert demands(other) == demands(suite())
