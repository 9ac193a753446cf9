"""Statistics: how sure a figure is, and what many of them together may claim.

Plain numbers in, plain numbers out: nothing here knows of metrics, states, slices or models.
Nothing draws a random number, so that the same rows give the same verdicts.
"""

from __future__ import annotations

from engine.statistics.corrections import adjust_p_values, family_levels, simes
from engine.statistics.independent import Independent
from engine.statistics.jackknife import Jackknifed, jackknives
from engine.statistics.online_fdr import Judged as PastTest
from engine.statistics.online_fdr import next_level
from engine.statistics.order_statistics import QuantileOf
from engine.statistics.paired import PairedShare
from engine.statistics.signed_ranks import SignedRanks, pairs_needed
from engine.statistics.spread import (
    REALS,
    Figures,
    Interval,
    Mapped,
    Moved,
    Share,
    Spread,
    StudentT,
    growth_of,
    quantile,
    two_sided_p,
)
from engine.statistics.vectors import Several

__all__ = [
    "REALS",
    "Figures",
    "Independent",
    "Interval",
    "Jackknifed",
    "Mapped",
    "Moved",
    "PairedShare",
    "PastTest",
    "QuantileOf",
    "Several",
    "Share",
    "SignedRanks",
    "Spread",
    "StudentT",
    "adjust_p_values",
    "family_levels",
    "growth_of",
    "jackknives",
    "next_level",
    "pairs_needed",
    "quantile",
    "simes",
    "two_sided_p",
]
