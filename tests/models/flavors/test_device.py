"""Which GPU a task uses. No test here runs on one: there is none where they were written."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.flavors.base import CHUNK_ROWS, GPU_CHUNK_ROWS, run_in_chunks
from engine.models.flavors.device import CPU, choose, task_gpu, task_number, torch_device


@pytest.mark.parametrize(
    ("visible", "addresses", "number", "chosen"),
    [
        (0, (), 3, None),
        (0, ("0",), 0, None),
        (1, (), 5, 0),
        (4, (), 5, 1),
        (4, ("2",), 0, 2),
        (4, ("2", "3"), 1, 2),
        # A container that shows one GPU, whatever the host calls it.
        (1, ("3",), 0, 0),
        (2, ("GPU-8f2a",), 1, 0),
    ],
)
def test_a_task_uses_its_own_gpu(
    visible: int, addresses: tuple[str, ...], number: int, chosen: int | None
) -> None:
    assert choose(visible, addresses, number) == chosen


def test_without_a_task_there_is_no_gpu_of_its_own() -> None:
    assert task_gpu() == ()
    assert task_number() == 0


@pytest.mark.frameworks
def test_without_a_gpu_torch_computes_on_the_cpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert torch_device(torch) == CPU


@pytest.mark.parametrize("size", [CHUNK_ROWS, GPU_CHUNK_ROWS])
@pytest.mark.parametrize("rows", [1, CHUNK_ROWS, GPU_CHUNK_ROWS + 1])
def test_every_call_has_the_size_of_the_device(size: int, rows: int) -> None:
    sizes = []

    def call(arrays: list[np.ndarray]) -> np.ndarray:
        sizes.append(len(arrays[0]))
        return 2 * arrays[0]

    values = np.arange(rows, dtype=float)
    np.testing.assert_array_equal(run_in_chunks(call, [values], size), 2 * values)
    assert set(sizes) == {size} and len(sizes) == -(-rows // size)
