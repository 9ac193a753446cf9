from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from engine.core.vocabulary import ConfusionMatrix, Curve, EvaluationResult, RunOutcome
from engine.sinks.report import figures

NAMES = [
    "roc_curve_plot.png",
    "precision_recall_curve_plot.png",
    "calibration_curve_plot.png",
    "confusion_matrix.png",
]


@pytest.fixture(scope="module")
def binary(full_run: RunOutcome) -> EvaluationResult:
    return full_run.evaluations[0]


def test_png_files_have_mlflows_names(binary: EvaluationResult, tmp_path: Path) -> None:
    paths = figures.save_png(binary, tmp_path / "deep")
    assert [path.name for path in paths] == NAMES
    for path in paths:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 3
    again = figures.save_png(binary, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_png_files_of_one_model(binary: EvaluationResult, tmp_path: Path) -> None:
    assert [p.name for p in figures.save_png(binary, tmp_path, model="claims-v3")] == NAMES
    assert figures.save_png(binary, tmp_path, model="nobody") == []


def test_an_evaluation_without_curves_has_no_pictures(full_run: RunOutcome, tmp_path: Path) -> None:
    regression = full_run.evaluations[2]
    assert figures.pictures(regression, "e1") == []
    assert figures.save_png(regression, tmp_path) == []


def test_svg_is_the_same_each_time_and_its_ids_are_its_own(binary: EvaluationResult) -> None:
    one, two = figures.pictures(binary, "e1"), figures.pictures(binary, "e1")
    assert one == two
    seen = [name for picture in one for name in re.findall(r'\sid="([^"]*)"', picture.svg)]
    assert len(seen) == len(set(seen)) > 20
    for picture in one:
        own = set(re.findall(r'\sid="([^"]*)"', picture.svg))
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', picture.svg)
        assert {a or b for a, b in used} <= own
        assert "<metadata" not in picture.svg
        ElementTree.fromstring(picture.svg)


def test_the_callers_style_neither_shows_nor_changes(binary: EvaluationResult) -> None:
    plain = figures.pictures(binary, "e1")
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "black"}):
        assert figures.pictures(binary, "e1") == plain
        assert mpl.rcParams["lines.linewidth"] == 9


def test_no_global_backend_is_chosen() -> None:
    code = (
        "import sys; import engine.sinks.report.figures as f\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from engine.core.vocabulary import *\n"
        "data = DatasetVersion('d', 'd', 0, 'i', 1)\n"
        "curve = Curve('roc', 'm', 'overall', [0, 1], [0, 1])\n"
        "f.pictures(EvaluationResult('e', TaskKind.BINARY, data, (), None, [], [curve]), 'e')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_names_are_text_not_mathematics_nor_markup(binary: EvaluationResult) -> None:
    name = "_$x^2$ </svg><script>alert(1)</script> 😀 \x00" + "n" * 300
    curves = (Curve("roc", name, "overall", [0, 0.2, 1], [0, 0.9, 1], label=name),)
    matrix = (ConfusionMatrix(name, "overall", (name, "$1$"), ((1.0, 0.0), (0.0, 0.0))),)
    models = (replace(binary.models[0], name=name),)
    drawn = figures.pictures(
        replace(binary, models=models, baseline=None, curves=curves, confusion=matrix), "e1"
    )
    assert len(drawn) == 2
    for picture in drawn:
        ElementTree.fromstring(picture.svg)
        assert "<script" not in picture.svg
        assert "$x^2$" in picture.svg or "$1$" in picture.svg
        assert "n" * 50 not in picture.svg


def test_long_curves_stay_small(binary: EvaluationResult) -> None:
    x = np.linspace(0, 1, 10_000)
    y = np.cumsum(np.random.default_rng(3).random(10_000))
    curve = Curve("roc", "claims-v3", "overall", x.tolist(), (y / y[-1]).tolist())
    (picture,) = figures.pictures(replace(binary, curves=[curve], confusion=()), "e1")
    assert len(picture.svg) < 40_000


def test_more_classes_than_panels_are_counted(binary: EvaluationResult) -> None:
    curves = [Curve("roc", "claims-v3", "overall", [0, 1], [0, 1], str(n)) for n in range(40)]
    labels = tuple(map(str, range(40)))
    square = tuple(tuple(float(a == b) for b in range(40)) for a in range(40))
    matrix = ConfusionMatrix("claims-v3", "overall", labels, square)
    drawn = figures.pictures(replace(binary, curves=curves, confusion=[matrix]), "e1")
    assert "12 of 40 classes are drawn" in drawn[0].caption
    assert "data:image/png;base64" in drawn[1].svg


def test_the_baseline_is_grey_and_others_differ(binary: EvaluationResult) -> None:
    palette = figures.colours(binary)
    assert palette["claims-v2"] == figures.BASELINE_COLOUR
    assert len(set(palette.values())) == 3


@pytest.mark.parametrize("shape", ["smooth", "noisy"])
def test_a_line_of_many_points_is_drawn_with_few(shape: str) -> None:
    """As many as show it to half a point; the page has dozens of such pictures."""
    from matplotlib.figure import Figure

    from engine.sinks.report.rendering import house_style, svg

    x = np.linspace(0, 1, 50_000)
    y = np.sqrt(x) if shape == "smooth" else np.random.default_rng(7).random(50_000)
    with house_style():
        figure = Figure(figsize=(3, 3))
        figure.subplots().plot(x, y)
        picture = svg(figure, "p", "a line")
    longest = max(re.findall(r'\sd="([^"]*)"', picture), key=len)
    points = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", longest), float)
    assert 10 < len(points) < 2_000
    if shape == "smooth":
        left, low = points[0]
        right, high = points[-1]
        for px, py in points:
            share = (px - left) / (right - left)
            assert py == pytest.approx(low + (high - low) * np.sqrt(share), abs=0.5)
