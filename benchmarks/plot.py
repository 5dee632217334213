"""The results as one picture: a line a set, Leaven's lead over the set's best peer, sorted.

Drawn as SVG by hand, so that it needs no plotting library, follows light and dark, and can be
compared from commit to commit. A dot a number of labels, hollow for the fewest; bars are 95 %
intervals over seeds, cut at the picture's edge.
"""

from __future__ import annotations

import math
from statistics import mean

from benchmarks.summary import Duel, Summary, signed
from benchmarks.svg import dot, line, picture, text, wrapped

__all__ = ["draw"]

_NAMES, _PANEL, _PEERS, _EDGE, _GAP = 200, 420, 280, 16, 16  # widths
_LINE, _TOP, _FOOT = 18, 122, 44  # heights
#: Beside that of all pictures.
_STYLE = """.zero { stroke: var(--theirs); stroke-width: 1.5 }
.few { fill: var(--paper); stroke: var(--ours); stroke-width: 2 }
.few-bar { stroke: var(--ours); opacity: 0.35 } .more-bar { stroke: var(--ours); opacity: 0.7 }
.few-name { fill: var(--ours) }
"""
#: Points beyond the outermost dot that are shown.
_BEYOND = 3


class _Axis:
    """A straight map from points to a place between `start` and `end`, with zero inside."""

    def __init__(self, duels: list[Duel], start: float, end: float) -> None:
        leads = [0.0, *(duel.lead.mean for duel in duels)]
        self.low, self.high = min(leads) - _BEYOND, max(leads) + _BEYOND
        step = next(s for s in (1, 2, 5, 10, 20, 50) if (self.high - self.low) / s <= 9)
        self.ticks = range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step)
        self._start, self._unit = start, (end - start) / (self.high - self.low)

    def __call__(self, points: float) -> float:
        return self._start + (min(max(points, self.low), self.high) - self.low) * self._unit


def draw(found: Summary) -> str:
    """The whole picture as SVG; ValueError where Leaven and a peer have no place in common."""
    duels = found.duels(found.main) if found.main else []
    if not duels:
        raise ValueError("There is no set on which both Leaven and a peer were fitted.")
    by_set: dict[str, list[Duel]] = {}
    for duel in duels:
        by_set.setdefault(duel.place.set, []).append(duel)
    order = sorted(by_set, key=lambda name: -mean(duel.lead.mean for duel in by_set[name]))
    left = _EDGE + _NAMES
    axis = _Axis(duels, left, left + _PANEL)
    width = left + _PANEL + _GAP + _PEERS + _EDGE
    bottom = _TOP + _LINE * len(order)
    shapes = [
        text(_EDGE, 26 + 20 * i, said, "title")
        for i, said in enumerate(wrapped(found.headline(), width - 2 * _EDGE))
    ]
    shapes += [
        text(_EDGE, 68, _told(found), "soft"),
        text(axis(0) - 8, _TOP - 30, "◂ peer better", "soft", "end"),
        text(axis(0) + 8, _TOP - 30, "Leaven better ▸", "soft"),
        text(left + _PANEL + _GAP, _TOP - 30, _peers_head(found), "soft"),
    ]
    for tick in axis.ticks:
        kind = "rule" if tick else "zero"
        shapes.append(line(axis(tick), _TOP - 4, axis(tick), bottom, kind))
        shapes.append(text(axis(tick), bottom + 16, _whole(tick), "soft", "middle"))
    shapes.append(text(left + _PANEL, bottom + 34, "points of accuracy", "soft", "end"))
    fewest = min(found.labels)
    for i, name in enumerate(order):
        y = _TOP + _LINE * (i + 0.5)
        shapes.append(text(_EDGE, y + 4, name, ""))
        shapes += [_shown(axis, y, duel, duel.place.labels == fewest) for duel in by_set[name]]
        shapes.append(text(left + _PANEL + _GAP, y + 4, _peers(found, by_set[name]), "soft"))
    shapes += _labels(axis, by_set[order[0]])
    return picture(width, bottom + _FOOT, found.headline(), shapes, _STYLE)


def _told(found: Summary) -> str:
    n = len(found.seeds)
    return (
        "The best peer is chosen by its own mean on the test records, which favours it. "
        f"Bars: 95 % intervals over {n} seed{'' if n == 1 else 's'}, cut at the edge."
    )


def _shown(axis: _Axis, y: float, duel: Duel, fewest: bool) -> str:
    """One dot with its interval."""
    kind, y = ("few", y - 2.5) if fewest else ("more", y + 2.5)
    within = duel.lead.within()
    bar = "" if within is None else line(axis(within[0]), y, axis(within[1]), y, f"{kind}-bar")
    told = f"{duel.place}: {signed(duel.lead.mean)} (n {duel.lead.n})"
    return bar + dot(axis(duel.lead.mean), y, 4, kind if fewest else "ours", told)


def _peers_head(found: Summary) -> str:
    return f"best peer with {' · '.join(map(str, found.labels))} labels a class"


def _peers(found: Summary, duels: list[Duel]) -> str:
    """The best peer of each number of labels, once where it is the same."""
    return " · ".join(dict.fromkeys(found.title(duel.peer) for duel in duels))


def _labels(axis: _Axis, duels: list[Duel]) -> list[str]:
    """What the dots are, above those of the first line, on either side of them."""
    shown = sorted(duels, key=lambda duel: duel.lead.mean)
    words = [f"{duel.place.labels} labels a class" for duel in shown]
    places = [axis(duel.lead.mean) for duel in shown]
    if len(shown) == 1:
        return [text(places[0], _TOP - 8, words[0], "few-name", "middle")]
    ends = ["end", *["middle"] * (len(shown) - 2), "start"]
    moved = [-2.0, *[0.0] * (len(shown) - 2), 2.0]
    over = places[-1] + 100 - axis(axis.high)  # the last words end inside the picture
    shift = max(over, 0.0)
    return [
        text(x + by - shift, _TOP - 8, said, "few-name", end)
        for x, by, said, end in zip(places, moved, words, ends, strict=True)
    ]


def _whole(points: int) -> str:
    """A tick's number.

    >>> _whole(-10), _whole(0)
    ('−10', '0')
    """
    return f"{points:+d}".replace("-", "−") if points else "0"
