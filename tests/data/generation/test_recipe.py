"""`GENERATE.yml`: what is read, and all that is wrong told at once with its place."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.data.generation.given import Range, check_given, meets, text_of
from engine.data.generation.plants import body_of
from engine.data.generation.recipe import read_recipe
from engine.errors import DataError, InputError, SuiteError

ROOT = Path(__file__).resolve().parents[3]
LEAST: dict[str, Any] = {"out": "./made", "rows": 10, "dataset": {"delta": "./claims"}}


def mistakes(text: str | dict[str, Any], folder: Path | None = None) -> list[str]:
    """What is told of a recipe, in lines."""
    source: Any = text
    if isinstance(text, str):
        assert folder is not None
        source = folder / "g.yml"
        source.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as told:
        read_recipe(source)
    return [str(mistake) for mistake in told.value.mistakes]


def test_a_recipe_is_read_with_all_that_it_may_have() -> None:
    recipe = read_recipe(
        {
            **LEAST, "seed": 7, "label": "y", "key": "id", "by": ["country"], "leave_out": ["iban"],
            "given": {"country": ["DE", "FR"], "age": {"min": 18}, "city": None},
            "plant": [{"drift": {"column": "x", "shift": 0.5}}, {"duplicates": {"rows": 3}}],
        }
    )  # fmt: skip
    assert recipe.given["age"] == Range(min=18) and recipe.given["city"] is None
    assert [body_of(plant)[0] for plant in recipe.plant] == ["drift", "duplicates"]


def test_options_count_before_the_file_and_replace_what_rows_are_made_of() -> None:
    recipe = read_recipe(LEAST, ["seed=5"], {"rows": 99, "model": "models:/claims/1"})
    assert (recipe.rows, recipe.seed, recipe.dataset) == (99, 5, None)
    assert recipe.model == "models:/claims/1"


def test_all_mistakes_are_told_with_their_lines(tmp_path: Path) -> None:
    told = mistakes(
        "out: ./made\nrows: 0\nsed: 1\ndataset: {delta: ./a, csv: b}\n"
        "plant:\n  - drift: {colum: x, shift: 1}\n  - drft: {}\n  - duplicates: {rows: two}\n"
        "given:\n  age: {mni: 3}\n",
        tmp_path,
    )
    assert told == [
        "line 2, rows: found 0, expected greater than or equal to 1",
        "line 4, dataset: found delta, csv, expected one of delta, csv, parquet",
        "line 10, given.age: found {'mni': 3}, expected a value, a list of values, null, or `min` "
        "and `max`",
        "line 6, plant[0].drift.column: is missing",
        "line 6, plant[0].drift.colum: found the unknown key, expected one of column, shift, "
        "share, to; did you mean 'column'?",
        "line 7, plant[1]: found {'drft': {}}, expected one key, one of drift, weak_slice, "
        "label_noise, imbalance, leakage, broken, duplicates",
        "line 8, plant[2].duplicates.rows: found 'two', expected a whole number",
        "line 3, sed: found the unknown key, expected one of out, rows, seed, dataset, model, "
        "population, label, key, by, leave_out, given, least_rows, fit_rows, real, boundaries, "
        "plant, reference, closeness, store, tracking_uri; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": None}, "found none, expected one of dataset, model, population"),
        ({"model": "models:/a/1"}, "found dataset and model, expected one of"),
        ({"rows": None}, "`rows` is missing"),
        ({"real": True}, "all rows of the dataset are taken"),
        ({"reference": "./made"}, "are the same table"),
        ({"dataset": None, "model": "m", "by": ["x"]}, "`by` is of a dataset"),
        ({"plant": [{"drift": {"column": "x"}}]}, "expected `shift`"),
        ({"plant": [{"drift": {"column": "x", "share": 0.1}}]}, "go together"),
        ({"plant": [{"leakage": {"rows": 1, "column": "x"}}]}, "expected `rows`"),
        ({"plant": [{"broken": {"column": "x", "share": 0.1, "factor": 1}}]}, "changes nothing"),
        ({"plant": [{"weak_slice": {"where": {}}}]}, "at least 1 item"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: dict[str, Any], said: str) -> None:
    recipe = {key: value for key, value in {**LEAST, **changed}.items() if value is not None}
    assert said in mistakes(recipe)[0]


@pytest.mark.parametrize(
    ("population", "said"),
    [
        ({"columns": {}}, "at least 1 item"),
        ({"columns": {"x": {"normal": [0, 1], "uniform": [0, 1]}}}, "expected one of normal"),
        ({"columns": {"x": {"normal": [0.0, 0.0]}}}, "expected more than 0"),
        ({"columns": {"x": {"uniform": [2.0, 1.0]}}}, "lower end first"),
        (
            {
                "columns": {"x": {"normal": [0.0, 1.0]}},
                "target": {"name": "y", "weights": {"z": 1.0}},
            },
            "found a weight of 'z', expected one of x",
        ),
        (
            {
                "columns": {"x": {"normal": [0.0, 1.0]}},
                "target": {"name": "x", "weights": {"x": 1.0}},
            },
            "the target's column 'x' is among the columns",
        ),
    ],
)
def test_populations_that_cannot_be_are_refused(population: dict[str, Any], said: str) -> None:
    assert said in mistakes({"out": "./made", "rows": 10, "population": population})[0]


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yml' cannot be read"):
        read_recipe(tmp_path / "nothing.yml")
    assert "found [1], expected a mapping" in mistakes("[1]", tmp_path)[0]


ROWS = pa.table(
    {
        "n": [1, 5, None, 9],
        "c": ["a", "b", "c", None],
        "d": [dt.date(2024, 1, day) for day in (1, 2, 3, 4)],
    }
)


@pytest.mark.parametrize(
    ("given", "passes", "said"),
    [
        ({"n": Range(min=2)}, [False, True, False, True], "n >= 2"),
        ({"n": Range(min=2, max=5)}, [False, True, False, False], "n from 2 to 5"),
        ({"n": Range(max=5), "c": "a"}, [True, False, False, False], "n <= 5 and c = 'a'"),
        ({"c": ["a", "c"]}, [True, False, True, False], "c in ['a', 'c']"),
        ({"c": None}, [False, False, False, True], "c is null"),
        ({"d": Range(min=dt.date(2024, 1, 3))}, [False, False, True, True], "d >= 2024-01-03"),
    ],
)
def test_conditions_hold_for_the_rows_that_they_say(
    given: dict[str, Any], passes: list[bool], said: str
) -> None:
    check_given(given, ROWS.schema)
    assert meets(ROWS, given).tolist() == passes
    assert text_of(given) == said


def test_conditions_that_do_not_fit_are_all_told() -> None:
    with pytest.raises(DataError) as told:
        check_given({"nn": 1, "n": "x", "d": Range(min=3.5)}, ROWS.schema)
    text = str(told.value)
    assert "no column 'nn'; did you mean 'n'?" in text
    assert "'n' is int64, found the value 'x'" in text and "'d' is date32" in text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "data" / "recipes").glob("*.yml")), ids=lambda path: path.stem
)
def test_the_shipped_recipes_are_valid(path: Path) -> None:
    assert read_recipe(path).out.startswith("./store/lake/")
