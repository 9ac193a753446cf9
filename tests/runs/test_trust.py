"""A night with a model that is not trusted: its cells, the others', the gate, and what is told.

By processes of this machine: models are opened by the same code in them and in Spark's workers. A
notebook's models are evaluated in its session.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.sklearn
import numpy as np
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from engine import evaluate, plan, results
from engine.sinks.trust import trust_text

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

TESTS = [
    {"metric": "accuracy", "min": 0.5, "max_drop": 0.01},
    {"metric": "roc_auc", "min": 0.1},
    {"robustness": {"noise": ["f0"], "severities": [1]}, "metric": "accuracy", "max_drop": 0.5},
    {"contract": ["deterministic", "batch_equals_row"]},
    {"speed": "latency_p95", "batch": 1, "max_ms": 10_000},
]


class Bomb:
    """Writes a file when it is unpickled, in whatever process."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marker") / "it ran"


@pytest.fixture(scope="module")
def paths(world: Any, marker: Path) -> dict[str, str]:
    """A model in skops, and one as a pickle that runs something."""
    x, y = world.few[["f0", "f1"]], world.few["f0"] > 0
    found = {}
    for name, how in {
        "safe": {"serialization_format": "skops"},
        "unsafe": {"serialization_format": "cloudpickle"},
    }.items():
        native = LogisticRegression().fit(x, y.astype(int))
        if name == "unsafe":
            native.extra = Bomb(marker)
        found[name] = str(world.folder / "trust" / name)
        mlflow.sklearn.save_model(
            native,
            found[name],
            signature=infer_signature(x, np.array([0, 1])),
            pip_requirements=["scikit-learn"],
            **how,
        )
    marker.unlink(missing_ok=True)
    return found


@pytest.fixture(scope="module")
def suite(world: Any, small: Callable[..., dict[str, Any]], paths: dict[str, str]) -> Any:
    models = [{"uri": path, "name": name} for name, path in paths.items()]
    whole = small(models=models, baseline="safe", tests=TESTS)
    return {**whole, "trust": {"formats": ["skops"]}, "executor": "local"}


@pytest.fixture(scope="module")
def night(suite: Any, evaluated: Callable[..., RunResult]) -> RunResult:
    return evaluated(suite, "trust")


def test_its_cells_are_errors_with_the_reason_and_it_is_not_opened(
    night: RunResult, marker: Path
) -> None:
    for cell in night.outcome.cells:
        if cell.model.name == "unsafe":
            assert cell.verdict == "ERROR" and cell.measured.value is None
            assert "it is not trusted, and was not opened: model.pkl is pickle, and" in cell.reason
            assert cell.reason.endswith("trust.formats allows skops")
    mine = {cell.test.name for cell in night.outcome.cells if cell.model.name == "unsafe"}
    assert mine == {cell.test.name for cell in night.outcome.cells if cell.model.name == "safe"}
    assert not marker.exists()


def test_the_others_are_evaluated_and_the_gate_is_not_passed(night: RunResult) -> None:
    safe = [cell for cell in night.outcome.cells if cell.model.name == "safe"]
    assert safe and all(cell.verdict in ("PASS", "RECORDED") for cell in safe)
    assert night.exit_code == 3


def test_report_plan_and_table_say_what_the_files_are(
    world: Any, spark: Any, suite: Any, night: RunResult, marker: Path
) -> None:
    (pinned,) = plan(world.write("trust", suite), spark=spark)
    told = {model.name: trust_text(model) for model in pinned.plan.models}
    assert told["safe"] == "files: skops"
    assert told["unsafe"].startswith("files: pickle; its pickle imports ")
    page = (Path(suite["store"]) / "reports" / night.run_id / "index.html").read_text()
    assert "files: skops" in page and "model.pkl is pickle" in page
    rows = results(store=suite["store"], run=night.run_id)
    assert set(rows[rows.model == "unsafe"].verdict) == {"ERROR"}
    assert not marker.exists()


def test_what_was_kept_of_it_while_it_was_trusted_is_not_used(
    suite: Any, evaluated: Callable[..., RunResult], tmp_path: Path, marker: Path
) -> None:
    shared = {**suite, "store": str(tmp_path / "store"), "reuse": True}
    trusting = {key: value for key, value in shared.items() if key != "trust"}
    before = evaluated(trusting, "trusting")
    assert marker.exists(), "by default it is opened, as by MLflow"
    assert {cell.verdict for cell in before.outcome.cells} <= {"PASS", "RECORDED"}
    marker.unlink()
    after = evaluated(shared, "trust")
    verdicts = {cell.verdict for cell in after.outcome.cells if cell.model.name == "unsafe"}
    assert verdicts == {"ERROR"}
    assert not marker.exists()


def test_a_notebook_asks_it_of_its_own_models(world: Any, spark: Any, tmp_path: Path) -> None:
    """A function is logged as a pickle: where none is allowed, it is not opened either."""
    frame = world.few[["id", "f0", "f1"]].assign(label=(world.few["f0"] > 0).astype(int))
    native = LogisticRegression().fit(frame[["f0", "f1"]], frame["label"])
    result = evaluate(
        frame,
        {"fitted": native, "function": lambda rows: (rows["f0"] > 0).astype(int)},
        label="label",
        task="binary",
        key="id",
        features=["f0", "f1"],
        tests=["accuracy"],
        store=str(world.make_store(tmp_path / "store")),
        spark=spark,
        trust={"formats": ["skops"]},
    )
    verdicts = {cell.model.name: str(cell.verdict) for cell in result.outcome.cells}
    assert verdicts == {"fitted": "RECORDED", "function": "ERROR"}
