"""Rows of a table read by the workers themselves, from pieces of it that they are handed."""


class NotThisWay(Exception):
    """Why the workers cannot read the rows themselves; it ends a sentence."""
