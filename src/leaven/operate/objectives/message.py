"""What people are told: the news of one service, as plain values and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from leaven.core.wording import many

__all__ = ["News", "Message", "SEVERITIES"]

#: The most urgent first: somebody is woken, somebody works on it in the day, somebody reads it.
SEVERITIES = ("page", "ticket", "note")
_NAMED = 5  # objectives in a subject
_EVENTS = ("opened", "resolved", "reminder", "stands")


@dataclass(frozen=True)
class News:
    """One alert in a message.

    `event` is opened, reminder, resolved, or stands (it was told before, and is told along).
    `began`, `opened` and `closed` in seconds since 1970; `value` with its interval `low` to `high`
    and `n` is the figure, None of it known where there is none; `command` is to be typed first.
    """

    id: int
    event: str
    slo: str
    indicator: str
    severity: str
    began: float
    opened: float
    closed: float | None
    sentence: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    target: float | None
    runbook: str
    command: str


@dataclass(frozen=True)
class Message:
    """The news of one service and its data, in one message."""

    key: str
    service: str
    dataset: str
    at: float
    again_within: float
    news: tuple[News, ...]

    @property
    def severity(self) -> str:
        """That of the most urgent alert which does not stand since long, else of any."""
        fresh = [one for one in self.news if one.event != "stands"] or list(self.news)
        return min((one.severity for one in fresh), key=SEVERITIES.index)

    @property
    def subject(self) -> str:
        """One line: how urgent, of what, what is new."""
        said = [
            f"{many(number, 'alert', 'alerts') if not i else number} {_VERB[event]}"
            for i, (event, number) in enumerate(self._counts())
        ]
        every = list(dict.fromkeys(one.slo for one in self.news))
        names = ", ".join(every[:_NAMED]) + (" …" if len(every) > _NAMED else "")
        return _line(f"[{self.severity}] {self.service}: {', '.join(said)} ({names})")

    @property
    def text(self) -> str:
        """All of it, for people."""
        head = f"Service {_line(self.service)}, data {_line(self.dataset)}, {_when(self.at)}."
        news = [one for event in _EVENTS for one in self.news if one.event == event]
        parts = [_told(one, self.service) for one in news]
        return "\n\n".join([head, *parts]) + "\n"

    def told(self) -> dict[str, Any]:
        """As plain values, which `of` reads."""
        return asdict(self) | {"news": [asdict(one) for one in self.news]}

    def public(self) -> dict[str, Any]:
        """As plain values, for a receiver."""
        told = {name: value for name, value in self.told().items() if name != "again_within"}
        return told | {"severity": self.severity, "subject": self.subject}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Message:
        """From what `told` gave."""
        return cls(**{**told, "news": tuple(News(**one) for one in told["news"])})

    def _counts(self) -> Sequence[tuple[str, int]]:
        counts = [(e, sum(one.event == e for one in self.news)) for e in _EVENTS]
        return [(event, number) for event, number in counts if number and event != "stands"]


_VERB = {"opened": "opened", "resolved": "resolved", "reminder": "still open"}


def _told(one: News, service: str) -> str:
    since = f"since {_when(one.began)}"
    head = {
        "opened": f"OPENED, {one.severity}: {one.slo}, {since}",
        "resolved": f"RESOLVED, {one.severity}: {one.slo}, {since}, "
        f"until {_when(one.closed or one.opened)}",
        "reminder": f"STILL OPEN, {one.severity}: {one.slo}, {since}",
        "stands": f"Open as well, {one.severity}: {one.slo}, {since}",
    }[one.event]
    lines = [head, one.sentence]
    if one.event != "resolved":
        lines += [f"Type: {one.command}", f"Read: {one.runbook}"]
        if one.severity == SEVERITIES[0]:
            incident = f"leaven incident open {quote(service)} --alert {one.id} --reason TEXT"
            lines.append(f"Keep the evidence: {incident}")
    return "\n".join(_line(line) for line in lines)


def _line(text: str) -> str:
    """The text as one line: a header that ends early, or a second one, cannot come of it."""
    return "".join(" " if ord(sign) < 32 or ord(sign) == 127 else sign for sign in text)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
