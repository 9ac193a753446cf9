"""Canaries: values of sensitive columns, and of rows on which a model raises, get out nowhere.

A suite of models that tell what they see in all the ways that code can is run by the command,
killed while it scans, resumed, and looked at as in a notebook, beside suites that fail. Then all
that was written and printed is searched, but for the data themselves.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1200)]

HERE = Path(__file__).parent
ROWS = 400
PLAIN = ("f0", "f1", "note")
SECRET = (*PLAIN, "name", "salary")
WITHHELD = "whose message may quote the data and is withheld"
MODEL = r"talking_models\.py:[0-9]+"
# What the cells say of each model; those with more columns read sensitive ones.
REASONS = {
    "quotes": (SECRET, rf"ValueError: the row … is out of range \({MODEL}\)"),
    "frame": (PLAIN, rf"RuntimeError, {WITHHELD} \({MODEL}\)"),
    "key": (SECRET, rf"KeyError, {WITHHELD} \({MODEL}\)"),
    "chained": (PLAIN, rf"LookupError: cannot encode the note \({MODEL}\)"),
    "class": (PLAIN, rf"ValueError: not a row of ours \({MODEL}\)"),
    "exit": (SECRET, rf"SystemExit: giving up at … \({MODEL}\)"),
    "named": (PLAIN, r"ModelError: model 'named' returned a dictionary of [0-9]+ outputs, .*"),
    "records": (PLAIN, r"ModelError: model 'records' returned records, expected numbers .*"),
    "ends": (SECRET, "ended its process with exit code 7"),
    "hangs": (PLAIN, "did not answer within 5 s"),
}
OTHERS = {"": PLAIN, "loud": SECRET, "nan": PLAIN}


def canary(*of: object) -> str:
    """A text that stands nowhere else; it can be told when one end of it is cut off."""
    return f"CANARY-{sha256(repr(of).encode()).hexdigest()[:12]}-YRANAC"


def salary(row: int) -> int:
    return 7_041_776_193 + 1_000_003 * row


def make_rows() -> pd.DataFrame:
    """Rows with canaries in sensitive columns, and in `note` where the models misbehave."""
    rng = np.random.default_rng(11)
    rows = pd.DataFrame(rng.normal(size=(ROWS, 2)).clip(-2, 2), columns=["f0", "f1"])
    rows["y"] = (rows["f0"] + rng.normal(size=ROWS) > 0).astype(int)
    rows.insert(0, "id", np.arange(ROWS))
    rows["name"] = [canary("name", row) for row in range(ROWS)]
    rows["salary"] = [salary(row) for row in range(ROWS)]
    rows["country"] = rng.choice(["DE", "FR"], ROWS)
    rows["w"] = 1.0
    far = np.arange(ROWS) % 50 == 7
    rows.loc[far, "f1"] = 3.0
    rows["note"] = [canary("note", row) if far[row] else "plain" for row in range(ROWS)]
    return rows


@dataclass(frozen=True)
class Place:
    """Where everything of this test lies."""

    folder: Path
    root: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def suite(self, name: str, *evaluations: dict[str, Any], **over: Any) -> Path:
        # What is told to others is written here, where it is searched.
        told = self.store / "told"
        told.mkdir(parents=True, exist_ok=True)
        whole = {
            "name": "canaries",
            "store": str(self.store),
            "telemetry": {
                "openlineage": (told / "lineage.jsonl").as_uri(),
                "prometheus": str(told / "metrics.prom"),
            },
            "evaluations": list(evaluations),
        }
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(whole | over, sort_keys=False))
        return path

    def evaluation(self, name: str, models: list[str], **over: Any) -> dict[str, Any]:
        dataset = {
            "task": "binary", "label": "y", "key": "id", "sensitive": ["name", "salary"]
        }  # fmt: skip
        uris = [{"uri": str(self.folder / "models" / (each or "tame"))} for each in models]
        return {
            "name": name,
            "dataset": {**dataset, **over.pop("dataset")},
            "models": uris,
            "tests": [{"metric": "accuracy"}],
            **over,
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(self.root), str(HERE)])
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder / "work",
            env={
                **os.environ,
                "PYTHONPATH": paths,
                "PYSPARK_PYTHON": sys.executable,
                "TMPDIR": str(temporary),
            },
            start_new_session=True,
        )


def save_models(folder: Path, journal: Path) -> None:
    import importlib.util

    import mlflow
    from mlflow.models import infer_signature

    code = HERE / "talking_models.py"
    spec = importlib.util.spec_from_file_location("talking_models", code)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["talking_models"] = module
    spec.loader.exec_module(module)
    types = {"f0": 0.5, "f1": 0.5, "note": "a", "name": "a", "salary": 1}
    every = OTHERS | {kind: columns for kind, (columns, _) in REASONS.items()}
    for kind, columns in every.items():
        inputs = pd.DataFrame({name: [types[name]] for name in columns})
        mlflow.sklearn.save_model(
            module.Talker(kind, str(journal), columns).fit(inputs, None),
            str(folder / (kind or "tame")),
            signature=infer_signature(inputs, np.array([0, 1])),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            code_paths=[str(code)],
        )
    del sys.modules["talking_models"]


def failing_suites(place: Place, rows: pd.DataFrame) -> None:
    """Suites that fail, each at another place, on data that the message could quote."""
    tables, files = place.folder / "tables", place.folder / "files"
    rows.assign(w=rows["w"].where(rows["id"] != 7, -7_041_776_193.0)).to_parquet(
        files / "weights.parquet"
    )
    (files / "wide.csv").write_text(f"id,y,name\n1,0,a\n2,1,{canary('wide')},{salary(1)}\n")
    (files / "typed-1.csv").write_text("id,y,salary\n1,0,5\n")
    (files / "typed-2.csv").write_text(f"id,y,salary\n2,1,{canary('typed')}\n")
    delta = {"dataset": {"delta": str(tables / "people")}}
    wheres = {
        "cast": "CAST(name AS INT) > 3",
        "overflow": "CAST(salary AS INT) > 3",
    }
    for name, where in wheres.items():
        slices = [{"name": "odd", "where": where}]
        of = place.evaluation(name, [""], slices=slices, **dict(delta))
        place.suite(f"failing/{name}.yml", of)
    for name, dataset in {
        "weights": {"parquet": str(files / "weights.parquet"), "weight": "w"},
        "wide": {"csv": str(files / "wide.csv")},
        "typed": {"csv": str(files / "typed-*.csv")},
    }.items():
        place.suite(f"failing/{name}.yml", place.evaluation(name, [""], dataset=dataset))
    for name, over in {
        "by": {"slices": [{"by": ["name"]}]},
        "quantiles": {"slices": [{"quantiles": {"salary": 4}}]},
        "group": {"tests": [{"metric": "demographic_parity_difference", "group": "name"}]},
    }.items():
        place.suite(f"failing/{name}.yml", place.evaluation(name, [""], **dict(delta), **over))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Place:
    """The data, the models and the suites."""
    from deltalake import write_deltalake

    made = Place(tmp_path_factory.mktemp("canaries"), root)
    for name in ("files", "tables", "models", "work"):
        (made.folder / name).mkdir()
    rows = make_rows()
    for part in range(2):
        rows[part::2].to_csv(made.folder / "files" / f"people-{part}.csv", index=False)
    write_deltalake(str(made.folder / "tables" / "people"), rows[:120])
    save_models(made.folder / "models", made.journal)
    failing_suites(made, rows)
    return made


def printed(process: subprocess.Popen[str], seconds: float = 600) -> tuple[str, str]:
    return process.communicate(timeout=seconds)


def killed_while_scanning(
    place: Place, suite: Path, all_gone: Callable[[int], None]
) -> tuple[str, str]:
    """Starts a run, kills it with its JVM when a model has predicted, gives what it printed."""
    process = place.start("-m", "engine.cli.app", "run", str(suite), "--run-id", "night")
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        if place.journal.exists():
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    out = printed(process, 120)
    assert process.returncode == -signal.SIGKILL, out
    all_gone(process.pid)
    return out


@pytest.fixture(scope="module")
def outputs(place: Place, all_gone: Callable[[int], None]) -> dict[str, str]:
    """What was printed: by a run that was killed, then by a process that completes it first."""
    killers = ["ends", "hangs"]
    suite = place.suite(
        "canaries.yml",
        place.evaluation(
            "people",
            [*OTHERS, *(kind for kind in REASONS if kind not in killers)],
            dataset={"csv": str(place.folder / "files" / "people-*.csv")},
            baseline="tame",
            slices=[
                {"by": "country"},
                {"bins": {"salary": [7_100_000_000]}},
                {"name": "rich", "where": "salary > 7200000000 AND name LIKE '%a%'"},
            ],
            tests=[
                {"metric": "accuracy", "max_drop": 0.1},
                {"metric": "roc_auc"},
                {"metric": "quoting_loss", "slices": ["overall"]},
                {"metric": "quoting_sums", "slices": ["overall"]},
            ],
            predictions="keep",
        ),
        place.evaluation(
            "kept",
            ["", *killers],
            dataset={"delta": str(place.folder / "tables" / "people")},
            timeout=5,
        ),
        plugins=["talking_metrics"],
        checkpoint_rows=250,
    )
    found = dict(zip(("out", "err"), killed_while_scanning(place, suite, all_gone), strict=True))
    session = place.start(
        str(HERE / "talking_session.py"),
        str(suite),
        str(place.folder / "failing"),
        str(place.store),
    )
    found["session out"], found["session err"] = printed(session)
    assert session.returncode == 0, found["session err"]
    assert f"$ run {suite} --resume night: 3\n" in found["session out"], found["session err"]
    return found


@pytest.fixture(scope="module")
def search(leaks: Callable[..., Any]) -> Any:
    """A search for all canaries: for both ends of the texts, and for the salaries of many rows."""
    far = [row for row in range(ROWS) if row % 50 == 7]
    some = {salary(row) for row in [*far, 0, 1, 2, ROWS - 1]}
    return leaks("CANARY-", "-YRANAC", "7041776193", *sorted(some))


def test_the_run_was_what_it_should_be(place: Place, outputs: dict[str, str]) -> None:
    """Every model misbehaved as told, and is told of by its code alone."""
    cells = pq.read_table(place.store / "reports" / "night" / "results.parquet").to_pylist()
    for cell in cells:
        if cell["model"] in REASONS:
            reason = REASONS[cell["model"]][1]
            expected = rf"the model failed: {reason}, on batch [0-9]+ of partition [0-9]+"
            assert re.fullmatch(expected, cell["reason"]), cell["reason"]
        elif cell["test"] == "quoting_loss":
            assert re.fullmatch(
                r"the metric failed: ValueError: these scores are odd: … "
                r"\(talking_metrics\.py:[0-9]+\)",
                cell["reason"],
            )
        elif cell["test"] == "quoting_sums" and cell["model"] != "nan":
            assert "ValueError: these sums are odd: … (talking_metrics.py:" in cell["reason"]
        elif cell["model"] in ("tame", "loud"):
            assert cell["verdict"] in ("PASS", "RECORDED", "INCONCLUSIVE"), cell["reason"]
    told = {cell["model"] for cell in cells}
    assert told == {"tame", *REASONS, *OTHERS} - {""}
    assert "a Python worker died" in outputs["session err"]


def test_the_suites_failed_as_they_should(place: Place, outputs: dict[str, str]) -> None:
    """With the name of the error where its text would quote a row."""
    out = outputs["session out"]
    shown = re.findall(r"^! (\w+)\n(.*?)(?=^[!$] )", out, re.DOTALL | re.MULTILINE)
    # Of the errors that a notebook shows the last one is the one that was raised.
    found = {
        name: re.findall(r"^engine\.errors\..+", text, re.MULTILINE)[-1] for name, text in shown
    }
    words = {
        "by": "SuiteError: ",
        "cast": "dataset 'people': a `where` cannot be computed for some row (CAST_INVALID_INPUT)",
        "group": "would show the values of 'name', which the suite calls sensitive",
        "overflow": "a `where` cannot be computed for some row (CAST_OVERFLOW)",
        "quantiles": "SuiteError: ",
        "typed": "the column 'salary' is string, and in",
        "weights": "has 1 rows whose weight 'w' is null, NaN, infinite or negative",
        "wide": "has a record that does not fit its first line",
    }
    assert found.keys() == words.keys()
    for name, text in words.items():
        assert text in found[name], found[name]
    assert "found 'name', which is sensitive" in out
    codes = re.findall(r"^\$ run \S*/(\w+)\.yml: (\d)$", out, re.MULTILINE)
    assert dict(codes) == {"by": "2", "cast": "2", "typed": "2"}


def test_the_search_finds_the_data_where_they_may_be(place: Place, search: Any) -> None:
    """What is looked for is there: in the table that the files were taken into."""
    found = search.in_folder(place.store / "lake")
    for value in ("CANARY-", "-YRANAC", str(salary(7))):
        assert any(repr(value) in each for each in found)


def test_nothing_of_the_canaries_is_in_the_store(
    place: Place, outputs: dict[str, str], search: Any
) -> None:
    names = {path.name for path in place.store.iterdir()}
    tables = {"audit", "predictions", "results", "runs", "states"}
    assert {*tables, "reports", "logs", "mlflow.db"} <= names
    assert (place.store / "told" / "lineage.jsonl").stat().st_size > 1_000
    assert (place.store / "told" / "metrics.prom").exists()
    assert search.in_folder(place.store, without=["lake"]) == []


def test_nothing_of_the_canaries_was_printed_or_left_elsewhere(
    place: Place, outputs: dict[str, str], search: Any
) -> None:
    for name, text in outputs.items():
        assert search.in_text(name, text) == []
    assert search.in_folder(place.folder / "work") == []
    for notes in (place.folder / "tmp").glob("evalmatrix-*"):
        assert search.in_folder(notes) == []


def test_sparks_log_has_what_failed_by_name(place: Place, outputs: dict[str, str]) -> None:
    log = (place.store / "logs" / "spark.log").read_text()
    assert "ERROR Executor: Exception in task" in log
    assert "SparkNumberFormatException: [CAST_INVALID_INPUT]" in log
    assert "cannot be cast" not in log
