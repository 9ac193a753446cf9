"""Suite files for the tests of the configuration room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import Mistake, SuiteError
from engine.suite import Suite, load_suite

EXAMPLE = """\
name: nightly
store: ./store
mlflow: {tracking_uri: "http://localhost:5000"}
evaluations:
  - name: claims
    dataset:
      delta: ./store/lake/claims
      version: latest
      task: binary
      label: is_fraud
      features: [f0, f1]
      key: claim_id
      cluster: customer_id
      weight: w
      sensitive: [name, iban]
      positive_label: 1
    models:
      - uri: models:/claims/3
        name: claims-v3
        output: probability
      - uri: models:/claims/2
    baseline: claims-v2
    slices:
      - overall
      - by: [country]
      - by: [country, device]
      - where: "age < 25 AND country = 'DE'"
        name: young-germans
      - bins: {age: [18, 30, 50]}
    min_slice_rows: 30
    tests:
      - metric: roc_auc
        min: 0.85
      - metric: recall
        max_drop: 0.01
      - metric: log_loss
        max_rise: 0.02
        slices: [overall]
        severity: warn
      - metric: accuracy
gate: {on_inconclusive: warn, on_error: fail}
"""

MINIMAL = """\
name: small
evaluations:
  - name: only
    dataset: {delta: lake/rows, task: binary, label: y}
    models: [{uri: "models:/m/1"}]
    tests: [{metric: roc_auc}]
"""


@pytest.fixture
def example() -> str:
    """The suite of the interface's page."""
    return EXAMPLE


@pytest.fixture
def minimal() -> str:
    """The least that a suite can be."""
    return MINIMAL


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Suite]:
    """Loads a suite from its text."""

    def load_text(text: str | bytes, *overrides: str, **hooks: object) -> Suite:
        path = tmp_path / "suite.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_suite(path, overrides=overrides, **hooks)  # type: ignore[arg-type]

    return load_text


@pytest.fixture
def mistakes(load: Callable[..., Suite]) -> Callable[..., list[Mistake]]:
    """Loads a suite that is wrong, and gives its mistakes."""

    def refused(text: str | bytes, *overrides: str, **hooks: object) -> list[Mistake]:
        with pytest.raises(SuiteError) as caught:
            load(text, *overrides, **hooks)
        return list(caught.value.mistakes)

    return refused
