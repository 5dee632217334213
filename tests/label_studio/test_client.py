"""The client against servers that fail in all ways: what is tried again, what is told."""

from __future__ import annotations

import json
import socket
from itertools import count

import pytest

from leaven.core.errors import SettingError
from leaven.label.studio import client as module
from leaven.label.studio.client import Client, StudioError
from tests.label_studio.hostile import Answer, Heard, hostile

TOKEN = "0123456789abcdef0123456789abcdef01234567"
REFRESH = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
FINE: Answer = (200, {}, b'{"fine": true}')


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PAUSE", 0.001)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reading_is_tried_again_where_the_server_is_busy(status: int):
    calls = count()
    with hostile(lambda _: (status, {}, b"") if next(calls) < 2 else FINE) as (url, heard):
        assert Client(url, TOKEN).get("/api/x") == {"fine": True}
    assert len(heard) == 3
    assert heard[0][2]["authorization"] == f"Token {TOKEN}"


def test_a_connection_that_breaks_is_tried_again_only_to_read():
    calls = count()
    with hostile(lambda _: None if next(calls) < 1 else FINE) as (url, heard):
        assert Client(url, TOKEN).get("/api/x") == {"fine": True}
    assert len(heard) == 2
    with (
        hostile(lambda _: None) as (url, heard),
        pytest.raises(StudioError, match="does not answer") as failed,
    ):
        Client(url, TOKEN).post("/api/x", {})
        assert failed.value.sent, "whether it was done is not known"
    assert len(heard) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_what_changes_something_is_sent_once(status: int):
    with (
        hostile(lambda _: (status, {}, b'{"detail": "database is locked"}')) as (url, heard),
        pytest.raises(StudioError, match=f"{status}.*database is locked"),
    ):
        Client(url, TOKEN).post("/api/x", {"a": 1})
    assert len(heard) == 1


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(StudioError, match="refused") as failed:
        Client(f"http://127.0.0.1:{port}", TOKEN).post("/api/x", {})
    assert not failed.value.sent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_redirect_gets_the_token(status: int, method: str):
    with (
        hostile(lambda _: FINE) as (elsewhere, stolen),
        hostile(lambda _: (status, {"location": elsewhere + "/api/x"}, b"")) as (url, _),
    ):
        ask = Client(url, TOKEN)
        with pytest.raises(StudioError, match="sends elsewhere"):
            ask.get("/api/x") if method == "get" else ask.post("/api/x", {})
    assert not stolen


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN x"])
def test_what_is_no_json_is_told(body: bytes):
    with (
        hostile(lambda _: (200, {}, body)) as (url, _),
        pytest.raises(StudioError, match="not JSON"),
    ):
        Client(url, TOKEN).get("/api/x")


def test_no_more_is_read_than_may_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_LARGEST", 1000)
    with (
        hostile(lambda _: (200, {}, b"[" + b" " * 2000 + b"]")) as (url, _),
        pytest.raises(StudioError, match="over"),
    ):
        Client(url, TOKEN).get("/api/x")


def test_an_answer_that_does_not_come_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_TRIES", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StudioError, match="the time ran out"):
            Client(url, TOKEN, seconds=0.2).get("/api/x")


@pytest.mark.parametrize(
    "told", [[], {}, {"tasks": {}}, {"tasks": []}, {"tasks": [], "total": "many"}, None, 3]
)
def test_a_list_of_tasks_in_another_shape_is_told(told: object):
    with (
        hostile(lambda _: (200, {}, json.dumps(told).encode())) as (url, _),
        pytest.raises(StudioError, match="answers without"),
    ):
        list(Client(url, TOKEN).tasks(1))


def test_all_pages_are_read():
    def answer(heard: Heard) -> Answer:
        page = int(heard[1].split("page=")[1].split("&")[0])
        tasks = [{"id": i} for i in range(250)][100 * (page - 1) : 100 * page]
        return 200, {}, json.dumps({"tasks": tasks, "total": 250}).encode()

    with hostile(answer) as (url, heard):
        assert [one["id"] for one in Client(url, TOKEN).tasks(1)] == list(range(250))
    assert len(heard) == 3


def test_a_personal_token_is_exchanged_and_renewed():
    given = count(1)

    def answer(heard: Heard) -> Answer:
        if heard[1] == "/api/token/refresh/":
            assert json.loads(heard[3]) == {"refresh": REFRESH}
            assert "authorization" not in heard[2]
            return 200, {}, json.dumps({"access": f"access {next(given)}"}).encode()
        return FINE if heard[2]["authorization"] == "Bearer access 2" else (401, {}, b"{}")

    with hostile(answer) as (url, heard):
        ask = Client(url, REFRESH)
        assert ask.get("/api/x") == {"fine": True}
        assert ask.post("/api/y", {}) == {"fine": True}
    assert [path for _, path, _, _ in heard].count("/api/token/refresh/") == 2


def test_a_token_that_is_not_known_is_told_and_not_repeated():
    with hostile(lambda _: (401, {}, b'{"detail": "Invalid token."}')) as (url, heard):
        for token in (TOKEN, REFRESH):
            with pytest.raises(StudioError, match="does not know this token") as failed:
                Client(url, token).get("/api/x")
            assert token not in str(failed.value)
    assert len(heard) == 3, "a personal token is asked for once more"


def test_what_a_server_says_cannot_harm_a_terminal():
    with (
        hostile(lambda _: (400, {}, b"a\x1b[31m\n\nb" * 500)) as (url, _),
        pytest.raises(StudioError) as failed,
    ):
        Client(url, TOKEN).get("/api/x")
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 500


def test_a_file_is_sent_as_a_form():
    with hostile(lambda _: FINE) as (url, heard):
        Client(url, TOKEN).upload("/api/x", [('a"\r\nX: y.png', "image/png", b"\x00\r\n--")])
    (_, _, head, body) = heard[0]
    assert head["content-type"].startswith("multipart/form-data; boundary=")
    assert b"\x00\r\n--" in body
    assert b"\r\nX: y" not in body, "a name cannot add a header"


@pytest.mark.parametrize(
    "url",
    ["", "labels.example.org", "ftp://x", "file:///etc/passwd", "http://", "http://a:b@x",
     "http://x?q=1", "http://x#a", "http://x:port", "http://x\n.org", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(SettingError, match="url"):
        Client(url, TOKEN)


@pytest.mark.parametrize("token", ["", "a b c d e f", "abc\r\nX: y", "ü" * 20, "x" * 9000])
def test_what_is_no_token_is_refused_and_not_repeated(token: str):
    with pytest.raises(SettingError, match="token") as failed:
        Client("http://x", token)
    assert not token or token not in str(failed.value)
