"""What is claimed of the results, held against them: ahead of peers, not below the own baseline."""

from __future__ import annotations

from collections import Counter
from statistics import mean

from benchmarks.summary import Duel, Figure, Summary, signed

__all__ = ["claims"]

#: Points by which the model that ships may be below its baseline, on average over seeds.
_TOLERANCE = 0.5


def claims(found: Summary) -> str:
    """A line a claim, of each of Leaven's columns."""
    said = []
    for column in (column for column in found.columns if column.ours):
        title, duels = found.title(column), found.duels(column)
        if duels:
            said += _against_peers(title, duels)
            guessed = [duel for duel in duels if found.guesses(duel.peer, duel.place)]
            if guessed:
                said.append(_against_able(guessed, found.duels(column, able=True)))
        gains = [(gain, place) for place in found.places if (gain := found.gain(column, place))]
        if gains:
            points = [(gain.mean, str(place)) for gain, place in gains]
            said.append(_against_itself(title, points))
    return "\n".join(said) or "These results are the peers' alone."


def _against_peers(title: str, duels: list[Duel]) -> list[str]:
    """Over all cases, and by the number of labels, with the interval over sets."""
    worst = min(duels, key=lambda duel: duel.lead.mean)
    ahead = sum(duel.lead.mean > 0 for duel in duels)
    by_labels = "; ".join(
        f"{labels} labels {_over_sets([d for d in duels if d.place.labels == labels])}"
        for labels in sorted({duel.place.labels for duel in duels})
    )
    overall = f"{_over_sets(duels)}, ahead in {ahead} of {len(duels)} cases ({by_labels})"
    return [
        f"- {title} against the best peer of each set and number of labels: {overall}.",
        f"- Worst against the best peer: {signed(worst.lead.mean)} on {worst.place}.",
    ]


def _against_able(guessed: list[Duel], able: list[Duel]) -> str:
    """The same without the peers that guess; `guessed` are the duels in which one was the best."""
    labels = Counter(duel.place.labels for duel in guessed)
    where = ", ".join(f"{count} with {n} labels" for n, count in sorted(labels.items()))
    rest = f" Beside the best of the other peers: {_over_sets(able)}." if able else ""
    return (
        f"- Of these cases, in {len(guessed)} ({where}) the best peer tells the classes apart no "
        "better than chance: it names nearly always the commonest class, of which labels drawn "
        f"evenly over the classes tell nothing.{rest}"
    )


def _over_sets(duels: list[Duel]) -> str:
    """The mean of the sets' own means, with its interval, for cases of one set are not apart."""
    by_set: dict[str, list[float]] = {}
    for duel in duels:
        by_set.setdefault(duel.place.set, []).append(duel.lead.mean / 100)
    figure = Figure.of([mean(leads) for leads in by_set.values()])
    assert figure is not None
    within = figure.within()
    if within is None:
        return f"{signed(figure.mean)} points"
    low, high = map(signed, within)
    return f"{signed(figure.mean)} points on average (95 % interval {low} to {high}, n {figure.n})"


def _against_itself(title: str, gains: list[tuple[float, str]]) -> str:
    below = [pair for pair in gains if pair[0] < -_TOLERANCE]
    least = min(gains, key=lambda pair: pair[0])
    verdict = f"never more than {_TOLERANCE} points below"
    if below:
        missed = "; ".join(f"{signed(points)} on {place}" for points, place in below)
        verdict = f"more than {_TOLERANCE} points below in {len(below)} of {len(gains)} ({missed})"
    return (
        f"- {title}: the model that ships is {verdict} its supervised baseline, "
        f"{signed(mean(points for points, _ in gains))} on average, "
        f"{signed(least[0])} at worst ({least[1]})."
    )
