"""A model is opened once to be asked what it returns; another model, or another library, anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.vocabulary import Output
from engine.models import kept_descriptions
from engine.models.artifact import Artifact
from engine.models.flavors.base import Description
from engine.models.kept_descriptions import find_or_describe

FULL = Description(
    "LogisticRegression",
    (Output.PROBABILITY, Output.LABEL),
    (0, True, 1.5, "it's"),
    ("a", "b c"),
    multilabel=False,
)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., list[str]]:
    """Asks for a description, and gives the digests of the models that were opened for it."""
    opened: list[str] = []
    artifact = Artifact(tmp_path, {"sklearn": {}})

    def ask(
        digest: str = "one", description: Description = FULL, folder: Path | None = tmp_path / "d"
    ) -> list[str]:
        def describe() -> Description:
            opened.append(digest)
            return description

        assert find_or_describe(folder, artifact, digest, describe) == description
        return opened

    return ask


def test_a_model_is_opened_once(asked: Callable[..., list[str]]) -> None:
    assert asked() == asked() == ["one"]
    assert asked("two", Description("Model")) == ["one", "two"]
    assert asked("two", Description("Model")) == ["one", "two"]


def test_another_library_opens_it_again(
    asked: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked()
    monkeypatch.setattr(kept_descriptions, "version", lambda name: "another")
    assert asked() == ["one", "one"]


def test_what_is_damaged_is_made_again(asked: Callable[..., list[str]], tmp_path: Path) -> None:
    asked()
    (file,) = (tmp_path / "d").glob("*.json")
    for text in ("", "{", "[]", '{"kind": "x"}', file.read_text().replace("label", "unknown")):
        file.write_text(text)
        asked()
    assert len(asked()) == 6


def test_nothing_is_kept_where_nothing_can_be(
    asked: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    asked(folder=None)
    asked(folder=tmp_path / "file" / "d")
    assert len(asked(folder=tmp_path / "file" / "d")) == 3
