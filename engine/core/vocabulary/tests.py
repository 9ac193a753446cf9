"""What is asked of a model: tests and their conditions."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.vocabulary.enums import DecideBy, Severity


@dataclass(frozen=True, slots=True)
class Condition:
    """What a test demands of a value; `margin` conditions compare with the baseline.

    `kind` is min, max, max_drop, max_rise, or no_worse: a margin of 0 in the direction that harms,
    of which only a significant excess counts. `relative` margins are shares of |baseline|.
    """

    kind: str
    bound: float
    relative: bool = False

    @property
    def needs_baseline(self) -> bool:
        return self.kind in ("max_drop", "max_rise", "no_worse")

    def __str__(self) -> str:
        if self.kind == "no_worse":
            return self.kind
        amount = f"{self.bound * 100:g}%" if self.relative else f"{self.bound:g}"
        return f"{self.kind} {amount}"


@dataclass(frozen=True, slots=True)
class ThresholdFrom:
    """A threshold of the positive class's score that is chosen on another evaluation.

    `best` is what it is best for there, f1, youden or cost; each model has its own.
    """

    best: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class ModelTest:
    """A metric on slice sets with conditions; without one it is measured and recorded only.

    `corrected` tests are judged together over their slices, so that a thousand of them raise no
    more false alarms than one. `group` is the column between whose values a fairness metric
    compares. `threshold` says on which evaluation the threshold is chosen that its metric takes.
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

    def metric_at(self, threshold: float) -> str:
        """The metric at a threshold, where the test takes one; else the metric as it is."""
        return (
            self.metric if self.threshold is None else f"{self.metric}_at_threshold_{threshold!r}"
        )

    @property
    def condition(self) -> str | None:
        return ", ".join(str(condition) for condition in self.conditions) or None
