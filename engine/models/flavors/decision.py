"""How a scikit-learn classifier decides: by its largest score, or by a rule of its own.

A tuned threshold, the votes of an SVC, an estimator that somebody wrote: what `predict` says need
not be the class of the largest probability, and then it is `predict` that decides. Of the
estimators that are listed here it is that class; of other ones of these libraries both are asked
for; of anybody's own code some rows are looked at first (`engine.planning.decisions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Classes by whose `predict` the largest score decides, ties as argmax has them.
_BY_SCORE = {
    "sklearn": {
        "AdaBoostClassifier",
        "BaggingClassifier",
        "BaseDecisionTree",
        "CalibratedClassifierCV",
        "ForestClassifier",
        "HistGradientBoostingClassifier",
        "KNeighborsClassifier",
        "BaseLabelPropagation",
        "LinearClassifierMixin",
        "MLPClassifier",
        "QuadraticDiscriminantAnalysis",
        "DiscriminantAnalysisPredictionMixin",
        "_BaseNB",
        "_ConstantPredictor",
        "_RidgeClassifierMixin",
        # By the largest mean probability; hard votes have no scores at all.
        "VotingClassifier",
    },
    "xgboost": {"XGBClassifier"},
    "lightgbm": {"LGBMClassifier"},
}
# Where an estimator keeps the one that it asks, as it is.
_WRAPPED = ("best_estimator_", "final_estimator_")
_SCORES = ("predict_proba", "decision_function")


def decides_otherwise(native: Any) -> bool | None:
    """Whether `predict` may name another class than the largest score does.

    None where it is somebody's own code that decides, of which only its answers tell.
    """
    inner = innermost(native)
    if not any(hasattr(native, method) for method in _SCORES) or not hasattr(native, "predict"):
        return False
    if not all(map(_is_of_library, _chain(native))):
        return None
    members = _members(inner)
    if members is not None:
        return _members_decide(inner, members)
    writers = [_writer(inner, method) for method in ("predict", *_SCORES)]
    library = writers[0].__module__.partition(".")[0]
    if library not in _BY_SCORE or any(
        writer is not object and writer.__module__.partition(".")[0] != library
        for writer in writers
    ):
        return None
    if getattr(inner, "loss", None) == "modified_huber":
        # Its probabilities of several classes are cut at 0 and 1, and then alike.
        return len(inner.classes_) > 2
    return writers[0].__name__ not in _BY_SCORE[library]


def _is_of_library(link: Any) -> bool:
    """Whether who hands on the answers of another has not put a hand to them."""
    if next(iter(_chain(link))) is innermost(link):
        return True
    writers = [_writer(link, method) for method in ("predict", *_SCORES)]
    return all(writer is object or writer.__module__.startswith("sklearn.") for writer in writers)


def _members_decide(inner: Any, members: list[Any]) -> bool | None:
    """Whether the members' answers can name another class than their scores do."""
    answers = [decides_otherwise(member) for member in members]
    if None in answers:
        return None
    if type(inner).__name__ == "OneVsRestClassifier":
        # It goes by their decision functions, and its probabilities by theirs.
        linear = [
            _writer(member, "predict").__name__ == "LinearClassifierMixin"
            and getattr(member, "loss", None) != "modified_huber"
            for member in map(innermost, members)
        ]
        alike = [not hasattr(member, "decision_function") for member in members]
        if not all(one or other for one, other in zip(linear, alike, strict=True)):
            return True
    return True in answers


class _Patched:
    """Stands for the writer of a method that was put into an object itself."""


def _writer(inner: Any, method: str) -> type:
    """The class in which a method was written; `object` where there is none."""
    if method in getattr(inner, "__dict__", {}):
        return _Patched
    return next((kind for kind in type(inner).__mro__ if method in vars(kind)), object)


def _members(inner: Any) -> list[Any] | None:
    """The estimators of which one decides for each class or label; None of a single one."""
    kind = type(inner).__name__
    if not type(inner).__module__.startswith("sklearn."):
        return None
    if kind in ("OneVsRestClassifier", "MultiOutputClassifier", "ClassifierChain"):
        return list(getattr(inner, "estimators_", []))
    return None


def votes_of_pairs(native: Any) -> bool:
    """Whether `decision_function` gives a value for each pair of classes, which are no scores.

    Of three classes there are as many pairs as classes, so their number tells nothing.
    """
    classes = getattr(native, "classes_", ())
    if len(classes) < 3:
        return False
    return any(
        getattr(part, "decision_function_shape", None) == "ovo" for part in _askers(native, set())
    )


def takes_documents(native: Any) -> bool:
    """Whether what comes first is a vectorizer, which takes a sequence of texts and no table."""
    seen: set[int] = set()
    while id(native) not in seen:
        seen.add(id(native))
        if any(kind.__name__ == "_VectorizerMixin" for kind in type(native).__mro__):
            return True
        native = _first(native)
    return False


def _first(native: Any) -> Any:
    """The estimator or transformer that an estimator hands its input to, as it is."""
    for name in ("steps", "transformer_list"):
        if getattr(native, name, None):
            return getattr(native, name)[0][1]
    for name in ("best_estimator_", "estimator_", "estimator"):
        if hasattr(native, name):
            return getattr(native, name)
    members = getattr(native, "estimators_", None)
    return members[0] if isinstance(members, list) and members else native


def innermost(native: Any) -> Any:
    """The estimator that predicts, at the end of pipelines and searches."""
    return list(_chain(native))[-1]


def _chain(native: Any) -> Iterator[Any]:
    seen = set()
    while id(native) not in seen:
        yield native
        seen.add(id(native))
        native = _inner(native)


def _inner(native: Any) -> Any:
    for name in _WRAPPED:
        if hasattr(native, name):
            return getattr(native, name)
    if isinstance(getattr(native, "steps", None), list) and native.steps:
        return native.steps[-1][-1]
    if type(native).__module__.startswith(("sklearn.feature_selection", "sklearn.semi_supervised")):
        return getattr(native, "estimator_", native)
    if type(native).__name__ == "FrozenEstimator":
        return native.estimator
    return native


def _askers(native: Any, seen: set[int]) -> Iterator[Any]:
    """An estimator and those that it holds, whose decisions it may hand on."""
    if id(native) in seen or not hasattr(native, "__dict__"):
        return
    seen.add(id(native))
    yield native
    for value in vars(native).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            # The steps of a pipeline have their names beside them.
            held = part[-1] if isinstance(part, tuple) and part else part
            if hasattr(held, "predict"):
                yield from _askers(held, seen)
