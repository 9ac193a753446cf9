"""What a reader should see first of a run: one order, one wording, for every sink for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.conditions import needs_baseline, rule
from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    EvaluationResult,
    Severity,
    Slice,
    Verdict,
)
from engine.kinds import kind_of
from engine.sinks import format as fmt

SURE = 0.05
"""The q-value up to which a difference counts as one: of those listed, this share is chance."""

WARN = "WARN"
"""The word for a FAIL of severity warn: it is told, and the gate does not fail with it."""

_RANKS = {
    Verdict.FAIL.value: 0,
    Verdict.ERROR.value: 1,
    WARN: 2,
    Verdict.INCONCLUSIVE.value: 3,
    Verdict.PASS.value: 4,
    Verdict.RECORDED.value: 5,
}
# By the verdict itself: an enum's `.value` takes several times as long, and cells are millions.
_WORDS = {verdict: verdict.value for verdict in Verdict}


@dataclass(frozen=True, slots=True)
class Spot:
    """All the tests of one metric on one slice for one model: one place in a table."""

    cells: tuple[Cell, ...]

    @property
    def worst(self) -> Cell:
        """The cell whose verdict speaks for the spot."""
        return self.cells[0] if len(self.cells) == 1 else min(self.cells, key=rank)

    @property
    def value(self) -> float | None:
        return self.cells[0].measured.value


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A model and the baseline on the rows of one slice.

    `trend` is better, worse or differs (a metric without direction) where they can be told apart,
    else unsure. `sureness` is q, or p where nothing was corrected; None without either.
    """

    cell: Cell
    label: str
    trend: str
    sureness: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Cells that tell the same: one failure, or many errors with one reason."""

    word: str
    cells: tuple[Cell, ...]

    @property
    def first(self) -> Cell:
        return self.cells[0]

    @property
    def slices(self) -> list[str]:
        return list(dict.fromkeys(cell.slice.name for cell in self.cells))

    @property
    def tests(self) -> list[str]:
        return list(dict.fromkeys(test_label(cell) for cell in self.cells))


def word(cell: Cell) -> str:
    """The verdict in one word, where a FAIL of severity warn reads WARN."""
    if cell.verdict is Verdict.FAIL and cell.test.severity is Severity.WARN:
        return WARN
    return _WORDS[cell.verdict]


def rank(cell: Cell) -> int:
    """How early a cell is read: 0 for a failure, 5 for what was only recorded."""
    return _RANKS[word(cell)]


def is_overall(piece: Slice) -> bool:
    """Whether a slice is all the rows."""
    return piece.kind == "overall" or piece.name == "overall"


def column_label(cell: Cell) -> str:
    """A metric, with the column it compares between, and its variant if the data were perturbed.

    As it is, so that two of them are never one; it goes on one line where it is shown.
    """
    if cell.model.name == NO_MODEL.name or kind_of(cell.test).is_told_by_name:
        # Of many columns, checks or trivial models there is one metric: the test tells them apart.
        return cell.test.name
    metric = cell.test.metric
    if cell.test.group:
        metric += f" by {cell.test.group}"
    return metric if cell.variant == "clean" else f"{metric} [{cell.variant}]"


def test_label(cell: Cell) -> str:
    """A test, with its variant where the data were perturbed."""
    name = cell.test.name
    if cell.variant == "clean":
        return name
    stem, _, severity = cell.variant.rpartition("@")
    # A name that was made of the perturbation has it already.
    return f"{name} @{severity}" if stem and stem in name else f"{name} [{cell.variant}]"


def direction(evaluation: EvaluationResult, metric: str) -> bool | None:
    """Whether more of a metric is better; None where neither metric nor condition says."""
    known = evaluation.higher_is_better.get(metric)
    if known is not None:
        return known
    for cell in evaluation.cells:
        if cell.test.metric == metric:
            for condition in cell.test.conditions:
                told = rule(condition).harm_is_below()
                if told is not None:
                    return told
    return None


def spots(cells: Iterable[Cell]) -> dict[tuple[str, str, str], Spot]:
    """Gathers cells by (model, slice, column label), in the order of the cells."""
    gathered: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.model.name, cell.slice.name, column_label(cell))
        gathered.setdefault(key, []).append(cell)
    return {key: Spot(tuple(group)) for key, group in gathered.items()}


def overall_spots(evaluation: EvaluationResult) -> dict[str, dict[str, Spot]]:
    """The spots of all the rows: column label, then model, to spot."""
    table: dict[str, dict[str, Spot]] = {}
    whole = [cell for cell in evaluation.cells if is_overall(cell.slice)]
    for (model, _, label), spot in spots(whole).items():
        table.setdefault(label, {})[model] = spot
    return table


def findings(cells: Iterable[Cell], words: Sequence[str]) -> list[Finding]:
    """What needs a reader, gravest first; errors and inconclusive cells with one reason are one.

    Within a verdict `overall` comes first, then the slices with the most rows.
    """
    own = {verdict for verdict, said in _WORDS.items() if said in words or said == "FAIL"}
    chosen = [cell for cell in cells if cell.verdict in own and word(cell) in words]
    chosen.sort(key=_order)
    gathered: dict[tuple[object, ...], list[Cell]] = {}
    for place, cell in enumerate(chosen):
        said = word(cell)
        alike = said in (Verdict.ERROR.value, Verdict.INCONCLUSIVE.value)
        tail = (cell.reason,) if alike else (place,)
        gathered.setdefault((said, cell.evaluation, cell.model.name, *tail), []).append(cell)
    return [Finding(word(group[0]), tuple(group)) for group in gathered.values()]


def _order(cell: Cell) -> tuple[object, ...]:
    return (
        rank(cell),
        not is_overall(cell.slice),
        -cell.counts.n,
        cell.evaluation,
        cell.model.name,
        cell.slice.name,
        cell.test.name,
        cell.variant,
    )


def trend(delta: float | None, better: bool | None) -> str:
    """What a difference means: better, worse, same, or differs where no direction is known."""
    if delta is None:
        return ""
    if delta == 0:
        return "same"
    if better is None:
        return "differs"
    return "better" if (delta > 0) == better else "worse"


def paired_differences(evaluation: EvaluationResult) -> list[PairedDifference]:
    """The differences to the baseline of which something is known, the surest first."""
    return sorted(_known_differences(evaluation), key=_by_sureness)


def _known_differences(evaluation: EvaluationResult) -> Iterator[PairedDifference]:
    """The differences to the baseline of which something is known, in the order of the cells."""
    if evaluation.baseline is None:
        return
    # A variant is compared with its own model, not with the baseline.
    compared = [
        cell
        for cell in evaluation.cells
        if cell.variant == "clean" and cell.model.name != evaluation.baseline and _is_compared(cell)
    ]
    metrics = dict.fromkeys(cell.test.metric for cell in compared)
    better = {metric: direction(evaluation, metric) for metric in metrics}
    for (_, _, label), spot in spots(compared).items():
        cell = spot.cells[0]
        if len(spot.cells) > 1:
            # Of several tests of one metric the one that asks for the difference speaks.
            cell = min(spot.cells, key=lambda cell: not _asks_for_difference(cell))
        yield _paired_difference(cell, label, better[cell.test.metric])


def _is_compared(cell: Cell) -> bool:
    """Whether a difference has more to it than its number."""
    return cell.delta is not None and (
        cell.p_value is not None or cell.q_value is not None or cell.delta_ci_low is not None
    )


def _asks_for_difference(cell: Cell) -> bool:
    return any(map(needs_baseline, cell.test.conditions))


def _paired_difference(cell: Cell, label: str, better: bool | None) -> PairedDifference:
    sureness = cell.q_value if cell.q_value is not None else cell.p_value
    apart = sureness is not None and sureness <= SURE
    if sureness is None and cell.delta_ci_low is not None and cell.delta_ci_high is not None:
        apart = cell.delta_ci_low > 0 or cell.delta_ci_high < 0
    way = trend(cell.delta, better)
    return PairedDifference(cell, label, way if apart and way != "same" else "unsure", sureness)


def _by_sureness(pair: PairedDifference) -> tuple[object, ...]:
    """q, then p; where both are alike, the difference that is largest for its interval."""
    cell = pair.cell
    width = (cell.delta_ci_high or 0.0) - (cell.delta_ci_low or 0.0)
    return (
        pair.sureness is None,
        pair.sureness or 0.0,
        cell.p_value or 0.0,
        -abs(cell.delta or 0.0) / width if width > 0 else 0.0,
        not is_overall(cell.slice),
        -cell.counts.n,
        cell.model.name,
        cell.slice.name,
        pair.label,
    )


def trend_counts(
    evaluation: EvaluationResult, pairs: Iterable[PairedDifference] | None = None
) -> list[tuple[str, dict[str, int]]]:
    """For each model but the baseline how many differences are better, worse, differs, unsure.

    `pairs` are its differences, where they are known already.
    """
    tally: dict[str, dict[str, int]] = {}
    for pair in _known_differences(evaluation) if pairs is None else pairs:
        counts = tally.setdefault(pair.cell.model.name, {})
        counts[pair.trend] = counts.get(pair.trend, 0) + 1
    return [(model.name, tally[model.name]) for model in evaluation.models if model.name in tally]


def tally_words(counts: Mapping[str, int]) -> str:
    """The counts of `standing` in words: `better on 12, worse on 3, not told apart on 85`."""
    names = {
        "better": "better on",
        "worse": "worse on",
        "differs": "different on",
        "unsure": "not told apart on",
    }
    return ", ".join(
        f"{text} {fmt.count(counts.get(name, 0))}"
        for name, text in names.items()
        if name != "differs" or counts.get(name, 0)
    )


def evidence(cell: Cell) -> list[str]:
    """What a verdict rests on beside the value's own sentence, each figure with its name."""
    measured, facts = cell.measured, []
    if measured.value is not None and measured.ci_low is not None:
        facts.append(f"value {fmt.estimate(measured.value, measured.ci_low, measured.ci_high)}")
    if cell.delta is not None:
        text = fmt.change(cell.delta, cell.delta_ci_low, cell.delta_ci_high)
        facts.append(f"difference {text}")
    if cell.p_value is not None:
        facts.append(f"p {fmt.chance(cell.p_value)}")
    if cell.q_value is not None:
        facts.append(f"q {fmt.chance(cell.q_value)}")
    if cell.violation_q_value is not None:
        facts.append(f"q of meeting the condition {fmt.chance(cell.violation_q_value)}")
    return facts


def sureness(spot: Spot) -> str:
    """How sure a spot's difference is, ` (q 0.003)`; nothing where that is not known."""
    for cell in spot.cells:
        if cell.delta is not None:
            if cell.q_value is not None:
                return f" (q {fmt.chance(cell.q_value)})"
            return f" (p {fmt.chance(cell.p_value)})" if cell.p_value is not None else ""
    return ""


def is_baseline(spot: Spot, baseline: str | None) -> bool:
    """Whether a spot is of that with which others are compared, so that it has no difference."""
    first = spot.cells[0]
    return first.model.name == baseline and first.variant == "clean"


def difference(spot: Spot, baseline: Spot | None) -> float | None:
    """Value minus the baseline's, as the verdicts have it or else from the two values.

    Of a variant it is that to the same model as it is, which the verdicts alone have.
    """
    for cell in spot.cells:
        if cell.delta is not None:
            return cell.delta
    if spot.cells[0].variant != "clean":
        return None
    if baseline is None or baseline.value is None or spot.value is None:
        return None
    return spot.value - baseline.value
