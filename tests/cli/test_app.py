"""What the command line makes of results, without a run."""

from __future__ import annotations

import json
import math

import pandas as pd

from engine.sinks.listing import json_records


def test_json_has_null_where_an_interval_has_no_end() -> None:
    """The median of a few rows has no upper limit, and JSON no infinity."""
    frame = pd.DataFrame(
        {"slice": ["a", "b"], "ci_low": [-math.inf, math.nan], "ci_high": [math.inf, 0.5]}
    )
    records = json_records(frame)
    assert json.loads(json.dumps(records, allow_nan=False)) == [
        {"slice": "a", "ci_low": None, "ci_high": None},
        {"slice": "b", "ci_low": None, "ci_high": 0.5},
    ]
