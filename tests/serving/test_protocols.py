"""What each protocol writes and reads, by the examples of its documentation.

MLflow's own server is asked in `test_server.py`. For the others no server can be had here: these
are the documented bodies, sent to a server on loopback that takes only these.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pytest

from engine.core.vocabulary import (
    ColumnSpec,
    Endpoint,
    ModelVersion,
    Output,
    TaskKind,
    TensorSpec,
)
from engine.errors import EndpointError
from engine.serving import PROTOCOLS, Client, Rows, rows_of
from engine.serving.addresses import url_of


def rows(*inputs: Any) -> Rows:
    features = ("x",) if inputs else ("x", "word")
    model = ModelVersion(
        "m", "", None, "", "", "", TaskKind.BINARY, Output.VALUE, inputs=inputs, features=features
    )
    return rows_of(pa.table({"x": [1.5, 2.0], "word": ["ant", None]}), model)


TENSOR = TensorSpec(None, "float32", (1,))
WRITTEN = {
    "mlflow": {"dataframe_split": {"columns": ["x", "word"], "data": [[1.5, "ant"], [2.0, None]]}},
    "sagemaker": {
        "dataframe_split": {"columns": ["x", "word"], "data": [[1.5, "ant"], [2.0, None]]}
    },
    "azure": {
        "input_data": {
            "columns": ["x", "word"], "index": [0, 1], "data": [[1.5, "ant"], [2.0, None]]
        }
    },
    "kserve": {"instances": [{"x": 1.5, "word": "ant"}, {"x": 2.0, "word": None}]},
    "tfserving": {"instances": [{"x": 1.5, "word": "ant"}, {"x": 2.0, "word": None}]},
    "oip": {
        "parameters": {"content_type": "pd"},
        "inputs": [
            {"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1.5, 2.0]},
            {
                "name": "word", "shape": [2, 1], "datatype": "BYTES", "data": ["ant", None],
                "parameters": {"content_type": "str"},
            },
        ],
    },
}  # fmt: skip
TENSORS = {
    "mlflow": {"inputs": [[1.5], [2.0]]},
    "sagemaker": {"inputs": [[1.5], [2.0]]},
    "azure": {"input_data": [[1.5], [2.0]]},
    "kserve": {"instances": [[1.5], [2.0]]},
    "tfserving": {"instances": [[1.5], [2.0]]},
    "oip": {
        "inputs": [{"name": "0", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.0]}]
    },
}  # fmt: skip
PATHS = {
    "mlflow": "/invocations", "sagemaker": "/invocations", "azure": "/score",
    "kserve": "/v1/models/a%2Fb:predict", "tfserving": "/v1/models/a%2Fb:predict",
    "oip": "/v2/models/a%2Fb/infer",
}  # fmt: skip
ANSWERS = {
    "mlflow": {"predictions": [[0.25, 0.75], [0.5, 0.5]]},
    "sagemaker": {"predictions": [[0.25, 0.75], [0.5, 0.5]]},
    "azure": [[0.25, 0.75], [0.5, 0.5]],
    "kserve": {"predictions": [[0.25, 0.75], [0.5, 0.5]]},
    "tfserving": {"outputs": [[0.25, 0.75], [0.5, 0.5]]},
    "oip": {
        "model_name": "a/b",
        "outputs": [
            {"name": "p", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 0.5, 0.5]}
        ],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that answers on the documented path with what is documented, and notes the body."""
    seen: dict[str, Any] = {}
    answers = {PATHS[key]: answer for key, answer in ANSWERS.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen["body"], seen["type"] = body, self.headers["Content-Type"]
            self._answer(seen.get("answer") or answers.get(self.path))

        def do_GET(self) -> None:
            self._answer(seen.get(self.path))

        def _answer(self, answer: Any) -> None:
            text = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", seen
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("key", PROTOCOLS.names())
def test_a_protocol_writes_and_reads_what_is_documented(server: Any, key: str) -> None:
    url, seen = server
    seen["answer"] = ANSWERS[key]
    client = Client(Endpoint(url, key, model="a/b"))
    answer = client.predict(rows())
    assert seen["body"] == WRITTEN[key]
    assert seen["type"] == "application/json"
    assert answer == [[0.25, 0.75], [0.5, 0.5]]
    client.predict(rows(TENSOR))
    assert seen["body"] == TENSORS[key]


@pytest.mark.parametrize("key", PROTOCOLS.names())
def test_a_protocol_has_the_documented_path(key: str) -> None:
    endpoint = Endpoint("http://a:1/", key, model="a/b")
    assert PROTOCOLS.get(key).ask_path(endpoint) == PATHS[key]
    assert url_of(endpoint, PATHS[key]) == f"http://a:1{PATHS[key]}"
    whole = Endpoint(f"http://a:1/there{PATHS[key]}", key, model="a/b")
    assert url_of(whole, PATHS[key]) == f"http://a:1/there{PATHS[key]}"


def test_every_protocol_has_its_examples() -> None:
    assert set(PROTOCOLS.names()) == set(WRITTEN) == set(TENSORS) == set(PATHS) == set(ANSWERS)


@pytest.mark.parametrize(
    ("key", "answer", "version"),
    [
        ("oip", {"name": "a/b", "versions": ["7"]}, "7"),
        ("oip", {"name": "a/b", "versions": ["7", "8"]}, None),
        ("oip", {"name": "a/b"}, None),
        (
            "tfserving",
            {"model_version_status": [{"version": "9", "state": "AVAILABLE"},
                                      {"version": "10", "state": "AVAILABLE"},
                                      {"version": "11", "state": "LOADING"}]},
            "10",
        ),
        ("tfserving", {"model_version_status": []}, None),
    ],
)  # fmt: skip
def test_the_version_that_answers(server: Any, key: str, answer: Any, version: Any) -> None:
    url, seen = server
    endpoint = Endpoint(url, key, model="a/b")
    seen[PROTOCOLS.get(key).version_path(endpoint)] = answer
    assert Client(endpoint).version() == version


def test_mlflow_tells_no_version_of_a_model(server: Any) -> None:
    assert Client(Endpoint(server[0], "mlflow")).version() is None


@pytest.mark.parametrize(
    ("answer", "predictions"),
    [
        ([{"0": 0.5}, {"0": 1.5}], [0.5, 1.5]),
        ([{"0": 0.5, "1": 0.25}, {"0": 1.0, "1": 0.0}], [[0.5, 0.25], [1.0, 0.0]]),
        ([{"p": 0.5}, {"p": 1.5}], [{"p": 0.5}, {"p": 1.5}]),
        (["ant", "bee"], ["ant", "bee"]),
        ({"p": [1, 2], "q": [3, 4]}, {"p": [1, 2], "q": [3, 4]}),
    ],
)
def test_a_series_and_an_array_are_the_same(answer: Any, predictions: Any) -> None:
    assert PROTOCOLS.get("mlflow").read({"predictions": answer}, 2) == predictions


@pytest.mark.parametrize(
    ("key", "answer", "message"),
    [
        ("mlflow", {"predictions": [1.0]}, "1 predictions for 2 rows"),
        ("mlflow", {"predictions": 1.0}, "the predictions are a number, expected a list"),
        ("mlflow", {"secret value": 1}, "a mapping without it, expected a mapping with 'predic"),
        ("mlflow", [1.0, 2.0], "the answer is a list, expected a mapping with 'predictions'"),
        ("oip", {"outputs": []}, "the answer's 'outputs' are none"),
        ("oip", {"outputs": [{"name": "p", "shape": [3], "data": [1, 2, 3]}]}, r"the shape \[3\]"),
        ("oip", {"outputs": [{"name": "p", "shape": "x", "data": [1]}]}, "a text as shape"),
        ("azure", {"message": "no"}, "expected a mapping with 'predictions' or 'output'"),
    ],
)
def test_what_is_no_answer_is_refused_without_a_word_of_it(
    key: str, answer: Any, message: str
) -> None:
    with pytest.raises(EndpointError, match=message) as error:
        PROTOCOLS.get(key).read(answer, 2)
    assert "secret" not in str(error.value)


def test_a_protocol_that_is_not_there_gets_a_hint() -> None:
    with pytest.raises(EndpointError, match=r"no protocol is called 'mlfow', .*you mean 'mlflow"):
        Client(Endpoint("http://a", "mlfow"))


def test_a_protocol_of_names_wants_one() -> None:
    with pytest.raises(EndpointError, match="'kserve' asks for a model by its name"):
        Client(Endpoint("http://a", "kserve"))


def test_sagemaker_takes_6_mb() -> None:
    wide = rows_of(
        pa.table({"x": ["y" * 7_000_000]}),
        ModelVersion("m", "", None, "", "", "", TaskKind.BINARY, Output.VALUE, features=("x",)),
    )
    with pytest.raises(EndpointError, match="'sagemaker' takes 6,291,456; expected a smaller"):
        Client(Endpoint("http://a", "sagemaker")).body(wide)


def test_types_of_inputs_are_those_of_the_protocol() -> None:
    typed = rows(ColumnSpec("x", "float"))
    (own,) = PROTOCOLS.get("oip").write(typed)["inputs"]
    assert own["datatype"] == "FP32"
