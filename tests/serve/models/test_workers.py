"""Several processes behind one address: they follow, end, and are begun again, each by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from leaven.core.errors import RunError, SettingError
from leaven.evaluate.run import Run
from leaven.serve.listening import listening
from leaven.serve.models import workers
from leaven.serve.models.app import Plan
from leaven.serve.models.workers import Workers, serve
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from tests.serve.models.released import eventually, release

PLAN = Plan("postgresql://ann:secret@nowhere/db", "tickets")
#: A worker that does nothing but note that it was begun, and end with its parent.
IDLE = """
import os, sys
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
os.read(0, 1 << 16)
os.write(1, b"ready\\n")
while os.read(0, 64):
    pass
"""


def idle(file: Path) -> list[str]:
    return [sys.executable, "-S", "-c", IDLE, str(file)]


@pytest.fixture
def line() -> Iterator[socket.socket]:
    with listening("127.0.0.1", [0]) as found:
        yield found


class Begun:
    """Workers in a thread; what ends them is what a signal sets."""

    def __init__(self, made: Workers) -> None:
        self.made, self.failed = made, ""
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.made.run()
        except RunError as failed:
            self.failed = str(failed)

    def end(self) -> None:
        self.made._ended.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the main thread may ask for signals, and here that is pytest's."""
    monkeypatch.setattr(workers.signal, "signal", lambda *_: None)


def pids(file: Path) -> list[int]:
    return [int(one) for one in file.read_text().split()] if file.exists() else []


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.usefixtures("no_signals")
def test_one_that_ends_is_begun_again_and_the_address_is_told_once(
    line: socket.socket, tmp_path: Path
):
    told: list[int] = []
    file = tmp_path / "begun"
    made = Workers(PLAN, line, 3, lambda: told.append(len(pids(file))), command=idle(file), pause=0)
    begun = Begun(made)
    assert eventually(lambda: told == [3])
    first = pids(file)
    os.kill(first[1], signal.SIGKILL)
    assert eventually(lambda: len(pids(file)) == 4 and len(made._ready) == 3)
    begun.end()
    assert (told, begun.failed) == ([3], "")
    assert not any(lives(one) for one in pids(file))


@pytest.mark.usefixtures("no_signals")
def test_where_all_end_at_once_it_is_given_up_and_where_one_is_left_it_is_not(
    line: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    broken = [sys.executable, "-S", "-c", "raise SystemExit(3)"]
    begun = Begun(Workers(PLAN, line, 2, lambda: None, command=broken, pause=0))
    begun.thread.join(30)
    assert "ended 5 times as soon as it had begun, at last with exit status 3" in begun.failed
    assert "secret" not in begun.failed + caplog.text
    once = f"import os; first = not os.path.exists({str(tmp_path / 'begun')!r})\n"
    some = [sys.executable, "-S", "-c", f"{once}if not first: raise SystemExit(1)\n{IDLE}"]
    made = Workers(PLAN, line, 2, lambda: None, command=[*some, str(tmp_path / "begun")], pause=0)
    caplog.clear()
    begun = Begun(made)
    assert eventually(lambda: caplog.text.count("is begun again") > 2 * workers._TRIES)
    assert made._ready
    begun.end()
    assert begun.failed == ""


@pytest.mark.usefixtures("no_signals")
def test_one_that_does_not_end_is_killed(
    line: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "_DRAIN", 0.2)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    file = tmp_path / "begun"
    stubborn = [sys.executable, "-S", "-c", deaf + IDLE, str(file)]
    told: list[bool] = []
    begun = Begun(Workers(PLAN, line, 1, lambda: told.append(True), command=stubborn))
    assert eventually(lambda: bool(told))
    begun.end()
    assert not lives(pids(file)[0])


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch):
    def refused(number: int) -> str:
        with pytest.raises(SettingError) as told:
            serve(PLAN, opened=print, port=0, workers=number)
        return str(told.value)

    assert "'workers' must be a number from 1 to 64. Got 0." in refused(0)
    assert "Got 65." in refused(65)
    monkeypatch.setattr(workers.os, "name", "nt")
    assert "'workers' must be 1 on this system. Got 2." in refused(2)


def children(parent: int) -> list[int]:
    told = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True
    )
    return [int(one) for one in told.stdout.split()]


def test_real_ones_share_a_log_survive_a_kill_and_end_with_their_parent(
    pair: tuple[Run, Run], store: str
):
    release(pair[0], store)
    command = [sys.executable, "-m", "leaven", "serve", "--store", store, "--port", "0"]
    command += ["--workers", "2", "--every", "0.05", "--keep-days", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            _survives(parent, pair, store)
        finally:
            parent.kill()


def _survives(parent: subprocess.Popen[str], pair: tuple[Run, Run], store: str) -> None:
    assert parent.stdout
    address = parent.stdout.readline().rpartition(" ")[2].strip()

    def asked(number: int) -> httpx.Client:
        """A new connection that this worker has taken."""
        for _ in range(300):
            client = httpx.Client(base_url=address, timeout=30)
            if client.get("/status").json()["worker"]["number"] == number:
                return client
            client.close()
        raise AssertionError(f"Worker {number} takes no connection")

    def status(number: int) -> dict[str, Any]:
        with closing(asked(number)) as client:
            return dict(client.get("/status").json())

    def predict(number: int) -> str:
        with closing(asked(number)) as client:
            answer = client.post("/predict", json={"text": "invoice refund"})
            return str(answer.json()["predictions"][0]["id"])

    def tell(number: int, name: str) -> httpx.Response:
        with closing(asked(number)) as client:
            return client.post("/feedback", json={"id": name, "label": "billing"})

    name = predict(1)
    assert tell(2, name).json() == {"id": name, "label": "billing", "again": False}
    assert tell(2, "no such").status_code == 404
    before = {number: status(number)["worker"]["process"] for number in (1, 2)}
    assert before.keys() == {1, 2}
    os.kill(before[1], signal.SIGKILL)
    assert tell(2, name).json()["again"]
    release(pair[1], store)
    assert eventually(lambda: len(children(parent.pid)) == 2)
    after = {number: status(number)["worker"]["process"] for number in (1, 2)}
    assert after[2] == before[2]
    assert after[1] != before[1]
    for number in (1, 2):
        assert eventually(lambda number=number: status(number)["live"]["run"] == "second")
    held = predict(1)
    parent.kill()
    parent.wait(30)
    assert eventually(lambda: not any(lives(one) for one in after.values()), 40)
    with Store(store).read() as connection:  # they wrote what waited before they ended
        assert held in connection.execute(select(predictions.c.name)).scalars().all()
        assert connection.execute(select(feedback.c.prediction)).scalars().all() == [name]
