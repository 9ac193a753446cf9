"""What variants of a model cost: ten behind two perturbations, beside the model as it is.

A random forest predicts each row eleven times, in the scan that a worker runs, in one process and
one thread. Counted are the predictions; measured are the seconds in them, as a share of all
that the scan takes: reading, perturbing, predicting, summing, and giving out the states.

    python benchmarks/variants.py [--rows N] [--trees N]

exits with 1 where other rows are predicted than these, or where the share is below 80 %.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from one_process import LABEL, Bench, Lab, added, scan_table, scanned
from sklearn.ensemble import RandomForestClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from engine.evaluation.measure import measure
from engine.execution.kernel import scan as kernel

# The rows of a batch, as Spark hands them over.
BATCH = 32_768
LEAST_SHARE = 0.8
FEATURES = [f"f{number}" for number in range(8)]
SEVERITIES = [1, 2, 3, 4, 5]
TESTS = [
    {"robustness": {key: FEATURES[:4], "severities": SEVERITIES}, "metric": "roc_auc"}
    for key in ("noise", "missing")
]


def rows_of(seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, len(FEATURES)))
    label = (values[:, 0] - values[:, 1] * values[:, 2] + rng.normal(size=count) > 0).astype(int)
    return pd.DataFrame(values, columns=FEATURES).assign(**{LABEL: label, "key": np.arange(count)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Scans once, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=50)
    options = parser.parse_args(arguments)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    perturbing = 0.0
    perturb = kernel.perturb

    def timed(*given: object) -> object:
        nonlocal perturbing
        began = time.perf_counter()
        changed = perturb(*given)  # type: ignore[arg-type]
        perturbing += time.perf_counter() - began
        return changed

    kernel.perturb = timed  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        train = rows_of(1, 5_000)
        forest = RandomForestClassifier(options.trees, min_samples_leaf=5, random_state=0)
        model = Lab(Path(folder)).model(
            "forest", lambda: forest.fit(train[FEATURES], train[LABEL]), FEATURES, [0, 1]
        )
        rows = rows_of(2, options.rows)
        plan = Bench([model], rows).plan(*TESTS)
        table = scan_table(rows, 3)
        # The model is loaded, and what is imported for it, before the clock runs.
        scanned(plan, table.slice(0, 100), BATCH)
        perturbing = 0.0
        wall, core = time.perf_counter(), time.process_time()
        states = scanned(plan, table, BATCH)
        wall, core = time.perf_counter() - wall, time.process_time() - core
        timings = measure(plan, added(states)).timings
    share = timings["predict_seconds"] / wall
    variants = len(plan.variants)
    print(
        f"{options.rows:,} rows, a forest of {options.trees} trees, {variants} variants: "
        f"{timings['predictions']:,.0f} predictions; {wall:.1f} s ({core:.1f} core-seconds), of "
        f"which {100 * share:.1f} % predicting, {100 * perturbing / wall:.1f} % perturbing, "
        f"{100 * (1 - share - perturbing / wall):.1f} % all else"
    )
    asked = options.rows * (1 + variants)
    return 0 if timings["predictions"] == asked and share >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
