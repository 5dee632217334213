"""Where the points are lost against the best peer: by the verdict, the decision, or the models."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from benchmarks.page import table
from benchmarks.summary import Column, Duel, Summary, signed

__all__ = ["losses"]

_SHOWN = 8  # cases that are named
_READING = (
    "What an oracle would add to the difference, in points: of the verdict, which ships the better "
    "one of the method's model and its baseline on the test records; of the decision, which takes "
    "the estimated class shares or equal ones, whichever is right oftener there; of the peers, "
    "which leaves out those that tell the classes apart no better than chance. What then is left "
    "is for the models themselves: their features, candidates and weights. Means over cases; the "
    "cases with most left to win stand below."
)


@dataclass(frozen=True)
class _Loss:
    """A case's difference, and what either oracle would add to it; all in points."""

    duel: Duel
    verdict: float
    decision: float
    peers: float

    @property
    def left(self) -> float:
        """The difference if all three were right."""
        return self.duel.lead.mean + self.verdict + self.decision + self.peers


def losses(found: Summary, column: Column) -> str:
    """A line a number of labels, and one for each of the cases that are furthest behind."""
    told = [_loss(found, column, duel) for duel in found.duels(column)]
    rows = []
    for labels in found.labels:
        own = [one for one in told if one.duel.place.labels == labels]
        if own:
            rows.append([f"{labels} labels a class, n {len(own)}", "", *_mean(own)])
    for one in sorted(told, key=lambda one: one.left)[:_SHOWN]:
        name = f"{one.duel.place.set}, {one.duel.place.labels}"
        rows.append([name, found.title(one.duel.peer), *_mean([one])])
    head = ["cases", "best peer", "difference", "verdict", "decision", "peers", "left"]
    return f"{_READING}\n\n{table(head, rows, 2)}"


def _mean(told: list[_Loss]) -> list[str]:
    parts = [(one.duel.lead.mean, one.verdict, one.decision, one.peers, one.left) for one in told]
    return [signed(mean(values)) for values in zip(*parts, strict=True)]


def _loss(found: Summary, column: Column, duel: Duel) -> _Loss:
    place, ours = duel.place, duel.ours.mean

    def points(model: str) -> float:
        figure = found.figure(column, place, model)
        return ours if figure is None else figure.mean

    shipped = max(points("method"), points("baseline")) - ours
    decided = max(points("balanced") - ours, 0.0)
    able = found.rival(place, able=True)
    top = found.figure(able, place) if able else None
    peers = 0.0 if top is None else duel.theirs.mean - top.mean
    return _Loss(duel, shipped, decided, peers)
