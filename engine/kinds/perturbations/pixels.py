"""What perturbations of images have in common: arrays of pixels of a known shape and range.

Strengths are those of ImageNet-C (Hendrycks and Dietterich 2019) where it has the perturbation, for
pixels from 0 to 1; lengths are scaled from its 224 pixels to the shorter side.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from engine.core.vocabulary import ModelVersion, TensorSpec
from engine.fields.file_model import FileModel
from engine.fields.values import Number, Text, expected
from engine.kinds.perturbations.base import (
    Perturbation,
    change_column,
    type_misfits,
)
from engine.kinds.setting import Setting
from engine.states import Ints

# Numbers of images, [row, height, width, channel].
Images = NDArray[np.float64]

SIDE = 224
_ARRAYS = "array<(tinyint|smallint|int|bigint|float|double)>"
_STEP = np.uint64(0x9E3779B97F4A7C15)


def _check_ends(ends: list[float]) -> list[float]:
    if ends[0] >= ends[1]:
        raise expected("a lower and an upper end")
    return ends


Size = Annotated[int, Field(strict=True, ge=1, le=16384)]


class ImageFile(FileModel):
    """A column of arrays of pixels, row by row of the image, the channels of a pixel together."""

    column: Text = Field(description="The column, of arrays of numbers.")
    shape: Annotated[list[Size], Field(min_length=2, max_length=3)] = Field(
        description="Height, width and, of several, channels: what an array alone does not tell."
    )
    range: Annotated[
        list[Number], Field(min_length=2, max_length=2), AfterValidator(_check_ends)
    ] = Field([0.0, 1.0], description="What black and white are; default: 0 and 1.")


class ImagePerturbation(Perturbation):
    """A change of images, within the range of their pixels and of the type that they have.

    Attributes:
        levels: its strength by severity.
    """

    field = ImageFile
    levels: ClassVar[Mapping[int, float]]

    @abstractmethod
    def change(self, images: Images, rows: Ints, level: float) -> Images:
        """Images of pixels from 0 to 1, changed; what leaves that range is clipped."""

    def columns(self, asked: Mapping[str, Any]) -> Sequence[str]:
        return [asked["column"]]

    def parameters(
        self, asked: Mapping[str, Any], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {**asked, "level": self.levels[severity]}

    def misfits(self, asked: Mapping[str, Any], setting: Setting) -> Iterator[str]:
        name, shape = asked["column"], asked["shape"]
        yield from type_misfits(self.key, [name], setting, _ARRAYS, "a column of arrays of numbers")
        for model in setting.models:
            size = _size_in_signature(model, name)
            if size is not None and size != prod(shape):
                yield (
                    f"the signature of {model.name!r} has {size} numbers in {name!r}, and the "
                    f"shape {list(shape)} has {prod(shape)}"
                )

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        change = partial(self._change_column, rows=rows, parameters=parameters)
        return change_column(batch, parameters["column"], change)

    def _change_column(
        self, column: pa.Array, *, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.Array:
        size = prod(parameters["shape"])
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        numbers = column.flatten().to_numpy(zero_copy_only=False)
        lengths = np.asarray(column.value_lengths().drop_null())
        if (lengths != size).any():
            raise ValueError(f"an image has another number of pixels than {size}")
        low, high = parameters["range"]
        height, width, *channels = parameters["shape"]
        shape = (len(lengths), height, width, *(channels or [1]))
        images = (numbers.astype(np.float64) - low).reshape(shape) / (high - low)
        changed = np.clip(self.change(images, rows[valid], parameters["level"]), 0.0, 1.0)
        changed = low + changed.ravel() * (high - low)
        if np.issubdtype(numbers.dtype, np.integer):
            changed = np.rint(changed)
        offsets = np.r_[0, np.cumsum(np.where(valid, size, 0))]
        large = pa.types.is_large_list(column.type)
        make, kind = (pa.LargeListArray, np.int64) if large else (pa.ListArray, np.int32)
        return make.from_arrays(
            pa.array(offsets.astype(kind)),
            pa.array(changed.astype(numbers.dtype), column.type.value_type),
            type=column.type,
            mask=None if valid.all() else pa.array(~valid),
        )


def _size_in_signature(model: ModelVersion, name: str) -> int | None:
    """How many numbers a model's signature has in a column; None where it does not say."""
    specs = [spec for spec in model.inputs if isinstance(spec, TensorSpec)]
    of_column = [spec for spec in specs if spec.name == name]
    if tuple(model.features) == (name,) and len(specs) == 1:
        of_column = specs
    sizes = [prod(spec.shape) for spec in of_column if spec.shape and min(spec.shape) > 0]
    return sizes[0] if sizes else None


def hash_by_pixel(rows: Ints, count: int) -> Ints:
    """A hash for each of `count` numbers of each row: [row, count]."""
    with np.errstate(over="ignore"):
        places = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _STEP
        return (rows.astype(np.uint64)[:, None] + places).astype(np.int64)


def scale_length(length: float, images: Images) -> float:
    """A length in pixels of an image of 224, in those of images of another size."""
    return float(length * min(images.shape[1:3]) / SIDE)
