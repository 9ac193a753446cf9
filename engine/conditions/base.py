"""What a condition is: a class that says all there is to say of it, registered under its key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.conditions.evidence import Decision, Estimate, Evidence, Measurement
from engine.conditions.reasons import number, slack, undefined_reason
from engine.core.registry import Registry
from engine.core.vocabulary import Condition, ModelTest, Verdict
from engine.metrics import Metric

# A key of a mistake and its sentence.
Mistakes = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in a picture: where it is, and whether what lies below it is the bad side.

    `below` is None where neither side is the worse one.
    """

    at: float
    below: bool | None


class ConditionRule(ABC):
    """What a condition demands, when its evidence decides, and how it is put in words.

    A rule stands for one key of a test in the suite; a `Condition` is that key with its numbers.
    Conditions that no value can break at once share a `chance`: together they are one chance of a
    false alarm. A failure that proves not sure enough for its many slices becomes `unsure`.
    """

    key: str
    description: str
    field: Any
    chance: str
    needs_baseline: ClassVar[bool] = False
    unsure: ClassVar[Verdict] = Verdict.INCONCLUSIVE

    @abstractmethod
    def read(self, value: Any) -> Condition | None:
        """The condition of a key's value, as `field` reads it; None where nothing is demanded."""

    @abstractmethod
    def write(self, condition: Condition) -> Any:
        """The value of the key from which `read` makes the condition again."""

    @abstractmethod
    def text(self, condition: Condition) -> str:
        """The condition as results show it: `min 0.85`."""

    @abstractmethod
    def limits(
        self, condition: Condition, baseline: float | None, better: bool | None
    ) -> Sequence[Limit]:
        """The limits that pictures show, of the value or of the difference to the baseline's.

        `baseline` is its value, and `better` whether more is better, where that is known.
        """

    @abstractmethod
    def evidence(
        self, condition: Condition, estimate: Estimate, *, level: float, better: bool | None
    ) -> Evidence | None:
        """What it is held against, in figures or in arrays; None where nothing is known."""

    @abstractmethod
    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        """The verdict by the interval: PASS when all of it is within the limit."""

    @abstractmethod
    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        """The verdict by the value alone; the value must be a number."""

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        """What is wrong in a test of the suite whose keys have any values."""
        return iter(())

    def misfit(self, metric: Metric) -> str | None:
        """Why it makes no sense for a metric; None when it does."""
        return None

    def harm_is_below(self) -> bool | None:
        """Whether a value harms by being low; None where the condition does not tell."""
        return None


CONDITIONS: Registry[ConditionRule] = Registry("condition", "evalmatrix.conditions")


def rule(condition: Condition) -> ConditionRule:
    """The rule of a condition.

    Raises:
        InputError: when none has its key.
    """
    return CONDITIONS.get(condition.kind)


def needs_baseline(condition: Condition) -> bool:
    """Whether a condition compares with the baseline."""
    return rule(condition).needs_baseline


def condition_text(condition: Condition) -> str:
    """A condition as results show it: `max_drop 1%`."""
    return rule(condition).text(condition)


def demand_text(test: ModelTest) -> str | None:
    """All that a test demands, as the results table has it; None where it only records."""
    return ", ".join(map(condition_text, test.conditions)) or None


def decide_by_point(condition: Condition, measurement: Measurement) -> Decision:
    """The verdict on one condition by the value alone; the value must be a number."""
    its_rule = rule(condition)
    lacking = _lacks_baseline(its_rule, condition, measurement)
    return lacking or its_rule.decide_by_point(condition, measurement)


def decide_by_interval(condition: Condition, measurement: Measurement, place: int = 0) -> Decision:
    """The verdict on one condition by the interval; the value must be a number.

    `place` is that of the condition in the measurement's evidence.
    """
    its_rule = rule(condition)
    lacking = _lacks_baseline(its_rule, condition, measurement)
    if lacking is not None:
        return lacking
    evidence = (
        _slice_evidence(condition, measurement)
        if measurement.evidence is None
        else measurement.evidence[place]
    )
    if evidence is not None:
        return its_rule.decide_by_interval(condition, measurement, evidence)
    shown = number(measurement.number)
    if not its_rule.needs_baseline:
        return inconclusive(f"too few rows or clusters to say how sure {shown} is")
    return inconclusive(
        f"{its_rule.text(condition)}: too few rows or clusters to say how sure the difference of "
        f"{shown} and {number(measurement.baseline_number)} is"
    )


def _lacks_baseline(
    its_rule: ConditionRule, condition: Condition, measurement: Measurement
) -> Decision | None:
    """That what a condition compares with has no value; None where it has, or is not needed."""
    if not its_rule.needs_baseline:
        return None
    if measurement.baseline is None:
        return inconclusive(
            f"{its_rule.text(condition)}: {measurement.other} has no value on this slice"
        )
    why = undefined_reason(measurement.baseline)
    if why is None:
        return None
    return inconclusive(f"{its_rule.text(condition)}: {measurement.other}'s value is {why}")


def _slice_evidence(condition: Condition, measurement: Measurement) -> Evidence | None:
    """The evidence of a slice by itself."""
    other = 0.0 if measurement.baseline is None else slack(measurement.baseline)
    estimate = Estimate(
        measurement.number,
        slack(measurement.value),
        measurement.spread,
        other,
        measurement.comparison,
    )
    return rule(condition).evidence(
        condition,
        estimate,
        level=measurement.confidence,
        better=measurement.higher_is_better,
    )


def inconclusive(reason: str, p: float | None = None) -> Decision:
    """A verdict that nothing decides."""
    return Decision(Verdict.INCONCLUSIVE, reason, p)
