"""What a loop tells: dry run, status, page, command line, and what is wrong with a policy."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from leaven import looping
from leaven.cli import app
from leaven.core.errors import SettingError, UnknownNameError
from leaven.operate.loop.journal import folded
from leaven.operate.loop.page import rendered
from leaven.operate.loop.picture import drawn
from leaven.operate.loop.policy import Policy
from leaven.operate.loop.states import STATES, TRANSITIONS
from leaven.operate.loop.told import told
from leaven.store.loop_tables import loop_events
from tests.operate.loop_world import SERVICE, World

pytest_plugins = ["tests.store.databases"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World):
    def rows() -> list[Any]:
        with world.store.read() as connection:
            return connection.execute(select(loop_events)).all()

    outlook = world.loop().outlook()
    assert outlook.says == "A cycle would begin: No cycle has begun yet."
    assert rows() == []
    assert world.fits.asked == []
    world.change(gate={"major": ["first"]})
    world.run()
    before = rows()
    assert "Asks a person" in world.loop().outlook().says
    world.journal.pause("loop", "ann", "")
    assert "ann has paused the loop" in world.loop().outlook().says
    assert len(rows()) == len(before) + 1


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


def test_the_page_draws_every_state_and_way_and_escapes_what_persons_wrote(world: World):
    world.change(gate={"major": ["first"]})
    world.run()
    world.journal.decide("<b>ann</b>", "<script>alert(1)</script>", approve=False)
    html = rendered(told(world.journal), created="now", leaven="0")
    world.run()
    html += rendered(told(world.journal), created="now", leaven="0")
    page = _Page()
    page.feed(html)
    assert "script" not in page.tags
    assert "&lt;script&gt;" in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
    for width in (720, 328):
        picture = str(drawn("judging", {"waiting"}, width))
        assert all(f">{state.title}</text>" in picture for state in STATES.values())
        ways = {(one.source, one.target) for one in TRANSITIONS}
        assert picture.count("marker-end") == len(ways)
        assert picture.count('class="stroke ours" marker-end') == 3  # what may come next
        assert "What may come next: Shadow or Approving or Asking." in picture


def test_the_status_says_why_what_is_next_and_what_is_waited_for(world: World):
    world.change(gate={"major": ["first"]})
    world.run()
    found = told(world.journal)
    assert (found["state"], found["cycle"], found["lease"]) == ("approving", 1, None)
    assert "first release" in found["why"]
    assert "leaven loop approve" in found["waits"][0]
    assert {one["state"] for one in found["next"]} == {"Shadow", "Asking"}
    assert found["cycles"][0]["run"] == "wine-cycle-0001"
    assert folded(SERVICE, world.journal.history()) == world.standing()


def test_the_commands(world: World, tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def said(*words: str, code: int = 0) -> str:
        result = runner.invoke(app, ["loop", *words])
        assert result.exit_code == code, result.output
        return result.output

    assert "leaven.toml" in said("run", code=2)
    config = f"[loop]\ndata = {json.dumps(str(world.data))}\nfit = {{ label = 'label' }}\n"
    (tmp_path / "leaven.toml").write_text(config)
    store = ("--store", str(tmp_path / "leaven.db"))
    assert "No cycle has begun yet" in said("status", *store)
    assert "no trigger fires" in said("run", "--dry-run", *store)
    monkeypatch.setattr(looping, "_fit", world.fits)
    assert "begins with the next" in said("trigger", "--by", "ann", *store)
    assert "has triggered it already" in said("trigger", *store, code=2)
    assert "A cycle would begin" in said("run", "--dry-run", *store)
    assert "It would be the first release" in said("run", *store)
    assert "Approving" in said("status", *store)
    assert "refused" in said("refuse", "--by", "ann", "--json", *store)
    steps = json.loads(said("run", "--json", *store))["steps"]
    assert [step["outcome"] for step in steps] == ["refused", "asked", ""]
    assert json.loads(said("pause", "--json", *store))["paused"] == ["loop"]
    assert "goes on" in said("resume", *store)
    assert "labels are paused" in said("pause", "--labelling", *store)
    assert json.loads(said("resume", "--labelling", "--json", *store))["paused"] == []
    assert "no decision" in said("approve", *store, code=2)
    assert "no decision" in said("refuse", *store, code=2)
    page = tmp_path / "loop.html"
    assert "Page: " in said("status", "--report", str(page), *store)
    assert "The loop of" in page.read_text()


def test_a_policy_says_what_is_wrong_with_it(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'count'"):
        Policy.build({"data": "a.csv", "ask": {"counts": 3}})
    with pytest.raises(UnknownNameError, match="Did you mean 'verdict'"):
        Policy.build({"data": "a.csv", "gate": {"major": ["verdit"]}})
    with pytest.raises(SettingError, match=r"'data' must be given in the table \[loop\]"):
        Policy.build({})
    with pytest.raises(SettingError, match=r"'trigger.days' must be greater than 0"):
        Policy.build({"data": "a.csv", "trigger": {"days": 0}})
    file = tmp_path / "a.toml"
    for content, wanted in (
        ("[canary]\nrequests = 3", "a TOML file with a table"),
        ("[loop", "valid TOML"),
        ("x = 1\n" * 300_000, "at most"),
    ):
        file.write_text(content)
        with pytest.raises(SettingError, match=wanted):
            Policy.read(file)
    with pytest.raises(SettingError, match="Write one, or name another"):
        Policy.read(None)
