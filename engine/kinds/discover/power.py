"""How often a weak slice would be found: what a test that found nothing has shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.statistics import special


@dataclass(frozen=True, slots=True)
class WeakSlice:
    """A slice that loses twice as much as all rows do.

    `rows` are those that it has in each half, `loss` is what all rows lose on average, and
    `deviation` the standard deviation of that. With `binary` losses are 0 or 1.
    """

    rows: float
    loss: float
    deviation: float
    binary: bool

    def power(self, slices: int, top: int, alpha: float) -> float:
        """About how often it is among the `top` of so many slices on one half, and then confirmed.

        Both sums of losses are about normal; the p-value on the other half must be small enough for
        `top` tests at the level `alpha`.
        """
        if self.rows < 1 or not self.deviation > 0 or not self.loss > 0:
            return 0.0
        twice = min(2 * self.loss, 1.0) if self.binary else 2 * self.loss
        spread = math.sqrt(twice * (1 - twice)) if self.binary else 2 * self.deviation
        away = (twice - self.loss) * math.sqrt(self.rows)
        reaches = (min(top / max(slices, 1), 0.5), alpha / top)
        chances = [
            special.ndtr((away + special.ndtri(tail) * self.deviation) / (spread or self.deviation))
            for tail in reaches
        ]
        return float(chances[0] * chances[1])
