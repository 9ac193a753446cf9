"""The training data of a model folder: read, split, and handed over as the model wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.core.registry import nearest
from engine.errors import DataError
from engine.training.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Rows:
    """The training data, and which of its rows are for training and which are held out."""

    data: pd.DataFrame
    label: str
    features: list[str]
    train: np.ndarray
    held_out: np.ndarray


def data_files(folder: Path, config: ModelConfig) -> list[Path]:
    """The files of the training data, in the order of their names.

    Raises:
        DataError: where there is none.
    """
    paths = sorted(folder.glob(config.train_data))
    if not paths:
        raise DataError(f"no training data: nothing matches {str(folder / config.train_data)!r}")
    return paths


def read_rows(paths: Sequence[Path], config: ModelConfig) -> Rows:
    """Reads and splits the data. Numbers become float64, as a later batch may hold nulls.

    Raises:
        DataError: where a column is missing, or a label.
    """
    data = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    label = config.label or str(data.columns[-1])
    group = config.cv.group if config.cv else None
    features = config.features or [name for name in data.columns if name not in (label, group)]
    for name in (label, *features, *([] if group is None else [group])):
        if name not in data.columns:
            close = nearest(name, map(str, data.columns))
            hint = f"; did you mean {close!r}?" if close else ""
            raise DataError(f"{str(paths[0])!r} has no column {name!r}{hint}")
    for name in (label, *([] if group is None else [group])):
        if nulls := int(data[name].isna().sum()):
            kind = "label" if name == label else "group"
            raise DataError(f"{str(paths[0])!r}: {nulls} rows have no {kind} in column {name!r}")
    numeric = data[features].select_dtypes("number").columns
    data = data.astype(dict.fromkeys(numeric, np.float64))
    train, held_out = _split(data, label, config)
    return Rows(data, label, features, train, held_out)


def _split(data: pd.DataFrame, label: str, config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """The places of the rows for training and of those held out: whole groups, where there are."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    split = config.split
    places = np.arange(len(data))
    if config.cv is not None and config.cv.group is not None:
        splitter = GroupShuffleSplit(1, test_size=split.test_size, random_state=split.random_state)
        train, held_out = next(splitter.split(places, groups=data[config.cv.group]))
        return train, held_out
    train, held_out = train_test_split(
        places,
        test_size=split.test_size,
        random_state=split.random_state,
        stratify=data[label] if split.stratify else None,
    )
    return train, held_out


def model_inputs(frame: pd.DataFrame, config: ModelConfig) -> pd.DataFrame | np.ndarray:
    """Rows of the features as the model's code gets them: a frame, or the config's tensor."""
    if config.tensor is None:
        return frame
    array = frame.to_numpy(dtype=config.tensor.dtype)
    return array.reshape(len(frame), *config.tensor.shape)


def split_params(config: ModelConfig, rows: Rows) -> dict[str, Any]:
    """What a run's page shows of how the rows were split."""
    return {
        **{f"split.{key}": value for key, value in config.split.model_dump().items()},
        "train_rows": len(rows.train),
        "held_out_rows": len(rows.held_out),
    }
