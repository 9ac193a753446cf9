"""Effects that are planted in rows, each with the figure that a right test must find.

A plant is a model of its keys. It changes rows by their numbers, so that a row has its effect on
any partitioning, and says what is to be found, in closed form or from the distribution that the
rows were drawn from: chance is not in it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from engine.data.generation.plants.columns import Broken
from engine.data.generation.plants.drift import Drift
from engine.data.generation.plants.duplicates import Duplicates
from engine.data.generation.plants.labels import Imbalance, LabelNoise
from engine.data.generation.plants.leaks import Leakage
from engine.data.generation.plants.plant import Answer, Draw, PlantBody
from engine.data.generation.plants.weak_slice import WeakSlice
from engine.data.generation.strict import Strict


class DriftPlant(Strict):
    drift: Drift


class WeakSlicePlant(Strict):
    weak_slice: WeakSlice


class LabelNoisePlant(Strict):
    label_noise: LabelNoise


class ImbalancePlant(Strict):
    imbalance: Imbalance


class LeakagePlant(Strict):
    leakage: Leakage


class BrokenPlant(Strict):
    broken: Broken


class DuplicatesPlant(Strict):
    duplicates: Duplicates


PLANTS: dict[str, type[PlantBody]] = {
    "drift": Drift,
    "weak_slice": WeakSlice,
    "label_noise": LabelNoise,
    "imbalance": Imbalance,
    "leakage": Leakage,
    "broken": Broken,
    "duplicates": Duplicates,
}


def _key_of(value: Any) -> str | None:
    """Which plant an item of the list is: its only key."""
    keys = list(value) if isinstance(value, dict) else list(type(value).model_fields)
    return str(keys[0]) if len(keys) == 1 and keys[0] in PLANTS else None


PlantField = Annotated[
    Annotated[DriftPlant, Tag("drift")]
    | Annotated[WeakSlicePlant, Tag("weak_slice")]
    | Annotated[LabelNoisePlant, Tag("label_noise")]
    | Annotated[ImbalancePlant, Tag("imbalance")]
    | Annotated[LeakagePlant, Tag("leakage")]
    | Annotated[BrokenPlant, Tag("broken")]
    | Annotated[DuplicatesPlant, Tag("duplicates")],
    Discriminator(_key_of),
]


def body_of(plant: Any) -> tuple[str, PlantBody]:
    """A plant's key, and what it says."""
    (key,) = type(plant).model_fields
    return key, getattr(plant, key)


__all__ = ["PLANTS", "Answer", "Draw", "PlantBody", "PlantField", "body_of"]
