"""What a run tells other systems of itself: its lineage, its traces, its metrics.

Each is a pure function of a `RunRecord`, with what sends it; the libraries are imported when a
suite asks. No value of a row is told: names of slices are, as results have them.
"""
