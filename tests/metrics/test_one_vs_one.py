"""ROC areas of each class against each other, where there are many classes or many scores."""

from __future__ import annotations

from typing import Any

import pytest
import sklearn.metrics as sk


def test_ten_classes_each_against_each(measure: Any, random_rows: Any) -> None:
    rows = random_rows(1, 400, classes=tuple("abcdefghij"))
    for name, average in (("roc_auc_ovo", "macro"), ("roc_auc_ovo_weighted", "weighted")):
        expected = sk.roc_auc_score(rows.truth, rows.scores, multi_class="ovo", average=average)
        assert measure(name, rows).value == pytest.approx(expected)


def test_each_against_each_beyond_the_cap(measure: Any, random_rows: Any) -> None:
    rows = random_rows(1, 12_000, classes=(0, 1, 2), decimals=12)
    expected = sk.roc_auc_score(rows.truth, rows.scores, multi_class="ovo")
    measured = measure("roc_auc_ovo", rows)
    assert 0 < measured.error_bound < 1e-3
    assert abs(measured.value - expected) <= measured.error_bound


def test_the_score_of_other_pairs_does_not_matter(measure: Any, random_rows: Any) -> None:
    """A pair's histogram has the rows of its two classes only."""
    rows = random_rows(0, 60, classes=(0, 1, 2))
    states = measure.states("roc_auc_ovo", rows)
    of_pair = states.view_at("scores(2|0)", 0)
    assert of_pair.positive.sum() == (rows.truth == 2).sum()
    assert of_pair.negative.sum() == (rows.truth == 0).sum()
