"""`evalmatrix train`: a model of `models/`, trained, logged and registered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.core.locations import DEFAULT_STORE, Store
from engine.training import Trained
from engine.training import train as train_model


def train(
    model_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
) -> Trained:
    """Trains `models/<name>`, logs it to MLflow and registers a new version.

    Args:
        model_dir: the folder of the model, `models/<name>`.
        overrides: `dotted.key=value` texts over its configuration, as `--set`.
        store: the store's root.
        tracking_uri: where MLflow is; default: in the store.

    Raises:
        InputError: when the folder or its configuration is wrong.
        TrackingError: when the tracking server cannot be reached.
    """
    place = Store(store)
    place.check_writable()
    uri = tracking_uri or place.tracking_uri
    return train_model(model_dir, overrides=overrides, tracking_uri=uri)
