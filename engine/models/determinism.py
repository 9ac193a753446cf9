"""Tells which models are not deterministic, and asks no other model twice for any row.

A model that draws random numbers while it predicts leaves a trace: in the state of a generator
that the process shares or the model holds, in entropy that is asked of the system, or in the rows
with which the last chunk of a network is filled up. Only such a model is asked again, for a few
rows. Drawing alone is no fault: who starts from the same seed each time gives the same answers.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.models.outputs import Prediction

# So many rows are predicted a second time.
AGAIN_ROWS = 16
# Figures of a row may depend on the rows beside it in the last digits, of float32 above all.
TOLERANCE = 1e-4

_MOST_OBJECTS = 10_000
_ENTROPY = "_urandom"


@dataclass(slots=True)
class _Counted:
    """Counts the calls of a function."""

    function: Callable[[int], bytes]
    calls: int = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return self.function(size)


def count_entropy() -> None:
    """Counts from now on how often this process asks the system for entropy.

    `secrets`, `random.SystemRandom` and the seeds of numpy's generators take it from here.
    """
    source = getattr(random, _ENTROPY, None)
    if source is not None and not isinstance(source, _Counted):
        setattr(random, _ENTROPY, _Counted(source))


class Filling:
    """Counts rows that a chunk was filled up with, and that were answered otherwise than alike."""

    differed = 0


def compare_copies(output: np.ndarray, rows: int) -> None:
    """Looks at the outputs of the copies of the first row, which stand behind `rows` outputs."""
    copies = output[rows:]
    if len(copies) and not _close(copies, np.broadcast_to(output[:1], copies.shape)):
        Filling.differed += 1


def generators_in(native: Any) -> list[Any]:
    """The generators of random numbers that a model holds."""
    return [item for item in _inside(native) if isinstance(item, _GENERATORS)]


_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)


def _inside(native: Any) -> Iterator[Any]:
    """A model's objects, the nearest first; of a very large one not all."""
    seen: dict[int, Any] = {}
    queue = [native]
    while queue and len(seen) < _MOST_OBJECTS:
        following = []
        for item in queue:
            if id(item) in seen or isinstance(item, _PLAIN):
                continue
            seen[id(item)] = item
            yield item
            following += _parts(item)
        queue = following


_PLAIN = (str, bytes, int, float, complex, type(None), type, np.ndarray)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return list(getattr(value, "__dict__", {}).values())


def trace(generators: list[Any]) -> tuple[Any, ...]:
    """What changes when random numbers are drawn, with these generators or those of the process."""
    torch = sys.modules.get("torch")
    entropy = getattr(random, _ENTROPY, None)
    return (
        random.getstate(),
        _comparable_state(np.random.get_state(legacy=False)),
        torch.get_rng_state().numpy().tobytes() if torch is not None else None,
        entropy.calls if isinstance(entropy, _Counted) else 0,
        Filling.differed,
        *map(_state, generators),
    )


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return _comparable_state(generator.bit_generator.state)
    return _comparable_state(generator.get_state(legacy=False))


def _comparable_state(state: Any) -> Any:
    """A generator's state in a form that can be compared."""
    if isinstance(state, dict):
        return tuple((key, _comparable_state(value)) for key, value in state.items())
    return state.tobytes() if isinstance(state, np.ndarray) else state


def count_differences(first: Prediction, again: Prediction) -> int:
    """How many of the rows of the second prediction the first one has otherwise."""
    count = 0
    for one, other in ((first.scores, again.scores), (first.labels, again.labels)):
        if one is not None and other is not None:
            same = _near(one[: len(other)], other).reshape(len(other), -1).all(axis=1)
            count = max(count, int((~same).sum()))
    return count


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(_near(one, other).all())


def _near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind not in "fc":
        return np.asarray(one == other)
    return np.asarray(np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
