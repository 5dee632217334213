"""What was measured of the data before training, and what of it would do harm."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

from leaven.learn.label_noise import Noise, Share
from leaven.learn.structure import Tendency
from leaven.learn.two_samples import ColumnTest, Distance

__all__ = ["SMOOTH", "SURE", "Measured", "Region"]

SURE = 0.01  # chance of a false alarm of one kind
_APART = 0.60  # area under the curve from which a difference matters
_GAP = 0.20  # distance in one column from which a difference matters
_NOISE = 0.10  # wrong labels there are at least, for an alarm
_FLAT = 0.60  # of all disagreement must be left where a model is surest, or the classes overlap
_HEAVY = 10.0  # records of the largest class for one of the smallest
SMOOTH = 0.25  # of the way from chance to perfect agreement


@dataclass(frozen=True)
class Region:
    """A part of the pool without labels nearby: its share, and records to label there.

    `like` is the class that a model would take its records for.
    """

    share: Share
    labelled: int
    expected: float
    p: float
    examples: tuple[str, ...]
    like: str


@dataclass
class Measured:
    """What was measured; None where it could not be."""

    labelled: int
    unlabelled: int
    modality: str
    counts: dict[str, int]
    neighbours: Share | None = None
    chance: float = 1.0
    clusters: Tendency | None = None
    cluster_agreement: tuple[float, float, float, int] | None = None
    apart_as_drawn: Distance | None = None
    apart: Distance | None = None
    apart_outside: Distance | None = None
    discrepancy: Distance | None = None
    columns: tuple[ColumnTest, ...] = ()
    regions: tuple[Region, ...] = ()
    bare: Share | None = None
    noise: Noise | None = None
    suspects: tuple[str, ...] = ()
    pool_shares: dict[str, float] | None = None
    copies: tuple[int, int, int] = (0, 0, 0)
    first: tuple[str, ...] = ()
    at_random: tuple[str, ...] = ()

    @property
    def few(self) -> tuple[str, ...]:
        """Classes with fewer than two labels, which cannot be checked at all."""
        return tuple(name for name, n in self.counts.items() if n < 2)

    @property
    def differing(self) -> tuple[ColumnTest, ...]:
        """The columns that differ beyond chance, the farthest apart first."""
        found = [c for c in self.columns if c.adjusted < SURE]
        return tuple(sorted(found, key=lambda c: -c.distance))

    @property
    def shifted(self) -> bool | None:
        """Whether the two sets differ within classes: surely, and enough to matter."""
        if self.apart is None or self.discrepancy is None:
            return None
        sure = 2 * min(self.apart.p, self.discrepancy.p) < SURE
        much = self.apart.value >= _APART or any(c.distance >= _GAP for c in self.differing)
        return sure and much

    @property
    def noisy(self) -> bool | None:
        """Whether labels are wrong: surely many, and not just where classes overlap."""
        if self.noise is None:
            return None
        rate = self.noise.rate
        flat = rate.value >= _FLAT * self.noise.disagreement
        return rate.low > _NOISE and flat

    @property
    def doubtful(self) -> bool:
        """Whether labels may well be wrong, or classes overlap even where a model is surest."""
        return self.noise is not None and not self.noisy and self.noise.rate.low > _NOISE / 2

    @property
    def smooth(self) -> float | None:
        """How far labels agree nearby, 0 as by chance, 1 always: neighbours or clusters."""
        if self.neighbours is None or self.chance >= 1:
            return None
        gains = [(self.neighbours.value - self.chance) / (1 - self.chance)]
        if self.cluster_agreement is not None and self.cluster_agreement[1] < 1:
            value, chance, *_ = self.cluster_agreement
            gains.append((value - chance) / (1 - chance))
        return max(gains)

    @property
    def skewed(self) -> tuple[str, str, float, bool] | None:
        """The largest and smallest class, how many times larger it is, and whether by the labels.

        None where no class is surely and heavily smaller, in the labels or in the pool.
        """
        if len(self.counts) < 2:
            return None
        large, small = max(self.counts, key=self._count), min(self.counts, key=self._count)
        most, least = self.counts[large], self.counts[small]
        found = binomtest(least, most + least, 2 / (2 + _HEAVY), alternative="less")
        if most >= _HEAVY * least and found.pvalue < SURE:
            return large, small, most / max(least, 1), True
        shares = self.pool_shares
        if shares and self.apart_as_drawn is not None and self.apart_as_drawn.p < SURE:
            large, small = (
                max(shares, key=lambda c: shares[c]),
                min(shares, key=lambda c: shares[c]),
            )
            if shares[large] >= _HEAVY * shares[small]:
                return large, small, shares[large] / max(shares[small], 1e-9), False
        return None

    def _count(self, name: str) -> int:
        return self.counts[name]
