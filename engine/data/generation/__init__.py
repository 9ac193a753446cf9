"""Rows made from a dataset, from a model's signature or with a known answer.

A source becomes a `Population`: columns with their distributions by group, and how they go
together. Rows are drawn from it in numbered blocks, so that the same rows come on any partitioning
and a shorter draw is the beginning of a longer one.
"""
