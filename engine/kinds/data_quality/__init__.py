"""`data_quality`: is the table fit to judge by? One small class for each check.

`columns.py` and `values.py` have the checks that are made in the scan, `rows.py` those that ask a
query, `kind.py` the kind of test that they are part of. A new check is a class with its place in
`checks.py`.
"""

from __future__ import annotations

from engine.kinds.data_quality.kind import DataQualityKind

__all__ = ["DataQualityKind"]
