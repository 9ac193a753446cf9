"""`gaussian_noise`: noise on the pixels of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS, normal_numbers
from engine.kinds.perturbations.pixels import ImagePerturbation, Images, hash_by_pixel
from engine.states import Ints


class GaussianNoise(ImagePerturbation):
    """Gaussian noise on each pixel, of a standard deviation of .08, .12, .18, .26 or .38."""

    key = "gaussian_noise"
    description = "Gaussian noise on the pixels of images."
    levels: ClassVar[Mapping[int, float]] = {1: 0.08, 2: 0.12, 3: 0.18, 4: 0.26, 5: 0.38}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        hashes = hash_by_pixel(rows, int(np.prod(images.shape[1:])))
        noise = normal_numbers(hashes, self.key)
        return images + level * noise.reshape(images.shape)


PERTURBATIONS.add("gaussian_noise", GaussianNoise())
