"""Intervals of metrics and of their differences, for one slice and for many at once."""
