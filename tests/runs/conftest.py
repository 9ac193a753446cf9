"""A small world for runs on the real Spark, Delta and MLflow: tables, models and a store."""

from __future__ import annotations

import copy
import fcntl
import importlib.util
import os
import pickle
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

ROWS = 20_000
FEATURES = ["f0", "f1", "f2"]
KINDS = ["ash", "birch", "cedar"]
# What gives the world another store, once it is there.
_RENEW: list[Callable[[], None]] = []


def make_rows(rows: int, seed: int = 7) -> pd.DataFrame:
    """Rows with weights, nulls, a country of one class, and a label for each task."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, len(FEATURES)))
    frame = pd.DataFrame(x, columns=FEATURES)
    frame.insert(0, "id", np.arange(rows))
    frame["country"] = rng.choice(
        ["DE", "FR", "US", "XX", None], rows, p=[0.4, 0.3, 0.2, 0.05, 0.05]
    )
    frame["device"] = rng.choice(["ios", "web"], rows)
    frame["age"] = rng.integers(16, 80, rows).astype(float)
    frame.loc[rng.random(rows) < 0.02, "age"] = np.nan
    frame["w"] = np.round(rng.gamma(2.0, 1.0, rows), 3)
    signal = x @ [1.2, -0.7, 0.4] + rng.normal(size=rows)
    fraud = (signal > 0.8).astype(float)
    fraud[(frame["country"] == "XX").to_numpy()] = 0.0
    fraud[rng.random(rows) < 0.01] = np.nan
    frame["fraud"] = pd.array(fraud, dtype="Int64")
    frame["kind"] = np.array(KINDS)[np.digitize(signal + rng.normal(size=rows), [-0.8, 0.7])]
    frame["amount"] = 10 * x[:, 0] - 3 * x[:, 2] + rng.normal(size=rows) * 5 + 40
    return frame


@dataclass(frozen=True)
class World:
    """Where everything lies. `rows` is the big table's content, `few` the small one's.

    Each file of tests has a store of its own, the last of `stores`: a run looks at what earlier
    ones have left there, and takes longer the more they are.
    """

    folder: Path
    rows: pd.DataFrame
    few: pd.DataFrame
    fitted: dict[str, Any] = field(default_factory=dict)
    # The scripted models look for it in the environment, in whatever process they predict.
    journals: Path = field(default_factory=lambda: Path(os.environ["EVALMATRIX_TEST_JOURNALS"]))
    stores: list[Path] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.stores[-1] if self.stores else self.folder / "store"

    def renew_store(self, template: Path) -> None:
        """Makes another store the world's."""
        place = self.folder / f"store-{len(self.stores)}"
        # The registry goes on naming the artifacts of the first one.
        shutil.copytree(template, place, ignore=shutil.ignore_patterns("artifacts"))
        self.stores.append(place)

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.store / 'mlflow.db'}"

    def table(self, name: str) -> str:
        return str(self.folder / "tables" / name)

    def model(self, name: str) -> str:
        """The path of a model that is in no registry."""
        return str(self.folder / "models" / name)

    def journal(self, name: str) -> list[int]:
        """The sizes of the batches that a scripted model has predicted."""
        path = self.journals / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def make_store(self, folder: Path) -> Path:
        """A store of its own in a folder: MLflow takes seconds to make the tables that it has."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "new.db", folder / "mlflow.db")
        self.know_scripts(folder)
        return folder

    def know_scripts(self, store: Path) -> None:
        """Lets a store know how the scripted models decide: their journals then have what a run
        asks, and no first look."""
        seen = self.store / "cache" / "decisions"
        if seen.exists() and store != self.store:
            shutil.copytree(seen, store / "cache" / "decisions", dirs_exist_ok=True)

    def forget(self, name: str) -> None:
        (self.journals / name).unlink(missing_ok=True)

    def hook(self, name: str, command: str) -> None:
        """Lets a scripted model run a shell command when it is asked next."""
        (self.journals / f"{name}.hook").write_text(command)

    def write(self, name: str, suite: Mapping[str, Any]) -> Path:
        path = self.folder / "suites" / f"{name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(dict(suite), sort_keys=False, allow_unicode=True))
        return path


def _fit(world: World) -> None:
    """Two binary models, one of three classes and one of amounts, registered in MLflow."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    from engine.models.mlflow_tables import make_database

    train = make_rows(5_000, seed=1).dropna(subset=["fraud"])
    x = train[FEATURES]
    tree = DecisionTreeClassifier(max_depth=7, random_state=0)
    fits = [
        ("claims", tree, "fraud"),
        ("claims", LogisticRegression(), "fraud"),
        ("kinds", LogisticRegression(), "kind"),
        ("amounts", LinearRegression(), "amount"),
    ]
    make_database(f"sqlite:///{world.folder / 'new.db'}")
    world.make_store(world.store)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(world.tracking_uri)
    place = (world.store / "artifacts").as_uri()
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("training", place))
    for name, model, label in fits:
        target = train[label].astype(int) if label == "fraud" else train[label]
        model.fit(x, target)
        info = mlflow.sklearn.log_model(
            model,
            name=name,
            signature=infer_signature(x, model.predict(x)),
            registered_model_name=name,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
        world.fitted[f"{name}-v{info.registered_model_version}"] = model
    mlflow.set_tracking_uri(before)


def loaded(name: str) -> Any:
    """A module beside this file, under its own name, as models that are saved refer to it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _script(world: World, code: Path) -> None:
    """Models by path whose predictions are counted, and that fail as told."""
    import mlflow
    from mlflow.models import infer_signature

    module = loaded("scripted_models")
    x = world.few[["f0", "f1"]]
    alike = ("good", "other", "third")
    scripts = {"nan": 2.0, "raise": 2.5, "slow": 1e9, "cautious": 1e9, **dict.fromkeys(alike, 1e9)}
    for name, limit in scripts.items():
        behaviour = "good" if name in alike else name
        model = module.Scripted(name, behaviour, limit).fit(x, None)
        mlflow.sklearn.save_model(
            model,
            world.model(name),
            signature=infer_signature(x, np.array([0, 1])),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            code_paths=[str(code)],
        )
        world.forget(name)


def _look_at_scripts(world: World, spark: SparkSession) -> None:
    """Lets the engine see once how the scripted models decide."""
    from engine import plan

    names = ("good", "other", "third", "cautious", "slow")
    quick = world.journals / "slow.quick"
    quick.touch()
    evaluation = {
        "name": "scripts",
        "dataset": {"delta": world.table("few"), "task": "binary", "label": "fraud"},
        "models": [{"uri": world.model(name)} for name in names],
        "tests": [{"metric": "accuracy"}],
    }
    suite = {"name": "scripts", "store": str(world.store), "evaluations": [evaluation]}
    plan(world.write("scripts", suite), spark=spark)
    quick.unlink()
    for name in names:
        world.forget(name)


def _make(world: World, spark: SparkSession) -> None:
    """Fits and saves the models, and writes the tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _fit(world)
        _script(world, Path(__file__).with_name("scripted_models.py"))
    path = world.folder / "rows.parquet"
    world.rows.to_parquet(path, index=False)
    frame = spark.read.parquet(str(path))
    frame.coalesce(1).write.format("delta").save(world.table("claims"))
    frame.repartition(7).write.format("delta").save(world.table("claims7"))
    for part in (world.few[:100], world.few[100:]):
        part.to_parquet(world.folder / "few.parquet", index=False)
        few = spark.read.parquet(str(world.folder / "few.parquet"))
        few.write.format("delta").mode("append").save(world.table("few"))
    _look_at_scripts(world, spark)
    (world.folder / "fitted").write_bytes(pickle.dumps(world.fitted))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keeps the other processes of the tests waiting."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def world(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession, warm_workers: None
) -> Iterator[World]:
    """A copy of the world that the first process has made for all of them."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    template = World(shared / "world", make_rows(ROWS), make_rows(400, seed=3))
    with _alone(shared / "world.lock"):
        if not (template.folder / "fitted").exists():
            shutil.rmtree(template.folder, ignore_errors=True)
            template.folder.mkdir()
            _make(template, spark)
    folder = tmp_path_factory.mktemp("world")
    for name in ("models", "tables"):
        shutil.copytree(template.folder / name, folder / name)
    shutil.copy(template.folder / "new.db", folder)
    fitted = pickle.loads((template.folder / "fitted").read_bytes())
    loaded("scripted_models")
    made = replace(template, folder=folder, fitted=fitted, stores=[])
    made.renew_store(template.folder / "store")
    _RENEW.append(lambda: made.renew_store(template.folder / "store"))
    yield made
    _RENEW.clear()
    sys.modules.pop("scripted_models", None)


@pytest.fixture(scope="module", autouse=True)
def _own_store() -> None:
    """Gives a file of tests a store of its own, where there is a world."""
    for renew in _RENEW:
        renew()


@pytest.fixture(scope="session")
def small(world: World) -> Callable[..., dict[str, Any]]:
    """A suite of one small evaluation; keywords go over its keys, `dataset` is merged."""

    def make(**over: Any) -> dict[str, Any]:
        evaluation = {
            "name": "few",
            "dataset": {
                "delta": world.table("few"),
                "task": "binary",
                "label": "fraud",
                "key": ["id"],
                "version": 1,
            },
            "models": [{"uri": world.model("good")}],
            "slices": ["overall"],
            "tests": [{"metric": "accuracy"}],
        }
        # All tests share a store, and most count what a run by itself costs.
        top = {"reuse": False}
        keys = ("store", "mlflow", "gate", "reuse", "checkpoint_rows")
        top |= {key: over.pop(key) for key in keys if key in over}
        evaluation["dataset"] |= over.pop("dataset", {})
        evaluation |= over
        suite = {"name": "small", "store": str(world.store), "evaluations": [evaluation], **top}
        return copy.deepcopy(suite)

    return make


@pytest.fixture(scope="session")
def evaluated(world: World, spark: SparkSession) -> Callable[..., RunResult]:
    """Runs a suite that is given as data, with the tests' session."""
    from engine.commands.run import run

    def go(suite: Mapping[str, Any], name: str = "any", **options: Any) -> RunResult:
        store = Path(suite["store"])
        if not (store / "mlflow.db").exists():
            world.make_store(store)
        return run(world.write(name, suite), spark=spark, **options)

    return go


@pytest.fixture(scope="session")
def leaks() -> Callable[..., Any]:
    """Makes a search for values, see `leak_search`: `leaks("CANARY-1", 7041776193)`.

    At the end of a test of some fault: `assert leaks(*values).in_folder(store) == []`.
    """
    module = loaded("leak_search")
    return lambda *values: module.Leaks(values)


@pytest.fixture(scope="session")
def all_gone() -> Callable[[int], None]:
    """Waits for the end of all processes of a session, such as workers whose JVM was killed."""

    def left(session: int) -> list[str]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # Behind the name: the state, the parent, the group, the session.
                state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
                if int(of) == session and state != "Z":
                    found.append(stat.parent.name)
        return found

    def wait(session: int) -> None:
        until = time.monotonic() + 120
        while processes := left(session):
            assert time.monotonic() < until, f"still there: {processes}"
            time.sleep(0.1)

    return wait


@pytest.fixture
def command(world: World) -> Callable[..., Any]:
    """The command line in this process, on the tests' session: gives click's result."""
    from typer.testing import CliRunner

    from engine.cli.app import app

    def call(*args: str | Path) -> Any:
        result = CliRunner().invoke(app, list(map(str, args)))
        assert "Traceback" not in result.stderr, result.stderr
        return result

    return call


@pytest.fixture
def no_session(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has no session yet; the one that it starts is that of the tests."""
    from engine.spark import lazy_session

    monkeypatch.setattr(lazy_session, "active_session", lambda: None)
    monkeypatch.setattr(lazy_session, "_start", lambda *_, **__: spark)
    for name in [name for name in os.environ if name.startswith(("PYSPARK_GATEWAY", "SPARK"))]:
        monkeypatch.delenv(name)
