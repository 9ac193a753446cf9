"""A multilayer perceptron made of stock modules alone, so that it loads without this file.

Inputs and target are on their own scales: a normalising layer holds the inputs' means and
variances, and after the fit the last layer takes over the target's scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

FEATURES = 10


def build(params: Mapping[str, Any]) -> nn.Sequential:
    """Makes the network: normalisation, hidden layers with ReLU, one output."""
    layers: list[nn.Module] = [nn.BatchNorm1d(FEATURES, affine=False)]
    width = FEATURES
    for size in params["hidden"]:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


def fit(
    model: nn.Sequential, inputs: pd.DataFrame, labels: np.ndarray, params: Mapping[str, Any]
) -> nn.Sequential:
    """Fits the network to the standardised target with full batches."""
    rows = torch.tensor(inputs.to_numpy(), dtype=torch.float32)
    target = torch.tensor(labels, dtype=torch.float32)[:, None]
    mean, scale = target.mean(), target.std()
    normalise = model[0]
    normalise.running_mean = rows.mean(dim=0)
    normalise.running_var = rows.var(dim=0)
    # In evaluation mode the layer keeps the training data's figures.
    model.eval()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"]
    )
    loss = nn.MSELoss()
    for _ in range(params["epochs"]):
        optimizer.zero_grad()
        loss(model(rows), (target - mean) / scale).backward()
        optimizer.step()
    last = model[-1]
    with torch.no_grad():
        last.weight.mul_(scale)
        last.bias.mul_(scale).add_(mean)
    return model
