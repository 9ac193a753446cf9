"""Statistics: how sure a figure is, and what many of them together may claim.

Plain numbers in, plain numbers out: nothing here knows of metrics, states, slices or models.
Nothing draws a random number, so that the same rows give the same verdicts.
"""

from __future__ import annotations

from engine.statistics.corrections import adjusted, family_levels, simes
from engine.statistics.jackknife import Jackknifed, jackknife
from engine.statistics.online import Judged as PastTest
from engine.statistics.online import next_level
from engine.statistics.order import QuantileOf
from engine.statistics.paired import PairedShare, two_sided
from engine.statistics.spread import (
    REALS,
    Interval,
    Mapped,
    Share,
    Spread,
    StudentT,
    growth_to_decide,
    quantile,
)

__all__ = [
    "REALS",
    "Interval",
    "Jackknifed",
    "Mapped",
    "PairedShare",
    "PastTest",
    "QuantileOf",
    "Share",
    "Spread",
    "StudentT",
    "adjusted",
    "family_levels",
    "growth_to_decide",
    "jackknife",
    "next_level",
    "quantile",
    "simes",
    "two_sided",
]
