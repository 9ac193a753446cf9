"""The shipped files are what `data/make_data.py` makes, and no test row is trained on."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest

from engine.training import read_config


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    """Runs the script into another folder; gives that folder and the files."""
    spec = importlib.util.spec_from_file_location("make_data", root / "data" / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    # Its dataclasses look their module up.
    sys.modules["make_data"] = module
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("made")
    return folder, module.write(folder)


def test_the_shipped_files_are_what_the_script_makes(made, root):
    folder, paths = made
    shipped = {path.relative_to(root / "models") for path in root.glob("models/*/*_data/*.csv")}
    assert {path.relative_to(folder) for path in paths} == shipped
    for name in shipped:
        assert (root / "models" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("model", "rows", "label"),
    [
        ("breast_cancer_forest", (60, 54), "target"),
        ("digits_forest", (500, 399), "digit"),
        ("digits_cnn", (500, 399), "digit"),
        ("diabetes_mlp", (120, 101), "progression"),
    ],
)
def test_the_test_rows_are_those_that_training_holds_out(root, model, rows, label):
    from sklearn.model_selection import train_test_split

    folder = root / "models" / model
    parts = [pd.read_csv(folder / "test_data" / f"part-{number}.csv") for number in (0, 1)]
    assert tuple(map(len, parts)) == rows
    test = pd.concat(parts)
    assert (test.columns[0], test.columns[-1]) == ("id", label)
    (path,) = (folder / "train_data").glob("*.csv")
    whole = pd.read_csv(path)
    split = read_config(folder).split
    _, held_out = train_test_split(
        np.arange(len(whole)),
        test_size=split.test_size,
        random_state=split.random_state,
        stratify=whole[label] if split.stratify else None,
    )
    assert sorted(held_out) == test["id"].tolist()
    same = test.set_index("id")[list(whole.columns)]
    pd.testing.assert_frame_equal(same, whole.loc[same.index], check_names=False)
