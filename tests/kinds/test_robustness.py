"""`robustness`: the figures of perturbed rows, by another road; defects found, sound models not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from engine.core.vocabulary import Condition, DatasetVersion, ModelTest, SliceSet, TaskKind, Verdict
from engine.errors import InputError
from engine.kinds import KINDS, Limit, parameters_text, pin_test
from engine.kinds.perturbations import perturb
from engine.planning import EvaluationPlan, check_fit, needs
from engine.planning.scan_columns import ROW_COLUMN
from engine.states import Sums, decode
from engine.states.rows import METER, METER_COLUMNS
from tests.fixtures.kernel import (
    BY_COUNTRY,
    OVERALL,
    Models,
    evaluated,
    merged,
    plan_of,
    rows_of,
    scanned,
)

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))
SPREADS = {"a": 1.0, "b": 1.0}


def robustness(
    metric: str = "accuracy",
    *conditions: Condition,
    severities: Sequence[int] = (1, 3, 5),
    columns: Sequence[str] = ("a", "b"),
    sets: Sequence[SliceSet] = (OVERALL, BY_COUNTRY),
) -> ModelTest:
    asked = {"noise": list(columns), "severities": list(severities)}
    test = ModelTest(
        "robust", metric, conditions, tuple(slice_set.name for slice_set in sets),
        kind="robustness", parameters=parameters_text(asked),
    )  # fmt: skip
    return KINDS.get("robustness").pin(test, SPREADS)


def table_of(rows: int = 1500, seed: int = 1) -> pa.Table:
    """Rows with a hash of their key, as the projection of a scan gives it."""
    table = rows_of(TaskKind.BINARY, rows=rows, seed=seed)
    keys = np.random.default_rng(seed + 100).integers(-(2**63), 2**63 - 1, rows)
    return table.append_column(ROW_COLUMN, pa.array(keys, pa.int64()))


def plan_for(models: Sequence[Any], *tests: ModelTest, **more: Any) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, models, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    columns = replace(plan.columns, weight=None)
    return replace(plan, tests=tests, dataset=dataset, columns=columns)


@pytest.fixture(scope="module")
def fitted() -> LogisticRegression:
    return fit(LogisticRegression())


def fit(model: Any, seed: int = 9) -> Any:
    table = rows_of(TaskKind.BINARY, seed=seed).to_pandas().dropna(subset=["label"])
    return model.fit(table[["a", "b"]], table["label"].astype(int))


@pytest.mark.parametrize("parts", [1, 4])
def test_values_are_those_of_perturbed_rows(
    models: Models, fitted: LogisticRegression, parts: int
) -> None:
    table = table_of()
    test = robustness("log_loss")
    plan = plan_for([models.of("logistic", fitted)], test)
    cells = evaluated(plan, table, parts, seed=parts).cells
    whole = table.combine_chunks().to_batches()[0]
    countries = table["country"].to_pandas()
    labels = table["label"].to_pandas()
    checked = 0
    for variant in plan.variants:
        behind = perturb(whole, np.asarray(table[ROW_COLUMN]), variant).to_pandas()
        scores = fitted.predict_proba(behind[["a", "b"]])
        for cell in (cell for cell in cells if cell.variant == variant.name):
            mask = labels.notna()
            if cell.slice.kind != "overall":
                value = cell.slice.columns["country"]
                mask &= countries.isna() if value is None else countries == value
            expected = sk.log_loss(labels[mask].astype(int), scores[mask], labels=[0, 1])
            assert cell.measured.value == pytest.approx(expected, rel=1e-9), cell.slice.name
            assert (cell.model.name, cell.baseline_model) == ("logistic", "logistic")
            checked += 1
    assert checked == 3 * (1 + len(set(countries.dropna())) + 1)


def test_the_clean_model_is_what_variants_are_compared_with(
    models: Models, fitted: LogisticRegression
) -> None:
    plan = plan_for(
        [models.of("logistic", fitted)],
        ModelTest("plain", "log_loss", (), ("overall",)),
        robustness("log_loss", Condition("max_rise", 0.1), sets=[OVERALL]),
    )
    cells = evaluated(plan, table_of()).cells
    clean = next(cell for cell in cells if cell.variant == "clean")
    variants = [cell for cell in cells if cell.variant != "clean"]
    assert [cell.variant for cell in variants] == [f"noise(a,b)@{n}" for n in (1, 3, 5)]
    for cell in variants:
        assert cell.baseline_value == clean.measured.value
        assert cell.delta == pytest.approx(cell.measured.value - clean.measured.value)
        assert cell.delta_ci_low <= cell.delta <= cell.delta_ci_high
    # Row by row: a faint noise is told apart from none by far fewer rows than two samples would.
    faint = variants[0]
    width = faint.delta_ci_high - faint.delta_ci_low
    assert width < 0.2 * (clean.measured.ci_high - clean.measured.ci_low)
    assert "the clean model's" in faint.reason
    losses = [cell.measured.value for cell in variants]
    assert losses == sorted(losses)


def test_variants_are_predicted_once_a_row_and_only_where_asked(
    models: Models, fitted: LogisticRegression
) -> None:
    table = table_of()
    labelled = table["label"].null_count
    usable = table.num_rows - labelled
    plain = ModelTest("plain", "accuracy", (), ("overall", "country"))
    two = [models.of("logistic", fitted), models.of("nearest", fit(KNeighborsClassifier()))]
    for tests, each in [
        ((plain,), 1),
        ((plain, robustness()), 4),
        # The same noise in two tests is one variant.
        ((robustness("log_loss"), robustness("accuracy", severities=[1])), 4),
    ]:
        plan = plan_for(two, *tests)
        meters = [row for row in merged(scanned(plan, table, 3)) if row.family == METER]
        predicted = 0.0
        for row in meters:
            sums = decode(row.payload)
            assert isinstance(sums, Sums)
            predicted += sums.values.sum(axis=(0, 1))[METER_COLUMNS.index("predictions")]
        assert predicted == 2 * each * usable


def test_predictions_that_flip_are_a_metric_beside_the_clean_ones(
    models: Models, fitted: LogisticRegression
) -> None:
    table = table_of()
    plan = plan_for(
        [models.of("logistic", fitted)],
        robustness("flip_rate", Condition("max", 0.2)),
        replace(robustness("regressions", sets=[OVERALL]), name="lost"),
    )
    check_fit(plan)
    cells = evaluated(plan, table, 3).cells
    whole = table.combine_chunks().to_batches()[0]
    known = table["label"].to_pandas().notna().to_numpy()
    labels = table["label"].to_pandas()[known].astype(int).to_numpy()
    clean = fitted.predict(table.to_pandas()[["a", "b"]])[known]
    for variant in plan.variants:
        behind = perturb(whole, np.asarray(table[ROW_COLUMN]), variant).to_pandas()
        new = fitted.predict(behind[["a", "b"]])[known]
        expected = {
            "flip_rate": (new != clean).mean(),
            "regressions": ((clean == labels) & (new != labels)).mean(),
        }
        own = [c for c in cells if c.variant == variant.name and c.slice.kind == "overall"]
        assert {c.test.metric: c.measured.value for c in own} == pytest.approx(expected)
        for cell in own:
            assert cell.measured.ci_low < cell.measured.value < cell.measured.ci_high
    assert {cell.verdict for cell in cells} >= {Verdict.PASS, Verdict.RECORDED}
    assert KINDS.get("robustness").section(cells) is not None


def test_states_of_before_keep_their_names(models: Models, fitted: LogisticRegression) -> None:
    """What the store keeps of a suite stays valid when the suite asks for noise as well."""
    plain = ModelTest("plain", "accuracy", (), ("overall", "country"))
    before = plan_for([models.of("logistic", fitted)], plain)
    after = replace(before, tests=(plain, robustness()))
    assert {need.state for need in needs(before)} < {need.state for need in needs(after)}
    assert before.digest == replace(after, tests=(plain,)).digest
    stronger = replace(before, tests=(plain, robustness(severities=[2])))
    both = {need.state for need in needs(after)} & {need.state for need in needs(stronger)}
    assert both >= {need.state for need in needs(before)}
    of_variants = {need.state for need in needs(stronger) if need.model > 0}
    assert not of_variants & {need.state for need in needs(after)}


def judge(model: Any, name: str, models: Models, seed: int, **more: Any) -> Verdict:
    plan = plan_for(
        [models.of(name, model)],
        robustness("accuracy", Condition("max_drop", 0.05), severities=[2], sets=[OVERALL], **more),
    )
    (cell,) = evaluated(plan, table_of(800, seed)).cells
    return cell.verdict


def test_a_brittle_model_is_found_and_a_sound_one_is_not(models: Models) -> None:
    """Brittle: one that knows its rows by heart, asked about rows that it has seen."""
    sound = fit(LogisticRegression())
    verdicts = [judge(sound, "sound", models, seed) for seed in range(20)]
    assert Verdict.FAIL not in verdicts and verdicts.count(Verdict.PASS) >= 19
    found = 0
    for seed in range(6):
        known = table_of(800, seed).to_pandas().dropna(subset=["label"])
        by_heart = KNeighborsClassifier(1).fit(known[["a", "b"]], known["label"].astype(int))
        found += judge(by_heart, f"by-heart-{seed}", models, seed) is Verdict.FAIL
    assert found == 6


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (robustness(columns=["country"]), "noise wants numeric columns, found 'country' of the"),
        (robustness(columns=["aa"]), "the dataset has no column 'aa'; did you mean 'a'?"),
        (robustness(columns=["label"]), "no model reads the column 'label', so to perturb it"),
        (robustness("cost"), "'cost' needs the evaluation's `costs`"),
        (robustness("recall_class_7"), "'recall_class_7' names the class '7'; expected one of"),
        (robustness("score_psi"), "'score_psi' compares two versions; expected a metric of one"),
        (
            robustness("flip_rate", Condition("max_rise", 0.1)),
            "'flip_rate' compares with the clean predictions already, found max_rise; expected min",
        ),
        (
            robustness("log_loss", Condition("max_drop", 0.1)),
            "'log_loss' is better when lower, so a drop is no harm; did you mean 'max_rise'?",
        ),
        (
            replace(
                robustness(),
                parameters=json.dumps({"noise": ["a"], "severities": [1], "spread": {"a": 0.0}}),
            ),
            "the spread of the column 'a' is not known",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_scan(
    models: Models, fitted: LogisticRegression, test: ModelTest, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_fit(plan_for([models.of("logistic", fitted)], test))
    assert message in str(refused.value)


def test_sensitive_columns_are_refused(models: Models, fitted: LogisticRegression) -> None:
    plan = plan_for([models.of("logistic", fitted)], robustness())
    hidden = replace(plan, columns=replace(plan.columns, sensitive=("a",)))
    with pytest.raises(InputError, match="the spread of 'a', which the suite calls sensitive"):
        check_fit(hidden)


def test_a_spread_that_moves_a_little_is_the_same_noise() -> None:
    kind = KINDS.get("robustness")
    test = replace(robustness(), parameters=parameters_text({"noise": ["a"], "severities": [1]}))
    assert kind.pin(test, {"a": 13.0}) == kind.pin(test, {"a": 12.6})
    assert kind.pin(test, {"a": 12.4}) != kind.pin(test, {"a": 16.0})


def test_columns_of_any_name_make_variants_of_their_own() -> None:
    names = [
        plan_stem(columns) for columns in (["a,b"], ["a", "b"], ["a)@1"], ['"a"', "b"], ["a b"])
    ]
    assert len(set(names)) == len(names)
    assert names[1] == "noise(a,b)" and names[4] == "noise(a b)"


def plan_stem(columns: list[str]) -> str:
    (variant,) = KINDS.get("robustness").variants(robustness(columns=columns, severities=[1]))
    assert variant is not None
    return variant.name.removesuffix("@1")


FACTS = {
    "missing": {},
    "scale": {},
    "outliers": SPREADS,
    "shuffle": {name: [[(at - 9.5) / 8, 1.0] for at in range(20)] for name in SPREADS},
}


def perturbed_by(key: str, severity: int, *conditions: Condition) -> ModelTest:
    asked = {key: ["a", "b"], "severities": [severity]}
    test = replace(
        robustness("accuracy", *conditions, sets=[OVERALL]), parameters=parameters_text(asked)
    )
    return pin_test(test, FACTS[key], FACTS[key])


@pytest.mark.parametrize("key", ["scale", "outliers", "shuffle"])
def test_each_perturbation_is_felt_where_it_is_strong_and_not_where_it_is_faint(
    models: Models, fitted: LogisticRegression, key: str
) -> None:
    """At the least severity a tenth or less of the rows differ; at the greatest many do."""
    known = models.of("logistic", fitted)
    verdicts = []
    for severity, seeds, bound in [(1, 10, 0.08), (5, 4, 0.005)]:
        test = perturbed_by(key, severity, Condition("max_drop", bound))
        for seed in range(seeds):
            (cell,) = evaluated(plan_for([known], test), table_of(1500, seed), 3, seed).cells
            verdicts.append((severity, cell.verdict))
    assert [verdict for severity, verdict in verdicts if severity == 1] == [Verdict.PASS] * 10
    assert [verdict for severity, verdict in verdicts if severity == 5] == [Verdict.FAIL] * 4


def test_values_that_are_pinned_are_found_again_and_left_out_of_the_suite() -> None:
    kind, test = KINDS.get("robustness"), perturbed_by("shuffle", 2)
    assert list(kind.values(test)) == ["a", "b"] and list(kind.spreads(test)) == []
    assert kind.known_values(test) == FACTS["shuffle"] and kind.known_spreads(test) == {}
    assert kind.write(test)["robustness"] == {"shuffle": ["a", "b"], "severities": [2]}
    (variant,) = kind.variants(test)
    assert json.loads(variant.parameters)["values"] == FACTS["shuffle"]


def test_what_a_swap_needs_is_told_before_the_scan(
    models: Models, fitted: LogisticRegression
) -> None:
    known = models.of("logistic", fitted)
    test = perturbed_by("shuffle", 2)
    one = pin_test(test, {}, {"a": [[1.0, 1.0]], "b": FACTS["shuffle"]["b"]})
    with pytest.raises(InputError, match="the column 'a' has 1 value that at least one in a"):
        check_fit(plan_for([known], one))
    plan = plan_for([known], test)
    hidden = replace(plan, columns=replace(plan.columns, sensitive=("a",)))
    with pytest.raises(InputError, match="the values of 'a', which the suite calls sensitive"):
        check_fit(hidden)
    # What takes nothing from the data shows nothing of them.
    check_fit(replace(hidden, tests=(perturbed_by("missing", 1),)))


@pytest.mark.parametrize("spread", [1e-9, 0.3, 1.0, 7.7, 1e12])
def test_a_pinned_spread_is_near_the_spread(spread: float) -> None:
    kind = KINDS.get("robustness")
    pinned = kind.known_spreads(kind.pin(robustness(columns=["a"]), {"a": spread}))
    assert pinned["a"] == pytest.approx(spread, rel=0.0906)


def test_its_section_shows_the_metric_by_severity(
    models: Models, fitted: LogisticRegression
) -> None:
    plan = plan_for([models.of("logistic", fitted)], robustness("log_loss"))
    result = evaluated(plan, table_of())
    section = KINDS.get("robustness").section(result.cells)
    assert section is not None
    assert section.columns == ["test", "model", "clean", "severity 1", "severity 3", "severity 5"]
    ((name, model, *numbers),) = section.rows
    assert (name, model) == ("robust", "logistic")
    assert max(map(float, numbers)) == float(numbers[-1]) > 1.1 * float(numbers[0])
    assert [len(line) for line in section.series] == [4]
    (chart,) = section.pictures
    assert (chart.title, chart.across, chart.up) == ("robust", "severity", "log_loss")
    assert chart.places == ["clean", "1", "3", "5"] and chart.limits == []
    (line,) = chart.lines
    overall = [cell for cell in result.cells if cell.slice.kind == "overall"]
    assert line.name == "logistic"
    assert line.points[0].value == overall[0].baseline_value and line.points[0].low is None
    for point, cell in zip(line.points[1:], overall, strict=True):
        assert point.cell == cell
        assert (point.value, point.low, point.high) == (
            cell.measured.value, cell.measured.ci_low, cell.measured.ci_high,
        )  # fmt: skip


def test_its_chart_has_limits_and_no_clean_place_where_nothing_is_compared(
    models: Models, fitted: LogisticRegression
) -> None:
    known = models.of("logistic", fitted)
    tests = (
        robustness("accuracy", Condition("min", 0.5), sets=[OVERALL]),
        replace(robustness("flip_rate", Condition("max", 0.2), sets=[OVERALL]), name="flips"),
    )
    cells = evaluated(plan_for([known], *tests), table_of()).cells
    charts = {chart.title: chart for chart in KINDS.get("robustness").section(cells).pictures}
    assert charts["robust"].limits == [Limit(0.5, True)]
    assert charts["robust"].places[0] == "clean" and charts["flips"].places == ["1", "3", "5"]
    assert charts["flips"].limits == [Limit(0.2, False)]


def test_a_perturbation_that_fails_costs_its_own_cells(
    models: Models, fitted: LogisticRegression
) -> None:
    plain = ModelTest("plain", "accuracy", (), ("overall",))
    broken = robustness(sets=[OVERALL])
    plan = plan_for([models.of("logistic", fitted)], plain)
    table = table_of().drop_columns([ROW_COLUMN])
    cells = evaluated(replace(plan, tests=(plain, broken)), table).cells
    assert next(cell for cell in cells if cell.variant == "clean").measured.value is not None
    for cell in (cell for cell in cells if cell.variant != "clean"):
        assert cell.verdict is Verdict.ERROR and "the model failed" in cell.reason


def test_a_model_that_reads_none_of_the_columns_is_told_of(
    models: Models, fitted: LogisticRegression
) -> None:
    """Its cells pass, since nothing was changed for it, and say so; a suite may have both."""
    known = models.of("logistic", fitted)
    blind = replace(models.odd(""), name="blind", features=("a",))
    test = robustness("accuracy", Condition("max_drop", 0.5), columns=["b"], sets=[OVERALL])
    plan = plan_for([known, blind], test)
    check_fit(plan)
    cells = evaluated(plan, table_of()).cells
    for cell in cells:
        says = "; the model reads none of the perturbed columns" in cell.reason
        assert says == (cell.model.name == "blind"), cell.reason
        assert cell.verdict is Verdict.PASS
    assert {cell.delta for cell in cells if cell.model.name == "blind"} == {0.0}
    cost = KINDS.get("robustness").cost(test, plan.setting)
    assert cost.endswith("3 times more; 'blind' reads none of the perturbed columns")
    # Where it reads one of them, there is nothing to say.
    both = robustness("accuracy", columns=["a", "b"])
    assert "none" not in KINDS.get("robustness").cost(both, plan.setting)
