"""Many people at one server: signing in, invitations, forged requests, guesses, who is whom."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from leaven.core.errors import DataError, SettingError
from leaven.label.queue import Queue
from leaven.label.results import standing
from leaven.serve.review import is_exposed, serve
from leaven.store.people import People
from tests.serve.serving import WINDOW, WORDS, Client, Member, a_queue, a_team, served
from tests.store.history import Clock


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return a_queue(tmp_path / "labels.db", 12)


@pytest.fixture
def people(queue: Queue) -> People:
    return a_team(queue, anna="annotator", ben="annotator", rita="reviewer", root="admin")


def test_each_works_as_themselves(queue: Queue, people: People):
    with served(queue, people=people) as address:
        anna, ben = Member(address, "ANNA"), Member(address, "ben")
        held = anna.take(), ben.take()
        assert not {*held[0]} & {*held[1]}
        anna.post("/answer", task=held[0][0], choice=0, key="key-0001", seconds=2)
        ben.post("/answer", task=held[1][0], choice=1, key="key-0002", seconds=2)
        forged = ben.post("/answer", task=held[0][0], choice=1, key="key-0001")
        assert forged.status_code == 422  # Anna's key is hers
        assert ben.post("/undo", task=held[0][0], window=WINDOW).json() == {"task": None}
        pages = [one.http.get("/").text for one in (anna, ben)]
    assert {(one.person, one.label) for one in standing(queue)} == {
        ("anna", "ham"),
        ("ben", "spam"),
    }
    places = {html.split('data-place="')[1].split('"')[0] for html in pages}
    assert len(places) == 2
    assert len(queue.lease("eve", 20)) == 10  # the end of the server gave all back


def test_a_wrong_password_a_wrong_name_and_too_many(queue: Queue, people: People):
    with served(queue, people=people) as address:
        told = set()
        for name, password in (("anna", "wrong"), ("nobody", "wrong"), ("", "")):
            answer = Member(address, name, password).answer
            assert answer.status_code == 401
            assert "leaven-in" not in str(answer.headers)
            told.add(answer.text)
        assert len(told) == 1
        for _ in range(5):
            refused = Member(address, "anna", "wrong").answer
        refused = Member(address, "anna", WORDS).answer
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert people.history("anna")[0].note == "127.0.0.1"


def test_a_session_is_not_one_that_somebody_else_planted(queue: Queue, people: People):
    with served(queue, people=people) as address:
        port = address.rpartition(":")[2]
        thief = Member(address, "ben")
        planted = dict(thief.http.cookies)[f"leaven-in-{port}"]
        victim = Member(address, "nobody", "x")  # not in yet
        victim.http.cookies.clear()
        victim.http.cookies.set(f"leaven-in-{port}", planted)
        victim.http.cookies.set(f"leaven-door-{port}", "chosen")
        assert victim.post("/sign-in", name="anna", password=WORDS).status_code == 403
        victim.http.cookies.delete(f"leaven-in-{port}")
        victim.page = victim.token("/sign-in")
        victim.http.cookies.set(f"leaven-in-{port}", planted)
        assert victim.post("/sign-in", name="anna", password=WORDS).is_success
        now = {c.value for c in victim.http.cookies.jar if c.name.startswith("leaven-in")}
        assert now - {planted}
        # The planted session has ended: what the thief knows is worth nothing.
        assert thief.http.get("/account").status_code == 303


def test_cookies_are_for_this_server_alone(queue: Queue, people: People):
    with served(queue, people=people) as address:
        member = Member(address, "anna")
        cookies = member.answer.headers.get_list("set-cookie")
        session = next(one for one in cookies if one.startswith("leaven-in-"))
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(session.split("; "))
        assert "Domain" not in session
        assert "Max-Age" not in session  # ends with the browser
        assert any("leaven-door" in one and "Max-Age=0" in one for one in cookies)


def test_forged_requests_are_refused(queue: Queue, people: People):
    with served(queue, people=people) as address:
        anna, ben = Member(address, "anna"), Member(address, "ben")
        body = {"window": WINDOW}
        for headers in (
            {}, {"x-leaven-page": ""}, {"x-leaven-page": ben.page},
            {"x-leaven-page": anna.page, "origin": "https://evil.example"},
            {"x-leaven-page": anna.page, "origin": "null"},
            {"x-leaven-page": anna.page, "sec-fetch-site": "cross-site"},
            {"x-leaven-page": anna.page, "sec-fetch-site": "same-site"},
        ):  # fmt: skip
            assert anna.http.post("/tasks", json=body, headers=headers).status_code == 403
        assert anna.post("/tasks", **body).is_success
        # The door is guarded alike: nobody is signed in as somebody by another page.
        for path in ("/sign-in", "/welcome"):
            told = {"name": "ben", "password": WORDS}
            assert httpx.post(address + path, json=told).status_code == 403
            forged = {"x-leaven-page": anna.page}
            assert httpx.post(address + path, json=told, headers=forged).status_code == 403
        form = "application/x-www-form-urlencoded"
        plain = httpx.post(address + "/sign-in", data=told, headers={"content-type": form})
        assert plain.status_code == 403


def test_an_invitation_lets_in_once_and_ends_other_sessions(queue: Queue, people: People):
    with served(queue, people=people) as address:
        root = Member(address, "root")
        secret = root.post("/users/add", name="carl", role="annotator").json()["invitation"]
        assert "carl" not in root.http.get("/welcome").text
        carl = Member(address, "carl", "anything at all")
        assert carl.answer.status_code == 401
        carl.page = carl.token("/welcome")
        short = carl.post("/welcome", secret=secret, password="short")
        assert short.status_code == 422
        assert "12 to 512 signs" in short.json()["error"]
        assert carl.post("/welcome", secret=secret, password=WORDS).json() == {"to": "/"}
        assert ">carl<" in carl.http.get("/").text
        other = Member(address, "carl")
        other.http.cookies.clear()
        other.page = other.token("/welcome")
        used = other.post("/welcome", secret=secret, password=WORDS)
        assert used.status_code == 409
        assert "Ask an admin for another" in used.json()["error"]


def test_a_password_is_changed_by_who_knows_the_old_one(queue: Queue, people: People):
    with served(queue, people=people) as address:
        one, two = Member(address, "anna"), Member(address, "anna")
        wrong = one.post("/account", old="not it", password="something else now")
        assert wrong.status_code == 401
        assert one.post("/account", old=WORDS, password="something else now").is_success
        assert two.http.get("/account").status_code == 303
        assert one.http.get("/account").status_code == 200
        one.page = one.token("/account")
        assert one.post("/sign-out").json() == {"to": "/sign-in"}
        assert one.http.get("/account").status_code == 303
        assert Member(address, "anna", "something else now").answer.is_success
        token = people.new_token("job", "viewer", by="root")
        bearer = {"authorization": f"Bearer {token}"}
        told = {"old": WORDS, "password": "something else now"}
        answer = httpx.post(address + "/account", json=told, headers=bearer)
        assert answer.status_code == 409


def test_what_an_admin_changes_holds_at_once(queue: Queue, people: People):
    with served(queue, people=people) as address:
        root, anna = Member(address, "root"), Member(address, "anna")
        assert root.post("/users/role", name="anna", role="viewer").is_success
        assert anna.post("/tasks", window=WINDOW).status_code == 403
        assert anna.http.get("/").headers["location"] == "/progress"
        assert root.post("/users/role", name="anna", role="admin").is_success
        assert anna.http.get("/users").status_code == 200
        assert anna.post("/users/disable", name="root").is_success
        assert root.http.get("/users").status_code == 303
        alone = anna.post("/users/disable", name="anna")
        assert alone.status_code == 409
        assert "last admin" in alone.json()["error"]
        secret = anna.post("/tokens/new", name="job", role="viewer").json()["token"]
        bearer = {"authorization": f"Bearer {secret}"}
        assert httpx.get(address + "/progress.json", headers=bearer).is_success
        assert anna.post("/tokens/revoke", name="job").is_success
        assert httpx.get(address + "/progress.json", headers=bearer).status_code == 401
        for body in ({}, {"name": 1}, {"name": "x" * 1001}, {"name": "x", "more": 1}):
            assert anna.post("/users/enable", **body).status_code == 422
        page = anna.http.get("/users").text
        assert secret not in page
        assert "revoked" in page
        assert anna.post("/users/add", name="<script>x</script>", role="viewer").is_success
        assert "<script>x" not in anna.http.get("/users").text
    assert [one.person for one in people.history("root")][:1] == ["anna"]


def test_a_program_answers_under_the_name_of_its_token(queue: Queue, people: People):
    secret = people.new_token("the job", "annotator", by="root")
    with served(queue, people=people) as address:
        bearer = {"authorization": f"bearer {secret}"}
        http = httpx.Client(base_url=address, headers=bearer, verify=False)
        task = http.post("/tasks", json={"window": WINDOW}).json()["tasks"][0]["task"]
        told = {"task": task, "choice": 0, "key": "key-0001"}
        assert http.post("/answer", json=told).is_success
        # A cookie beside it changes nothing, and a wrong token is not made good by one.
        ben = Member(address, "ben")
        ben.http.headers["authorization"] = "Bearer wrong"
        assert ben.post("/tasks", window=WINDOW).status_code == 401
    assert [one.person for one in standing(queue)] == ["the job"]


def test_large_odd_and_many_requests_at_the_door(queue: Queue, people: People):
    with served(queue, people=people) as address:
        client = Member(address, "nobody", "x")
        ours = {"x-leaven-page": client.token("/sign-in")}
        large = client.http.post("/sign-in", content=b"x" * 70_000, headers=ours)
        assert large.status_code == 413
        odd = [
            b"", b"{", b"[]", b"null", b'{"name": 1, "password": 2}', b'{"name": "anna"}',
            b'{"name": "anna", "password": "' + b"x" * 2000 + b'"}',
        ]  # fmt: skip
        for body in odd:
            assert client.http.post("/sign-in", content=body, headers=ours).status_code == 422
        for name in ("a\r\nset-cookie: x=y", "\0", "\ud800"):
            answer = client.http.post(
                "/sign-in", headers=ours, content=f'{{"name": {json.dumps(name)}, "password": "y"}}'
            )
            assert answer.status_code in (401, 422)
            assert "x=y" not in str(answer.headers)
        raw = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        raw.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\ncookie: " + b"a=b; " * 50_000)
        assert raw.recv(100).startswith(b"HTTP/1.1 4")
        raw.close()


def test_a_crowd_that_guesses_at_once_gets_no_further(queue: Queue):
    people = a_team(queue, Clock(), anna="annotator")
    with served(queue, people=people) as address:
        assert Member(address, "anna").answer.is_success

        def guess(number: int) -> int:
            return Member(address, f"name {number}", "wrong").answer.status_code

        with ThreadPoolExecutor(8) as pool:
            seen = Counter(pool.map(guess, range(50)))
        assert seen == {401: 31, 429: 19}
        assert Member(address, "anna").answer.status_code == 429


def test_people_who_are_in_work_on_while_others_guess(queue: Queue, people: People):
    with served(queue, people=people) as address:
        anna, done = Member(address, "anna"), threading.Event()

        def guess(number: int) -> None:
            while not done.is_set():
                Member(address, f"name {number}", "wrong")

        crowd = [threading.Thread(target=guess, args=(number,)) for number in range(6)]
        for one in crowd:
            one.start()
        for number in range(5):
            task = anna.take()[0]
            told = {"task": task, "choice": 0, "key": f"key-000{number}"}
            assert anna.post("/answer", **told).is_success
        done.set()
        for one in crowd:
            one.join()
    assert len(standing(queue)) == 5


def test_a_session_outlives_the_server_and_so_does_its_page(queue: Queue, people: People):
    """Killed between an answer and the next: who was in goes on, with the page as it is."""
    with served(queue, people=people) as address:
        first = Member(address, "anna")
        cookie = next(c for c in first.http.cookies.jar if c.name.startswith("leaven-in"))
    with served(queue, people=people) as address:
        again = httpx.Client(base_url=address, verify=False)
        again.cookies.set(f"leaven-in-{address.rpartition(':')[2]}", cookie.value or "")
        ours = {"x-leaven-page": first.page}
        assert again.post("/tasks", json={"window": WINDOW}, headers=ours).is_success


def test_a_server_for_many_needs_somebody_who_may_come_in(queue: Queue):
    with pytest.raises(DataError, match="Nobody may sign in yet.*leaven users add NAME --role adm"):
        serve(queue, opened=print, team=True)


def test_a_certificate_that_is_none_is_said(queue: Queue, people: People, tmp_path: Path):
    none = tmp_path / "none.pem"
    none.write_text("no certificate")
    for cert, key in ((none, none), (tmp_path / "missing.pem", None), (None, none)):
        with pytest.raises(SettingError, match="'tls_cert' must be"):
            serve(queue, opened=print, team=True, tls_cert=cert, tls_key=key)


def test_who_can_read_along_is_known():
    hosts = ("127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1")
    assert [is_exposed(host, None) for host in hosts] == [False, False, True, True]
    assert not is_exposed("0.0.0.0", "cert.pem")
    assert not is_exposed("0.0.0.0", None, "10.0.0.2")


ENCRYPTED = """
import sys
from leaven.label.queue import Queue
from leaven.serve.review import serve
from leaven.store.store import Store
store, cert, key, proxy = sys.argv[1:]
serve(Queue(Store(store), "q"), opened=lambda link: print(link, flush=True), team=True,
      tls_cert=cert or None, tls_key=key or None, proxy=proxy or None)
"""


def _served(queue: Queue, *told: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENCRYPTED, queue.store.address, *told]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_with_a_certificate_cookies_are_secure(queue: Queue, people: People, tmp_path: Path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = _served(queue, str(cert), str(key), "")
    try:
        assert server.stdout
        link = server.stdout.readline().strip()
        assert link.startswith("https://127.0.0.1:")
        assert "token" not in link
        verify = ssl.create_default_context(cafile=str(cert))
        anna = Member(link, "anna", verify=verify)
        session = next(
            one for one in anna.answer.headers.get_list("set-cookie") if "leaven-in" in one
        )
        assert session.startswith("__Host-leaven-in-")
        assert "Secure" in session
        assert anna.take()
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.mark.parametrize("proxy", ["", "127.0.0.1"])
def test_only_a_proxy_that_is_named_is_believed(queue: Queue, people: People, proxy: str):
    server = _served(queue, "", "", proxy)
    try:
        assert server.stdout
        link = server.stdout.readline().strip()
        told = {"x-forwarded-for": "203.0.113.9"}
        assert Member(link, "anna", headers=told).answer.is_success
        door = httpx.get(link + "sign-in", headers={"x-forwarded-proto": "https"})
        assert ("__Host-leaven-door" in str(door.headers)) == bool(proxy)
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert people.history("anna")[0].note == ("203.0.113.9" if proxy else "127.0.0.1")


def test_one_person_on_this_machine_needs_no_name_and_may_everything(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        for path in ("/", "/settle", "/progress", "/cards", "/progress.json", "/said?record=r0"):
            assert client.http.get(path).status_code == 200
        bearer = {"authorization": "Bearer anything"}
        assert httpx.get(address + "/progress", headers=bearer).status_code == 403
