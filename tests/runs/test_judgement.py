"""Intervals, paired comparisons, groups, budgets and second judgements, on the real machinery."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.fixtures.mid_p import mid_p, mid_p_interval

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

FEATURES = ["f0", "f1", "f2"]
TESTS: list[dict[str, Any]] = [
    {"metric": "accuracy", "min": 0.6, "slices": ["overall", "device"]},
    {"name": "kept", "metric": "accuracy", "max_drop": 0.05, "slices": ["overall", "device"]},
    {"metric": "log_loss", "no_worse": True, "slices": ["overall"]},
    {"metric": "roc_auc", "max_drop": "5%", "slices": ["overall"]},
    {"metric": "flip_rate", "slices": ["overall"]},
    {"metric": "regressions", "slices": ["overall"]},
    {
        "metric": "demographic_parity_difference",
        "group": "country",
        "max": 0.9,
        "slices": ["overall", "device", "nobody", "adults"],
    },
]
SLICES: list[Any] = [
    "overall",
    {"by": "device"},
    {"where": "age > 1000", "name": "nobody"},
    {"where": "age > 18", "name": "adults"},
]


@pytest.fixture(scope="module")
def suite(world: Any, small: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return small(
        name="judged",
        models=[{"uri": "models:/claims/1"}, {"uri": "models:/claims/2"}],
        baseline="claims-v1",
        slices=SLICES,
        tests=TESTS,
    )


@pytest.fixture(scope="module")
def result(suite: dict[str, Any], evaluated: Callable[..., RunResult]) -> Any:
    return evaluated(suite, "judged")


@pytest.fixture(scope="module")
def cells(result: RunResult) -> pd.DataFrame:
    return result.to_pandas().set_index(["model", "slice", "test"]).sort_index()


def predicted(world: Any, rows: pd.DataFrame) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    scores = {
        name: world.fitted[name].predict_proba(rows[FEATURES])[:, 1]
        for name in ("claims-v1", "claims-v2")
    }
    return rows["fraud"].astype(int).to_numpy(), scores


def labelled(world: Any) -> pd.DataFrame:
    return world.few.dropna(subset=["fraud"])


@pytest.mark.parametrize("where", ["overall", "device=ios", "device=web"])
def test_accuracy_has_the_binomials_interval_and_nearly_mcnemars_test(
    world: Any, cells: pd.DataFrame, where: str
) -> None:
    rows = labelled(world)
    if where != "overall":
        rows = rows[rows["device"] == where.removeprefix("device=")]
    truth, scores = predicted(world, rows)
    before, after = ((scores[name] > 0.5) == truth for name in ("claims-v1", "claims-v2"))
    cell = cells.loc[("claims-v2", where, "kept")]
    low, high = mid_p_interval(int(after.sum()), len(rows))
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx((low, high), abs=1e-9)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    assert cell["delta"] == pytest.approx((gained - lost) / len(rows), abs=1e-12)
    differing = gained + lost
    expected = 2 * mid_p(min(gained, lost), differing, 0.5)
    assert cell["p_value"] == pytest.approx(expected, rel=0.15, abs=1e-3)
    assert cell["delta_ci_low"] < cell["delta"] < cell["delta_ci_high"]


def test_log_loss_is_compared_by_the_paired_t_test(world: Any, cells: pd.DataFrame) -> None:
    truth, scores = predicted(world, labelled(world))
    eps = np.finfo(float).eps
    losses = {}
    for name, score in scores.items():
        losses[name] = -np.log(np.clip(np.where(truth == 1, score, 1 - score), eps, 1 - eps))
    expected = stats.ttest_rel(losses["claims-v2"], losses["claims-v1"])
    cell = cells.loc[("claims-v2", "overall", "log_loss")]
    assert cell["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert (cell["delta_ci_low"], cell["delta_ci_high"]) == pytest.approx(tuple(interval), rel=1e-6)


def test_versions_are_compared_row_by_row(world: Any, cells: pd.DataFrame) -> None:
    truth, scores = predicted(world, labelled(world))
    before, after = (scores[name] > 0.5 for name in ("claims-v1", "claims-v2"))
    flips = cells.loc[("claims-v2", "overall", "flip_rate"), "value"]
    assert flips == pytest.approx((before != after).mean(), abs=1e-12)
    worse = cells.loc[("claims-v2", "overall", "regressions"), "value"]
    expected = ((before == truth) & (after != truth)).mean()
    assert worse == pytest.approx(expected, abs=1e-12)
    of_baseline = cells.loc[("claims-v1", "overall", "flip_rate")]
    assert pd.isna(of_baseline["value"])
    assert of_baseline["verdict"] == "RECORDED"


@pytest.mark.parametrize("where", ["overall", "device=ios", "adults"])
def test_groups_are_compared_on_every_slice(world: Any, cells: pd.DataFrame, where: str) -> None:
    rows = labelled(world)
    if where == "adults":
        rows = rows[rows["age"] > 18]
    elif where != "overall":
        rows = rows[rows["device"] == where.removeprefix("device=")]
    _, scores = predicted(world, rows)
    groups = rows["country"].fillna("<null>").to_numpy()
    for name, score in scores.items():
        rates = pd.Series(score > 0.5).groupby(groups).mean()
        cell = cells.loc[(name, where, "demographic_parity_difference")]
        assert cell["value"] == pytest.approx(rates.max() - rates.min(), abs=1e-12)
        assert cell["ci_low"] <= cell["value"] <= cell["ci_high"]
        assert cell["n"] == len(rows)


def test_groups_of_no_rows_are_an_error(cells: pd.DataFrame) -> None:
    cell = cells.loc[("claims-v2", "nobody", "demographic_parity_difference")]
    assert cell["verdict"] == "ERROR"
    assert cell["reason"] == "the slice matched no row of the dataset"


def test_a_run_is_judged_again_without_its_data(
    world: Any, result: RunResult, command: Callable[..., Any], tmp_path: Any
) -> None:
    from engine import judge

    before = result.to_pandas()
    again = judge(result.run_id, store=str(world.store)).to_pandas()
    pd.testing.assert_frame_equal(before, again)
    # Other thresholds, another level, and a metric that nobody asked for in the run.
    overrides = [
        "evaluations.0.tests.0.min=0.999",
        "confidence=0.5",
        "evaluations.0.tests.4.metric=f1",
    ]
    judged = judge(result.run_id, store=str(world.store), overrides=overrides)
    cells = judged.to_pandas().set_index(["model", "slice", "test"]).sort_index()
    assert cells.loc[("claims-v2", "overall", "accuracy min"), "verdict"] == "FAIL"
    truth, scores = predicted(world, labelled(world))
    alarm = scores["claims-v2"] > 0.5
    f1 = 2 * (alarm & (truth == 1)).sum() / (alarm.sum() + (truth == 1).sum())
    # The test keeps the name that the run gave it.
    cell = cells.loc[("claims-v2", "overall", "flip_rate")]
    assert (cell["metric"], cell["value"]) == ("f1", pytest.approx(f1, abs=1e-12))
    found = command(
        *("judge", result.run_id, "--store", world.store, "--out", tmp_path),
        *("--set", overrides[0], "--set", "gate.on_error=warn"),
    )
    assert found.exit_code == 1, found.stderr
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluations.0.tests.1.metric=brier_score", "needs mean(brier_score) on the slices"),
        ("evaluations.0.dataset.version=0", "dataset differs from what the run"),
        ("evaluations.0.baseline=claims-v2", "baseline differs from what the run"),
    ],
)
def test_what_needs_the_data_is_refused(
    world: Any, result: RunResult, command: Callable[..., Any], override: str, message: str
) -> None:
    sets = ["--set", override]
    if "brier" in override:
        sets += ["--set", "evaluations.0.tests.1.max_drop=null"]
    found = command("judge", result.run_id, "--store", world.store, *sets)
    assert found.exit_code == 2
    assert message in found.stderr


def test_a_cell_is_explained(world: Any, result: RunResult, command: Callable[..., Any]) -> None:
    found = command("explain", result.run_id, "claims-v2/overall/kept", "--store", world.store)
    assert found.exit_code == 0, found.stderr
    assert "accuracy is 0." in found.stdout
    assert "at 95 % confidence its true value is between" in found.stdout
    assert "The baseline claims-v1 has" in found.stdout
    assert "The test demands max_drop 0.05" in found.stdout
    several = command("explain", result.run_id, "overall/kept", "--store", world.store)
    assert several.exit_code == 2
    assert "2 cells fit" in several.stderr
    none = command("explain", result.run_id, "overall/kepd", "--store", world.store)
    assert none.exit_code == 2
    assert "overall/kept" in none.stderr


def test_runs_share_one_error_budget(
    world: Any, suite: dict[str, Any], evaluated: Callable[..., RunResult], tmp_path: Any
) -> None:
    """The same tests on the same states are judged once; others get what the budget has left."""
    budgeted = {
        **copy.deepcopy(suite),
        "name": "budgeted",
        "store": str(tmp_path / "store"),
        "mlflow": {"tracking_uri": world.tracking_uri},
        "false_alarms": {"over_runs": "lord"},
    }
    first, again = (evaluated(budgeted, "budgeted").outcome.evaluations[0] for _ in range(2))
    assert first.alpha == again.alpha
    assert first.alpha < 0.05
    budgeted["evaluations"][0]["min_slice_rows"] = 2
    other = evaluated(budgeted, "budgeted").outcome.evaluations[0]
    assert other.alpha < first.alpha
    # Another level is another budget, which begins anew.
    budgeted["confidence"] = 0.9
    anew = evaluated(budgeted, "budgeted").outcome.evaluations[0]
    assert anew.alpha == pytest.approx(2 * first.alpha)


def test_rows_of_a_cluster_count_as_one(
    small: Callable[..., dict[str, Any]], evaluated: Callable[..., RunResult]
) -> None:
    def cells_by(**dataset: str) -> pd.DataFrame:
        made = small(name="clustered", dataset=dataset, slices=[{"by": "device"}])
        return evaluated(made, "clustered").to_pandas().set_index("slice")

    alone, together = cells_by(), cells_by(cluster="device")
    width = together["ci_high"] - together["ci_low"]
    assert width["overall"] > (alone["ci_high"] - alone["ci_low"])["overall"]
    # All rows of such a slice are of one cluster: nothing is known of how clusters differ.
    assert np.isnan(width["device=ios"])


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"dataset": {"cluster": "nope"}}, "lacks cluster column 'nope'"),
        ({"dataset": {"cluster": "country"}}, "without a value in the cluster column 'country'"),
        (
            {"tests": [{"metric": "demographic_parity_difference", "max": 0.1}]},
            "expected the column that makes them",
        ),
        (
            {"tests": [{"metric": "demographic_parity_difference", "group": "nope", "max": 0.1}]},
            "lacks group column 'nope'",
        ),
        ({"tests": [{"metric": "accuracy", "group": "device"}]}, "compares no groups"),
        ({"tests": [{"metric": "flip_rate"}]}, "expected the key 'baseline'"),
        ({"tests": [{"metric": "cost"}]}, "needs the evaluation's `costs`"),
    ],
)
def test_bad_input_is_told(
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    over: dict[str, Any],
    message: str,
) -> None:
    from engine.errors import InputError

    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        evaluated(small(**over), "bad")
