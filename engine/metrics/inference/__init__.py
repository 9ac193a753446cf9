"""Intervals of metrics and of their differences, with an axis of slices."""
