"""Requests of made users to a real server, and the truth that they tell; every answer is kept."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["Answer", "Told", "Traffic"]

_PATIENCE = 30.0  # seconds for an answer
_TELLERS = 4  # who tell the truth at the same time

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What was answered to one record, and when it was `sent`, in seconds since 1970.

    `status` is 0 where the connection broke; `row` is the record's place among those that are sent.
    """

    sent: float
    seconds: float
    status: int
    row: int
    name: str = ""
    label: str = ""
    version: str = ""
    place: str = ""
    error: str = ""


@dataclass(frozen=True)
class Told:
    """One try to tell the truth of an answer; after `retry` seconds it may be tried again, 0 for
    never."""

    sent: float
    seconds: float
    status: int
    name: str
    label: str
    retry: float = 0.0
    error: str = ""


class Traffic:
    """Sends the records in an order drawn by the seed, again and again, each for a user of its own.

    Parameters
    ----------
    port : on this machine.
    truths : of each record.
    """

    def __init__(
        self,
        port: int,
        records: Sequence[Record],
        truths: Sequence[str],
        *,
        seed: int = 0,
    ) -> None:
        #: What is sent; others may take their place on the way.
        self.records = records
        self._port, self._truths = port, truths
        order = list(range(len(records)))
        random.Random(seed).shuffle(order)
        self._rows, self._users = itertools.cycle(order), itertools.count()
        self._lines = threading.local()
        self.answers: list[Answer] = []
        self.told: list[Told] = []

    @property
    def failed(self) -> list[Answer]:
        """The answers that were none."""
        return [one for one in self.answers if one.status != 200]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The truth that the server has said it has, by the name of its answer."""
        return {one.name: one.label for one in self.told if one.status == 200}

    def send(self, number: int, *, truth: bool = False, pace: float = 0.0) -> None:
        """Send so many, one after the other, with so many seconds between two; with `truth` tell
        what is true of each answer."""
        for _ in range(number):
            answer = self._ask()
            if truth and answer.status == 200:
                self._tell(answer)
            if pace:
                time.sleep(pace)

    @contextmanager
    def flowing(self, *, pace: float, truth: bool = True) -> Iterator[None]:
        """Requests meanwhile, and truth by other users, who try again what was not taken."""
        ended, due = threading.Event(), SimpleQueue[tuple[float, Answer]]()

        def ask() -> None:
            while not ended.wait(pace):
                answer = self._ask()
                if truth and answer.status == 200:
                    due.put((0.0, answer))

        def tell() -> None:
            while not ended.is_set():
                try:
                    at, answer = due.get(timeout=0.1)
                except Empty:
                    continue
                ended.wait(max(0.0, at - time.monotonic()))
                if wait := self._tell(answer).retry:
                    due.put((time.monotonic() + wait, answer))

        threads = [threading.Thread(target=one, daemon=True) for one in (ask, *[tell] * _TELLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join(_PATIENCE)

    def asks(self, path: str) -> dict[str, Any]:
        """What the server answers to GET; {} where it does not answer."""
        status, _, told = self._request("GET", path, None, {})
        return told if status == 200 else {}

    def _ask(self) -> Answer:
        row = next(self._rows)
        headers = {"X-Request-Key": f"user {next(self._users)}"}
        at, began = time.time(), time.perf_counter()
        status, _, told = self._request("POST", "/predict", self.records[row], headers)
        took = time.perf_counter() - began
        if status == 200:
            (one,) = told["predictions"]
            version, place = told["version"], told["place"]
            answer = Answer(at, took, status, row, one["id"], one["label"], version, place)
        else:
            answer = Answer(at, took, status, row, error=str(told.get("error", "")))
        self.answers.append(answer)
        return answer

    def _tell(self, answer: Answer) -> Told:
        label = self._truths[answer.row]
        at, began = time.time(), time.perf_counter()
        body = {"id": answer.name, "label": label}
        status, headers, told = self._request("POST", "/feedback", body, {})
        took = time.perf_counter() - began
        asked = float(headers.get("retry-after", 0)) if status in (429, 503) else 0.0
        retry = asked if status else 1.0
        error = "" if status == 200 else str(told.get("error", ""))
        self.told.append(Told(at, took, status, answer.name, label, retry, error))
        return self.told[-1]

    def _request(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers in lower case, and the JSON; 0 where the connection broke.

        A server may end a connection that nobody uses: one that breaks unused is opened again once.
        """
        sent = json.dumps(body, default=str)
        for turn in (0, 1):
            line, used = self._line()
            try:
                line.request(method, path, sent, {"content-type": "application/json", **headers})
                response = line.getresponse()
                told = json.loads(response.read())
                return response.status, {k.lower(): v for k, v in response.getheaders()}, told
            except (OSError, http.client.HTTPException, ValueError) as broken:
                self._lines.line = None
                if turn or not used:
                    return 0, {}, {"error": f"{type(broken).__name__}: {broken}"}
        raise AssertionError("the second turn returns")

    def _line(self) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection, and whether it was used before."""
        line = getattr(self._lines, "line", None)
        if line is not None:
            return line, True
        self._lines.line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        return self._lines.line, False
