"""Names, aliases, patterns, modules and entry points of a registry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from engine.core import registry
from engine.core.registry import Registry, nearest
from engine.errors import InputError
from engine.metrics import METRICS


@pytest.fixture
def things() -> Registry[str]:
    made: Registry[str] = Registry("thing", "evalmatrix.no_such_group")
    made.add("alpha", "A", aliases=["first", "one"])
    made.add("beta", "B")
    made.add_pattern(r"number_(?P<n>[0-9]+)", lambda n: f"N{n}")
    return made


def test_names_aliases_and_patterns(things: Registry[str]) -> None:
    assert things.get("alpha") == things.get("first") == things.get("one") == "A"
    assert things.canonical("one") == "alpha"
    assert things.canonical("beta") == "beta"
    assert things.names() == ["alpha", "beta"]
    assert things.names(aliases=True) == ["alpha", "beta", "first", "one"]
    assert list(things) == ["A", "B"]
    assert things.patterns() == [r"number_(?P<n>[0-9]+)"]


def test_a_pattern_makes_its_thing_once(things: Registry[str]) -> None:
    assert things.find("number_12") == "N12"
    assert things.find("number_12") is things.find("number_12")
    assert things.find("number_x") is None
    assert things.find("a number_12") is None


def test_a_made_name_is_told_to_nobody_else(things: Registry[str]) -> None:
    """It may hold a label of another suite's data."""
    assert things.find("number_12") == "N12"
    assert things.names(aliases=True) == ["alpha", "beta", "first", "one"]
    assert list(things) == ["A", "B"]
    with pytest.raises(InputError, match=r"no thing is called 'number_1x'$"):
        things.get("number_1x")


@pytest.mark.parametrize(
    ("name", "aliases"),
    [("alpha", ()), ("first", ()), ("new", ("beta",)), ("new", ("one",))],
)
def test_a_name_twice_is_refused(things: Registry[str], name: str, aliases: Any) -> None:
    with pytest.raises(InputError, match=r"thing '\w+' is registered already"):
        things.add(name, "X", aliases=aliases)
    assert things.find("new") is None


def test_an_unknown_name_names_the_nearest(things: Registry[str]) -> None:
    with pytest.raises(InputError, match=r"no thing is called 'alhpa'; did you mean 'alpha'\?"):
        things.get("alhpa")
    with pytest.raises(InputError, match=r"no thing is called 'zzz'$"):
        things.get("zzz")
    assert nearest("acuracy", ["precision", "accuracy"]) == "accuracy"
    assert nearest("acuracy", []) is None


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("f1_score", "f1"),
        ("roc_auc_score", "roc_auc"),
        ("r2_score", "r2"),
        ("brier_score_loss", "brier_score"),
        ("mse", "mean_squared_error"),
    ],
)
def test_aliases_of_metrics(alias: str, name: str) -> None:
    assert METRICS.canonical(alias) == name
    assert METRICS.get(alias) is METRICS.get(name)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("roc_acu", "roc_auc"), ("f1_makro", "f1_macro"), ("neg_log_loss", "log_loss")],
)
def test_unknown_metrics_name_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(InputError, match=f"no metric is called {wrong!r}; did you mean {right!r}"):
        METRICS.get(wrong)


def test_modules_are_loaded_once(
    things: Registry[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "counted_once.py").write_text("import sys\nsys.counted = sys.counted + 1\n")
    monkeypatch.setattr(sys, "counted", 0, raising=False)
    monkeypatch.delitem(sys.modules, "counted_once", raising=False)
    things.load(["counted_once"])
    things.load(["counted_once"])
    assert sys.counted == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("def", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported(
    things: Registry[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    message: str,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_plugin.py").write_text(text)
    with pytest.raises(InputError, match=f"module broken_plugin .*{message}"):
        things.load(["broken_plugin"])
    with pytest.raises(InputError, match="module broken_plugin"):
        things.load(["broken_plugin"])


def install(folder: Path, module: str, group: str) -> None:
    """A distribution as an installer leaves it."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nmine = {module}\n")


def test_entry_points_of_the_group_are_loaded(
    things: Registry[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    things.load()
    # Installed while the process runs, as in a notebook.
    (tmp_path / "own_things.py").write_text("LOADED = []\nLOADED.append(1)\n")
    install(tmp_path, "own_things", things.group)
    monkeypatch.delitem(sys.modules, "own_things", raising=False)
    things.load()
    assert "own_things" in sys.modules


def test_an_entry_point_that_fails_is_named(
    things: Registry[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "no_such_module_at_all", things.group)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"entry point mine of the group 'evalmatrix\.no_such_group'"
    ):
        things.load()


def test_packages_are_looked_at_once(
    things: Registry[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers ask for each partition, and the look takes a tenth of a second."""
    looks = []
    original = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda: looks.append(1) or original())
    registry._installed_entries.cache_clear()
    for _ in range(5):
        things.load()
        METRICS.load()
    assert len(looks) == 1, "for all groups"
