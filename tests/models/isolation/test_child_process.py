"""Models in processes of their own, and the notes of the workers that had them in theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.core.redaction import Told
from engine.core.vocabulary import ModelVersion, TaskKind
from engine.models import Guard, Limits, ModelRequest, ModelStopped, Notes, Watch, load, resolve
from engine.models.isolation.child_process import Child

MIB = 2**20

# Saved with the models that use it, as a user's own code is.
WILD = '''
import os
import sys
import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Wild(RegressorMixin, BaseEstimator):
    """Predicts `a`, and does `kind` on a batch with an `a` above 2."""

    def __init__(self, kind=""):
        self.kind = kind

    def predict(self, frame):
        a = frame["a"].to_numpy(dtype=float)
        if self.kind == "talks":
            print("a model may print", sys.stdin.read(), flush=True)
        if not (a > 2).any():
            return a
        if self.kind == "exits":
            os._exit(3)
        if self.kind == "aborts":
            os.abort()
        if self.kind == "hangs":
            time.sleep(600)
        if self.kind == "eats":
            return np.ones(300 * 2**20)[: len(a)]
        if self.kind == "raises":
            raise LookupError(f"not this one {a}")
        return a
'''


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ModelVersion]]:
    folder = tmp_path_factory.mktemp("wild")
    (folder / "models_apart.py").write_text(textwrap.dedent(WILD))
    sys.path.insert(0, str(folder))
    from models_apart import Wild  # type: ignore[import-not-found]

    def saved(kind: str) -> ModelVersion:
        path = folder / (kind or "tame")
        if not path.exists():
            frame = pd.DataFrame({"a": [0.0, 1.0]})
            mlflow.sklearn.save_model(
                Wild(kind),
                str(path),
                signature=mlflow.models.infer_signature(frame, np.array([0.0, 1.0])),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
                code_paths=[str(folder / "models_apart.py")],
            )
        request = ModelRequest(str(path), TaskKind.REGRESSION, "", folder / "cache", path.name)
        return resolve(request)

    yield saved
    sys.path.remove(str(folder))
    sys.modules.pop("models_apart", None)


def rows(*values: float) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"other": ["x"] * len(values), "a": [*values]})


@pytest.fixture
def child(make: Callable[[str], ModelVersion]) -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def start(kind: str, **limits: float) -> Child:
        made.append(Child(make(kind), Limits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()
        assert each._process.returncode is not None, "nothing is left running"


def test_a_model_apart_predicts_what_it_predicts_here(child: Callable[..., Child]) -> None:
    apart = child("talks")
    many = np.random.default_rng(0).normal(size=50_000)
    for batch in (rows(0.5, 1.5), rows(*many), rows(7.0)):
        here = batch.column("a").to_numpy()
        np.testing.assert_array_equal(apart.predict(batch).scores, here)


def test_nothing_that_a_model_apart_prints_comes_out(make: Callable[[str], ModelVersion]) -> None:
    code = f"""
import pickle
import pyarrow as pa
from engine.models import Limits
from engine.models.isolation.child_process import Child
child = Child(pickle.loads({_pickled(make("talks"))!r}), Limits())
print(child.predict(pa.RecordBatch.from_pydict({{"a": [0.5]}})).scores)
child.close()
"""
    done = run(code)
    assert (done.stdout.strip(), done.stderr) == ("[0.5]", "")


PRINTING = """
import ctypes, logging, os, subprocess, sys, warnings
print("by print")
print("to stderr", file=sys.stderr)
sys.stdout.write("held back")
warnings.warn("by warnings")
logging.warning("by logging")
os.write(1, b"to 1")
os.write(2, b"to 2")
ctypes.CDLL(None).puts(b"by C")
subprocess.run(["echo", "by a process"])
"""


def test_what_is_printed_while_a_scan_is_watched_goes_nowhere(tmp_path: Path) -> None:
    code = f"""
import sys
from engine.models import Guard, Limits, Watch
print("before")
watch = Watch(Limits(), Guard({str(tmp_path)!r}))
exec({PRINTING!r})
watch.close()
print("after")
print("after too", file=sys.stderr)
"""
    done = run(code)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "after too\n")


def test_where_nothing_is_watched_what_is_printed_stays() -> None:
    watch = "from engine.models import UNWATCHED, Limits, Watch\nWatch(Limits(), UNWATCHED)\n"
    done = run(watch + PRINTING)
    for words in ("by print", "held back", "to 1", "by C", "by a process"):
        assert words in done.stdout
    for words in ("to stderr", "by warnings", "by logging", "to 2"):
        assert words in done.stderr


def test_what_a_model_raises_comes_through_and_it_goes_on(child: Callable[..., Child]) -> None:
    apart = child("raises")
    with pytest.raises(Told, match=r"LookupError: not this one … \(models_apart.py:[0-9]+\)"):
        apart.predict(rows(1.0, 3.0))
    assert apart.predict(rows(1.0)).scores.tolist() == [1.0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("exits", "ended its process with exit code 3"),
        ("aborts", "its process was ended by SIGABRT"),
    ],
)
def test_a_model_that_ends_its_process_is_told_of(
    child: Callable[..., Child], kind: str, words: str
) -> None:
    apart = child(kind)
    assert apart.predict(rows(1.0)).scores.tolist() == [1.0]
    with pytest.raises(ModelStopped, match=words):
        apart.predict(rows(1.0, 3.0))


def test_a_model_that_hangs_is_killed_in_time(child: Callable[..., Child]) -> None:
    apart = child("hangs", seconds=1.0)
    assert apart.predict(rows(1.0)).scores.tolist() == [1.0]
    started = time.monotonic()
    with pytest.raises(ModelStopped, match="did not answer within 1 s"):
        apart.predict(rows(3.0))
    assert time.monotonic() - started < 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what is allocated")
def test_a_model_that_eats_memory_gets_no_more(child: Callable[..., Child]) -> None:
    apart = child("eats", memory=500 * MIB)
    with pytest.raises(ModelStopped, match="needed more memory than 524,288,000 bytes"):
        apart.predict(rows(3.0))
    assert apart.predict(rows(1.0)).scores.tolist() == [1.0]


def test_one_that_is_killed_from_outside_is_told_of(child: Callable[..., Child]) -> None:
    apart = child("")
    apart.predict(rows(1.0))
    apart._process.kill()
    with pytest.raises(ModelStopped, match="SIGKILL, most likely because memory ran out"):
        apart.predict(rows(1.0))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what is allocated")
def test_a_watched_model_that_eats_memory_is_stopped_here(
    make: Callable[[str], ModelVersion], tmp_path: Path
) -> None:
    code = f"""
import pickle, sys
import pyarrow as pa
from engine.models import Guard, Limits, ModelStopped, Watch, load
watch = Watch(Limits(30, {500 * MIB}), Guard({str(tmp_path)!r}), 4)
model = pickle.loads({_pickled(make("eats"))!r})
batch = pa.RecordBatch.from_pydict({{"a": [3.0]}})
try:
    watch.loader(load, 0, 2)(model).predict(batch)
except ModelStopped as stopped:
    watch.close()
    print(stopped, file=sys.stderr)
"""
    done = run(code)
    assert done.returncode == 0
    words = "needed more memory than 524,288,000 bytes, on batch 2 of partition 4"
    assert done.stderr.strip().endswith(words), done.stderr
    assert Notes.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("kind", "why"),
    [("exits", ""), ("hangs", "did not answer within 2 s, on batch 3 of partition 1")],
)
def test_a_worker_that_dies_leaves_a_note(
    make: Callable[[str], ModelVersion], tmp_path: Path, kind: str, why: str
) -> None:
    code = f"""
import pickle
import pyarrow as pa
from engine.models import Guard, Limits, Watch, load
watch = Watch(Limits(2), Guard({str(tmp_path)!r}), 1)
model = pickle.loads({_pickled(make(kind))!r})
loading = watch.loader(load, 7, 3)
loading(model).predict(pa.RecordBatch.from_pydict({{"a": [1.0]}}))
loading(model).predict(pa.RecordBatch.from_pydict({{"a": [3.0]}}))
print("still here")
"""
    done = run(code)
    assert done.returncode != 0 and "still here" not in done.stdout
    assert Notes.read(tmp_path) == {7: why}


def test_a_model_that_did_not_answer_is_not_asked_again(
    make: Callable[[str], ModelVersion], tmp_path: Path
) -> None:
    note = '{"model": 1, "why": "did not answer within 5 s, on batch 1 of partition 0"}'
    (tmp_path / "1.note").write_text(f"{note}\nTimeout (0:00:05)!\n")
    (tmp_path / "2.note").write_text('{"model": 0, "why": "any"}\n')
    (tmp_path / "3.note").write_text("")
    watch = Watch(Limits(), Guard(str(tmp_path), frozenset({1})))
    try:
        with pytest.raises(ModelStopped, match="within 5 s, on batch 1 of partition 0"):
            watch.loader(load, 1, 8)(make(""))
        assert watch.loader(load, 0, 8)(make("")).predict(rows(3.0)).scores.tolist() == [3.0]
    finally:
        watch.close()


def test_the_other_workers_learn_of_a_model_that_was_stopped(
    make: Callable[[str], ModelVersion], tmp_path: Path
) -> None:
    model, guard = make("exits"), Guard(str(tmp_path), frozenset({0}))
    watches = [Watch(Limits(60), guard, partition) for partition in (0, 1)]
    try:
        loading = [each.loader(load, 0, 5) for each in watches]
        assert loading[1](model).predict(rows(1.0)).scores.tolist() == [1.0]
        words = "ended its process with exit code 3, on batch 5 of partition 0"
        with pytest.raises(ModelStopped, match=words):
            loading[0](model).predict(rows(3.0))
        with pytest.raises(ModelStopped, match=words):
            loading[1](model)
    finally:
        for each in watches:
            each.close()


def _pickled(model: ModelVersion) -> bytes:
    import pickle

    return pickle.dumps(model)


def run(code: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
