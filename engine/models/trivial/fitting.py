"""Fits the trivial models on rows of the training data, with scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InputError
from engine.models.trivial.encoding import (
    InputColumn,
    NumberColumn,
    TextColumn,
    code_texts,
    encode,
    read_numbers,
    to_json,
)

# A value of a text is one of its own from this share of the rows on, and there are at most so many.
MIN_SHARE = 0.01
MOST_VALUES = 20
# More is no use: a linear model that has not come to an end by then is as good as it gets.
_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to fit trivial models on.

    `target` are class indices (int64, `n_classes` of them) or values (float64, `n_classes` 0), and
    `weight` is what each row counts, more than 0.
    """

    table: pa.Table
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    target: np.ndarray
    weight: np.ndarray
    n_classes: int = 0


@dataclass(slots=True)
class Inputs:
    """The columns that a model is fitted on, with what is learned of each; why others are not."""

    columns: list[InputColumn] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def learn_inputs(sample: Sample) -> Inputs:
    """What fills and scales numbers, and the frequent values of texts.

    Raises:
        InputError: when no column differs between the rows.
    """
    inputs = Inputs()
    for name in sample.numbers:
        column = _number_column(name, read_numbers(sample.table.column(name)))
        if isinstance(column, str):
            inputs.left_out[name] = column
        else:
            inputs.columns.append(column)
    for name in sample.texts:
        texts = _text_column(name, sample.table.column(name))
        if texts is None:
            inputs.left_out[name] = "no two of its values are frequent"
        else:
            inputs.columns.append(texts)
    if not inputs.columns:
        listed = ", ".join(f"{name!r} ({why})" for name, why in inputs.left_out.items())
        raise InputError(f"no column tells its rows apart: {listed}")
    return inputs


def fit_stump(sample: Sample, inputs: Inputs) -> dict[str, Any]:
    """A decision tree of depth 1: which column it cuts where, and what it says on both sides."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind: Any = DecisionTreeClassifier if sample.n_classes else DecisionTreeRegressor
    tree = _fit(kind(max_depth=1, random_state=0), sample, inputs.columns)
    grown = tree.tree_
    says = [_says(tree, grown.value[node, 0], sample.n_classes) for node in range(grown.node_count)]
    if len(says) == 1:
        # No cut makes the sides purer.
        return {"constant": says[0]}
    first, at = 0, int(grown.feature[0])
    for column in inputs.columns:
        if at < first + column.width:
            break
        first += column.width
    low, high = (int(grown.children_left[0]), int(grown.children_right[0]))
    return {
        "columns": to_json([column]),
        "at": at - first,
        "threshold": float(grown.threshold[0]),
        "low": says[low],
        "high": says[high],
    }


def _says(tree: Any, value: np.ndarray, n_classes: int) -> Any:
    """What a leaf says: a value, or the shares of all classes."""
    if not n_classes:
        return float(value[0])
    shares = np.zeros(n_classes)
    shares[np.asarray(tree.classes_, np.int64)] = value / value.sum()
    return shares.tolist()


def fit_linear(sample: Sample, inputs: Inputs) -> dict[str, Any]:
    """A logistic regression, or of a regression a linear one, both with a ridge of 1.

    Weights are scaled to a mean of 1, so that the ridge is the same whatever they add up to.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    model: Any = LogisticRegression(max_iter=_ROUNDS) if sample.n_classes else Ridge()
    line = _fit(model, sample, inputs.columns)
    content = {
        "columns": to_json(inputs.columns),
        "weights": np.atleast_2d(line.coef_).tolist(),
        "intercepts": np.atleast_1d(line.intercept_).tolist(),
    }
    if sample.n_classes:
        content |= {"places": line.classes_.tolist(), "classes": sample.n_classes}
    return content


FITS: dict[str, Callable[[Sample, Inputs], dict[str, Any]]] = {
    "stump": fit_stump,
    "linear": fit_linear,
}


def _fit(model: Any, sample: Sample, columns: Sequence[InputColumn]) -> Any:
    weight = sample.weight / sample.weight.mean()
    with warnings.catch_warnings():
        # That it has not come to an end, or that numbers are large, makes no trivial model worse.
        warnings.simplefilter("ignore")
        return model.fit(encode(sample.table, columns), sample.target, sample_weight=weight)


def _number_column(name: str, values: np.ndarray) -> NumberColumn | str:
    """What fills and scales a column; else why nothing does, in words."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    known = np.where(np.isfinite(values), values, np.nan)[:, None]
    if np.isnan(known).all():
        return "it has no numbers"
    imputer = SimpleImputer(strategy="median").fit(known)
    with np.errstate(all="ignore"):
        scaler = StandardScaler().fit(imputer.transform(known))
    fill, mean, scale = imputer.statistics_[0], scaler.mean_[0], scaler.scale_[0]
    if not np.isfinite([fill, mean, scaler.var_[0]]).all():
        return "its numbers are too large"
    if not scaler.var_[0] > 0:
        return "its numbers do not differ"
    return NumberColumn(name, float(fill), float(mean), float(scale))


def _text_column(name: str, column: pa.ChunkedArray) -> TextColumn | None:
    """The frequent values of a column; None where there are no two to tell apart."""
    from sklearn.preprocessing import OneHotEncoder

    codes, texts = code_texts(column)
    values = np.array(texts, object)[codes][:, None]
    encoder = OneHotEncoder(
        min_frequency=MIN_SHARE,
        max_categories=MOST_VALUES,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    ).fit(values)
    rare = encoder.infrequent_categories_[0]
    rare_values = set() if rare is None else set(rare.tolist())
    frequent = tuple(value for value in encoder.categories_[0] if value not in rare_values)
    if len(frequent) + bool(rare_values) < 2:
        return None
    return TextColumn(name, frequent, bool(rare_values))
