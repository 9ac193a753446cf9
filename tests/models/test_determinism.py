"""Models that are not deterministic are found; of all others no row is predicted twice."""

from __future__ import annotations

import itertools
import random
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.models import Guard, Limits, Watch, determinism
from engine.models.flavors.base import run_in_chunks
from engine.models.load import Predictor
from engine.models.outputs import Prediction

MODEL: Any = None  # what is watched is the predictor


class Drawing:
    """A model of one feature that adds noise; `drawn` says where from, and the rows are counted."""

    def __init__(self, drawn: Callable[[int], np.ndarray], generator: Any = None) -> None:
        self.drawn, self.held = drawn, {"deep": [generator]}
        self.rows = 0

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        self.rows += batch.num_rows
        return Prediction(scores=batch.column("a").to_numpy() + self.drawn(batch.num_rows))

    @property
    def native(self) -> Any:
        return self


def noise(rows: int) -> np.ndarray:
    return np.random.default_rng().normal(size=rows)


def seeded(rows: int) -> np.ndarray:
    np.random.seed(3)
    return np.repeat(np.random.normal(), rows)


HELD = np.random.default_rng(0)
OLD = np.random.RandomState(0)
PLAIN = random.Random(0)

CHANCY: dict[str, Drawing] = {
    "numpy": Drawing(lambda rows: np.random.normal(size=rows)),
    "numpy, a new generator": Drawing(noise),
    "random": Drawing(lambda rows: np.array([random.random() for _ in range(rows)])),
    "secrets": Drawing(lambda rows: np.array([secrets.randbelow(1000) for _ in range(rows)])),
    "a generator of its own": Drawing(lambda rows: HELD.normal(size=rows), HELD),
    "an old one of its own": Drawing(lambda rows: OLD.normal(size=rows), OLD),
    "random, of its own": Drawing(lambda rows: np.array([PLAIN.random()] * rows), PLAIN),
    "labels": Drawing(lambda rows: np.random.randint(0, 1000, rows)),
}
STEADY: dict[str, Drawing] = {
    "none": Drawing(lambda rows: np.zeros(rows)),
    "holds one and does not draw": Drawing(lambda rows: np.zeros(rows), HELD),
    "the same seed each time": Drawing(seeded),
}


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr("engine.models.isolation.supervisor.die_first", lambda: None)
    monkeypatch.setattr(random, "_urandom", random._urandom)  # type: ignore[attr-defined]
    made = Watch(Limits(), Guard(str(tmp_path)), partition=4)
    yield made
    made.close()


def asked(watch: Watch, model: Drawing, batches: int = 3, rows: int = 50) -> str | None:
    """Lets a watched model predict some batches; gives what is found of it."""
    model.rows = 0
    for batch in range(1, batches + 1):
        give = watch.loader(lambda _: model, 7, batch)
        give(MODEL).predict(pa.RecordBatch.from_pydict({"a": np.arange(rows) / 7}))
    return watch.doubts.get(7)


@pytest.mark.parametrize("kind", CHANCY)
def test_a_model_that_answers_otherwise_is_told(watch: Watch, kind: str) -> None:
    model = CHANCY[kind]
    again = determinism.AGAIN_ROWS
    found = asked(watch, model)
    # By chance a row or two get the same answer, and more where few answers are possible.
    if "secrets" not in kind and "labels" not in kind:
        expected = f"asked again for {again} rows, it answered otherwise for 1[2-6] of them"
        assert found and re.match(expected, found)
    assert found and found.endswith("on batch 1 of partition 4")
    assert model.rows == 3 * 50 + again, "it is asked again once"


@pytest.mark.parametrize("kind", STEADY)
def test_a_model_that_answers_alike_is_not(watch: Watch, kind: str) -> None:
    model = STEADY[kind]
    assert not asked(watch, model)
    more = determinism.AGAIN_ROWS if kind == "the same seed each time" else 0
    assert model.rows == 3 * 50 + more, "who draws nothing predicts no row twice"


def test_rows_that_fill_a_chunk_up_show_chance(watch: Watch) -> None:
    counter = itertools.count()

    def call(arrays: list[np.ndarray]) -> np.ndarray:
        # As a network with a generator that nothing here knows of.
        return arrays[0] + np.array([next(counter) for _ in range(len(arrays[0]))])

    def run(table: pa.Table) -> np.ndarray:
        return run_in_chunks(call, [table.column("a").to_numpy()], 64)

    class Network(Predictor):
        def predict(self, batch: Any) -> Prediction:
            return Prediction(scores=self.runner(batch))

    network = Network(MODEL, run)
    give = watch.loader(lambda _: network, 1, 1)
    give(MODEL).predict(pa.RecordBatch.from_pydict({"a": np.arange(100.0)}))
    assert "otherwise for 16 of them" in watch.doubts[1]


def test_what_differs_in_the_last_digits_is_alike() -> None:
    scores = np.array([[0.25, 0.75], [0.5, 0.5], [np.nan, np.nan]])
    near, far = scores + 1e-7, scores + np.array([[0.0], [0.01], [0.0]])
    assert determinism.count_differences(Prediction(scores=scores), Prediction(scores=near)) == 0
    assert determinism.count_differences(Prediction(scores=scores), Prediction(scores=far[:2])) == 1
    labels = np.array([0, 1, -1, 1])
    other = np.array([0, 1, -1])
    assert determinism.count_differences(Prediction(labels=labels), Prediction(labels=other)) == 0
    assert (
        determinism.count_differences(Prediction(labels=labels), Prediction(labels=other[::-1]))
        == 2
    )


@pytest.mark.frameworks
def test_dropout_that_was_left_on_shows(watch: Watch) -> None:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.drop(x)

    net = Net().train()

    def answers(rows: int) -> np.ndarray:
        return np.asarray(net(torch.ones(rows)).detach())

    assert "otherwise" in str(asked(watch, Drawing(answers)))
    net.eval()
    assert watch.doubts.pop(7) and not asked(watch, Drawing(answers))
