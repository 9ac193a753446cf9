"""Whole numbers in the order of floating-point ones, and pairs of them as a single code.

The key of a number is its 64 bits, turned so that keys ascend as the numbers do. The code of a pair
has the bits of both keys in turn, 128 in all, as two halves of 64. Without its last l bits it tells
which cell of a grid the pair lies in: the target's key lacks its last ceil(l/2) bits there and the
prediction's its last floor(l/2). Such grids are nested, monotone in both numbers, and no part of
the data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.states.base import Floats, Ints

UInts = NDArray[np.uint64]

# What is nearer to 0 is 0: so a cell of 0 that lacks at most `ZERO_BITS` bits has nothing else.
NEAREST_TO_ZERO = 2.0**-1000
ZERO_BITS = 56
ZERO_KEY = np.uint64(1 << 63)

HALF = 64
LEVELS = 2 * HALF

# The bits of a code that are the target's.
TARGETS = np.uint64(0x5555555555555555)
_U32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_SPREADS = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)


def keys_of(numbers: Floats) -> UInts:
    """The key of each number: equal for equal ones, in their order."""
    # + 0.0 makes one zero of -0.0 and 0.0.
    flat = np.where(np.abs(numbers) < NEAREST_TO_ZERO, 0.0, numbers) + 0.0
    bits = np.ascontiguousarray(flat, np.float64).view(np.uint64)
    return np.where(bits >> np.uint64(63) == 1, ~bits, bits | ZERO_KEY)


def interleave(first: UInts, second: UInts) -> tuple[UInts, UInts]:
    """The codes of pairs of keys: their high and their low halves."""
    high = _spread(first >> _U32) | (_spread(second >> _U32) << np.uint64(1))
    low = _spread(first & _LOW) | (_spread(second & _LOW) << np.uint64(1))
    return high, low


def split_pairs(high: UInts, low: UInts) -> tuple[UInts, UInts]:
    """The pairs of keys that `interleave` made codes of."""
    first = (_gather(high) << _U32) | _gather(low)
    second = (_gather(high >> np.uint64(1)) << _U32) | _gather(low >> np.uint64(1))
    return first, second


def _spread(numbers: UInts) -> UInts:
    """The low 32 bits of numbers, at the places 0, 2, 4, ..."""
    for shift, mask in _SPREADS:
        numbers = (numbers | (numbers << np.uint64(shift))) & np.uint64(mask)
    return numbers


def _gather(numbers: UInts) -> UInts:
    """The bits at the places 0, 2, 4, ..., one beside the other."""
    numbers = numbers & np.uint64(_SPREADS[-1][1])
    masks = [mask for _, mask in _SPREADS[-2::-1]] + [int(_LOW)]
    for (shift, _), mask in zip(_SPREADS[::-1], masks, strict=True):
        numbers = (numbers | (numbers >> np.uint64(shift))) & np.uint64(mask)
    return numbers


def order_of_codes(high: UInts, low: UInts) -> Ints:
    """The order in which codes ascend.

    Few codes share a high half with others that are not the same: only these are sorted by the low
    half as well.
    """
    order = np.argsort(high)
    ordered, lows = high[order], low[order]
    same = ordered[1:] == ordered[:-1]
    if (same & (lows[1:] < lows[:-1])).any():
        number = np.cumsum(np.append(True, ~same)) - 1
        first, several = np.append(True, ~same), np.append(same, False)
        at = np.flatnonzero(several | ~first)
        order[at] = order[at[np.lexsort((lows[at], number[at]))]]
    return order


def drop_bits(high: UInts, low: UInts, levels: Ints) -> tuple[UInts, UInts]:
    """Codes with as many of their last bits 0 as `levels` says, each below 128."""
    of_low = np.minimum(levels, HALF - 1).astype(np.uint64)
    of_high = np.maximum(levels - HALF, 0).astype(np.uint64)
    low = np.where(levels >= HALF, np.uint64(0), (low >> of_low) << of_low)
    return (high >> of_high) << of_high, low


def first_differences(high: UInts, low: UInts) -> Ints:
    """The highest bit in which each code differs from the one before; -1 where none does."""
    of_high, of_low = high[1:] ^ high[:-1], low[1:] ^ low[:-1]
    return np.where(of_high > 0, HALF + _highest_bit(of_high), _highest_bit(of_low))


def _highest_bit(numbers: UInts) -> Ints:
    """The place of the highest bit of each number, -1 of 0."""
    # Half of the bits are a number of double precision without a loss.
    high, low = (numbers >> _U32).astype(np.float64), (numbers & _LOW).astype(np.float64)
    places = np.where(high > 0, 31 + np.frexp(high)[1], np.frexp(low)[1] - 1)
    return np.asarray(places, np.int64)
