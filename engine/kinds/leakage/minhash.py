"""MinHash of sets: buckets in which sets that have much in common are likely to meet.

A set is a list of 64-bit hashes of its tokens. Each of 100 functions has a smallest value over the
set; two sets have the same one with the probability of their Jaccard similarity J (Broder 1997).
The values in 20 bands of 5, hashed, are the set's buckets: two sets meet in one with the
probability 1 - (1 - J^5)^20. One bit of each of 64 values tells about how similar two sets are: of
these bits (1 + J) / 2 are the same in the mean (Li and König 2010).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BANDS, ROWS = 20, 5
BITS = 64
SKETCH_DDL = "struct<bits: bigint, buckets: array<bigint>>"
# All that a sketch depends on but the tokens.
NAME = f"minhash {BANDS}x{ROWS} 1"

# So many tokens are looked at together: what is made of them stays in the processor's cache.
_TOKENS = 1 << 15
_BIT = np.uint64(21)
_NONE = np.uint64(2**64 - 1)

Words = NDArray[np.uint64]


def recall(similarity: float) -> float:
    """The probability that two sets of a Jaccard similarity meet in a bucket.

    >>> round(recall(0.8), 4)
    0.9996
    """
    return float(1 - (1 - similarity**ROWS) ** BANDS)


def least_bits(similarity: float) -> int:
    """How many bits two sets of a similarity have in common, but for a few in a million.

    Five standard deviations less than in the mean.
    """
    share = (1 + similarity) / 2
    return math.floor(BITS * share - 5 * math.sqrt(BITS * share * (1 - share)))


def sketch_sets(sets: pa.ListArray) -> pa.StructArray:
    """The bits and the buckets of each set, a list of hashes without nulls."""
    ends = np.asarray(sets.offsets).astype(np.int64)
    values = np.asarray(sets.values).view(np.uint64)
    buckets = np.empty((len(sets), BANDS), np.uint64)
    bits = np.zeros(len(sets), np.uint64)
    for low, high in _parts(ends):
        part, within = values[ends[low] : ends[high]], ends[low : high + 1] - ends[low]
        _sketch(part, within, bits[low:high], buckets[low:high])
    places = np.arange(0, BANDS * len(sets) + 1, BANDS, dtype=np.int32)
    listed = pa.ListArray.from_arrays(pa.array(places), pa.array(buckets.ravel().view(np.int64)))
    return pa.StructArray.from_arrays([pa.array(bits.view(np.int64)), listed], ["bits", "buckets"])


def _parts(ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The sets in parts of some tokens each, or of one set that has more."""
    low = 0
    while low < len(ends) - 1:
        high = int(np.searchsorted(ends, ends[low] + _TOKENS, "right")) - 1
        high = max(high, low + 1)
        yield low, high
        low = high


def _sketch(values: Words, ends: NDArray[np.int64], bits: Words, buckets: Words) -> None:
    """Writes the bits and the buckets of some sets."""
    filled = np.flatnonzero(np.diff(ends))
    starts = ends[filled]
    hashed, least = np.empty_like(values), np.full(len(bits), _NONE)
    for band in range(BANDS):
        into = np.full(len(bits), _mix(band + 1))
        for row in range(ROWS):
            place = band * ROWS + row
            if len(filled):
                np.multiply(values, _MULTIPLIERS[place], out=hashed)
                least[filled] = np.minimum.reduceat(hashed, starts)
            into = _mix_words(into ^ least)
            if place < BITS:
                bits |= ((least >> _BIT) & np.uint64(1)) << np.uint64(place)
        buckets[:, band] = into


def _mix_words(words: Any) -> Any:
    """A permutation of 64 bits in which each depends on all (Stafford's variant 13)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _mix(number: int) -> np.uint64:
    (word,) = _mix_words(np.array([number], np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.uint64(word)


# A hash of a hash: times an odd number, which is a permutation of 64 bits.
_MULTIPLIERS = [_mix(1000 + place) | np.uint64(1) for place in range(BANDS * ROWS)]
