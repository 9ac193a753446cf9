"""`contrast`: images with little contrast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.pixels import ImagePerturbation, Images
from engine.states import Ints


class Contrast(ImagePerturbation):
    """The distances to the mean of each channel times .4, .3, .2, .1 or .05."""

    key = "contrast"
    description = "Images with little contrast."
    levels: ClassVar[Mapping[int, float]] = {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.1, 5: 0.05}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        mean = images.mean(axis=(1, 2), keepdims=True)
        return np.asarray(mean + level * (images - mean))


PERTURBATIONS.add("contrast", Contrast())
