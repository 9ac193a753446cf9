"""Populations: what is drawn is like the source, and the same however it is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from engine.data.generation.blocks import BLOCK, Block, blocks_of, chances
from engine.data.generation.fit import Settings, fit
from engine.data.generation.given import Range
from engine.data.generation.maker import Maker, check_met
from engine.data.generation.population import Population
from engine.errors import DataError
from tests.data.generation.mixed import frame_of, mixed_rows

SOURCE = mixed_rows()
SETTINGS = Settings(label="label", key="id")


@pytest.fixture(scope="module")
def population() -> Population:
    return fit(SOURCE, SETTINGS)


@pytest.fixture(scope="module")
def made(population: Population) -> pd.DataFrame:
    return frame_of(pa.Table.from_batches(Maker(population, 7, 30_000, {}).batches()))


def test_made_rows_have_the_source_columns_types_and_order(population: Population) -> None:
    drawn = Maker(population, 1, 10, {}).block(Block(0, 10))
    assert drawn.schema.equals(SOURCE.schema)
    assert drawn.column("id").to_pylist() == list(range(10))


def test_marginals_are_those_of_the_source(made: pd.DataFrame) -> None:
    source = frame_of(SOURCE)
    for name in ("amount", "height", "visits"):
        assert ks_2samp(source[name].dropna(), made[name].dropna()).statistic < 0.03, name
    for name in ("region", "vip", "label"):
        wanted = source[name].value_counts(normalize=True)
        assert (made[name].value_counts(normalize=True) - wanted).abs().max() < 0.02, name
    for name in ("amount", "region"):
        assert made[name].isna().mean() == pytest.approx(source[name].isna().mean(), abs=0.02)
    assert made["none"].isna().all() and set(made["same"]) == {"x"}


def test_columns_go_together_as_in_the_source(made: pd.DataFrame) -> None:
    source = frame_of(SOURCE)
    numbers = ["amount", "height", "visits", "vip", "label"]
    wanted, own = (frame[numbers].astype(float).corr("spearman") for frame in (source, made))
    assert (wanted - own).abs().to_numpy().max() < 0.04
    # Categories carry what they say, which their order in the alphabet would not.
    means = [frame.groupby("region")["height"].mean() for frame in (source, made)]
    assert (means[0] - means[1]).abs().max() < 0.12
    # Whether there is a value hangs together with others as well.
    late = [frame["height"].groupby(frame["amount"].isna()).mean() for frame in (source, made)]
    assert late[1][True] - late[1][False] == pytest.approx(late[0][True] - late[0][False], abs=0.12)


def test_values_are_written_as_in_the_source(made: pd.DataFrame) -> None:
    assert np.allclose(made["amount"].dropna() * 100, np.round(made["amount"].dropna() * 100))
    assert made["time"].dt.minute.eq(0).all()
    assert made["height"].dtype == np.float32 and made["visits"].dtype == np.int32


def test_a_shorter_draw_is_the_beginning_of_a_longer_one(population: Population) -> None:
    short, long = (
        pa.Table.from_batches(Maker(population, 3, rows, {}).batches()) for rows in (9000, 20_000)
    )
    assert long.slice(0, 9000).equals(short)


def test_blocks_are_the_same_in_any_order_and_others_by_another_seed(
    population: Population,
) -> None:
    maker = Maker(population, 3, 20_000, {})
    blocks = list(blocks_of(20_000))
    assert [block.rows for block in blocks] == [BLOCK, BLOCK, 20_000 - 2 * BLOCK]
    backwards = [maker.block(block) for block in reversed(blocks)]
    forwards = [maker.block(block) for block in blocks]
    assert pa.concat_tables(reversed(backwards)).equals(pa.concat_tables(forwards))
    other = Maker(population, 4, 20_000, {}).block(blocks[0])
    assert not other.drop_columns(["id"]).equals(forwards[0].drop_columns(["id"]))


def test_the_order_of_the_source_rows_decides_nothing_but_rounding() -> None:
    order = np.random.default_rng(0).permutation(SOURCE.num_rows)
    one, other = (
        frame_of(fit(table, SETTINGS).draw(5, Block(0, BLOCK)))
        for table in (SOURCE, SOURCE.take(pa.array(order)))
    )
    assert (one["region"].fillna("-") == other["region"].fillna("-")).mean() > 0.999
    assert np.allclose(one["height"], other["height"], atol=1e-5)


def test_rare_categories_and_extremes_are_not_made() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(size=996), [50.0, 60.0, -70.0, 80.0]])
    texts = ["common"] * 600 + ["other"] * 397 + ["Alice", "Bob", "Carol"]
    source = pa.table({"x": values, "who": texts})
    population = fit(source, Settings(least=5))
    drawn = frame_of(population.draw(1, Block(0, BLOCK)))
    assert drawn["x"].abs().max() < 5
    assert set(drawn["who"]) == {"common", "other"}
    assert any("'who': 3 values of fewer than 5 rows" in note for note in population.notes)


def test_a_group_of_few_rows_has_its_share_and_the_columns_of_all() -> None:
    rng = np.random.default_rng(2)
    source = pa.table({"x": rng.normal(size=1000), "g": ["a"] * 980 + ["b"] * 20})
    population = fit(source, Settings(by=("g",)))
    drawn = frame_of(population.draw(1, Block(0, BLOCK)))
    assert (drawn["g"] == "b").mean() == pytest.approx(0.02, abs=0.006)
    assert any("1 of 2 groups have fewer than 30 rows" in note for note in population.notes)


def test_a_label_of_many_values_is_a_column_like_others() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=2000)
    source = pa.table({"x": x, "y": 2 * x + rng.normal(size=2000)})
    population = fit(source, Settings(label="y"))
    assert len(population.groups) == 1
    drawn = frame_of(population.draw(1, Block(0, BLOCK)))
    assert drawn.corr().loc["x", "y"] == pytest.approx(2 / np.sqrt(5), abs=0.03)


def test_what_is_no_number_is_told() -> None:
    values = [1.0, 2.0, float("nan"), float("inf"), None, 3.0] * 20
    population = fit(pa.table({"x": values}), Settings())
    notes = " ".join(population.notes)
    assert "NaN of 20 rows" in notes and "infinities of 20 rows" in notes
    drawn = frame_of(population.draw(1, Block(0, BLOCK)))
    assert np.isfinite(drawn["x"].dropna()).all()


def test_columns_that_cannot_be_modelled_are_all_told() -> None:
    source = pa.table({"a": [[1]], "b": [b"x"], "c": [1]})
    with pytest.raises(DataError, match=r"'a' is list<.*'b' is binary; .*leave_out"):
        fit(source, Settings())
    names = pa.table({"name": [f"person {n}" for n in range(100)]})
    with pytest.raises(
        DataError, match=r"'name' cannot be modelled: it has 100 values in 100 rows"
    ):
        fit(names, Settings())
    with pytest.raises(DataError, match="no rows"):
        fit(SOURCE.slice(0, 0), Settings())
    with pytest.raises(DataError, match=r"make 300 groups"):
        fit(pa.table({"g": list(range(300)), "x": [1.0] * 300}), Settings(by=("g",)))


def test_conditions_are_met_by_all_rows_and_a_short_draw_stays_a_beginning(
    population: Population,
) -> None:
    given = {"region": ["north", "east"], "visits": Range(min=3), "vip": True}
    short, long = (
        pa.Table.from_batches(Maker(population, 3, rows, given).batches()) for rows in (900, 9000)
    )
    frame = frame_of(long)
    assert set(frame["region"]) <= {"north", "east"} and frame["visits"].min() >= 3
    assert frame["vip"].all() and len(frame) == 9000
    assert long.slice(0, 900).equals(short)
    # It is conditioning, not overwriting: what hangs together with it has moved.
    everyone = frame_of(population.draw(3, Block(0, BLOCK)))
    assert frame["height"].mean() > everyone["height"].mean() + 0.5


def test_conditions_that_no_row_meets_are_refused(population: Population) -> None:
    assert check_met(population, 1, {"vip": True}) == pytest.approx(0.17, abs=0.05)
    with pytest.raises(DataError, match=r"given: 0 of 131,072 rows meet visits >= 10000"):
        check_met(population, 1, {"visits": Range(min=10_000)})


def test_chances_are_uniform_and_of_a_row_alone() -> None:
    numbers = np.arange(100_000)
    drawn = chances(5, 1, numbers)
    assert ks_2samp(drawn, np.random.default_rng(0).random(100_000)).pvalue > 0.001
    np.testing.assert_array_equal(chances(5, 1, numbers[500:510]), drawn[500:510])
    for seed, stream in ((6, 1), (5, 2)):
        assert abs(np.corrcoef(chances(seed, stream, numbers), drawn)[0, 1]) < 0.02
