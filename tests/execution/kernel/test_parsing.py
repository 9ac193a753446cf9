"""What rankings and multilabel tasks read of a batch; the other tasks are in test_scan.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import TaskKind
from engine.execution.kernel.parsing import read_prediction, read_truth
from engine.metrics import Problem
from engine.models import Prediction
from engine.states.rows import CLIPPED

BINARY = Problem(TaskKind.BINARY, (0, 1))
LABELS = Problem(TaskKind.MULTILABEL, ("a", "b", "c"))
RANKING = Problem(TaskKind.RANKING)


def test_a_relevance_is_a_number_and_null_where_there_is_none() -> None:
    truth = read_truth(pa.array([0, 3, None, 1], pa.int8()), RANKING)
    assert truth.values.tolist() == [0, 3, 0, 1]
    assert truth.values.dtype == np.float64
    assert truth.null.tolist() == [False, False, True, False]
    truth = read_truth(pa.array([0.5, np.nan, np.inf, -1.0]), RANKING)
    assert truth.values.tolist() == [0.5, 0, 0, -1]
    assert truth.null.tolist() == [False, True, False, False]
    assert truth.unknown.tolist() == [False, False, True, False]


def test_a_number_for_each_document_is_its_score() -> None:
    found = read_prediction(Prediction(scores=np.array([7.0, np.nan, -np.inf])), RANKING)
    assert found.classes is None
    assert found.good.tolist() == [True, False, False]


@pytest.mark.parametrize(
    "entry",
    [pa.int8(), pa.int32(), pa.int64(), pa.bool_(), pa.float32(), pa.float64(), pa.decimal128(20)],
)
@pytest.mark.parametrize("of", [pa.list_, pa.large_list, lambda entry: pa.list_(entry, 3)])
def test_arrays_of_zeros_and_ones_of_every_type(entry: pa.DataType, of: Any) -> None:
    rows = [[1, 0, 0], [0, 0, 0], None, [1, 1, 1], [0, None, 1]]
    column = pa.array(rows, pa.list_(pa.int64())).cast(pa.list_(entry)).cast(of(entry))
    # A slice has an offset, which flattening must heed.
    for start in (0, 1, 3):
        truth = read_truth(column.slice(start), LABELS)
        wanted = [[1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]][start:]
        assert truth.values.tolist() == wanted
        assert truth.values.dtype == np.int64
        assert truth.null.tolist() == [False, False, True, False, False][start:]
        assert truth.unknown.tolist() == [False, False, False, False, True][start:]


@given(
    st.lists(
        st.none()
        | st.lists(st.none() | st.sampled_from([0.0, 1.0, 2.0, 0.5, -1.0, np.nan]), max_size=5)
    )
)
def test_a_row_is_known_when_each_label_is_0_or_1(rows: list[list[float | None] | None]) -> None:
    truth = read_truth(pa.array(rows, pa.list_(pa.float64())), LABELS)
    assert truth.values.shape == (len(rows), 3)
    for row, values, null, unknown in zip(
        rows, truth.values.tolist(), truth.null, truth.unknown, strict=True
    ):
        fits = row is not None and len(row) == 3 and all(entry in (0, 1) for entry in row)
        assert null == (row is None)
        assert unknown == (not null and not fits)
        assert values == (row if fits else [0, 0, 0])


def test_labels_are_predicted_above_one_half_and_need_not_add_to_1() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.5, np.nextafter(0.5, 1), 0.0], [0, 0, 0]])
    found = read_prediction(Prediction(scores=scores), LABELS)
    assert found.good.all()
    assert found.classes is not None and found.classes.dtype == np.int64
    # As scikit-learn's predict: one half is not above one half.
    assert found.classes.tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 0]]
    assert found.scores is scores


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (np.nan, "NaN"),
        (np.inf, "infinite"),
        (-np.inf, "infinite"),
        (-2e-4, "below 0 or above 1"),
        (1 + 2e-4, "below 0 or above 1"),
    ],
)
def test_one_odd_probability_spoils_its_row(odd: float, why: str) -> None:
    found = read_prediction(Prediction(scores=np.array([[0.1, odd, 0.3], [0, 1, 1]])), LABELS)
    assert found.good.tolist() == [False, True]
    assert found.notes == {why: 1}


@pytest.mark.parametrize("odd", [-1e-9, 1 + 1e-9, 1.0000000000000002, np.float32(1.00001)])
def test_what_is_beyond_0_or_1_by_rounding_is_clipped_and_counted(odd: float) -> None:
    found = read_prediction(Prediction(scores=np.array([[0.1, odd, 0.3], [0, 1, 1]])), LABELS)
    assert found.good.all() and found.notes == {CLIPPED: 1}
    assert found.scores is not None and found.scores[0].tolist() == [0.1, round(float(odd)), 0.3]
    two = read_prediction(Prediction(scores=np.array([[1 - odd, odd], [0.5, 0.5]])), BINARY)
    assert two.good.all() and two.scores is not None
    assert two.scores[0].tolist() == [1 - round(float(odd)), round(float(odd))]


def test_what_a_model_says_is_its_decision() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    found = read_prediction(Prediction(scores, np.array([0, 1, 1])), BINARY)
    assert found.classes is not None and found.classes.tolist() == [0, 1, 1]
    unknown = read_prediction(Prediction(scores, np.array([0, -1, 1])), BINARY)
    assert unknown.good.tolist() == [True, False, True]
    assert unknown.notes == {"of an unknown class": 1}


def test_predicted_labels_are_good_when_all_are_known() -> None:
    labels = np.array([[1, 0, 1], [0, -1, 1]])
    found = read_prediction(Prediction(labels=labels), LABELS)
    assert found.scores is None and found.classes is labels
    assert found.good.tolist() == [True, False]
