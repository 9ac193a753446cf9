"""`blur`: images out of focus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.pixels import ImagePerturbation, Images, scale_length
from engine.states import Floats, Ints

# By the level, of images of 32 pixels.
LEAST = {1.0: 0.4, 2.0: 0.6, 3.0: 0.7, 4.0: 0.8, 6.0: 1.0}


class Blur(ImagePerturbation):
    """A Gaussian blur whose sigma is 1, 2, 3, 4 or 6 pixels of an image of 224.

    Of small images it is at least that of CIFAR-10-C (32 pixels): .4, .6, .7, .8 or 1.
    """

    key = "blur"
    description = "A Gaussian blur of images."
    levels: ClassVar[Mapping[int, float]] = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 6.0}

    def change(self, images: Images, rows: Ints, level: float) -> Images:
        sigma = max(scale_length(level, images), LEAST[level])
        for axis in (1, 2):
            images = smooth(images, sigma, axis)
        return images


def smooth(images: Images, sigma: float, axis: int) -> Images:
    """Weighted means along an axis, up to four sigmas off; beyond the edge lies its last pixel."""
    radius = int(4.0 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights: Floats = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    places = np.arange(images.shape[axis])
    total = np.zeros_like(images)
    for offset, weight in zip(offsets.tolist(), weights.tolist(), strict=True):
        at = np.clip(places + offset, 0, len(places) - 1)
        total += weight * images.take(at, axis=axis)
    return total


PERTURBATIONS.add("blur", Blur())
