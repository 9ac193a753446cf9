"""The whole of a plan in one process: batches, scan, merge and measure, against a mask loop."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from engine.core import redaction
from engine.core.vocabulary import (
    Cell,
    Condition,
    DecideBy,
    Dimension,
    EvaluationResult,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import DataError
from engine.evaluation.measure import measure
from engine.execution.kernel import batches as cutting
from engine.execution.kernel import scan
from engine.execution.kernel.batches import chunks
from engine.execution.kernel.merge import merge
from engine.execution.kernel.parsing import read_prediction, read_truth, read_weight
from engine.metrics import METRICS, Problem, Sampling, mean_metric
from engine.models.artifact import digest
from engine.planning import Columns, EvaluationPlan
from engine.planning.scan_columns import BUCKET_COLUMN
from engine.planning.slices import where_column
from engine.states import BUCKETS, decode
from engine.states.rows import (
    FAILURE,
    METER,
    RESOURCES,
    failures_row,
    read_failures,
    read_resources,
    resources_row,
    to_batch,
)
from tests.fixtures.kernel import (
    BINARY,
    BINS,
    BY_COUNTRY,
    FEATURES,
    MULTICLASS,
    OVERALL,
    REGRESSION,
    ROWS,
    SETS,
    Models,
    by_key,
    evaluated,
    merged,
    plan_of,
    rows_of,
    scanned,
)

# The other road: masks over Python values, and scikit-learn on what they leave.

Key = tuple[str, tuple[str | None, ...]]


def text_of(value: Any, edges: tuple[float, ...] | None) -> str | None:
    """The text of a value, by the rules of the interface and not by the engine's code."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "NaN"
    if edges is None:
        return repr(value + 0.0)
    if value < edges[0]:
        return f"< {edges[0]:g}"
    below = [edge for edge in edges if edge <= value][-1]
    above = [edge for edge in edges if edge > value]
    return f"[{below:g}, {above[0]:g})" if above else f">= {below:g}"


def masks(plan: EvaluationPlan, table: pa.Table) -> dict[Key, np.ndarray]:
    """Which rows each slice has."""
    found: dict[Key, list[int]] = {}
    for number, each in enumerate(plan.slice_sets):
        if each.where is not None:
            chosen = table[where_column(number)].to_pylist()
            found[each.name, ()] = [row for row, true in enumerate(chosen) if true]
            continue
        columns = [table[d.column].to_pylist() for d in each.dimensions]
        for row in range(table.num_rows):
            texts = tuple(
                text_of(column[row], d.edges)
                for column, d in zip(columns, each.dimensions, strict=True)
            )
            found.setdefault((each.name, texts), []).append(row)
    return {key: np.isin(np.arange(table.num_rows), rows) for key, rows in found.items()}


@dataclass(frozen=True)
class Left:
    """The labelled rows of a slice that have any weight, as scikit-learn takes them."""

    y: np.ndarray
    w: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray
    classes: list[Any]


def positive_only(function: Callable[..., float], needs: str) -> Callable[[Left], float | None]:
    def oracle(left: Left) -> float | None:
        actual, predicted = (left.y == 1).any(), (left.predicted == 1).any()
        wanted = {"predicted": predicted, "actual": actual, "either": actual or predicted}[needs]
        return function(left.y, left.predicted, sample_weight=left.w) if wanted else None

    return oracle


def recall_of(label: str) -> Callable[[Left], float | None]:
    def oracle(left: Left) -> float | None:
        hit = left.y == label
        return np.average(left.predicted[hit] == label, weights=left.w[hit]) if hit.any() else None

    return oracle


def when(
    condition: Callable[[Left], bool], function: Callable[[Left], float]
) -> Callable[[Left], float | None]:
    return lambda left: function(left) if condition(left) else None


def of_predictions(function: Callable[..., float], **more: Any) -> Callable[[Left], float]:
    return lambda left: function(left.y, left.predicted, sample_weight=left.w, **more)


def of_scores(function: Callable[..., float]) -> Callable[[Left], float]:
    return lambda left: function(left.y, left.scores[:, 1], sample_weight=left.w)


def of_order(*, pairs: bool) -> Callable[[Left], float]:
    """A rank correlation by its definition, over all pairs of rows."""

    def oracle(left: Left) -> float:
        first, second = (
            np.sign(n[:, None] - n[None, :]) for n in (left.y.astype(float), left.predicted)
        )
        weight = left.w[:, None] * left.w[None, :] if pairs else left.w
        if not pairs:
            first, second = first @ weight, second @ weight
        spread = (weight * first**2).sum() * (weight * second**2).sum()
        return float((weight * first * second).sum() / np.sqrt(spread))

    return oracle


def all_classes(left: Left) -> bool:
    return len(set(left.y)) == len(left.classes)


ORACLES: dict[str, Callable[[Left], float | None]] = {
    "accuracy": of_predictions(sk.accuracy_score),
    "precision": positive_only(sk.precision_score, "predicted"),
    "recall": positive_only(sk.recall_score, "actual"),
    "f1": positive_only(sk.f1_score, "either"),
    "balanced_accuracy": lambda left: float(
        np.mean(
            [
                np.average(left.predicted[left.y == k] == k, weights=left.w[left.y == k])
                for k in set(left.y)
            ]
        )
    ),
    "matthews_corrcoef": when(
        lambda left: len(set(left.y)) > 1 and len(set(left.predicted)) > 1,
        of_predictions(sk.matthews_corrcoef),
    ),
    "roc_auc": when(all_classes, of_scores(sk.roc_auc_score)),
    "average_precision": when(
        lambda left: (left.y == 1).any(), of_scores(sk.average_precision_score)
    ),
    "log_loss": lambda left: sk.log_loss(
        left.y, left.scores, labels=left.classes, sample_weight=left.w
    ),
    "brier_score": lambda left: float(
        np.average((left.scores[:, 1] - (left.y == 1)) ** 2, weights=left.w)
    ),
    "f1_macro": of_predictions(sk.f1_score, average="macro", zero_division=0),
    "precision_weighted": of_predictions(sk.precision_score, average="weighted", zero_division=0),
    "top_2_accuracy": lambda left: sk.top_k_accuracy_score(
        left.y, left.scores, k=2, labels=left.classes, sample_weight=left.w
    ),
    "roc_auc_ovr": when(
        all_classes,
        lambda left: sk.roc_auc_score(
            left.y, left.scores, multi_class="ovr", sample_weight=left.w, labels=left.classes
        ),
    ),
    **{f"recall_class_{label}": recall_of(label) for label in "xyz"},
    "mean_absolute_error": of_predictions(sk.mean_absolute_error),
    "mean_squared_error": of_predictions(sk.mean_squared_error),
    "root_mean_squared_error": of_predictions(sk.root_mean_squared_error),
    "r2": when(lambda left: len(set(left.y)) > 1, of_predictions(sk.r2_score)),
    "mean_absolute_percentage_error": of_predictions(sk.mean_absolute_percentage_error),
    "max_error": lambda left: sk.max_error(left.y, left.predicted),
    "spearman": when(lambda left: len(set(left.y)) > 1, of_order(pairs=False)),
    "kendall": when(lambda left: len(set(left.y)) > 1, of_order(pairs=True)),
}


def left_of(table: pa.Table, mask: np.ndarray, native: Any, *, weighted: bool = True) -> Left:
    frame = table.filter(pa.array(mask)).to_pandas()
    frame = frame[frame["label"].notna()]
    if weighted:
        frame = frame[frame["w"] > 0]
    classifier = hasattr(native, "predict_proba")
    x = frame[list(FEATURES)]
    y = frame["label"].to_numpy()
    if classifier:
        y = y.astype(native.classes_.dtype)
    none = np.zeros((0, 2))
    return Left(
        y=y,
        w=frame["w"].to_numpy() if weighted else np.ones(len(frame)),
        scores=native.predict_proba(x) if classifier and len(x) else none,
        predicted=native.predict(x) if len(x) else np.zeros(0),
        classes=native.classes_.tolist() if classifier else [],
    )


def trained(task: TaskKind, strength: float, rows: int) -> Any:
    table = rows_of(task, seed=9, rows=rows).to_pandas().dropna(subset=["label"])
    x, y = table[list(FEATURES)], table["label"]
    if task is TaskKind.REGRESSION:
        return LinearRegression().fit(x, y)
    y = y.astype(int) if task is TaskKind.BINARY else y.astype(object)
    return LogisticRegression(C=strength).fit(x, y)


def two_models(models: Models, task: TaskKind) -> dict[str, tuple[ModelVersion, Any]]:
    found = {}
    for name, strength, rows in (("weak", 1e-3, 300), ("strong", 1.0, 900)):
        native = trained(task, strength, rows)
        found[name] = (models.of(f"{task}-{name}", native, task), native)
    return found


CASES = [
    (TaskKind.BINARY, BINARY, True),
    (TaskKind.BINARY, BINARY, False),
    (TaskKind.MULTICLASS, MULTICLASS, True),
    (TaskKind.REGRESSION, REGRESSION, True),
]


@pytest.mark.parametrize(("task", "metrics", "weighted"), CASES)
def test_a_plan_equals_a_mask_loop_with_scikit_learn(
    models: Models, task: TaskKind, metrics: Sequence[str], weighted: bool
) -> None:
    both = two_models(models, task)
    columns = Columns("label", "w" if weighted else None, ("key",))
    versions = [version for version, _ in both.values()]
    plan = plan_of(task, versions, metrics, columns=columns)
    table = rows_of(task)
    expected = masks(plan, table)
    result = evaluated(plan, table, parts=3)
    natives = {version.name: native for version, native in both.values()}
    seen = {(c.slice.set_name, tuple(v for _, v in c.slice.values)) for c in result.cells}
    assert seen == set(expected)
    assert len(result.cells) == len(expected) * len(plan.tests) * 2
    assert len(expected) > 30
    lefts: dict[tuple[Any, str], Left] = {}
    defined = 0
    for cell in result.cells:
        key = (cell.slice.set_name, tuple(v for _, v in cell.slice.values))
        at = (key, cell.model.name)
        if at not in lefts:
            lefts[at] = left_of(table, expected[key], natives[cell.model.name], weighted=weighted)
        left = lefts[at]
        labelled = table.filter(pa.array(expected[key]))["label"]
        assert cell.counts.n == len(labelled) - labelled.null_count
        assert cell.counts.null_labels == labelled.null_count
        assert cell.counts.weight_sum == pytest.approx(left.w.sum(), rel=1e-12)
        wanted = ORACLES[cell.test.metric](left) if len(left.y) else None
        if wanted is None:
            assert cell.measured.value is None
            assert cell.measured.reason
        else:
            assert cell.measured.value == pytest.approx(wanted, rel=1e-9, abs=1e-9), cell
            assert cell.measured.error_bound == 0
            defined += 1
        empty = cell.slice.name == "nobody"
        assert cell.verdict is (Verdict.ERROR if empty else Verdict.RECORDED)
    assert defined > len(result.cells) / 2


def test_a_slice_that_matches_nothing_is_an_error_with_the_reason(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"], slice_sets=SETS)
    cell = by_key(evaluated(plan, rows_of(TaskKind.BINARY)))[version.name, "nobody", "accuracy"]
    assert (cell.verdict, cell.counts.n) == (Verdict.ERROR, 0)
    assert cell.reason == "the slice matched no row of the dataset"


@pytest.mark.parametrize(("task", "metrics", "weighted"), CASES)
def test_partitions_and_their_order_change_nothing(
    models: Models, task: TaskKind, metrics: Sequence[str], weighted: bool
) -> None:
    versions = [version for version, _ in two_models(models, task).values()]
    columns = Columns("label", "w" if weighted else None)
    plan = plan_of(task, versions, metrics, columns=columns)
    table = rows_of(task)
    one = by_key(evaluated(plan, table))
    for parts, seed in ((1, 5), (3, 1), (3, 2), (7, 3)):
        other = by_key(evaluated(plan, table, parts, seed))
        assert list(other) == list(one), "the order of the cells"
        for key, cell in one.items():
            same = other[key]
            assert (same.verdict, same.reason, same.slice) == (
                cell.verdict,
                cell.reason,
                cell.slice,
            )
            assert replace(same.counts, weight_sum=0) == replace(cell.counts, weight_sum=0)
            assert same.counts.weight_sum == pytest.approx(cell.counts.weight_sum, rel=1e-12)
            assert same.measured.reason == cell.measured.reason
            if cell.measured.value is not None:
                assert same.measured.value == pytest.approx(
                    cell.measured.value, rel=1e-12, abs=1e-12
                )


def test_beyond_the_cap_values_lie_within_their_bound(models: Models) -> None:
    version, native = two_models(models, TaskKind.BINARY)["strong"]
    plan = plan_of(
        TaskKind.BINARY, [version], ["roc_auc", "average_precision"], slice_sets=(OVERALL,)
    )
    table = rows_of(TaskKind.BINARY, rows=20_000)
    left = left_of(table, np.ones(20_000, bool), native)
    for cell in evaluated(plan, table, parts=3).cells:
        assert 0 < cell.measured.error_bound < 1e-3
        gap = abs(cell.measured.value - ORACLES[cell.test.metric](left))
        assert gap <= cell.measured.error_bound + 1e-12


# What it costs.


def test_each_labelled_row_is_predicted_once_whatever_is_asked(models: Models) -> None:
    # As an estimator whose largest score decides: others are asked for their labels as well.
    version = replace(models.odd("counts"), decides=False)
    table = rows_of(TaskKind.BINARY)
    labelled = sorted(table.filter(table["label"].is_valid())["a"].to_pylist())
    few = plan_of(TaskKind.BINARY, [version], ["accuracy"], slice_sets=(OVERALL,))
    many = plan_of(TaskKind.BINARY, [version], BINARY)
    for plan, parts in ((few, 1), (many, 1), (many, 7)):
        models.calls.CALLS.clear()
        states = scanned(plan, table, parts)
        asked = [a for kind, a in models.calls.CALLS if kind == "counts"]
        assert sorted(asked) == labelled
        timings = measure(plan, merged(states)).timings
        assert timings["predictions"] == len(labelled)
        assert timings["rows"] == table.num_rows
        assert timings["predict_seconds"] > 0
    asked_twice = measure(few, merged(scanned(replace(few, models=(models.odd("counts"),)), table)))
    assert asked_twice.timings["predictions"] == 2 * len(labelled)


def test_a_model_is_loaded_once_for_many_scans(models: Models) -> None:
    known = models.odd("counts")
    # Nobody has opened these files to describe them.
    folder = shutil.copytree(known.path, models.folder / "new")
    (folder / "note.txt").write_text("new")
    version = replace(known, digest=digest(folder), path=str(folder))
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"])
    result = evaluated(plan, rows_of(TaskKind.BINARY), parts=7)
    assert result.timings["loads"] == 1
    assert result.timings["batches"] == 7


# What fails, and what that costs.

GOOD = "binary-strong"


def beside_a_good_one(
    models: Models, version: ModelVersion, parts: int = 3
) -> tuple[EvaluationResult, dict[Any, Cell]]:
    """An odd model beside a good one, whose cells are those of a run without the other."""
    good, _ = two_models(models, TaskKind.BINARY)["strong"]
    table = rows_of(TaskKind.BINARY)
    plan = plan_of(TaskKind.BINARY, [version, good], BINARY)
    alone = by_key(evaluated(plan_of(TaskKind.BINARY, [good], BINARY), table, parts))
    result = evaluated(plan, table, parts)
    cells = by_key(result)
    for key, cell in alone.items():
        beside = cells.pop(key)
        assert (beside.measured, beside.verdict, beside.counts) == (
            cell.measured,
            cell.verdict,
            cell.counts,
        )
    assert len(cells) == len(alone)
    assert {model for model, _, _ in cells} == {version.name}
    return result, cells


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raises", r"ValueError: cannot take …, sorry \(odd_models.py:[0-9]+\)"),
        ("exits", r"SystemExit: 3 \(odd_models.py:[0-9]+\)"),
        ("shape", "ModelError: model 'odd-shape' returned an array of shape"),
        ("wide", "ModelError: model 'odd-wide' returned an array of shape"),
    ],
)
def test_a_model_that_fails_costs_its_own_cells(models: Models, kind: str, message: str) -> None:
    version = models.odd(kind)
    result, cells = beside_a_good_one(models, version)
    for cell in cells.values():
        assert cell.verdict is Verdict.ERROR
        assert cell.measured.value is None
        assert re.match(f"the model failed: {message}", cell.reason), cell.reason
        assert "\n" not in cell.reason
    assert list(result.model_errors) == [version.name]
    assert cells[version.name, "overall", "accuracy"].counts.n > 1000


def test_a_model_that_cannot_be_loaded_costs_its_own_cells(models: Models) -> None:
    gone = replace(models.odd(""), name="gone", digest="gone", path=str(models.folder / "gone"))
    _, cells = beside_a_good_one(models, gone)
    for cell in cells.values():
        assert cell.verdict is Verdict.ERROR
        assert "no folder at" in cell.reason


def test_a_failure_in_one_partition_is_one_of_all_cells(models: Models) -> None:
    version = models.odd("raises")
    table = rows_of(TaskKind.BINARY)
    far = np.flatnonzero(table["a"].to_numpy() > 2)
    calm = table.take(pa.array(np.setdiff1d(np.arange(ROWS), far)))
    wild = table.slice(int(far[0]), 1)
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"])
    states = pa.concat_tables([scanned(plan, calm), scanned(plan, wild)])
    assert states["family"].to_pylist().count(FAILURE) == (wild["label"].null_count == 0)
    result = measure(plan, merged(states))
    assert {cell.verdict for cell in result.cells} == {Verdict.ERROR}
    assert result.confusion == []


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("nan", "NaN"),
        ("inf", "infinite"),
        ("low", "below 0 or above 1"),
        ("high", "below 0 or above 1"),
        ("sum", "probabilities that do not add to 1"),
    ],
)
def test_bad_scores_are_counted_and_are_errors(models: Models, kind: str, what: str) -> None:
    version = models.odd(kind)
    _, cells = beside_a_good_one(models, version)
    table = rows_of(TaskKind.BINARY).to_pandas()
    bad = int(((table["a"] > 2) & table["label"].notna()).sum())
    for (_, name, _), cell in cells.items():
        if name == "overall":
            assert cell.counts.bad_scores == bad
            assert cell.reason == f"{bad} of {cell.counts.n:,} predictions are {what}"
        if cell.counts.bad_scores:
            assert (cell.measured.value, cell.measured.reason) == (None, "nan_input")
            assert cell.verdict is Verdict.ERROR
        elif name != "nobody":
            assert cell.verdict is Verdict.RECORDED
    hit = {name for (_, name, _), cell in cells.items() if cell.counts.bad_scores}
    assert hit < {name for _, name, _ in cells}, "slices without bad scores are as they were"


def test_labels_only_give_accuracy_and_unknown_ones_are_errors(models: Models) -> None:
    table = rows_of(TaskKind.BINARY)
    frame = table.to_pandas()
    frame = frame[frame["label"].notna() & (frame["w"] > 0)]
    plain = replace(models.odd("labels"), output=Output.LABEL)
    strange = replace(models.odd("stranger"), output=Output.LABEL)
    plan = plan_of(TaskKind.BINARY, [plain, strange], ["accuracy"])
    cells = by_key(evaluated(plan, table, 3))
    expected = np.average((frame["a"] > 0) == (frame["label"] == 1), weights=frame["w"])
    good = cells["odd-labels", "overall", "accuracy"]
    assert good.measured.value == pytest.approx(expected, rel=1e-12)
    bad = cells["odd-stranger", "overall", "accuracy"]
    assert bad.verdict is Verdict.ERROR
    assert bad.counts.bad_scores > 0
    assert "of an unknown class" in bad.reason


def test_labels_that_no_class_has_are_errors(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    table = rows_of(TaskKind.BINARY)
    labels = table["label"].to_pylist()
    labels[10:12] = [7, 7]
    table = table.set_column(table.column_names.index("label"), "label", pa.array(labels))
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"], slice_sets=(OVERALL, BY_COUNTRY))
    result = evaluated(plan, table)
    overall = result.cells[0]
    assert (overall.slice.name, overall.verdict) == ("overall", Verdict.ERROR)
    assert overall.counts.unknown_labels == 2
    assert overall.reason == (
        f"2 of {overall.counts.n:,} labels are infinite or none of the model's classes"
    )
    verdicts = [cell.verdict for cell in result.cells]
    assert Verdict.RECORDED in verdicts, "slices without such labels are as they were"


def test_an_infinite_target_is_an_error_where_it_lies(models: Models) -> None:
    version, _ = two_models(models, TaskKind.REGRESSION)["weak"]
    table = rows_of(TaskKind.REGRESSION)
    target = table["label"].to_pylist()
    target[:4] = [math.inf, -math.inf, math.nan, None]
    table = table.set_column(table.column_names.index("label"), "label", pa.array(target))
    plan = plan_of(TaskKind.REGRESSION, [version], ["r2"], slice_sets=(OVERALL, BINS))
    overall = evaluated(plan, table).cells[0]
    assert overall.verdict is Verdict.ERROR
    assert overall.counts.unknown_labels == 2
    assert overall.counts.null_labels == sum(v is None or math.isnan(v) for v in target)


TOO_SURE = r"the metric failed: RuntimeError: too sure \(test_scan.py:[0-9]+\)"


@pytest.fixture
def losses() -> Iterator[None]:
    """A user's metrics: one that raises on some rows, one of the wrong shape, one that is fine."""

    def loss(batch: Any, problem: Any) -> Any:
        if (batch.scores[:, 1] > 0.95).any():
            raise RuntimeError("too sure")
        return batch.scores[:, 1]

    names = {"raising": loss, "misshapen": lambda batch, problem: np.zeros(3)}
    names["fine"] = lambda batch, problem: batch.scores[:, 1]
    for name, function in names.items():
        mean_metric(name, tasks=frozenset({TaskKind.BINARY}))(function)
    yield
    for name in names:
        del METRICS._things[name]


@pytest.mark.usefixtures("losses")
def test_a_metric_that_fails_costs_its_own_cells(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["strong"]
    plan = plan_of(TaskKind.BINARY, [version], ["raising", "misshapen", "fine", "accuracy"])
    cells = by_key(evaluated(plan, rows_of(TaskKind.BINARY), 3))
    for (_, name, test), cell in cells.items():
        if test == "raising":
            assert re.fullmatch(TOO_SURE, cell.reason)
        if test == "misshapen":
            assert cell.reason.startswith("the metric failed: ValueError: a loss gave an array")
        failed = test in ("raising", "misshapen") or name == "nobody"
        assert cell.verdict is (Verdict.ERROR if failed else Verdict.RECORDED)


def test_what_a_model_quotes_of_a_row_is_not_told(models: Models) -> None:
    plan = plan_of(TaskKind.BINARY, [models.odd("quotes"), models.odd("names")], ["accuracy"])
    quotes, names = evaluated(plan, rows_of(TaskKind.BINARY)).cells[:2]
    assert re.fullmatch(
        r"the model failed: ValueError, whose message may quote the data and is withheld "
        r"\(odd_models.py:[0-9]+\), on batch 1 of partition 0",
        quotes.reason,
    )
    # Its class has a value in its name.
    assert names.reason.startswith("the model failed: LookupError: not one of ours (odd_models.py:")


def test_what_no_exception_is_costs_its_own_cells_too(models: Models) -> None:
    version = models.odd("cancels")
    _, cells = beside_a_good_one(models, version)
    for cell in cells.values():
        assert cell.reason.startswith("the model failed: CancelledError (odd_models.py:")


def test_long_messages_are_cut(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MAX_MESSAGE", 10)
    plan = plan_of(TaskKind.BINARY, [models.odd("raises")], ["accuracy"])
    reason = evaluated(plan, rows_of(TaskKind.BINARY)).cells[0].reason
    assert reason.startswith("the model failed: ValueError: cannot tak... (odd_models.py:")


def test_a_weight_that_cannot_be_stops_the_scan(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    table = rows_of(TaskKind.BINARY)
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"])
    for bad in (None, math.nan, math.inf, -1.0):
        weights = pa.array([bad, *table["w"].to_pylist()[1:]], pa.float64())
        other = table.set_column(table.column_names.index("w"), "w", weights)
        with pytest.raises(DataError, match=r"'w' is null, NaN, infinite or negative in 1 of"):
            scanned(plan, other)


def test_more_slices_than_allowed_stop_the_scan_however_it_is_cut(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    by_a = SliceSet("a", "by", (Dimension("a"),))
    table = rows_of(TaskKind.BINARY, rows=40)
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"], slice_sets=(by_a,), max_slices=30)
    with pytest.raises(DataError, match=r"slices by 'a' are more than max_slices \(30\)"):
        scanned(plan, table)
    parts = scanned(plan, table, parts=2)
    with pytest.raises(DataError, match=r"slices by 'a' are more than max_slices \(30\)"):
        measure(plan, merged(parts))
    assert len(evaluated(replace(plan, max_slices=40), table, 2).cells) == 40


# The pieces.


def batch_of(rows: int, width: int = 1) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(["y" * width] * rows)})


def test_chunks_join_small_batches_and_keep_every_row() -> None:
    rows = list(chunks(batch_of(1000) for _ in range(300)))
    assert [batch.num_rows for batch in rows] == [131_000, 131_000, 38_000]
    assert list(chunks([])) == []
    assert list(chunks([batch_of(0), batch_of(0)])) == []


def test_chunks_bound_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "CHUNK_ROWS", 100)
    monkeypatch.setattr(cutting, "CHUNK_BYTES", 10_000)
    batches = [batch_of(7), batch_of(250), batch_of(30, 1000), batch_of(0), batch_of(1, 50_000)]
    found = list(chunks(batches))
    assert sum(batch.num_rows for batch in found) == 288
    assert all(batch.num_rows <= 100 for batch in found)
    assert [batch.num_rows for batch in found if batch.nbytes > 10_100] == [1]


def test_empty_partitions_leave_nothing(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy"])
    empty = rows_of(TaskKind.BINARY).slice(0, 0)
    assert list(scan.scan([], plan)) == []
    assert list(scan.scan(empty.to_batches(), plan)) == []
    assert list(merge([])) == []


def test_a_partition_without_labels_counts_its_rows(models: Models) -> None:
    version, _ = two_models(models, TaskKind.BINARY)["weak"]
    table = rows_of(TaskKind.BINARY)
    bare = table.filter(table["label"].is_null())
    plan = plan_of(TaskKind.BINARY, [version], ["accuracy", "roc_auc"])
    for cell in evaluated(plan, bare).cells:
        assert (cell.counts.n, cell.measured.reason) == (0, "empty")
    whole = evaluated(plan, table)
    apart = pa.concat_tables(
        [scanned(plan, bare), scanned(plan, table.filter(table["label"].is_valid()))]
    )
    for cell, other in zip(whole.cells, measure(plan, merged(apart)).cells, strict=True):
        assert (other.slice, other.counts.n) == (cell.slice, cell.counts.n)
        assert other.measured.reason == cell.measured.reason
        assert other.measured.value == (
            None if cell.measured.value is None else pytest.approx(cell.measured.value, rel=1e-12)
        )


def test_merged_states_have_one_row_for_each_key(models: Models) -> None:
    versions = [version for version, _ in two_models(models, TaskKind.BINARY).values()]
    plan = plan_of(TaskKind.BINARY, versions, BINARY)
    rows = merged(scanned(plan, rows_of(TaskKind.BINARY), parts=7))
    keys = [(row.slice_set, row.block, row.model, row.family) for row in rows]
    assert keys == sorted(set(keys))
    assert {row.family for row in rows} == {
        METER, RESOURCES, "rows", "confusion(2)", "scores(1)", "mean(log_loss)", "mean(brier_score)"
    }  # fmt: skip
    for row in rows:
        if row.family == RESOURCES:
            continue
        assert decode(row.payload).n_groups == len(row.slice_keys) == len(set(row.slice_keys))
        assert list(row.slice_keys) == sorted(row.slice_keys)


def test_what_scans_took_is_a_sum_and_peaks_are_the_largest() -> None:
    first = {"predict_cpu_seconds": 1.0, "worker_cpu_seconds": 2.5, "worker_peak_bytes": 700}
    second = {"predict_cpu_seconds": 0.5, "worker_cpu_seconds": 1.5, "worker_peak_bytes": 900}
    third = {"predict_cpu_seconds": 0.25, "worker_cpu_seconds": 1.0}
    batch = to_batch([resources_row(0, took) for took in (first, second, third)])
    (out,) = merge([batch])
    (payload,) = out.column("payload").to_pylist()
    assert read_resources(payload) == {
        "predict_cpu_seconds": 1.75, "worker_cpu_seconds": 5.0, "worker_peak_bytes": 900,
    }  # fmt: skip


def test_the_first_of_many_failures_is_told() -> None:
    told = [{"": "b: later", "f": "x"}, {"": "a: first"}, {"": "c", "g": "y"}]
    batch = to_batch([failures_row(0, each) for each in told])
    (out,) = merge([batch])
    (payload,) = out.column("payload").to_pylist()
    assert read_failures(payload) == {"": "a: first", "f": "x", "g": "y"}


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ((0, 1), pa.array([0, 1, None, 2])),
        ((0, 1), pa.array([0.0, 1.0, math.nan, 0.5])),
        ((0, 1), pa.array([False, True, None, True]).cast(pa.int8())),
        ((False, True), pa.array([0, 1, None, 9], pa.int64())),
        (("no", "yes"), pa.array(["no", "yes", None, "maybe"])),
        (("no", "yes"), pa.array(["no", "yes", None, "maybe"]).dictionary_encode()),
        (("0", "1"), pa.array(["0", "1", None, "01"])),
        ((2**53, 2**53 + 1), pa.array([2**53, 2**53 + 1, None, 2**53 + 2])),
    ],
)
def test_labels_are_read_as_classes(classes: Any, labels: pa.Array) -> None:
    truth = read_truth(labels, Problem(TaskKind.BINARY, classes))
    assert truth.values[:2].tolist() == [0, 1]
    assert truth.null.tolist() == [False, False, True, False]
    assert truth.unknown[:3].tolist() == [False, False, False]
    if labels.type != pa.int8():
        assert truth.unknown[3]


def test_weights_are_ones_without_a_column() -> None:
    batch = pa.record_batch({"w": pa.array([1, 2, 0], pa.int32())})
    assert read_weight(batch, None).tolist() == [1, 1, 1]
    assert read_weight(batch, "w").tolist() == [1, 2, 0]


def test_values_of_a_regression_need_only_be_finite(models: Models) -> None:
    version, _ = two_models(models, TaskKind.REGRESSION)["weak"]
    prediction = scan.load(version).predict(rows_of(TaskKind.REGRESSION, rows=20))
    prediction = replace(prediction, scores=np.array([1e300, -5.0, math.nan, math.inf]))
    good = read_prediction(prediction, Problem(TaskKind.REGRESSION)).good
    assert good.tolist() == [True, True, False, False]


def test_comparisons_with_the_baseline_are_on_the_same_rows(models: Models) -> None:
    both = two_models(models, TaskKind.BINARY)
    versions = [version for version, _ in both.values()]
    drop, sets = (Condition("max_drop", 0.5),), ("overall", "country")
    tests = (ModelTest("drop", "accuracy", drop, sets, decide=DecideBy.POINT),)
    plan = plan_of(TaskKind.BINARY, versions, [], tests=tests, baseline="binary-weak")
    result = evaluated(plan, rows_of(TaskKind.BINARY), 3)
    values = {(c.model.name, c.slice.name): c.measured.value for c in result.cells}
    for cell in result.cells:
        if cell.model.name == "binary-weak":
            assert (cell.verdict, cell.delta) == (Verdict.RECORDED, None)
            continue
        base = values["binary-weak", cell.slice.name]
        assert cell.baseline_model == "binary-weak"
        assert cell.baseline_value == base
        assert cell.delta == cell.measured.value - base
        assert cell.verdict is Verdict.PASS


def test_frames_and_arrays_agree(models: Models) -> None:
    """The oracle's own road is sound: pandas and Arrow see the same rows."""
    table = rows_of(TaskKind.BINARY)
    assert table["label"].null_count == int(pd.isna(table.to_pandas()["label"]).sum())


# Rankings: the rows of a query stay together, whatever the batches they come in.

QUERIES = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), max_size=12)


CUTS = st.lists(st.integers(0, 80), max_size=12)


@given(QUERIES, CUTS, st.sampled_from(["text", "float", "int"]))
def test_queries_come_whole_however_the_batches_are_cut(
    queries: list[tuple[int, int]], cuts: list[int], kind: str
) -> None:
    # Neighbours of one number are one query.
    numbers = [number for number, rows in queries for _ in range(rows)]
    column = {
        "text": pa.array([f"q{number}" for number in numbers], pa.string()).dictionary_encode(),
        "float": pa.array([(-0.0 if row % 2 else 0.0) if number == 0 else float(number)
                           for row, number in enumerate(numbers)], pa.float64()),
        "int": pa.array([None if number == 1 else number for number in numbers], pa.int16()),
    }[kind]  # fmt: skip
    whole = pa.record_batch({"q": column, "row": pa.array(range(len(numbers)), pa.int64())})
    edges = [0, *sorted(min(cut, len(numbers)) for cut in cuts), len(numbers)]
    batches = [whole.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    found = list(cutting.whole_queries(iter(batches), "q"))
    rows = [batch.column("row").to_pylist() for batch in found]
    assert list(itertools.chain(*rows)) == list(range(len(numbers)))
    assert all(rows)
    for before, after in itertools.pairwise(rows):
        assert numbers[before[-1]] != numbers[after[0]]


def test_a_huge_query_is_put_together_once() -> None:
    batches = [
        pa.record_batch({"q": np.zeros(1000, np.int64), "x": np.ones(1000)}) for _ in range(300)
    ]
    pool = pa.default_memory_pool()
    before = pool.total_bytes_allocated()
    (found,) = cutting.whole_queries(iter(batches), "q")
    assert found.num_rows == 300_000
    # Joining what is held with each batch anew would take 150 times the bytes.
    assert pool.total_bytes_allocated() - before < 12 * found.nbytes


def documents(seed: int = 4) -> pa.Table:
    """Queries of 1 to 30 documents one after the other, some of them without a relevance."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(60), rng.integers(1, 31, 60))
    rows = len(query)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    relevance = np.clip(np.round(a + rng.normal(size=rows)), 0, 3)
    holes = rng.random(rows) < 0.05
    return pa.table(
        {
            "a": a,
            "b": b,
            "label": pa.array(np.where(holes, np.nan, relevance), from_pandas=True),
            "w": rng.choice([0.5, 1.0, 3.25], rows),
            "q": np.array([f"q{number:02}" for number in query]),
            "country": rng.choice(["DE", "FR"], rows),
            BUCKET_COLUMN: (query % BUCKETS).astype(np.int32),
        }
    )  # fmt: skip


def test_a_ranking_equals_a_loop_over_its_queries(models: Models) -> None:
    table = documents()
    frame = table.to_pandas()
    natives, versions = {}, []
    for name, column in (("by-a", "a"), ("by-b", "b")):
        native = LinearRegression().fit(frame[list(FEATURES)], frame[column])
        natives[name] = native
        versions.append(models.of(name, native, TaskKind.RANKING))
    plan = plan_of(
        TaskKind.RANKING,
        versions,
        ["ndcg_at_5", "mrr"],
        slice_sets=(OVERALL, BY_COUNTRY),
        columns=Columns("label", "w", query="q"),
        baseline="by-b",
    )
    assert [(each.output, each.classes) for each in versions] == [(Output.VALUE, ())] * 2
    result = evaluated(plan, table)
    assert len(result.cells) == 12
    for cell in result.cells:
        left = frame[frame["label"].notna()]
        if cell.slice.name != "overall":
            left = left[left["country"] == cell.slice.name.removeprefix("country=")]
        scores = pd.Series(natives[cell.model.name].predict(left[list(FEATURES)]), left.index)
        numbers = [
            of_query(cell.test.metric, rows["label"].to_numpy(), scores[rows.index].to_numpy())
            for _, rows in left.groupby("q")
        ]
        assert cell.counts.n == len(left)
        # A query counts once, whatever the weights of its rows.
        assert cell.measured.value == pytest.approx(np.mean(numbers), rel=1e-9)
    other = by_key(evaluated(plan, table, seed=9))
    for key, cell in by_key(result).items():
        assert other[key].measured.value == pytest.approx(cell.measured.value, rel=1e-12)
        assert (cell.p_value is None) == (cell.model.name == "by-b")
    assert result.curves == result.confusion == []


def of_query(metric: str, relevance: np.ndarray, scores: np.ndarray) -> float:
    if metric == "mrr":
        places = np.flatnonzero(relevance[np.argsort(-scores)] > 0)
        return 1 / (places[0] + 1) if len(places) else 0.0
    if len(relevance) == 1:
        return float(relevance[0] > 0)
    return float(sk.ndcg_score([relevance], [scores], k=5))


@pytest.mark.parametrize(
    ("columns", "per_cluster", "expected"),
    [
        (Columns("label", "w", query="q"), 1.0, Sampling()),
        (Columns("label", "w", cluster="q", query="q"), 1.0, Sampling()),
        (Columns("label", "w", cluster="user", query="q"), 3.5, Sampling(False, True, 3.5)),
    ],
)
def test_the_units_of_a_ranking_are_its_queries(
    models: Models, columns: Columns, per_cluster: float, expected: Sampling
) -> None:
    plan = plan_of(TaskKind.RANKING, [], ["mrr"], columns=columns, rows_per_cluster=per_cluster)
    assert plan.sampling == expected


def test_rows_of_many_labels_equal_scikit_learn(models: Models) -> None:
    rng = np.random.default_rng(8)
    table = rows_of(TaskKind.REGRESSION).drop(["label"])
    x = table.select(FEATURES).to_pandas()
    truth = (x.to_numpy() @ rng.normal(size=(2, 4)) + rng.normal(size=(ROWS, 4)) > 0.3).astype(int)
    label = [None if rng.random() < 0.04 else row for row in truth.tolist()]
    table = table.append_column("label", pa.array(label, pa.list_(pa.int32())))
    native = OneVsRestClassifier(LogisticRegression()).fit(x, truth)
    version = models.of("labels", native, TaskKind.MULTILABEL)
    metrics = ("multilabel_f1_macro", "subset_accuracy", "hamming_loss", "multilabel_log_loss")
    plan = plan_of(TaskKind.MULTILABEL, [version], metrics, slice_sets=(OVERALL, BY_COUNTRY))
    plan = replace(
        plan,
        problem=Problem(TaskKind.MULTILABEL, version.classes),
        models=(version,),
        columns=Columns("label"),
    )
    assert version.classes == ("0", "1", "2", "3")
    where = masks(plan, table)
    for cell in evaluated(plan, table, 3).cells:
        chosen = where[cell.slice.set_name, tuple(value for _, value in cell.slice.values)]
        chosen = chosen & np.array([row is not None for row in label])
        scores = native.predict_proba(x[chosen])
        oracles: dict[str, float] = {
            "multilabel_f1_macro": sk.f1_score(
                truth[chosen], scores > 0.5, average="macro", zero_division=0
            ),
            "subset_accuracy": sk.accuracy_score(truth[chosen], scores > 0.5),
            "hamming_loss": sk.hamming_loss(truth[chosen], scores > 0.5),
            "multilabel_log_loss": np.mean(
                [sk.log_loss(truth[chosen][:, k], scores[:, k], labels=[0, 1]) for k in range(4)]
            ),
        }
        assert cell.counts.n == chosen.sum()
        undefined = cell.measured.reason == "one_class"
        wanted = None if undefined else pytest.approx(oracles[cell.test.metric], rel=1e-9)
        assert cell.measured.value == wanted, cell
        if undefined:
            assert not (truth[chosen].any() or (scores > 0.5).any())
