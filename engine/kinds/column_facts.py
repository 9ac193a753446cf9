"""What a kind must know of columns before the scan: asked for, pinned in the plan, known again.

Facts of four sorts have three methods each: the columns of which a test asks them, the test with
them, and those that a pinned test has, by which a run is judged again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.vocabulary import ModelTest
from engine.kinds.setting import Bins, ColumnValues, Ranges

# Stands for all columns of a dataset that are nothing else: no label, key, weight, cluster, query.
ALL_COLUMNS = "\0all"


class ColumnFacts:
    """The facts of columns that the tests of a kind depend on; by default none."""

    def spreads(self, test: ModelTest) -> Sequence[str]:
        """The columns whose spread must be known before the scan."""
        return ()

    def pin(self, test: ModelTest, spreads: Mapping[str, float | None]) -> ModelTest:
        """The test with what depends on the data, such as the spread of its columns."""
        return test

    def known_spreads(self, test: ModelTest) -> Mapping[str, float | None]:
        """The spreads that a pinned test has."""
        return {}

    def ranges(self, test: ModelTest) -> Sequence[str]:
        """The columns whose least and greatest number must be known before the scan."""
        return ()

    def pin_ranges(self, test: ModelTest, ranges: Ranges) -> ModelTest:
        """The test with the ranges of its columns."""
        return test

    def known_ranges(self, test: ModelTest) -> Ranges:
        """The ranges that a pinned test has."""
        return {}

    def values(self, test: ModelTest) -> Sequence[str]:
        """The columns whose frequent values, or quantiles, must be known before the scan.

        `ALL_COLUMNS` among them asks for all.
        """
        return ()

    def pin_values(self, test: ModelTest, values: Mapping[str, ColumnValues]) -> ModelTest:
        """The test with the values of these columns, of those that are known."""
        return test

    def known_values(self, test: ModelTest) -> Mapping[str, ColumnValues]:
        """The values that a pinned test has."""
        return {}

    def bins(self, test: ModelTest) -> Sequence[str]:
        """The columns of whose reference the bins must be known before the scan."""
        return ()

    def pin_bins(self, test: ModelTest, bins: Mapping[str, Bins]) -> ModelTest | None:
        """The test with the bins of these columns, of those that are known.

        None leaves it out: its column has no bins, and nobody named it.

        Raises:
            InputError: for a column that somebody named and that has no bins.
        """
        return test

    def known_bins(self, test: ModelTest) -> Mapping[str, Bins]:
        """The bins that a pinned test has."""
        return {}
