"""The table's cells: each is one fit, and has a key under which its result is found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS

__all__ = ["Cell", "Key", "choose_peers", "grid", "jobs", "repository"]

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


def choose_peers(asked: list[str], encoded: bool = False) -> list[str]:
    """Names of peers; `all`, `none`, `supervised` and `semi` stand for several.

    Those that need a sentence encoder are among these where there is one (`encoded`).

    >>> choose_peers(["semi", "random-forest"])[-1]
    'random-forest'
    """
    there = {
        name: peer
        for name, peer in PEERS.items()
        if peer.needs in ("", *os.environ) and (encoded or not peer.encoded)
    }
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
    chosen = list(dict.fromkeys(name for one in asked for name in groups.get(one, [one])))
    lacking = [name for name in chosen if PEERS[name].encoded and not encoded]
    if lacking:
        raise ValueError(f"The peer {lacking[0]!r} needs a sentence encoder: --encoder FOLDER.")
    return chosen


def grid(
    sets: Mapping[str, str],
    labels: list[int],
    seeds: list[int],
    methods: list[str],
    peers: list[str],
    budget: str,
) -> list[Cell]:
    """All cells, seed by seed, so that a table of an unfinished run already covers every set.

    `sets` are names with their modality; a peer is fitted on what it serves.
    """
    cells = []
    for seed, (name, modality), per in product(seeds, sets.items(), labels):
        served = [peer for peer in peers if modality in PEERS[peer].views]
        cells += [Cell(name, per, seed, "peer", peer, "") for peer in served]
        cells += [Cell(name, per, seed, "ours", method, budget) for method in methods]
    return cells


def jobs(cells: list[Cell]) -> list[list[Cell]]:
    """The cells of each process: one fit of Leaven, or all peers of a set, labels and seed.

    Peers share a process, so that records are read and features are made once.
    """
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        place = (cell.set, cell.labels, cell.seed, cell.kind)
        found.setdefault(place if cell.kind == "peer" else cell.key, []).append(cell)
    return list(found.values())


def repository() -> Path:
    """The root of the checkout, from which the workers are started."""
    return Path(__file__).resolve().parents[1]
