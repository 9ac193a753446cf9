"""The laws of states, held against every family: what sums of batches must satisfy to be sums."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.states.rank_pairs as ranks
import engine.states.score_histogram as ranking
import engine.states.score_pairs as pairing
from engine.states import (
    BUCKETS,
    ROW_COLUMNS,
    Confusion,
    Labels,
    Maximum,
    Mean,
    NotInvertible,
    Pair,
    PairedChange,
    PairedHits,
    PairedHitsOf,
    PairedMean,
    PairedQueryMean,
    PairedScores,
    PairFamily,
    PairMean,
    PairScores,
    PredictedValues,
    Queries,
    QueryMean,
    Ranks,
    RowFlags,
    Scored,
    Scores,
    States,
    Sums,
    TopScores,
    Values,
    decode,
    rows_of,
    view,
)

CLASSES = 3

# Each law is drawn for each family.
few = settings(max_examples=settings().max_examples // 4)


@dataclass(frozen=True)
class Law:
    """A family under test.

    `twice` projects on what a weight of 2 and a row twice agree in; `unit` says which rows must
    stay in one batch.
    """

    name: str
    of: Callable[[Scored, np.ndarray, int], States]
    zero: Callable[[int], States]
    cap: int = ranking.EXACT_SCORES
    twice: Callable[[States], Any] = lambda states: parts(states)
    unit: Callable[[Scored], np.ndarray] = lambda batch: np.arange(len(batch))


def parts(states: States) -> dict[str, Any]:
    """All that a state holds, by name."""
    if states.kind in ("tally", "pairs", "labels"):
        return {
            "width": states.width,
            "groups": states.groups,
            "keys": states.keys,
            "weights": states.weights,
        }
    if states.kind in ("scores", "values", "predictions"):
        entries = states.entries
        return {
            "gridded": states.gridded,
            "group": entries.group,
            "score": entries.score,
            "cell": entries.cell,
            "weight": entries.weight,
            "levels": states.seen.levels,
            "doubts": states.seen.doubts,
            "hashes": states.seen.weights.keys,
            "seen": states.seen.weights.weights,
        }
    if states.kind == "score_pairs":
        entries = states.entries
        return {
            "levels of pairs": states.levels,
            "totals": states.totals,
            "group": entries.group,
            "pair": entries.score,
            "label": entries.cell,
            "weight": entries.weight,
        }
    if states.kind == "rank_pairs":
        tables = {"buckets": states.buckets, **states.whole}
        columns = ("levels", "group", "high", "low", "bucket", "weight")
        return {f"{n}.{c}": getattr(t, c) for n, t in tables.items() for c in columns}
    return {"values": states.values}


SAMPLES = ("levels", "hashes", "seen")


def loss(batch: Scored) -> np.ndarray:
    return 1000.0 + 7.0 * batch.scores[:, 0] - batch.truth


def rise_of_some(pair: Pair) -> np.ndarray:
    """How far the first score rises, of rows that have one above a tenth."""
    rise = 1000.0 + 7.0 * (pair.candidate.scores[:, 0] - pair.baseline.scores[:, 0])
    return np.where(pair.candidate.scores[:, 1] > 0.1, rise, np.nan)


def rows(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    of_row = batch.scores
    null = of_row[:, 1] > 0.8
    flags = RowFlags(null, ~null & (of_row[:, 2] > 0.8), ~null & (of_row[:, 2] < 0.1))
    return rows_of(batch.weight, flags, groups * BUCKETS + batch.bucket, n_groups)


MEAN = Mean("loss", loss)
MAXIMUM = Maximum("loss", loss)
PAIRED = PairedMean("loss", loss)
PAIR_MEAN = PairMean("rise of some", rise_of_some)
HITS = PairedHits(CLASSES)
HITS_OF = PairedHitsOf(1)
CHANGE = PairedChange(
    "move", lambda pair: np.abs(pair.candidate.scores - pair.baseline.scores)[:, 0]
)
SCORE_PAIRS = PairedScores(1)


def paired(family: PairFamily) -> Callable[[Scored, np.ndarray, int], States]:
    """States of a batch against a baseline that errs otherwise on the same rows."""

    def of(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
        scores, predicted = batch.scores[:, ::-1] ** 2, (batch.predicted * 2) % CLASSES
        base = replace(batch, scores=scores, predicted=predicted, _cache={})
        changed = batch.predicted != 1
        return family.of(Pair(base, batch, changed), groups, n_groups)

    return of


PAIRED_MEAN, PAIRED_HITS = paired(PAIRED), paired(HITS)


def first_plane(states: States) -> dict[str, Any]:
    """The weights of a tally of many groups, without the plane of their squares."""
    first = states.keys % states.width < states.width // 2
    return {"keys": states.keys[first], "weights": states.weights[first]}


def with_labels(batch: Scored) -> Scored:
    """The batch with any number of labels for each row."""
    truth, predicted = (
        (each > 0.5).astype(np.int64) for each in (batch.scores, batch.scores.T[::-1].T)
    )
    return replace(batch, truth=truth, predicted=predicted, _cache={})


def scores_of_label(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    return SCORES.of(with_labels(batch), groups, n_groups)


def paired_label(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    """States of a label with two versions, of which one predicts the labels in another order."""
    candidate = with_labels(batch)
    base = replace(candidate, predicted=candidate.predicted[:, ::-1], _cache={})
    return HITS_OF.of(Pair(base, candidate), groups, n_groups)


def labelled(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    """States of a batch whose rows have any number of labels."""
    return LABELS.of(with_labels(batch), groups, n_groups)


def relevance(of: Queries) -> np.ndarray:
    """A number that is the same for a query whose documents are all there twice."""
    return 1000.0 + of.total(of.relevance) / of.total(np.ones(len(of.query)))


def as_ranking(batch: Scored) -> Scored:
    """The batch with a query, whose bucket is that of its rows."""
    scores, query = batch.scores[:, 0], batch.predicted
    return replace(batch, scores=scores, query=query, bucket=3 * query, predicted=None, _cache={})


def ranking_of(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    return QUERIES.of(as_ranking(batch), groups, n_groups)


def paired_rankings(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    """Of two versions that know of two relevances, which no two versions do."""
    candidate = as_ranking(batch)
    base = replace(candidate, truth=batch.truth**2, _cache={})
    return PAIRED_QUERIES.of(Pair(base, candidate), groups, n_groups)


def as_regression(batch: Scored) -> Scored:
    """The batch with numbers to be predicted."""
    truth, scores = batch.truth + np.round(batch.scores[:, 1], 1), batch.scores[:, 0] - 0.5
    return replace(batch, truth=truth, scores=scores, predicted=None, _cache={})


def ranks_of(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    return RANKS.of(as_regression(batch), groups, n_groups)


def weights_of(states: States) -> dict[str, Any]:
    """A histogram of values without the squared weights."""
    entries = states.entries
    first = entries.cell % 2 == 0
    return {"score": entries.score[first], "weight": entries.weight[first]}


def predictions_of(batch: Scored, groups: np.ndarray, n_groups: int) -> States:
    """The values of a regression on both sides of 0, which count whatever a row weighs."""
    predicted = (batch.scores[:, 0] - 0.3) * np.array([1e-3, 1.0, 1e3])[batch.truth]
    return PREDICTED.of(replace(batch, scores=predicted, predicted=None), groups, n_groups)


LABELS = Labels(CLASSES)
PREDICTED = PredictedValues()
QUERIES, PAIRED_QUERIES = QueryMean("r", relevance), PairedQueryMean("r", relevance)
# A table, since a power may differ in its last digit from one place in a batch to another.
VALUES = Values(
    "signed", lambda batch: (batch.scores[:, 0] - 0.3) * np.array([1e-3, 1.0, 1e3])[batch.truth]
)
CONFUSION = Confusion(CLASSES)
RANKS = Ranks()
SCORES, TOP_SCORES = Scores(1), TopScores()
PAIR_SCORES = PairScores(2, 0)
LAWS = [
    Law("mean", MEAN.of, MEAN.zero, twice=lambda s: s.values[..., [0, 2, 3]]),
    Law("maximum", MAXIMUM.of, MAXIMUM.zero),
    Law("confusion", CONFUSION.of, CONFUSION.zero, twice=first_plane),
    Law("paired mean", PAIRED_MEAN, PAIRED.zero, twice=lambda s: s.values[..., [0, 2, 3]]),
    Law("pair mean", paired(PAIR_MEAN), PAIR_MEAN.zero, twice=lambda s: s.values[..., [0, 2, 3]]),
    Law("paired changes", paired(CHANGE), CHANGE.zero, twice=lambda s: s.values[..., [0, 2, 3]]),
    Law("paired hits", PAIRED_HITS, HITS.zero, twice=first_plane),
    Law("paired hits of a class", paired(HITS_OF), HITS_OF.zero, twice=first_plane),
    Law("paired hits of a label", paired_label, HITS_OF.zero, twice=first_plane),
    Law("paired scores", paired(SCORE_PAIRS), SCORE_PAIRS.zero),
    Law("a sample of paired scores", paired(SCORE_PAIRS), SCORE_PAIRS.zero, cap=2),
    Law("labels", labelled, LABELS.zero),
    Law(
        "queries",
        ranking_of,
        QUERIES.zero,
        twice=lambda s: s.values,
        unit=lambda batch: batch.predicted,
    ),
    Law(
        "paired queries",
        paired_rankings,
        PAIRED_QUERIES.zero,
        twice=lambda s: s.values,
        unit=lambda batch: batch.predicted,
    ),
    Law("predicted values", predictions_of, PREDICTED.zero, twice=lambda s: s.gridded[:0]),
    Law(
        "predictions beyond the cap",
        predictions_of,
        PREDICTED.zero,
        cap=4,
        twice=lambda s: s.gridded[:0],
    ),
    Law("values", VALUES.of, VALUES.zero, twice=weights_of),
    Law("values beyond the cap", VALUES.of, VALUES.zero, cap=4, twice=weights_of),
    Law("ranks", ranks_of, RANKS.zero),
    Law("ranks on a grid", ranks_of, RANKS.zero, cap=4),
    Law("scores", SCORES.of, SCORES.zero),
    Law("scores beyond the cap", SCORES.of, SCORES.zero, cap=4),
    Law("scores of a label", scores_of_label, SCORES.zero),
    Law("scores of the predicted class", TOP_SCORES.of, TOP_SCORES.zero),
    Law("scores of the predicted class beyond the cap", TOP_SCORES.of, TOP_SCORES.zero, cap=4),
    Law("scores of a pair of classes", PAIR_SCORES.of, PAIR_SCORES.zero),
    Law("scores of a pair beyond the cap", PAIR_SCORES.of, PAIR_SCORES.zero, cap=4),
    Law(
        "rows",
        rows,
        lambda n: Sums(np.zeros((n, BUCKETS, len(ROW_COLUMNS)))),
        twice=lambda s: s.values[..., 1],
    ),
]


@pytest.fixture(params=LAWS, ids=lambda law: law.name, scope="module")
def law(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", request.param.cap)
        patch.setattr(pairing, "LEAST", request.param.cap)
        patch.setattr(ranks, "LEAST", 2 * request.param.cap)
        patch.setattr(ranks, "LEAST_BY_BUCKET", request.param.cap)
        patch.setattr(ranks, "LEAST_ALONE", request.param.cap)
        yield request.param


@st.composite
def batches(draw: st.DrawFn) -> tuple[Scored, np.ndarray, int]:
    """A batch with its groups: ties, zero weights, extreme scores, groups without rows."""
    n = draw(st.integers(0, 40))
    n_groups = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = np.r_[draw(st.lists(st.floats(0, 1), min_size=1, max_size=4)), 0.0, 1.0, rng.random(4)]
    weights = np.array(draw(st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.7]), min_size=1)))
    batch = Scored(
        rng.integers(0, CLASSES, n),
        rng.choice(weights, n),
        rng.integers(0, BUCKETS, n) * rng.integers(0, 2),
        rng.choice(pool, (n, CLASSES)),
        rng.integers(0, CLASSES, n),
    )
    return batch, rng.integers(0, n_groups, n), n_groups


def same(left: States, right: States, *, levels: bool = True) -> None:
    """Both hold the same, but for the rounding of sums; and for the levels of samples, if any."""
    assert left.n_groups == right.n_groups
    assert left.kind == right.kind
    ours, theirs = parts(left), parts(right)
    if not levels:
        for each in (ours, theirs):
            for name in SAMPLES:
                each.pop(name, None)
    close(ours, theirs)


def close(left: Any, right: Any) -> None:
    if not isinstance(left, dict):
        left, right = {"values": left}, {"values": right}
    assert left.keys() == right.keys()
    for name in left:
        # The squares around the mean are of the order 1 here, and of 1e6 before their centring.
        np.testing.assert_allclose(left[name], right[name], rtol=1e-12, atol=1e-9, err_msg=name)


def identical(left: States, right: States) -> None:
    ours, theirs = parts(left), parts(right)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], strict=True, err_msg=name)


def equal(left: States, right: States) -> bool:
    return all(np.array_equal(value, parts(right)[name]) for name, value in parts(left).items())


@few
@given(batches())
def test_zero_is_neutral(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    states = law.of(batch, groups, n_groups)
    for zero in (law.zero(0), law.zero(n_groups), law.of(batch.at(groups < 0), groups[:0], 0)):
        identical(states.merge(zero), states)
        identical(zero.merge(states), states)
    assert law.zero(n_groups + 2).merge(states).n_groups == n_groups + 2


@few
@given(batches(), batches(), batches())
def test_merge_is_associative_and_commutative(law: Law, a: Any, b: Any, c: Any) -> None:
    a, b, c = (law.of(*each) for each in (a, b, c))
    same(a.merge(b), b.merge(a))
    same(a.merge(b).merge(c), a.merge(b.merge(c)))


@few
@given(batches(), batches())
def test_what_was_added_is_taken_away(law: Law, a: Any, b: Any) -> None:
    a, b = law.of(*a), law.of(*b)
    try:
        left = a.merge(b).minus(b)
    except NotInvertible as refused:
        refusal_is_right(law, a, b, str(refused))
        return
    same(left, law.zero(left.n_groups).merge(a), levels=False)
    for zero in (law.zero(0), law.zero(7)):
        identical(a.minus(zero).select(np.arange(a.n_groups)), a)


def refusal_is_right(law: Law, a: States, b: States, why: str) -> None:
    """Nothing is refused that could be told."""
    both = a.merge(b)
    if law.name == "maximum":
        assert "maxima" in why
        assert (b.values > -np.inf).any()
    elif a.kind == "moments":
        assert "spread" in why
        spreads = [[view(each.take(g)).m2[0] for each in (a, both)] for g in range(a.n_groups)]
        assert any(0 < few < 1e-5 * many for few, many in spreads)
    elif a.kind == "rank_pairs":
        assert "too few" in why
        assert (a.buckets.levels < both.buckets.levels[: a.n_groups]).any() or any(
            (a.whole[name].levels < both.whole[name].levels[: a.n_groups]).any() for name in a.whole
        )
    elif a.kind == "score_pairs":
        assert "too few" in why
        assert (a.levels < both.levels[: len(a.levels)]).any()
    else:
        # Of samples of so few scores all must be more than the cap.
        assert "too few" in why
        for group in np.flatnonzero(both.gridded[: a.n_groups]):
            if both.seen.levels[group] or len(of_all(a.take(group))) <= law.cap:
                return
        raise AssertionError("every group has enough scores")


def of_all(states: States) -> np.ndarray:
    """The distinct hashes of the scores of a single group."""
    entries = states.entries
    return states.seen.weights.keys if states.gridded[0] else np.unique(entries.score)


@settings(max_examples=settings().max_examples // 5)
@given(st.lists(st.tuples(batches(), st.booleans()), min_size=2, max_size=6))
def test_additions_and_removals_equal_what_is_there(law: Law, steps: Any) -> None:
    """After each step the states are those of a full computation over the rows there are."""
    state, there = law.zero(0), []
    for number, (made, removes) in enumerate(steps):
        if removes and there:
            gone = there.pop(number % len(there))
            try:
                state = state.minus(gone)
            except NotInvertible:
                state = law.zero(0).merge(*there)
        else:
            there.append(law.of(*made))
            state = state.merge(there[-1])
        full = law.zero(state.n_groups).merge(*there)
        same(state, full, levels=False)


@few
@given(batches())
def test_what_was_never_added_is_not_taken_away(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    states = law.of(batch, groups, n_groups)
    nothing = law.zero(n_groups)
    if equal(states, nothing):
        identical(nothing.minus(states), nothing)
        return
    for each in (law.zero(0), nothing):
        with pytest.raises(NotInvertible):
            each.minus(states)
    if law.name != "maximum":
        identical(states.minus(states), nothing)
        with pytest.raises(NotInvertible):
            states.minus(states.merge(states))


@few
@given(batches(), st.randoms(use_true_random=False))
def test_any_split_equals_the_whole(law: Law, made: Any, random: Any) -> None:
    batch, groups, n_groups = made
    unit = law.unit(batch)
    part = np.array([random.randrange(5) for _ in range(unit.max(initial=-1) + 1)], np.int64)[unit]
    total = law.zero(0)
    for each in range(5):
        of = part == each
        # A worker that has not seen the last groups yet knows fewer of them.
        seen = int(groups[of].max(initial=-1)) + 1 + random.randrange(2)
        total = total.merge(law.of(batch.at(of), groups[of], min(seen, n_groups)))
    same(law.zero(n_groups).merge(total), law.of(batch, groups, n_groups))


@few
@given(batches(), st.integers(0, 5))
def test_decode_is_the_inverse_of_encode(law: Law, made: Any, group: int) -> None:
    states = law.of(*made)
    for each in (states, states.take(group), law.zero(0), law.zero(3)):
        again = decode(each.encode())
        assert type(again) is type(each)
        assert again.n_groups == each.n_groups
        identical(again, each)
        assert again.encode() == each.encode()


@few
@given(batches(), st.lists(st.integers(0, 5)))
def test_chosen_groups_are_those_taken(law: Law, made: Any, groups: list[int]) -> None:
    """In the order asked for, some of them twice, some beyond the last."""
    states = law.of(*made)
    chosen = states.select(np.array(groups, np.int64))
    assert chosen.n_groups == len(groups)
    for place, group in enumerate(groups):
        identical(chosen.take(place), states.take(group))
    identical(decode(chosen.encode()), chosen)


@few
@given(batches(), batches(), st.randoms(use_true_random=False))
def test_placed_groups_are_added_by_their_numbers(
    law: Law, first: Any, second: Any, random: Any
) -> None:
    """The sum of two numberings brought together, which may be larger than both."""
    whole = 9
    left, right = law.of(*first), law.of(*second)
    ours, theirs = (random.sample(range(whole), each.n_groups) for each in (left, right))
    total = left.renumber(np.array(ours), whole).merge(right.renumber(np.array(theirs), whole))
    assert total.n_groups == whole
    for number in range(whole):
        parts_of = [
            states.take(numbers.index(number)) if number in numbers else law.zero(1)
            for states, numbers in ((left, ours), (right, theirs))
        ]
        identical(total.take(number), parts_of[0].merge(parts_of[1]))


@few
@given(batches(), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_groups_are_added_into_others(law: Law, made: Any, numbers: list[int]) -> None:
    """The states of slices from those of the groups that lie in them."""
    states = law.of(*made)
    targets = np.array(numbers[: states.n_groups], np.int64)
    sums = states.regroup(targets, 5)
    assert sums.n_groups == 5
    for number in range(5):
        parts_of = [states.take(group) for group in np.flatnonzero(targets == number)]
        same(sums.take(number), law.zero(1).merge(*parts_of), levels=False)
    identical(decode(sums.encode()), sums)


def test_a_numbering_without_a_number_for_each_group_is_refused() -> None:
    states = CONFUSION.zero(3)
    for numbers in ([0, 1], [0, 1, 1], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="distinct numbers"):
            states.renumber(np.array(numbers), 4)


@few
@given(batches(), batches())
def test_input_is_not_changed(law: Law, first: Any, second: Any) -> None:
    before = copy.deepcopy((first, second))
    left, right = law.of(*first), law.of(*second)
    kept = copy.deepcopy((parts(left), parts(right)))
    left.merge(right)
    view(left.take(0))
    for (batch, groups, _), (batch_before, groups_before, _) in zip(
        (first, second), before, strict=True
    ):
        np.testing.assert_array_equal(groups, groups_before)
        for name in ("truth", "weight", "bucket", "scores", "predicted", "query"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(batch_before, name))
    for states, was in zip((left, right), kept, strict=True):
        for name, value in parts(states).items():
            np.testing.assert_array_equal(value, was[name])


@few
@given(batches(), st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(law: Law, made: Any, seed: int) -> None:
    batch, groups, n_groups = made
    order = np.random.default_rng(seed).permutation(len(batch))
    same(law.of(batch.at(order), groups[order], n_groups), law.of(batch, groups, n_groups))


@few
@given(batches())
def test_weights_of_one_equal_none(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    ones = np.ones(len(batch))
    weighted = replace(batch, weight=ones, _cache={})
    unweighted = replace(batch, weight=ones, unweighted=True, _cache={})
    same(law.of(weighted, groups, n_groups), law.of(unweighted, groups, n_groups))


@few
@given(batches())
def test_weight_two_is_the_row_twice(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    twice = np.repeat(np.arange(len(batch)), 2)
    doubled = replace(batch, weight=2 * batch.weight, _cache={})
    left = law.of(doubled, groups, n_groups)
    right = law.of(batch.at(twice), groups[twice], n_groups)
    close(law.twice(left), law.twice(right))


@few
@given(batches())
def test_weight_zero_is_no_row(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    some = np.flatnonzero(batch.weight > 0)
    left = law.of(batch, groups, n_groups)
    right = law.of(batch.at(some), groups[some], n_groups)
    close(law.twice(left), law.twice(right))


@few
@given(batches())
def test_groups_together_equal_each_alone(law: Law, made: Any) -> None:
    batch, groups, n_groups = made
    together = law.of(batch, groups, n_groups)
    for group in range(n_groups):
        own = np.flatnonzero(groups == group)
        same(together.take(group), law.of(batch.at(own), np.zeros(len(own), np.int64), 1))
    identical(together.take(n_groups), law.zero(1))


def test_states_of_unlike_parameters_refuse_to_merge() -> None:
    zeros = [
        Confusion(2).zero(1),
        Confusion(3).zero(1),
        MEAN.zero(1),
        MAXIMUM.zero(1),
        SCORE_PAIRS.zero(1),
        SCORES.zero(1),
        VALUES.zero(1),
        RANKS.zero(1),
        LABELS.zero(1),
        Labels(4).zero(1),
        Sums(np.zeros((1, BUCKETS, 6))),
        Sums(np.zeros((1, 1, 6))),
        Sums(np.zeros((1, BUCKETS, 4))),
    ]
    for i, left in enumerate(zeros):
        for j, right in enumerate(zeros):
            if i != j:
                with pytest.raises(ValueError, match="unlike parameters"):
                    left.merge(right)
        assert left.merge(left).n_groups == 1
