"""Promises held against what was seen: kept, not kept, or it could not be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from leaven.core.wording import THIN, count, decimal, many
from leaven.operate.gameday.drill import SECONDS, Promise

__all__ = ["BROKEN", "KEPT", "OUTCOMES", "UNTOLD", "Held", "Seen", "judged", "overall", "summed"]

KEPT, BROKEN, UNTOLD = "kept", "not kept", "could not be told"
#: The worst first.
OUTCOMES = (BROKEN, UNTOLD, KEPT)


@dataclass(frozen=True)
class Seen:
    """What was seen of a promise.

    Attributes
    ----------
    value : the figure; None where what was waited for never came.
    n : how many could have broken it, or how many looks there were; with 0 nothing can be told.
    of : what those are, "requests".
    note : what else is to be said, or why there is nothing.
    evidence : lines of logs and answers.
    """

    value: float | None
    n: int
    of: str = ""
    note: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """A promise, and how it was held."""

    promise: Promise
    outcome: str
    figure: str
    seen: Seen

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **asdict(self.promise), "outcome": self.outcome, "figure": self.figure,
            "value": self.seen.value, "n": self.seen.n, "of": self.seen.of,
            "note": self.seen.note, "evidence": list(self.seen.evidence),
        }  # fmt: skip


def judged(promise: Promise, seen: Seen | None, why: str = "") -> Held:
    """Hold a promise against what was seen; `why` says why nothing was.

    >>> none = Promise("failed", "No request fails.", 0, "requests that failed", "serving.md")
    >>> judged(none, Seen(0, 80, "requests")).outcome, judged(none, Seen(1, 80)).outcome
    ('kept', 'not kept')
    >>> judged(none, Seen(0, 0)).outcome, judged(none, None).outcome
    ('could not be told', 'could not be told')
    """
    found = seen or Seen(None, 0, note=why or "The drill did not come so far.")
    if not found.n:
        return Held(promise, UNTOLD, "", found)
    of = f" (n {count(found.n)}{f' {found.of}' if found.of else ''})"
    if found.value is None:
        return Held(promise, BROKEN, f"never{of}", found)
    outcome = KEPT if found.value <= promise.most else BROKEN
    if promise.unit == SECONDS:
        return Held(promise, outcome, f"{decimal(found.value)}{THIN}s{of}", found)
    return Held(promise, outcome, f"{count(found.value)} {promise.unit}{of}", found)


def overall(outcomes: Sequence[str]) -> str:
    """The worst of them; nothing held is nothing told."""
    return next((one for one in OUTCOMES if one in outcomes), UNTOLD)


def summed(outcomes: Sequence[str]) -> str:
    """How many of each, in a sentence.

    >>> summed(["kept", "kept", "not kept"])
    'Of 3 promises 2 were kept and 1 was not.'
    """
    number: Mapping[str, int] = {one: list(outcomes).count(one) for one in OUTCOMES}
    kept, broken, untold = number[KEPT], number[BROKEN], number[UNTOLD]
    if kept == len(outcomes) > 0:
        return "The promise was kept." if kept == 1 else f"All {kept} promises were kept."
    parts = [f"{kept} {'was' if kept == 1 else 'were'} kept"] if kept else []
    if broken:
        parts.append(f"{broken} {'was' if broken == 1 else 'were'} not")
    if untold:
        parts.append(f"of {untold} it could not be told")
    said = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + (parts[-1:] or ["none"])[0]
    return f"Of {many(len(outcomes), 'promise', 'promises')} {said}."
