"""Requests that come together are answered together, by one thread that asks the models.

What a model answers within a millisecond is answered at once, where nobody waits: to hand it to a
thread and back would take longer. There a turn is what the loop has read before it waits again; it
holds the loop for a millisecond at most. The thread takes what waits, at most 64 records, and while
others keep coming lets them join for 2 ms. A request is never torn apart, and one on which the
model fails is asked again without its neighbours, so that it costs them nothing. What waits is
bounded: beyond it a request is refused at once (429), which is kinder than answering too late.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from leaven.core.errors import LeavenError
from leaven.serve.models.limits import Refused
from leaven.serve.models.loading import Answer, Loaded
from leaven.serve.models.records import Record

__all__ = ["Batcher"]

_SAID = logging.getLogger(__name__)

#: Is told what a model said, or what failed.
Heard = Callable[[list[Answer] | Exception], None]


@dataclass(eq=False, slots=True)
class _Asked:
    """A request that waits, for a task that awaits its future or for who hears of it."""

    model: Loaded
    records: Sequence[Record]
    future: asyncio.Future[list[Answer]] | None = None
    heard: Heard | None = None
    answers: list[Answer] = field(default_factory=list)
    failed: Exception | None = None


class Batcher:
    """Asks models on a thread of its own.

    Parameters
    ----------
    most : records that are asked at once, unless one request has more.
    wait : seconds for which those who come meanwhile may join.
    waiting : records that may wait at once.
    shadows : requests that may wait for a shadow.
    quick : seconds within which a model must answer a request for it to be asked at once.
    count : told how many records a model is asked at once.
    """

    def __init__(
        self,
        *,
        most: int = 64,
        wait: float = 0.002,
        waiting: int = 1024,
        shadows: int = 64,
        quick: float = 0.001,
        count: Callable[[int], object] | None = None,
    ) -> None:
        self._most, self._wait, self._waiting, self._shadows = most, wait, waiting, shadows
        self._quick, self._count = quick, count or (lambda _: None)
        self._line: deque[_Asked] = deque()
        self._quiet: deque[_Asked] = deque()
        self._turn: list[_Asked] = []
        self._turn_seconds = 0.0
        self._records = 0
        self._several = False  # whether others came while the last ones were asked
        self._changed = threading.Condition()
        self._ended = False
        #: Requests taken into the line since the start.
        self.accepted = 0
        #: Requests whose shadow was not asked, because too many waited.
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="leaven-model", daemon=True)
        self._thread.start()

    @property
    def records(self) -> int:
        """Records that wait."""
        return self._records

    def is_free(self, model: Loaded) -> bool:
        """Whether this model could be asked about one record at once."""
        return model.seconds < self._quick and not self._records and not self._ended

    def ask_soon(self, model: Loaded, records: Sequence[Record], heard: Heard) -> bool:
        """Ask with all others of this turn of the loop, and tell `heard` before it waits again.

        Called on the loop. False, and nothing is told, where that takes long or others wait.
        """
        seconds = len(records) * model.seconds
        if self._records or self._ended or seconds >= self._quick:
            return False
        if self._turn_seconds + seconds >= self._quick:
            self._end_turn()
        if not self._turn:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._turn.append(_Asked(model, records, heard=heard))
        self._turn_seconds += seconds
        self.accepted += 1
        return True

    def _end_turn(self) -> None:
        taken, self._turn, self._turn_seconds = self._turn, [], 0.0
        self._answer(taken)

    async def ask(
        self, model: Loaded, records: Sequence[Record], seconds: float | None = None
    ) -> list[Answer]:
        """What the model says of each record.

        Raises Refused (429) where too many wait, TimeoutError where it takes longer than so many
        seconds, LeavenError and others as the model does.
        """
        at_once = len(records) * model.seconds < self._quick
        if at_once and not self._records and not self._ended:
            self.accepted += 1
            self._count(len(records))
            return _said(model, records)
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        asked = _Asked(model, records, future)
        with self._changed:
            if self._ended:
                raise Refused(503, "The server is ending.", retry=1)
            if self._records + len(records) > self._waiting:
                raise Refused(429, f"{self._records} records wait already. Try again.", retry=1)
            self._line.append(asked)
            self._records += len(records)
            self.accepted += 1
            self._changed.notify()
        async with asyncio.timeout(seconds):
            return await future

    def ask_quietly(self, model: Loaded, records: Sequence[Record], heard: Heard) -> bool:
        """Ask once nobody waits, and tell `heard` on the thread; False where it is too busy."""
        with self._changed:
            if self._ended or len(self._quiet) >= self._shadows:
                self.dropped += 1
                return False
            self._quiet.append(_Asked(model, records, heard=heard))
            self._changed.notify()
        return True

    def close(self, seconds: float = 30.0) -> None:
        """Answer what waits, and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._line and not self._quiet and not self._ended:
                    self._changed.wait()
                if not self._line and not self._quiet:
                    return
                loud = bool(self._line)
                taken = self._taken() if loud else [self._quiet.popleft()]
            self._answer(taken)
            del taken  # a model that is held here would outlive its release

    def _answer(self, taken: list[_Asked]) -> None:
        for model in dict.fromkeys(asked.model for asked in taken):
            self._ask(model, [asked for asked in taken if asked.model is model])
        self._tell(taken)

    def _taken(self) -> list[_Asked]:
        """The first who wait, and who joins them; called with the lock held."""
        taken = [self._line.popleft()]
        count = len(taken[0].records)
        until = time.monotonic() + self._wait
        while count < self._most:
            if self._line:
                if count + len(self._line[0].records) > self._most:
                    break
                taken.append(self._line.popleft())
                count += len(taken[-1].records)
                continue
            left = until - time.monotonic()
            if not self._several or left <= 0 or self._ended:
                break
            self._changed.wait(left)
        self._records -= count
        self._several = len(taken) > 1
        return [one for one in taken if one.future is None or not one.future.cancelled()]

    def _ask(self, model: Loaded, together: list[_Asked]) -> None:
        """Fill in answers or failures."""
        records = [record for asked in together for record in asked.records]
        self._count(len(records))
        try:
            found = iter(model.ask(records))
            for asked in together:
                asked.answers = [next(found) for _ in asked.records]
        except Exception as failed:  # noqa: BLE001 - it belongs to who asked
            if len(together) == 1:
                together[0].failed = failed
                _note(failed)
                return
            for asked in together:
                self._ask(model, [asked])

    def _tell(self, taken: list[_Asked]) -> None:
        waiting: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
        for asked in taken:
            if asked.future is not None:
                waiting.setdefault(asked.future.get_loop(), []).append(asked)
            elif asked.heard is not None:
                try:
                    asked.heard(asked.answers if asked.failed is None else asked.failed)
                except Exception:  # noqa: BLE001 - it disturbs nobody else
                    _SAID.exception("What a model said was not taken")
        for loop, group in waiting.items():
            try:
                loop.call_soon_threadsafe(_give, group)
            except RuntimeError:  # the loop ended, and with it who waited
                continue


def _said(model: Loaded, records: Sequence[Record]) -> list[Answer]:
    try:
        return model.ask(records)
    except Exception as failed:
        _note(failed)
        raise


def _note(failed: Exception) -> None:
    """Tell the log of what no user can have brought about."""
    if not isinstance(failed, LeavenError):
        _SAID.error("A model failed", exc_info=failed)


def _give(group: Iterable[_Asked]) -> None:
    for asked in group:
        if asked.future is None or asked.future.done():
            continue
        if asked.failed is not None:
            asked.future.set_exception(asked.failed)
        else:
            asked.future.set_result(asked.answers)
