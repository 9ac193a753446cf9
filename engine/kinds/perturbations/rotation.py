"""`rotation`: images that are tilted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS, uniform_numbers
from engine.kinds.perturbations.pixels import ImagePerturbation, Images
from engine.states import Ints


class Rotation(ImagePerturbation):
    """Turned by 5, 10, 15, 20 or 30 degrees, to the side that the row's key says."""

    key = "rotation"
    description = "Images that are tilted."
    levels: ClassVar[Mapping[int, float]] = {1: 5.0, 2: 10.0, 3: 15.0, 4: 20.0, 5: 30.0}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        left = uniform_numbers(rows, self.key) < 0.5
        turned = np.empty_like(images)
        for side, angle in ((left, level), (~left, -level)):
            turned[side] = rotate(images[side], angle)
        return turned


def rotate(images: Images, degrees: float) -> Images:
    """Images turned about their middle, between four pixels; beyond the edge lies its last one."""
    height, width = images.shape[1:3]
    angle = np.deg2rad(degrees)
    down, right = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    y = np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2
    x = -np.sin(angle) * down + np.cos(angle) * right + (width - 1) / 2
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, start = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    bottom, end = np.minimum(top + 1, height - 1), np.minimum(start + 1, width - 1)
    part_y, part_x = (y - top)[..., None], (x - start)[..., None]
    above = images[:, top, start] * (1 - part_x) + images[:, top, end] * part_x
    below = images[:, bottom, start] * (1 - part_x) + images[:, bottom, end] * part_x
    return np.asarray(above * (1 - part_y) + below * part_y)


PERTURBATIONS.add("rotation", Rotation())
