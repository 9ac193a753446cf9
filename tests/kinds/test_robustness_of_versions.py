"""`robustness` with `against: baseline`: what a perturbation changes of two versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from engine.core.vocabulary import (
    Cell,
    Columns,
    Condition,
    DatasetVersion,
    ModelTest,
    TaskKind,
    Verdict,
)
from engine.errors import InputError
from engine.kinds import KINDS, Setting, parameters_text
from engine.kinds.perturbations import perturb
from engine.metrics import Problem
from engine.planning import EvaluationPlan, check_fit
from engine.planning.scan_columns import BUCKET_COLUMN, ROW_COLUMN
from engine.states import BUCKETS
from tests.fixtures.kernel import BY_COUNTRY, OVERALL, Models, evaluated, plan_of, rows_of

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))


def of_versions(
    metric: str, *conditions: Condition, severities: Sequence[int] = (1, 4), **more: Any
) -> ModelTest:
    asked = {"noise": ["a", "b"], "severities": list(severities), "against": "baseline"}
    test = ModelTest(
        "robust", metric, conditions, ("overall",), kind="robustness",
        parameters=parameters_text(asked), **more,
    )  # fmt: skip
    return KINDS.get("robustness").pin(test, {"a": 1.0, "b": 1.0})


def table_of(rows: int = 1500, seed: int = 1) -> pa.Table:
    table = rows_of(TaskKind.BINARY, rows=rows, seed=seed)
    keys = np.random.default_rng(seed + 100).integers(-(2**63), 2**63 - 1, rows)
    return table.append_column(ROW_COLUMN, pa.array(keys, pa.int64()))


def fit(model: Any, seed: int = 9) -> Any:
    table = rows_of(TaskKind.BINARY, seed=seed).to_pandas().dropna(subset=["label"])
    return model.fit(table[["a", "b"]], table["label"].astype(int))


@pytest.fixture(scope="module")
def both() -> dict[str, Any]:
    """A smooth version, and one of single neighbours that any noise misleads."""
    smooth, brittle = LogisticRegression(), KNeighborsClassifier(n_neighbors=1)
    return {"smooth": fit(smooth), "brittle": fit(brittle)}


def plan_for(
    models: Models, both: dict[str, Any], *tests: ModelTest, baseline: str | None = "smooth"
) -> EvaluationPlan:
    versions = [models.of(name, native) for name, native in both.items()]
    plan = plan_of(TaskKind.BINARY, versions, [], slice_sets=(OVERALL, BY_COUNTRY))
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    columns = replace(plan.columns, weight=None)
    return replace(plan, tests=tests, dataset=dataset, columns=columns, baseline=baseline)


def cells_of(plan: EvaluationPlan, table: pa.Table, parts: int = 1) -> dict[Any, Cell]:
    cells = evaluated(plan, table, parts).cells
    return {(cell.model.name, cell.variant, cell.slice.name): cell for cell in cells}


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "flip_rate"])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_figures_are_those_of_four_predictions(
    models: Models, both: dict[str, Any], metric: str, parts: int
) -> None:
    """The changes and their difference from the rows, and its error from scikit-learn's figures."""
    table = table_of()
    plan = plan_for(models, both, of_versions(metric))
    cells = cells_of(plan, table, parts)
    whole = table.combine_chunks().to_batches()[0]
    labelled = table["label"].to_pandas().notna().to_numpy()
    labels = table["label"].to_pandas()[labelled].astype(int).to_numpy()
    buckets = np.asarray(table[BUCKET_COLUMN])[labelled]

    def figure(clean: np.ndarray, perturbed: np.ndarray, rows: np.ndarray) -> float:
        if metric == "flip_rate":
            return float(np.mean((clean[rows] > 0.5) != (perturbed[rows] > 0.5)))
        of = {"log_loss": sk.log_loss, "roc_auc": sk.roc_auc_score}[metric]
        return of(labels[rows], perturbed[rows]) - of(labels[rows], clean[rows])

    def scores(native: Any, batch: pa.RecordBatch) -> np.ndarray:
        return native.predict_proba(batch.to_pandas()[["a", "b"]])[labelled, 1]

    for variant in plan.variants:
        behind = perturb(whole, np.asarray(table[ROW_COLUMN]), variant)
        clean = {name: scores(native, whole) for name, native in both.items()}
        after = {name: scores(native, behind) for name, native in both.items()}
        sides = {
            name: [figure(clean[name], after[name], buckets != b) for b in range(BUCKETS)]
            for name in both
        }
        every = np.ones(len(labels), bool)
        values = {name: figure(clean[name], after[name], every) for name in both}
        cell = cells["brittle", variant.name, "overall"]
        assert cell.measured.value == pytest.approx(values["brittle"], rel=1e-9)
        assert cell.baseline_model == "smooth"
        assert cell.baseline_value == pytest.approx(values["smooth"], rel=1e-9)
        delta = values["brittle"] - values["smooth"]
        assert cell.delta == pytest.approx(delta, rel=1e-9)
        left_out = np.array(sides["brittle"]) - np.array(sides["smooth"])
        assert cell.delta_ci_low < delta < cell.delta_ci_high
        # By the plain jackknife of groups of like size, near to what unequal groups have.
        error = np.sqrt((BUCKETS - 1) / BUCKETS * ((left_out - left_out.mean()) ** 2).sum())
        half = stats.t.ppf(0.975, BUCKETS - 1) * error
        assert (cell.delta_ci_high - cell.delta_ci_low) / 2 == pytest.approx(half, rel=0.1)
        own = cells["smooth", variant.name, "overall"]
        assert own.measured.value == pytest.approx(values["smooth"], rel=1e-9)
        assert (own.baseline_model, own.delta) == (None, None)


def test_a_brittle_version_fails_and_an_equal_one_passes(
    models: Models, both: dict[str, Any]
) -> None:
    test = of_versions("flip_rate", Condition("max_rise", 0.02), severities=[4])
    cells = cells_of(plan_for(models, both, test), table_of())
    cell = cells["brittle", "noise(a,b)@4", "overall"]
    assert cell.verdict is Verdict.FAIL
    assert "the baseline's" in cell.reason and "clean" not in cell.reason
    same = {"smooth": both["smooth"], "again": both["smooth"]}
    cells = cells_of(plan_for(models, same, test), table_of())
    cell = cells["again", "noise(a,b)@4", "overall"]
    assert (cell.verdict, cell.delta) == (Verdict.PASS, 0.0)
    # The baseline is asked for nothing.
    assert cells["smooth", "noise(a,b)@4", "overall"].verdict is not Verdict.FAIL


def test_its_chart_is_of_what_the_perturbation_changes(
    models: Models, both: dict[str, Any]
) -> None:
    cells = cells_of(plan_for(models, both, of_versions("log_loss")), table_of())
    section = KINDS.get("robustness").section(list(cells.values()))
    assert section is not None and section.rows == []
    (chart,) = section.pictures
    assert chart.up == "what the perturbation changes of log_loss"
    # What another model's perturbation changes is not this one's clean value.
    assert chart.places == ["1", "4"]
    values = {line.name: [point.value for point in line.points] for line in chart.lines}
    for model in both:
        of_model = [c for key, c in cells.items() if key[0] == model and key[2] == "overall"]
        assert values[model] == [cell.measured.value for cell in of_model]


def test_sound_versions_are_seldom_reported(models: Models) -> None:
    """Two fits of one kind on other halves: what noise costs them differs by chance alone."""
    versions = {"one": fit(LogisticRegression(), 9), "two": fit(LogisticRegression(), 10)}
    test = of_versions("log_loss", Condition("max_rise", 0.02), severities=[3])
    verdicts = [
        cells_of(plan_for(models, versions, test, baseline="one"), table_of(600, seed))[
            "two", "noise(a,b)@3", "overall"
        ].verdict
        for seed in range(12)
    ]
    assert verdicts.count(Verdict.FAIL) == 0
    assert verdicts.count(Verdict.PASS) >= 6


@pytest.mark.parametrize("missing", ["smooth", "brittle"])
def test_a_version_that_fails_costs_what_is_compared_with_it(
    models: Models, both: dict[str, Any], missing: str
) -> None:
    """A model that raises behind the perturbation, as the one or the other."""
    failing = models.calls.Odd("raises")
    versions = {name: failing if name == missing else native for name, native in both.items()}
    versions = {f"{name}-{missing}": native for name, native in versions.items()}
    base = next(name for name in versions if name.startswith("smooth"))
    plan = plan_for(models, versions, of_versions("log_loss"), baseline=base)
    cell = cells_of(plan, table_of())[
        next(name for name in versions if name.startswith("brittle")), "noise(a,b)@1", "overall"
    ]
    assert cell.verdict is Verdict.ERROR
    assert "failed" in cell.reason


@pytest.mark.parametrize(
    ("test", "baseline", "words"),
    [
        (of_versions("log_loss"), None, "expected the key 'baseline'"),
        (of_versions("log_loss", Condition("max", 0.1)), "smooth", "expected max_drop, max_rise"),
        (
            of_versions("log_loss", Condition("max_rise", 0.1, relative=True)),
            "smooth",
            "expected a number",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    models: Models, both: dict[str, Any], test: ModelTest, baseline: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_fit(plan_for(models, both, test, baseline=baseline))


def test_a_test_is_written_as_it_was_read() -> None:
    kind = KINDS.get("robustness")
    written = kind.write(of_versions("log_loss"))
    file = kind.file().model_validate({**written, "max_rise": 0.1})
    fields = kind.read(file, lambda name: name)
    assert kind.write(replace(of_versions("log_loss"), **fields)) == written
    setting = Setting(Problem(TaskKind.BINARY, (0, 1)), (), "v1", Columns("label"), dict(TYPES))
    (expanded,) = kind.expand(of_versions("log_loss"), setting)
    assert (expanded.metric, kind.metric(expanded).name) == ("log_loss_change", "log_loss_change")
    assert kind.write(expanded) == written
    assert kind.needs_baseline({"against": "baseline"}) and not kind.needs_baseline({})
