"""Models that decide by themselves, and scores that are no probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.svm import LinearSVC

from engine.core.vocabulary import Condition, Output, TaskKind, Verdict
from engine.models import Prediction
from engine.store.prediction_rows import pack, unpack_prediction
from tests.fixtures.kernel import FEATURES, OVERALL, Models, by_key, evaluated, plan_of, rows_of


@pytest.fixture(scope="module")
def fitted():
    frame = rows_of(TaskKind.BINARY).to_pandas()
    frame = frame[frame["label"].notna()]
    features, labels = frame[list(FEATURES)], frame["label"].astype(int)
    threshold = FixedThresholdClassifier(LogisticRegression(), threshold=0.2).fit(features, labels)
    return threshold, LinearSVC().fit(features, labels)


def test_labels_are_those_of_predict_and_scores_those_of_predict_proba(
    models: Models, fitted
) -> None:
    native, _ = fitted
    version = models.of("threshold", native)
    assert version.decides
    plan = plan_of(
        TaskKind.BINARY, [version], ["accuracy", "recall", "roc_auc"], slice_sets=(OVERALL,)
    )
    plan = replace(plan, columns=replace(plan.columns, weight=None))
    table = rows_of(TaskKind.BINARY)
    frame = table.to_pandas()
    frame = frame[frame["label"].notna()]
    features, labels = frame[list(FEATURES)], frame["label"].astype(int)
    for parts in (1, 5):
        cells = by_key(evaluated(plan, table, parts))
        values = {test: cell.measured.value for (_, _, test), cell in cells.items()}
        answers, scores = native.predict(features), native.predict_proba(features)[:, 1]
        assert values["accuracy"] == pytest.approx(accuracy_score(labels, answers), abs=1e-12)
        assert values["recall"] == pytest.approx(recall_score(labels, answers), abs=1e-12)
        assert values["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    by_score = accuracy_score(labels, scores > 0.5)
    assert abs(values["accuracy"] - by_score) > 0.02, "the threshold makes a difference"


def test_both_answers_of_a_row_are_kept(models: Models, fitted) -> None:
    version = replace(models.of("threshold", fitted[0]), classes=(0, 1))
    scores = np.array([[0.7, 0.3], [0.9, 0.1]])
    both = Prediction(scores, np.array([1, 0]))
    column = pa.ipc.open_stream(pack(pa.array(["a", "b"]), both)).read_all()["scores"]
    again = unpack_prediction(column.combine_chunks(), version)
    np.testing.assert_array_equal(again.scores, scores)
    assert again.labels is not None and again.labels.tolist() == [1, 0]
    plain = unpack_prediction(column.combine_chunks(), replace(version, output=Output.LABEL))
    assert plain.scores is None


def test_a_decision_function_ranks_rows_and_is_no_probability(models: Models, fitted) -> None:
    _, native = fitted
    version = models.of("decision", native)
    assert version.output is Output.LOGIT and version.squashed
    metrics = ["roc_auc", "accuracy", "log_loss", "brier_score", "ece", "calibration_slope"]
    good = models.of("plain", fitted[0].estimator_)
    for base in (None, "decision"):
        plan = plan_of(
            TaskKind.BINARY, [version, good], metrics, slice_sets=(OVERALL,), baseline=base
        )
        tests = [
            replace(test, conditions=(Condition("max_rise", 1.0),)) if base else test
            for test in plan.tests
        ]
        result = evaluated(replace(plan, tests=tuple(tests)), rows_of(TaskKind.BINARY))
        for (name, _, test), cell in by_key(result).items():
            undefined = test not in ("roc_auc", "accuracy")
            if name == "decision" and undefined:
                assert cell.measured.reason == "not_probabilities"
                assert cell.measured.value is None
            else:
                assert cell.measured.value is not None
            if base and name == "plain" and undefined:
                assert (cell.delta, cell.verdict) == (None, Verdict.INCONCLUSIVE)
    meant = plan_of(TaskKind.BINARY, [replace(version, squashed=False)], ["log_loss"])
    assert all(
        cell.measured.value is not None
        for cell in evaluated(meant, rows_of(TaskKind.BINARY)).cells
        if cell.slice.name == "overall"
    )
