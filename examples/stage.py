"""What the scenarios stand on: a folder, commands as a user types them, processes beside, traffic.

Everything is done from outside: `leaven` as a process of its own, its servers over loopback. A step
that does not do what it should ends the scenario with `Failed`.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lines import Line

__all__ = [
    "LEAVEN",
    "Answer",
    "Failed",
    "Process",
    "Stage",
    "Traffic",
    "Typed",
    "fetched",
    "posted",
]

#: What `leaven` is, as a process of its own.
LEAVEN = (sys.executable, "-m", "leaven")
_PATIENCE = 3600.0  # seconds for a command, many times what it takes
_LOGGED = 20.0  # seconds in which an answer is in the log, where its truth can be told


class Failed(Exception):
    """A step did not do what it should."""


@dataclass(frozen=True)
class Typed:
    """A command, what came of it in a sentence, when it was typed and how long it took."""

    command: str
    came: str
    at: float
    seconds: float


@dataclass
class Stage:
    """A folder in which commands are typed, and what was typed so far."""

    folder: Path
    typed: list[Typed] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def say(self, sentence: str) -> None:
        """A line for who looks on."""
        print(sentence, flush=True)

    def leaven(self, *words: str, came: Callable[[Any], str]) -> Any:
        """Type `leaven WORDS --json` in the folder; what it answered, which `came` says in words.

        Raises Failed with what it said where it ends with another exit code than 0.
        """
        arguments = [*words, "--json"]
        command, at = f"leaven {shlex.join(arguments)}", time.time()
        self.say(f"\n$ {command}")
        code, out, err = self.run(arguments)
        if code:
            raise Failed(f"'{command}' ended with {code}: {(err or out).strip()[-2000:]}")
        told = json.loads(out)
        self.typed.append(Typed(command, came(told), at, time.time() - at))
        self.say(f"  {self.typed[-1].came}")
        return told

    def run(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command."""
        try:
            done = subprocess.run(
                [*LEAVEN, *arguments], cwd=self.folder, timeout=_PATIENCE,
                capture_output=True, text=True, encoding="utf-8", env=_environment(),
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise Failed(f"'leaven {arguments[0]}' took over {_PATIENCE:.0f} s.") from late
        return done.returncode, done.stdout, done.stderr

    @contextmanager
    def beside(self, *words: str) -> Iterator[Process]:
        """Type `leaven WORDS` and leave it running until the block ends."""
        self.say(f"\n$ leaven {shlex.join(words)} &")
        at = time.time()
        process = Process(words, self.folder)
        self.typed.append(Typed(f"leaven {shlex.join(words)} &", "runs beside", at, 0.0))
        try:
            yield process
        finally:
            process.end()

    def until(self, holds: Callable[[], Any], what: str, seconds: float) -> Any:
        """Wait until it holds, and return what it gave; Failed after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(0.1)
        raise Failed(f"Not within {seconds:.0f} s: {what}.")

    def must(self, holds: object, what: str) -> None:
        """Failed unless it holds."""
        if not holds:
            raise Failed(what)


class Process:
    """`leaven WORDS` beside; what it prints is kept, its log lies in the folder."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self._log = folder / f"{words[0]}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*LEAVEN, *words], cwd=folder, env=_environment(),
                stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
            )  # fmt: skip
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.said.append(line.rstrip("\n"))

    def address(self, before: str) -> str:
        """The address that it says after these words; Failed where it ends without."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for line in tuple(self.said):
                if line.startswith(before):
                    return line.removeprefix(before).strip()
            if self._process.poll() is not None:
                raise Failed(f"It ended at once: {self._log.read_text('utf-8')[-2000:]}")
            time.sleep(0.05)
        raise Failed(f"It never said '{before.strip()}'.")

    def end(self) -> None:
        """End it as Ctrl-C does, and by force where that is not heard."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(45)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Answer:
    """A request of the traffic: when, its status (0 without an answer), who answered, rightly?"""

    began: float
    ended: float
    status: int
    run: str = ""
    place: str = ""
    team: str = ""
    truth: str = ""

    @property
    def right(self) -> bool:
        """Whether the record went to its team."""
        return self.team == self.truth


class Traffic:
    """Sends records to a service one after the other, each from a customer of its own.

    Of answers that the service marks as explored the truth is sent back, as people who look at
    them would. Runs until the block ends; `answers` grows meanwhile.

    Parameters
    ----------
    pace : requests a second at most.
    """

    def __init__(self, address: str, lines: Sequence[Line], pace: float) -> None:
        self.answers: list[Answer] = []
        self.truths = 0
        self._address, self._lines, self._wait = address, lines, 1 / pace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def failed(self) -> int:
        """Requests that were not answered."""
        return sum(one.status != 200 for one in self.answers)

    def of(self, *, since: float = 0.0, until: float = float("inf")) -> list[Answer]:
        """What was answered to requests that began in a time."""
        return [one for one in tuple(self.answers) if since <= one.began < until and one.run]

    def _send(self) -> None:
        connection = _connected(self._address)
        waiting: list[tuple[float, dict[str, str]]] = []  # truths of answers not yet in the log
        for number, (text, truth) in zip(count(), cycle(self._lines), strict=False):
            if self._ended.wait(self._wait):
                break
            began = time.time()
            try:
                status, told = _asked(connection, {"text": text}, f"customer {number}")
            except (OSError, HTTPException, ValueError):
                connection.close()
                self.answers.append(Answer(began, time.time(), 0))
                continue
            if status != 200:
                self.answers.append(Answer(began, time.time(), status))
                continue
            (one,) = told["predictions"]
            who = told["run"], told["place"], one["label"]
            self.answers.append(Answer(began, time.time(), status, *who, truth))
            if one["explored"]:
                waiting.append((began, {"id": one["id"], "label": truth}))
            waiting = self._told(connection, waiting)
        connection.close()

    def _told(
        self, connection: HTTPConnection, waiting: list[tuple[float, dict[str, str]]]
    ) -> list[tuple[float, dict[str, str]]]:
        """Send the truths that are a second old; those that were not taken yet stay."""
        left = []
        for began, truth in waiting:
            age = time.time() - began
            if age < 1:
                left.append((began, truth))
                continue
            try:
                status, _ = _posted(connection, "/feedback", truth)
            except (OSError, HTTPException, ValueError):
                connection.close()
                status = 0
            if status == 200:
                self.truths += 1
            elif age < _LOGGED:
                left.append((began, truth))
        return left


def fetched(address: str, path: str) -> Any:
    """What a server says at a path."""
    connection = _connected(address)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def posted(address: str, path: str, told: Any, **headers: str) -> Any:
    """What a server says to plain values; Failed where it does not take them."""
    connection = _connected(address)
    try:
        status, answer = _posted(connection, path, told, **headers)
    finally:
        connection.close()
    if status != 200:
        raise Failed(f"{path} answered {status}: {answer}")
    return answer


def _connected(address: str) -> HTTPConnection:
    place = urlsplit(address)
    assert place.hostname
    return HTTPConnection(place.hostname, place.port or 80, timeout=30)


def _asked(connection: HTTPConnection, record: Any, key: str) -> tuple[int, Any]:
    return _posted(connection, "/predict", record, **{"X-Request-Key": key})


def _posted(connection: HTTPConnection, path: str, told: Any, **headers: str) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **headers}
    connection.request("POST", path, json.dumps(told), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
