"""`occlusion`: images of which something hides a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS, uniform_numbers
from engine.kinds.perturbations.pixels import ImagePerturbation, Images
from engine.states import Ints


class Occlusion(ImagePerturbation):
    """A grey square whose side is 10, 20, 30, 40 or 50 % of the shorter side of the image.

    Where it lies is drawn by the row's key, wholly within the image (Cutout, DeVries and Taylor
    2017, has squares of half the side).
    """

    key = "occlusion"
    description = "A grey square over a part of images."
    levels: ClassVar[Mapping[int, float]] = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        side = max(round(level * min(images.shape[1:3])), 1)
        inside = np.ones(images.shape[:3], bool)
        for axis in (1, 2):
            size = images.shape[axis]
            first = (uniform_numbers(rows, self.key, str(axis)) * (size - side + 1)).astype(int)
            away = np.arange(size) - first[:, None]
            within = (away >= 0) & (away < side)
            inside &= np.expand_dims(within, 3 - axis)
        return np.where(inside[..., None], 0.5, images)


PERTURBATIONS.add("occlusion", Occlusion())
