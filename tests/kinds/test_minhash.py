"""MinHash by hand: the buckets of each set in plain Python, and how often sets meet in one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.kinds.leakage import minhash
from engine.kinds.leakage.minhash import BANDS, ROWS, least_bits, recall, sketch_sets

WORD = 2**64


def sets_of(*sets: list[int]) -> pa.Array:
    return pa.array(sets, pa.list_(pa.int64()))


def buckets_of(sets: pa.Array) -> np.ndarray:
    return np.asarray(sketch_sets(sets).field("buckets").values).reshape(-1, BANDS)


def bits_of(sets: pa.Array) -> np.ndarray:
    return np.asarray(sketch_sets(sets).field("bits")).view(np.uint64)


def meet(shared: int, alone: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether pairs meet in a bucket that share tokens and have others each; the bits in common."""
    rng = np.random.default_rng([shared, alone])
    drawn = rng.integers(-(2**63), 2**63 - 1, (times, shared + 2 * alone))
    ours = sets_of(*drawn[:, : shared + alone].tolist())
    theirs = sets_of(*np.delete(drawn, range(shared, shared + alone), axis=1).tolist())
    together = (buckets_of(ours) == buckets_of(theirs)).any(axis=1)
    return together, 64 - np.bitwise_count(bits_of(ours) ^ bits_of(theirs)).astype(int)


@pytest.mark.parametrize(
    ("shared", "alone", "similarity", "known"),
    [(6, 7, 0.3, 0.0475), (10, 5, 0.5, 0.4700), (14, 3, 0.7, 0.9748), (8, 1, 0.8, 0.9996)],
)
def test_sets_meet_as_often_as_it_says(
    shared: int, alone: int, similarity: float, known: float
) -> None:
    assert shared / (shared + 2 * alone) == pytest.approx(similarity)
    assert recall(similarity) == pytest.approx(known, abs=1e-4)
    together, bits = meet(shared, alone, 6000)
    error = np.sqrt(known * (1 - known) / 6000)
    assert together.mean() == pytest.approx(known, abs=4 * error)
    assert bits.mean() / 64 == pytest.approx((1 + similarity) / 2, abs=0.005)
    assert (bits < least_bits(similarity)).mean() < 1e-3


def test_the_smallest_values_are_those_of_the_set() -> None:
    """Against whole numbers of Python: each function's smallest value over the set."""
    rng = np.random.default_rng(0)
    one = rng.integers(-(2**63), 2**63 - 1, 40).tolist()
    least = [
        min(token % WORD * int(times) % WORD for token in one) for times in minhash._MULTIPLIERS
    ]
    expected = []
    for band in range(BANDS):
        bucket = mixed((band + 1) * 0x9E3779B97F4A7C15 % WORD)
        for value in least[band * ROWS : (band + 1) * ROWS]:
            bucket = mixed(bucket ^ value)
        expected.append(bucket)
    assert buckets_of(sets_of(one)).view(np.uint64).tolist() == [expected]
    bits = sum((value >> 21 & 1) << place for place, value in enumerate(least[:64]))
    assert bits_of(sets_of(one)).tolist() == [bits]
    assert len(set(map(int, minhash._MULTIPLIERS))) == BANDS * ROWS


def mixed(word: int) -> int:
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


def test_a_set_has_neither_order_nor_neighbours() -> None:
    """Sets of any size, an empty one and one larger than a part among them, in any batches."""
    rng = np.random.default_rng(1)
    sizes = [0, 1, 30, 0, 0, 70_000, 2, 5, 0]
    every = [rng.integers(-(2**63), 2**63 - 1, size).tolist() for size in sizes]
    whole = sets_of(*every)
    expected = sketch_sets(whole)
    alone = [sketch_sets(sets_of(one)) for one in every]
    assert pa.concat_arrays(alone).equals(expected)
    assert sketch_sets(whole.slice(3, 4)).equals(expected.slice(3, 4))
    again = sets_of(*[[*reversed(one), *one[:3]] for one in every])
    assert sketch_sets(again).equals(expected)
    assert len(sketch_sets(whole[:0])) == 0
    # Sets without tokens are all the same, and no others are like them.
    buckets = buckets_of(whole)
    assert (buckets[0] == buckets[-1]).all() and not (buckets[0] == buckets[1]).any()
