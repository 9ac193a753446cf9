"""`brightness`: images that are too bright."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.pixels import ImagePerturbation, Images
from engine.states import Ints


class Brightness(ImagePerturbation):
    """The brightest channel of each pixel raised by .1, .2, .3, .4 or .5, as HSV's value is."""

    key = "brightness"
    description = "Images that are too bright."
    levels: ClassVar[Mapping[int, float]] = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        value = images.max(axis=-1, keepdims=True)
        raised = np.minimum(value + level, 1.0)
        # Hue and saturation stay; black has none, and turns grey.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(value > 0, images * (raised / value), raised))


PERTURBATIONS.add("brightness", Brightness())
