"""Trains the models under `models/`, and registers them with what the engine needs to know.

A model folder has a `model_config.yml`, which says what everybody's training has in common (data,
split, hyperparameters, versions), and a `model_code.py`, which shows only what is the model's own:

    build(params) -> the unfitted model
    fit(model, inputs, labels, params) -> the fitted model    (left out where model.fit will do)

`inputs` is a data frame of the features, or an array where the config asks for a tensor; `params`
are the config's. Random generators are seeded before each. The fitted model is logged, loaded
again as a worker would load it, and measured on the rows that were held out.

Candidates, which are the config's `versions` or what its `search` tries, are compared on folds of
the rows for training (`model_search`), on processes of this machine or on whatever does the tasks.
"""

from __future__ import annotations

from engine.training.config import ModelConfig, read_config
from engine.training.leaderboard import Candidate, Entry, Leaderboard
from engine.training.model_search import SearchOptions, SearchResult, search_model
from engine.training.trainer import Trained, train, train_all

__all__ = [
    "Candidate",
    "Entry",
    "Leaderboard",
    "ModelConfig",
    "SearchOptions",
    "SearchResult",
    "Trained",
    "read_config",
    "search_model",
    "train",
    "train_all",
]
