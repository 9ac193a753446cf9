"""`drift`: distances by scipy's road; planted shifts are found, one population is not reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    EvaluationResult,
    ModelTest,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.kinds import KINDS, known_bins, parameters_text, pin_bins
from engine.kinds.drift import DISTANCES, PARTS, bins_of_numbers, bins_of_values
from engine.kinds.drift.bin_rows import BinRows, fine_rows
from engine.kinds.drift.bins import EDGES, VALUES
from engine.kinds.drift.estimate import Samples
from engine.planning import EvaluationPlan, check_fit, expand_tests
from engine.planning.scan_columns import BUCKET_COLUMN
from engine.planning.suites import read_suite
from engine.states import BUCKETS
from engine.suite import dump_suite
from tests.fixtures.kernel import BY_COUNTRY, OVERALL, merged, plan_of, scanned

TYPES = {
    "x": "double", "whole": "int", "few": "int", "country": "string", "vip": "boolean",
    "day": "date", "seen": "timestamp", "label": "int", "key": "bigint", "tags": "array<string>",
    "empty": "double", "same": "double", "holes": "double", "cluster": "bigint",
}  # fmt: skip
ALL = ["x", "whole", "few", "country", "vip", "label", "empty", "same", "holes"]
COUNTS = [name for name, distance in DISTANCES.items() if not distance.of_order]


def rows(n: int, seed: int, shift: float = 0.0, clusters: int = 0) -> pa.Table:
    """Columns of all types, moved by `shift` standard deviations, in clusters where asked."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 1 << 40, clusters)[np.arange(n) % clusters] if clusters else None
    normal = rng.normal(size=n)
    bucket = rng.integers(0, BUCKETS, n)
    if clusters:
        of_cluster, of_bucket = rng.normal(size=clusters), rng.integers(0, BUCKETS, clusters)
        normal = np.sqrt(0.5) * normal + np.sqrt(0.5) * of_cluster[np.arange(n) % clusters]
        bucket = of_bucket[np.arange(n) % clusters]
    x = normal + shift
    at = np.clip(np.digitize(x, [-1, 0, 1]), 0, 3)
    days = (20 * x).astype(int)
    holes = np.where(rng.random(n) < 0.1, np.nan, x)
    holes[:2] = [np.inf, -np.inf]
    return pa.table(
        {
            "x": x,
            "whole": pa.array((100 * x).astype(int), pa.int32()),
            "few": pa.array(at, pa.int32()),
            "country": pa.array(
                [None if rng.random() < 0.05 else ("DE", "FR", "UK", "")[k] for k in at]
            ),
            "vip": pa.array(x > 0.5),
            "day": pa.array([dt.date(2026, 1, 1) + dt.timedelta(int(d)) for d in days]),
            "seen": pa.array(
                [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(int(d)) for d in days],
                pa.timestamp("us", "UTC"),
            ),
            "label": pa.array((x > 0).astype(int), pa.int32()),
            "key": pa.array(np.arange(n)),
            "empty": pa.array([None] * n, pa.float64()),
            "same": pa.array(np.full(n, 3.5)),
            "holes": pa.array(holes, from_pandas=False),
            "cluster": pa.array(np.zeros(n, np.int64) if cluster is None else cluster),
            BUCKET_COLUMN: bucket.astype(np.int32),
        }
    )


def floats(table: pa.Table, column: str) -> np.ndarray:
    """A column as numbers, NaN where it is null."""
    values = table[column]
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    elif pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return values.to_pandas().astype(float).to_numpy()


def numbers(table: pa.Table, column: str) -> np.ndarray:
    plain = floats(table, column)
    return plain[np.isfinite(plain)]


def bins_of(table: pa.Table) -> dict[str, Any]:
    """The bins by another road than Spark's summaries: of all values, sorted."""
    bins = {}
    for name, kind in TYPES.items():
        if kind in ("string", "boolean"):
            counts = table[name].to_pandas().dropna().value_counts()
            bins[name] = bins_of_values([(v, int(n), int(counts.sum())) for v, n in counts.items()])
        elif not kind.startswith("array"):
            some = numbers(table, name)
            shares = np.linspace(0, 1, PARTS + 1)
            cuts = np.quantile(some, shares, method="lower").tolist() if len(some) else []
            bins[name] = bins_of_numbers(cuts, float(np.std(some, ddof=1)) if len(some) else None)
    return bins


def drift(
    distance: str = "psi",
    columns: Sequence[str] | None = ("x",),
    limit: float | None = 0.1,
    sets: Sequence[SliceSet] = (OVERALL,),
) -> ModelTest:
    conditions = () if limit is None else (Condition("max", limit),)
    listed = None if columns is None else list(columns)
    test = ModelTest(
        "", distance, conditions, tuple(one.name for one in sets), kind="drift",
        parameters=parameters_text({"distance": distance, "columns": listed}),
    )  # fmt: skip
    return replace(test, name=KINDS.get("drift").title(test))


def plan_for(*tests: ModelTest, bins: Any = None, **more: Any) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, [], [], slice_sets=(OVERALL, BY_COUNTRY))
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=tuple(TYPES.items()))
    columns = replace(plan.columns, weight=None, **more)
    plan = replace(plan, dataset=dataset, columns=columns)
    expanded = expand_tests(tests, plan.setting)
    if bins is not None:
        expanded, _ = pin_bins(expanded, bins)
    plan = replace(plan, tests=expanded)
    return plan.beside(replace(dataset, name="train", table_id="other"))


def evaluated(
    plan: EvaluationPlan, reference: pa.Table, table: pa.Table, parts: int = 1
) -> EvaluationResult:
    assert plan.reference is not None
    before = merged(scanned(plan.reference, reference, parts, seed=parts))
    states = merged(scanned(plan, table, parts, seed=parts + 1))
    return measure(plan, states, beside=Beside(reference=before))


def cells_of(
    reference: pa.Table, table: pa.Table, *tests: ModelTest, parts: int = 1, **more: Any
) -> dict[tuple[str, str], Cell]:
    plan = plan_for(*tests, bins=bins_of(reference), **more)
    check_fit(plan)
    cells = evaluated(plan, reference, table, parts).cells
    return {(cell.test.name, cell.slice.name): cell for cell in cells}


def binned(table: pa.Table, column: str, bins: Any) -> np.ndarray:
    """Counts over bins, by pandas."""
    series = table[column].to_pandas()
    if VALUES in bins:
        values = bins[VALUES]
        known = [int((series == value).sum()) for value in values]
        null = int(series.isna().sum())
        return np.array([*known, len(series) - sum(known) - null, null], float)
    edges, known = bins[EDGES], floats(table, column)
    known = known[~np.isnan(known)]
    inner = [((low <= known) & (known < high)).sum() for low, high in pairwise(edges)]
    null = table[column].null_count
    ends = (known < edges[0]).sum(), (known >= edges[-1]).sum()
    return np.array([ends[0], *inner, ends[1], null, len(series) - null - len(known)], float)


def by_scipy(distance: str, p: np.ndarray, q: np.ndarray) -> float:
    if distance == "psi":
        some = p + q > 0
        p, q = p[some] + 0.5, q[some] + 0.5
        p, q = p / p.sum(), q / q.sum()
        return float(stats.entropy(p, q) + stats.entropy(q, p))
    if distance == "js_distance":
        return float(jensenshannon(p, q, base=2))
    if distance == "cramers_v":
        table = np.stack([p, q])[:, p + q > 0]
        return float(stats.contingency.association(table.astype(int), method="cramer"))
    p, q = p / p.sum(), q / q.sum()
    if distance == "total_variation":
        return float(np.abs(p - q).sum() / 2)
    return float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2))


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("distance", COUNTS)
def test_distances_are_those_of_scipy_on_the_same_counts(distance: str, parts: int) -> None:
    before, now = rows(900, 1), rows(700, 2, shift=0.3)
    bins = bins_of(before)
    columns = ["x", "whole", "few", "country", "vip", "label", "holes", "day", "seen"]
    found = cells_of(before, now, drift(distance, columns, None), parts=parts)
    assert len(found) == len(columns)
    for column in columns:
        cell = found[f"drift {distance}({column})", "overall"]
        p, q = (binned(side, column, bins[column]) for side in (before, now))
        assert (p.sum(), q.sum()) == (900, 700)
        assert cell.measured.value == pytest.approx(by_scipy(distance, p, q), rel=1e-9, abs=1e-12)
        assert cell.measured.error_bound == 0
        assert (cell.model.name, cell.variant, cell.test.metric) == ("", "clean", distance)
        low, high = cell.measured.ci_low, cell.measured.ci_high
        assert 0 <= low <= high <= DISTANCES[distance].most
        assert cell.counts.n == 700


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.7])
@pytest.mark.parametrize("column", ["x", "whole", "few", "day", "seen", "holes"])
def test_distances_of_functions_are_within_their_bound(column: str, shift: float) -> None:
    before, now = rows(1200, 3), rows(900, 4, shift=shift)
    p, q = numbers(before, column), numbers(now, column)
    tests = [drift(name, [column], None) for name in ("ks", "wasserstein")]
    ks, wasserstein = cells_of(before, now, *tests).values()
    exact = stats.ks_2samp(p, q).statistic
    assert abs(ks.measured.value - exact) <= ks.measured.error_bound + 1e-12
    exact = stats.wasserstein_distance(p, q) / np.std(p, ddof=1)
    assert abs(wasserstein.measured.value - exact) <= wasserstein.measured.error_bound + 1e-9
    assert ks.measured.error_bound < 0.006
    assert wasserstein.measured.error_bound < 0.01
    assert wasserstein.measured.ci_low <= exact


def test_slices_are_compared_with_the_same_slices() -> None:
    before, now = rows(1500, 5), rows(1500, 6, shift=0.4)
    found = cells_of(before, now, drift("ks", ["x"], 0.1, (OVERALL, BY_COUNTRY)))
    for (_, name), cell in found.items():
        sides = []
        for side in (before, now):
            frame = side.to_pandas()
            if name != "overall":
                value = cell.slice.columns["country"]
                own = frame["country"].isna() if value is None else frame["country"] == value
                frame = frame[own]
            sides.append(frame["x"])
        exact = stats.ks_2samp(*sides).statistic
        assert abs(cell.measured.value - exact) <= cell.measured.error_bound + 1e-12
        assert cell.counts.n == len(sides[1])
    lonely = now.filter(pa.compute.equal(now["country"], "DE"))
    found = cells_of(lonely, now, drift("psi", ["x"], 0.1, (OVERALL, BY_COUNTRY)))
    cell = found["drift psi(x)", "country=FR"]
    assert cell.measured.value is None and "in the reference" in cell.reason


def test_all_columns_are_those_that_say_something_of_the_population() -> None:
    before, now = rows(400, 7), rows(300, 8)
    secret = plan_for(drift(columns=None), bins=bins_of(before), sensitive=("whole",))
    names = [test.name for test in secret.tests]
    # Neither the key nor what is sensitive, nor dates and times, nor what has no bins.
    assert names == [
        f"drift psi({name})" for name in (*ALL, "cluster") if name != "whole"
    ]  # fmt: skip
    functions = plan_for(drift("wasserstein", None), bins=bins_of(before), cluster="cluster")
    assert [test.name for test in functions.tests] == [
        f"drift wasserstein({name})"
        for name in ("x", "whole", "few", "label", "empty", "same", "holes")
    ]
    assert {test.family for test in functions.tests} == {"drift wasserstein(all)"}
    cells = evaluated(functions, before, now).cells
    assert len(cells) == 7


def test_constant_and_empty_columns_have_a_value_or_a_reason() -> None:
    before, now = rows(400, 7), rows(300, 8)
    tests = [drift(name, ["same", "empty"], 0.1) for name in DISTANCES]
    found = cells_of(before, now, *tests)
    for name in COUNTS:
        for column in ("same", "empty"):
            cell = found[f"drift {name}({column})", "overall"]
            assert cell.measured.value == pytest.approx(0.0, abs=1e-12)
            assert cell.verdict is Verdict.PASS, cell.reason
    assert found["drift ks(same)", "overall"].measured.value == 0.0
    for name in ("wasserstein(same)", "wasserstein(empty)", "ks(empty)"):
        cell = found[f"drift {name}", "overall"]
        assert cell.measured.value is None and cell.verdict is Verdict.INCONCLUSIVE
    # What was constant and is not any more, what was empty and has values.
    moved = now.set_column(now.schema.get_field_index("same"), "same", now["x"])
    moved = moved.set_column(moved.schema.get_field_index("empty"), "empty", now["x"])
    found = cells_of(before, moved, drift("total_variation", ["same", "empty"], 0.1))
    for column in ("same", "empty"):
        cell = found[f"drift total_variation({column})", "overall"]
        assert cell.measured.value == 1.0 and cell.verdict is Verdict.FAIL
    assert "other values: 0.0% to 100.0%" in str(cell.measured.detail)


def test_nulls_and_unseen_categories_are_bins_and_told() -> None:
    before, now = rows(2000, 9), rows(2000, 10)
    at = now.schema.get_field_index("country")
    texts = now["country"].to_pylist()
    unseen = pa.array(["neverland" if k % 4 == 0 else v for k, v in enumerate(texts)])
    nulls = pa.array([None if k % 4 == 0 else v for k, v in enumerate(texts)])
    for column, told in ((unseen, "other values: 0.0% to 25.0%"), (nulls, "null: ")):
        table = now.set_column(at, "country", column)
        cell = cells_of(before, table, drift("psi", ["country"]))["drift psi(country)", "overall"]
        assert cell.verdict is Verdict.FAIL
        assert str(cell.measured.detail).startswith(told)


LIMITS = {"psi": 0.1, "js_distance": 0.15, "total_variation": 0.15, "hellinger": 0.15,
          "cramers_v": 0.15, "ks": 0.15, "wasserstein": 0.3}  # fmt: skip


@pytest.mark.parametrize("clusters", [0, 200])
def test_planted_shifts_are_found_and_one_population_is_not_reported(clusters: int) -> None:
    more = {"cluster": "cluster"} if clusters else {}
    tests = [drift(name, ["x", "holes"], limit) for name, limit in LIMITS.items()]
    zero = [replace(drift(name, ["x", "holes"], 0.0), name=f"zero {name}") for name in LIMITS]
    reported: dict[str, int] = {}
    seeds = range(20)
    for seed in seeds:
        before, now = rows(2000, 2 * seed, 0, clusters), rows(2000, 2 * seed + 1, 0, clusters)
        plan = plan_for(*tests, *zero, bins=bins_of(before), **more)
        for cell in evaluated(plan, before, now).cells:
            if cell.verdict is Verdict.FAIL:
                family = str(cell.test.family)
                reported[family] = reported.get(family, 0) + 1
        if seed < 3:
            moved = rows(2000, 1000 + seed, 1.0, clusters)
            found = evaluated(plan, before, moved).cells
            assert {cell.verdict for cell in found} == {Verdict.FAIL}, [
                (c.test.name, c.reason) for c in found if c.verdict is not Verdict.FAIL
            ]
    # With a limit no sample of one population is reported; against 0, 2.5 % of 40 figures is 1.
    assert not {name for name in reported if not name.startswith("zero")}
    assert all(count <= 5 for count in reported.values()), reported


def test_figures_of_a_test_are_corrected_over_its_columns() -> None:
    before, now = rows(300, 1), rows(300, 2)
    columns = ["x", "whole", "few", "country", "vip"]
    together = cells_of(before, now, drift("psi", columns, 0.0))
    p = [cell.violation_p_value for cell in together.values()]
    q = [cell.violation_q_value for cell in together.values()]
    assert q == pytest.approx(stats.false_discovery_control(p))
    alone = cells_of(before, now, drift("psi", ["x"], 0.0))["drift psi(x)", "overall"]
    assert alone.violation_q_value == pytest.approx(p[0])


def test_too_few_clusters_have_no_interval() -> None:
    before, now = rows(400, 1, clusters=3), rows(400, 2, clusters=3)
    tests = [drift(name, ["x"]) for name in ("psi", "ks", "wasserstein")]
    for cell in cells_of(before, now, *tests, cluster="cluster").values():
        assert cell.measured.value is not None and cell.measured.ci_low is None
        assert cell.verdict is Verdict.INCONCLUSIVE and "too few rows or clusters" in cell.reason


@pytest.mark.parametrize(
    ("test", "more", "message"),
    [
        (drift(columns=["tags"]), {}, "the column 'tags' is array<string>, of which there are no"),
        (drift(columns=["xx"]), {}, "the dataset has no column 'xx'"),
        (drift("ks", ["country"]), {}, "ks is of numbers, dates and timestamps, found 'country'"),
        (drift("wasserstein", ["vip"]), {}, "found 'vip' of the type boolean"),
        (drift(columns=["x"]), {"sensitive": ("x",)}, "results would show which values of 'x'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_the_scan(
    test: ModelTest, more: Any, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_fit(plan_for(test, **more))
    assert message in str(refused.value)


def test_a_column_of_rare_values_is_refused_where_named_and_left_out_of_all() -> None:
    rare = {"country": bins_of_values([("a", 10, 1000), ("b", 9, 1000)])}
    named = plan_for(drift(columns=["country"])).tests
    with pytest.raises(InputError, match="the column 'country' cannot be binned: most rows"):
        pin_bins(named, rare)
    tests = plan_for(drift(columns=None)).tests
    pinned, left_out = pin_bins(tests, rare)
    assert [test.name for test in left_out] == ["drift psi(country)"]
    assert len(pinned) == len(tests) - 1
    # Judged again they are left out as well, and others are asked for by what is known of them.
    bins = known_bins(pin_bins(pinned, bins_of(rows(100, 1)))[0], tests)
    assert bins["country"] == {} and EDGES in bins["x"] and VALUES in bins["few"]


SUITE = """name: night
evaluations:
  - name: claims
    dataset: {{delta: claims, task: binary, label: fraud}}
    reference: {{delta: train}}
    models: [{{uri: "models:/claims/1"}}]
    tests:
      - {test}
"""


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{drift: psy}", "found 'psy', expected a distance, "),
        ("{drift: ks, max: 1.5}", "found 1.5, expected a number from 0 to 1, as ks is"),
        ("{drift: psi, max: -1}", "found -1, expected a number of 0 or more, as psi is"),
        ("{drift: psi, columns: []}", "columns"),
        ("{drift: psi, columns: x, min: 0.1}", "found the unknown key 'min'"),
    ],
)
def test_mistakes_in_a_suite(tmp_path: Path, test: str, message: str) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE.format(test=test))
    with pytest.raises(SuiteError) as caught:
        read_suite(path)
    assert message in str(caught.value)
    path.write_text(
        SUITE.format(test="{drift: psi}").replace("    reference: {delta: train}\n", "")
    )
    with pytest.raises(SuiteError, match="found drift in an evaluation without a reference"):
        read_suite(path)


def test_a_suite_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    for text in ("{drift: psi, max: 0.1}", "{drift: ks, columns: [age, f0]}"):
        path.write_text(SUITE.format(test=text))
        suite = read_suite(path)
        path.write_text(dump_suite(suite))
        assert read_suite(path) == suite
    (test,) = suite.evaluations[0].tests
    assert (test.name, test.metric) == ("drift ks(age,f0)", "ks")


def test_the_report_shows_the_worst_first() -> None:
    before, table = rows(800, 1), rows(800, 2)
    in_france = (table["country"].to_pandas() == "FR").to_numpy()
    table = table.set_column(0, "x", pa.array(table["x"].to_numpy() + 5 * in_france))
    plan = plan_for(
        drift("psi", ["vip", "x"], 0.1, (OVERALL, BY_COUNTRY)), drift("ks", ["x"], 0.1),
        bins=bins_of(before),
    )  # fmt: skip
    section = KINDS.get("drift").section(evaluated(plan, before, table).cells)
    assert section is not None
    assert [row[0] for row in section.rows] == [
        "drift psi(x)", "drift psi(vip)", "drift ks(x)",
    ]  # fmt: skip
    assert section.cells[0].verdict is Verdict.FAIL and section.rows[0][-1].startswith("country=FR")
    assert KINDS.get("drift").section([]) is None


def test_rows_by_bin_stand_beside_the_distance_on_all_rows_alone() -> None:
    before, now = rows(900, 1), rows(700, 2, shift=0.5)
    bins = bins_of(before)
    columns = ["x", "few", "country", "day", "holes"]
    cells = cells_of(
        before, now, drift("psi", columns, sets=(OVERALL, BY_COUNTRY)), drift("ks", ["x", "holes"])
    )
    for column in columns:
        cell = cells[f"drift psi({column})", "overall"]
        kept = BinRows.of(cell.measured.numbers)
        assert kept is not None
        assert list(kept.reference) == binned(before, column, bins[column]).tolist()
        assert list(kept.current) == binned(now, column, bins[column]).tolist()
        assert len(kept.names) == len(kept.reference) and kept.names[-2:] in (
            ["null", "NaN"], ["other values", "null"],
        )  # fmt: skip
        assert len(kept.edges) == len(bins[column].get(EDGES, ()))
    kept = BinRows.of(cells["drift psi(day)", "overall"].measured.numbers)
    assert kept is not None and kept.edges[0] < "2026-01-01" < kept.edges[-1] < "2026-12-31"
    others = [cell for (_, where), cell in cells.items() if where != "overall"]
    assert others and not any(cell.measured.numbers for cell in others)


def test_parts_without_a_row_of_either_sample_are_no_bins() -> None:
    edges = np.arange(1.0, 12.0)
    before, now = np.zeros((2, 1, 1, 12))
    before[..., [0, 9]], now[..., [0, 5]] = (50, 50), (60, 40)
    whole = fine_rows(Samples(before, now, clustered=False), edges)
    assert list(whole.names) == ["below 1", "1 to 9", "9 or more"]
    assert (list(whole.reference), list(whole.current)) == ([50, 0, 50], [60, 40, 0])
    alone = fine_rows(Samples(before, before, clustered=False), edges)
    assert list(alone.names) == ["below 9", "9 or more"] and list(alone.edges) == ["9"]


def test_fine_bins_are_put_together_to_equal_parts_of_the_reference() -> None:
    before, now = rows(900, 1), rows(700, 2, shift=0.5)
    for column in ("x", "holes"):
        cell = cells_of(before, now, drift("ks", [column]))[f"drift ks({column})", "overall"]
        kept = BinRows.of(cell.measured.numbers)
        assert kept is not None
        *parts, without = kept.reference
        assert sum(kept.reference) == 900 and sum(kept.current) == 700
        finite = [len(numbers(table, column)) for table in (before, now)]
        assert [sum(side) - side[-1] for side in (kept.reference, kept.current)] == finite
        assert without == 900 - finite[0] and kept.names[-1] == "no number"
        assert len(parts) == 10 and max(parts) < 0.12 * finite[0]
        # The edges in words are short; the shares below each are those of the rows.
        edges = [float(edge) for edge in kept.edges]
        for table, side in ((before, kept.reference), (now, kept.current)):
            below = [(numbers(table, column) < edge).mean() for edge in edges]
            shares = np.cumsum(side[:-1])[:-1] / sum(side[:-1])
            assert shares == pytest.approx(below, abs=0.01)
