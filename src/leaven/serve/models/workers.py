"""One address, served by one process or by several.

Several are a parent that listens, and workers that accept on its socket. Each worker is a Python of
its own, begun anew instead of forked, for threads and models do not survive a fork; it follows the
releases by itself. A connection that nobody has accepted waits in the socket, and so outlives any
worker. One that ends is begun again; when the parent is told to end, all answer what they have
accepted; when it is killed, they see the end of their input and do the same.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from types import FrameType
from typing import Any

from pydantic import TypeAdapter

from leaven.core.errors import LeavenError, RunError, SettingError
from leaven.core.wording import many
from leaven.serve.listening import check_tls, listening
from leaven.serve.models.answering import Worker
from leaven.serve.models.app import Plan, Server, server_of

__all__ = ["MOST", "Workers", "serve", "work"]

#: Workers of one address.
MOST = 64
_READY = b"ready\n"
_SOON = 10.0  # seconds: a worker that ends within them has never really begun
_TRIES = 5  # beginnings in a row that come to nothing, after which it is given up
_PAUSE, _LONGEST = 0.5, 30.0  # seconds before the second beginning, doubled up to
_DRAIN = (
    45.0  # seconds for a worker to end: what a server has for its answers, and some for its log
)
_SAID = logging.getLogger(__name__)


def serve(
    plan: Plan, *, opened: Callable[[str], object], port: int = 8080, workers: int = 1
) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted is answered before it returns.

    Parameters
    ----------
    opened : told the address once all workers can be asked.
    port : 0 takes any free one.
    workers : processes that answer, 1 to 64.

    Raises SettingError where the host or port cannot be listened on, or a certificate cannot be
    used; RunError where workers end again and again and none is left that answers.
    """
    if not 1 <= workers <= MOST:
        raise SettingError("workers", f"a number from 1 to {MOST}", workers)
    if workers > 1 and os.name != "posix":
        raise SettingError("workers", "1 on this system", workers, "A socket cannot be passed on.")
    check_tls(plan.tls_cert, plan.tls_key)
    with listening(plan.host, [port]) as socket_:
        shown = f"[{plan.host}]" if ":" in plan.host else plan.host
        scheme = "https" if plan.tls_cert else "http"
        address = f"{scheme}://{shown}:{socket_.getsockname()[1]}"
        if workers == 1:
            _set_aside()
            _run(server_of(plan, lambda: opened(address)), socket_)
        else:
            Workers(plan, socket_, workers, lambda: opened(address)).run()


def _set_aside() -> None:
    """Have the collector of garbage pass over what the modules hold: it stays as it is, and to go
    through it takes a tenth of a second and more, in which nobody is answered.

    Models come later, so that one that was replaced is found.
    """
    gc.collect()
    gc.freeze()


def _run(server: Server, socket_: socket.socket) -> None:
    try:
        server.run(sockets=[socket_])
    except KeyboardInterrupt:  # raised again by uvicorn once everything is answered
        return


class Workers:
    """Keeps so many workers of one plan on one socket.

    Parameters
    ----------
    opened : called once, when all of them are ready.
    pause : seconds before a worker that ended at once is begun again; each further time twice as
        many.
    command : begins a worker, which reads from its input what to do and says `ready` when it can.
    """

    def __init__(
        self,
        plan: Plan,
        socket_: socket.socket,
        count: int,
        opened: Callable[[], object],
        *,
        pause: float = _PAUSE,
        command: Sequence[str] = (sys.executable, "-P", "-m", "leaven.serve.models.workers"),
    ) -> None:
        self._plan, self._socket, self._count, self._opened = plan, socket_, count, opened
        self._pause, self._command = pause, command
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._ready: set[int] = set()
        self._was_opened = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._given_up = ""

    def run(self) -> None:
        """Keep them until SIGTERM or Ctrl-C, and wait until all have answered what they accepted.

        Raises RunError where workers end again and again and none is left that answers.
        """
        numbers = range(1, self._count + 1)
        keepers = [threading.Thread(target=self._keep, args=(number,)) for number in numbers]
        with _signals(self._ended):
            for keeper in keepers:
                keeper.start()
            self._ended.wait()
            self._drain(keepers)
        if self._given_up:
            raise RunError(self._given_up)

    def _keep(self, number: int) -> None:
        """Begin one worker, and again each time that it ends."""
        failures = 0
        while True:
            process = self._begin(number)
            if process is None:
                return
            began = time.monotonic()
            status = self._watched(number, process)
            if self._ended.is_set():
                return
            failures = failures + 1 if time.monotonic() - began < _SOON else 0
            how = _how(status)
            _SAID.warning("Worker %d ended (%s). It is begun again.", number, how)
            if failures >= _TRIES and not self._ready:
                self._given_up = (
                    f"A worker ended {failures} times as soon as it had begun, at last with {how}, "
                    "and no other is left. What it said stands above. Mend that, and serve again."
                )
                self._ended.set()
                return
            if failures:
                self._ended.wait(min(_LONGEST, self._pause * 2 ** (failures - 1)))

    def _begin(self, number: int) -> subprocess.Popen[bytes] | None:
        """A new process that was told what to serve; None where all is to end."""
        with self._lock:
            if self._ended.is_set():
                return None
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._socket.fileno()],
            )
            self._processes[number] = process
        told = {"plan": _plain(self._plan), "socket": self._socket.fileno()}
        told |= {"number": number, "of": self._count}
        assert process.stdin
        with suppress(BrokenPipeError):  # it ended already, which is seen next
            # A store's address may hold a password, and arguments are seen by all.
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        return process

    def _watched(self, number: int, process: subprocess.Popen[bytes]) -> int:
        """Wait until a worker is ready, and until it ends; its exit status."""
        assert process.stdin
        assert process.stdout
        if process.stdout.readline() == _READY:
            self._is_ready(number)
        status = process.wait()
        self._ready.discard(number)
        process.stdout.close()
        with suppress(BrokenPipeError):  # what it was told was never read
            process.stdin.close()
        return status

    def _is_ready(self, number: int) -> None:
        with self._lock:
            self._ready.add(number)
            first = not self._was_opened and len(self._ready) == self._count
            self._was_opened |= first
        if first:
            self._opened()

    def _drain(self, keepers: list[threading.Thread]) -> None:
        """Let all workers end, and end those that do not."""
        with self._lock:  # none begins after this
            left = [one for one in self._processes.values() if one.poll() is None]
        for process in left:
            process.terminate()
        until = time.monotonic() + _DRAIN
        for keeper in keepers:
            keeper.join(max(0.0, until - time.monotonic()))
        stuck = [one for one in left if one.poll() is None]
        for process in stuck:
            process.kill()
        if stuck:
            told = many(len(stuck), "worker", "workers")
            _SAID.warning("%s did not end in time and had to be killed.", told)
        for keeper in keepers:
            keeper.join()


@contextmanager
def _signals(ended: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set the event; SIGTERM ends this process in its own way afterwards."""
    seen: list[int] = []

    def told(number: int, _: FrameType | None) -> None:
        seen.append(number)
        ended.set()

    before = {one: signal.signal(one, told) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if signal.SIGTERM in seen:
        signal.raise_signal(signal.SIGTERM)


def _how(status: int) -> str:
    """An exit status in words.

    >>> _how(-9), _how(1)
    ('SIGKILL', 'exit status 1')
    """
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _plain(plan: Plan) -> dict[str, Any]:
    """A plan as JSON tells it."""
    told = asdict(plan)
    told["policy"] = plan.policy.model_dump(mode="json") if plan.policy else None
    return told | {"prices": plan.prices.model_dump()}


def work() -> None:
    """Be a worker: read from the input what to serve, and serve it until told to end."""
    with open(0, "rb", buffering=0, closefd=False) as stream:  # one that threads may wait on
        told = json.loads(stream.readline())
    worker = Worker(told["number"], told["of"])
    _set_aside()
    try:
        server = server_of(TypeAdapter(Plan).validate_python(told["plan"]), _tell_ready, worker)
    except LeavenError as failed:
        sys.exit(f"Worker {worker.number}: {failed}")
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    _run(server, socket.socket(fileno=told["socket"]))


def _tell_ready() -> None:
    """Tell the parent; whatever is printed from now on goes where errors go."""
    os.write(1, _READY)
    os.dup2(2, 1)


def _end_with_parent(server: Server) -> None:
    """Wait until the other end of the input is closed, which the parent does by ending."""
    while os.read(0, 64):
        pass
    server.should_exit = True


if __name__ == "__main__":
    work()
