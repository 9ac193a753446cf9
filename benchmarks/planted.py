"""Models and tables with a planted defect beside sound ones: what `rates.py` tries each kind on.

`CASES` has one or more for each kind of test, but for those that are tried `ELSEWHERE`. A model is
a small one of scikit-learn, a defect is one that happens: rows known by heart, a null that is
filled with 0, words that must be spelled as they were, a batch that is normalised by its own mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from one_process import LABEL, Bench, Lab
from planted_drift import DRIFT
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from engine.models.load import load

Frame = pd.DataFrame
TRAINING = 1_000_000_007
NUMBERS = ["a", "b"]
LEAK = 0.95
TREES, SLOWER = 20, 0.2


@dataclass(frozen=True)
class Case:
    """A test of a kind with a planted defect and a sound model.

    Attributes:
        test: the test as a suite has it, without its limit.
        limit: the condition's key and its limit.
        bench: what it is tried on, of a defect or sound, for a seed.
        defect: what is planted, in words.
        sound: what is sound, in words.
        at_limit: the bench whose true figure is taken as the limit, for the hardest case that the
            condition allows: True the one with the defect, False the sound one, None for a kind
            that is decided by the figure itself.
        decided: what the test at its limit says besides.
    """

    test: Mapping[str, Any]
    limit: tuple[str, float]
    bench: Callable[[Lab, bool, int], Bench]
    defect: str
    sound: str
    at_limit: bool | None = True
    decided: Mapping[str, Any] | None = None

    def asked(self, limit: float | None = None) -> dict[str, Any]:
        """The test with its limit, or another one."""
        key, usual = self.limit
        if limit is None:
            return {**self.test, key: usual}
        return {**self.test, key: limit, **(self.decided or {})}


# Rows.


def rng_of(seed: int, *tags: int) -> np.random.Generator:
    return np.random.default_rng([20_261_130, seed, *tags])


def with_key(frame: Frame, label: NDArray[Any]) -> Frame:
    """Rows with a label and a key."""
    return frame.assign(**{LABEL: label, "key": np.arange(len(frame))})


def numbers(seed: int, rows: int) -> Frame:
    """Two numbers about 10 that tell much the same of the label, and a third that tells nothing."""
    rng = rng_of(seed, 1)
    factor = rng.normal(size=rows)
    columns = {name: 10 + 2 * (factor + 0.6 * rng.normal(size=rows)) for name in NUMBERS}
    columns["c"] = 10 + 2 * rng.normal(size=rows)
    return with_key(pd.DataFrame(columns), (factor + 0.4 * rng.normal(size=rows) > 0).astype(int))


def people(seed: int, rows: int, leak: float) -> Frame:
    """A number that tells of the label, and a sex and a country that tell of it by `leak`."""
    rng = rng_of(seed, 2)
    a = rng.normal(size=rows)
    label = (a + 0.7 * rng.normal(size=rows) > 0).astype(int)

    def category(first: str, others: list[str]) -> NDArray[Any]:
        told = rng.random(rows) < leak
        hit = np.where(told, label == 1, rng.random(rows) < 0.5)
        return np.where(hit, first, rng.choice(others, rows)).astype(object)

    return with_key(
        pd.DataFrame(
            {"a": a, "sex": category("f", ["m"]), "country": category("de", ["fr", "it", "es"])}
        ),
        label,
    )


def words_of(text: str) -> list[str]:
    return text.split()


GOOD = words_of(
    "excellent wonderful pleasant delicious beautiful friendly generous brilliant charming helpful "
    "fantastic perfect comfortable spotless memorable enjoyable attentive reliable"
)
BAD = words_of(
    "terrible horrible unpleasant disgusting dreadful hostile careless miserable annoying useless "
    "pathetic broken filthy overpriced forgettable disappointing negligent unreliable"
)
NEUTRAL = words_of(
    "the room was near station and our waiter brought breakfast before noon while music played in "
    "garden with several guests from another hotel who had arrived late on Sunday after dinner"
)


def reviews(seed: int, rows: int) -> Frame:
    """Texts of a dozen words, of which two tell whether somebody was pleased."""
    rng = rng_of(seed, 3)
    label = rng.integers(0, 2, rows)
    texts = []
    for pleased in label:
        words = [*rng.choice(NEUTRAL, 10), *rng.choice(GOOD if pleased else BAD, 2)]
        texts.append(" ".join(rng.permutation(words)))
    return with_key(pd.DataFrame({"text": texts}), label)


@cache
def digits() -> tuple[Frame, Frame]:
    """Half of scikit-learn's digits to train on, the other half as the population."""
    images, label = load_digits(return_X_y=True)
    order = rng_of(0, 4).permutation(len(images))
    frame = pd.DataFrame({"pixels": list(images / 16.0)})
    every = with_key(frame, label)
    half = len(order) // 2
    return every.iloc[order[:half]], every.iloc[order[half:]]


def images(seed: int, rows: int) -> Frame:
    """Images of the population, each as often as it is drawn."""
    _, population = digits()
    drawn = rng_of(seed, 5).integers(0, len(population), rows)
    frame = population.iloc[drawn].reset_index(drop=True)
    return frame.assign(key=np.arange(rows))


# Parts of models.


class WithinRange(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What lies outside of the training data's range is taken for missing."""

    def fit(self, frame: Frame, label: Any = None) -> WithinRange:
        values = np.asarray(frame, float)
        self.low_, self.high_ = values.min(axis=0), values.max(axis=0)
        return self

    def transform(self, frame: Frame) -> NDArray[Any]:
        values = np.asarray(frame, float)
        return np.where((values >= self.low_) & (values <= self.high_), values, np.nan)


def of_numbers(*steps: Any) -> Pipeline:
    """A logistic regression behind some steps."""
    return make_pipeline(*steps, LogisticRegression(max_iter=1000))


def of_categories(*names: str) -> Pipeline:
    """A logistic regression of `a` and of categories, which takes those that it does not know."""
    known = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("a", SimpleImputer(), ["a"]), ("of", known, list(names))])
    return make_pipeline(columns, LogisticRegression())


def stacked(frame: Frame) -> NDArray[Any]:
    return np.stack(frame["pixels"].to_numpy())


def minus_mean(frame: Frame) -> Frame:
    return frame - frame.mean()


def fill_from_above(frame: Frame) -> Frame:
    return frame.ffill().fillna(10.0)


def drop_out(frame: Frame) -> Frame:
    return frame * (np.random.default_rng().random(frame.shape) > 0.1)


class Lookup(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Countries by a dictionary, as somebody writes it in a hurry."""

    def fit(self, frame: Frame, label: Any = None) -> Lookup:
        self.codes_ = {name: place for place, name in enumerate(sorted(frame["country"].unique()))}
        return self

    def transform(self, frame: Frame) -> NDArray[Any]:
        codes = [self.codes_[name] for name in frame["country"]]
        return np.column_stack([frame["a"].fillna(0.0), codes])


class Unclipped(LogisticRegression):  # type: ignore[misc]
    """Probabilities on a straight line, which leaves 0 to 1."""

    def predict_proba(self, values: Any) -> NDArray[Any]:
        share = 0.5 + 0.25 * self.decision_function(values)
        return np.column_stack([1 - share, share])


class Propagating(LogisticRegression):  # type: ignore[misc]
    """Answers NaN where a number is missing."""

    def decision_function(self, values: Any) -> NDArray[Any]:
        values = np.asarray(values, float)
        missing = np.isnan(values).any(axis=1)
        return np.where(missing, np.nan, super().decision_function(np.nan_to_num(values)))

    def predict_proba(self, values: Any) -> NDArray[Any]:
        share = 1 / (1 + np.exp(-self.decision_function(values)))
        return np.column_stack([1 - share, share])

    def predict(self, values: Any) -> NDArray[Any]:
        return (self.decision_function(values) > 0).astype(int)


# Benches.


def fitted(lab: Lab, name: str, make: Callable[[], Any], train: Frame, features: list[str]) -> Any:
    """A model that is fitted once on rows."""
    classes = sorted(train[LABEL].unique().tolist())
    return lab.model(name, lambda: make().fit(train[features], train[LABEL]), features, classes)


def on_numbers(
    name: str, sound: Callable[[], Any], planted: Callable[[], Any], rows: int = 800
) -> Callable[[Lab, bool, int], Bench]:
    """One of two models of the numbers, fitted once."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        make = planted if defect else sound
        model = fitted(lab, f"{name}-{defect}", make, numbers(TRAINING, 2_000), NUMBERS)
        return Bench([model], numbers(seed, rows))

    return bench


def by_heart(lab: Lab, defect: bool, seed: int) -> Bench:
    """Rows that the model has seen: one knows them by heart, the other knows the rule."""
    rows = numbers(seed, 800)
    if defect:
        model = fitted(lab, f"heart-{seed}", lambda: KNeighborsClassifier(1), rows, NUMBERS)
    else:
        model = fitted(lab, "rule", LogisticRegression, numbers(TRAINING, 2_000), NUMBERS)
    return Bench([model], rows)


def on_people(*names: str) -> Callable[[Lab, bool, int], Bench]:
    """A model that was trained where these columns leak the label, or where they do not."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        leak = LEAK if defect else 0.0
        name = f"people-{defect}-{'-'.join(names)}"
        train = people(TRAINING, 4_000, leak)
        model = fitted(lab, name, lambda: of_categories(*names), train, ["a", *names])
        return Bench([model], people(seed, 800, leak))

    return bench


def on_reviews(lab: Lab, defect: bool, seed: int) -> Bench:
    """Whole words, or pieces of words that survive a slip."""
    pieces: dict[str, Any] = {} if defect else {"analyzer": "char_wb", "ngram_range": (2, 4)}
    columns = ColumnTransformer([("text", TfidfVectorizer(**pieces), "text")])
    train = reviews(TRAINING, 3_000)
    model = fitted(
        lab, f"reviews-{defect}", lambda: make_pipeline(columns, LogisticRegression()), train,
        ["text"],
    )  # fmt: skip
    return Bench([model], reviews(seed, 600))


def on_images(key: str, sound: Callable[[], Any], planted: Callable[[], Any]) -> Any:
    """One of two models of the digits."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        make = planted if defect else sound
        train, _ = digits()
        model = fitted(
            lab, f"{key}-{defect}", lambda: make_pipeline(FunctionTransformer(stacked), make()),
            train, ["pixels"],
        )  # fmt: skip
        return Bench([model], images(seed, 600))

    return bench


def turning(seed: int, rows: int) -> Frame:
    """A label that turns with `a`: it is likely where `a` is large, and where it is very small."""
    rng = rng_of(seed, 6)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    signal = np.where(a < -0.8, -1.6 - a, a) + b
    return with_key(
        pd.DataFrame({"a": a, "b": b}), (signal + rng.normal(size=rows) > 0).astype(int)
    )


def on_direction(lab: Lab, defect: bool, seed: int) -> Bench:
    """Trees that follow the data where they turn, or that are told to rise with `a`."""
    told: dict[str, Any] = {} if defect else {"monotonic_cst": [1, 0]}

    def make() -> Any:
        return HistGradientBoostingClassifier(max_iter=30, random_state=0, **told)

    model = fitted(lab, f"turning-{defect}", make, turning(TRAINING, 3_000), NUMBERS)
    return Bench([model], turning(seed, 800))


def on_contract(name: str, planted: Callable[[], Any]) -> Callable[[Lab, bool, int], Bench]:
    """A pipeline with a defect, or the one that is sound for all checks; rows with nulls."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        make = planted if defect else lambda: of_categories("country")
        train = people(TRAINING, 1_000, 0.3)
        model = fitted(lab, f"{name}-{defect}", make, train, ["a", "country"])
        rows = people(seed, 100, 0.3)
        return Bench([model], rows.assign(a=rows["a"].mask(rng_of(seed, 7).random(100) < 0.1)))

    return bench


def of_a(*steps: Any, model: Any = None) -> Pipeline:
    """A model of `a` behind some steps, which does not look at the country."""
    only = ColumnTransformer([("a", "passthrough", ["a"])], verbose_feature_names_out=False)
    return make_pipeline(only.set_output(transform="pandas"), *steps, model or LogisticRegression())


def fill() -> SimpleImputer:
    return SimpleImputer().set_output(transform="pandas")


def trained(lab: Lab, name: str, make: Callable[[], Any], train: Frame, seed: int) -> Bench:
    """A model that is trained anew for each seed, with its training data as the reference."""
    model = fitted(lab, f"{name}-{seed}", make, train, NUMBERS)
    return Bench([model], numbers(seed, 800), train)


def on_training_rows(lab: Lab, defect: bool, seed: int) -> Bench:
    """The nearest neighbour, which has its rows by heart, or a logistic regression."""
    make = (lambda: KNeighborsClassifier(1)) if defect else LogisticRegression
    train = numbers(TRAINING + seed + 1, 800)
    return trained(lab, f"overfit-{defect}", make, train, seed)


def on_shuffled_labels(lab: Lab, defect: bool, seed: int) -> Bench:
    """A model that was trained on labels in any order, or on the labels."""
    train = numbers(TRAINING + seed + 1, 800)
    shuffled = rng_of(seed, 8).permutation(train[LABEL])
    given = train.assign(**{LABEL: shuffled}) if defect else train
    bench = trained(lab, f"shuffled-{defect}", LogisticRegression, given, seed)
    return Bench(bench.models, bench.rows, train)


def on_versions(lab: Lab, defect: bool, seed: int) -> Bench:
    """A new version that reads another column than it was trained on, or one of other rows."""
    old = fitted(lab, "old", LogisticRegression, numbers(TRAINING, 2_000), NUMBERS)
    train = numbers(TRAINING + 1, 2_000)
    features = NUMBERS
    if defect:
        train, features = train.assign(c=train["a"]), ["c", "b"]
    new = fitted(lab, f"new-{defect}", LogisticRegression, train, features)
    return Bench([old, new], numbers(seed, 800))


def on_table(lab: Lab, defect: bool, seed: int) -> Bench:
    """A table of which one row in ten lost a value, or one in a hundred."""
    model = fitted(lab, "rule", LogisticRegression, numbers(TRAINING, 2_000), NUMBERS)
    rows = numbers(seed, 800)
    holes = rng_of(seed, 9).random(len(rows)) < (0.1 if defect else 0.01)
    return Bench([model], rows.assign(c=rows["c"].mask(holes)))


def forest(trees: int, note: str = "") -> RandomForestClassifier:
    """A forest; with a note it has bytes of its own, so that a process loads it by itself."""
    model = RandomForestClassifier(trees, max_depth=6, n_jobs=1, random_state=0)
    model.note_ = note
    return model


def saved_forest(lab: Lab, trees: int, note: str) -> Any:
    train = numbers(TRAINING, 1_000)
    return fitted(lab, f"forest{trees}{note}", lambda: forest(trees, note), train, NUMBERS)


@cache
def trees_more(folder: Path, rows: int) -> int:
    """How many trees make a call of so many rows take a fifth longer on this machine.

    By the middle of calls of two forests in turns: what one tree takes, and what all else does.
    """
    lab = Lab(folder)
    batch = pa.Table.from_pandas(numbers(0, rows), preserve_index=False)
    few, many = (load(saved_forest(lab, trees, "timed")) for trees in (TREES, 2 * TREES))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(600):
        started = time.perf_counter()
        (many if turn % 2 else few).predict(batch)
        seconds[bool(turn % 2)].append(time.perf_counter() - started)
    one, two = (float(np.median(seconds[which])) for which in (False, True))
    return round(SLOWER * one / (two - one) * TREES)


def on_forests(rows: int) -> Callable[[Lab, bool, int], Bench]:
    """A forest beside itself, or beside one that is a fifth slower for calls of so many rows."""

    def bench(lab: Lab, defect: bool, seed: int) -> Bench:
        trees = TREES + (trees_more(lab.folder / f"timed{rows}", rows) if defect else 0)
        models = [saved_forest(lab, TREES, ""), saved_forest(lab, trees, "again")]
        return Bench(models, numbers(seed, 100))

    return bench


# Kinds that are tried elsewhere, most of which ask in SQL: the pages that say what they find.
ELSEWHERE = {"discover": "discover.md", "endpoint": "endpoint.md", "leakage": "leakage.md"}

# The cases.

IMAGE = {"column": "pixels", "shape": [8, 8]}


def robust(key: str, of: Any, severity: int) -> dict[str, Any]:
    return {"robustness": {key: of, "severities": [severity]}, "metric": "accuracy"}


def median() -> SimpleImputer:
    return SimpleImputer(strategy="median")


def zero() -> SimpleImputer:
    return SimpleImputer(strategy="constant", fill_value=0.0)


def neighbours() -> KNeighborsClassifier:
    return KNeighborsClassifier(3)


def tree() -> DecisionTreeClassifier:
    return DecisionTreeClassifier(random_state=0)


DROP = ("max_drop", 0.05)
BREACHES = ("max_breaches", 0)

CASES: dict[str, list[Case]] = {
    "metric": [
        Case(
            {"metric": "accuracy"}, ("max_drop", 0.02), on_versions,
            "a version that reads another column than it was trained on",
            "a version trained on other rows",
        ),
    ],
    "robustness": [
        Case(
            robust("noise", NUMBERS, 2), DROP, by_heart,
            "the nearest neighbour, asked about rows that it has by heart", "logistic regression",
        ),
        Case(
            robust("missing", NUMBERS, 4), DROP,
            on_numbers("missing", lambda: of_numbers(median()), lambda: of_numbers(zero())),
            "null filled with 0, of numbers about 10", "null filled with the median",
        ),
        Case(
            robust("scale", NUMBERS, 4), DROP,
            on_numbers("scale", lambda: of_numbers(WithinRange(), median()), of_numbers),
            "numbers taken as they come", "what is out of range taken for missing",
        ),
        Case(
            robust("swap", ["country"], 4), DROP, on_people("country"),
            "a model that leans on a country that leaks the label", "one that has no reason to",
        ),
        Case(
            robust("typos", ["text"], 5), ("max_drop", 0.04), on_reviews,
            "TF-IDF of whole words", "TF-IDF of two to four letters",
        ),
        Case(
            robust("gaussian_noise", IMAGE, 1), DROP,
            on_images("gaussian_noise", neighbours, tree),
            "a tree on single pixels (digits)", "three nearest neighbours (digits)",
        ),
        Case(
            robust("blur", IMAGE, 2), DROP, on_images("blur", neighbours, tree),
            "a tree on single pixels (digits)", "three nearest neighbours (digits)",
        ),
    ],
    "invariance": [
        Case(
            {"invariance": {"swap": "sex"}}, ("max_flips", 0.05), on_people("sex"),
            "a model that leans on the sex, which leaks the label", "one that has no reason to",
        ),
    ],
    "direction": [
        Case(
            {"direction": {"increase": "a", "by": 0.3, "score": "up"}}, ("max_violations", 0.05),
            on_direction, "trees that turn where the data do", "trees told to rise",
        ),
    ],
    "contract": [
        Case(
            {"contract": [check]}, BREACHES, on_contract(check, make), defect,
            "logistic regression behind an imputer and one-hot columns", None,
        )
        for check, make, defect in (
            ("deterministic", lambda: of_a(fill(), FunctionTransformer(drop_out)),
             "a drop-out that is still on"),
            ("batch_equals_row", lambda: of_a(fill(), FunctionTransformer(minus_mean)),
             "a batch normalised by its own mean"),
            ("order", lambda: of_a(FunctionTransformer(fill_from_above)),
             "null filled from the row above"),
            ("nulls", lambda: of_a(model=Propagating()),
             "null answered by NaN"),
            ("unseen", lambda: make_pipeline(Lookup(), LogisticRegression()),
             "a category looked up in a dictionary"),
            ("probabilities", lambda: of_a(fill(), model=Unclipped()),
             "probabilities on a straight line"),
        )
    ],
    "speed": [
        Case(
            {"speed": "latency_p50"}, ("max_ratio", 1.0), on_forests(1),
            "a forest with as many trees more as take a fifth of its time", "the same forest again",
            None,
        ),
    ],
    "overfit": [
        Case(
            {"overfit": "accuracy"}, ("max_gap", 0.05), on_training_rows,
            "the nearest neighbour, which has its rows by heart", "logistic regression",
        ),
    ],
    "baseline_models": [
        Case(
            {"baseline_models": ["majority"], "metric": "log_loss"}, ("min_gain", 0.1),
            on_shuffled_labels, "a model of shuffled labels", "a model of the labels", False,
        ),
    ],
    "data_quality": [
        Case(
            {"data_quality": {"not_null": ["c"]}}, ("max_share", 0.05), on_table,
            "nulls in 10 % of the rows", "nulls in 1 % of the rows", True, {"decide": "interval"},
        ),
    ],
}  # fmt: skip
CASES |= {kind: [Case(*given) for given in cases] for kind, cases in DRIFT.items()}
