"""What a task is made of, as it is asked and as it is given; and what of it can be kept."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaven.core.errors import DataError, SettingError
from leaven.store.tables import tasks

__all__ = [
    "KEY",
    "NAME",
    "Ask",
    "Receipt",
    "Task",
    "check_ask",
    "check_name",
    "check_seconds",
    "check_text",
]

NAME, KEY = 200, 80  # characters at most


@dataclass(frozen=True)
class Ask:
    """What a task is made of.

    Attributes
    ----------
    record, content : the record's id, and the hash of what is in it.
    shown : how a page shows it, see `Modality.show`.
    guess : class names with their probabilities, the likeliest first; may be empty.
    reason : why it is asked, for the person who answers.
    kind : `ask`, `gold` (its `truth` is known and judges the people), `audit` (a pseudo-label is
        judged by it) or `suspect` (a given label is doubted).
    batch : what it was asked together with; a record is asked once in a batch.
    wanted : how many different people are to answer.
    assigned : the one person it is for; None for all.
    origin : where it comes from: run, strategy, score.
    """

    record: str
    content: str
    shown: Mapping[str, Any] = field(default_factory=dict)
    guess: Sequence[tuple[str, float]] = ()
    reason: str = ""
    kind: str = "ask"
    batch: str = ""
    truth: str | None = None
    priority: float = 0.0
    wanted: int = 1
    assigned: str | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task(Ask):
    """An `Ask` in the queue; `until` is when the lease of the person who was given it ends, and 0
    where others hold all its places."""

    id: int = 0
    until: float = 0.0

    @classmethod
    def of(cls, row: Any, until: float = 0.0) -> Task:
        """The task of a row of the table."""
        told = {name: getattr(row, name) for name in Ask.__dataclass_fields__}
        told["guess"] = tuple((str(name), float(share)) for name, share in row.guess)
        return cls(**told, id=row.id, until=until)


@dataclass(frozen=True)
class Receipt:
    """An answer that is in the database: the number of its event, and whether it was there before.

    `late` tells that the task had all its answers already, so that this one is a further one; of a
    final answer, that somebody else had decided before.
    """

    event: int
    again: bool = False
    late: bool = False


def check_ask(ask: Ask) -> None:
    """It can be kept; that its classes are those of a queue is for the queue to say."""
    if ask.wanted < 1:
        raise SettingError("wanted", "at least 1", ask.wanted)
    if math.isnan(ask.priority):
        raise SettingError("priority", "a number", ask.priority)
    if ask.kind == "gold" and ask.truth is None:
        raise SettingError("truth", "the known answer of a gold question", None)
    if ask.assigned is not None:
        check_name("assigned", ask.assigned)
    for name in ("record", "content", "kind", "batch", "reason"):
        check_text(name, getattr(ask, name), getattr(tasks.c[name].type, "length", None))
    try:
        json.dumps([ask.shown, ask.guess, ask.origin], allow_nan=False)
    except (TypeError, ValueError) as wrong:
        raise DataError(
            f"The task of '{ask.record}' cannot be kept: {wrong}. What is shown, guessed and "
            "told of its origin must be plain JSON."
        ) from wrong


def check_text(parameter: str, told: str | None, longest: int | None = None) -> None:
    """Both databases keep it: no NUL, no half of a character."""
    told = told or ""
    odd = "\0" in told or any("\ud800" <= sign <= "\udfff" for sign in told)
    if odd or len(told) > (longest or len(told)):
        at_most = f" of at most {longest} characters" if longest else ""
        raise SettingError(parameter, f"text{at_most}", told)


def check_name(parameter: str, name: str, longest: int = NAME) -> None:
    """It can be seen, and is not too long."""
    odd = any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)
    if odd or not name.strip() or len(name) > longest:
        raise SettingError(parameter, f"a name of 1 to {longest} printable characters", name)


def check_seconds(seconds: float | None) -> None:
    """It is a length of time, or not known."""
    if seconds is not None and not 0 <= seconds < math.inf:
        raise SettingError("seconds", "a number of seconds, at least 0", seconds)
