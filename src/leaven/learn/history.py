"""What benchmarks have shown: of each candidate the prior of a blend, and what a blend gains.

`history.json` is a small table: for each kind of record and number of labels a class, the weights
that a blend should have had on average over the sets of the benchmark, and what the blend gained
over its supervised part. `python -m benchmarks.candidates --history` makes it; no set has a name in
it.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["ANY", "Gain", "expected", "gained", "shipped"]

#: All kinds of record together, for those of which the benchmark has hardly a set.
ANY = "any"
_LEAST = 0.02  # of the prior, for a candidate that the table does not know


def expected(
    names: Iterable[str], modality: str, labels: float, table: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Of each candidate the probability, by experience, that it is the one to trust; sum 1.

    `labels` is the number of labelled records a class; between the numbers of the table the
    weights go over into each other with its logarithm. A kind of record that the table lacks gets
    the mean of all kinds. `table` is the one that is shipped unless another is given.

    >>> table = {"weights": {"text": {"4": {"a": 0.8, "b": 0.2}}}}
    >>> expected(["a", "b"], "text", 4, table)
    {'a': 0.8, 'b': 0.2}
    """
    told = table if table is not None else shipped()
    by_kind = told["weights"]
    kinds = [by_kind[modality]] if modality in by_kind else list(by_kind.values())
    weights = {
        name: sum(_between(kind, name, labels) for kind in kinds) / len(kinds) for name in names
    }
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()}


@dataclass(frozen=True)
class Gain:
    """What a method gained in accuracy (shares, not per cent) over its baseline elsewhere.

    `mean` and `spread` (standard deviation) are over `problems`, of which each is a set with few
    labels of one seed.
    """

    mean: float
    spread: float
    problems: int


def gained(
    method: str, modality: str, labels: float, table: Mapping[str, Any] | None = None
) -> Gain | None:
    """The method's gain on records of this kind with about as many labels a class.

    Of a kind that the table hardly knows, what it gained on all kinds. None where it does not
    know the method, or where there are more than twice as many labels as it has seen: then the
    records at hand must speak.

    >>> rows = {"text": {"4": {"mean": 0.05, "spread": 0.02, "problems": 8}}}
    >>> gained("blend", "text", 5, {"gains": {"blend": rows}})
    Gain(mean=0.05, spread=0.02, problems=8)
    """
    told = table if table is not None else shipped()
    by_kind = told.get("gains", {}).get(method, {})
    rows = by_kind.get(modality) or by_kind.get(ANY)
    if not rows or labels > 2 * max(float(number) for number in rows):
        return None
    nearest = min(rows, key=lambda number: abs(math.log(float(number) / labels)))
    return Gain(**rows[nearest])


def _between(kind: Mapping[str, Mapping[str, float]], name: str, labels: float) -> float:
    """The weight at `labels`, on a line over the logarithm between the table's numbers."""
    known = sorted((float(number), row.get(name, _LEAST)) for number, row in kind.items())
    if labels <= known[0][0]:
        return max(known[0][1], _LEAST)
    for (low, first), (high, second) in itertools.pairwise(known):
        if labels <= high:
            part = math.log(labels / low) / math.log(high / low)
            return max(first + part * (second - first), _LEAST)
    return max(known[-1][1], _LEAST)


@cache
def shipped() -> dict[str, Any]:
    """The table that comes with Leaven."""
    table: dict[str, Any] = json.loads((files(__package__) / "history.json").read_text("utf-8"))
    return table
