"""What is counted while a process runs: counters and histograms, of few series.

Who counts holds the labels as a tuple; a lock is held for the time of an addition, for models are
asked by several threads.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

from leaven.operate.metrics.catalogue import METRICS
from leaven.operate.metrics.exposition import Sample, number

__all__ = ["Counter", "Histogram"]

_MOST = 200  # series of one metric; where there are more, the oldest is forgotten


class Counter:
    """Counts, by the values of a metric's labels.

    Parameters
    ----------
    most : series that are kept. More would be a fault of ours; then the oldest goes, so that
        neither memory nor whoever collects this is filled.
    """

    def __init__(self, metric: str, *, most: int = _MOST) -> None:
        self.metric = METRICS[metric]
        self._most, self._lock = most, threading.Lock()
        self._counts: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], amount: float = 1) -> None:
        """Count `amount` more."""
        with self._lock:
            if labels in self._counts:
                self._counts[labels] += amount
                return
            if len(self._counts) >= self._most:
                del self._counts[next(iter(self._counts))]
            self._counts[labels] = amount

    def samples(self) -> list[Sample]:
        """What was counted so far."""
        name = self.metric.name
        with self._lock:
            return [Sample(name, name, key, "", count) for key, count in self._counts.items()]


class Histogram:
    """Values by the bucket in which they lie, by the values of a metric's labels."""

    def __init__(self, metric: str, *, most: int = _MOST) -> None:
        self.metric = METRICS[metric]
        self._most, self._lock = most, threading.Lock()
        self._bounds = self.metric.bounds
        self._last = [*map(number, self._bounds), "+Inf"]
        self._counts: dict[tuple[str, ...], list[float]] = {}

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Count one value."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                if len(self._counts) >= self._most:
                    del self._counts[next(iter(self._counts))]
                counts = self._counts[labels] = [0.0] * (len(self._bounds) + 2)
            counts[place] += 1
            counts[-1] += value  # the sum stands behind the buckets

    def samples(self) -> list[Sample]:
        """What was counted so far: buckets with all below them, the sum, and the number."""
        name, found = self.metric.name, []
        with self._lock:
            told = [(labels, list(counts)) for labels, counts in self._counts.items()]
        for labels, counts in told:
            total = 0.0
            for last, count in zip(self._last, counts, strict=False):
                total += count
                found.append(Sample(name, f"{name}_bucket", labels, last, total))
            found.append(Sample(name, f"{name}_sum", labels, "", counts[-1]))
            found.append(Sample(name, f"{name}_count", labels, "", total))
        return found
