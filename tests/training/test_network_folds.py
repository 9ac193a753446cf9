"""Folds of networks, against the framework by hand: seeded, fitted and measured alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from engine.training import search_model
from engine.training.fitting import read_code
from engine.training.local_workers import LocalWorkers
from tests.fixtures.folds import here

pytestmark = pytest.mark.frameworks


def search(folder: Path, *changes: str):
    return search_model(
        folder,
        tracking_uri=f"sqlite:///{folder.parent}/mlflow.db",
        overrides=["cv.folds=2", *changes],
        options=here(make=lambda work: LocalWorkers(work, 1)),
    ).leaderboard


def copy(root: Path, place: Path, name: str) -> tuple[Path, pd.DataFrame]:
    folder = Path(shutil.copytree(root / "models" / name, place / name))
    (file,) = (folder / "train_data").glob("*.csv")
    return folder, pd.read_csv(file)


def test_a_torch_network(root, tmp_path):
    import torch

    folder, data = copy(root, tmp_path, "diabetes_mlp")
    board = search(folder, "params.epochs=8", "search={params: {hidden: [[4], [8, 4]]}}")
    rows, _ = train_test_split(data, test_size=0.5, random_state=42)
    inputs, values = rows.drop(columns="progression"), rows["progression"].to_numpy()
    module = read_code(folder).load()
    for entry in board.entries:
        params = entry.candidate.full
        expected = []
        for train, test in KFold(2).split(inputs):
            torch.manual_seed(42)
            model = module.fit(
                module.build(params), inputs.iloc[train].astype(float), values[train], params
            )
            tensor = torch.tensor(inputs.iloc[test].to_numpy(), dtype=torch.float32)
            predicted = model(tensor).detach().numpy()[:, 0]
            expected.append(r2_score(values[test], predicted))
        np.testing.assert_allclose(entry.values("r2"), expected, rtol=1e-3, atol=1e-4)


def test_a_keras_network(root, tmp_path):
    import keras

    folder, data = copy(root, tmp_path, "digits_cnn")
    board = search(folder, "params.epochs=1", "search={params: {learning_rate: [0.001, 0.01]}}")
    assert board.metrics == ("accuracy", "f1_macro", "log_loss")
    rows, _ = train_test_split(data, test_size=0.5, random_state=42, stratify=data["digit"])
    images = rows.drop(columns="digit").to_numpy("float32").reshape(-1, 8, 8, 1)
    labels = rows["digit"].to_numpy()
    module = read_code(folder).load()
    best = board.best
    expected = []
    for train, test in StratifiedKFold(2).split(images, labels):
        keras.utils.set_random_seed(42)
        params = best.candidate.full
        model = module.fit(module.build(params), images[train], labels[train], params)
        predicted = model.predict_on_batch(images[test]).argmax(axis=1)
        expected.append(accuracy_score(labels[test], predicted))
    # One thread in a worker, all of them here: sums are rounded otherwise.
    np.testing.assert_allclose(best.values("accuracy"), expected, atol=0.02)
    assert best.mean("accuracy") > 0.3
