"""Records answered as they come: JSON lines in, one JSON line out for each, in order.

A record is an object of cells by the names of the model's columns, as in a file of JSON Lines;
further cells are ignored and missing ones count as missing. `id` names it. A line that is no such
record is answered too, by `error` and why.

With recalibration or acceptance, what was learnt is kept in a folder after each batch, so a killed
stream goes on with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from leaven.core.errors import DataError, LeavenError, RunError
from leaven.data.pieces import Reading, objects_piece
from leaven.data.readers.objects import parsed_object
from leaven.operate.scoring.accepting import Acceptance
from leaven.operate.scoring.answering import Answering, Answers, answer
from leaven.operate.scoring.recalibrating import Recalibration

__all__ = ["ACCEPTED", "Stream", "Streamed"]

#: The file of accepted pseudo-labels, in the folder of the state.
ACCEPTED = "accepted.jsonl"
_STATE = "state.json"
_FORMAT = 1
_TOGETHER = 256  # records that the model is asked about at once
_STREAMED = ("text", "tabular", "embedding", "series")


@dataclass
class Streamed:
    """What a stream came to: lines answered, of these errors and truths, pseudo-labels accepted and
    held back by a pause."""

    lines: int = 0
    errors: int = 0
    truths: int = 0
    accepted: int = 0
    held: int = 0
    recalibration: dict[str, Any] | None = None
    gate: list[dict[str, Any]] = field(default_factory=list)


class Stream:
    """Answers lines, and learns from them where it is told to.

    Parameters
    ----------
    label : the name by which a record may bring its true class.
    recalibration, acceptance : None learns, or accepts, nothing.
    home : the folder of the state; None keeps nothing. It is this stream's until `close`; RunError
        where it is another stream's, or another model's.

    Raises DataError for a model whose records are files or hang together.
    """

    def __init__(
        self,
        answering: Answering,
        *,
        label: str = "label",
        recalibration: Recalibration | None = None,
        acceptance: Acceptance | None = None,
        home: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if answering.modality not in _STREAMED:
            raise DataError(
                f"A stream has records of text, cells, vectors or series. This model reads "
                f"{answering.modality} records: give their files to leaven predict."
            )
        self._answering, self._clock = answering, clock
        self._reading: Reading = answering.reading(label, "id")
        self._place = {name: i for i, name in enumerate(answering.classes)}
        self._recalibration, self._acceptance = recalibration, acceptance
        self._home = home
        self.streamed = Streamed()
        #: Where the source goes on, as its last batch said.
        self.after = 0
        self._kept = 0  # bytes of accepted pseudo-labels
        self._lock: IO[str] | None = None
        if home is not None:
            self._open(home)

    def answered(
        self, lines: Sequence[bytes | None], ends: Sequence[int] = ()
    ) -> Iterator[list[bytes]]:
        """The answers to these lines, some hundreds at a time, each with its line end.

        What was learnt from some is kept when more are asked for, so their taker has them first.

        Parameters
        ----------
        lines : None stands for one that is too long.
        ends : of each, where the source goes on after it.
        """
        for start in range(0, len(lines), _TOGETHER):
            some = lines[start : start + _TOGETHER]
            told, accepted = self._answer(some)
            yield [_line(one) for one in told]
            self._keep(accepted, ends[start + len(some) - 1] if ends else self.after)

    def close(self) -> None:
        """Let go of the folder of the state."""
        if self._lock is not None:
            self._lock.close()

    def summary(self) -> Streamed:
        """What it came to so far."""
        found = self.streamed
        if self._recalibration is not None:
            told = self._recalibration.told()
            shares = zip(self._answering.classes, told["shares"], strict=True)
            found.recalibration = told | {"shares": dict(shares)}
        if self._acceptance is not None:
            found.gate, found.held = self._acceptance.told(), self._acceptance.held
        return found

    def _answer(
        self, lines: Sequence[bytes | None]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Of each line its answer; and the pseudo-labels that are accepted."""
        first = self.streamed.lines + 1
        objects = [(first + i, _parsed(line)) for i, line in enumerate(lines)]
        self.streamed.lines += len(lines)
        told: list[dict[str, Any]] = []
        accepted: list[dict[str, Any]] = []
        for part in self._asked(objects):
            for place in range(len(part.piece)):
                one, label = self._one(part, place)
                told.append(one)
                if label is not None:
                    accepted.append(label)
        self.streamed.errors += sum("error" in one for one in told)
        self.streamed.accepted += len(accepted)
        return told, accepted

    def _asked(self, objects: Sequence[tuple[int, Any]]) -> Iterable[Answers]:
        """What the model says; records that it fails on are asked about one by one."""
        try:
            return [answer(self._answering, objects_piece(objects, self._reading))]
        except Exception as failed:  # noqa: BLE001 - no record may end a stream
            if len(objects) > 1:
                middle = len(objects) // 2
                return [*self._asked(objects[:middle]), *self._asked(objects[middle:])]
            row = objects[0][0]
            kind = "" if isinstance(failed, LeavenError) else f"{type(failed).__name__}: "
            piece = objects_piece([(row, f"{kind}{failed}")], self._reading)
            return [answer(self._answering, piece)]

    def _one(self, part: Answers, place: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The answer to one record, and the pseudo-label that it becomes, if it does."""
        piece = part.piece
        told: dict[str, Any] = {"row": int(piece.rows[place])}
        if piece.ids[place]:
            told["id"] = piece.ids[place]
        if place in part.refused:
            reason, detail = part.refused[place]
            return told | {"error": f"{reason}: {detail}"}, None
        at = int(np.searchsorted(part.places, place))
        said = part.probabilities[at]
        content, given = str(part.kept.content[at]), part.kept.labels[at].as_py()
        truth = self._place.get(given) if given is not None else None
        self.streamed.truths += truth is not None
        shown = said if self._recalibration is None else self._recalibration.apply(said)
        accepts = self._acceptance is not None and self._acceptance(shown, truth)
        if self._recalibration is not None:
            self._recalibration.learn(said, shown, truth)
        named, confidence = self._answering.classes[int(shown.argmax())], float(shown.max())
        probabilities = dict(zip(self._answering.classes, shown.tolist(), strict=True))
        told |= {"prediction": named, "confidence": confidence, "probabilities": probabilities}
        told.setdefault("id", content[:16])
        if not accepts or given is not None:
            return told, None
        label = {
            "id": told["id"],
            "content": content,
            "label": named,
            "confidence": confidence,
            "origin": f"model:{self._answering.name}",
            "at": self._clock(),
        }
        return told, label

    def _open(self, home: Path) -> None:
        """Go on with what is kept; pseudo-labels of after that are taken out."""
        home.mkdir(parents=True, exist_ok=True)
        self._lock = (home / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            self._lock.close()
            raise RunError(
                f"Another stream keeps its state in '{home}'. Give each its own folder."
            ) from busy
        path = home / _STATE
        if not path.exists():
            return
        try:
            told = json.loads(path.read_text("utf-8"))
            if told["format"] != _FORMAT:
                raise ValueError(f"its format is {told['format']}, this Leaven reads {_FORMAT}")
            if told["model"] != self._answering.digest:
                raise ValueError("it is that of another model")
            counts, self.after = told["streamed"], int(told["after"])
            self._kept = int(told["kept"])
            lines, errors, truths, accepted = (
                int(counts[name]) for name in ("lines", "errors", "truths", "accepted")
            )
            self.streamed = Streamed(lines, errors, truths, accepted)
            learnt, rule = told["recalibration"], told["acceptance"]
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise RunError(
                f"The state in '{home}' cannot be used: {broken}. Give an empty folder."
            ) from broken
        if self._recalibration is not None and learnt is not None:
            self._recalibration = Recalibration.of(learnt, self._recalibration.before)
        if self._acceptance is not None and rule is not None:
            self._acceptance.restore(rule)
        if (home / ACCEPTED).exists():
            os.truncate(home / ACCEPTED, self._kept)

    def _keep(self, accepted: Sequence[dict[str, Any]], after: int) -> None:
        """Write what was learnt; pseudo-labels first, the state that counts them last."""
        self.after = after
        if self._home is None:
            return
        if accepted:
            with (self._home / ACCEPTED).open("ab") as file:
                self._kept += file.write(b"".join(map(_line, accepted)))
        found, learnt, rule = self.streamed, self._recalibration, self._acceptance
        told = {
            "format": _FORMAT,
            "model": self._answering.digest,
            "streamed": {
                name: getattr(found, name) for name in ("lines", "errors", "truths", "accepted")
            },
            "after": self.after,
            "kept": self._kept,
            "recalibration": None if learnt is None else learnt.state(),
            "acceptance": None if rule is None else rule.state(),
        }
        partial = self._home / f"{_STATE}.part"
        partial.write_text(json.dumps(told), "utf-8")
        os.replace(partial, self._home / _STATE)


def _parsed(line: bytes | None) -> dict[str, Any] | str:
    if line is None:
        return "the line is too long"
    try:
        return parsed_object(line.decode())
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"
