"""What is written of an incident: the page, Markdown and the runbook, whatever people typed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from leaven.core.errors import SettingError
from leaven.incidents import report
from leaven.label.queue import Ask, Queue
from leaven.operate.incidents.incident import Event, Incident, Incidents
from leaven.operate.incidents.page import rendered
from leaven.operate.incidents.picture import spans, timeline
from leaven.operate.incidents.relabelled import relabelled
from leaven.operate.incidents.times import times_of
from leaven.operate.incidents.told import told
from leaven.operate.incidents.writing import Moment, moments, postmortem, runbook, summary
from leaven.store.store import Store
from tests.serve.browser import CHROMIUM, CONTRAST, Browser
from tests.store.history import Clock

ODD = "<script>alert(1)</script> | `rm` [x](http://e.x) **b** \x1b[31m 字 "
NAME = ODD.replace("\x1b", "")
OPENED = 1_000_000.0


@pytest.fixture
def kept(tmp_path: Path, whole_sqlite: Path, clock: Clock) -> Incidents:
    """One incident, half an hour long, with what anybody might type."""
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    made = Incidents(Store(file), clock=clock)
    clock.now = OPENED
    made.open("tickets <b>", by="ann", reason=ODD, since=OPENED - 7200, folder=lambda *_: "")
    causes = [{"name": "change", "sentence": ODD, "step": "roll-back", "weight": 9, "settings": {}}]
    frozen = {"folder": str(tmp_path / "none"), "host": "h", "digest": "d" * 64, "files": 3,
              "left_out": [["health.json", ODD]], "causes": causes}  # fmt: skip
    made.freeze(1, by="ann", reason="3 files", told=frozen)
    for i, (step, state) in enumerate(
        [("roll-back", "done"), ("sample", "failed"), ("pause-loop", "done")]
    ):
        clock.now = OPENED + 300 * (i + 1)
        act = made.begin(1, step, {"run": ODD} if i == 0 else {}, {}, NAME)
        made.end(1, act, state, by=NAME, reason=f"{step} {ODD}", undoes="")
    made.note(1, ODD, by="ben")
    clock.now = OPENED + 1800
    return made


def known(kept: Incidents) -> tuple[dict[str, Any], list[Event]]:
    incident: Incident = kept.get(1)
    return told(kept.store, incident, times_of(kept.store, incident)), kept.history(1)


def test_what_people_typed_is_text_and_nothing_else(kept: Incidents):
    page = rendered(*known(kept), None, "now", "0")
    assert "<script" not in page
    assert str(escape("<script>alert(1)")) in page
    assert "<b>" not in page.replace("<b>Leaven</b>", "")
    for text in (postmortem(*known(kept), None, "now"), runbook(known(kept)[0], None)):
        outside = re.sub(r"```sh\n.*?```", "", text, flags=re.DOTALL)
        assert "<script" not in outside
        assert "[x](" not in outside
        assert "**b**" not in outside
        assert "\x1b" not in text
        rows = [line for line in outside.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 5}


def test_it_says_what_was_done_in_order_and_the_next_time_how(kept: Incidents):
    found = moments(*known(kept))
    assert [one.kind for one in found] == [
        "fault", "people", "people", "step", "failed", "step", "people",
    ]  # fmt: skip
    assert [one.at for one in found] == sorted(one.at for one in found)
    text = postmortem(*known(kept), "runs/x y.db", "now")
    assert "**Time to detect** | 2\u202fh |" in text
    assert "leaven incident do NUMBER pause-loop --store 'runs/x y.db'" in text
    assert "do NUMBER sample" not in text  # it failed
    assert summary(known(kept)[0]) == (
        "It stood 2\u202fh before it was noticed, and it is not mended yet."
    )
    assert runbook(known(kept)[0], None).count("```sh") == 4


def test_pictures_hold_all_and_their_names_for_who_cannot_see(kept: Incidents):
    times = known(kept)[0]["times"]
    for width in (720, 328):
        drawn = str(spans(times, width))
        assert "To detect: 2" in drawn
        assert "To mend: not known" in drawn
        assert max(float(x) for x in re.findall(r'x="([\d.]+)"', drawn)) <= width
    many = [Moment(float(i), "step", "W" * 200, "why", "ann") for i in range(30)]
    tall = str(timeline(many, 328))
    assert tall.count("<circle") == 30
    assert not re.search(r"<text[^>]*>W{60}", tall)
    same = dict.fromkeys(("began", "detected", "opened", "mended", "closed"), OPENED)
    assert "NaN" not in str(spans({**times, **same, "to_detect": 0.0, "to_mend": 0.0}, 328))


def test_reports_are_written_by_their_ending(kept: Incidents, tmp_path: Path):
    store = kept.store.address
    page = report(1, tmp_path / "a" / "p.html", store=store)
    assert page.read_text().startswith("\n<!doctype html>") or "<!doctype html>" in page.read_text()
    assert report(1, tmp_path / "p.md", store=store).read_text().startswith("# Incident 1 of")
    written = report(1, tmp_path / "r.md", runbook=True, store=store).read_text()
    assert "**It means**" in written
    for name, how in (("p.txt", {}), ("p", {}), ("r.html", {"runbook": True})):
        with pytest.raises(SettingError, match="'out' must be a file that ends in"):
            report(1, tmp_path / name, store=store, **how)


def test_the_sample_says_how_often_the_run_was_right(kept: Incidents):
    queue = Queue.made(kept.store, "q", classes=["a", "b"], modality="text")
    asks = [
        Ask(f"r{i}", f"c{i}", guess=[("a", 0.9)], batch="incident 1",
            origin={"by_chance": i % 2 == 0})
        for i in range(10)
    ]  # fmt: skip
    queue.add(asks)
    assert relabelled(kept.store, "incident 2") is None
    for task in queue.lease("eve", 8):
        queue.answer(task.id, "eve", "a" if task.id < 4 else "b", key=f"k{task.id}")
    found = relabelled(kept.store, "incident 1")
    assert found is not None
    assert (found.asked, found.answered, found.confirmed) == (10, 8, 3)
    assert (found.n, found.right) == (4, 2)
    assert found.low is not None
    assert found.low < 0.5 < (found.high or 0)
    text = postmortem(*known(kept), None, "now")
    assert "Of the 4 that were drawn by chance it was right on 50.0" in text


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium")
def test_the_page_fits_a_phone_and_can_be_read(kept: Incidents, tmp_path: Path):
    assert CHROMIUM, "CI must have Chromium"
    page = report(1, tmp_path / "p.html", store=kept.store.address)
    browser = Browser(tmp_path / "profile")
    try:
        window = browser.window()
        for width, scheme in ((1280, "light"), (360, "dark")):
            window.size(width, 900, scheme)
            window.open(page.as_uri())
            assert window.value("document.documentElement.scrollWidth") <= width
            assert window.value(CONTRAST) == []
        assert window.complaints() == []
    finally:
        browser.close()


pytest_plugins = ["tests.store.databases"]
