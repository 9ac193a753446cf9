"""Rankings and rows of many labels, from a suite to the results table, against scikit-learn."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
import yaml
from scipy import stats
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.tree import DecisionTreeRegressor

import engine
from engine.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

FEATURES = ["f0", "f1", "f2", "f3"]
NAMES = ["red", "green", "blue", "wide", "tall"]
QUERY_METRICS = ["ndcg_at_10", "mrr", "map_at_10", "precision_at_5"]
LABEL_METRICS = [
    "multilabel_f1_macro",
    "subset_accuracy",
    "hamming_loss",
    "multilabel_log_loss",
    "label_ranking_average_precision",
]


def make_documents(queries: int = 200, seed: int = 5) -> pd.DataFrame:
    """Queries of 5 to 30 documents in any order; of some documents the relevance is not known."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), rng.integers(5, 31, queries))
    rows = len(query)
    x = rng.normal(size=(rows, len(FEATURES)))
    frame = pd.DataFrame(x, columns=FEATURES)
    frame["doc_id"] = np.arange(rows)
    frame["query_id"] = [f"q{number:03}" for number in query]
    frame["user"] = query // 3
    frame["market"] = np.array(["DE", "FR", None])[query % 3]
    frame["device"] = rng.choice(["ios", "web"], rows)
    frame["w"] = rng.choice([0.5, 1.0, 2.0], rows)
    signal = x @ [1.0, 0.6, -0.3, 0.0] + rng.normal(size=rows)
    relevance = np.clip(np.round(signal), 0, 4)
    relevance[query % 11 == 0] = 0.0
    relevance[rng.random(rows) < 0.02] = np.nan
    frame["relevance"] = pd.array(relevance, "Int64")
    below = np.where(frame["doc_id"] == 0, -1.0, relevance)
    frame["below"] = pd.array(below, "Int64")
    frame["torn"] = [[number] for number in query]
    return frame.sample(frac=1, random_state=1).reset_index(drop=True)


def make_labelled(rows: int = 2_400, seed: int = 3) -> pd.DataFrame:
    """Rows of five labels each, and columns of arrays that are none of labels."""
    x, y = make_multilabel_classification(
        rows, len(FEATURES), n_classes=len(NAMES), n_labels=2, random_state=seed
    )
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(x, columns=FEATURES)
    frame["id"] = np.arange(rows)
    frame["country"] = rng.choice(["DE", "FR"], rows)
    frame["w"] = rng.choice([0.0, 0.5, 2.0], rows)
    rows_of = y.tolist()
    frame["labels"] = [None if rng.random() < 0.02 else row for row in rows_of]
    frame["flags"] = [None if row is None else [*map(bool, row)] for row in frame["labels"]]
    frame["shares"] = [None if row is None else [*map(float, row)] for row in frame["labels"]]
    frame["four"] = [row[:4] for row in rows_of]
    frame["ragged"] = [rows_of[0][:4], *rows_of[1:]]
    frame["twos"] = [*([2, *row[1:]] for row in rows_of[:3]), *rows_of[3:]]
    frame["holes"] = [*([None, *row[1:]] for row in rows_of[:2]), *rows_of[2:]]
    frame["nothing"] = pd.Series([np.zeros(0, np.int64)] * rows)
    frame["texts"] = [["red"]] * rows
    return frame


@dataclass(frozen=True)
class Place:
    """Tables, models and a store of this module alone."""

    folder: Path
    documents: pd.DataFrame
    labelled: pd.DataFrame
    fitted: dict[str, Any]

    def table(self, name: str) -> str:
        return str(self.folder / "tables" / name)

    def model(self, name: str) -> str:
        return str(self.folder / "models" / name)

    def suite(self, *evaluations: dict[str, Any]) -> Path:
        suite = {"name": "tasks", "store": str(self.folder / "store")}
        path = self.folder / "suite.yml"
        path.write_text(yaml.safe_dump({**suite, "evaluations": [*evaluations]}, sort_keys=False))
        return path


def fit(documents: pd.DataFrame, labelled: pd.DataFrame) -> dict[str, Any]:
    ranked = documents.dropna(subset="relevance")[:1500]
    relevance = ranked["relevance"].astype(float)
    known = labelled[labelled["labels"].notna()][:800]
    x, y = known[FEATURES], np.array(known["labels"].tolist())
    return {
        "linear": LinearRegression().fit(ranked[FEATURES], relevance),
        # Its few values tie many documents of a query.
        "tree": DecisionTreeRegressor(max_depth=3).fit(ranked[FEATURES], relevance),
        "forest": RandomForestClassifier(10, random_state=0).fit(x, y),
        "one-vs-rest": OneVsRestClassifier(LogisticRegression()).fit(x, y),
        "of-four": OneVsRestClassifier(LogisticRegression()).fit(x, y[:, :4]),
        "one-class": LogisticRegression().fit(x, y[:, 0]),
    }


@pytest.fixture(scope="module")
def place(world: Any, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Place:
    import mlflow.sklearn

    folder = tmp_path_factory.mktemp("tasks")
    documents, labelled = make_documents(), make_labelled()
    place = Place(folder, documents, labelled, fit(documents, labelled))
    world.make_store(folder / "store")
    for name, native in place.fitted.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.sklearn.save_model(
                native,
                place.model(name),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
    for name, frame in (("documents", documents), ("labelled", labelled)):
        path = str(folder / f"{name}.parquet")
        frame.to_parquet(path, index=False)
        read = spark.read.parquet(path)
        read.coalesce(1).write.format("delta").save(place.table(name))
        read.repartition(7).write.format("delta").save(place.table(f"{name}7"))
    return place


def ranking(place: Place, name: str = "ranking", **over: Any) -> dict[str, Any]:
    dataset = {
        "delta": place.table("documents"),
        "name": name,
        "task": "ranking",
        "label": "relevance",
        "query": "query_id",
        "key": "doc_id",
    }
    dataset |= over.pop("dataset", {})
    evaluation = {
        "name": name,
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "models": [{"uri": place.model("tree")}, {"uri": place.model("linear")}],
        "baseline": "tree",
        "slices": ["overall", {"by": "market"}, {"by": "device"}],
        "tests": [{"metric": metric} for metric in QUERY_METRICS],
    }
    return evaluation | over


def labels(place: Place, name: str = "labels", **over: Any) -> dict[str, Any]:
    dataset = {
        "delta": place.table("labelled"),
        "name": name,
        "task": "multilabel",
        "label": "labels",
        "key": "id",
    }
    evaluation = {
        "name": name,
        "dataset": dataset | over.pop("dataset", {}),
        "models": [{"uri": place.model("forest")}, {"uri": place.model("one-vs-rest")}],
        "baseline": "forest",
        "slices": ["overall", {"by": "country"}],
        "tests": [{"metric": metric} for metric in LABEL_METRICS],
    }
    return evaluation | over


def go(place: Place, spark: SparkSession, *evaluations: dict[str, Any]) -> RunResult:
    from engine.commands.run import run

    return run(place.suite(*evaluations), spark=spark)


@pytest.fixture(scope="module")
def finished(place: Place, spark: SparkSession) -> RunResult:
    seven = {"delta": place.table("documents7"), "weight": "w", "cluster": "user"}
    negative = {"label": "below"}
    judged = [
        {"name": "floor", "metric": "ndcg_at_10", "min": 0.2, "slices": ["overall", "market"]},
        {"name": "kept", "metric": "ndcg_at_10", "max_drop": 0.01, "slices": ["overall"]},
        {"name": "all", "metric": "mrr", "min": 0.999, "slices": ["overall"]},
    ]
    only = [{"uri": place.model("forest"), "output": "label"}]
    weighted = {
        "delta": place.table("labelled7"),
        "label": "shares",
        "weight": "w",
        "classes": NAMES,
    }
    return go(
        place,
        spark,
        ranking(place),
        ranking(place, "seven-files", dataset={"delta": place.table("documents7")}),
        ranking(place, "of-users", dataset=seven),
        ranking(place, "below", dataset=negative, tests=judged[:1], baseline=None),
        ranking(place, "judged", tests=judged),
        labels(place),
        labels(place, "weighted", dataset=weighted),
        labels(
            place,
            "labels-only",
            dataset={"label": "flags"},
            models=only,
            baseline=None,
            tests=[
                {"metric": "subset_accuracy"},
                {"name": "hamming_loss", "metric": "hamming_loss", "max": 0.9},
            ],
        ),
    )


@pytest.fixture(scope="module")
def cells(finished: RunResult) -> pd.DataFrame:
    frame = finished.to_pandas()
    assert (frame["verdict"] != "ERROR").all(), frame[frame["verdict"] == "ERROR"]["reason"]
    return frame


def of(cells: pd.DataFrame, evaluation: str) -> pd.DataFrame:
    found = cells[cells["evaluation"] == evaluation]
    return found.set_index(["model", "slice", "test"]).sort_index()


def mask_of(row: pd.Series, frame: pd.DataFrame) -> pd.Series:
    mask = frame[frame.columns[0]].notna()
    for column, value in dict(row["slice_columns"]).items():
        mask &= frame[column].isna() if value is None else frame[column] == value
    return mask


# Of documents with one score the order is not known: the number is the mean over their orders.


def number_of_query(metric: str, relevance: np.ndarray, scores: np.ndarray) -> float:
    if metric == "ndcg_at_10":
        if len(relevance) == 1:
            return float(relevance[0] > 0)
        return float(sk.ndcg_score([relevance], [scores], k=10))
    total, orders = 0.0, 400 if len(set(scores)) < len(scores) else 1
    rng = np.random.default_rng(0)
    for _ in range(orders):
        order = np.lexsort((rng.random(len(scores)), -scores))
        total += of_order(metric, relevance[order] > 0)
    return total / orders


def of_order(metric: str, relevant: np.ndarray) -> float:
    places = np.flatnonzero(relevant) + 1
    if metric == "mrr":
        return 1 / float(places[0]) if len(places) else 0.0
    if metric == "precision_at_5":
        return float((places <= 5).sum()) / 5
    within = [(rank + 1) / at for rank, at in enumerate(places) if at <= 10]
    return math.fsum(within) / min(len(places), 10) if len(places) else 0.0


def numbers(place: Place, model: str, metric: str, rows: pd.DataFrame) -> np.ndarray:
    """The number of each query, in the order of its name."""
    rows = rows.assign(score=place.fitted[model].predict(rows[FEATURES]))
    return np.array(
        [
            number_of_query(metric, of["relevance"].to_numpy(float), of["score"].to_numpy())
            for _, of in rows.groupby("query_id")
        ]
    )


def test_every_value_of_a_ranking_is_that_of_a_loop_over_queries(
    place: Place, cells: pd.DataFrame
) -> None:
    rows = place.documents.dropna(subset="relevance")
    found = cells[cells["evaluation"] == "ranking"]
    assert len(found) == 2 * (1 + 3 + 2) * len(QUERY_METRICS)
    for _, cell in found.iterrows():
        left = rows[mask_of(cell, rows)]
        expected = numbers(place, cell["model"], cell["metric"], left).mean()
        # Where documents tie, the loop is a sample of their orders.
        sampled = cell["model"] == "tree" and cell["metric"] != "ndcg_at_10"
        assert cell["value"] == pytest.approx(expected, abs=0.01 if sampled else 1e-9), cell
        assert cell["n"] == len(left)
        assert cell["ci_low"] < cell["value"] < cell["ci_high"]
    nulls = place.documents["relevance"].isna().sum()
    assert set(found[found["slice"] == "overall"]["n_null_label"]) == {nulls}


@pytest.mark.parametrize("over", [{}, {"checkpoint_rows": 700}])
def test_queries_come_together_without_spark(
    place: Place, cells: pd.DataFrame, tmp_path: Path, over: dict[str, Any]
) -> None:
    """Also where their rows lie in seven files, and are scanned in chunks."""
    seven = {"delta": place.table("documents7"), "weight": "w", "cluster": "user"}
    suite = {
        "name": "tasks", "store": str(tmp_path / "store"), "executor": "local",
        "evaluations": [
            ranking(place), ranking(place, "of-users", dataset=seven),
            ranking(place, "seven-files", dataset={"delta": place.table("documents7")}),
        ],
    }  # fmt: skip
    here = engine.run(suite | over).to_pandas()
    for name in ("ranking", "of-users", "seven-files"):
        ours, theirs = of(here, name), of(cells, name)
        assert list(ours.index) == list(theirs.index) and len(ours) > 20
        assert ours["n"].tolist() == theirs["n"].tolist()
        for figure in ("value", "ci_low", "ci_high", "delta"):
            np.testing.assert_allclose(ours[figure], theirs[figure], rtol=1e-9, err_msg=name)


def test_files_weights_and_clusters_change_no_value_of_a_ranking(cells: pd.DataFrame) -> None:
    one, seven, users = (of(cells, name) for name in ("ranking", "seven-files", "of-users"))
    for column in ("value", "ci_low", "ci_high", "delta", "delta_ci_low", "p_value"):
        np.testing.assert_allclose(seven[column], one[column], rtol=1e-9)
    np.testing.assert_allclose(users["value"], one["value"], rtol=1e-9)
    assert (users["weight_sum"] != one["weight_sum"]).all()
    # With clusters of three queries the interval comes from the buckets, not from the queries.
    width, plain = users["ci_high"] - users["ci_low"], one["ci_high"] - one["ci_low"]
    assert (width > 0).all() and (width / plain).between(0.4, 2.5).all()


@pytest.mark.parametrize("where", ["overall", "market=DE", "device=web"])
def test_rankings_are_compared_by_the_paired_t_test_over_queries(
    place: Place, cells: pd.DataFrame, where: str
) -> None:
    rows = place.documents.dropna(subset="relevance")
    if where != "overall":
        column, value = where.split("=")
        rows = rows[rows[column] == value]
    before, after = (numbers(place, each, "ndcg_at_10", rows) for each in ("tree", "linear"))
    expected = stats.ttest_rel(after, before)
    cell = of(cells, "ranking").loc["linear", where, "ndcg_at_10"]
    assert cell["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert (cell["delta_ci_low"], cell["delta_ci_high"]) == pytest.approx(tuple(interval), rel=1e-6)
    assert cell["baseline_value"] == pytest.approx(before.mean(), rel=1e-9)


def test_rankings_are_judged(cells: pd.DataFrame, finished: RunResult) -> None:
    judged = of(cells, "judged")
    assert set(judged.xs("floor", level="test")["verdict"]) == {"PASS"}
    assert set(judged.xs("all", level="test")["verdict"]) == {"FAIL"}
    assert judged.loc["linear", "overall", "kept"]["verdict"] == "PASS"
    assert judged.loc["tree", "overall", "kept"]["verdict"] == "RECORDED"
    assert finished.exit_code == 1
    page = Path(finished.places["report"]).read_text()
    assert "ndcg_at_10" in page and "multilabel_f1_macro" in page


def test_a_relevance_below_0_has_no_ranking(place: Place, cells: pd.DataFrame) -> None:
    odd = place.documents[place.documents["below"] < 0]["market"].item()
    found = of(cells, "below")
    for (_, where, _), cell in found.iterrows():
        if where in ("overall", f"market={odd}"):
            assert pd.isna(cell["value"]) and cell["undefined"] == "negative"
            assert cell["verdict"] == "INCONCLUSIVE"
        else:
            assert cell["value"] > 0 and pd.isna(cell["undefined"])


def probabilities(native: Any, x: pd.DataFrame) -> np.ndarray:
    found = native.predict_proba(x)
    return np.stack([each[:, 1] for each in found], axis=1) if isinstance(found, list) else found


def of_labels(metric: str, y: np.ndarray, scores: np.ndarray, w: np.ndarray) -> float:
    said = (scores > 0.5).astype(int)
    if metric == "multilabel_f1_macro":
        return float(sk.f1_score(y, said, average="macro", sample_weight=w, zero_division=0))
    if metric == "subset_accuracy":
        return float(sk.accuracy_score(y, said, sample_weight=w))
    if metric == "hamming_loss":
        return float(sk.hamming_loss(y, said, sample_weight=w))
    if metric == "label_ranking_average_precision":
        return float(sk.label_ranking_average_precision_score(y, scores, sample_weight=w))
    losses = [sk.log_loss(y[:, k], scores[:, k], sample_weight=w, labels=[0, 1]) for k in range(5)]
    return float(np.mean(losses))


@pytest.mark.parametrize("evaluation", ["labels", "weighted"])
def test_every_value_of_many_labels_is_scikit_learns(
    place: Place, cells: pd.DataFrame, evaluation: str
) -> None:
    rows = place.labelled[place.labelled["labels"].notna()]
    found = cells[cells["evaluation"] == evaluation]
    assert len(found) == 2 * 3 * len(LABEL_METRICS)
    for _, cell in found.iterrows():
        left = rows[mask_of(cell, rows)]
        y = np.array(left["labels"].tolist())
        scores = probabilities(place.fitted[cell["model"]], left[FEATURES])
        weight = left["w"].to_numpy() if evaluation == "weighted" else np.ones(len(left))
        assert cell["value"] == pytest.approx(
            of_labels(cell["metric"], y, scores, weight), rel=1e-9
        )
        assert cell["n"] == len(left)
        assert cell["weight_sum"] == pytest.approx(weight.sum())
        assert cell["ci_low"] < cell["value"] < cell["ci_high"]
    nulls = place.labelled["labels"].isna().sum()
    assert nulls and set(found[found["slice"] == "overall"]["n_null_label"]) == {nulls}


def test_the_labels_of_scikit_learn_are_those_above_one_half(
    place: Place, cells: pd.DataFrame
) -> None:
    """A forest of ten trees gives many labels one half; its own `predict` is the judge."""
    rows = place.labelled[place.labelled["labels"].notna()]
    y = np.array(rows["labels"].tolist())
    said = place.fitted["forest"].predict(rows[FEATURES])
    halves = probabilities(place.fitted["forest"], rows[FEATURES]) == 0.5
    assert halves.any()
    accuracy, loss = sk.accuracy_score(y, said), sk.hamming_loss(y, said)
    for evaluation in ("labels", "labels-only"):
        found = of(cells, evaluation).loc["forest", "overall"]["value"]
        assert found["subset_accuracy"] == pytest.approx(accuracy, rel=1e-12)
        assert found["hamming_loss"] == pytest.approx(loss, rel=1e-12)
    verdicts = of(cells, "labels-only").xs("hamming_loss", level="test")["verdict"]
    assert set(verdicts) == {"PASS"}


def test_many_labels_are_compared_row_by_row(place: Place, cells: pd.DataFrame) -> None:
    rows = place.labelled[place.labelled["labels"].notna()]
    y = np.array(rows["labels"].tolist())
    eps = np.finfo(float).eps
    scores = {
        name: probabilities(place.fitted[name], rows[FEATURES])
        for name in ("forest", "one-vs-rest")
    }
    losses = [
        -np.log(np.clip(np.where(y == 1, score, 1 - score), eps, 1 - eps)).mean(axis=1)
        for score in scores.values()
    ]
    expected = stats.ttest_rel(losses[1], losses[0])
    found = of(cells, "labels").loc["one-vs-rest", "overall"]
    assert found.loc["multilabel_log_loss"]["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
    before, after = (((score > 0.5) == y).all(axis=1) for score in scores.values())
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    assert gained + lost >= 25
    z = abs(gained - lost) / np.sqrt(gained + lost)
    accuracy = found.loc["subset_accuracy"]
    assert accuracy["p_value"] == pytest.approx(2 * stats.norm.sf(z), abs=1e-9)
    assert accuracy["delta"] == pytest.approx((gained - lost) / len(rows), abs=1e-12)


def test_the_suite_names_the_labels(finished: RunResult) -> None:
    named = {each.name: each for each in finished.outcome.evaluations}
    assert named["labels"].models[0].classes == ("0", "1", "2", "3", "4")
    assert named["weighted"].models[0].classes == tuple(NAMES)
    assert named["ranking"].models[0].classes == ()
    assert not any(each.curves or each.confusion for each in named.values())


def refused(place: Place, spark: SparkSession, evaluation: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        go(place, spark, evaluation)
    return str(caught.value)


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"query": "query"}, ["lacks query column 'query' (nearest: 'query_id')"]),
        (
            {"query": "market", "cluster": None},
            ["rows without a value in the query column 'market'", "expected one in every row"],
        ),
        ({"query": "torn"}, ["the query column 'torn' is array<bigint>, expected plain values"]),
        ({"label": "device"}, ["the label column 'device' is string, expected numbers"]),
        (
            {"cluster": "device"},
            ["queries of 'query_id' with rows in several clusters of 'device'"],
        ),
        ({"query": None}, ["found no query for the task ranking"]),
        ({"task": "regression"}, ["'query_id' for the task regression", "task ranking only"]),
    ],
)
def test_a_ranking_that_cannot_be_is_refused(
    place: Place, spark: SparkSession, over: dict[str, Any], parts: list[str]
) -> None:
    message = refused(place, spark, ranking(place, dataset=over))
    assert [part for part in parts if part not in message] == [], message


def test_a_classifier_does_not_rank(place: Place, spark: SparkSession) -> None:
    models = [{"uri": place.model("one-class")}]
    message = refused(place, spark, ranking(place, models=models, baseline=None))
    assert "LogisticRegression) returns probability" in message
    assert "does not fit task 'ranking'" in message


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"label": "country"}, ["the label column 'country' is string", "such as array<int>"]),
        ({"label": "texts"}, ["the label column 'texts' is array<string>", "a 0 or a 1 for each"]),
        ({"label": "id"}, ["the label column 'id' is bigint", "such as array<int>"]),
        ({"label": "ragged"}, ["arrays of 4 to 5 entries in 'ragged'", "for each label in every"]),
        ({"label": "nothing"}, ["empty arrays only in 'nothing'"]),
        ({"label": "twos"}, ["3 rows with an entry of 'twos'", "expected a 0 or a 1"]),
        ({"label": "holes"}, ["2 rows with an entry of 'holes'", "null"]),
        ({"label": "four"}, ["arrays of 4 entries", "have 5 labels, ['0', '1', '2', '3', '4']"]),
        ({"classes": NAMES[:4]}, ["arrays of 5 entries, and dataset.classes have 4 labels"]),
        ({"positive_label": 1}, ["found 1 for the task multilabel", "the task binary only"]),
        (
            {"task": "multiclass"},
            ["the label column 'labels' is array<bigint>", "are for the task multilabel"],
        ),
    ],
)
def test_labels_that_cannot_be_are_refused(
    place: Place, spark: SparkSession, over: dict[str, Any], parts: list[str]
) -> None:
    evaluation = labels(place, dataset=over)
    if over.get("task") == "multiclass":
        evaluation |= {"tests": [{"metric": "accuracy"}]}
    message = refused(place, spark, evaluation)
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(
    ("models", "parts"),
    [
        (["forest", "of-four"], ["'of-four' has the labels ['0', '1', '2', '3'], expected are"]),
        (["one-class"], ["LogisticRegression) gives a row one of its classes, task 'multilabel'"]),
    ],
)
def test_models_of_other_labels_are_refused(
    place: Place, spark: SparkSession, models: list[str], parts: list[str]
) -> None:
    uris = [{"uri": place.model(name)} for name in models]
    message = refused(place, spark, labels(place, models=uris, baseline=models[0]))
    assert [part for part in parts if part not in message] == [], message


def test_scores_are_needed_where_labels_are_ranked(place: Place, spark: SparkSession) -> None:
    models = [{"uri": place.model("forest"), "output": "label"}]
    message = refused(place, spark, labels(place, models=models))
    assert "'label_ranking_average_precision' needs scores" in message
    assert "'subset_accuracy'" in message
