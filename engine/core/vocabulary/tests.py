"""What is asked of a model: tests and their conditions."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.core.vocabulary.enums import DecideBy, Severity
from engine.core.vocabulary.plain import LATER


@dataclass(frozen=True, slots=True)
class Condition:
    """What a test demands of a value: the key of the suite, with its numbers.

    What a key means is a class of `engine.conditions`. `relative` bounds are shares of |baseline|;
    `upper` is the second of two bounds.
    """

    kind: str
    bound: float
    relative: bool = False
    upper: float | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Variant:
    """A transformation of a model's input, behind which the model is a variant of itself.

    `name` is what results call it, such as `noise(f0,f1)@2`; `perturbation` is the registered one
    that is done, with `parameters`, all that it depends on, as JSON. With `members` nothing is
    done: of each row it has the worst prediction among theirs and the clean one.
    """

    name: str
    perturbation: str
    parameters: str
    members: tuple[Variant, ...] = field(default=(), metadata=LATER)


@dataclass(frozen=True, slots=True)
class ThresholdFrom:
    """A threshold of the positive class's score that is chosen on another evaluation.

    `best` is what it is best for there, f1, youden or cost; each model has its own.
    """

    best: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class ModelTest:
    """What is measured on slice sets, with conditions; without one it is recorded only.

    `kind` is the key of its kind (`engine.kinds`), `parameters` what is asked under this key, as
    JSON, and `metric` what is measured.

    `corrected` tests are judged together over their slices, so that a thousand of them raise no
    more false alarms than one. `group` is the column between whose values a fairness metric
    compares. `threshold` says on which evaluation the threshold is chosen that its metric takes.
    Tests of one `family` are one test of the suite on several columns, and judged together.
    """

    name: str
    metric: str
    conditions: tuple[Condition, ...] = ()
    slice_sets: tuple[str, ...] = ("overall",)
    severity: Severity = Severity.FAIL
    decide: DecideBy = DecideBy.INTERVAL
    corrected: bool = True
    group: str | None = None
    threshold: ThresholdFrom | None = None
    kind: str = field(default="metric", metadata=LATER)
    parameters: str = field(default="", metadata=LATER)
    family: str = field(default="", metadata=LATER)

    def metric_at(self, threshold: float) -> str:
        """The metric at a threshold, where the test takes one; else the metric as it is."""
        return (
            self.metric if self.threshold is None else f"{self.metric}_at_threshold_{threshold!r}"
        )
