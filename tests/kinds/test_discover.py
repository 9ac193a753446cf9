"""`discover`: lattices against pandas, searches against brute force, what is planted is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from engine.core.vocabulary import (
    Columns,
    DatasetVersion,
    EvaluationResult,
    ModelTest,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.kinds import DISCOVERED, KINDS, parameters_text, pin_test
from engine.kinds.discover import losses
from engine.kinds.discover.axes import axis_of, slice_at
from engine.kinds.discover.lattice import (
    LOSS,
    OTHER,
    ROWS,
    SQUARES,
    SQUARES_LOSS2,
    WEIGHT,
    Axis,
    Lattice,
    LatticeLosses,
    LatticeView,
    LossTerms,
    PairedLatticeLosses,
)
from engine.kinds.discover.outcome import outcome
from engine.kinds.discover.search import Against, Asked, Halves, candidates, search
from engine.planning import EvaluationPlan, check_fit, expand_tests
from engine.planning.suites import read_suite
from engine.states import BUCKETS, Mean, NotInvertible, Pair, RowColumns, Scored, Sums
from engine.statistics import two_groups
from engine.suite import Suite, dump_suite
from tests.fixtures.kernel import OVERALL, Models, evaluated, plan_of, rows_of

KIND = KINDS.get("discover")
LOSS_OF_ROW = Mean("own", lambda batch: batch.truth)
AXES = (
    Axis("country", ("de", "fr")),
    Axis("age", edges=(30.0, 50.0)),
    Axis("vip", (False, True)),
    Axis("kids", (0, 1, 2)),
)


def people(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "country": rng.choice(["de", "fr", "it", None], rows),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(18, 80, rows)),
            "vip": rng.choice([True, False], rows).astype(float),
            "kids": rng.integers(0, 5, rows).astype(float),
            "loss": rng.random(rows),
            "other": rng.random(rows),
            "weight": rng.choice([0.0, 0.5, 2.0], rows),
            "bucket": rng.integers(0, BUCKETS, rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "vip"] = np.nan
    return frame


def scored(frame: pd.DataFrame, loss: str = "loss", *, weighted: bool = False) -> Scored:
    columns = RowColumns(
        tuple(axis.column for axis in AXES),
        lambda name: frame[name].to_numpy(object if name == "country" else float),
    )
    weight = frame["weight"].to_numpy() if weighted else np.ones(len(frame))
    return Scored(
        frame[loss].to_numpy(), weight, frame["bucket"].to_numpy(), unweighted=not weighted,
        columns=columns,
    )  # fmt: skip


def places(frame: pd.DataFrame) -> pd.DataFrame:
    """The place of each row on each axis, by another road."""
    country = frame["country"].map({"de": 0, "fr": 1, "it": 2}).fillna(3)
    age = pd.cut(frame["age"], [-np.inf, 30, 50, np.inf], right=False, labels=False).fillna(3)
    vip = frame["vip"].map({0.0: 0, 1.0: 1}).fillna(3)
    kids = frame["kids"].where(frame["kids"] < 3, 3)
    return pd.DataFrame({0: country, 1: age, 2: vip, 3: kids}).astype(int)


def terms(parts: int = 2, depth: int = 2, *, weighted: bool = False) -> LossTerms:
    return LossTerms(Lattice(AXES, depth), LOSS_OF_ROW, parts, weighted)


def view_of(states: Sums, own: LossTerms) -> LatticeView:
    return LatticeView(own.lattice, own.read(states.values[0]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parts", [2, BUCKETS])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sums_are_those_of_a_group_by(depth: int, parts: int, weighted: bool) -> None:
    frame, own = people(), terms(parts, depth, weighted=weighted)
    family = LatticeLosses.of_terms(own)
    batch = scored(frame, weighted=weighted)
    view = view_of(family.of(batch, np.zeros(len(frame), np.int64), 1), own)
    w = frame["weight"] if weighted else pd.Series(1.0, frame.index)
    numbers = pd.DataFrame(
        {
            ROWS: 1.0, WEIGHT: w, LOSS: w * frame["loss"], SQUARES: w**2,
            SQUARES_LOSS2: (w * frame["loss"]) ** 2,
        }
    )  # fmt: skip
    by = places(frame).assign(part=frame["bucket"] * parts // BUCKETS)
    for size in range(1, depth + 1):
        for axes in combinations(range(len(AXES)), size):
            expected = numbers.groupby([by["part"], *(by[axis] for axis in axes)]).sum()
            table = view.table(axes)
            assert table.shape == (parts, *(AXES[axis].size for axis in axes), 7)
            for cell, row in expected.iterrows():
                np.testing.assert_allclose(table[cell][row.index], row, rtol=1e-12)
            assert table[..., ROWS].sum() == len(frame)
    np.testing.assert_allclose(view.whole[:, LOSS].sum(), (w * frame["loss"]).sum())


def test_sums_of_any_split_are_those_of_the_whole_and_can_be_taken_away() -> None:
    frame, own = people(), terms(depth=3)
    family = LatticeLosses.of_terms(own)

    def of(rows: pd.DataFrame) -> Sums:
        return family.of(scored(rows), np.zeros(len(rows), np.int64), 1)

    whole, first, rest = of(frame), of(frame[:700]), of(frame[700:])
    np.testing.assert_allclose(first.merge(rest).values, whole.values, rtol=1e-12)
    np.testing.assert_allclose(whole.minus(first).values, rest.values, atol=1e-9)
    assert family.zero(1).merge(whole).values.tolist() == whole.values.tolist()
    assert family.of(scored(frame[:0]), np.zeros(0, np.int64), 1).values.sum() == 0
    with pytest.raises(NotInvertible):
        first.minus(whole)


def test_rows_that_a_model_cannot_use_cost_no_second_look_at_the_columns() -> None:
    frame = people(500)
    batch, asked = scored(frame), []
    column = batch.columns.derive("length", lambda columns: asked.append(1) or columns["kids"])
    some = batch.columns.at(np.array([3, 5]))
    assert (
        some.derive("length", lambda columns: columns["kids"]).tolist() == column[[3, 5]].tolist()
    )
    assert asked == [1]


def test_pairs_have_the_difference_and_the_models_own_loss() -> None:
    frame, own = people(), terms()
    pair = Pair(scored(frame, "other"), scored(frame))
    states = PairedLatticeLosses.of_terms(own).of(pair, np.zeros(len(frame), np.int64), 1)
    whole = view_of(states, own).whole.sum(axis=0)
    difference = frame["loss"] - frame["other"]
    expected = [len(frame), difference.sum(), (difference**2).sum(), frame["loss"].sum()]
    np.testing.assert_allclose(whole[[ROWS, LOSS, SQUARES_LOSS2, OTHER]], expected, rtol=1e-9)


# Searches.


def errors(
    seed: int, rows: int, *, plant: bool, columns: int = 8, rate: float = 0.1
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of some columns, and errors that are twice as many where the first two are 0."""
    rng = np.random.default_rng([31, seed])
    frame = pd.DataFrame({f"c{n}": rng.integers(0, 5, rows) for n in range(columns)})
    frame["c0"] = np.where(rng.random(rows) < 0.1, 0, rng.integers(1, 5, rows))
    frame["c1"] = np.where(rng.random(rows) < 0.2, 0, rng.integers(1, 5, rows))
    weak = plant & (frame["c0"] == 0) & (frame["c1"] == 0)
    return frame, (rng.random(rows) < np.where(weak, 2 * rate, rate)).astype(float)


def lattice_view(
    frame: pd.DataFrame, loss: np.ndarray, *, depth: int = 2, parts: int = 2,
    bucket: np.ndarray | None = None, theirs: np.ndarray | None = None,
) -> LatticeView:  # fmt: skip
    axes = tuple(Axis(name, (0, 1, 2, 3, 4)) for name in frame.columns)
    own = LossTerms(Lattice(axes, depth), LOSS_OF_ROW, parts, weighted=False)
    columns = RowColumns(tuple(frame.columns), lambda name: frame[name].to_numpy(float))
    if bucket is None:
        bucket = np.random.default_rng(5).integers(0, BUCKETS, len(frame))
    one = Scored(loss, np.ones(len(frame)), bucket, unweighted=True, columns=columns)
    groups = np.zeros(len(frame), np.int64)
    if theirs is None:
        states = LatticeLosses.of_terms(own).of(one, groups, 1)
    else:
        other = Scored(theirs, one.weight, bucket, unweighted=True, columns=columns)
        states = PairedLatticeLosses.of_terms(own).of(Pair(other, one), groups, 1)
    return LatticeView(own.lattice, own.read(states.values[0]))


ASKED = Asked(0.01, 10, 0.0, 0.95, exact=True)


def search_view(view: LatticeView, asked: Asked) -> list[Any]:
    return search(view, asked).tested


PLANTED = ((0, 0), (1, 0))


@pytest.mark.parametrize("depth", [2, 3])
def test_the_ranking_is_that_of_brute_force(depth: int) -> None:
    frame, loss = errors(1, 6000, plant=True, columns=5)
    bucket = np.random.default_rng(5).integers(0, BUCKETS, len(frame))
    view = lattice_view(frame, loss, depth=depth, bucket=bucket)
    halves = Halves(view)
    against = Against.of(halves.first_sums(view.whole), ASKED)
    ranked, slices = candidates(halves, against, ASKED)
    half = bucket < BUCKETS // 2
    mean, deviation = loss[half].mean(), loss[half].std()
    expected = {}
    for size in range(1, depth + 1):
        for axes in combinations(range(5), size):
            by = [frame.iloc[:, axis] for axis in axes]
            for values, rows in frame.groupby([s.to_numpy() for s in by]).groups.items():
                values = values if isinstance(values, tuple) else (values,)
                inside = np.zeros(len(frame), bool)
                inside[rows] = True
                n = (inside & half).sum()
                z = (loss[inside & half] - mean).sum() / (deviation * np.sqrt(n))
                if inside.sum() >= 60 and min(n, (inside & ~half).sum()) >= 15 and z >= 2:
                    expected[tuple(zip(axes, map(int, values), strict=True))] = z
    assert {one.conditions: pytest.approx(one.z) for one in ranked} == expected
    assert slices >= len(expected)
    assert [one.z for one in ranked] == sorted((one.z for one in ranked), reverse=True)


def test_what_is_planted_is_confirmed_and_nothing_else_is_for_sure() -> None:
    confirmed, others, falsely = 0, 0, 0
    for seed in range(20):
        frame, loss = errors(seed, 20_000, plant=True)
        found = [one for one in search_view(lattice_view(frame, loss), ASKED) if one.q <= 0.05]
        confirmed += any(one.conditions == PLANTED for one in found)
        others += any(one.conditions != PLANTED for one in found)
        frame, loss = errors(100 + seed, 20_000, plant=False)
        falsely += any(one.q <= 0.05 for one in search_view(lattice_view(frame, loss), ASKED))
    assert confirmed >= 15
    assert others <= 5
    assert falsely <= 3, "about one in 20"


def test_relatives_of_a_weak_slice_are_told_once() -> None:
    """A column that says the same, a column whose value is weak as a whole, and its parts."""
    rng = np.random.default_rng(3)
    frame, _ = errors(3, 40_000, plant=False, columns=5)
    frame["c4"] = frame["c0"]
    loss = (rng.random(len(frame)) < np.where(frame["c0"] == 0, 0.2, 0.1)).astype(float)
    found = [one for one in search_view(lattice_view(frame, loss), ASKED) if one.q <= 0.05]
    assert [one.conditions for one in found] == [((0, 0),)]


def test_a_part_that_is_worse_than_its_weak_whole_is_told_besides() -> None:
    rng = np.random.default_rng(4)
    frame, _ = errors(4, 60_000, plant=False, columns=5)
    weak = frame["c0"] == 0
    rate = np.where(weak, 0.2, 0.1) + np.where(weak & (frame["c1"] == 0), 0.4, 0)
    loss = (rng.random(len(frame)) < rate).astype(float)
    found = [one for one in search_view(lattice_view(frame, loss), ASKED) if one.q <= 0.05]
    assert {one.conditions for one in found} == {PLANTED, ((0, 0),)}


def test_an_equal_candidate_reports_nothing_and_a_worse_one_where_it_is_worse() -> None:
    reported = 0
    asked = replace(ASKED, paired=True)
    for seed in range(20):
        frame, ours = errors(seed, 10_000, plant=False)
        _, theirs = errors(500 + seed, 10_000, plant=False)
        tested = search_view(lattice_view(frame, ours, theirs=theirs), asked)
        reported += any(one.q <= 0.05 for one in tested)
    assert reported <= 3
    frame, ours = errors(1, 50_000, plant=True)
    _, theirs = errors(501, 50_000, plant=False)
    view = lattice_view(frame, ours, theirs=theirs)
    found = outcome(view, asked, "error_rate").finds
    assert [find.where.name for find in found] == ["c0=0 & c1=0"]
    inside = ((frame["c0"] == 0) & (frame["c1"] == 0)).to_numpy()
    inside &= np.random.default_rng(5).integers(0, BUCKETS, len(frame)) >= BUCKETS // 2
    assert found[0].value.value == pytest.approx(ours[inside].mean())
    assert found[0].baseline_value == pytest.approx(theirs[inside].mean())
    assert found[0].delta == pytest.approx((ours - theirs)[inside].mean())
    assert search_view(lattice_view(frame, ours, theirs=ours), asked) == []


def test_a_version_that_is_worse_everywhere_is_no_matter_of_slices() -> None:
    rng = np.random.default_rng(8)
    frame, theirs = errors(8, 30_000, plant=False)
    ours = np.maximum(theirs, rng.random(len(frame)) < 0.05)
    tested = search_view(lattice_view(frame, ours, theirs=theirs), replace(ASKED, paired=True))
    assert not any(one.q <= 0.05 for one in tested)


def test_rows_of_clusters_are_not_taken_for_rows_of_their_own() -> None:
    """Clusters of 50 rows that have their columns' values and one rate of errors in common."""
    falsely = {2: 0, BUCKETS: 0}
    for seed in range(20):
        rng = np.random.default_rng([9, seed])
        cluster = np.repeat(np.arange(400), 50)
        frame = pd.DataFrame({f"c{n}": rng.integers(0, 5, 400)[cluster] for n in range(5)})
        rate = rng.beta(0.5, 4.5, 400)[cluster]
        loss = (rng.random(len(cluster)) < rate).astype(float)
        bucket = rng.integers(0, BUCKETS, 400)[cluster]
        for parts in falsely:
            view = lattice_view(frame, loss, parts=parts, bucket=bucket)
            falsely[parts] += any(one.q <= 0.05 for one in search_view(view, ASKED))
    assert falsely[BUCKETS] <= 3
    assert falsely[2] >= 5, "taken for rows of their own they report what is not there"


def test_figures_of_a_find_are_of_the_other_half() -> None:
    frame, loss = errors(2, 50_000, plant=True)
    bucket = np.random.default_rng(5).integers(0, BUCKETS, len(frame))
    result = outcome(lattice_view(frame, loss, bucket=bucket), ASKED, "error_rate")
    (find,) = [find for find in result.finds if find.where.name == "c0=0 & c1=0"]
    inside = ((frame["c0"] == 0) & (frame["c1"] == 0)).to_numpy()
    half = bucket >= BUCKETS // 2
    assert find.counts.n == inside.sum()
    assert find.value.value == pytest.approx(loss[inside & half].mean())
    assert find.value.numbers is not None
    assert find.value.numbers["elsewhere"] == pytest.approx(loss[~inside & half].mean())
    assert find.value.numbers["of_all"] == pytest.approx(loss[inside].sum() / loss.sum())
    assert find.value.ci_low is not None and find.value.ci_high is not None
    assert find.value.ci_low < 0.2 < find.value.ci_high
    assert dict(find.where.values) == {"c0": "0", "c1": "0"}
    assert find.where.kind == DISCOVERED
    assert result.slices == 8 * 5 + 28 * 25, "those of no value have no rows"
    assert result.power > 0.9


def test_a_gap_that_is_allowed_is_not_reported() -> None:
    frame, loss = errors(2, 50_000, plant=True)
    view = lattice_view(frame, loss)
    allowed = [one for one in search_view(view, replace(ASKED, gap=0.15)) if one.q <= 0.05]
    assert allowed == []
    assert [one for one in search_view(view, replace(ASKED, gap=0.03)) if one.q <= 0.05]


def test_the_power_is_about_what_is_found() -> None:
    """A slice of 2 %: with so many rows the share of planted ones that is confirmed."""
    for rows, low, high in ((10_000, 0.2, 0.6), (20_000, 0.7, 0.95), (50_000, 0.98, 1.0)):
        frame, loss = errors(1, rows, plant=False, columns=20)
        asked = replace(ASKED, min_share=0.02)
        assert low <= outcome(lattice_view(frame, loss), asked, "error_rate").power <= high


# Statistics.


@pytest.mark.parametrize(
    "counts", [(8, 10, 1, 10), (0, 5, 3, 9), (5, 5, 0, 4), (30, 400, 90, 3000)]
)
def test_fisher_is_that_of_scipy(counts: tuple[int, int, int, int]) -> None:
    hits, trials, other, others = counts
    table = [[hits, trials - hits], [other, others - other]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert two_groups.fisher_p(*counts) == pytest.approx(expected, rel=1e-9)


def test_welch_and_signs_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.2, 1, 80), rng.normal(0, 3, 900)

    def of(values: np.ndarray) -> two_groups.GroupMean:
        return two_groups.GroupMean(values.mean(), values.var(ddof=1) / len(values), len(values))

    expected = stats.ttest_ind(one, other, equal_var=False, alternative="greater").pvalue
    assert two_groups.welch_p(of(one), of(other)) == pytest.approx(expected, rel=1e-9)
    shifted = stats.ttest_ind(one - 0.1, other, equal_var=False, alternative="greater").pvalue
    assert two_groups.welch_p(of(one), of(other), 0.1) == pytest.approx(shifted, rel=1e-9)
    for more, less in ((8, 2), (1, 0), (40, 60)):
        expected = stats.binomtest(more, more + less, alternative="greater").pvalue
        assert two_groups.sign_p(more, less) == pytest.approx(expected, rel=1e-9)
    assert two_groups.sign_p(0, 3) == 1.0
    same = two_groups.GroupMean(0.5, 0.0, 10)
    assert two_groups.welch_p(same, same) == 1.0


# Columns.


def test_bins_are_cut_where_a_name_can_say_it() -> None:
    quantiles = [[float(value), 1.0] for value in np.linspace(0.12345678, 9.87654321, 20)]
    axis = axis_of("x", quantiles, 0.01)
    assert axis is not None and axis.edges is not None and len(axis.edges) == 4
    assert all(edge == float(f"{edge:.6g}") for edge in axis.edges)
    few = axis_of("x", [[value, 1.0] for value in [0.0] * 15 + [1.0] * 4 + [7.0]], 0.01)
    assert few == Axis("x", edges=(1.0, 7.0))
    assert axis_of("x", [], 0.01) is None
    assert axis_of("x", [["a", 0.005]], 0.01) is None
    values = [[f"v{n}", (n + 1) / 100] for n in range(13)]
    axis = axis_of("x", values, 0.01)
    assert axis is not None and len(axis.values) == 8 and "v12" in axis.values
    assert slice_at([Axis("x y", ("a&b",)), few], ((0, 0), (1, 2))).name == 'x y="a&b" & x >= 7'
    assert slice_at([few], ((0, 3),)).name == "x=<null>"


# Plans and whole runs of one process.

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"),
         ("vip", "boolean"), ("age", "double"), ("score", "double"), ("w", "double"))  # fmt: skip
VALUES: Mapping[str, Any] = {
    "country": [["DE", 0.2], ["<null>", 0.2], ["a=b & c", 0.2]],
    "vip": [[False, 0.5], [True, 0.5]],
    "age": [[float(value), 1.0] for value in np.linspace(12, 78, 20)],
    "a": [[float(value), 1.0] for value in np.linspace(-2, 2, 20)],
    "b": [], "score": [],
}  # fmt: skip


def discover(loss: str | None = None, **more: Any) -> ModelTest:
    own = {
        "columns": None, "depth": 2, "min_share": 0.01, "top": 10, "against": "overall",
        "max_gap": 0.0, **({} if loss is None else {"loss": loss}), **more,
    }  # fmt: skip
    return ModelTest(
        "discover", "weak_slices", kind="discover", decide=KIND.decides_by or "point",
        parameters=parameters_text(own),
    )  # fmt: skip


def plan_for(
    models: Sequence[Any], *tests: ModelTest, task: TaskKind = TaskKind.BINARY,
    columns: Columns | None = None, values: Mapping[str, Any] = VALUES, **more: Any,
) -> EvaluationPlan:  # fmt: skip
    plan = plan_of(task, models, [], slice_sets=(OVERALL,), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    columns = columns or Columns("label", None, ("key",))
    plan = replace(plan, dataset=dataset, columns=columns)
    expanded = expand_tests(tests, plan.setting)
    return replace(plan, tests=tuple(pin_test(test, {}, values) for test in expanded))


def unlisted(result: EvaluationResult) -> dict[tuple[str, str], Any]:
    return {
        (cell.model.name, cell.slice.name): cell
        for cell in result.cells
        if cell.slice.kind == DISCOVERED
    }


@pytest.fixture(scope="module")
def weak_rows() -> pa.Table:
    """Rows on which the odd model, which looks at `a` alone, is wrong where a vip is young."""
    table = rows_of(TaskKind.BINARY, rows=12_000)
    frame = table.select(["a", "vip", "age"]).to_pandas()
    rng = np.random.default_rng(7)
    label = (frame["a"] > 0).to_numpy()
    young = ((frame["vip"] == True) & (frame["age"] < 25)).to_numpy()  # noqa: E712
    label ^= rng.random(len(frame)) < np.where(young, 0.5, 0.1)
    at = table.schema.get_field_index("label")
    return table.set_column(at, "label", pa.array(label.astype(int)))


@pytest.mark.parametrize("parts", [1, 4])
def test_a_weak_slice_has_a_cell_whatever_the_partitions(
    models: Models, weak_rows: pa.Table, parts: int
) -> None:
    plan = plan_for([models.odd("")], discover())
    result = evaluated(plan, weak_rows, parts, seed=parts)
    (whole,) = [cell for cell in result.cells if cell.slice.kind == "overall"]
    finds = unlisted(result)
    assert whole.verdict is Verdict.FAIL and whole.measured.value == len(finds)
    ((_, name),) = finds
    assert name == "vip=true & age < 27.6316" or "vip=true" in name
    (cell,) = finds.values()
    assert name in whole.reason
    assert cell.verdict is Verdict.RECORDED and cell.test.metric == "error_rate"
    assert cell.measured.value == pytest.approx(0.4, abs=0.15)
    assert "had no part in finding it" in cell.reason
    one = evaluated(plan, weak_rows, 1, seed=9)
    assert [c.measured for c in one.cells] == [c.measured for c in result.cells]


def test_a_model_without_a_weak_slice_passes_and_says_what_would_be_found(models: Models) -> None:
    plan = plan_for([models.odd("")], discover())
    rows = rows_of(TaskKind.BINARY, rows=12_000, seed=4)
    # Errors lie where a is near 0: not among what is looked at.
    plan = replace(plan, tests=(pin_test(_without_a(plan), {}, VALUES),))
    (cell,) = evaluated(plan, rows).cells
    assert cell.verdict is Verdict.PASS, cell.reason
    assert "would be found in about" in cell.reason
    (few,) = evaluated(plan, rows.slice(0, 600)).cells
    assert few.verdict is Verdict.INCONCLUSIVE, few.reason
    assert "more rows or a greater min_share" in few.reason


def _without_a(plan: EvaluationPlan) -> ModelTest:
    setting = replace(plan.setting, types={k: v for k, v in plan.setting.types.items() if k != "a"})
    return KIND.expand(discover(), setting)[0]


def test_against_the_baseline_only_the_others_are_looked_at(
    models: Models, weak_rows: pa.Table
) -> None:
    one, other = models.odd(""), replace(models.odd(""), name="other")
    plan = plan_for([one, other], discover(against="baseline"), baseline=one.name)
    cells = {cell.model.name: cell for cell in evaluated(plan, weak_rows).cells}
    assert cells[one.name].verdict is Verdict.RECORDED
    assert cells["other"].verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert cells["other"].measured.value == 0


def test_other_losses_and_weights(models: Models, weak_rows: pa.Table) -> None:
    plan = plan_for([models.odd("")], discover("log_loss"), columns=Columns("label", "w", ("key",)))
    (name,) = {name for _, name in unlisted(evaluated(plan, weak_rows))}
    assert "vip=true" in name


def no_number(batch: Scored, problem: Any) -> np.ndarray:
    return np.full(len(batch), np.nan)


def test_a_loss_that_is_no_number_is_no_search_without_finds(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "wrong_label", no_number)
    plan = plan_for([models.odd("")], discover())
    (cell,) = evaluated(plan, rows_of(TaskKind.BINARY, rows=600)).cells
    assert cell.measured.value is None and cell.verdict is Verdict.INCONCLUSIVE
    assert "not a finite number" in cell.reason


def fail(*arguments: Any) -> Any:
    raise LookupError("of a kind from outside")


def test_a_kind_whose_finds_fail_costs_its_own_cells(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for([models.odd("")], discover())
    plan = replace(plan, tests=(*plan.tests, ModelTest("accuracy", "accuracy")))
    monkeypatch.setattr(type(KIND), "finds", fail)
    cells = {cell.test.name: cell for cell in evaluated(plan, rows_of(TaskKind.BINARY)).cells}
    assert cells["discover"].verdict is Verdict.ERROR
    assert "the kind failed: LookupError" in cells["discover"].reason
    assert cells["accuracy"].measured.value is not None


# What is wrong is told before the scan.


@pytest.mark.parametrize(
    ("asked", "more", "told"),
    [
        ({"columns": ["nowhere"]}, {}, "the dataset has no column 'nowhere'"),
        ({"columns": ["age"]}, {"columns": Columns("label", sensitive=("age",))}, "sensitive"),
        ({"columns": ["label"]}, {}, "'label' is the label"),
        ({"columns": ["b"]}, {}, "no value of 'b' is that of 0.01 of the rows"),
        ({"loss": "accuracy"}, {}, "'accuracy' is no mean of what each row loses; expected"),
        ({"loss": "roc_auc"}, {}, "is no mean of what each row loses"),
        ({"against": "baseline"}, {}, "against: baseline in an evaluation without a baseline"),
        ({}, {"task": TaskKind.REGRESSION, "loss": "error_rate"}, "error_rate is of classes"),
    ],
)  # fmt: skip
def test_misfits(models: Models, asked: dict[str, Any], more: dict[str, Any], told: str) -> None:
    more = dict(more)
    loss = more.pop("loss", asked.pop("loss", None))
    plan = plan_for([models.odd("")], discover(loss, **asked), **more)
    with pytest.raises(InputError, match=told):
        check_fit(plan)


def test_a_lattice_that_is_too_large_says_what_would_fit(models: Models) -> None:
    names = [f"n{n}" for n in range(60)]
    types = (*TYPES, *((name, "double") for name in names))
    values = dict.fromkeys(names, VALUES["a"])
    plan = plan_for([models.odd("")], discover(columns=names, depth=3))
    dataset = replace(plan.dataset, schema=types)
    plan = replace(plan, dataset=dataset)
    tests = expand_tests([discover(columns=names, depth=3)], plan.setting)
    plan = replace(plan, tests=tuple(pin_test(test, {}, values) for test in tests))
    with pytest.raises(InputError, match=r"60 columns 3 at a time .* name at most about \d+ col"):
        check_fit(plan)


SUITE = """
name: s
evaluations:
  - name: e
    dataset: {delta: t, task: binary, label: y}
    models: [{uri: m, name: m}]
    slices: [overall]
    tests:
      - discover: %s
"""


def suite_of(folder: Path, asked: str) -> Suite:
    (folder / "suite.yml").write_text(SUITE % asked)
    return read_suite(str(folder / "suite.yml"))


def test_the_suite_says_it_and_says_it_again(tmp_path: Path) -> None:
    text = "{columns: [age, sex], depth: 3, min_share: 0.05, top: 5}\n        max_gap: 0.02"
    suite = suite_of(tmp_path, text)
    (test,) = suite.evaluations[0].tests
    assert test.name == "discover age,sex" and test.slice_sets == ("overall",)
    (tmp_path / "again.yml").write_text(dump_suite(suite))
    assert read_suite(str(tmp_path / "again.yml")) == suite
    (plain,) = suite_of(tmp_path, "{}").evaluations[0].tests
    assert plain.name == "discover all"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("{depth: 4}", "depth"),
        ("{min_share: 0}", "min_share"),
        ("{top: 0}", "top"),
        ("{colums: [a]}", "colums"),
        ("{}\n        slices: [country]", "looks for them itself"),
        ("{}\n        against: everybody", "against"),
        ("{}\n        max_gap: -1", "max_gap"),
    ],
)
def test_mistakes_in_a_suite(tmp_path: Path, asked: str, told: str) -> None:
    with pytest.raises(SuiteError, match=told):
        suite_of(tmp_path, asked)


def test_what_is_known_of_columns_judges_a_run_again(models: Models) -> None:
    tests = discover(), discover(columns=["age", "vip"]), discover(min_share=0.3)
    plan = plan_for([models.odd("")], *tests)
    known = {name: kept for test in plan.tests for name, kept in KIND.known_values(test).items()}
    again = [pin_test(test, {}, known) for test in expand_tests(tests, plan.setting)]
    assert tuple(again) == plan.tests
    (other,) = expand_tests([discover(columns=["country"])], plan.setting)
    # Of other columns nothing is known: its states are of a name that no run has kept.
    unknown = pin_test(other, {}, known)
    (family,) = KIND.families(unknown, plan.problem)
    kept = {own.key for test in plan.tests for own in KIND.families(test, plan.problem)}
    assert len(kept) == 3 and family.key not in kept
