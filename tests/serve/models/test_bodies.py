"""Bodies however they come: at once, in pieces, late, broken off, one behind the other."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import select

from leaven.evaluate.run import Run
from leaven.serve.models.answering import Settings
from leaven.serve.models.limits import Limits
from leaven.serve.models.requests import answered, headers_of
from leaven.store.canary_tables import failures
from leaven.store.store import Store
from tests.serve.models.released import Client, eventually, raw, release, served

_PATIENCE = 0.3  # seconds in which a request must have come


@pytest.fixture
def client(texts: Run, store: str) -> Iterator[Client]:
    release(texts, store)
    limits = Limits(seconds=_PATIENCE, body=2000)
    with served(store, settings=Settings(limits=limits)) as made:
        yield made


def port_of(client: Client) -> int:
    return int(str(client.base_url).rpartition(":")[2])


def head(length: int, *more: str) -> bytes:
    told = ["POST /predict HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return "\r\n".join([*told, "", ""]).encode()


def asked(text: str, *more: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    return head(len(body), *more) + body


def statuses(told: bytes) -> list[int]:
    return [int(part[:3]) for part in told.split(b"HTTP/1.1 ")[1:]]


def ids(told: bytes) -> list[str]:
    """Of the requests that were answered, in order."""
    bodies = (part.partition(b"\r\n\r\n")[2] for part in told.split(b"HTTP/1.1 ")[1:])
    return [json.loads(body)["request"] for body in bodies]


def test_a_body_in_pieces_is_answered_as_one_that_came_at_once(client: Client):
    whole = asked("invoice refund", "Connection: close")
    at = whole.index(b"\r\n\r\n") + 4
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as line:
        for piece in (whole[:at], whole[at : at + 9], whole[at + 9 :]):
            line.sendall(piece)
            time.sleep(0.03)
        found = b""
        while part := line.recv(65536):
            found += part
    first, other = (
        json.loads(told.partition(b"\r\n\r\n")[2])["predictions"][0]
        for told in (found, raw(port_of(client), whole))
    )
    assert first["probabilities"] == other["probabilities"]
    assert first["input"] == other["input"]


@pytest.mark.parametrize("begin", [b"", b'{"text": "par'])
def test_a_body_that_does_not_come_is_given_up_and_let_go(client: Client, begin: bytes):
    began = time.monotonic()
    answer = raw(port_of(client), head(100, "Connection: close") + begin)
    assert statuses(answer) == [408]
    assert b"did not come within 0.3 s" in answer
    assert _PATIENCE <= time.monotonic() - began < 10
    assert client.service.intake.held == 0


def test_a_body_that_is_broken_off_is_let_go(client: Client):
    intake = client.service.intake
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as line:
        line.sendall(head(100) + b"a" * 50)
        assert eventually(lambda: intake.held == 50)
    assert eventually(lambda: intake.held == 0)
    assert client.ask().status_code == 200


def test_a_body_of_untold_length_stays_within_bounds(client: Client):
    chunks = b"7d0\r\n" + b"a" * 2000 + b"\r\n1\r\na\r\n0\r\n\r\n"
    told = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    answer = raw(port_of(client), told + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert statuses(answer) == [413]
    assert client.service.intake.held == 0


def test_requests_one_behind_the_other_are_answered_in_their_order(client: Client):
    names = [f"r{i}" for i in range(20)]
    sent = [asked(f"parcel {name}", f"X-Request-Id: {name}") for name in names]
    sent[7] = head(0, "X-Request-Id: r7")  # an empty body, refused without harm to those behind
    sent[-1] = asked("parcel", "X-Request-Id: r19", "Connection: close")
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as line:
        told = b"".join(sent)
        line.sendall(told[:-9])
        time.sleep(0.05)  # the last body is not whole when the others are answered
        line.sendall(told[-9:])
        found = b""
        while part := line.recv(65536):
            found += part
    assert statuses(found) == [200] * 7 + [400] + [200] * 12
    parts = found.split(b"HTTP/1.1 ")
    assert ids(b"".join(b"HTTP/1.1 " + part for part in parts[1:] if part[:3] == b"200")) == [
        name for name in names if name != "r7"
    ]


def test_of_headers_alike_the_first_counts(client: Client):
    told = asked("parcel", "X-Request-ID: one", "x-request-id: two", "Connection: close")
    assert ids(raw(port_of(client), told)) == ["one"]
    scope = {"type": "http", "headers": [(b"a", b"\xe9"), (b"a", b"2"), (b"b", b"")]}
    assert headers_of(scope) == {"a": "é", "b": ""}


def test_an_answer_is_json_whatever_it_holds():
    told = answered({"half": "\ud800", "à": [1e-7, None, True]})
    assert json.loads(told.body) == {"half": "?", "à": [1e-7, None, True]}
    assert json.loads(answered({"n": float("nan"), "à": "é"}).body) == {"n": "NaN", "à": "é"}


def test_what_is_no_number_is_never_an_answer(client: Client, store: str):
    model = client.service.routing.live

    def nothing(records: list[object]) -> tuple[np.ndarray, dict[int, str]]:
        return np.full((len(records), len(model.classes)), np.nan, np.float32), {}

    model._model.probabilities = nothing  # type: ignore[method-assign]
    refused = client.ask()
    assert (refused.status_code, list(refused.json())) == (500, ["error"])
    assert client.service.log.flush(5)
    with Store(store).read() as connection:
        assert [row.status for row in connection.execute(select(failures))] == [500]
    assert client.service.log.written == 0
