"""`shift`: images whose object is not in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS, uniform_numbers
from engine.kinds.perturbations.pixels import ImagePerturbation, Images
from engine.states import Ints


class Shift(ImagePerturbation):
    """Moved by 2, 4, 6, 8 or 10 % of the height and of the width, at least one pixel.

    Up or down and left or right, as the row's key has it; the edge that comes in is the last pixel.
    """

    key = "shift"
    description = "Images moved along both sides."
    levels: ClassVar[Mapping[int, float]] = {1: 0.02, 2: 0.04, 3: 0.06, 4: 0.08, 5: 0.1}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        moved = images
        for axis in (1, 2):
            size = images.shape[axis]
            step = max(round(level * size), 1)
            forwards = uniform_numbers(rows, self.key, str(axis)) < 0.5
            parts = [
                moved.take(np.clip(np.arange(size) - sign * step, 0, size - 1), axis=axis)
                for sign in (1, -1)
            ]
            moved = np.where(forwards[:, None, None, None], *parts)
        return np.asarray(moved, np.float64)


PERTURBATIONS.add("shift", Shift())
