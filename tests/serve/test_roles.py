"""Every route, every role, every way in: what is not allowed is refused, whatever it is."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from leaven.label.queue import Queue
from leaven.serve import review, roles
from leaven.store.people import ROLES, covers
from tests.serve.serving import Client, Member, a_queue, a_team, served

UNKNOWN = [
    ("GET", "/nothing"), ("POST", "/nothing"), ("GET", "/tasks/"), ("GET", "/TASKS"),
    ("POST", "/settle/"), ("POST", "/settle//answer"), ("GET", "/users/"),
    ("GET", "/users/%2e%2e/"), ("GET", "/%75sers/"), ("POST", "/users/add/"),
    ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/.git/config"), ("GET", "/statics"),
    ("GET", "/static"),
]  # fmt: skip


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return a_queue(tmp_path / "labels.db")


def test_the_table_has_every_route_of_the_application_and_no_other(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
):
    made = []

    class Watched(review.Starlette):
        def __init__(self, **told: object) -> None:
            made.append(told["routes"])
            super().__init__(**told)  # type: ignore[arg-type]

    monkeypatch.setattr(review, "Starlette", Watched)
    review.application(queue, people=a_team(queue))
    review.application(queue, token="t")
    many, one = (
        {(m, route.path) for route in found for m in route.methods if m != "HEAD"} for found in made
    )
    assert many - {("GET", "/static/{name}")} == set(roles.ROUTES)
    assert one < many
    assert not {path for _, path in one} & {"/sign-in", "/welcome", "/users", "/account"}
    assert set(roles.ROUTES.values()) <= {*ROLES, roles.ANYBODY}
    anybody = {path for (_, path), least in roles.ROUTES.items() if least == roles.ANYBODY}
    assert anybody == {"/sign-in", "/welcome"}


def test_each_role_may_what_it_may_and_nothing_else(queue: Queue):
    """As a browser and as a program: 401 or 403 is refused, anything else was let through."""
    people = a_team(queue, **{role: role for role in ROLES})
    secrets = {role: people.new_token(f"{role} job", role, by="root") for role in ROLES}
    with served(queue, people=people) as address, httpx.Client(verify=False) as program:
        browsers = {role: Member(address, role) for role in ROLES}
        for (method, path), least in roles.ROUTES.items():
            if path in ("/sign-out", "/account"):
                continue  # they change who asks; they have tests of their own
            for role in ROLES:
                browser = browsers[role]
                ours = {"x-leaven-page": browser.page}
                as_browser = browser.http.request(method, path, headers=ours, json={})
                bearer = {"authorization": f"Bearer {secrets[role]}"}
                as_program = program.request(method, address + path, headers=bearer, json={})
                for answer in (as_browser, as_program):
                    told = (method, path, role, answer.status_code)
                    if least == roles.ANYBODY:  # its form has a token of its own
                        assert method == "GET" or answer.status_code == 403, told
                    elif covers(role, least):
                        assert answer.status_code in (200, 303, 422), told
                    else:
                        assert answer.status_code == 403, told
                        assert "error" in answer.json()
                if method == "POST" and covers(role, least or "admin"):
                    assert browser.http.post(path, json={}).status_code == 403
        assert {one.name: one.role for one in people.users()} == {role: role for role in ROLES}


def test_who_is_not_signed_in_gets_no_further_than_the_door(queue: Queue):
    people = a_team(queue, anna="admin")
    with served(queue, people=people) as address, httpx.Client(verify=False) as stranger:
        strangers = [
            {}, {"authorization": "Bearer x"}, {"authorization": "Basic YTpi"},
            {"authorization": ""}, {"cookie": f"leaven-in-{address.rpartition(':')[2]}=x"},
        ]  # fmt: skip
        for headers in strangers:
            for method, path in [*roles.ROUTES, *UNKNOWN]:
                if roles.ROUTES.get((method, path)) == roles.ANYBODY:
                    continue
                answer = stranger.request(method, address + path, headers=headers, json={})
                if method == "GET" and "authorization" not in headers:
                    assert answer.status_code == 303, path
                    assert answer.headers["location"] == "/sign-in"
                else:
                    assert answer.status_code == 401, (path, headers)
                    assert answer.json() == {"error": "Sign in first."}
                assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("team", [True, False])
def test_what_is_not_in_the_table_is_asked_of_nobody(queue: Queue, team: bool):
    people = a_team(queue, anna="admin") if team else None
    with served(queue, people=people) as address:
        client = Member(address, "anna") if team else Client(address)
        ours = {"x-leaven-page": client.page}
        for method, path in UNKNOWN:
            answer = client.http.request(method, path, headers=ours, json={})
            assert answer.status_code in (404, 405), (method, path)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
            assert client.http.request(method, "/", headers=ours).status_code == 405
        assert client.http.head("/progress").status_code == 200
        assert client.http.get("/answer").status_code == 405
        if not team:
            for path in ("/sign-in", "/welcome", "/users", "/account"):
                assert client.http.get(path).status_code == 404
