"""What game days stand on: processes that end with them, stores that go away, and traffic."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from leaven.core.errors import RunError, StoreError
from leaven.operate.gameday.databases import LitePlace, UserServer
from leaven.operate.gameday.processes import Done, Group, Process
from leaven.operate.gameday.traffic import Traffic

pytest_plugins = ["tests.store.databases"]

#: A game day that has begun two programs, one of which has begun a third, and is then killed.
_GAME_DAY = """
import sys, time
from pathlib import Path
from leaven.operate.gameday.processes import Group
group = Group(Path(sys.argv[1]), {})
group.begin(["sleep", "600"])
group.begin(["sh", "-c", "sleep 601 & trap '' TERM INT; sleep 602"])
time.sleep(0.5)
print("begun", flush=True)
time.sleep(600)
"""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path, {})
    yield made
    made.close()


def eventually(is_so: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def sleeping(folder: Path) -> list[str]:
    """What runs in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink() == folder:
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def test_a_game_day_that_is_killed_leaves_no_process(tmp_path: Path, how: int):
    command = [sys.executable, "-c", _GAME_DAY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as day:
        assert day.stdout is not None
        assert day.stdout.readline() == "begun\n"
        assert len(sleeping(tmp_path)) == 4
        day.send_signal(how)
    assert eventually(lambda: not sleeping(tmp_path)), sleeping(tmp_path)


def test_a_group_ends_what_it_began_and_says_what_commands_came_to(group: Group, tmp_path: Path):
    stubborn = group.begin(["sh", "-c", "trap '' TERM; sleep 600"])
    done = group.run("gameday", "no such drill")
    assert done.failed_well
    assert "Error: 'drill' must be one of" in done.said
    with pytest.raises(RunError, match="told no JSON: .*'drill' must be"):
        done.json()
    assert not Done((), 1, "", "Traceback (most recent call last)", 0.0).failed_well
    group.close()
    assert stubborn.wait(20) == -signal.SIGKILL


def python(group: Group, tmp_path: Path, code: str, **how: Any) -> Process:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    popen = group.begin([sys.executable, "-u", "-c", code], **pipes, **how)
    return Process(("python",), popen, tmp_path / "python.log")


def test_a_process_says_what_it_is_waited_for_or_that_it_has_ended(group: Group, tmp_path: Path):
    said = python(group, tmp_path, "print('one'); print('two at 7')")
    assert said.waits_for("at ") == "two at 7"
    with pytest.raises(RunError, match="did not say 'three'. Its last words: two at 7"):
        said.waits_for("three")
    assert said.end() == 0
    assert [line for _, line in said.lines] == ["one", "two at 7"]
    assert (tmp_path / "python.log").read_text() == "one\ntwo at 7\n"


def test_a_process_finds_its_disk_full_and_room_again(group: Group, tmp_path: Path):
    code = f"""
import sys
for line in sys.stdin:
    try:
        with open({str(tmp_path / "file")!r}, "a") as file:
            file.write("more\\n")
        print("written")
    except OSError as full:
        print("full")
"""
    writer = python(group, tmp_path, code, stdin=subprocess.PIPE)

    def asked() -> str:
        before = len(writer.lines)
        assert writer.popen.stdin is not None
        writer.popen.stdin.write("go\n")
        writer.popen.stdin.flush()
        assert eventually(lambda: len(writer.lines) > before)
        return writer.lines[-1][1]

    assert asked() == "written"
    writer.no_room(0)
    assert [asked(), asked()] == ["full", "full"]
    writer.no_room(-1)
    assert asked() == "written"
    assert (tmp_path / "file").read_text() == "more\n" * 2


def test_a_file_is_held_by_another_process_and_given_back(group: Group, tmp_path: Path):
    made = LitePlace().make(tmp_path)
    engine = create_engine(f"sqlite:///{made.address}", connect_args={"timeout": 0.1})

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (x)"))
            connection.execute(text("INSERT INTO t VALUES (1)"))

    write()
    with made.away(group), pytest.raises(Exception, match="locked"):
        write()
    write()


def test_of_a_server_of_the_user_only_the_own_database_is_closed(
    postgres: Callable[..., str], group: Group, tmp_path: Path
):
    address = postgres()

    def answers(url: str) -> bool:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return bool(connection.execute(text("SELECT 1")).scalar_one())
        except Exception:  # noqa: BLE001 - whichever way it refuses
            return False
        finally:
            engine.dispose()

    place = UserServer(address)
    made = place.make(tmp_path)
    name = make_url(made.address).database
    assert name is not None
    assert name.startswith("leaven_gameday_")
    engine = create_engine(made.address)
    with engine.connect() as held:
        with made.away(group):
            assert not answers(made.address)
            assert answers(address)
            with pytest.raises(Exception, match="terminat|closed|lost"):
                held.execute(text("SELECT 1"))
        assert answers(made.address)
    engine.dispose()
    made.close()
    assert not answers(made.address)
    with pytest.raises(StoreError, match="refuses") as refused:
        UserServer(address.replace("leaven@", "nobody:secret@"))
    assert "secret" not in str(refused.value)


class Server(ThreadingHTTPServer):
    """Answers as a service does, and refuses as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []  # of the next answers
        self.refusals = 0  # of the next truths
        self.keys: list[str] = []
        self.told: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if self.path == "/feedback" and self.server.refusals:
            self.server.refusals, status = self.server.refusals - 1, 503
        if not status:
            self.close_connection = True
            return
        if self.path == "/feedback" and status == 200:
            self.server.told[body["id"]] = body["label"]
        self.server.keys.append(self.headers.get("x-request-key", ""))
        one = {"id": f"p{len(self.server.keys)}", "label": body.get("x", "")}
        told = {"version": "v", "place": "live", "predictions": [one], "error": "Later."}
        answer = json.dumps(told).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "0.1")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_traffic_keeps_what_was_answered_and_what_was_not(server: Server):
    traffic = Traffic(server.server_address[1], [{"x": "a"}, {"x": "b"}], ["A", "B"], seed=1)
    traffic.send(2, truth=True)
    assert {one.label for one in traffic.answers} == {"a", "b"}
    assert traffic.acknowledged == server.told
    assert {*server.told.values()} == {"A", "B"}
    asked = [key for key in server.keys if key]
    assert len({*asked}) == 2  # each is another user
    server.statuses += [500]
    traffic.send(1)
    assert [(one.status, one.error) for one in traffic.failed] == [(500, "Later.")]
    server.statuses += [0]  # a connection that was used before is opened once more
    traffic.send(1)
    assert len(traffic.failed) == 1
    server.statuses += [0, 0]
    traffic.send(1)
    assert [one.status for one in traffic.failed] == [500, 0]
    traffic.records = [{"x": "aa"}, {"x": "bb"}]
    traffic.send(1)
    assert traffic.answers[-1].label in ("aa", "bb")


def test_truth_that_is_told_to_come_again_comes_again(server: Server):
    traffic = Traffic(server.server_address[1], [{"x": "a"}], ["A"])
    with traffic.flowing(pace=0.05):
        assert eventually(lambda: len(traffic.acknowledged) > 2)
        server.refusals = 3
        assert eventually(lambda: any(one.retry for one in traffic.told))
        sent_away = {one.name for one in traffic.told if one.retry}
        assert eventually(lambda: sent_away <= traffic.acknowledged.keys())
    assert traffic.acknowledged == server.told


def test_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    traffic = Traffic(port, [{"x": "a"}], ["A"])
    traffic.send(1)
    assert traffic.failed[0].status == 0
    assert "refused" in traffic.failed[0].error
    assert traffic.asks("/status") == {}
