"""The cells of slices: each test's value on each model, how sure it is, and the verdict.

Values, intervals and comparisons of a hundred slices are computed in one go, and only verdicts and
their reasons one by one. A metric that fails costs the cells of the slices it fails on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from engine.conditions import Evidence, Measurement
from engine.core.redaction import redacted_message
from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    MetricValue,
    ModelTest,
    RowCounts,
    Slice,
    Verdict,
)
from engine.evaluation.verdicts import decide, is_decided_by_point
from engine.kinds import (
    CLEAN,
    NO_DIFFERENCE,
    Context,
    Difference,
    Find,
    SliceEstimate,
    SliceEstimates,
    kind_of,
)
from engine.metrics import Metric, Slices
from engine.planning import EvaluationPlan, Question, Subject, questions
from engine.states.rows import CLIPPED

__all__ = ["Failures", "Judge", "SliceEstimate"]

Failures = Mapping[tuple[int, str], str]

# So many slices at once: enough to share what numpy's calls cost, few enough for their views.
AT_ONCE = 128
# Numbers in a confusion of all of them.
MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class Judge:
    """Measures and judges the tests of an evaluation, many slices at once."""

    plan: EvaluationPlan
    failures: Failures
    thresholds: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)
    notes: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """What tests are about, by number."""
        return self.plan.subjects

    @cached_property
    def questions(self) -> Mapping[str, Sequence[Question]]:
        """What tests ask beside the scan, by the names of those that do."""
        return questions(self.plan)

    @cached_property
    def at_once(self) -> int:
        """How many slices are judged at once."""
        return max(1, min(AT_ONCE, MOST_CELLS // max(self.plan.problem.n_classes, 1) ** 2))

    def block(self, slices: Sequence[Slice], states: Mapping[int, Slices]) -> Iterator[Cell]:
        """The cells of slices of one set, from the states of each subject by its number.

        They come by slice, test and subject. The states of all have the same slices; those of what
        a subject is compared with are found among them.
        """
        tests = [
            test
            for test in self.plan.tests_on(slices[0].set_name if slices else "")
            if test.group is None and test.name not in self.questions
        ]
        compared = {self.subjects[number].reference for number in states}
        whole = [n for n in states if n in compared and (n, "") not in self.failures]
        for first in range(0, len(slices), self.at_once):
            last = min(first + self.at_once, len(slices))
            others = {number: states[number].some(first, last) for number in whole}
            some = {}
            for number, its_states in states.items():
                reference = self.subjects[number].reference
                other = None if reference is None else others.get(reference)
                # What is compared with nothing itself has one view of its states.
                alone = other is None and number in others
                some[number] = others[number] if alone else its_states.some(first, last, other)
            for number, its_states in some.items():
                rival = self.subjects[number].rival
                its_states.rival = None if rival is None else some.get(rival)
            self._lay_trivial_beside(some)
            yield from self.judge_tests(tests, slices[first:last], some)

    def _lay_trivial_beside(self, states: Mapping[int, Slices]) -> None:
        """Lays beside the states of each model those of the trivial models, of the same slices."""
        trivial = {
            model.trivial_kind: states[number]
            for number, model in enumerate(self.plan.trivial, len(self.plan.models))
            if number in states
        }
        for number, own in states.items():
            if trivial and self.subjects[number].is_clean:
                own.trivial = trivial

    def judge_tests(
        self, tests: Sequence[ModelTest], slices: Sequence[Slice], states: Mapping[int, Slices]
    ) -> list[Cell]:
        """The cells of some tests on slices of one set, of which there are not too many."""
        columns: dict[tuple[int, int], list[Cell]] = {}
        unlisted: list[Cell] = []
        known: dict[tuple[int, int], SliceEstimates] = {}
        whole = all(where.kind == "overall" for where in slices)

        def estimates_of(place: int, number: int) -> SliceEstimates:
            if (place, number) not in known:
                known[place, number] = self._estimate(
                    tests[place], number, states[number], whole=whole
                )
            return known[place, number]

        # What others are compared with goes first, so that its views are made once.
        for number in sorted(states, key=lambda n: (n != self.plan.base, n)):
            subject = self.subjects[number]
            for place, test in enumerate(tests):
                if not self.plan.is_about(test, subject):
                    continue
                estimates, finds = estimates_of(place, number), []
                column = self._column(test, number)
                if whole and not any(estimates.failures):
                    try:
                        finds = list(self._unlisted_cells(column, test, number, states[number]))
                    except Exception as error:  # a user's own kind costs its own cells only
                        reason = f"the kind failed: {redacted_message(error)}"
                        estimates = SliceEstimates.repeat_failure(len(slices), reason)
                baseline = None
                reference = self._comparand(test, number)
                if reference is not None and reference in states:
                    baseline = estimates_of(place, reference)
                counts = states[number].counts
                cells = self._cells(column, slices, estimates, baseline, counts)
                columns[place, number] = list(cells)
                unlisted += finds
            states[number].forget_views()
        listed = [
            columns[place, number]
            for place in range(len(tests))
            for number in states
            if (place, number) in columns
        ]
        return [cell for of_slice in zip(*listed, strict=True) for cell in of_slice] + unlisted

    def _unlisted_cells(
        self, column: Column, test: ModelTest, number: int, on: Slices
    ) -> Iterator[Cell]:
        """The cells of slices that a test found by itself."""
        for find in kind_of(test).finds(test, on, self._context(test, number)):
            yield column.unlisted_cell(find)

    def _comparand(self, test: ModelTest, number: int) -> int | None:
        """The number of what a test compares a subject with.

        The baseline is its own, so that its cells say of it what those of others do.
        """
        subject = self.subjects[number]
        if kind_of(test).meets_rival(test):
            return subject.rival
        return number if number == self.plan.base else subject.reference

    def group_cells(
        self,
        where: Slice,
        test: ModelTest,
        estimates: Mapping[int, SliceEstimate],
        counts: Mapping[int, RowCounts],
    ) -> Iterator[Cell]:
        """The cells of a test on a slice, from what it found of each model by itself."""
        base_estimate = None if self.plan.base is None else estimates.get(self.plan.base)
        baseline = None if base_estimate is None else base_estimate.value
        for number, estimate in estimates.items():
            column = self._column(test, number)
            base = None if column.metric.against else baseline
            measurement = column.measurement(
                where, counts[number], estimate.value, base, estimate.failure
            )
            measurement.spread = estimate.spread
            yield column.cell(where, measurement, NO_DIFFERENCE)

    def _estimate(
        self, test: ModelTest, number: int, on: Slices, *, whole: bool = False
    ) -> SliceEstimates:
        """A test's figures on slices, or for each the reason why it could not be computed."""
        count, kind = len(on), kind_of(test)
        if on.failure is not None:
            return SliceEstimates.repeat_failure(count, on.failure)
        if test.name in self.questions:
            return self._estimate_answers(test, number, on)
        if (number, "") in self.failures:
            return SliceEstimates.repeat_failure(
                count, f"the model failed: {self.failures[number, '']}"
            )
        for key in kind.state_keys(test, self.plan.problem):
            if (number, key) in self.failures:
                reason = self.failures[number, key]
                return SliceEstimates.repeat_failure(count, f"the metric failed: {reason}")
        trivial_failure = self._trivial_failure(test)
        if trivial_failure is not None:
            return SliceEstimates.repeat_failure(count, trivial_failure)
        try:
            return kind.estimate(test, on, self._context(test, number, whole=whole))
        except Exception as error:  # a user's own metric costs its own cells only
            if count == 1:
                return SliceEstimates.repeat_failure(
                    1, f"the metric failed: {redacted_message(error)}"
                )
        # Of many slices some may have a value: each is tried by itself.
        return SliceEstimates.concat(
            [self._estimate(test, number, one, whole=whole) for one in on.slices]
        )

    def _trivial_failure(self, test: ModelTest) -> str | None:
        """Why the trivial models of a test have no states that are whole; None where they have."""
        for kind, number in self.plan.trivial_numbers(test).items() if self.failures else ():
            for key in ("", *kind_of(test).state_keys(test, self.plan.problem)):
                if (number, key) in self.failures:
                    return f"the trivial model {kind!r} failed: {self.failures[number, key]}"
        return None

    def _estimate_answers(self, test: ModelTest, number: int, on: Slices) -> SliceEstimates:
        """What a kind makes of the answers to its question; an answer of no rows is none."""
        if not all(on.answers):
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "empty"))
        try:
            estimates = kind_of(test).estimate(test, on, self._context(test, number))
        except Exception as error:  # a user's own kind costs its own cells only
            reason = f"the kind failed: {redacted_message(error)}"
            return SliceEstimates.repeat_failure(len(on), reason)
        if len(estimates.values) != len(on):
            reason = f"the kind gave {len(estimates.values)} values for {len(on)} slices"
            return SliceEstimates.repeat_failure(len(on), reason)
        return estimates

    def _context(self, test: ModelTest, number: int, *, whole: bool = False) -> Context:
        return Context(
            self.plan.problem,
            self.plan.confidence,
            self.subjects[number].model,
            is_baseline=number == self.plan.base,
            compares=not self._is_comparison_lost(test, number),
            thresholds=self.thresholds,
            started_at=self.plan.started_at,
            is_overall=whole,
        )

    def _is_comparison_lost(self, test: ModelTest, number: int) -> bool:
        """Whether what compares a model with its reference failed, of either: none of it is whole.

        The states of other partitions may still be there.
        """
        if not self.failures:
            return False
        kind, problem = kind_of(test), self.plan.problem
        keys = [family.key for family in kind.families(test, problem)]
        keys += [family.key for family in kind.pair_families(test, problem)]
        subject = self.subjects[number]
        among = [number, subject.reference]
        if kind.meets_rival(test) and subject.rival is not None:
            among += [subject.rival, self.subjects[subject.rival].reference]
        return any((one, key) in self.failures for key in keys for one in among if one is not None)

    def _column(self, test: ModelTest, number: int) -> Column:
        plan, subject = self.plan, self.subjects[number]
        reference = self._comparand(test, number)
        other = None if reference is None else self.subjects[reference].model
        name = None if other is None else other.name
        is_baseline = number == reference
        is_itself = subject.variant is not None and not kind_of(test).meets_rival(test)
        beside = "the clean model" if is_itself else "the baseline"
        unusable = _unusable(self.notes.get(number, {}))
        metric = kind_of(test).metric(test)
        return Column(plan, test, subject, metric, is_baseline, name, beside, unusable)

    def _cells(
        self, column: Column, slices: Sequence[Slice], estimates: SliceEstimates,
        baseline: SliceEstimates | None, counts: Sequence[RowCounts],
    ) -> Iterator[Cell]:  # fmt: skip
        """The cells of a test of a model on slices."""
        test, metric = column.test, column.metric
        others: Sequence[MetricValue | None] = [None] * len(slices)
        evidence: Sequence[Sequence[Evidence | None] | None] = [None] * len(slices)
        values = [] if baseline is None or metric.against else baseline.values
        if values:
            others = values
        if test.conditions and not is_decided_by_point(test, has_interval=metric.intervals):
            evidence = estimates.evidence(test.conditions, values, metric, self.plan.confidence)
        for where, rows, value, other, failure, difference, slice_evidence in zip(
            slices, counts, estimates.values, others, estimates.failures, estimates.differences,
            evidence, strict=True,
        ):  # fmt: skip
            measurement = column.measurement(where, rows, value, other, failure)
            measurement.evidence = slice_evidence
            yield column.cell(where, measurement, difference)


def _unusable(notes: Mapping[str, int]) -> str:
    """What is wrong with predictions that cannot be used, in words."""
    causes = [why for why in notes if why != CLIPPED]
    return " or ".join(sorted(causes, key=lambda why: -notes[why]))


@dataclass(frozen=True, slots=True)
class Column:
    """A test of one subject: what all of its cells have in common.

    `is_baseline` says that others are compared with it, `reference_name` is the model with which it
    is compared itself, and `beside` what that is in words.
    """

    plan: EvaluationPlan
    test: ModelTest
    subject: Subject
    metric: Metric
    is_baseline: bool
    reference_name: str | None
    beside: str = "the baseline"
    unusable: str = ""

    def measurement(
        self, where: Slice, rows: RowCounts, value: MetricValue, baseline: MetricValue | None,
        failure: str | None,
    ) -> Measurement:  # fmt: skip
        """What the verdict on a slice rests on."""
        return Measurement(
            value, rows, baseline, self.is_baseline, failure,
            0 if self.metric.any_rows else self.plan.min_slice_rows,
            where.kind == "where" and rows.n + rows.null_labels == 0 and value.value is None,
            None, None, self.metric.intervals, self.plan.confidence,
            self.metric.higher_is_better, None,
            self.beside,
            self.unusable,
        )  # fmt: skip

    def cell(self, where: Slice, measurement: Measurement, difference: Difference) -> Cell:
        """The cell of a slice with its verdict."""
        decision = decide(self.test, measurement)
        plan, name, base, delta = self.plan, None, None, None
        if measurement.baseline is not None and not self.is_baseline:
            name, base = self.reference_name, measurement.baseline.value
            if base is not None and measurement.value.value is not None:
                delta = measurement.value.value - base
        low, high, p = NO_DIFFERENCE if delta is None else difference
        model, variant = self.subject.model or NO_MODEL, self.subject.variant
        return Cell(
            plan.name, model, plan.dataset, where, self.test, measurement.rows,
            measurement.value, decision.verdict, decision.reason, name, base, delta, low, high, p,
            None, decision.p, None, CLEAN if variant is None else variant.name,
        )  # fmt: skip

    def unlisted_cell(self, find: Find) -> Cell:
        """The cell of a slice that its test found by itself: it is recorded."""
        plan, model = self.plan, self.subject.model or NO_MODEL
        test = replace(self.test, metric=find.metric, conditions=())
        name = None if find.delta is None else self.reference_name
        return Cell(
            plan.name, model, plan.dataset, find.where, test, find.counts, find.value,
            Verdict.RECORDED, find.reason, name, find.baseline_value, find.delta, find.delta_low,
            find.delta_high, None, None, find.p, find.q, CLEAN,
        )  # fmt: skip
