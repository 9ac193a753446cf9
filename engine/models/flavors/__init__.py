"""One file for each flavour of model: how it is loaded, and how it predicts a batch."""
