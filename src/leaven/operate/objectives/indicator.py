"""Indicators: what can be measured of a service, and so be promised.

There are two kinds. Of *requests* each is good or bad, so a promise leaves an error budget, and an
alert is about how fast that is spent. Of a *figure* there is a bound, and an alert is about a
figure that is shown to be beyond it, by its whole interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement

from leaven.core.registry import Registry
from leaven.core.wording import count, decimal, duration, percent
from leaven.store.store import Store

__all__ = ["INDICATORS", "SHARE", "Figure", "FigureIndicator", "Indicator", "RequestIndicator",
           "Subject"]  # fmt: skip

#: Units of figures.
SHARE, SECONDS, NUMBER, COUNT = "share", "seconds", "number", "count"
_SAID: Mapping[str, Callable[[float | None], str]] = {
    SHARE: percent,
    SECONDS: duration,
    NUMBER: lambda value: decimal(value, 3),
    COUNT: count,
}


@dataclass(frozen=True)
class Figure:
    """A figure, the ends of its interval, how many witnesses it has, and what else is to be said.

    Where nothing is estimated, as of a count, the ends are the figure. `target` is what it is held
    against where the objective names nothing; `verdict` is broken, met or unsure where more than
    the interval tells which.
    """

    value: float
    low: float
    high: float
    n: int
    note: str = ""
    target: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Subject:
    """What is measured: a service, the data it is about, and its live run as it was registered in
    `folder`.

    `told` is that of `leaven.operate.registry.Registered`; `now` in seconds since 1970; `seen`
    keeps what indicators share within one look.
    """

    store: Store
    service: str
    dataset: str
    run: str
    folder: str
    told: Mapping[str, Any]
    now: float
    seen: dict[Any, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Indicator:
    """What both kinds have. `command` is what to type first when it is bad, with `{service}`
    and `{folder}` of the run filled in.

    `said` is what the figure is, for sentences; the runbook is `docs/runbooks/NAME.md`.
    """

    name: str
    said: str
    command: str
    target: float | None


@dataclass(frozen=True)
class RequestIndicator(Indicator):
    """Requests that are bad. `target` is the share that is to be good.

    `bad` makes the condition under which an answer is bad, of the bound `within`; None where only
    requests that failed are. `failed` says whether those count, as bad.
    """

    bad: Callable[[float], ColumnElement[bool]] | None = None
    failed: bool = False
    within: float | None = None


@dataclass(frozen=True)
class FigureIndicator(Indicator):
    """A figure with a bound: at least `target`, or at most that where `most` is set.

    `measure` gives the figure, by the objective's `target` and `confidence`; it raises DataError
    with the reason where there is none.
    """

    measure: Callable[[Subject, Mapping[str, Any]], Figure] = field(kw_only=True)
    most: bool = False
    unit: str = SHARE
    severity: str = "ticket"
    settings: tuple[str, ...] = ()

    def word(self, value: float | None) -> str:
        """The value in its unit."""
        return _SAID[self.unit](value)

    def state(self, figure: Figure, target: float) -> str:
        """`broken` where the whole interval is beyond the target, `met` where it is within.

        A figure that has a verdict of its own has that.
        """
        if figure.verdict:
            return figure.verdict
        if self.most:
            return "broken" if figure.low > target else "met" if figure.high <= target else "unsure"
        return "broken" if figure.high < target else "met" if figure.low >= target else "unsure"


INDICATORS: Registry[RequestIndicator | FigureIndicator] = Registry(
    "indicator", "leaven.operate.objectives.indicators"
)
