"""`generate` as it is called: tables in Delta, without Spark; what is told; what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from engine import generate
from engine.cli.app import app
from engine.data.generation.answers import summary
from engine.data.generation.closeness import compare, halves
from engine.data.generation.copies import hash_rows, repeated_share
from engine.errors import DataError, ModelError
from engine.spark import lazy_session
from tests.data.generation.mixed import frame_of, mixed_rows
from tests.fixtures.tables import read_rows, write_rows


@pytest.fixture(autouse=True)
def _no_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table on this machine is made without Spark."""

    def start(log_file: object, *, object_store: bool) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(lazy_session, "_start", start)
    monkeypatch.setattr(lazy_session, "active_session", lambda: None)


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> str:
    table = tmp_path_factory.mktemp("lake") / "claims"
    write_rows(table, frame_of(mixed_rows()))
    return str(table)


def cli(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["generate", *arguments])


def test_rows_like_a_table_by_arguments_alone(claims: str, tmp_path: Path) -> None:
    out = str(tmp_path / "made")
    result = cli(
        "--data", claims, "--rows", "3000", "--out", out, "--label", "label", "--key", "id"
    )
    assert result.exit_code == 0, result.output
    assert f"{out} version 0: 3,000 rows" in result.output.replace("\n", "")
    rows = read_rows(out)
    assert list(rows) == list(read_rows(claims)) and len(rows) == 3000
    told = yaml.safe_load(Path(f"{out}.answers.yml").read_text())
    floor = told["closeness of two halves of the source"]
    assert told["closeness"]["columns, mean"] > floor["columns, mean"] - 0.01
    assert told["closeness"]["pairs, mean"] > floor["pairs, mean"] - 0.02
    # Nulls from a threshold on are what a copula does not carry, and what the classifier sees.
    assert 0.5 < told["closeness"]["classifier"] < 0.75
    assert told["rows that equal one of the source"] == 0
    # The file makes the same table again.
    again = tmp_path / "again.yml"
    again.write_text(yaml.safe_dump({**told["recipe"], "out": str(tmp_path / "again")}))
    assert cli(str(again)).exit_code == 0
    same = read_rows(tmp_path / "again")
    assert same.sort_values("id", ignore_index=True).equals(
        rows.sort_values("id", ignore_index=True)
    )


def test_a_table_is_made_anew_and_keeps_its_history(claims: str, tmp_path: Path) -> None:
    keys = {"data": claims, "out": str(tmp_path / "made"), "seed": 5}
    first = generate({"closeness": False}, rows=100, **keys)
    second = generate({"closeness": False}, rows=50, **keys)
    assert (first.version, second.version) == (0, 1)
    assert len(DeltaTable(keys["out"], version=0).to_pandas()) == 100
    assert len(read_rows(keys["out"])) == 50


def test_a_table_that_somebody_wrote_is_left_alone(claims: str, tmp_path: Path) -> None:
    before = read_rows(claims)
    with pytest.raises(DataError, match="was not made by `generate`"):
        generate(data=claims, rows=10, out=claims)
    assert len(read_rows(claims)) == len(before)
    out = tmp_path / "made"
    generate({"closeness": False}, data=claims, rows=10, out=str(out))
    write_rows(out, read_rows(out))
    with pytest.raises(DataError, match="its newest version was not made"):
        generate(data=claims, rows=10, out=str(out))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note.txt").write_text("mine")
    with pytest.raises(DataError, match="no Delta table of ours"):
        generate(data=claims, rows=10, out=str(tmp_path / "folder"))


def test_json_says_all_that_is_known(claims: str, tmp_path: Path) -> None:
    out = str(tmp_path / "made")
    recipe = tmp_path / "g.yml"
    recipe.write_text(
        f"out: {out}\nrows: 500\ndataset: {{delta: {claims}}}\nkey: id\n"
        "given: {vip: true}\nplant:\n  - broken: {column: height, share: 0.1}\n"
    )
    result = cli(str(recipe), "--json", "--set", "rows=700")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["rows"] == 700 and told["planted"][0]["finds"] == {"null_share": 0.1}
    assert told["share of draws that meet the conditions"] == pytest.approx(0.17, abs=0.05)
    assert read_rows(out)["vip"].all()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"label": "labell"}, r"no column for label 'labell' \(nearest: 'label'\)"),
        ({"given": {"regio": "north"}}, "no column 'regio'; did you mean 'region'"),
        ({"given": {"id": 3}}, "no column 'id'"),
        ({"given": {"visits": {"min": 10_000}}}, "0 of 131,072 rows meet visits >= 10000"),
        ({"leave_out": ["x"]}, "no column for leave_out 'x'"),
        ({"dataset": {"delta": "nowhere"}}, "no Delta table at"),
    ],
)
def test_what_does_not_go_together_is_refused_and_nothing_made(
    claims: str, tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    out = tmp_path / "made"
    recipe = {"out": str(out), "rows": 10, "dataset": {"delta": claims}, "key": "id", **keys}
    with pytest.raises(DataError, match=said):
        generate(recipe)
    assert not out.exists()


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "empty", pd.DataFrame({"x": [1.0]}).iloc[:0])
    with pytest.raises(DataError, match="the source has no rows"):
        generate(data=str(tmp_path / "empty"), rows=10, out=str(tmp_path / "made"))


def test_distributions_of_a_large_table_are_of_a_sample_and_that_is_told(
    claims: str, tmp_path: Path
) -> None:
    made = generate(
        {"fit_rows": 500, "closeness": False}, data=claims, rows=2000, out=str(tmp_path / "made")
    )
    assert any("500 of 6,000 rows, chosen by a hash" in note for note in made.notes)
    source, rows = read_rows(claims), read_rows(tmp_path / "made")
    assert rows["height"].mean() == pytest.approx(source["height"].mean(), abs=0.15)


def test_inputs_by_a_signature_alone(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"age": [20.0, 30.0, 40.0, 50.0], "kids": [0, 1, 2, 3], "sex": ["m", "f", "m", "f"]}
    )
    model = LogisticRegression().fit(frame[["age", "kids"]], [0, 1, 0, 1])
    with warnings.catch_warnings():
        # It warns of whole numbers, which cannot be null.
        warnings.simplefilter("ignore")
        signature = mlflow.models.infer_signature(frame)
    with_one, without = tmp_path / "model", tmp_path / "bare"
    mlflow.sklearn.save_model(model, with_one, signature=signature, pip_requirements=[])
    mlflow.sklearn.save_model(model, without, pip_requirements=[])
    made = generate(model=str(with_one), rows=9000, out=str(tmp_path / "made"), key="id")
    rows = read_rows(tmp_path / "made").sort_values("id", ignore_index=True)
    assert list(rows) == ["id", "age", "kids", "sex"] and len(rows) == 9000
    assert rows["age"].dtype == np.float64 and rows["kids"].dtype == np.int64
    assert made.source == f"the signature of {with_one}"
    model = mlflow.pyfunc.load_model(str(with_one))
    with pytest.raises(Exception, match="unseen at fit time"):
        # The signature takes the rows: what is refused is the model's own column `sex`.
        model.predict(rows.drop(columns="id"))
    with pytest.raises(ModelError, match=r"has no signature of named inputs.*infer_signature"):
        generate(model=str(without), rows=10, out=str(tmp_path / "no"))


def test_closeness_is_1_of_a_table_to_itself_and_less_of_another() -> None:
    table = mixed_rows(3000).drop_columns(["id"])
    own = compare(table, table)
    assert min(own.columns.values()) == 1 and min(own.pairs.values()) == 1
    # Half of each row's values are another row's: columns stay, pairs do not.
    order = pa.array(np.random.default_rng(0).permutation(3000))
    torn = table
    for name in ("amount", "visits", "region", "vip"):
        place = torn.schema.get_field_index(name)
        torn = torn.set_column(place, torn.schema.field(place), torn.column(name).take(order))
    other = compare(table, torn)
    assert min(other.columns.values()) == 1
    assert other.pairs["amount", "height"] < 0.75
    assert other.area is not None and other.area > 0.7
    floor = halves(table)
    assert floor.area is not None and abs(floor.area - 0.5) < 0.06


def test_similarities_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    real = pa.table({"x": rng.normal(size=1000), "c": rng.choice(["a", "b"], 1000, p=[0.7, 0.3])})
    made = pa.table({"x": rng.normal(1, 1, 1000), "c": rng.choice(["a", "z"], 1000, p=[0.6, 0.4])})
    own = compare(real, made)
    wanted = 1 - ks_2samp(frame_of(real)["x"], frame_of(made)["x"]).statistic
    assert own.columns["x"] == pytest.approx(wanted)
    shares = [frame_of(side)["c"].value_counts(normalize=True) for side in (real, made)]
    assert own.columns["c"] == pytest.approx(min(shares[0]["a"], shares[1]["a"]))


def test_copies_are_found_whatever_their_types() -> None:
    source = mixed_rows(500).drop_columns(["id"])
    hashes = hash_rows(source)
    assert len(set(hashes.tolist())) == 500
    np.testing.assert_array_equal(hash_rows(source.take(pa.array([7, 3]))), hashes[[7, 3]])
    signs = hash_rows(pa.table({"x": [0.0, -0.0, float("nan"), None]}))
    assert signs[0] == signs[1] and len(set(signs.tolist())) == 3
    assert repeated_share(source, None) == 0
    twice = pa.concat_tables([source, source])
    assert repeated_share(twice, None) == pytest.approx(0.5, abs=0.1)


def test_a_summary_leaves_out_what_is_not_known(tmp_path: Path) -> None:
    population = {"columns": {"x": {"normal": [0.0, 1.0]}}}
    made = generate({"out": str(tmp_path / "made"), "rows": 10, "population": population})
    assert list(summary(made)) == ["table", "version", "rows", "seed", "source"]


@pytest.fixture(scope="module")
def strict_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model of two numbers with a signature."""
    folder = tmp_path_factory.mktemp("strict") / "model"
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "kids": [0, 1, 2, 3]})
    model = LogisticRegression().fit(frame, [0, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = mlflow.models.infer_signature(frame)
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=[])
    return folder


def test_boundaries_say_what_signature_and_model_make_of_each(
    strict_model: Path, tmp_path: Path
) -> None:
    recipe = {"model": str(strict_model), "out": str(tmp_path / "edges"), "boundaries": True}
    made = generate(recipe)
    rows = read_rows(tmp_path / "edges").set_index(["column", "what"])
    assert made.rows == len(rows) == len(made.outcomes) and rows.index.is_unique
    # As MLflow's enforcement was seen to do: what it takes, and what it refuses.
    for column, what, signature, model in (
        ("kids", "the greatest", "taken", "answered"),
        ("kids", "a fraction", "refused", ""),
        ("kids", "a truth value", "refused", ""),
        ("kids", "null", "refused", ""),
        ("age", "zero", "taken", "answered"),
        ("age", "NaN", "taken", "failed"),
        ("age", "infinity", "taken", "failed"),
        ("age", "a whole number", "taken", "answered"),
        ("age", "a number as text", "taken", "answered"),
        ("age", "a truth value", "refused", ""),
        ("kids", "a number as text", "refused", ""),
        ("age", "the column is missing", "refused", ""),
        ("", "no rows", "taken", "failed"),
        ("", "a column that it does not know", "taken", "answered"),
    ):
        own = rows.loc[(column, what)]
        assert (own["signature"], own["model"]) == (signature, model), (column, what, own["said"])
    assert "NaN" in rows.loc[("age", "NaN"), "said"]
    told = cli("--model", str(strict_model), "--out", str(tmp_path / "edges"), "--boundaries")
    assert told.exit_code == 0 and f"of {len(rows)} are answered" in told.output
