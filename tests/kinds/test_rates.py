"""The table of rates: an entry for each kind, and the page says what `benchmarks/rates.py` does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.kinds import KINDS
from engine.kinds.leakage.checks import CHECKS

# What others bring for their own tests is registered for these tests' time only.
SHIPPED = [kind.key for kind in KINDS if type(kind).__module__.startswith("engine.kinds")]
FAMILIES = {"noise", "missing", "scale", "swap", "typos", "gaussian_noise", "blur"}


@pytest.fixture(scope="module")
def rates(root: Path) -> Iterator[Any]:
    folder = str(root / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("rates")
    sys.path.remove(folder)
    for name in ("rates", "planted", "planted_leaks", "planted_drift", "one_process"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "kinds" / "rates.md").read_text(encoding="utf-8")


def test_each_kind_has_a_planted_defect(rates: Any, root: Path) -> None:
    assert sorted([*rates.CASES, *rates.ELSEWHERE]) == sorted(SHIPPED)
    assert all(rates.CASES.values())
    pages = root / "docs" / "kinds"
    for name in rates.ELSEWHERE.values():
        assert "## What it finds" in (pages / name).read_text(encoding="utf-8")
    perturbed = {next(iter(case.test["robustness"])) for case in rates.CASES["robustness"]}
    assert perturbed >= FAMILIES


def test_the_page_has_a_line_for_each(rates: Any, page: str) -> None:
    for speed, columns in ((False, rates.COLUMNS), (True, rates.SPEED_COLUMNS)):
        body = page.partition(rates.BEGIN[speed])[2].partition(rates.END)[0]
        head, rule, *lines = body.strip().splitlines()
        assert head == rates.line(columns) and rule.count("---") == len(columns)
        assert all(line.count(" | ") == len(columns) - 1 for line in lines)
        kinds = [kind for kind in rates.CASES if (kind == rates.SPEED) is speed]
        for case in (case for kind in kinds for case in rates.CASES[kind]):
            text = f"`speed: {case.test['speed']}`" if speed else f"`{rates.case_text(case)}`"
            assert sum(line.startswith(f"| {text} |") for line in lines) == 1, text


def test_each_check_of_leakage_has_a_planted_defect(rates: Any, root: Path) -> None:
    leaks = importlib.import_module("planted_leaks")
    tried = {(test["leakage"], "near" in test) for test, _, _ in leaks.LEAKS}
    assert tried == {("rows", True), *((check, False) for check in CHECKS)}
    page = (root / "docs" / "kinds" / "leakage.md").read_text(encoding="utf-8")
    head, rule, *lines = page.partition(leaks.BEGIN)[2].partition(rates.END)[0].strip().split("\n")
    assert head == rates.line(leaks.COLUMNS) and rule.count("---") == len(leaks.COLUMNS)
    for (test, text, _), written in zip(leaks.LEAKS, lines, strict=True):
        assert written.startswith(f"| {leaks.test_text(test)} | {text} |")


def test_a_case_is_tried_and_counted(rates: Any, tmp_path: Path) -> None:
    lab = rates.Lab(tmp_path)
    (case,) = rates.CASES["data_quality"]
    cells, held = rates.row(lab, case, 2)
    assert held and cells[2:5] == ["1 of 1", case.sound, "0 of 2"]
    # Exact: (alpha / 2) ** (1 / n) is left of 1.
    assert rates.Rate(0, 40).ends == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert rates.with_table(f"a {rates.BEGIN[0]} b {rates.END} c", rates.BEGIN[0], "new") == (
        f"a {rates.BEGIN[0]}\n\nnew\n\n{rates.END} c"
    )
