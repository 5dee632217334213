"""Many people in real browsers: signing in, answering side by side, settling by keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaven.label.results import history, labels, standing
from tests.serve.browser import CHROMIUM, CONTRAST, Browser, Window
from tests.serve.serving import WORDS, a_queue, a_team, asks, served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium to look with"
)

RECORD = ".record:not([hidden])"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM, "CI must have Chromium"
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


def typed(window: Window, **fields: str) -> None:
    """Fill fields by keyboard and press Enter in the last one."""
    for name, word in fields.items():
        window.value(f"document.querySelector('[name={name}]').focus()")
        window.call("Input.insertText", text=word)
    window.press("Enter")


def signed_in(browser: Browser, address: str, name: str) -> Window:
    window = browser.window()
    window.size(1280, 900)
    window.open(address)
    window.until("location.pathname === '/sign-in' && document.querySelector('#door')")
    typed(window, name=name, password=WORDS)
    window.until("location.pathname !== '/sign-in'")
    return window


def shown(window: Window, number: int) -> None:
    told = f"document.querySelector('{RECORD} .shown')?.innerText.trim()"
    window.until(f"{told} === 'text number {number}'")


def saved(window: Window) -> None:
    window.until("!Object.keys(localStorage).some((one) => one.startsWith('leaven.unsent.'))")


def fits(window: Window) -> bool:
    """Nothing is wider than the window, on a screen and on a phone."""
    wide = []
    for width in (360, 1280):
        window.size(width, 780)
        wide.append(window.value("document.documentElement.scrollWidth") <= width)
    return all(wide)


def test_an_invitation_is_taken_up_and_its_person_answers(browser: Browser, tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 6)
    people = a_team(queue, ben="annotator")
    secret = people.add("anna", "annotator", by="root")
    with served(queue, people=people) as address:
        window = browser.window()
        window.size(1280, 900)
        window.open(f"{address}/welcome#{secret}")
        assert "#" not in window.value("location.href")
        typed(window, password=WORDS, twice="something else")
        window.until("document.querySelector('#trouble').innerText.includes('not the same')")
        typed(window, password="", twice="")
        window.value("document.querySelectorAll('input').forEach((one) => one.value = '')")
        assert fits(window)
        typed(window, password=WORDS, twice=WORDS)
        shown(window, 0)
        assert window.text(".who") == "as anna"
        window.press("1")
        shown(window, 1)
        saved(window)
        ben = signed_in(browser, address, "ben")
        shown(ben, 4)  # Anna holds those before
        ben.press("2")
        saved(ben)
        assert window.complaints() == ben.complaints() == []
    assert {(one.person, one.label) for one in standing(queue)} == {
        ("anna", "ham"),
        ("ben", "spam"),
    }


def test_who_is_shut_out_keeps_answers_until_they_are_in_again(browser: Browser, tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 4)
    people = a_team(queue, anna="annotator")
    with served(queue, people=people) as address:
        window = signed_in(browser, address, "anna")
        shown(window, 0)
        people.disable("anna", by="root")
        window.press("1")
        window.until("document.querySelector('#trouble').innerText.includes('not signed in')")
        assert "Sign in in another window" in window.text("#trouble")
        assert "1 answer waits here" in window.text("#trouble")
        people.enable("anna", by="root")
        window.open(f"{address}/sign-in")
        typed(window, name="anna", password="wrong")
        window.until("document.querySelector('#trouble').innerText.includes('do not belong')")
        typed(window, password=WORDS)
        window.until("location.pathname === '/'")
        saved(window)
    assert [(one.person, one.label) for one in standing(queue)] == [("anna", "ham")]


def test_disputes_are_settled_by_keyboard_and_taken_back(browser: Browser, tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 0)
    queue.add(asks(4, wanted=2))
    for task in range(1, 5):
        queue.answer(task, "ann", "ham", key=f"ann {task}")
        queue.answer(task, "ben", "spam", key=f"ben {task}")
    with served(queue, people=a_team(queue, rita="reviewer")) as address:
        window = signed_in(browser, address, "rita")
        window.open(f"{address}/settle")
        shown(window, 0)
        assert "ann" in window.text(f"{RECORD} .said-by")
        window.press("1")
        shown(window, 1)
        window.press("s")
        shown(window, 2)
        assert window.text("#said") == "Put aside. U takes it back."
        window.press("u")
        shown(window, 1)
        saved(window)
        window.press("u")  # back over what was put aside to what was decided
        shown(window, 0)
        saved(window)
        assert labels(queue).num_rows == 0
        window.press("2")
        shown(window, 1)
        window.press("a")
        shown(window, 2)
        saved(window)
        window.until("document.querySelector('#said').innerText.startsWith('One more person')")
        window.press("1")
        shown(window, 3)
        window.press("1")
        shown(window, 1)  # what waits for one more is left
        saved(window)
        assert fits(window)
        window.press("1")
        window.until(
            "document.querySelector('#waiting').innerText.startsWith('People differ on no')"
        )
        saved(window)
        window.until("document.querySelector('#words').innerText === '0 to settle · 4 settled'")
        window.open(f"{address}/settle")  # after a reload the latest decision is still taken back
        window.until("document.querySelector('#words').innerText.startsWith('0 to')")
        window.press("u")
        shown(window, 1)
        saved(window)
        assert window.complaints() == []
    assert labels(queue).column("label").to_pylist() == ["spam", "ham", "ham"]
    kinds = [one["kind"] for one in history(queue, "r0")]
    assert kinds == ["asked", "answered", "answered", "adjudicated", "undone", "adjudicated"]


def test_an_admin_lets_somebody_in_and_out_on_the_page(browser: Browser, tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 3)
    people = a_team(queue, root="admin", anna="annotator")
    with served(queue, people=people) as address:
        window = signed_in(browser, address, "root")
        for path in ("/users", "/progress", "/cards", "/account"):
            window.open(address + path)
            assert fits(window), path
        window.open(f"{address}/users")
        window.value("document.querySelector('form[data-do=\"/users/add\"] input').focus()")
        window.call("Input.insertText", text="carl <b>")
        window.press("Enter")
        window.until("document.querySelector('#secret output').innerText.includes('/welcome#')")
        link = window.text("#secret output")
        assert people.welcome(link.partition("#")[2]) == "carl <b>"
        window.value(
            "{ const one = document.querySelector('select[data-name=root]');"
            " one.value = 'viewer'; one.dispatchEvent(new Event('change')); }"
        )
        window.until("document.querySelector('#trouble').innerText.includes('last admin')")
        assert window.value("document.querySelector('select[data-name=root]').value") == "admin"
        window.value(
            "document.querySelector('[data-do=\"/users/disable\"][data-name=anna]').click()"
        )
        window.until("document.querySelector('[data-do=\"/users/enable\"][data-name=anna]')")
        window.open(f"{address}/account")
        window.value("document.querySelector('#out button').click()")
        window.until("location.pathname === '/sign-in'")
        window.open(f"{address}/users")
        assert window.value("location.pathname") == "/sign-in"
        refused = "the server responded with a status of 409"
        assert all(refused in said for said in window.complaints())
    assert [one.name for one in people.users() if one.disabled] == ["anna"]


def test_every_page_can_be_read_in_light_and_dark(browser: Browser, tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 0)
    queue.add(asks(2, wanted=2))
    queue.answer(1, "ann", "ham", key="1", seconds=3.0)
    queue.answer(1, "ben", "spam", key="2")
    people = a_team(queue, root="admin", ann="viewer")
    people.new_token("job", "viewer", by="root")
    people.disable("ann", by="root")
    nameless = (
        "[...document.querySelectorAll('button, input, select, nav, progress, [role=group]')]"
        ".filter((e) => !(e.innerText || e.getAttribute('aria-label') || e.labels?.length"
        " || e.getAttribute('aria-hidden'))).map((e) => e.outerHTML)"
    )
    with served(queue, people=people) as address:
        window = browser.window()
        window.open(f"{address}/sign-in")
        typed(window, name="root", password="wrong")
        window.until("!document.querySelector('#trouble').hidden")
        pale = {}
        for path in ("", "/settle", "/progress", "/cards", "/users", "/account"):
            if path:
                window.open(address + path)
            if path == "/settle":
                window.until(f"document.querySelector('{RECORD}')")
            for scheme in ("light", "dark"):
                window.size(1280, 900, scheme)
                if found := window.value(CONTRAST) + window.value(nameless):
                    pale[path, scheme] = found
            if not path:
                typed(window, password=WORDS)
                window.until("location.pathname === '/'")
    assert pale == {}
