"""The noun for a fault that is brought about on purpose, and what is promised of it.

A promise is a figure with a bound: how many requests failed, after how many records an alert was
open. So whether it was kept is arithmetic, and the promises can be listed before anything is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaven.core.registry import Registry

if TYPE_CHECKING:
    from leaven.operate.gameday.local import Local

__all__ = ["BAD", "DRILLS", "GOOD", "SECONDS", "Drill", "Promise"]

#: The runs that a drill can ask for: one taught the true labels, one taught others.
GOOD, BAD = "good", "bad"
#: The unit of promises about time; all others count something.
SECONDS = "s"


@dataclass(frozen=True)
class Promise:
    """What the system is to do: a figure of at most `most`.

    Attributes
    ----------
    name : by which the drill tells what it saw.
    says : the promise in a sentence.
    most : the largest figure that keeps it; 0 where nothing of the kind may happen.
    unit : what is counted, "requests that failed"; or `SECONDS`.
    source : the page of the documentation that promises it.
    """

    name: str
    says: str
    most: float
    unit: str
    source: str


@dataclass(frozen=True)
class Drill:
    """One fault.

    Attributes
    ----------
    says : what is done to the system, in a sentence.
    play : does it, and tells `Local` what was seen. It may end anyhow: what was seen stands, and
        promises of which nothing was seen could not be told.
    runs : those that it needs, of `GOOD` and `BAD`.
    lite : it needs a store in a file, whatever store the game day has.
    """

    name: str
    says: str
    promises: tuple[Promise, ...]
    play: Callable[[Local], None]
    runs: tuple[str, ...] = (GOOD,)
    lite: bool = False


DRILLS: Registry[Drill] = Registry("drill", "leaven.operate.gameday.drills")
