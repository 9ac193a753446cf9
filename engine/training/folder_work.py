"""The folds of a model folder: fitted by its own code, measured by scikit-learn's scorers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import resample
from sklearn.utils.metaestimators import available_if

from engine.core.vocabulary import ColumnSpec, ModelVersion, TaskKind, TensorSpec
from engine.models import Predictor
from engine.models.load import FLAVORS
from engine.training.config import ModelConfig
from engine.training.fitting import ModelCode, fit_native, seed_generators
from engine.training.folds import Fold
from engine.training.rows import Rows, model_inputs
from engine.training.scoring import score
from engine.training.tasks import FoldTask

_OF_CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})


@dataclass(frozen=True)
class FolderWork:
    """The rows for training of a folder, its code and its folds.

    Attributes:
        code: of the folder.
        config: of the folder; a candidate's hyperparameters count before its `params`.
        inputs: the features of the rows, as a frame.
        labels: of the rows, of shape [n].
        folds: places in `inputs`.
        metrics: what is measured.
    """

    code: ModelCode
    config: ModelConfig
    inputs: pd.DataFrame
    labels: np.ndarray
    folds: Sequence[Fold]
    metrics: Sequence[str]

    @classmethod
    def of(
        cls, code: ModelCode, config: ModelConfig, rows: Rows, folds: Sequence[Fold], metrics: Any
    ) -> FolderWork:
        """The work on the rows for training: those held out are not in it."""
        data = rows.data.iloc[rows.train]
        labels = data[rows.label].to_numpy()
        return cls(code, config, data[rows.features], labels, tuple(folds), tuple(metrics))

    @property
    def framework(self) -> str:
        return self.config.framework

    def prepare(self) -> None:
        """Imports the code, and the framework with it.

        Raises:
            ModelError: where it cannot be imported.
        """
        self.code.load()
        seed_generators(self.config.seed, self.framework)

    def fit(self, task: FoldTask) -> tuple[Any, int]:
        """Fits a task's candidate on its fold, seeded as a training would be."""
        assert not isinstance(task.candidate, str), "the candidates of a folder are parameters"
        module = self.code.load()
        seed_generators(self.config.seed, self.framework)
        places = self._places(self.folds[task.fold].train, task)
        inputs = model_inputs(self.inputs.iloc[places], self.config)
        return fit_native(module, inputs, self.labels[places], task.candidate), len(places)

    def measure(self, task: FoldTask, model: Any) -> tuple[dict[str, float], int, str | None]:
        """Measures it as scikit-learn would, with labels as places among the classes."""
        places = self._places(self.folds[task.fold].test, task)
        frame, labels = self.inputs.iloc[places], self.labels[places]
        classes = self.classes
        truth = labels if classes is None else np.searchsorted(classes, labels)
        if self.framework == "sklearn":
            rows: Any = model_inputs(frame, self.config)
            estimator = _Sklearn(model, classes) if classes is not None else model
        else:
            rows, estimator = frame, self._network(model)
        values, error = score(estimator, rows, truth, self.metrics)
        return values, len(places), error

    def _places(self, places: np.ndarray, task: FoldTask) -> np.ndarray:
        """A fold's rows, or a share of them as scikit-learn's halving draws it."""
        if task.fraction is None:
            return places
        count = int(task.fraction * len(places))
        drawn: np.ndarray = resample(
            places, replace=False, random_state=self.config.seed, n_samples=count
        )
        return drawn

    @property
    def classes(self) -> np.ndarray | None:
        """The labels of all the rows, in order; None where the task has values."""
        return np.unique(self.labels) if self.config.task in _OF_CLASSES else None

    def _network(self, native: Any) -> Any:
        """A network as it would be loaded and asked by a worker."""
        config = self.config
        if config.framework == "pytorch":
            native.eval()
        tensor = config.tensor
        inputs: Any = tuple(ColumnSpec(str(name), "double") for name in self.inputs.columns)
        if tensor is not None:
            inputs = (TensorSpec(None, tensor.dtype, tuple(tensor.shape)),)
        classes = self.classes
        version = ModelVersion(
            name=config.name,
            uri="",
            version=None,
            digest="",
            path="",
            flavor=config.framework,
            task=config.task,
            output=config.output,
            classes=() if classes is None else tuple(classes.tolist()),
            inputs=inputs,
            features=tuple(map(str, self.inputs.columns)),
        )
        runner = FLAVORS[config.framework].make_runner(native, version)
        predictor = Predictor(version, runner, native)
        return _ValueNetwork(predictor) if classes is None else _Network(predictor)


class _Fitted(BaseEstimator):  # type: ignore[misc]
    """What is fitted already, as scikit-learn's scorers want an estimator."""

    def fit(self, rows: Any, labels: Any = None) -> _Fitted:
        """Does nothing."""
        return self


class _Sklearn(ClassifierMixin, _Fitted):  # type: ignore[misc]
    """A fitted classifier whose labels are places among all classes."""

    def __init__(self, native: Any, classes: np.ndarray) -> None:
        self.native, self.classes = native, classes
        self.classes_ = np.searchsorted(classes, native.classes_)

    def predict(self, rows: Any) -> np.ndarray:
        predicted = np.asarray(self.native.predict(rows))
        places: np.ndarray = np.searchsorted(self.classes, predicted)
        return places

    @available_if(lambda self: hasattr(self.native, "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, rows: Any) -> Any:
        return self.native.predict_proba(rows)

    @available_if(lambda self: hasattr(self.native, "decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, rows: Any) -> Any:
        return self.native.decision_function(rows)


class _Network(ClassifierMixin, _Fitted):  # type: ignore[misc]
    """A fitted network as a classifier whose labels are places among all classes."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.classes_ = np.arange(len(predictor.model.classes))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        prediction = self.predictor.predict(pa.Table.from_pandas(rows, preserve_index=False))
        if prediction.labels is not None:
            return prediction.labels
        places: np.ndarray = np.asarray(prediction.scores).argmax(axis=1)
        return places

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        prediction = self.predictor.predict(pa.Table.from_pandas(rows, preserve_index=False))
        return np.asarray(prediction.scores)


class _ValueNetwork(RegressorMixin, _Fitted):  # type: ignore[misc]
    """A fitted network as a regressor."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        # scikit-learn takes an attribute that ends so for the sign of a fitted estimator.
        self.fitted_ = True

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        prediction = self.predictor.predict(pa.Table.from_pandas(rows, preserve_index=False))
        return np.asarray(prediction.scores)
