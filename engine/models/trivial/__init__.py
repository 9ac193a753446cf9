"""Trivial models: what a model that is worth its cost must be better than.

They are fitted by us on the training data, with scikit-learn, and are a few numbers each: those
stand in the plan as JSON, so that a worker needs no file and no library to predict with them.
"""
