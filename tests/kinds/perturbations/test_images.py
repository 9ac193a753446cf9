"""Perturbations of images, by scipy's road where it has one; alike in any batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage, stats

from engine.core.vocabulary import NO_MODEL, Columns, TaskKind, TensorSpec
from engine.kinds import Setting
from engine.kinds.perturbations import PERTURBATIONS, perturb
from engine.kinds.perturbations.blur import LEAST
from engine.kinds.perturbations.pixels import ImageFile
from engine.metrics import Problem

KEYS = ("gaussian_noise", "blur", "brightness", "contrast", "shift", "rotation", "occlusion")
SHAPE = (12, 10, 3)


def hashes(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, rows)


def images_of(rows: int = 30, shape: tuple[int, ...] = SHAPE, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, *shape))


def change(
    key: str, severity: int, images: np.ndarray, rows: np.ndarray, **more: Any
) -> np.ndarray:
    """Images behind a perturbation, in the type and the range that they have."""
    kind = pa.list_(pa.from_numpy_dtype(images.dtype))
    column = pa.array([image.ravel() for image in images], kind)
    asked = {"column": "image", "shape": list(images.shape[1:]), "range": [0.0, 1.0], **more}
    batch = pa.record_batch({"image": column, "other": pa.array(np.arange(len(images)))})
    variant = PERTURBATIONS.get(key).variant(asked, severity, {})
    assert variant.name == f"{key}(image)@{severity}"
    changed = perturb(batch, rows, variant)
    assert changed.schema.types == batch.schema.types
    return np.array(changed.column(0).to_pylist()).reshape(images.shape)


@pytest.mark.parametrize("key", KEYS)
def test_an_image_is_changed_alike_in_any_batch(key: str) -> None:
    images, rows = images_of(), hashes(30)
    whole = change(key, 3, images, rows)
    assert (whole != images).any(axis=(1, 2, 3)).all()
    assert whole.min() >= 0.0 and whole.max() <= 1.0
    for part in (slice(0, 1), slice(1, 30), slice(None, None, -1)):
        assert np.array_equal(change(key, 3, images[part], rows[part]), whole[part])


@pytest.mark.parametrize("key", KEYS)
def test_bytes_stay_bytes_and_null_stays_null(key: str) -> None:
    images = (images_of() * 255).astype(np.int16)
    rows = hashes(30)
    changed = change(key, 5, images, rows, range=[0, 255])
    assert changed.min() >= 0 and changed.max() <= 255
    column = pa.array([None, images[0].ravel(), None], pa.list_(pa.int16()))
    batch = pa.record_batch({"image": column})
    asked = {"column": "image", "shape": list(SHAPE), "range": [0, 255]}
    variant = PERTURBATIONS.get(key).variant(asked, 5, {})
    behind = perturb(batch, rows[[1, 0, 2]], variant).column(0)
    assert behind.is_valid().to_pylist() == [False, True, False]
    assert np.array_equal(behind[1].as_py(), changed[0].ravel())


@pytest.mark.parametrize("key", KEYS)
def test_a_stronger_severity_changes_more(key: str) -> None:
    smooth = ndimage.gaussian_filter(images_of(40, (24, 24)), (0, 2, 2))
    images = 0.5 + (smooth - smooth.mean()) * 2
    images = np.clip(images, 0.05, 0.95)
    sizes = [
        np.abs(change(key, severity, images, hashes(40)) - images).mean()
        for severity in range(1, 6)
    ]
    assert sizes == sorted(sizes) and sizes[-1] > 1.5 * sizes[0]


def test_noise_of_each_pixel_is_normal_and_its_own() -> None:
    images = np.full((200, 12, 10), 0.5)
    noise = change("gaussian_noise", 1, images, hashes(200)) - 0.5
    assert stats.kstest(noise.ravel() / 0.08, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("shape", [(12, 10, 3), (300, 260)])
def test_blur_is_that_of_scipy(shape: tuple[int, ...]) -> None:
    images = images_of(2, shape)
    for severity, level in enumerate((1.0, 2.0, 3.0, 4.0, 6.0), 1):
        sigma = max(level * min(shape[:2]) / 224, LEAST[level])
        each_side = (0, sigma, sigma) + (0,) * (len(shape) - 2)
        expected = ndimage.gaussian_filter(images, each_side, mode="nearest")
        changed = change("blur", severity, images, hashes(2))
        np.testing.assert_allclose(changed, expected, atol=1e-9)


def test_rotation_is_that_of_scipy_to_either_side() -> None:
    images, rows = images_of(24), hashes(24)
    changed = change("rotation", 4, images, rows)
    sides = set()
    for image, turned in zip(images, changed, strict=True):
        gaps = [
            np.abs(
                turned
                - ndimage.rotate(image, angle, axes=(0, 1), reshape=False, order=1, mode="nearest")
            ).max()
            for angle in (20, -20)
        ]
        assert min(gaps) < 1e-9
        sides.add(int(np.argmin(gaps)))
    assert sides == {0, 1}


def test_shift_is_that_of_scipy_to_one_of_four_corners() -> None:
    images, rows = images_of(40, (20, 30)), hashes(40)
    corners = set()
    for image, moved in zip(images, change("shift", 5, images, rows), strict=True):
        steps = [(y, x) for y in (2, -2) for x in (3, -3)]
        same = [
            np.allclose(moved, ndimage.shift(image, step, order=0, mode="nearest"))
            for step in steps
        ]
        assert sum(same) == 1
        corners.add(steps[same.index(True)])
    assert len(corners) == 4


def test_contrast_and_brightness_are_as_they_are_defined() -> None:
    images = images_of(5)
    changed = change("contrast", 2, images, hashes(5))
    mean = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(changed - mean, 0.3 * (images - mean), atol=1e-12)
    bright = change("brightness", 3, images, hashes(5))
    value = images.max(axis=-1)
    np.testing.assert_allclose(bright.max(axis=-1), np.minimum(value + 0.3, 1.0))
    np.testing.assert_allclose(bright / bright.max(-1, keepdims=True), images / value[..., None])
    assert (change("brightness", 1, np.zeros((1, 4, 4, 3)), hashes(1)) == 0.1).all()


def test_a_square_is_hidden_wholly_within_the_image() -> None:
    images = np.zeros((60, 20, 30))
    hidden = change("occlusion", 3, images, hashes(60)) == 0.5
    assert (hidden.sum(axis=(1, 2)) == 36).all()
    assert ((hidden.any(axis=2).sum(axis=1) == 6) & (hidden.any(axis=1).sum(axis=1) == 6)).all()
    assert len({image.tobytes() for image in hidden}) > 40


def setting_of(*specs: TensorSpec) -> Setting:
    model = replace(NO_MODEL, name="net", features=("image",), inputs=specs)
    types = {"image": "array<float>", "x": "double", "nested": "array<array<float>>"}
    return Setting(Problem(TaskKind.BINARY), (model,), None, Columns("label"), types)


def test_images_of_another_shape_or_type_are_refused() -> None:
    blur = PERTURBATIONS.get("blur")
    asked = {"column": "image", "shape": [4, 5], "range": [0.0, 1.0]}
    fitting = [
        TensorSpec(None, "float32", (4, 5)),
        TensorSpec("image", "float32", (20,)),
        TensorSpec(None, "float32", (-1, 5)),
    ]
    for specs in ((), *((spec,) for spec in fitting)):
        assert list(blur.misfits(asked, setting_of(*specs))) == []
    (found,) = blur.misfits(asked, setting_of(TensorSpec(None, "float32", (28, 28, 1))))
    assert found == (
        "the signature of 'net' has 784 numbers in 'image', and the shape [4, 5] has 20"
    )
    for name in ("x", "nested"):
        (found,) = blur.misfits({**asked, "column": name}, setting_of())
        assert found.startswith(f"blur wants a column of arrays of numbers, found '{name}' of the")


@pytest.mark.parametrize(
    "asked",
    [
        {"column": "image"},
        {"column": "image", "shape": [28]},
        {"column": "image", "shape": [28, 0]},
        {"column": "image", "shape": [28, 28], "range": [1, 0]},
        "image",
    ],
)
def test_an_image_whose_shape_is_not_known_is_refused(asked: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ImageFile).validate_python(asked)


def test_an_array_of_another_length_costs_its_own_cells() -> None:
    with pytest.raises(ValueError, match="another number of pixels than 360"):
        change("blur", 1, images_of(2, (4, 4)), hashes(2), shape=list(SHAPE))
