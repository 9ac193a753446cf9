"""What is planted has the size that its answer says: closed forms, and rows that were counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, norm, wasserstein_distance
from sklearn.metrics import roc_auc_score

from engine.data.generation.make import Generated, make
from engine.data.generation.plants.drift import normal_distances, share_distances, shift_distances
from engine.data.generation.plants.leaks import disguise_power
from engine.data.generation.recipe import read_recipe
from engine.errors import DataError
from engine.spark.lazy_session import LazySession
from tests.data.generation.mixed import frame_of, mixed_rows
from tests.data.generation.quiet import show_nothing
from tests.fixtures.tables import read_rows, write_rows

ROWS = 40_000
POPULATION = {
    "columns": {
        "x": {"normal": [10.0, 2.0]},
        "u": {"uniform": [0.0, 1.0]},
        "c": {"categories": {"a": 0.5, "b": 0.3, "d": 0.2}},
    },
    "target": {"name": "y", "weights": {"u": 4.0}, "intercept": -2.5, "score": "p"},
}


class Maker:
    """Makes tables in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __call__(self, *plants: dict[str, Any], **keys: Any) -> tuple[Generated, pd.DataFrame]:
        self.count += 1
        recipe = {
            "out": str(self.folder / f"made-{self.count}"), "rows": ROWS, "key": "id",
            "plant": list(plants), "closeness": False, **keys,
        }  # fmt: skip
        if not {"dataset", "model", "population"} & keys.keys():
            recipe["population"] = POPULATION
        chosen = read_recipe({key: value for key, value in recipe.items() if value is not None})
        generated = make(LazySession(), chosen, show_nothing)
        return generated, read_rows(generated.table).sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    folder = tmp_path_factory.mktemp("plants")
    write_rows(folder / "claims", frame_of(mixed_rows()))
    return Maker(folder)


def finds(generated: Generated) -> dict[str, float]:
    (planted,) = generated.planted
    return dict(planted.answer.finds)


@pytest.mark.parametrize("shift", [0.25, 0.5, -1.0])
def test_distances_of_a_normal_column_that_moved_are_closed_forms(shift: float) -> None:
    own = normal_distances(shift)
    assert own["ks"] == pytest.approx(2 * norm.cdf(abs(shift) / 2) - 1)
    assert own["wasserstein"] == abs(shift)
    # By samples, another road: and the figure of ten bins that stands in the literature.
    sample = np.sort(np.random.default_rng(0).normal(size=400_000))
    drawn = shift_distances(sample, shift * sample.std(), 10**6)
    for name in own:
        assert drawn[name] == pytest.approx(own[name], abs=0.02), name
    if shift == 0.25:
        assert own["psi"] == pytest.approx(0.0595, abs=0.001)


def test_distances_of_shares_are_scipys() -> None:
    before = {"a": 0.5, "b": 0.3, None: 0.2}
    own = share_distances(before, "z", 0.25)
    was, now = [0.5, 0.3, 0.2, 0], [0.375, 0.225, 0.15, 0.25]
    assert own["total_variation"] == pytest.approx(0.25)
    assert own["js_distance"] == pytest.approx(jensenshannon(was, now, base=2))
    hellinger = np.linalg.norm(np.sqrt(was) - np.sqrt(now)) / np.sqrt(2)
    assert own["hellinger"] == pytest.approx(hellinger)


def test_drift_by_a_shift_is_in_the_rows(maker: Maker) -> None:
    generated, rows = maker(
        {"drift": {"column": "x", "shift": 0.5}}, reference=str(maker.folder / "r")
    )
    reference = read_rows(maker.folder / "r")
    told = finds(generated)
    assert told["ks"] == pytest.approx(2 * norm.cdf(0.25) - 1)
    assert ks_2samp(rows["x"], reference["x"]).statistic == pytest.approx(told["ks"], abs=0.015)
    moved = wasserstein_distance(rows["x"], reference["x"]) / reference["x"].std()
    assert moved == pytest.approx(told["wasserstein"], abs=0.02)
    # Nothing else has moved, and the reference is no copy.
    assert ks_2samp(rows["u"], reference["u"]).pvalue > 0.001
    assert not np.isin(rows["u"], reference["u"]).any()


def test_drift_by_a_share_is_in_the_rows(maker: Maker) -> None:
    generated, rows = maker({"drift": {"column": "c", "share": 0.2, "to": "b"}})
    shares = rows["c"].value_counts(normalize=True)
    assert shares["b"] == pytest.approx(0.3 * 0.8 + 0.2, abs=0.01)
    assert finds(generated)["total_variation"] == pytest.approx(0.2 * 0.7, abs=0.005)


def test_a_weak_slice_is_as_weak_as_it_says(maker: Maker) -> None:
    plant = {"where": {"c": "d", "u": {"min": 0.5}}, "error": 0.3, "otherwise": 0.05}
    generated, rows = maker({"weak_slice": plant})
    right = rows["predicted"] == rows["y"]
    inside = (rows["c"] == "d") & (rows["u"] >= 0.5)
    told = finds(generated)
    assert (
        right[inside].mean() == pytest.approx(told["accuracy"], abs=0.03)
        and told["accuracy"] == 0.7
    )
    assert inside.mean() == pytest.approx(told["share of rows"], abs=0.006)
    assert right.mean() == pytest.approx(told["accuracy of all rows"], abs=0.006)


def test_label_noise_costs_what_the_closed_form_says(maker: Maker) -> None:
    generated, rows = maker({"label_noise": {"share": 0.15, "keep": "clean"}})
    assert (rows["clean"] == rows["y"]).mean() == pytest.approx(
        finds(generated)["accuracy"], abs=0.006
    )
    # The score is calibrated for the clean label; by the noisy one its area shrinks by the formula
    # of generation with label noise.
    area = roc_auc_score(rows["clean"], rows["p"])
    backwards = [(rows["clean"][rows["y"] == y] == y).mean() for y in (1, 0)]
    wanted = 0.5 + (area - 0.5) * (sum(backwards) - 1)
    assert roc_auc_score(rows["y"], rows["p"]) == pytest.approx(wanted, abs=0.006)


def test_a_target_is_calibrated(maker: Maker) -> None:
    _, rows = maker()
    bins = pd.cut(rows["p"], 8)
    groups = rows.groupby(bins, observed=True)
    gaps = (groups["y"].mean() - groups["p"].mean()).abs() * np.sqrt(groups.size())
    assert gaps.max() < 2.2


def test_imbalance_draws_the_class_as_often_as_it_says(maker: Maker) -> None:
    keys = {"dataset": {"delta": str(maker.folder / "claims")}, "label": "label", "plant": []}
    before, after = (
        maker(**keys)[1], maker(**{**keys, "plant": [{"imbalance": {"label": 1, "share": 0.05}}]}),
    )  # fmt: skip
    generated, rows = after
    assert rows["label"].mean() == pytest.approx(0.05, abs=0.005)
    told = finds(generated)["total_variation"]
    assert told == pytest.approx(before["label"].mean() - 0.05, abs=0.01)
    # Within a class nothing has moved.
    for value in (0, 1):
        sides = [frame["height"][frame["label"] == value] for frame in (before, rows)]
        assert ks_2samp(*sides).statistic < 0.05


def test_imbalance_of_real_rows_leaves_some_out(maker: Maker) -> None:
    source = read_rows(maker.folder / "claims")
    generated, rows = maker(
        {"imbalance": {"label": 1, "share": 0.1}}, dataset={"delta": str(maker.folder / "claims")},
        label="label", real=True, rows=None,
    )  # fmt: skip
    assert rows["label"].mean() == pytest.approx(0.1, abs=0.001)
    assert (rows["label"] == 0).sum() == (source["label"] == 0).sum()
    assert set(rows["id"]) <= set(source["id"]) and generated.rows == len(rows)


def test_leaked_rows_are_the_sources_and_as_many_as_it_says(maker: Maker) -> None:
    generated, rows = maker(
        {"leakage": {"rows": 137}}, dataset={"delta": str(maker.folder / "claims")}, label="label"
    )
    source = read_rows(maker.folder / "claims")
    names = [name for name in source if name != "id"]
    both = rows[names].merge(source[names].drop_duplicates(), on=names)
    assert len(both) == finds(generated)["leaked_rows"] == generated.copies == 137
    assert rows["id"].tolist() == list(range(ROWS))


def test_rows_leak_from_the_reference_where_there_is_one(maker: Maker) -> None:
    place = maker.folder / "other"
    _, rows = maker(
        {"leakage": {"rows": 99}}, {"leakage": {"column": "z", "share": 1.0}}, reference=str(place)
    )
    reference = read_rows(place)
    assert list(reference) == list(rows) and (rows["z"] == rows["y"]).mean() > 0.99
    # The training data have the label in disguise as well: from them it is learned.
    assert (reference["z"] == reference["y"]).mean() > 0.99
    names = [name for name in rows if name != "id"]
    assert len(rows[names].merge(reference[names], on=names)) == 99


@pytest.mark.parametrize("share", [1.0, 0.6, 0.2])
def test_a_label_in_disguise_tells_as_much_as_it_says(maker: Maker, share: float) -> None:
    generated, rows = maker({"leakage": {"column": "x9", "share": share}})
    best = rows.groupby("x9")["y"].agg(lambda own: own.mode()[0])
    right = (rows["x9"].map(best) == rows["y"]).mean()
    majority = rows["y"].value_counts(normalize=True).max()
    power = max(0.0, (right - majority) / (1 - majority))
    assert finds(generated)["target_power"] == pytest.approx(power, abs=0.025)


def test_the_disguise_of_several_classes_is_that_of_a_count() -> None:
    classes, share = [0.5, 0.3, 0.2], 0.4
    table = np.diag(np.array(classes) * share) + (1 - share) * np.outer(classes, classes)
    right = table.max(axis=1).sum()
    assert disguise_power(classes, share) == pytest.approx((right - 0.5) / 0.5)
    assert disguise_power([1.0], 0.4) == 0.0


def test_a_broken_column_is_broken_in_as_many_rows(maker: Maker) -> None:
    generated, rows = maker({"broken": {"column": "x", "share": 0.03}})
    assert rows["x"].isna().mean() == pytest.approx(finds(generated)["null_share"], abs=0.003)
    generated, rows = maker({"broken": {"column": "x", "share": 0.03, "factor": 100.0}})
    (planted,) = generated.planted
    low, high = planted.answer.test["data_quality"]["range"]["x"]  # type: ignore[index]
    outside = ~rows["x"].between(low, high)
    assert outside.mean() == pytest.approx(finds(generated)["out_of_range_share"], abs=0.003)


@pytest.mark.parametrize("count", [1, 400, 20_000])
def test_repeated_rows_stand_twice_and_are_as_many_as_it_says(maker: Maker, count: int) -> None:
    generated, rows = maker({"duplicates": {"rows": count}})
    names = [name for name in rows if name != "id"]
    assert rows.duplicated(names, keep=False).mean() == pytest.approx(
        finds(generated)["duplicate_share"]
    )
    (planted,) = generated.planted
    assert rows.duplicated(names).sum() == planted.answer.rows
    assert abs(planted.answer.rows - count) <= count * 0.001 + 1
    assert rows["id"].is_unique
    generated, rows = maker({"duplicates": {"rows": count, "key": True}})
    assert rows["id"].duplicated(keep=False).mean() == pytest.approx(
        finds(generated)["repeated_share"]
    )


def test_plants_do_not_spoil_each_others_figures(maker: Maker) -> None:
    generated, rows = maker(
        {"duplicates": {"rows": 50}},
        {"weak_slice": {"where": {"region": "east"}, "error": 0.3}},
        {"leakage": {"rows": 60}},
        {"broken": {"column": "vip", "share": 0.1}},
        {"label_noise": {"share": 0.2}},
        {"drift": {"column": "height", "shift": 1.0}},
        dataset={"delta": str(maker.folder / "claims")}, label="label",
    )  # fmt: skip
    told = {name: x for item in generated.planted for name, x in item.answer.finds.items()}
    assert [next(iter(item.plant)) for item in generated.planted] == [
        "broken", "drift", "label_noise", "weak_slice", "leakage", "duplicates",
    ]  # fmt: skip
    assert generated.copies == 60
    wrong = rows["predicted"] != rows["label"]
    assert wrong[rows["region"] == "east"].mean() == pytest.approx(0.3, abs=0.03)
    assert told["leaked_rows"] == 60


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        ({"drift": {"column": "xx", "shift": 1.0}}, "no column 'xx'; did you mean 'x'"),
        ({"drift": {"column": "c", "shift": 1.0}}, "'c' is string, expected numbers"),
        ({"drift": {"column": "x", "share": 0.1, "to": "a"}}, "'x' is double, found `to: 'a'`"),
        ({"weak_slice": {"where": {"c": "zz"}}}, "no row is in the slice c = 'zz'"),
        ({"weak_slice": {"where": {"c": "a"}, "predicted": "x"}}, "a column 'x' already"),
        ({"label_noise": {"share": 0.1, "keep": "x"}}, "a column 'x' already"),
        ({"imbalance": {"label": 1, "share": 0.1}}, "expected a `dataset` with a `label`"),
        ({"leakage": {"rows": 5}}, "expected one of them"),
        ({"leakage": {"column": "x"}}, "a column 'x' already"),
        ({"duplicates": {"rows": 30_000}}, "expected at most half"),
    ],
)
def test_plants_that_cannot_be_are_refused_before_anything_is_made(
    maker: Maker, plant: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        maker(plant)
    assert not (maker.folder / f"made-{maker.count}").exists()


def test_what_a_type_has_no_room_for_is_refused(maker: Maker) -> None:
    keys = {"dataset": {"delta": str(maker.folder / "claims")}, "label": "label"}
    with pytest.raises(DataError, match=r"'price' is decimal128\(5, 2\), which has no room for"):
        maker({"broken": {"column": "price", "share": 0.1, "factor": 1000.0}}, **keys)
    with pytest.raises(DataError, match=r"'visits' is int32, which has no room for"):
        maker({"drift": {"column": "visits", "shift": 1e10}}, **keys)


def test_what_needs_a_label_says_so(maker: Maker) -> None:
    known = {"columns": POPULATION["columns"]}
    for plant in ({"label_noise": {"share": 0.1}}, {"leakage": {"column": "z"}}):
        with pytest.raises(DataError, match="expected `label`"):
            maker(plant, population=known)
    source = pa.table({"x": [1.0, 2.0] * 50, "y": [1] * 100, "id": list(range(100))})
    write_rows(maker.folder / "one-class", source.to_pandas())
    with pytest.raises(DataError, match="has one class"):
        maker(
            {"label_noise": {"share": 0.1}}, label="y",
            dataset={"delta": str(maker.folder / "one-class")},
        )  # fmt: skip


def test_a_part_that_empties_makes_psi_depend_on_the_rows() -> None:
    ordered = np.linspace(0, 1, 100_001)
    few, many = (shift_distances(ordered, 0.15, size)["psi"] for size in (100, 10_000))
    rng = np.random.default_rng(0)
    for size, wanted in ((100, few), (10_000, many)):
        own = rng.random(size)
        bins = np.linspace(0, 1, 11)[1:-1]
        shares = [
            (np.bincount(np.digitize(x, bins), minlength=10) + 0.5) / (size + 5)
            for x in (own, own + 0.15)
        ]
        psi = np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))
        assert psi == pytest.approx(wanted, rel=0.35)
    assert many > 1.5 * few


def test_a_share_may_get_a_date(maker: Maker) -> None:
    generated, rows = maker(
        {"drift": {"column": "day", "share": 0.3, "to": "2020-01-01"}},
        dataset={"delta": str(maker.folder / "claims")}, label="label",
    )  # fmt: skip
    moved = (rows["day"].astype(str) == "2020-01-01").mean()
    assert moved == pytest.approx(0.3, abs=0.01)
    assert finds(generated)["total_variation"] == pytest.approx(0.3)
