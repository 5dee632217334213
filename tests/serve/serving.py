"""Servers for the tests: one in a thread of this process, and one that can be killed.

Run as a program, it serves a queue and prints its link: `serving.py ADDRESS QUEUE PERSON PORT`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from leaven.label.queue import Ask, Queue
from leaven.label.results import standing
from leaven.serve.review import application, serve
from leaven.store.passwords import Cost
from leaven.store.people import People
from leaven.store.store import Store

WINDOW = "window-0001"


def asks(number: int, classes: Sequence[str] = ("ham", "spam"), **more: Any) -> list[Ask]:
    """Texts with a guess, the first one first."""
    guess = [(classes[1], 0.812), (classes[0], 0.188)]
    return [
        Ask(
            f"r{i}", f"hash{i}", {"kind": "text", "text": f"text number {i}"}, guess,
            "Least sure of all", **({"priority": -float(i)} | more),
        )
        for i in range(number)
    ]  # fmt: skip


def a_queue(file: Path | str, number: int = 5, classes: Sequence[str] = ("ham", "spam")) -> Queue:
    """A queue of so many texts in a database of its own."""
    made = Queue.made(
        Store(file), "q", classes=classes, modality="text", question="Which is it?"
    )  # fmt: skip
    made.add(asks(number, classes))
    return made


def said(queue: Queue) -> dict[str, str | None]:
    """What stands, by record."""
    return {one.record: one.label for one in standing(queue)}


@contextmanager
def served(queue: Queue, **more: Any) -> Iterator[str]:
    """The application behind real HTTP; its address, without the token, which is `t`."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = application(queue, **({"token": "t"} | more))
    told = uvicorn.Config(app, http="h11", log_level="warning", access_log=False, lifespan="on")
    server = uvicorn.Server(told)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


class Client:
    """A signed-in browser's requests, without the browser."""

    def __init__(self, address: str, token: str = "t") -> None:
        self.http = httpx.Client(base_url=address, timeout=30, verify=False)
        page = self.http.get("/", params={"token": token}, follow_redirects=True)
        assert page.status_code == 200, page.text
        self.html = page.text
        self.page = page.text.split('data-page="')[1].split('"')[0]

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body, headers={"x-leaven-page": self.page})

    def take(self, window: str = WINDOW, **more: Any) -> list[int]:
        """The tasks of a window."""
        return [one["task"] for one in self.post("/tasks", window=window, **more).json()["tasks"]]


WORDS = "nobody guesses this one"
CHEAP = Cost(power=4, block=8, lanes=1)


def a_team(queue: Queue, clock: Callable[[], float] = time.time, **roles: str) -> People:
    """People of the queue's store, all with the password `WORDS`."""
    people = People(queue.store, cost=CHEAP, clock=clock)
    for name, role in roles.items():
        people.add(name, role, by="root", password=WORDS)
    return people


class Member(Client):
    """The same for one of many people, who signs in by a password."""

    def __init__(self, address: str, name: str, password: str = WORDS, **told: Any) -> None:
        told = {"timeout": 30, "verify": False} | told
        self.http = httpx.Client(base_url=address, **told)
        self.page = self.token("/sign-in")
        self.answer = self.post("/sign-in", name=name, password=password)
        if self.answer.is_success:
            self.page = self.token("/account")

    def token(self, path: str) -> str:
        """That of a page."""
        return self.http.get(path).text.split('data-page="')[1].split('"')[0]


class Process:
    """A server of its own that may be killed."""

    def __init__(self, address: str, port: int = 0, person: str = "me") -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, address, "q", person, str(port)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        assert self._process.stdout
        self.link = self._process.stdout.readline().strip()
        assert self.link.startswith("http://127.0.0.1:"), self.link
        self.port = int(self.link.split(":")[2].split("/")[0])
        self.address = f"http://127.0.0.1:{self.port}"

    def end(self, signal: int) -> int:
        """Send it a signal and wait; its exit status."""
        self._process.send_signal(signal)
        status = self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()
        return status


if __name__ == "__main__":
    address, name, person, port = sys.argv[1:]

    def opened(link: str) -> None:
        print(link, flush=True)

    serve(Queue(Store(address), name), opened=opened, person=person, port=int(port))
