"""Processes of a game day, which end with it however it ends.

All of them are in one process group, with a warden that waits at a pipe which the game day holds.
When that closes, and it does where the game day is killed, the warden kills the whole group.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import RunError

__all__ = ["Done", "Group", "Process"]

_PATIENCE = 120.0  # seconds for a command, or until a server can be asked
_GRACE = 60.0  # seconds for one that was told to end


@dataclass(frozen=True)
class Done:
    """What a command came to: its exit code (minus the signal of who was killed) and output."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Its last words: of one that failed those on stderr."""
        told = (self.code and self.err.strip()) or self.out.strip()
        return told.splitlines()[-1] if told else ""

    @property
    def failed_well(self) -> bool:
        """Whether it ended with exit code 2 and a sentence, not with a traceback."""
        return self.code == 2 and bool(self.err.strip()) and "Traceback" not in self.err

    def json(self) -> Any:
        """Its JSON; RunError where there is none, with what it said instead."""
        try:
            return json.loads(self.out)
        except ValueError as none:
            raise RunError(f"leaven {' '.join(self.words)} told no JSON: {self.said}") from none


class Process:
    """A command that stays. What it says is kept in `lines`, each with its time, and in a file."""

    def __init__(self, words: Sequence[str], popen: subprocess.Popen[str], log: Path) -> None:
        self.words, self.popen = tuple(words), popen
        self.lines: list[tuple[float, str]] = []
        self._said = threading.Condition()
        self._log = log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def waits_for(self, sign: str, seconds: float = _PATIENCE) -> str:
        """The first line with this in it; RunError where the process ends, or says it too late."""
        until = time.monotonic() + seconds
        with self._said:
            while True:
                found = next((line for _, line in self.lines if sign in line), None)
                if found is not None:
                    return found
                left = until - time.monotonic()
                if left <= 0 or (self.popen.poll() is not None and not self._reader.is_alive()):
                    last = self.lines[-1][1] if self.lines else "nothing"
                    told = f"leaven {' '.join(self.words)}"
                    raise RunError(f"'{told}' did not say '{sign}'. Its last words: {last}")
                self._said.wait(min(left, 0.5))

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> int:
        """SIGTERM, and SIGKILL where that does not end it; its exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        return self.popen.returncode

    def no_room(self, most: int) -> None:
        """Its files may grow to so many bytes; -1 for any: what a full disk does to a program.

        Writes beyond fail at once, those of the same place too where that lies beyond.
        """
        _, hard = resource.prlimit(self.popen.pid, resource.RLIMIT_FSIZE)
        soft = hard if most < 0 else most
        resource.prlimit(self.popen.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self._log.open("a", encoding="utf-8") as file:
            for line in self.popen.stdout:
                file.write(line)
                file.flush()
                with self._said:
                    self.lines.append((time.time(), line.rstrip("\n")))
                    self._said.notify_all()


class Group:
    """The processes of a game day. `close` ends them, and so does the end of this process.

    Parameters
    ----------
    home : where they are begun.
    environment : beside that of this process.
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self._environment = {**os.environ, **environment}
        self._warden = subprocess.Popen(
            ["/bin/sh", "-c", "read -r _; kill -KILL 0"], stdin=subprocess.PIPE, process_group=0
        )
        self._number = 0

    def start(self, *words: str, fed: bool = False) -> Process:
        """A `leaven` command that stays; `fed` leaves its stdin open."""
        self._number += 1
        log = self.home / f"{self._number:02d}-{words[0]}.log"
        stdin = subprocess.PIPE if fed else subprocess.DEVNULL
        return Process(words, self._begin(words, stdin=stdin, stderr=subprocess.STDOUT), log)

    def run(self, *words: str, seconds: float = _PATIENCE) -> Done:
        """A `leaven` command to its end; it is killed after so many seconds."""
        began = time.monotonic()
        popen = self._begin(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            out, err = popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            popen.kill()
            out, err = popen.communicate()
        return Done(words, popen.returncode, out, err, time.monotonic() - began)

    def begin(self, words: Sequence[str], **how: Any) -> subprocess.Popen[str]:
        """Any program, in the group."""
        return subprocess.Popen(
            list(words), cwd=self.home, env=self._environment, text=True, encoding="utf-8",
            errors="replace", process_group=self._warden.pid, **how,
        )  # fmt: skip

    def close(self) -> None:
        """Kill whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self._warden.pid, signal.SIGKILL)
        self._warden.wait()
        assert self._warden.stdin is not None
        self._warden.stdin.close()

    def _begin(self, words: Sequence[str], **how: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "leaven", *words]
        return self.begin(command, stdout=subprocess.PIPE, **how)
