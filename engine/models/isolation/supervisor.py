"""Gives the kernel its models: watched in this process, or in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import ModelVersion
from engine.models import determinism
from engine.models.isolation.child_process import Child
from engine.models.isolation.limits import (
    LOADING_SECONDS,
    Guard,
    Limits,
    Load,
    ModelStopped,
    Notes,
    Predicts,
    die_first,
    memory_limit,
)
from engine.models.isolation.output import Quiet
from engine.models.outputs import Prediction


class Watch:
    """Watches the models of the scan of one partition, and lets nothing of what is printed out."""

    def __init__(self, limits: Limits, guard: Guard, partition: int = 0) -> None:
        self.limits, self.guard, self.partition = limits, guard, partition
        self._children: dict[int, Child] = {}
        self._notes: Notes | None = None
        self._late: dict[int, str] = {}
        # By the number of a model that drew random numbers, what came of asking it again.
        self.doubts: dict[int, str] = {}
        self._generators: dict[int, list[Any]] = {}
        self._quiet: Quiet | None = None
        if guard.notes:
            die_first()
            determinism.count_entropy()
            self._quiet = Quiet()
            self._notes = Notes(guard.notes)
            self._late = self._notes.timeouts()

    def place(self, batch: int) -> str:
        """The words for a batch, counted from 1."""
        return f"batch {batch} of partition {self.partition}"

    def loader(self, load: Load, number: int, batch: int) -> Load:
        """How the model of this number is loaded to predict a batch."""
        if self._notes is None:
            return load
        notes, place = self._notes, self.place(batch)

        def give(model: ModelVersion) -> Predicts:
            apart = number in self.guard.apart
            why = self._late.get(number) or (notes.stop_reason(number) if apart else None)
            if why is not None:
                raise ModelStopped(why)
            if apart:
                return _Apart(self, notes, (number, place), model)
            here = _Here(self, notes, (number, place))
            with here.watch_call(self.limits.seconds + LOADING_SECONDS):
                here.models.append(load(model))
            return here

        return give

    def generators(self, predictor: Predicts) -> list[Any]:
        """The generators of random numbers that a model holds, which are looked for once."""
        native = getattr(predictor, "native", None)
        if id(native) not in self._generators:
            self._generators[id(native)] = determinism.generators_in(native)
        return self._generators[id(native)]

    def child(self, number: int, model: ModelVersion) -> Child:
        """The process of a model."""
        if number not in self._children:
            self._children[number] = Child(model, self.limits)
        return self._children[number]

    def end(self, number: int) -> None:
        """Ends the process of a model."""
        self._children.pop(number).close()

    def close(self) -> None:
        """Ends what was started."""
        for number in list(self._children):
            self.end(number)
        if self._notes is not None:
            self._notes.close()
        if self._quiet is not None:
            self._quiet.close()
            self._quiet = None


@dataclass(frozen=True, slots=True)
class _Here:
    """A model that predicts in this process, within its limits; `at` are its number and place."""

    watch: Watch
    notes: Notes
    at: tuple[int, str]
    models: list[Predicts] = field(default_factory=list)

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        with self.watch_call(self.watch.limits.seconds):
            generators = self.watch.generators(self.models[0])
            before = determinism.trace(generators)
            prediction = self.models[0].predict(batch)
            if self.at[0] not in self.watch.doubts and determinism.trace(generators) != before:
                self._ask_again(batch, prediction)
            return prediction

    def _ask_again(self, batch: pa.RecordBatch, first_answer: Prediction) -> None:
        """Asks a model that drew random numbers for some rows again; notes what differs."""
        few = batch.slice(0, determinism.AGAIN_ROWS)
        count = determinism.count_differences(first_answer, self.models[0].predict(few))
        number, place = self.at
        self.watch.doubts[number] = (
            f"asked again for {few.num_rows} rows, it answered otherwise for {count} of them, on "
            f"{place}"
            if count
            else ""
        )

    @contextmanager
    def watch_call(self, seconds: float) -> Iterator[None]:
        """Watches one call of the model."""
        number, place = self.at
        try:
            with self.notes.at(number, place, seconds), memory_limit(self.watch.limits.memory):
                yield
        except ModelStopped as stopped:
            raise ModelStopped(f"{stopped}, on {place}") from None


@dataclass(frozen=True, slots=True)
class _Apart:
    """A model in a process of its own, of whose end the other workers are told."""

    watch: Watch
    notes: Notes
    at: tuple[int, str]
    model: ModelVersion

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        number, place = self.at
        try:
            return self.watch.child(number, self.model).predict(batch)
        except ModelStopped as stopped:
            why = f"{stopped}, on {place}"
            self.notes.stop(number, why)
            self.watch.end(number)
            raise ModelStopped(why) from None
