"""Beyond the cap every metric of a curve, a cut, a threshold or a bin is within its own bound."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking

CLASSES = (0, 1)
NAMES = (
    "ks_statistic",
    "gini",
    "pr_auc_trapezoid",
    "roc_auc_max_fpr_0.2",
    "roc_auc_max_fpr_.03",
    "precision_at_recall_0.5",
    "precision_at_recall_0.95",
    "recall_at_precision_0.6",
    "tpr_at_fpr_0.1",
    "fpr_at_tpr_0.9",
    "lift_at_0.1",
    "gain_at_0.35",
    "best_threshold_f1",
    "best_threshold_youden",
    "precision_at_threshold_0.3",
    "recall_at_threshold_0.55",
    "f1_at_threshold_0.7001",
    "specificity_at_threshold_0.5",
    "accuracy_at_threshold_0.123",
    "ece",
    "mce",
    "ece_4",
    "mce_3",
    "ece_quantile",
    "mce_quantile",
    "ece_quantile_4",
    "mce_quantile_3",
    "ece_top_label",
    "ece_top_label_4",
)


def load() -> ModuleType:
    path = Path(__file__).with_name("test_oracles_classification.py")
    spec = importlib.util.spec_from_file_location("oracles_for_bounds", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def oracle_of(module: ModuleType, name: str) -> Any:
    if name in module.ORACLES:
        return module.ORACLES[name]
    for pattern, oracle in module.PATTERNS.items():
        if match := re.fullmatch(pattern, name):
            return partial(oracle, **match.groupdict())
    raise AssertionError(name)


MODULE = load()
ORACLES = {name: oracle_of(MODULE, name) for name in NAMES}


def scores_of(shape: str, rng: np.random.Generator, n: int) -> np.ndarray:
    return {
        "uniform": rng.random(n),
        "tiny": 10.0 ** rng.uniform(-12, 0, n),
        "near 1": 1 - 10.0 ** rng.uniform(-12, 0, n),
        "crowded": 0.5 + 0.01 * rng.choice(rng.normal(size=n // 2), n).clip(-5, 5),
    }[shape]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from(["uniform", "tiny", "near 1", "crowded"]),
    st.booleans(),
)
def test_any_scores_are_within_the_bound(
    measure: Any, rows_from: Any, seed: int, bits: int, shape: str, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 150))
    scores = scores_of(shape, rng, n)
    truth = (rng.random(n) < (scores + rng.random()) / 2).astype(int)
    truth[:2] = 0, 1
    rows = rows_from(truth, scores, classes=CLASSES, weight=rng.random(n) if weighted else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 5)
        patch.setattr(ranking, "FINE_BITS", bits)
        for name, oracle in ORACLES.items():
            measured, expected = measure(name, rows), oracle(rows)
            if measured.value is None or isinstance(expected, str):
                # A target or a prediction that only some order of the rows has.
                assert measured.reason in (None, "unreachable", "no_predicted_positive"), name
                continue
            assert abs(measured.value - expected) <= measured.error_bound + 1e-9, name


def test_the_bounds_of_the_true_grid_are_small(
    measure: Any, rows_from: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "EXACT_SCORES", 500)
    rng = np.random.default_rng(0)
    n = 1000
    scores = rng.random(n)
    rows = rows_from(rng.random(n) < scores, scores, classes=CLASSES)
    for name, oracle in ORACLES.items():
        measured = measure(name, rows)
        if not name.startswith("best"):
            assert measured.error_bound < 2e-2, name
        assert abs(measured.value - oracle(rows)) <= measured.error_bound + 1e-12, name


def test_replicates_beyond_the_cap_are_near_the_truth(
    measure: Any, rows_from: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "EXACT_SCORES", 500)
    rng = np.random.default_rng(0)
    n = 1000
    scores = rng.random(n)
    rows = rows_from(rng.random(n) < scores, scores, classes=CLASSES)
    for name, oracle in ORACLES.items():
        if name.startswith(("best", "mce", "ece")):
            continue  # without an interval, or with one around something else
        replicates = measure.replicates(name, rows)
        for b in (0, 7, 13):
            # Their differences count: how far leaving a bucket out moves the value.
            moved = oracle(rows.at(np.flatnonzero(rows.bucket != b))) - oracle(rows)
            assert replicates[1 + b] - replicates[0] == pytest.approx(moved, abs=3e-2), name
