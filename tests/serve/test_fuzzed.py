"""The review pages: whatever is sent to any route is answered, and has the headers of safety."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from leaven.label.queue import Queue
from leaven.serve import answering, review, team
from leaven.serve.roles import ROUTES
from leaven.store.audit import AuditLog
from leaven.store.people import ROLES
from tests.serve.fuzzing import fuzz
from tests.serve.serving import Member, a_queue, a_team, served
from tests.store.history import check_history

_BODIES: dict[str, type[BaseModel]] = {
    "tasks": answering._Take, "answer": answering._Answer, "undo": answering._Undo,
    "leave": answering._Leave, "again": review._Again, "sign-in": team._SignIn,
    "welcome": team._Welcome, "account": team._Account, "add": team._Add, "role": team._Role,
    "disable": team._Name, "enable": team._Name, "invite": team._Name, "new": team._Token,
    "revoke": team._Name,
}  # fmt: skip
_KNOWN = {
    "task": [1, 2, 3], "name": ["carl", "<script>x</script>", "=cmd()"], "window": ["window-0001"],
    "record": ["r0", "../r0", "<svg onload=x>"], "after": ["0", "1", "-1"],
}  # fmt: skip


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return a_queue(tmp_path / "labels.db")


def known_or(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Values that lead somewhere, or any that fit."""
    return {"anyOf": [{"enum": _KNOWN[name]}, schema]}


def described() -> dict[str, Any]:
    """The routes of `ROUTES` in OpenAPI, with the bodies that they read, some with known values."""
    paths: dict[str, Any] = {}
    for method, path in ROUTES:
        told: dict[str, Any] = {"responses": {"default": {"description": ""}}}
        kind = _BODIES.get(path.rpartition("/")[2])
        if method == "POST" and kind is not None:
            schema = kind.model_json_schema()
            for name in schema["properties"].keys() & _KNOWN.keys():
                schema["properties"][name] = known_or(name, schema["properties"][name])
            if "role" in schema["properties"]:
                schema["properties"]["role"] = {"enum": [*ROLES]}
            told["requestBody"] = {
                "content": {"application/json": {"schema": schema}}, "required": True,
            }  # fmt: skip
        if method == "GET":
            told["parameters"] = [
                {"name": name, "in": "query", "schema": known_or(name, {"type": "string"})}
                for name in {"/said": ["record"], "/cards": ["after"]}.get(path, [])
            ]
        paths.setdefault(path, {})[method.lower()] = told
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}


def test_whatever_is_sent_to_a_page_is_answered_and_nothing_is_lost(queue: Queue):
    people = a_team(queue, anna="admin", carl="annotator")
    secret = {"authorization": f"Bearer {people.new_token('job', 'admin', by='root')}"}
    heard: list[Any] = []
    with served(queue, people=people) as address:
        door = httpx.get(f"{address}/sign-in")
        form = {
            "cookie": "; ".join(f"{name}={value}" for name, value in door.cookies.items()),
            "x-leaven-page": door.text.split('data-page="')[1].split('"')[0],
        }

        def headers(path: str) -> dict[str, str]:
            return form if path in ("/sign-in", "/welcome") else secret

        seen = fuzz(described(), address, 6, headers=headers, heard=heard.append)
        pages = Member(address, "anna")
        for path in ("/users", "/progress", "/cards"):
            assert "<script>x" not in pages.http.get(path).text
    statuses = {status for _, status in seen}
    assert statuses <= {200, 303, 401, 403, 404, 409, 413, 422}
    assert {name for name, status in seen if status in (200, 303)} >= {
        "POST /tasks", "POST /answer", "POST /users/add", "POST /tokens/new", "GET /said",
    }  # fmt: skip
    for answer in heard:
        policy = answer.headers["content-security-policy"][0]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == ["nosniff"]
        assert answer.headers["cache-control"] == ["no-store"]
    check_history(queue.store)
    assert AuditLog(queue.store).check().fault is None
    assert any(one.role == "admin" and one.disabled is None for one in people.users())
