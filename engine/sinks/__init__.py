"""Where a finished run is written: one module or package for each reader.

A sink takes a `RunOutcome` and nothing else of the engine, and sinks do not import each other;
what several share is in `format` (how numbers and names are written) and `highlights` (what a
reader sees first).
"""
