"""The checks of a contract, and the probe that does one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.kinds.contract import comparisons, inputs
from engine.kinds.contract.comparisons import Check
from engine.kinds.questions import Predictor, Probe

ROWS = 100


@dataclass(frozen=True, slots=True)
class CheckRule:
    """A check: what it does, of what it counts breaches, and what no breach means, in words.

    Attributes:
        run: counts what breaks the contract.
        unit: what is counted.
        broken: what a breach is, behind the number of them.
        classes: whether it makes sense for models of classes only.
    """

    run: Check
    unit: str
    broken: str
    classes: bool = False


CHECKS: dict[str, CheckRule] = {
    "deterministic": CheckRule(
        comparisons.count_repeated, "row", "answered otherwise when asked again"
    ),
    "batch_equals_row": CheckRule(
        comparisons.count_alone, "row", "answered otherwise alone than in a batch"
    ),
    "order": CheckRule(
        comparisons.count_shuffled, "row", "answered otherwise when the rows stand in another order"
    ),
    "types": CheckRule(inputs.count_types, "input", "of another type than declared, or refused"),
    "nulls": CheckRule(partial(inputs.count_changes, "nulls"), "input", "neither answered nor "
                       "clearly refused"),
    "infinite": CheckRule(partial(inputs.count_changes, "infinite"), "input", "neither answered "
                          "nor clearly refused"),
    "extreme": CheckRule(partial(inputs.count_changes, "extreme"), "input", "neither answered nor "
                         "clearly refused"),
    "unseen": CheckRule(partial(inputs.count_changes, "unseen"), "input", "neither answered nor "
                        "clearly refused"),
    "empty": CheckRule(inputs.count_empty, "input", "neither answered nor clearly refused"),
    "probabilities": CheckRule(
        comparisons.count_improbable, "row", "with numbers that are no probabilities", True
    ),
    "classes": CheckRule(
        comparisons.count_strangers, "row", "with another label than the declared classes", True
    ),
    "signature": CheckRule(
        inputs.count_undeclared, "column", "of another type than the signature declares"
    ),
}  # fmt: skip


# Goes up when a check asks something else of the same model and rows.
_VERSIONS = {"extreme": 2}


@dataclass(frozen=True)
class ContractProbe(Probe):
    """One check of a contract."""

    check: str
    rows: int = ROWS

    @property
    def key(self) -> str:
        return f"contract {self.check}, {_VERSIONS.get(self.check, 1)}"

    def run(self, model: Predictor, batch: pa.RecordBatch, baseline: Predictor | None) -> Numbers:
        return CHECKS[self.check].run(model, batch)
