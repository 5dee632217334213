"""Records that are to be routed to teams: Banking77, which is bundled, or loghub's logs.

Of both the team of every record is known. The scenarios show it to a model for a few of the records
to be learnt from; of the others it plays the annotator and tells what was right.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

__all__ = ["Lines", "read_lines", "write_later", "write_lines"]

HERE = Path(__file__).parent
#: Who owns an intent of Banking77: the first team of which a word is in its name.
_OWNERS = {
    "top-ups": ("top_up", "topping_up"),
    "exchange": ("exchange",),
    "cash": ("cash", "atm"),
    "transfers": ("transfer", "beneficiary", "receiving_money", "direct_debit"),
    "identity": (
        "identity", "verify", "passcode", "age_limit", "terminate", "personal", "phone", "country",
    ),
    "payments": ("payment", "refund", "Refund", "transaction", "extra_charge"),
    "cards": ("",),
}  # fmt: skip
_LEAST = 4  # labels of a team
_LEARNT = 2000  # records of Banking77 that are learnt from; the rest comes in later

Line = tuple[str, str]  # text, team


@dataclass(frozen=True)
class Lines:
    """Records with their teams: those to be learnt from, and those that come in later."""

    name: str
    source: str
    pool: tuple[Line, ...]
    traffic: tuple[Line, ...]

    @property
    def teams(self) -> list[str]:
        """Whom a record may be routed to."""
        return sorted({team for _, team in self.pool})


def read_lines(file: Path | None, most: int | None = None, seed: int = 0) -> Lines:
    """The records of a file of loghub, or without one those of Banking77.

    Parameters
    ----------
    file : Parquet with `content`, `system` and `split` (train, test in order of time). What a line
        says is all that a model sees: the head, which names the system, is left out.
    most : so many to be learnt from at most, and so many later ones, drawn by chance.

    Each text counts once: a later line that was there before is left out. Raises ValueError for a
    file that is none, or that leaves nothing of a team.
    """
    if file is None:
        pool, traffic = _banking()
        name, source = "questions", "Banking77 (CC BY 4.0), intents grouped into 7 teams"
    else:
        pool, traffic = _logs(file)
        name, source = "logs", f"'{file.name}', the lines of loghub by the system they come from"
    draw = random.Random(seed)
    pool, traffic = _drawn(pool, most, draw), _drawn(traffic, most, draw)
    counted = Counter(team for _, team in pool)
    if len(counted) < 2 or not traffic or min(counted.values()) <= _LEAST:
        raise ValueError(
            f"'{file}' leaves fewer than two teams of {_LEAST + 1} lines or no later ones."
        )
    return Lines(name, source, tuple(pool), tuple(traffic))


def write_lines(
    lines: Lines, file: Path, labels: int, seed: int = 0, named: dict[str, str] | None = None
) -> set[str]:
    """The pool as CSV (id, text, team), of which `labels` a team on average have one; their ids.

    They are drawn by chance, as often as their team occurs, so that what they say of a model holds
    for what comes later; of a rare team there are 4 all the same. With more labels the same records
    have one, and others besides.

    `named` calls teams by other names, as a table does that somebody got wrong.
    """
    order = list(range(len(lines.pool)))
    random.Random(seed).shuffle(order)
    shown = set(order[: labels * len(lines.teams)])
    for team in lines.teams:
        shown |= set([i for i in order if lines.pool[i][1] == team][:_LEAST])
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(["id", "text", "team"])
        for i, (text, team) in enumerate(lines.pool):
            table.writerow([f"r{i}", text, (named or {}).get(team, team) if i in shown else ""])
    return {f"r{i}" for i in shown}


def write_later(lines: Lines, file: Path) -> None:
    """The later records with their teams as CSV (text, team)."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([("text", "team"), *lines.traffic])


def _banking() -> tuple[list[Line], list[Line]]:
    """The texts whose intent is known: those of `intents.csv` and `test.csv`, shuffled."""
    rows: list[Line] = []
    for name in ("intents.csv", "test.csv"):
        with (HERE / "banking77" / name).open(encoding="utf-8", newline="") as opened:
            known = [row for row in csv.DictReader(opened) if row["intent"]]
        rows += [(row["text"], _owner(row["intent"])) for row in known]
    random.Random(0).shuffle(rows)
    return rows[:_LEARNT], rows[_LEARNT:]


def _owner(intent: str) -> str:
    return next(team for team, words in _OWNERS.items() if any(word in intent for word in words))


def _logs(file: Path) -> tuple[list[Line], list[Line]]:
    """Earlier and later lines, each text once."""
    try:
        table = pq.read_table(file, columns=["content", "system", "split"])
    except (OSError, ValueError) as wrong:
        wanted = "Parquet with the columns content, system and split"
        raise ValueError(f"'{file}' is to be {wanted}: {wrong}") from None
    seen: set[str] = set()
    earlier = list(_new(table.to_pylist(), "train", seen))
    return earlier, list(_new(table.to_pylist(), "test", seen))


def _new(rows: Sequence[dict[str, Any]], split: str, seen: set[str]) -> Iterator[Line]:
    """Lines of this part whose text was not seen before."""
    for row in rows:
        text, team = (str(row[name] or "").strip() for name in ("content", "system"))
        if row["split"] == split and text and team and text not in seen:
            seen.add(text)
            yield text, team


def _drawn(lines: list[Line], most: int | None, draw: random.Random) -> list[Line]:
    """In any order, so many at most."""
    return draw.sample(lines, len(lines) if most is None else min(most, len(lines)))
