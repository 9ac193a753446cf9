"""`evalmatrix kinds` and `evalmatrix metrics`: all that the registries have, by their own words."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import engine
from engine.cli.app import app
from engine.errors import InputError
from engine.kinds import KINDS
from engine.metrics import METRICS


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_kind_has_its_line_and_its_keys() -> None:
    lines = printed("kinds").splitlines()
    assert [line.split()[0] for line in lines] == sorted(kind.key for kind in KINDS)
    for kind in KINDS:
        text = printed("kinds", kind.key)
        assert kind.description in text
        for key in (*kind.file().model_fields, *kind.conditions):
            assert f"  {key}: " in text


def test_each_metric_has_its_line_and_what_is_known_of_it() -> None:
    lines = printed("metrics").splitlines()
    assert [line.split()[0] for line in lines] == METRICS.names()
    listed = json.loads(printed("metrics", "--task", "regression", "--format", "json"))
    names = {entry["name"] for entry in listed}
    assert names == {m.name for m in METRICS if "regression" in m.tasks}
    assert all(entry["is"] and entry["better"] for entry in listed)
    (own,) = json.loads(printed("metrics", "roc_auc_score", "--format", "json"))
    assert own["name"] == "roc_auc" and own["aliases"] == ["roc_auc_score"]
    assert own["bounds"] == [0.0, 1.0] and own["needs"] == "scores"


def test_a_name_that_is_made_when_it_is_asked_for() -> None:
    assert printed("metrics", "f1_at_threshold_0.3").startswith("f1_at_threshold_0.3: ")
    assert "f1_at_threshold_0.3" not in printed("metrics")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'roc_auc'"):
        engine.list_metrics("roc_acu")
    with pytest.raises(InputError, match="did you mean 'drift'"):
        engine.list_kinds("drfit")
    with pytest.raises(InputError, match="did you mean 'binary'"):
        engine.list_metrics(task="binry")
    assert CliRunner().invoke(app, ["kinds", "drfit"]).exit_code == 2
