"""A small convolutional network for images of 32x32x3, with the digits scaled up in front of it.

The scaling belongs to the model, so that what is logged takes the 8x8 pixels as the data have
them: nobody has to repeat the preparation, or can get it wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers


def build(params: Mapping[str, Any]) -> keras.Model:
    """Makes the compiled network; it returns a logit for each of the ten digits."""
    digit = keras.Input((8, 8, 1), name="digit")
    image = layers.Rescaling(1 / 16)(digit)
    image = layers.UpSampling2D(4, interpolation="bilinear")(image)
    image = layers.Concatenate(name="image_32x32x3")([image, image, image])
    hidden = layers.Conv2D(32, 3, activation="relu")(image)
    hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Conv2D(64, 3, activation="relu")(hidden)
    hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Conv2D(64, 3, activation="relu")(hidden)
    hidden = layers.Flatten()(hidden)
    hidden = layers.Dense(params["dense_units"], activation="relu")(hidden)
    logits = layers.Dense(10, name="logits")(hidden)
    model = keras.Model(digit, logits, name="digits_cnn")
    model.compile(
        optimizer=keras.optimizers.Adam(params["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(
    model: keras.Model, inputs: np.ndarray, labels: np.ndarray, params: Mapping[str, Any]
) -> keras.Model:
    """Fits the network for a fixed number of epochs."""
    model.fit(inputs, labels, epochs=params["epochs"], batch_size=params["batch_size"], verbose=0)
    return model
