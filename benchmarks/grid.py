"""The table's cells: each is one fit, and has a key under which its result is found again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS

__all__ = ["Cell", "Key", "choose_peers", "grid", "repository"]

Key = tuple[str, int, int, str, str, str]


@dataclass(frozen=True)
class Cell:
    """One fit of one method on `labels` records a class of a set, drawn by `seed`.

    `kind` is `ours` or `peer`; a peer has no budget.
    """

    set: str
    labels: int
    seed: int
    kind: str
    method: str
    budget: str

    @property
    def key(self) -> Key:
        """What tells one row of the results from another."""
        return (self.set, self.labels, self.seed, self.kind, self.method, self.budget)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Cell:
        """The cell that a row of the results belongs to."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    def to_row(self) -> dict[str, Any]:
        """The cell as the beginning of its row."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.set}, {self.labels} a class, seed {self.seed}, {self.method}"


def choose_peers(asked: list[str]) -> list[str]:
    """Names of peers; `all`, `none`, `supervised` and `semi` stand for several.

    >>> choose_peers(["semi", "random-forest"])[-1]
    'random-forest'
    """
    there = {name: peer for name, peer in PEERS.items() if peer.needs in ("", *os.environ)}
    groups = {
        "all": list(there),
        "none": [],
        "supervised": [name for name, peer in there.items() if not peer.semi],
        "semi": [name for name, peer in there.items() if peer.semi],
    }
    unknown = [name for name in asked if name not in groups and name not in PEERS]
    if unknown:
        known = ", ".join([*groups, *PEERS])
        raise ValueError(f"There is no peer {unknown[0]!r}. There are: {known}.")
    return list(dict.fromkeys(name for one in asked for name in groups.get(one, [one])))


def grid(
    sets: list[str],
    labels: list[int],
    seeds: list[int],
    methods: list[str],
    peers: list[str],
    budget: str,
) -> list[Cell]:
    """All cells, seed by seed, so that a table of an unfinished run already covers every set."""
    columns = [("peer", name, "") for name in peers] + [("ours", name, budget) for name in methods]
    return [
        Cell(name, per, seed, kind, method, limit)
        for seed, name, per, (kind, method, limit) in product(seeds, sets, labels, columns)
    ]


def repository() -> Path:
    """The root of the checkout, from which the workers are started."""
    return Path(__file__).resolve().parents[1]
