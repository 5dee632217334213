"""What the server lets in, keeps, refuses and says, over real HTTP."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest

from leaven.core.errors import SettingError
from leaven.label.queue import Queue
from leaven.label.results import history
from leaven.serve.review import serve
from leaven.store.store import Store
from tests.serve.serving import WINDOW, Client, Process, a_queue, asks, said, served


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return a_queue(tmp_path / "labels.db")


def test_the_link_signs_in_once_and_nothing_else_does(queue: Queue):
    with served(queue) as address:
        outside = httpx.get(address + "/")
        assert outside.status_code == 403
        assert "leaven review" in outside.text
        assert "set-cookie" not in outside.headers
        assert httpx.get(address + "/?token=u").status_code == 403
        guessed = httpx.get(address + "/?token=t", headers={"sec-purpose": "prefetch"})
        assert guessed.status_code == 403
        first = httpx.get(address + "/?token=t")
        assert (first.status_code, first.headers["location"]) == (303, "/")
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert httpx.get(address + "/?token=t").status_code == 403  # it is used up
        name, _, value = cookie.partition(";")[0].partition("=")
        assert httpx.get(address + "/", cookies={name: value}).status_code == 200
        again = httpx.get(address + "/?token=t", cookies={name: value})
        assert again.status_code == 303  # for the browser that used it
        assert httpx.get(address + "/", cookies={name: value + "x"}).status_code == 403
        assert address.rpartition(":")[2] in name  # two servers do not overwrite each other's


def test_a_post_needs_the_session_and_the_page(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        body = {"window": WINDOW}
        ours = {"x-leaven-page": client.page}
        assert client.http.post("/tasks", json=body, headers=ours).status_code == 200
        assert client.http.post("/tasks", json=body).status_code == 403
        assert client.http.post(
            "/tasks", json=body, headers={"x-leaven-page": "é".encode()}
        ).is_error
        elsewhere = ours | {"origin": "http://127.0.0.1:1"}
        assert client.http.post("/tasks", json=body, headers=elsewhere).status_code == 403
        assert client.http.post("/tasks", json=body, headers=ours | {"origin": address}).is_success
        assert httpx.post(address + "/tasks", json=body, headers=ours).status_code == 403
        assert client.http.get("/tasks").status_code == 405
        assert client.http.put("/tasks", json=body, headers=ours).status_code == 405


@pytest.mark.parametrize(
    ("host", "served_"),
    [
        ("localhost:1", True), ("127.0.0.1", True), ("[::1]:80", True), ("192.168.0.7:80", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("", False), ("[", False),
        ("localhost.evil.example:80", False), ("localhost/evil", False), ("me@localhost", False),
        ("localhost?x", False), ("localhost#", False), ("my-name:80", True), ("MY-NAME", True),
    ],
)  # fmt: skip
def test_a_host_name_that_is_not_ours_is_refused(queue: Queue, host: str, served_: bool):
    """A page elsewhere may point its own name here, and would be one origin with us."""
    with served(queue, hosts=["my-name"]) as address:
        status = httpx.get(address + "/static/report.css", headers={"host": host}).status_code
    assert status == 200 if served_ else status in (400, 421)


def test_every_answer_forbids_what_the_page_does_not_need(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        for path in ("/", "/static/review.js", "/nothing"):
            headers = client.http.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
        for path in ("/static/", "/static/../guard.py", "/static/%2e%2e%2fguard.py", "/static/x"):
            assert client.http.get(path).status_code == 404
        assert client.http.get("/static/review.js").headers["content-type"].startswith("text/java")


def test_large_and_senseless_requests_are_refused_in_a_sentence(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        ours = {"x-leaven-page": client.page}
        large = client.http.post("/answer", content=b"x" * 70_000, headers=ours)
        assert large.status_code == 413
        streamed = client.http.post(
            "/answer", content=(b"x" * 9_000 for _ in range(9)), headers=ours
        )
        assert streamed.status_code == 413
        task = client.take()[0]
        whole = {"task": task, "choice": 1, "key": "key-0001", "seconds": 1.5}
        wrong = [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5_000,
            *(
                str(whole | one).replace("'", '"').replace("True", "true").encode()
                for one in (
                    {"task": 0}, {"task": 2**40}, {"task": "1"}, {"task": 1.5}, {"choice": 2},
                    {"choice": -1}, {"choice": "spam"}, {"choice": True}, {"key": ""},
                    {"key": "x" * 65}, {"key": "a b"}, {"seconds": -1}, {"seconds": 1e9},
                    {"more": 1},
                )
            ),
            b'{"task": 1, "choice": 1, "key": "key-0001", "seconds": NaN}',
        ]  # fmt: skip
        for body in wrong:
            answer = client.http.post("/answer", content=body, headers=ours)
            assert answer.status_code == 422, body
            assert answer.json()["error"].endswith("."), body
        unknown = client.post("/answer", **whole | {"task": 999})
        assert unknown.status_code == 409
        assert unknown.json()["error"] == "The queue 'q' has no task 999."
        assert client.post("/tasks", window=WINDOW, have=list(range(1, 2000))).status_code == 422
        assert not said(queue)
        assert client.post("/answer", **whole).json()["event"] > 0
    assert list(said(queue).values()) == ["spam"]


def test_an_answer_sent_twice_counts_once(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        task = client.take()[0]
        body = {"task": task, "choice": 0, "key": "key-0001", "seconds": 2.0}
        first, second = (client.post("/answer", **body).json() for _ in range(2))
        assert (first["again"], second["again"]) == (False, True)
        assert first["event"] == second["event"]
        other = client.post("/answer", **body | {"choice": 1})  # one key, another answer
        assert other.status_code == 422
    assert said(queue) == {"r0": "ham"}


def test_an_undo_sent_twice_takes_back_one_answer(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        first, second, _ = client.take()
        for i, task in enumerate((first, second)):
            client.post("/answer", task=task, choice=0, key=f"key-000{i}")
        told = client.post("/undo", task=second, window=WINDOW).json()["task"]
        assert told["task"] == second
        assert "text number 1" in told["html"]
        assert client.post("/undo", task=second, window=WINDOW).json()["task"] is None
        assert said(queue) == {"r0": "ham"}
        assert client.post("/tasks", window=WINDOW).json()["last"] == first


def test_two_windows_of_one_person_never_hold_one_task(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        one, other = client.take("window-0001"), client.take("window-0002")
        assert len(one) == 3
        assert len(other) == 2
        assert not {*one} & {*other}
        assert client.take("window-0001", have=one[::-1]) == one[::-1]  # in the window's order
        client.post("/leave", window="window-0002")
        assert client.take("window-0001", have=one[2:], unsent=one[:2]) == [one[2], *other]


def test_two_people_never_hold_one_task(queue: Queue):
    with served(queue, person="ann") as first, served(queue, person="bob") as second:
        ann, bob = Client(first), Client(second)
        held = ann.take(), bob.take()
        assert not {*held[0]} & {*held[1]}
        assert len(held[0]) + len(held[1]) == 5
        ann.post("/leave", window=WINDOW)  # the last window gives everything back
        assert len(bob.take("window-0009")) == 3


def test_the_end_of_the_server_gives_back_what_its_person_held(queue: Queue):
    with served(queue, person="ann") as address:
        assert len(Client(address).take()) == 3
        assert len(queue.lease("bob", 9)) == 2
    assert len(queue.lease("bob", 9)) == 5


def test_progress_speed_and_agreement_are_told(tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 0)
    queue.add(asks(8, wanted=2))
    for person in ("ann", "bob"):
        for i, task in enumerate(queue.lease(person, 6)):
            queue.answer(task.id, person, queue.classes[i % 2], key=f"{person}-{i}")
    with served(queue, person="ann") as address:
        told = Client(address).post("/tasks", window=WINDOW).json()["progress"]
    assert (told["done"], told["all"], told["mine"]) == (6, 8, 6)
    assert told["words"].startswith("6 of 8 done · ")
    assert " an hour · agreement 1.00 (" in told["words"]


def test_a_database_that_may_only_be_read_is_said_in_a_sentence(tmp_path: Path):
    a_queue(tmp_path / "labels.db")
    only_read = Queue(Store(f"sqlite:///file:{tmp_path / 'labels.db'}?mode=ro&uri=true"), "q")
    with served(only_read) as address:
        client = Client(address)
        for path, body in (
            ("/tasks", {"window": WINDOW}),
            ("/answer", {"task": 1, "choice": 0, "key": "key-0001"}),
        ):
            answer = client.post(path, **body)
            assert answer.status_code == 503
            assert "may only be read" in answer.json()["error"]


def test_nothing_is_asked_of_an_empty_queue(tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 0)
    with served(queue) as address:
        client = Client(address)
        told = client.post("/tasks", window=WINDOW).json()
        assert (told["tasks"], told["last"]) == ([], None)
        assert told["progress"]["words"] == "0 of 0 done"
        assert client.post("/undo", task=1, window=WINDOW).json() == {"task": None}


def test_the_curve_is_drawn_with_what_it_shows(queue: Queue):
    curve = [(20, 0.71, 0.6, 0.8), (60, 0.785, 0.7, 0.85)]
    with served(queue, curve=curve) as address:
        html = Client(address).html.replace("\u202f", " ")
    assert "40 more labels: +7.5 points, now 78.5 % (95 %: 70.0 to 85.0)" in html
    assert "60 labels: 78.5 % (95 %: 70.0 to 85.0)" in html


def test_a_second_server_has_another_port_and_ctrl_c_gives_records_back(queue: Queue):
    first = Process(queue.store.address)
    beside = Process(queue.store.address, person="bob")
    assert beside.port != first.port
    client = Client(first.address, first.link.partition("token=")[2])
    assert len(client.take()) == 3
    assert first.end(signal.SIGINT) == 0
    assert len(queue.lease("ann", 9)) == 5
    beside.end(signal.SIGTERM)


def test_a_port_that_is_taken_is_said(queue: Queue):
    links: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"'port' must be .* Got {port}.*in use.*"):
            serve(queue, opened=links.append, port=port)
    with pytest.raises(SettingError, match="'port'"):
        serve(queue, opened=links.append, port=99_999)
    with pytest.raises(SettingError, match="'host' must be"):
        serve(queue, opened=links.append, host="203.0.113.1")
    assert not links


def test_what_was_said_is_in_the_history_with_how_long_it_took(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        task = client.take()[0]
        client.post("/answer", task=task, choice=None, key="key-0001", seconds=3.25)
    assert [one["kind"] for one in history(queue, "r0")] == ["asked", "skipped"]
    assert history(queue, "r0")[1]["seconds"] == 3.25
    assert said(queue) == {"r0": None}
