"""A served model goes all the way of a loaded one, from MLflow's own server to the cells.

By processes of this machine; that nobody listens is met by Spark's workers too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine.core.vocabulary import Verdict
from engine.serving import Server, free_port, start_server
from tests.fixtures.served import quiet

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

TOKEN = "Tk-8812-secret"
# Workers have the environment in which they were started, which is after all tests are collected.
os.environ["EVALMATRIX_LIVE_TOKEN"] = TOKEN
TESTS = [{"metric": "roc_auc", "max_drop": 0.01}, {"metric": "log_loss"}, {"metric": "recall"}]
LOCAL = {"executor": "local"}


@pytest.fixture(scope="module")
def folder(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose server answers with probabilities, as the engine asks it."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("served") / "good"
    rows = world.few.dropna(subset=["fraud"])
    names = ["f0", "f1", "f2"]
    model = LogisticRegression().fit(rows[names], rows["fraud"].astype(int))
    with quiet():
        mlflow.sklearn.save_model(
            model, str(folder), pyfunc_predict_fn="predict_proba", pip_requirements=["mlflow"],
            signature=mlflow.models.infer_signature(rows[names], model.predict_proba(rows[names])),
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    started, _ = start_server(folder)
    with started:
        yield started


def live(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "live", "endpoint": url, "protocol": "mlflow", "retries": 1, **more}


def cells_of(result: RunResult) -> dict[tuple[str, str, str], Any]:
    return {(c.model.name, c.slice.name, c.test.name): c for c in result.outcome.cells}


def test_what_is_served_is_held_against_what_is_tested_slice_by_slice(
    world: Any,
    folder: Path,
    server: Server,
    small: Callable[..., Any],
    evaluated: Callable[..., RunResult],
    leaks: Callable[..., Any],
) -> None:
    served = live(
        server.endpoint.url, rate="500/s", batch=50, headers={"X-Token": "${EVALMATRIX_LIVE_TOKEN}"}
    )
    models = [{"uri": str(folder), "name": "good"}, served]
    asked = {"endpoint": ["parity", "readiness"], "rate": "200/s"}
    for tests in (TESTS, [*TESTS, asked]):
        suite = small(
            models=models, tests=tests, slices=[{"by": "device"}], baseline="good", reuse=True
        )
        result = evaluated(suite | LOCAL, "endpoints")
        cells = cells_of(result)
        for (name, where, test), cell in cells.items():
            if name == "live" and not test.startswith("endpoint"):
                assert cell.measured.value == cells["good", where, test].measured.value
                assert cell.delta in (None, 0.0)
        # MLflow's server tells no version: what it said one night is worth nothing in the next,
        # and it is compared with the baseline, which predicts for that again.
        (evaluation,) = result.outcome.evaluations
        rows = world.few["fraud"].notna().sum()
        assert evaluation.timings["predictions"] == 2 * rows
    for name in ("good", "live"):
        for ask in ("parity", "readiness"):
            assert cells[name, "overall", f"endpoint {ask}"].verdict is Verdict.PASS
    assert leaks(TOKEN).in_folder(world.store) == []
    (planned,) = engine.plan(world.folder / "suites" / "endpoints.yml")
    assert planned.predictions == 2 * len(world.few)


def test_a_server_that_is_not_there_costs_its_own_cells(
    folder: Path, small: Callable[..., Any], evaluated: Callable[..., RunResult]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    models = [{"uri": str(folder), "name": "good"}, live(url)]
    result = evaluated(small(models=models, tests=TESTS, baseline="good"), "nobody")
    for cell in result.outcome.cells:
        if cell.model.name == "live":
            assert cell.verdict is Verdict.ERROR
            assert f"the endpoint {url} has nobody who listens" in cell.reason
        else:
            assert cell.measured.value is not None


def test_a_server_that_dies_in_mid_run_costs_its_own_cells(
    folder: Path, server: Server, small: Callable[..., Any], evaluated: Callable[..., RunResult]
) -> None:
    """The last test of this file: the server is not started again."""
    served = live(server.endpoint.url, rate="4/s", batch=10)
    models = [{"uri": str(folder), "name": "good"}, served]
    suite = small(models=models, tests=TESTS, baseline="good")
    end = threading.Timer(4.0, server.stop)
    started = time.monotonic()
    end.start()
    result = evaluated(suite | LOCAL, "dying")
    end.join()
    assert time.monotonic() - started < 120
    for cell in result.outcome.cells:
        if cell.model.name == "live":
            assert cell.verdict is Verdict.ERROR
            assert "the endpoint http://127.0.0.1:" in cell.reason
        else:
            assert cell.measured.value is not None
