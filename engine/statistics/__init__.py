"""Statistics: how sure a figure is, and what many of them together may claim.

Plain numbers in, plain numbers out: nothing here knows of metrics, states, slices or models.
Nothing draws a random number, so that the same rows give the same verdicts.
"""

from __future__ import annotations

from engine.statistics.jackknife import Jackknifed, jackknife
from engine.statistics.paired import PairedShare, two_sided
from engine.statistics.spread import REALS, Interval, Mapped, Share, Spread, StudentT, quantile

__all__ = [
    "REALS",
    "Interval",
    "Jackknifed",
    "Mapped",
    "PairedShare",
    "Share",
    "Spread",
    "StudentT",
    "jackknife",
    "quantile",
    "two_sided",
]
