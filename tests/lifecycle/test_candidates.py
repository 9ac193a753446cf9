"""The suite of a new version: the version for the candidates, the baseline as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.lifecycle.candidates import (
    champion_alias,
    read_uri,
    registered_names,
    suite_of,
)
from engine.planning.suites import read_suite, stored_suite
from engine.suite import Suite, dump_suite

CHAMPION = {"uri": "models:/claims@champion"}
CHALLENGER = {"uri": "models:/claims@challenger", "output": "probability"}
AT_FOUR = {"champion": "4", "challenger": "6"}


def suite(*models: dict[str, Any], baseline: str | None = None, **more: Any) -> Suite:
    limit = {"max_drop": 0.01} if baseline else {"min": 0.5}
    evaluation = {
        "name": "claims",
        "dataset": {"delta": "./t", "task": "binary", "label": "y"},
        "models": list(models),
        "slices": ["overall"],
        "tests": [{"metric": "roc_auc", **limit}],
        **({"baseline": baseline} if baseline else {}),
        **more,
    }
    return read_suite({"name": "night", "evaluations": [evaluation]})


def models_of(derived: Suite) -> list[tuple[str, str]]:
    return [(model.name, model.uri) for model in derived.evaluations[0].models]


def test_the_version_takes_the_place_of_the_candidates() -> None:
    full = suite(
        CHAMPION, CHALLENGER, {"uri": "models:/claims/2"}, {"uri": "models:/other/1"},
        baseline="claims@champion",
    )  # fmt: skip
    assert registered_names(full) == ["claims", "other"]
    assert champion_alias(full, "claims") == "champion"
    derived = suite_of(full, "claims", "7", AT_FOUR)
    assert models_of(derived) == [
        ("claims@champion", "models:/claims/4"), ("claims@challenger", "models:/claims/7"),
    ]  # fmt: skip
    assert derived.evaluations[0].models[1].output == "probability"
    other = suite_of(full, "other", "3", {})
    # The baseline is of another model, whose aliases are not those of this one.
    assert models_of(other) == [
        ("claims@champion", "models:/claims@champion"), ("other-v1", "models:/other/3"),
    ]  # fmt: skip
    assert stored_suite(dump_suite(derived)) == derived


def test_without_a_champion_and_as_the_champion_a_version_stands_alone() -> None:
    full = suite(CHAMPION, CHALLENGER, baseline="claims@champion")
    for version, aliases in (("1", {}), ("4", AT_FOUR)):
        alone = suite_of(full, "claims", version, aliases)
        assert models_of(alone) == [("claims@champion", f"models:/claims/{version}")]
        assert stored_suite(dump_suite(alone)) == alone


def test_a_suite_of_the_champion_alone_gets_a_candidate() -> None:
    only = suite(CHAMPION, baseline="claims@champion")
    assert models_of(suite_of(only, "claims", "5", AT_FOUR)) == [
        ("claims@champion", "models:/claims/4"), ("claims-v5", "models:/claims/5"),
    ]  # fmt: skip
    taken = suite({**CHAMPION, "name": "claims-v5"}, baseline="claims-v5")
    assert models_of(suite_of(taken, "claims", "5", AT_FOUR))[1][0] == "claims-v5 (candidate)"
    no_baseline = suite({"uri": "models:/claims/latest"})
    assert models_of(suite_of(no_baseline, "claims", "5", {})) == [
        ("claims-latest", "models:/claims/5")
    ]


def test_a_baseline_that_is_no_alias_stays() -> None:
    fixed = suite({"uri": "models:/claims/2"}, CHALLENGER, baseline="claims-v2")
    assert models_of(suite_of(fixed, "claims", "5", AT_FOUR))[0] == (
        "claims-v2",
        "models:/claims/2",
    )
    assert champion_alias(fixed, "claims") == "champion"
    prod = suite({"uri": "models:/claims@prod"}, CHALLENGER, baseline="claims@prod")
    assert champion_alias(prod, "claims") == "prod"


def test_a_model_that_no_evaluation_has_is_told() -> None:
    full = suite(CHAMPION, CHALLENGER, baseline="claims@champion")
    with pytest.raises(InputError, match=r"no registered model 'claim'; .*: 'claims'"):
        suite_of(full, "claim", "1", {})
    assert registered_names(suite({"uri": "./model"})) == []


def test_an_evaluation_without_the_model_is_left_out(tmp_path: Path) -> None:
    both = read_suite(
        {
            "name": "night",
            "evaluations": [
                {
                    "name": name,
                    "dataset": {"delta": f"./{name}", "task": "binary", "label": "y"},
                    "models": [{"uri": f"models:/{name}/latest"}],
                    "slices": ["overall"],
                    "tests": [{"metric": "roc_auc", "min": 0.5}],
                }
                for name in ("a", "b")
            ],
        }
    )
    assert [item.name for item in suite_of(both, "b", "2", {}).evaluations] == ["b"]
    assert registered_names(both) == ["a", "b"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("models:/a.b.claims/3", ("a.b.claims", "3", None)),
        ("models:/claims@champion", ("claims", None, "champion")),
        ("models://claims/latest/", ("claims", "latest", None)),
        ("models:/m-0123", None),
        ("runs:/1/model", None),
        ("./models/claims/3", None),
    ],
)
def test_uris_are_read(uri: str, expected: Any) -> None:
    read = read_uri(uri)
    assert (read and (read.name, read.version, read.alias)) == expected
