"""Uncertain records of the classes that have the fewest labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leaven.core.errors import SettingError
from leaven.label.asking.pool import Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy
from leaven.label.asking.uncertainty import by_record, entropy, split

__all__ = ["ClassBalanced"]


@dataclass(frozen=True)
class ClassBalanced(Strategy):
    """Asks so that labels and answers, as the model expects them, come out even over the classes.

    Of a batch z of b records the least Σ z_i (-H_i / log k) + `balance` |Ω - Σ z_i p_i|₁ is looked
    for, record by record: H the entropy, Ω what each class lacks of its even share of all labels
    when the batch is answered, 0 where it lacks none. The paper solves it as a linear programme;
    greedily it costs b passes over the probabilities. The score is by how much a record lowers the
    sum. Without labels it evens out the batch itself.
    """

    balance: float = 1.0

    name = "class-balanced"
    costs = 6.2
    paper = "Bengar, van de Weijer, Fuentes & Raducanu 2022, WACV"
    summary = "uncertain records of the classes with the fewest labels"
    needs = ("probabilities",)

    def __post_init__(self) -> None:
        if not self.balance >= 0:
            raise SettingError("balance", "a number from 0", self.balance)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        k = pool.classes
        rows = np.flatnonzero(pool.open)
        unsure = by_record(pool.probabilities, entropy)[rows] / max(np.log(k), 1e-12)
        held = np.bincount(pool.labelled[pool.known], minlength=k)
        lacking = np.maximum((len(pool.known) + count) / k - held, 0)
        p = np.asarray(pool.probabilities, np.float32)
        p = p[rows] if len(rows) < len(p) else p
        free = np.ones(len(rows), bool)
        gain = np.empty(len(rows))
        index: list[int] = []
        scores: list[float] = []
        reasons: list[str] = []
        for _ in range(min(count, len(rows))):
            for part in blocks(len(rows), k):
                gain[part] = -np.abs(lacking.astype(np.float32) - p[part]).sum(1)
            gain += np.abs(lacking).sum()
            gain *= self.balance
            gain += unsure
            best = int(np.where(free, gain, -np.inf).argmax())
            free[best] = False
            index.append(int(rows[best]))
            scores.append(float(gain[best]))
            filled = np.minimum(lacking, p[best])
            few = f"{pool.name(int(filled.argmax()))} has too few labels"
            reasons.append(f"{few if filled.max() > 0 else 'Unsure'}: {split(pool, index[-1])}")
            lacking = lacking - p[best]
        return Asked(np.array(index, np.int64), np.array(scores), tuple(reasons))


STRATEGIES.add("class-balanced", ClassBalanced())
