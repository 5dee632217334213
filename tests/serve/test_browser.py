"""The page in a real browser, by keyboard alone; servers that die, and answers that do not."""

from __future__ import annotations

import base64
import io
import os
import signal
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from leaven.label.queue import Ask, Queue
from leaven.label.results import history, standing
from leaven.store.store import Store
from tests.serve.browser import CHROMIUM, CONTRAST, Browser, Window
from tests.serve.serving import Process, a_queue, said, served

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


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return a_queue(tmp_path / "labels.db", 6)


def shown(window: Window, number: int) -> None:
    """Wait until that text is in the middle."""
    told = f"document.querySelector('{RECORD} .shown')?.innerText.trim()"
    window.until(f"{told} === 'text number {number}'")


def saved(window: Window) -> None:
    """Wait until nothing waits in the browser."""
    window.until("!Object.keys(localStorage).some((one) => one.startsWith('leaven.unsent.'))")


def waiting(window: Window) -> int:
    return window.value(
        "Object.keys(localStorage).filter((one) => one.startsWith('leaven.unsent.')).length"
    )


def opened(browser: Browser, address: str, token: str = "t") -> Window:
    window = browser.window()
    window.size(1280, 900)
    window.open(f"{address}/?token={token}")
    return window


def test_a_queue_is_worked_through_by_keyboard(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        assert window.text(f"{RECORD} .answer.guess .name") == "spam"
        assert "81.2" in window.text(f"{RECORD} .answer.guess")
        assert "Least sure of all" in window.text(f"{RECORD} .why")
        window.press("1")
        shown(window, 1)
        window.press("2", repeat=True)  # a key held down is one answer, the one before
        window.press("3")  # there is no third class
        window.press("Enter")
        shown(window, 2)
        window.press("s")
        shown(window, 3)
        assert window.text("#said") == "Skipped. U takes it back."
        window.press("u")
        shown(window, 2)
        window.press("2")
        shown(window, 3)
        window.press("u")
        window.press("u")
        shown(window, 1)
        saved(window)
        assert said(queue) == {"r0": "ham"}
        for key in ("1", "1", "1", "1", "1"):
            window.press(key)
            saved(window)
        window.until("document.querySelector('#waiting').innerText.startsWith('Nothing is left')")
        assert window.text("#words").startswith("6 of 6 done")
        assert window.complaints() == []
    assert said(queue) == {f"r{i}": "ham" for i in range(6)}
    assert [one["kind"] for one in history(queue, "r2")] == [
        "asked", "skipped", "undone", "answered", "undone", "answered",
    ]  # fmt: skip
    times = [one["seconds"] for i in range(6) for one in history(queue, f"r{i}")[1:]]
    assert all(0 <= seconds < 60 for seconds in times if seconds is not None)


def test_after_a_reload_the_latest_answer_is_still_taken_back(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.press("1")
        shown(window, 1)
        saved(window)
        window.open(address)
        shown(window, 1)
        window.call("Fetch.enable", patterns=[{"urlPattern": "*/undo"}])
        window.press("u")
        window.press("2")  # would be said of another record than the one that is on its way
        assert waiting(window) == 1
        window.let_go()
        shown(window, 0)
        saved(window)
        assert not said(queue)
        window.press("2")
        shown(window, 1)
        saved(window)
    assert said(queue) == {"r0": "spam"}


def test_what_was_answered_anew_is_not_asked_once_more(browser: Browser, queue: Queue):
    """The second answer is given before the server has taken the first one back."""
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.press("1")
        shown(window, 1)
        saved(window)
        window.call("Fetch.enable", patterns=[{"urlPattern": "*/undo"}])
        window.press("u")
        shown(window, 0)
        window.press("2")
        shown(window, 1)
        window.let_go()
        saved(window)
        assert window.value(f"document.querySelector('{RECORD}').dataset.task") == "2"
    kinds = [one["kind"] for one in history(queue, "r0")]
    assert kinds == ["asked", "answered", "undone", "answered"]
    assert said(queue) == {"r0": "spam"}


def test_a_record_that_is_withdrawn_goes_from_the_page(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.until("document.querySelectorAll('.record').length === 3")
        queue.withdraw(["r0", "r2"])
        window.value("dispatchEvent(new Event('online'))")
        shown(window, 1)
        window.until("document.querySelectorAll('.record').length === 3")
        window.until("document.querySelector('#said').innerText.includes('no longer yours')")
        line = "[...document.querySelectorAll('.record')].map((one) => one.dataset.task)"
        assert window.value(line) == ["2", "4", "5"]


def test_the_next_record_is_there_before_the_server_has_answered(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.until("document.querySelectorAll('.record').length === 3")
        window.call("Fetch.enable", patterns=[{"urlPattern": "*/answer"}])  # none goes out
        window.press("1")
        window.press("2")
        there = f"document.querySelector('{RECORD} .shown').innerText.trim()"
        assert window.value(there) == "text number 2"
        assert not said(queue)
        assert waiting(window) == 2
        window.call("Fetch.disable")
        saved(window)
        assert said(queue) == {"r0": "ham", "r1": "spam"}


def test_keys_are_listed_and_closed_again(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.press("?")
        window.until("document.querySelector('#keys').open")
        window.press("1")  # behind the list nothing is answered
        window.press("Escape")
        window.until("!document.querySelector('#keys').open")
        shown(window, 0)
        # With Tab alone: the record, its answers; Enter on a button is that button.
        for _ in range(2):
            window.press("Tab")
        assert window.value("document.activeElement.dataset.key") == "1"
        window.press("Enter")
        shown(window, 1)
        saved(window)
    assert said(queue) == {"r0": "ham"}


def test_of_many_classes_one_is_found_by_its_name(browser: Browser, tmp_path: Path):
    classes = [f"class {i}" for i in range(30)] + ["Ärger & mehr", "<b>bold</b>", "bald"]
    queue = a_queue(tmp_path / "labels.db", 5, classes)
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        for number, (typed, moves) in enumerate(
            [("arg", 0), ("b", 1), ("27", 0), ("class 1", 1), ("nothing like it", 0)]
        ):
            shown(window, number)
            window.press("/")
            window.until("document.querySelector('#finder').open")
            window.type(typed)
            for _ in range(moves):
                window.press("ArrowDown")
            window.press("Enter")
        assert window.value("document.querySelector('#finder').open")
        assert "No class" in window.text("#none")
        window.press("Escape")
        assert not window.value("document.querySelector('#finder').open")
        saved(window)
        assert window.complaints() == []
    assert list(said(queue).values()) == ["Ärger & mehr", "<b>bold</b>", "class 27", "class 10"]


def test_nothing_hostile_runs_and_nothing_overflows(browser: Browser, tmp_path: Path):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    names = [evil, "\u202eright to left \u05d0", "x" * 900, "'\"` & </button>"]
    queue = Queue.made(
        Store(tmp_path / "labels.db"), "q", classes=names, modality="text", question=evil
    )
    near = [{"shown": {"kind": "text", "text": evil}, "label": evil, "record": evil}]
    text = {"kind": "text", "text": evil + "w" * 3000, "neighbours": near}
    row = {"kind": "row", "cells": [{"name": evil, "value": evil + "y" * 999}] * 30}
    queue.add(
        [Ask(evil, "a", text, [(evil, 0.5)], evil), Ask("r", "b", row, [(names[2], 0.9)], evil)]
    )
    with served(queue, person=evil, curve=[(1, 0.5, 0.1, 0.9)]) as address:
        window = opened(browser, address)
        for key in ("1", "4"):
            window.until(f"document.querySelector('{RECORD}')")
            for width in (1280, 360):
                window.size(width, 780)
                assert window.value("document.documentElement.scrollWidth") <= width
            window.press(key)
            saved(window)
        assert "owned" not in window.value("document.title")
        assert window.complaints() == []
    assert sorted(one.label or "" for one in standing(queue)) == sorted([evil, names[3]])


def test_text_and_controls_have_contrast_in_light_and_dark(browser: Browser, queue: Queue):
    """WCAG 2.1 AA: 4.5 for text, 3 for the outlines of controls."""
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.press("1")
        shown(window, 1)
        for scheme in ("light", "dark"):
            window.size(1280, 900, scheme)
            assert window.value(CONTRAST) == []
        nameless = "[...document.querySelectorAll('button, input, dialog, progress, [role=group]')]"
        assert window.value(
            f"{nameless}.filter((e) => !(e.innerText || e.getAttribute('aria-label')"
            " || e.getAttribute('aria-labelledby'))).length === 0"
        )


def test_who_was_away_is_not_taken_by_his_word(browser: Browser, queue: Queue):
    """A lease that ran out is somebody else's: the first key only comes back."""
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.value("{ const now = Date.now; Date.now = () => now() + 901_000; }")
        others = Queue(queue.store, "q", clock=lambda: time.time() + 901).lease("bob", 1)
        assert [task.record for task in others] == ["r0"]
        window.value("document.dispatchEvent(new Event('visibilitychange'))")
        assert window.text("#waiting").startswith("You were away")
        assert window.text(RECORD) == ""
        window.press("1")
        shown(window, 1)
        assert not said(queue)
        window.press("1")
        saved(window)
    assert said(queue) == {"r1": "ham"}


def test_a_picture_is_enlarged_and_a_sound_played_by_key(browser: Browser, tmp_path: Path):
    picture, sound = io.BytesIO(), io.BytesIO()
    Image.new("L", (8, 8), 99).save(picture, "png")
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    png, wav = (base64.b64encode(one.getvalue()).decode() for one in (picture, sound))
    queue = a_queue(tmp_path / "labels.db", 0)
    audio = {"kind": "audio", "png": png, "wav": wav, "text": "2 s"}
    queue.add([Ask("p", "a", {"kind": "image", "png": png}), Ask("s", "b", audio)])
    wide = f"document.querySelector('{RECORD} img').getBoundingClientRect().width"
    with served(queue) as address:
        window = opened(browser, address)
        window.until(f"document.querySelector('{RECORD} .zoom')")
        assert window.value(wide) < 1000
        window.press("Enter")  # nothing is guessed, so nothing is said
        assert window.text("#said").startswith("The model has no guess")
        window.press("z")
        assert window.value(wide) == 1280
        window.press("Escape")
        assert window.value(wide) < 1000
        window.press("z")
        window.press("1")
        window.until(f"document.querySelector('{RECORD} audio')")
        window.press("p")
        window.until(f"!document.querySelector('{RECORD} audio').paused")
        window.press("p")
        window.until(f"document.querySelector('{RECORD} audio').paused")
        assert window.complaints() == []
        saved(window)
    assert said(queue) == {"p": "ham"}


def test_two_people_are_never_shown_one_record(browser: Browser, queue: Queue):
    told = "document.querySelector('.record:not([hidden])').dataset.task"
    with served(queue, person="ann") as first, served(queue, person="bob") as second:
        windows = [opened(browser, first), opened(browser, second)]
        for window in windows:  # both hold three before one of them is told to take a fourth
            window.until(f"document.querySelector('{RECORD}')")
        seen: list[str] = []
        for _ in range(3):
            for window in windows:
                window.until(f"document.querySelector('{RECORD}')")
                seen.append(window.value(told))
                window.press("1")
                saved(window)
        assert sorted(seen) == ["1", "2", "3", "4", "5", "6"]
    assert {one.person for one in standing(queue)} == {"ann", "bob"}


def test_two_windows_of_one_person_show_two_records(browser: Browser, queue: Queue):
    with served(queue) as address:
        one = opened(browser, address)
        shown(one, 0)
        other = browser.window(one.person)
        other.open(address)
        shown(other, 3)
        one.press("1")
        other.press("2")
        saved(one)
        assert said(queue) == {"r0": "ham", "r3": "spam"}
        one.open(f"{address}/static/report.css")
        other.press("1")
        other.press("1")
        given = f"document.querySelector('{RECORD} .shown')?.innerText.trim() === 'text number 1'"
        other.until(f"(dispatchEvent(new Event('online')), {given})")  # what the first gave back


def test_answers_outlive_the_server_and_the_page(browser: Browser, tmp_path: Path):
    """Killed while answers come; then a database that may only be read; then all is well."""
    queue = a_queue(tmp_path / "labels.db", 8)
    first = Process(queue.store.address)
    window = opened(browser, first.address, first.link.partition("token=")[2])
    shown(window, 0)
    window.press("1")
    saved(window)
    window.press("2")
    window.until("document.querySelectorAll('.record').length === 3")
    first.end(signal.SIGKILL)
    window.press("1")
    window.press("2")
    trouble = "document.querySelector('#trouble')"
    window.until(f"{trouble}.innerText.includes('wait here and will be sent')")
    assert window.text("#trouble").startswith("Server gone: ")
    window.press("u")  # also what has not been sent is taken back with one key
    kept = waiting(window)
    assert kept >= 3

    read_only = f"sqlite:///file:{tmp_path / 'labels.db'}?mode=ro&uri=true"
    second = Process(read_only, first.port)
    window.open(second.link)  # the page is loaded anew
    window.until(f"{trouble}.innerText.includes('may only be read')")
    assert window.text("#trouble").endswith(" 1 answer waits here and will be sent.")
    assert waiting(window) == kept
    second.end(signal.SIGKILL)

    third = Process(queue.store.address)
    assert third.port == first.port  # of this queue, each time: what waits belongs to it
    assert third.link != first.link
    window.open(third.link)
    saved(window)
    told = said(queue)
    assert {name: told[name] for name in ("r0", "r1", "r2")} == {
        "r0": "ham", "r1": "spam", "r2": "ham",
    }  # fmt: skip
    assert "r3" not in told
    for name in ("r0", "r1", "r2"):  # each once
        assert [one["kind"] for one in history(queue, name)] == ["asked", "answered"]
    shown(window, 3)
    third.end(signal.SIGINT)


def test_a_store_that_cannot_be_written_is_said_and_answers_wait(browser: Browser, tmp_path: Path):
    a_queue(tmp_path / "labels.db")
    queue = Queue(Store(f"sqlite:///file:{tmp_path / 'labels.db'}?mode=ro&uri=true"), "q")
    with served(queue) as address:
        window = opened(browser, address)
        window.until("document.querySelector('#trouble').innerText.includes('may only be read')")
        assert "Nothing of this was kept" in window.text("#trouble")


def test_what_will_never_be_taken_is_said_until_it_is_read(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.value(
            "localStorage.setItem(`leaven.unsent.${document.body.dataset.place}.000000000000001.a`,"
            " JSON.stringify({path: '/answer', body: {task: 99, choice: 0, key: 'key-00099'}}))"
        )
        window.press("1")
        saved(window)
        window.until("document.querySelector('#refused').innerText.includes('has no task 99')")
        window.value("document.querySelector('#dismiss').click()")
        window.until("document.querySelector('#refused').hidden")
    assert said(queue) == {"r0": "ham"}


def test_an_older_page_says_where_to_go(browser: Browser, queue: Queue):
    with served(queue) as address:
        window = opened(browser, address)
        shown(window, 0)
        window.value(
            "{ const sent = fetch; window.fetch = (path, told) =>"
            " sent(path, {...told, headers: {'x-leaven-page': 'of-an-earlier-server'}}); }"
        )
        window.press("1")
        window.until(
            "document.querySelector('#trouble').innerText.includes('Open the newest link')"
        )
        assert "1 answer waits here and will be sent." in window.text("#trouble")
        window.open(address)
        saved(window)
    assert said(queue) == {"r0": "ham"}
