"""Predictions that are there already go all the way of a loaded model's, without a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import engine
from engine.errors import DataError, InputError, ModelError
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

TESTS = [
    {"metric": "roc_auc", "max_drop": 0.01},
    {"metric": "log_loss", "max_rise": 0.01},
    {"metric": "recall", "no_worse": True},
]


def with_scores(world: Any) -> pd.DataFrame:
    """The rows of the small table with what its good model says of them."""
    import mlflow

    model = mlflow.sklearn.load_model(world.model("good"))
    frame = world.few.copy()
    frame["p"] = model.predict_proba(frame[list(model.feature_names_in_)])[:, 1]
    frame["said"] = (frame["p"] > 0.5).astype(int)
    return frame


def cells_of(result: RunResult) -> dict[tuple[str, str, str], Any]:
    return {(c.model.name, c.slice.name, c.test.name): c for c in result.outcome.cells}


def assert_all_as(cells: dict[tuple[str, str, str], Any], known: str) -> None:
    """Each model has the cells of the one that was loaded."""
    for (name, where, test), cell in cells.items():
        other = cells[known, where, test]
        assert cell.counts == other.counts
        for attribute in ("value", "ci_low", "ci_high", "reason"):
            one, two = (getattr(c.measured, attribute) for c in (cell, other))
            assert one == (pytest.approx(two, abs=1e-12) if isinstance(two, float) else two)
        assert name == known or cell.delta is None or cell.delta == pytest.approx(0.0, abs=1e-12)


def test_columns_a_table_and_the_loaded_model_have_the_same_cells_night_after_night(
    world: Any,
    small: Callable[..., Any],
    evaluated: Callable[..., RunResult],
) -> None:
    rows, said = world.table("written"), world.table("said")
    frame = with_scores(world)
    answers = frame[["id", "p", "said"]].rename(columns={"p": "score", "said": "label"})
    answers = answers.sample(frac=1.0, random_state=1)
    models = [
        {"uri": world.model("good")},
        {"name": "columns", "scores": "p", "predicted": "said"},
        {
            "name": "table",
            "predictions": {
                "delta": said, "key": "id", "scores": "score", "predicted": "label",
            },
        },
    ]  # fmt: skip
    over = {"dataset": {"delta": rows, "version": "latest"}, "baseline": "good"}
    suite = small(models=models, tests=TESTS, slices=[{"by": "device"}], reuse=True, **over)
    half = len(frame) // 2
    for part in (frame[:half], frame[half:]):
        write_rows(rows, part)
        write_rows(said, answers[answers["id"].isin(part["id"])])
        result = evaluated(suite, "stored")
        cells = cells_of(result)
        assert {name for name, _, _ in cells} == {"good", "columns", "table"}
        assert_all_as(cells, "good")
        assert result.tracking_error is None
        (evaluation,) = result.outcome.evaluations
        assert evaluation.timings["predictions"] == part["fraud"].notna().sum()
    (planned,) = engine.plan(world.folder / "suites" / "stored.yml")
    assert planned.predictions == 0, "the rows that came were all there was to do"
    # Predictions that come to be of a row that was there: all of it is read again, and is right.
    changed = answers.assign(score=lambda a: 1 - a["score"], label=lambda a: 1 - a["label"])
    write_rows(said, changed, mode="overwrite")
    auc = cells_of(evaluated(suite, "stored"))["table", "overall", "roc_auc"].measured.value
    assert auc == pytest.approx(1 - cells["good", "overall", "roc_auc"].measured.value)


def test_what_cannot_be_is_told_before_the_scan(
    world: Any,
    small: Callable[..., Any],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    rows, frame = world.table("judged"), with_scores(world)
    frame["logit"] = np.log(frame["p"] / (1 - frame["p"]))
    write_rows(rows, frame)
    answers = frame[["id", "p", "logit", "said"]]

    def evaluate(model: dict[str, Any], **more: Any) -> RunResult:
        over = {"dataset": {"delta": rows, "version": "latest"}, "slices": [], **more}
        tests = over.pop("tests", [{"metric": "log_loss"}])
        return evaluated(small(models=[{"name": "m", **model}], tests=tests, **over), "refused")

    def table(name: str, content: pd.DataFrame, **keys: Any) -> dict[str, Any]:
        place = str(tmp_path / name)
        write_rows(place, content)
        return {"predictions": {"delta": place, "key": "id", "scores": "p", **keys}}

    labelled = frame[frame["fraud"].notna()]
    seven, none = labelled["id"].head(7), answers.assign(id=lambda a: a["id"] + 10_000_000)
    twice = pd.concat([answers, answers[answers["id"].isin(seven)]])
    total = f"{len(labelled):,}"
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        (table("lacking", answers[~answers["id"].isin(seven)]), DataError,
         f"'m': 7 of {total} labelled rows have no prediction in .*lacking', by the key 'id'"),
        (table("other", none), DataError, f"none of {total} labelled rows have a prediction"),
        (table("twice", twice), DataError,
         "'m': 7 rows of the dataset have several predictions in .*twice'"),
        (table("unlabelled", pd.concat([answers, answers[frame["fraud"].isna()]])), DataError,
         f"'m': {frame['fraud'].isna().sum()} rows of the dataset have several predictions"),
        (table("typed", answers.assign(id=answers["id"].astype(str))), DataError,
         "the key 'id' is string in the predictions .*typed' and bigint in the dataset"),
        (table("named", answers, scores="pp"), ModelError,
         "named' lack the column 'pp' .nearest: 'p'"),
        (table("keyed", answers, key="idd"), DataError, "lack the key 'idd' .nearest: 'id'"),
        (table("logits", answers, scores="logit"), DataError,
         f"'m' has its scores in 'logit', and in .* of {total} labelled rows one is below 0 or "
         "above 1; .* say output: logit"),
        ({"predictions": {"delta": str(tmp_path / "none"), "key": "id", "scores": "p"}},
         DataError, "'m': no Delta table at"),
        ({"scores": "logit"}, DataError, "'m' has its scores in 'logit', and in"),
        ({"scores": ["p", "p0"]}, ModelError, "wants the columns .'p0'.*lacks"),
    ]  # fmt: skip
    for model, kind, words in refused:
        with pytest.raises(kind, match=words):
            evaluate(model)
    noise = [{"robustness": {"noise": ["f0"], "severities": [1]}, "metric": "roc_auc"}]
    with pytest.raises(InputError, match="changes a model's input, and 'm' is predictions"):
        evaluate({"scores": "p"}, tests=noise)
    for output in ("logit", "probability"):
        column = "logit" if output == "logit" else "p"
        (cell,) = evaluate({"scores": column, "output": output}).outcome.cells
        if output == "logit":
            loss = cell.measured.value
    assert cell.measured.value == pytest.approx(loss, rel=1e-9)
