"""Who may ask the models' server for what, and how often: every route, every role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven import serving
from leaven.core.errors import SettingError
from leaven.evaluate.run import Run
from leaven.serve.models.answering import Settings
from leaven.serve.models.app import application
from leaven.serve.models.limits import Limits
from leaven.serve.models.rates import _MOST, Rate
from leaven.serve.roles import ANYBODY, MODELS, template
from leaven.store.people import ROLES, People, covers
from leaven.store.store import Store
from tests.serve.models.released import Client, release, served


@pytest.fixture(scope="module")
def kept(texts: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a released run."""
    store = str(tmp_path_factory.mktemp("door") / "leaven.db")
    release(texts, store)
    return store


@pytest.fixture(scope="module")
def secrets(kept: str) -> dict[str, str]:
    """A token of each role."""
    people = People(Store(kept))
    return {role: people.new_token(f"{role} job", role, by="ann") for role in ROLES}


@pytest.fixture(scope="module")
def client(kept: str) -> Iterator[Client]:
    """A server that asks for tokens."""
    with served(kept, tokens=True, hosts=None) as made:
        yield made


def path_of(known: str, version: str) -> str:
    """A path of the table with names in it that are there."""
    return known.replace("models/*", "models/tickets").replace("versions/*", f"versions/{version}")


def test_the_table_has_every_route_of_the_application_and_no_other(kept: str, client: Client):
    routes = application(client.service, Store(kept)).routes
    found = {
        (method, template(route.path.replace("{name}", "n").replace("{version}", "v")))
        for route in routes
        for method in route.methods - {"HEAD"}
    }
    assert found == set(MODELS)
    assert set(MODELS.values()) <= {*ROLES, ANYBODY}
    anybody = {path for (_, path), least in MODELS.items() if least == ANYBODY}
    assert anybody == {"/v2/health/live", "/v2/health/ready"}


def test_each_role_may_what_it_may_and_nothing_else(client: Client, secrets: dict[str, str]):
    version = client.service.routing.live.digest
    for (method, known), least in MODELS.items():
        path = path_of(known, version)
        stranger = client.request(method, path, json={})
        assert (stranger.status_code == 401) == (least != ANYBODY), (method, known)
        for role, secret in secrets.items():
            headers = {"authorization": f"Bearer {secret}"}
            answer = client.request(method, path, json={}, headers=headers)
            told = (method, known, role, answer.status_code)
            if least == ANYBODY or covers(role, least):
                assert answer.status_code in (200, 400, 422), told
            else:
                assert answer.status_code == 403, told
                assert f"This needs the role {least}" in answer.json()["error"]


def test_what_is_not_in_the_table_is_asked_of_nobody(client: Client, secrets: dict[str, str]):
    headers = {"authorization": f"Bearer {secrets['admin']}"}
    for method, path, status in (
        ("GET", "/", 404), ("GET", "/docs", 404), ("GET", "/redoc", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/", 404), ("GET", "/v2/models//infer", 404), ("POST", "/PREDICT", 404),
        ("POST", "/predict/", 404), ("POST", "/v2/models/tickets/infer/", 404),
        ("POST", "/v2/models/a%2Fb/infer", 404), ("GET", "/predict", 405), ("PUT", "/predict", 405),
        ("DELETE", "/v2/models/tickets", 405), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v2/models/tickets/versions/..%2f..%2fx/ready", 404), ("PATCH", "/status", 405),
    ):  # fmt: skip
        answer = client.request(method, path, headers=headers)
        assert (method, path, answer.status_code) == (method, path, status)
        assert client.request(method, path).status_code == 401


def test_every_answer_has_the_headers_of_safety(client: Client, secrets: dict[str, str]):
    """Of each route, to whoever asks; of what is not there, refused, or cannot be done."""
    version = client.service.routing.live.digest
    admin = {"authorization": f"Bearer {secrets['admin']}"}
    answers = [
        client.request(method, path_of(known, version), headers=headers, content=content)
        for method, known in [*MODELS, ("GET", "/none"), ("PUT", "/predict"), ("OPTIONS", "/v2")]
        for headers in ({}, admin, admin | {"content-type": "text/plain"}, {"origin": "http://x"})
        for content in (b"", b"{")
    ]
    assert {200, 401, 403, 404, 405, 415} <= {one.status_code for one in answers}
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "script-src" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


def test_who_asks_too_often_is_told_when_to_come_again(kept: str, secrets: dict[str, str]):
    """Each token has its own bucket, and asking for health empties none."""
    few = Settings(limits=Limits(rate=0.001))
    with served(kept, tokens=True, hosts=None, settings=few) as client:

        def ask(role: str) -> httpx.Response:
            return client.get("/status", headers={"authorization": f"Bearer {secrets[role]}"})

        assert [ask("viewer").status_code for _ in range(3)] == [200, 429, 429]
        assert 900 < int(ask("viewer").headers["retry-after"]) <= 1000
        assert ask("operator").status_code == 200
        assert {client.get("/v2/health/ready").status_code for _ in range(9)} == {200}
    with served(kept, settings=few) as client:  # by address, where there are no tokens
        assert [client.ask().status_code for _ in range(2)] == [200, 429]
        assert "Ask less often" in client.ask().json()["error"]


def test_who_guesses_tokens_has_the_store_asked_a_few_times_only(
    kept: str, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    asked = []
    found = People.bearer

    def bearer(self: People, secret: str) -> Any:
        asked.append(secret)
        return found(self, secret)

    monkeypatch.setattr(People, "bearer", bearer)
    with served(kept, tokens=True, hosts=None) as client:
        known = {"authorization": f"Bearer {secrets['viewer']}"}
        assert client.get("/status", headers=known).status_code == 200
        guesses = [
            client.get("/status", headers={"authorization": f"Bearer leaven_{i}"}).status_code
            for i in range(60)
        ]
        assert guesses[:20] == [401] * 20
        assert guesses[-1] == 429
        assert len(asked) < 45
        assert client.get("/status", headers=known).status_code == 200, "who is known comes in"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60), st.floats(0.2, 5))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_no_more_pass_than_rate_and_burst_allow(steps: list[tuple[str, float]], rate: float):
    """Held against a plain bucket that is filled as time passes."""
    now, bucket = 0.0, dict.fromkeys("ab", max(1.0, 2 * rate))
    asked = Rate(rate, clock=lambda: now)
    for who, pause in steps:
        now += pause
        for one in bucket:
            bucket[one] = min(max(1.0, 2 * rate), bucket[one] + pause * rate)
        seconds = asked.wait(who)
        if bucket[who] > 1 + 1e-6:
            assert seconds == 0
        elif bucket[who] < 1 - 1e-6:
            assert seconds >= 1
            assert seconds >= (1 - bucket[who]) / rate - 1e-6
        bucket[who] -= seconds == 0


def test_of_how_many_a_rate_knows_is_bounded():
    asked = Rate(1.0, burst=1, clock=lambda: 0.0)
    for i in range(_MOST + 50):
        assert asked.wait(str(i)) == 0
    assert len(asked._full) == _MOST
    assert asked.wait(str(_MOST)) > 0


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_said(kept: str, rate: float):
    with pytest.raises(SettingError, match="'rate' must be requests a second"):
        serving.serve(store=kept, rate=rate, port=0, opened=pytest.fail)
