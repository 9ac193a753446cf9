"""A model of a notebook is the same one while all that it answers by is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from engine.models.content import KERAS, SKLEARN, TORCH, content_digest
from engine.models.function_model import answers_of
from engine.models.log_model import FUNCTION

ROWS = np.arange(12.0).reshape(6, 2)


def test_an_estimator_is_known_by_what_it_learned() -> None:
    def digest(weight: float, *about: object) -> str:
        model = LogisticRegression(C=weight).fit(ROWS, [0, 1] * 3)
        return content_digest(model, SKLEARN, about)

    assert digest(1.0) == digest(1.0)
    assert len({digest(1.0), digest(2.0), digest(1.0, "other columns")}) == 3


def test_a_function_of_a_module_is_known_by_the_modules_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file, digests = tmp_path / "own_functions.py", []
    for text in ("RATE = 1.0", "RATE = 1.0", "RATE = -1.0 # less"):
        file.write_text(f"{text}\n\ndef predict(rows):\n    return RATE * rows['a']\n")
        importlib.invalidate_caches()
        sys.modules.pop("own_functions", None)
        module: Any = importlib.import_module("own_functions")
        digests.append(content_digest(module.predict, FUNCTION, []))
    sys.modules.pop("own_functions")
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.frameworks
def test_a_module_is_known_by_its_attributes_too_and_left_as_it_was() -> None:
    import torch

    from engine.models.log_model import FittedModel, _outputs

    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.5))
    first = content_digest(net, TORCH, [])
    assert content_digest(net, TORCH, []) == first
    net[1].p = 0.25
    assert content_digest(net, TORCH, []) != first
    net[0].eval()
    _outputs(FittedModel(net, TORCH, ROWS))
    assert [part.training for part in net] == [False, True] and net.training


@pytest.mark.frameworks
def test_a_keras_model_that_ends_in_an_operation_is_read_by_it() -> None:
    from engine.models.flavors.keras import _activation, import_tensorflow

    keras = import_tensorflow().keras
    given = keras.Input((2,))
    numbers = keras.layers.Dense(1)(given)
    ends = {
        "sigmoid": keras.ops.sigmoid(numbers),
        "softmax": keras.ops.softmax(keras.layers.Dense(2)(given)),
        "linear": numbers,
        None: keras.ops.exp(numbers),
    }
    models = {name: keras.Model(given, end) for name, end in ends.items()}
    assert {name: _activation(model) for name, model in models.items()} == {n: n for n in ends}
    same, other = (content_digest(models[name], KERAS, []) for name in ("sigmoid", "linear"))
    assert same != other


def test_answers_are_put_into_the_order_of_the_rows() -> None:
    rows = pd.DataFrame({"a": [3.0, 1.0, 2.0]}, index=[5, 6, 7])
    for function in (lambda x: x["a"].sort_values(), lambda x: x[["a"]].sort_values("a")):
        assert answers_of(function, rows).to_numpy().ravel().tolist() == [3.0, 1.0, 2.0]
    by_place = answers_of(lambda x: x["a"].reset_index(drop=True), rows)
    assert by_place.tolist() == [3.0, 1.0, 2.0]
