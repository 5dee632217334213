"""The dashboards of a real server: what they say, where marks lead, and how they look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from sqlalchemy import func, select, update

from leaven.evaluate.run import Run
from leaven.serve.models.answering import Settings
from leaven.store.people import People
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.serve.browser import CHROMIUM, CONTRAST, Browser, Window
from tests.serve.models.released import Client, eventually, release, said, served


@pytest.fixture(scope="module")
def client(texts: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that answered thirty records, of which truth came back of ten."""
    store = str(tmp_path_factory.mktemp("dashboards") / "leaven.db")
    release(texts, store)
    with served(store, settings=Settings(abstain=0.7)) as made:
        x, y = said(30, seed=3)
        answers = [made.ask(one).json()["predictions"][0]["id"] for one in x]
        for name, label in zip(answers[:10], y[:10], strict=True):
            assert made.post("/feedback", json={"id": name, "label": label}).status_code == 200
        rows = select(func.count()).select_from(predictions)

        def is_logged() -> bool:
            with Store(store).read() as connection:
                return connection.execute(rows).scalar_one() == 30

        assert eventually(is_logged)
        evil = '<script>alert("x")</script>'
        with Store(store).write() as connection:
            one = predictions.c.name == answers[20]
            connection.execute(update(predictions).where(one).values(label=evil))
        yield made


def links(page: str) -> list[str]:
    found = re.findall(r'href="(/dashboards/predictions[^"]*)"', page)
    return [unescape(one) for one in dict.fromkeys(found)]


def test_every_number_and_mark_leads_to_its_records(client: Client):
    for name in ("executive", "on-call", "debug"):
        got = client.get(f"/dashboards/{name}?hours=1")
        assert got.status_code == 200
        found = links(got.text)
        assert found, name
        for href in found:
            records = client.get(href)
            assert records.status_code == 200, href
            empty = "No prediction" in records.text
            assert not empty or "slow=" in href or "review" in href, href


def test_numbers_have_their_promise_and_words(client: Client):
    text = client.get("/dashboards/executive?hours=1").text
    assert "30 records answered" in text
    assert "of 10 were right, where truth came back" in text
    assert text.count("<li class=") >= 4
    assert "promised" in text


def test_nothing_of_a_record_is_taken_for_markup_and_no_script_may_run(client: Client):
    for path in ("/dashboards/executive", "/dashboards/predictions"):
        got = client.get(path)
        assert "<script" not in got.text
        assert "&lt;script&gt;" in got.text
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert "style-src 'self'" in got.headers["content-security-policy"]
    assert "style-src" not in client.get("/status").headers["content-security-policy"]


@pytest.mark.parametrize(
    "query",
    ["hours=0", "hours=x", "since=nan", "until=1e99", "route=else", "low=2", "before=-1",
     "truth=maybe", "label=" + "a" * 2000],
)  # fmt: skip
def test_an_address_that_asks_for_nothing_that_is_is_refused(client: Client, query: str):
    path = "executive" if query.startswith("hours") else "predictions"
    assert client.get(f"/dashboards/{path}?{query}").status_code == 422


def test_a_service_without_a_log_has_empty_boards(texts: Run, store: str):
    release(texts, store)
    with served(store) as made:
        for name in ("executive", "on-call", "debug", "predictions"):
            got = made.get(f"/dashboards/{name}")
            assert got.status_code == 200
        assert "Nothing was asked" in made.get("/dashboards").text


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser.window()
    browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_boards_can_be_read_on_a_desk_and_a_phone(
    client: Client, window: Window, width: int, scheme: str
):
    window.size(width, 900, scheme)
    for name in ("executive", "on-call", "debug", "predictions"):
        window.open(f"{client.base_url}/dashboards/{name}")
        window.until(f"document.title.includes('Leaven') && location.pathname.endsWith('{name}')")
        assert window.value("document.documentElement.scrollWidth") <= width, name
        assert window.value(CONTRAST) == [], name
        assert window.value("getComputedStyle(document.querySelector('.bar')).display") == "flex"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_mark_is_reached_and_opened_by_keyboard(client: Client, window: Window):
    window.size(1280, 900)
    window.open(f"{client.base_url}/dashboards/executive?hours=1")
    window.until("document.querySelector('svg a')")
    window.value("document.querySelector('.wide svg a').focus()")
    window.press("Enter")
    window.until("location.pathname === '/dashboards/predictions'")
    assert window.value("document.querySelectorAll('tbody tr').length") > 0


def test_where_tokens_are_needed_a_browser_gives_one_as_a_password(texts: Run, store: str):
    release(texts, store)
    token = People(Store(store)).new_token("wall", "viewer", by="ann")
    with served(store, tokens=True, hosts=None) as made:
        asked = made.get("/dashboards/executive")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic")
        assert made.get("/dashboards/executive", auth=("wall", token)).status_code == 200
        assert made.get("/dashboards/executive", auth=("wall", "wrong")).status_code == 401
        odd = {"authorization": "Basic %%%"}
        assert made.get("/dashboards/executive", headers=odd).status_code == 401
        # Programs have no use for it, and browsers send it by themselves.
        assert made.get("/status", auth=("wall", token)).status_code == 401
