"""Fairness metrics against fairlearn, and what they say where fairlearn says nothing.

Their values come from the states of groups, so they are measured here and not in
`test_oracles.py`; that file's test of completeness reads `ORACLES`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import fairlearn.metrics as fair
import numpy as np
import pytest
import sklearn
import sklearn.metrics as sk
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.core.vocabulary import RowCounts, TaskKind
from engine.errors import InputError
from engine.metrics import (
    GROUPED,
    METRICS,
    ComparedRate,
    GroupedValue,
    How,
    Problem,
    Sampling,
    SliceStates,
    fairness,
    fairness_metric,
    measure_groups,
)
from engine.statistics.disparity import LargestDifference, SmallestRatio
from engine.statistics.extremes import ExtremeShare
from tests.fixtures.mid_p import mid_p_interval

Rows = Any
Groups = dict[str, Rows]

CLASSES = ("no", "yes")
PROBLEM = Problem(TaskKind.BINARY, CLASSES, 1)


def of_fairlearn(function: Callable[..., Any], groups: Groups) -> Any:
    """A fairness function of fairlearn on the rows of all groups."""
    each = list(groups.values())
    names = [name for name, rows in groups.items() for _ in range(len(rows))]
    # Checking its input is most of what scikit-learn does with a few rows.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return function(
            np.concatenate([rows.truth == rows.positive for rows in each]),
            np.concatenate([rows.predicted == rows.positive for rows in each]),
            sensitive_features=names,
            sample_weight=np.concatenate([rows.weight for rows in each]),
        )


IN_FRAMES = {
    "precision": sk.precision_score,
    "accuracy": sk.accuracy_score,
    "recall": sk.recall_score,
    "selection_rate": fair.selection_rate,
    "specificity": fair.true_negative_rate,
    "fpr": fair.false_positive_rate,
    "fnr": fair.false_negative_rate,
}


def frame_of(truth: Any, predicted: Any, *, sensitive_features: Any, sample_weight: Any) -> Any:
    """Fairlearn's frame of the metrics of each group."""
    return fair.MetricFrame(
        metrics=IN_FRAMES,
        y_true=truth,
        y_pred=predicted,
        sensitive_features=sensitive_features,
        sample_params={name: {"sample_weight": sample_weight} for name in IN_FRAMES},
    )


class Frames:
    """The frame of the groups that were asked for last: making one is what takes time."""

    def __init__(self) -> None:
        self.groups: Groups | None = None
        self.frame: Any = None

    def of(self, groups: Groups) -> Any:
        if groups is not self.groups:
            self.frame = of_fairlearn(frame_of, groups)
            self.groups = groups
        return self.frame


LAST = Frames()


def of_frame(name: str, how: str) -> Callable[[Groups], float]:
    """What is made of a metric of each group, by fairlearn's frame."""
    return lambda groups: float(getattr(LAST.of(groups), how)()[name])


Oracle = Callable[[Groups], float]

NAMED: dict[str, Oracle] = {
    name: partial(of_fairlearn, getattr(fair, name))
    for stem in (
        "demographic_parity",
        "equal_opportunity",
        "equalized_odds",
        "false_positive_rate",
        "false_negative_rate",
    )
    for name in (f"{stem}_difference", f"{stem}_ratio")
} | {
    "average_odds_difference": partial(
        of_fairlearn, partial(fair.equalized_odds_difference, agg="mean")
    )
}
FRAMES: dict[str, Oracle] = {
    f"{stem}_{how}": of_frame(metric, how)
    for stem, metric in (("predictive_parity", "precision"), ("accuracy_parity", "accuracy"))
    for how in ("difference", "ratio")
} | {
    f"{name}_{how}": of_frame(name, how)
    for how, names in (
        ("group_min", ("accuracy", "recall", "precision", "selection_rate", "specificity")),
        ("group_max", ("fpr", "fnr")),
    )
    for name in names
}
# Fairlearn has nothing like these; with many rows in each group the noise is next to nothing.
DEBIASED: dict[str, Oracle] = {
    f"{name}_debiased": oracle
    for name, oracle in (NAMED | FRAMES).items()
    if name.endswith("_difference")
}
ORACLES: dict[str, Oracle] = NAMED | FRAMES | DEBIASED
PATTERNS: dict[str, Oracle] = {}


@pytest.fixture
def by_groups(measure: Any) -> Callable[..., GroupedValue]:
    """Measures a fairness metric from the rows of each group, through states and bytes."""

    def measured(name: str, groups: Groups) -> GroupedValue:
        problem = next(iter(groups.values())).problem if groups else PROBLEM
        return measure_groups(name, problem, states_of(measure, name, groups))

    return measured


def states_of(measure: Any, name: str, groups: Groups) -> dict[str, SliceStates]:
    made = {}
    for group, rows in groups.items():
        made[group] = states = measure.states(name, rows)
        states.sampling = Sampling(weighted=not rows.unweighted)
    return made


def divided(rows: Rows, n_groups: int) -> Groups:
    """The rows by their place, in groups of unequal size."""
    of = np.arange(len(rows)) ** 2 % 11 % n_groups
    return {f"g={k}": rows.at(np.flatnonzero(of == k)) for k in range(n_groups)}


def rows_of(rows_from: Any, cells: Any, weight: Any = None) -> Rows:
    """Rows of counts: true positives, false negatives, false positives, true negatives."""
    truth = np.repeat([1, 1, 0, 0], cells)
    scores = np.repeat([1.0, 0.0, 1.0, 0.0], cells)
    return rows_from(truth, scores, classes=CLASSES, weight=weight)


def test_every_fairness_metric_has_an_oracle_and_is_a_metric() -> None:
    assert set(GROUPED) == set(ORACLES)
    for name, grouped in GROUPED.items():
        metric = METRICS.get(name)
        assert metric.tasks == {TaskKind.BINARY}
        assert metric.bounds == (0.0, 1.0)
        assert metric.higher_is_better is (grouped.how in (How.RATIO, How.MINIMUM))
        assert [family.key for family in metric.needs(PROBLEM)] == ["confusion(2)"]
    assert METRICS.canonical("disparate_impact") == "demographic_parity_ratio"


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("weights", ["none", "random", "zeros"])
@pytest.mark.parametrize("n_groups", [2, 5])
def test_random_groups(
    by_groups: Any, random_rows: Any, n_groups: int, weights: str, positive: int
) -> None:
    rows = random_rows(n_groups, 400, classes=CLASSES, weights=weights, positive=positive)
    groups = divided(rows, n_groups)
    for name, oracle in (NAMED | FRAMES).items():
        found = by_groups(name, groups)
        assert found.value.reason is None
        assert found.value.value == pytest.approx(oracle(groups), rel=1e-9, abs=1e-12), name
        low, high = found.spread.interval(0.95)
        assert low <= found.value.value <= high


def test_with_many_rows_the_debiased_difference_is_the_raw_one(
    by_groups: Any, rows_from: Any
) -> None:
    groups = {
        "g=a": rows_of(rows_from, (2000, 2000, 1000, 3000)),
        "g=b": rows_of(rows_from, (2500, 1500, 1500, 2500)),
        "g=c": rows_of(rows_from, (3750, 250, 750, 3250)),
    }
    for name, oracle in DEBIASED.items():
        assert by_groups(name, groups).value.value == pytest.approx(oracle(groups), rel=0.02), name


@given(
    st.lists(
        st.tuples(*[st.integers(0, 4)] * 4, st.sampled_from([0.3, 1.0, 2.5])),
        min_size=2,
        max_size=5,
    )
)
def test_small_groups(measure: Any, rows_from: Any, drawn: Any) -> None:
    groups = {
        f"g={k}": rows_of(rows_from, cells, np.full(sum(cells), weight))
        for k, (*cells, weight) in enumerate(drawn)
        if sum(cells)
    }
    assume(len(groups) > 1)
    cells = np.array([each[:4] for each in drawn if sum(each[:4])])
    positives, negatives, chosen = (
        (cells[:, which].sum(1) == 0).any() for which in ([0, 1], [2, 3], [0, 2])
    )
    lacks = {
        **dict.fromkeys(("equal_opportunity", "false_negative_rate"), positives),
        **dict.fromkeys(("recall_group", "fnr_group"), positives),
        **dict.fromkeys(("false_positive_rate", "specificity_group", "fpr_group"), negatives),
        **dict.fromkeys(("predictive_parity", "precision_group"), chosen),
        **dict.fromkeys(("equalized_odds", "average_odds"), positives or negatives),
    }
    zero = {
        "demographic_parity": not cells[:, [0, 2]].any(),
        "equal_opportunity": not cells[:, 0].any(),
        "predictive_parity": not cells[:, 0].any(),
        "equalized_odds": not (cells[:, 0].any() and cells[:, 2].any()),
        "accuracy_parity": not cells[:, [0, 3]].any(),
        "false_positive_rate": not cells[:, 2].any(),
        "false_negative_rate": not cells[:, 1].any(),
    }
    for name, oracle in (NAMED | FRAMES).items():
        stem, _, how = name.rpartition("_")
        value = measure_groups(name, PROBLEM, states_of(measure, name, groups)).value
        if lacks.get(stem, False):
            assert (value.value, value.reason) == (None, "undefined_groups")
        elif how == "ratio" and zero[stem]:
            assert (value.value, value.reason) == (None, "zero_rate")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = oracle(groups)
            assert value.value == pytest.approx(expected, rel=1e-9, abs=1e-12), name


def test_groups_without_a_rate_are_named(by_groups: Any, rows_from: Any) -> None:
    whole = rows_of(rows_from, (3, 4, 5, 6))
    groups = {
        "sex=f": whole,
        "sex=m": rows_of(rows_from, (0, 0, 5, 6)),
        "sex=<null>": rows_of(rows_from, (0, 2, 0, 6)),
    }
    found = by_groups("equal_opportunity_difference", groups)
    assert found.spread is None
    assert found.value.reason == "undefined_groups"
    assert found.value.detail == "recall is undefined for sex=m (no positive rows)"
    found = by_groups("predictive_parity_ratio", groups)
    assert found.value.detail == (
        "precision is undefined for sex=<null> (no rows predicted positive)"
    )
    one_sided = groups | {"sex=x": rows_of(rows_from, (2, 1, 0, 0))}
    assert by_groups("equalized_odds_difference", one_sided).value.detail == (
        "recall is undefined for sex=m (no positive rows); "
        "false positive rate is undefined for sex=x (no negative rows)"
    )
    assert by_groups("demographic_parity_difference", one_sided).value.value is not None
    many = {"g=0": whole} | {f"g={k}": groups["sex=m"] for k in range(1, 9)}
    assert by_groups("equal_opportunity_ratio", many).value.detail == (
        "recall is undefined for g=1, g=2, g=3, g=4, g=5 and 3 more (no positive rows)"
    )


def test_groups_whose_rows_cannot_be_used(measure: Any, rows_from: Any) -> None:
    rows = rows_of(rows_from, (3, 4, 5, 6))
    name = "demographic_parity_difference"

    def value(counts: RowCounts) -> Any:
        groups = states_of(measure, name, {"g=a": rows, "g=b": rows})
        groups["g=b"] = SliceStates(counts, groups["g=b"].families)
        return measure_groups(name, PROBLEM, groups).value

    assert value(RowCounts(18, 18.0)).value == 0.0
    assert value(RowCounts(0, 0.0, null_labels=4)).detail == (
        "selection rate is undefined for g=b (no labelled rows)"
    )
    assert value(RowCounts(18, 0.0)).detail == (
        "selection rate is undefined for g=b (all weights are 0)"
    )
    bad = value(RowCounts(18, 18.0, bad_scores=1))
    assert (bad.value, bad.reason) == (None, "nan_input")
    assert bad.detail == "unusable predictions for g=b"
    gone = value(RowCounts(0, 0.0))
    assert (gone.value, gone.reason) == (None, "one_group")
    assert gone.detail == "all rows are of g=a; at least two groups are compared"


def test_one_group_and_none(by_groups: Any, rows_from: Any) -> None:
    for groups in ({}, {"g=a": rows_of(rows_from, (3, 4, 5, 6))}):
        found = by_groups("accuracy_parity_difference", groups)
        assert (found.value.value, found.value.reason) == (None, "one_group")
        assert found.spread is None


def test_the_worst_group_may_be_the_only_one(by_groups: Any, rows_from: Any) -> None:
    alone = {"g=a": rows_of(rows_from, (30, 10, 5, 45))}
    found = by_groups("recall_group_min", alone)
    assert (found.value.value, found.value.detail) == (0.75, "recall is 0.75 in all groups")
    assert found.spread.interval(0.95) == pytest.approx(mid_p_interval(30, 40))
    assert by_groups("fnr_group_max", alone).value.value == 0.25
    nothing = by_groups("recall_group_min", {}).value
    assert (nothing.value, nothing.reason, nothing.detail) == (None, "empty", "no group has rows")


def test_the_worst_group_is_named_and_its_rate_is_between_its_limits(
    by_groups: Any, rows_from: Any
) -> None:
    groups = {
        "g=a": rows_of(rows_from, (60, 40, 10, 90)),
        "g=b": rows_of(rows_from, (70, 30, 40, 60)),
    }
    least = by_groups("recall_group_min", groups)
    assert least.value.value == pytest.approx(0.6)
    assert least.value.detail == "recall from 0.6 for g=a to 0.7 for g=b"
    assert isinstance(least.spread, ExtremeShare)
    low, _ = mid_p_interval(60, 100)
    _, high = mid_p_interval(60, 100, 0.0125)
    assert least.spread.interval(0.95) == pytest.approx((low, high))
    most = by_groups("fpr_group_max", groups)
    assert most.value.value == pytest.approx(0.4)
    low, _ = mid_p_interval(40, 100, 0.0125)
    _, high = mid_p_interval(40, 100)
    assert most.spread.interval(0.95) == pytest.approx((low, high))


def test_a_group_of_which_nothing_is_known_leaves_the_worst_open(
    measure: Any, rows_from: Any
) -> None:
    """Its rows are all of one cluster."""
    name = "accuracy_group_min"
    alone = rows_of(rows_from, (50, 10, 10, 30))
    alone.bucket[:] = 3
    states = states_of(measure, name, {"g=a": alone, "g=b": rows_of(rows_from, (50, 5, 5, 40))})
    sizes = {"g=a": np.eye(20)[3] * 100, "g=b": np.full(20, 5.0)}
    sampling = Sampling(clustered=True, rows_per_cluster=5.0)
    groups = {
        group: SliceStates(on.counts[0], on.families, buckets=sizes[group], sampling=sampling)
        for group, on in states.items()
    }
    found = measure_groups(name, PROBLEM, groups)
    assert found.value.value == pytest.approx(0.8)
    low, high = found.spread.interval(0.95)
    assert low < 0.01 and 0.8 < high < 1.0


def test_the_mean_of_odds_tells_both_rates(by_groups: Any, rows_from: Any) -> None:
    groups = {
        "g=a": rows_of(rows_from, (60, 40, 10, 90)),
        "g=b": rows_of(rows_from, (70, 30, 40, 60)),
    }
    found = by_groups("average_abs_odds_difference", groups)
    assert found.value.value == pytest.approx(0.2)
    assert found.value.detail == (
        "false positive rate from 0.1 for g=a to 0.4 for g=b; "
        "recall from 0.6 for g=a to 0.7 for g=b"
    )
    low, high = found.spread.interval(0.95)
    assert 0 <= low < 0.2 < high
    debiased = by_groups("average_odds_difference_debiased", groups).value
    assert debiased.detail == f"0.2 with its noise; {found.value.detail}"
    assert low < debiased.value < 0.2


def test_a_rate_of_zero_has_no_ratio(by_groups: Any, rows_from: Any) -> None:
    groups = {
        "g=a": rows_of(rows_from, (3, 2, 0, 6)),
        "g=b": rows_of(rows_from, (4, 1, 0, 6)),
    }
    found = by_groups("equalized_odds_ratio", groups)
    assert (found.value.value, found.value.reason) == (None, "zero_rate")
    assert found.value.detail == "false positive rate is 0 in all groups"
    assert by_groups("equal_opportunity_ratio", groups).value.value == pytest.approx(0.75)
    assert by_groups("equalized_odds_difference", groups).value.value == pytest.approx(0.2)


def test_the_detail_names_the_groups_that_differ_most(by_groups: Any, rows_from: Any) -> None:
    groups = {
        "g=a": rows_of(rows_from, (60, 40, 10, 90)),
        "g=b": rows_of(rows_from, (70, 30, 40, 60)),
        "g=c": rows_of(rows_from, (65, 35, 20, 80)),
    }
    detail = "false positive rate from 0.1 for g=a to 0.4 for g=b"
    assert by_groups("equalized_odds_difference", groups).value.detail == detail
    assert by_groups("equalized_odds_ratio", groups).value.detail == detail
    debiased = by_groups("equalized_odds_difference_debiased", groups).value
    assert debiased.detail == f"0.3 with its noise; {detail}"
    assert 0.2 < debiased.value < 0.3
    alike = by_groups("equalized_odds_difference", {"g=a": groups["g=a"], "g=b": groups["g=a"]})
    assert alike.value.detail == "recall is 0.6 in all groups"


def test_intervals_rest_on_the_rows_that_the_rates_do(by_groups: Any, rows_from: Any) -> None:
    groups = {
        "g=a": rows_of(rows_from, (30, 20, 100, 900)),
        "g=b": rows_of(rows_from, (40, 60, 300, 700)),
    }
    spread = by_groups("equalized_odds_difference", groups).spread
    assert isinstance(spread, LargestDifference)
    recall, false_positives = spread.kinds
    assert recall.hits == pytest.approx([30, 40]) and recall.trials == pytest.approx([50, 100])
    assert false_positives.hits == pytest.approx([100, 300])
    assert false_positives.trials == pytest.approx([1000, 1000])
    precision = by_groups("predictive_parity_ratio", groups).spread
    assert isinstance(precision, SmallestRatio)
    assert precision.kinds[0].trials == pytest.approx([130, 340])


def test_weights_and_clusters_make_an_interval_wider(measure: Any, rows_from: Any) -> None:
    rng = np.random.default_rng(4)
    name = "demographic_parity_difference"

    def width(*, weighted: bool = False, clustered: bool = False) -> float:
        groups = {}
        for k, share in enumerate((0.3, 0.5)):
            # Clusters of 20 rows that are all predicted alike, one or more in each bucket.
            cluster = np.repeat(np.arange(60), 20)
            chosen = (np.arange(60) % 10 < 10 * share)[cluster]
            if not clustered:
                chosen = rng.permutation(chosen)
            weight = rng.choice([0.2, 3.0], len(chosen)) if weighted else None
            rows = rows_from(
                rng.integers(0, 2, len(chosen)),
                np.where(chosen, 0.9, 0.1),
                classes=CLASSES,
                weight=weight,
                bucket=cluster * 7 % 20,
            )
            states = measure.states(name, rows)
            states.sampling = Sampling(weighted, clustered, 20.0 if clustered else 1.0)
            groups[f"g={k}"] = states
        spread = measure_groups(name, PROBLEM, groups).spread
        assert spread is not None
        low, high = spread.interval(0.95)
        return high - low

    plain = width()
    assert plain == pytest.approx(0.08, abs=0.02)
    assert width(weighted=True) > 1.2 * plain
    assert width(clustered=True) > 2 * plain


def test_a_group_of_one_cluster_keeps_its_rate_but_proves_nothing(
    measure: Any, rows_from: Any
) -> None:
    name = "demographic_parity_difference"
    alone = rows_of(rows_from, (50, 10, 20, 20))
    alone.bucket[:] = 3
    rows = {"g=a": alone, "g=b": rows_of(rows_from, (10, 50, 10, 30))}
    groups = states_of(measure, name, rows)
    sizes = {"g=a": np.eye(20)[3] * 100, "g=b": np.full(20, 5.0)}
    sampling = Sampling(clustered=True, rows_per_cluster=5.0)
    groups = {
        group: SliceStates(on.counts[0], on.families, buckets=sizes[group], sampling=sampling)
        for group, on in groups.items()
    }
    found = measure_groups(name, PROBLEM, groups)
    assert found.value.value == pytest.approx(0.5)
    low, high = found.spread.interval(0.95)
    assert low == 0.0 and high > 0.75


def test_without_groups_a_fairness_metric_says_what_is_missing(
    measure: Any, rows_from: Any
) -> None:
    with pytest.raises(InputError, match="name the column in its test, as in `group: sex`"):
        measure("demographic_parity_difference", rows_of(rows_from, (1, 2, 3, 4)))
    with pytest.raises(InputError, match="'accuracy' is no fairness metric"):
        measure_groups("accuracy", PROBLEM, {})


@pytest.mark.usefixtures("own_registry")
def test_own_fairness_metrics(
    by_groups: Any, rows_from: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fairness, "GROUPED", dict(GROUPED))
    groups = {
        "g=a": rows_of(rows_from, (60, 40, 10, 90)),
        "g=b": rows_of(rows_from, (70, 30, 40, 60)),
    }
    micro = ComparedRate(METRICS.get("recall_micro"), "micro recall", "no labelled rows")
    fairness_metric("micro_parity", [micro], How.DIFFERENCE, summary="Of micro averages.")
    assert by_groups("micro_parity", groups).value.value == pytest.approx(0.1)
    f1 = ComparedRate(METRICS.get("f1"), "F1", "no positive rows")
    fairness_metric("f1_parity", [f1], How.DIFFERENCE)
    with pytest.raises(InputError, match="f1 is no share of rows"):
        by_groups("f1_parity", groups)
