"""What a suite says of the columns of its files: types, nulls, and one name for one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import SuiteError
from engine.fields.column_types import column_type, type_names
from engine.suite import dump_suite, load_suite

EVALUATION = {
    "name": "e",
    "dataset": {"csv": "a.csv", "task": "binary", "label": "y"},
    "models": [{"uri": "m"}],
    "tests": [{"metric": "roc_auc"}],
}


def read(tmp_path: Path, *evaluations: dict[str, Any]) -> Any:
    path = tmp_path / "suite.yml"
    path.write_text(yaml.safe_dump({"name": "s", "evaluations": list(evaluations)}))
    return load_suite(path)


def evaluation(title: str = "e", reference: Any = None, **dataset: Any) -> dict[str, Any]:
    made = {**EVALUATION, "name": title, "dataset": {**EVALUATION["dataset"], **dataset}}
    return made if reference is None else {**made, "reference": reference}


def mistakes(tmp_path: Path, *evaluations: dict[str, Any]) -> str:
    with pytest.raises(SuiteError) as refused:
        read(tmp_path, *evaluations)
    return str(refused.value)


def test_types_are_written_as_spark_has_them_and_read_again(tmp_path: Path) -> None:
    said = {
        "columns": {"zip": "Text", "n": "LONG", "d": "decimal(12, 2)"},
        "null_values": ["NA", -1],
    }
    suite = read(
        tmp_path, evaluation(**said, reference={"csv": "b.csv", "null_values": {"n": ["?"]}})
    )
    (item,) = suite.evaluations
    assert dict(item.dataset.columns) == {"zip": "string", "n": "bigint", "d": "decimal(12,2)"}
    assert item.dataset.null_values == ((None, "NA"), (None, "-1"))
    assert item.reference is not None
    assert item.reference.columns == item.dataset.columns, "what columns mean is as in the dataset"
    assert item.reference.null_values == (("n", "?"),)
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"columns": {"zip": "strnig"}}, "dataset.columns.zip: found 'strnig'"),
        ({"columns": {"zip": "strnig"}}, "did you mean 'string'"),
        ({"columns": {"zip": 3}}, "expected a type of columns"),
        ({"columns": {"zip": "decimal(50,2)"}}, "expected a type of columns"),
        ({"null_values": "NA"}, "dataset.null_values: found 'NA', expected a list of texts"),
        ({"null_values": [None]}, "put each text in quotes"),
        ({"null_values": []}, "expected a list of texts"),
        ({"null_values": {"x": []}}, "expected a list of texts"),
        ({"csv": None, "delta": "t", "columns": {"a": "int"}}, "found columns with delta"),
        ({"csv": None, "parquet": "t", "null_values": ["-"]}, "found null_values with parquet"),
    ],
)
def test_mistakes_are_told_with_their_place(
    tmp_path: Path, dataset: dict[str, Any], words: str
) -> None:
    assert words in mistakes(tmp_path, evaluation(**dataset))


def test_type_names() -> None:
    assert [column_type(name) for name in ("int", " Integer ", "numeric(3)", "decimal(2,3)")] == [
        "int", "int", "decimal(3,0)", None
    ]  # fmt: skip
    assert "did you mean" in type_names("intger")


OTHERS = [
    {"csv": "b.csv"},
    {"csv": None, "parquet": "a.csv"},
    {"columns": {"x": "int"}},
    {"null_values": ["NA"]},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_one_name_for_other_files_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    told = mistakes(tmp_path, evaluation("e", name="t"), evaluation("f", name="t", **other))
    assert "evaluations[1].dataset" in told and "those of evaluations[0].dataset" in told
    read(tmp_path, evaluation("e", name="t"), evaluation("f", name="u", **other))


def test_one_name_for_the_same_files_is_right(tmp_path: Path) -> None:
    again = evaluation("f", name="t", reference={"csv": "a.csv", "name": "t", "version": 3})
    read(tmp_path, evaluation("e", name="t"), again)
    delta = {
        **evaluation("g"),
        "dataset": {"delta": "t", "name": "t", "task": "binary", "label": "y"},
    }
    read(tmp_path, evaluation("e", name="t"), delta)
    other = evaluation("f", reference={"csv": "b.csv", "name": "t"})
    assert "evaluations[1].reference" in mistakes(tmp_path, evaluation("e", name="t"), other)
