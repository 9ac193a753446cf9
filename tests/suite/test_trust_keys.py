"""The key `trust` of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.core.vocabulary import ANY_MODEL, ModelFormat, Trust
from engine.errors import SuiteError
from engine.suite import Suite, dump_suite, load_suite

EVALUATION = {
    "name": "e",
    "dataset": {"delta": "t", "task": "binary", "label": "y"},
    "models": [{"uri": "m"}],
    "tests": [{"metric": "roc_auc"}],
}


def read(folder: Path, **keys: Any) -> Suite:
    path = folder / "suite.yml"
    path.write_text(yaml.safe_dump({"name": "s", "evaluations": [EVALUATION], **keys}))
    return load_suite(path)


def test_what_is_trusted_is_read_and_written_again(tmp_path: Path) -> None:
    suite = read(
        tmp_path,
        trust={"formats": ["skops", "pt2"], "signed_by": "key.pub", "registries": ["*/claims"]},
    )
    assert suite.trust == Trust(
        (ModelFormat.SKOPS, ModelFormat.PT2), "key.pub", registries=("*/claims",)
    )
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


def test_a_suite_without_it_is_as_before(tmp_path: Path) -> None:
    suite = read(tmp_path)
    assert suite.trust == ANY_MODEL
    assert "trust" not in yaml.safe_load(dump_suite(suite))


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        ({"formats": ["skop"]}, "trust.formats[0]: found 'skop', expected one of skops, pickle"),
        ({"formats": ["skop"]}, "did you mean 'skops'?"),
        ({"formats": []}, "trust.formats"),
        ({"formats": ["skops", "skops"]}, "'skops' stands twice"),
        ({"formats": "skops"}, "trust.formats"),
        ({}, "expected formats, signed_by, registries or several of them"),
        ({"sign_by": "k"}, "did you mean 'signed_by'?"),
        ({"signed_by": ""}, "trust.signed_by"),
        ({"registries": [3]}, "trust.registries[0]"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, trust: Any, words: str) -> None:
    with pytest.raises(SuiteError) as refused:
        read(tmp_path, trust=trust)
    assert words in str(refused.value)
