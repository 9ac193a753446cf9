"""The binomial's mid-p: how far what was seen lies from a share, and the share that is as far.

Of the probability of what was seen half is counted, so that the tails on both sides make 1. Hits
and misses need not be whole numbers: the incomplete beta function goes through those that are.

Sources: Lancaster (1961) for the mid-p; Berry and Armitage (1995) for the interval made of it.
"""

from __future__ import annotations

import math

import numpy as np

from engine.statistics import special
from engine.statistics.roots import Figures

# Tails below this have lost their digits.
LEAST_TAIL = 1e-300
STEPS = 60
CLOSE = 1e-12


def deviate(hits: Figures, misses: Figures, share: Figures) -> Figures:
    """The normal deviate whose tail is the mid-p of so many hits, were their share `share`.

    It is above 0 where there are more hits than that, and falls as the share rises, which must lie
    between 0 and 1.
    """
    trials = hits + misses
    above = hits > share * trials
    # As many as were seen or more, and more; as few or fewer of the misses where they are many.
    seen: Figures = np.where(above, hits, misses)
    others: Figures = np.where(above, misses, hits)
    odds: Figures = np.where(above, share, 1 - share)
    as_many = np.where(seen <= 0, 1.0, special.betainc(seen, others + 1, odds))
    more = np.where(others <= 0, 0.0, special.betainc(seen + 1, others, odds))
    rest = (as_many + more) / 2
    away = -special.ndtri(rest)
    if np.any(rest < LEAST_TAIL):
        # So far out the root of the likelihood ratio is as good.
        ratio = special.rel_entr(seen, trials * odds) + special.rel_entr(
            others, trials * (1 - odds)
        )
        away = np.where(rest < LEAST_TAIL, np.sqrt(2 * ratio), away)
    return np.where(above, away, -away)


def share_at(hits: Figures, misses: Figures, reach: Figures) -> Figures:
    """The share at which the deviate is `reach`: an end of the interval.

    By Newton's steps on the arcsine of its root, where the deviate is nearly a line, from the limit
    of Jeffreys (Brown, Cai and DasGupta 2001); halves where a step leads out of what is left.
    """
    shape = np.broadcast_shapes(*(np.shape(figures) for figures in (hits, misses, reach)))
    hits, misses, reach = (
        np.broadcast_to(np.asarray(figures, np.float64), shape).ravel()
        for figures in (hits, misses, reach)
    )
    jeffreys = special.betaincinv(hits + 0.5, misses + 0.5, special.ndtr(-reach))
    angle = np.arcsin(np.sqrt(np.clip(jeffreys, 1e-300, 1.0)))
    low, high = np.zeros(angle.size), np.full(angle.size, math.pi / 2)
    sizes = special.betaln(hits + 1, misses + 1) + np.log(hits + misses + 1)
    left = np.arange(angle.size)
    for _ in range(STEPS):
        here, ours, theirs = angle[left], hits[left], misses[left]
        share, rest = np.sin(here) ** 2, np.cos(here) ** 2
        away = deviate(ours, theirs, share)
        excess = away - reach[left]
        low[left] = np.where(excess > 0, here, low[left])
        high[left] = np.where(excess > 0, high[left], here)
        logs = (
            special.xlogy(ours, share) + special.xlogy(theirs, rest) - sizes[left] + away * away / 2
        )
        lean = np.exp(logs) * (ours * rest + theirs * share) / np.sqrt(share * rest)
        step = here + excess / (lean * math.sqrt(2 * math.pi))
        inside = (low[left] < step) & (step < high[left])
        angle[left] = np.where(inside, step, (low[left] + high[left]) / 2)
        open_ = (np.abs(excess) > CLOSE) & (high[left] - low[left] > CLOSE * high[left])
        angle[left[~open_]] = here[~open_]
        left = left[open_]
        if not left.size:
            break
    return (np.sin(angle) ** 2).reshape(shape)
