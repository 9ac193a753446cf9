"""Served models without a server: what is known of them, and what is said of one that is down."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import Endpoint, Output, TaskKind
from engine.errors import EndpointError, ModelError
from engine.models import ServedRequest, resolve_endpoint
from engine.models.load import load
from engine.models.served import as_served
from engine.serving import free_port
from engine.sinks.listing import _origin
from tests.fixtures.served import resolved, save_logistic, table

DOWN = Endpoint("http://127.0.0.1:9", "mlflow", retries=0)


def request(**more: Any) -> ServedRequest:
    given = {"output": Output.PROBABILITY, "token": "1", **more}
    return ServedRequest("live", DOWN, TaskKind.BINARY, **given)


@pytest.fixture(scope="module")
def logistic(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return resolved(save_logistic(tmp_path_factory.mktemp("m") / "model"))


def test_an_endpoint_is_like_another_model(logistic: Any) -> None:
    model = resolve_endpoint(request(output=None, like=logistic))
    assert model.is_endpoint
    assert model.features == ("a", "n")
    assert model.inputs == logistic.inputs
    assert model.classes == logistic.classes
    assert model.output is Output.PROBABILITY
    assert model.uri == "http://127.0.0.1:9"


def test_what_a_server_that_tells_no_version_said_is_not_used_again() -> None:
    one, same, other = (resolve_endpoint(request(token=token)) for token in "112")
    assert one.version is None
    assert one.digest == same.digest != other.digest


def test_nothing_says_what_it_returns() -> None:
    with pytest.raises(ModelError, match="'live' does not tell what its numbers are; expected out"):
        resolve_endpoint(request(output=None))


@pytest.mark.parametrize(
    ("method", "output"),
    [
        ("predict_proba", Output.PROBABILITY),
        ("predict", Output.LABEL),
        ("decision_function", Output.LOGIT),
    ],
)
def test_a_model_is_served_by_the_method_that_it_was_logged_with(
    tmp_path: Path, method: str, output: Output
) -> None:
    model = resolved(save_logistic(tmp_path / "model", method))
    assert model.output is Output.PROBABILITY
    assert as_served(model).output is output


def test_a_method_without_an_output_is_refused(tmp_path: Path) -> None:
    model = resolved(save_logistic(tmp_path / "model", "predict_log_proba"))
    with pytest.raises(ModelError, match="is served by its method 'predict_log_proba', expected"):
        as_served(model)


def test_answers_are_read_as_the_server_gives_them(logistic: Any) -> None:
    fitted = replace(logistic, classes=(0, 1))
    prediction = load(fitted).read_served([[0.25, 0.75], [0.5, 0.5]], 2)
    np.testing.assert_array_equal(prediction.scores, [[0.25, 0.75], [0.5, 0.5]])


def test_a_server_that_is_down_is_a_sentence_in_no_time() -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{free_port()}", "mlflow", retries=1)
    model = replace(resolve_endpoint(request(features=("a", "n"))), endpoint=endpoint)
    with pytest.raises(EndpointError, match="has nobody who listens"):
        load(replace(model, classes=(0, 1))).predict(table(5))


def test_a_server_that_never_answers_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        endpoint = Endpoint(url, "mlflow", timeout=0.5)
        model = replace(resolve_endpoint(request(features=("a", "n"))), endpoint=endpoint)
        live = load(replace(model, digest=url, classes=(0, 1)))
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(EndpointError, match=r"did not answer within 0\.5 s"):
                live.predict(table(5))
        assert time.monotonic() - started < 3


def test_a_plan_says_that_nothing_is_used_again() -> None:
    model = resolve_endpoint(request())
    assert "which tells no version, so that nothing of it is used again" in _origin(model)
    limited = replace(model, version="7", endpoint=replace(DOWN, rate=5.0))
    assert _origin(limited) == (
        "an endpoint (mlflow), version 7, at most 5 requests a second of each machine"
    )


def test_an_endpoint_has_no_folder() -> None:
    with pytest.raises(ModelError, match="'live' is served elsewhere, and has no files here"):
        _ = load(resolve_endpoint(request())).folder
