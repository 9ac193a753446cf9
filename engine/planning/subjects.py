"""What tests are about: model versions, their variants, and the data themselves.

All have states under a number: the models theirs in the order of the suite, then the trivial
models, then the variants of each model, then the data.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.vocabulary import ModelVersion, Variant


@dataclass(frozen=True, slots=True)
class Subject:
    """A model version, one behind a variant, a trivial model, or without a model the data.

    `number` is its place among all. `reference` is the number of what it is compared with row by
    row: of a model the baseline, of a variant the same model as it is; None where there is nothing.
    `rival` is the number of the baseline behind the same variant. `members` are the numbers of
    those whose predictions are its own, row by row the worst: it predicts nothing itself.
    """

    number: int
    model: ModelVersion | None = None
    variant: Variant | None = None
    reference: int | None = None
    rival: int | None = None
    members: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of its model; "" of the data."""
        return "" if self.model is None else self.model.digest

    @property
    def is_clean(self) -> bool:
        """Whether it is a model as it is, of those that are evaluated."""
        return self.model is not None and self.variant is None and not self.is_trivial

    @property
    def is_trivial(self) -> bool:
        """Whether it is a trivial model, which others are held against: it has no cells."""
        return self.model is not None and self.model.is_trivial
