"""What learning curves advise, in sentences: label on, or stop; seek more unlabelled records?"""

from __future__ import annotations

from leaven.core.wording import count, many, points, span
from leaven.evaluate.intervals import Estimate

__all__ = ["advise_labels", "advise_unlabelled"]

_WIDE = 0.1  # an interval of the gain that says little


def advise_labels(
    gain: Estimate, expected: Estimate, labelled: int, ahead: int, worth: float
) -> tuple[str, str]:
    """The outcome (`go on`, `perhaps`, `stop`) and the sentence, for a gain that must be `worth`.

    `gain` is what one may see, `expected` its mean over the records that may be drawn, by which
    it is decided.

    >>> gain, mean = Estimate(0.021, 0.003, 0.045, 120), Estimate(0.021, 0.01, 0.03, 120)
    >>> outcome, said = advise_labels(gain, mean, 120, 50, 0.005)
    >>> outcome, said.replace("\u202f", " ")
    ('go on', 'The next 50 labels are worth about +2.1 points (95 %: 0.3 to 4.5). Go on labelling.')
    """
    said = f"The next {count(ahead)} labels are worth" if ahead > 1 else "The next label is worth"
    ends = span(gain.low, gain.high)
    if expected.high < worth:
        return "stop", (
            f"{said} less than {_named(worth)} on average: you may see {points(gain.value)} "
            f"({ends}). Stop, or look for another kind of record."
        )
    if expected.value < worth:
        return "perhaps", (
            f"{said} about {points(gain.value)} points ({ends}), probably less than "
            f"{_named(worth)}. Stop, unless so little counts."
        )
    said += f" about {points(gain.value)} points ({ends}). Go on labelling."
    if gain.high - gain.low > _WIDE:
        said += (
            f" {many(labelled, 'label tells', 'labels tell')} this only roughly: "
            "ask again when the next are there."
        )
    return "go on", said


def advise_unlabelled(doubled: Estimate | None, worth: float) -> str:
    """What twice as many unlabelled records would change, by what the last doubling brought.

    The inverse power law gives each doubling less than the one before. Empty for None.

    >>> advise_unlabelled(Estimate(0.001, -0.002, 0.004, 120), 0.005).partition(". ")[2]
    'Twice as many would change little.'
    """
    if doubled is None:
        return ""
    last = "The last doubling of the unlabelled records"
    ends = span(doubled.low, doubled.high)
    if doubled.low > 0:
        return (
            f"{last} brought {points(doubled.value)} points ({ends}). "
            "Twice as many may bring a part of that again."
        )
    if doubled.high < 0:
        return (
            f"{last} cost {points(-doubled.value, sign=False)} points "
            f"({span(-doubled.high, -doubled.low)}). Fewer of them would do."
        )
    if doubled.high < worth:
        return (
            f"{last} brought less than {_named(worth)} ({ends}). Twice as many would change little."
        )
    return (
        f"{last} brought {points(doubled.value)} points ({ends}), which chance may have done. "
        "What twice as many would change is not known."
    )


def _named(worth: float) -> str:
    """A share of the records as people say it."""
    named = {0.005: "half a point", 0.01: "one point"}
    return named.get(worth, f"{points(worth, sign=False)} points")
