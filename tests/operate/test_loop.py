"""The loop: what begins a cycle, what holds it, what a person decides, and that one acts."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from leaven import looping
from leaven.cli import app
from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.evaluate.run import Run
from leaven.label.queue import Queue
from leaven.operate.canary.guard import GUARD
from leaven.operate.loop import loop as looped
from leaven.operate.loop.gate import judge
from leaven.operate.loop.journal import Journal, Overtaken, folded
from leaven.operate.loop.page import rendered
from leaven.operate.loop.picture import drawn
from leaven.operate.loop.policy import Gate, Policy
from leaven.operate.loop.states import REST, STATES, TRANSITIONS
from leaven.operate.loop.told import told
from leaven.operate.registry import Registered
from leaven.store.alert_tables import alerts
from leaven.store.loop_tables import loop_events
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from tests.operate.loop_world import DAY, SERVICE, World

pytest_plugins = ["tests.store.databases"]


@pytest.fixture
def lite(tmp_path: Path, whole_sqlite: Path) -> Store:
    """A store in a file; what both databases must do alike is tested elsewhere with both."""
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    return Store(file)


@pytest.fixture
def world(lite: Store, wine: Run, tmp_path: Path) -> World:
    return World(lite, wine, tmp_path)


def changed(world: World, **policy: Any) -> None:
    """Another policy from now on."""
    world.policy = Policy.build(world.policy.model_dump() | policy)


# A cycle


def test_a_cycle_fits_releases_and_asks_and_the_next_goes_by_a_canary(world: World):
    path = ["triggered", "fine", "fitted", "passed", "passed", "promoted", "asked", ""]
    assert world.outcomes() == path
    assert world.outcomes() == [""]  # a schedule of seven days
    world.more_records()
    assert world.outcomes() == [*path[:5], ""]
    state = world.releases.state()
    assert state.canary is not None
    assert (state.live.run, state.canary.run) == ("wine-cycle-0001", "wine-cycle-0002")
    assert state.canary.share == 0.1  # the first step of the guard's policy
    assert world.outcomes() == [""]
    assert len(world.history()) == 2
    world.promote()
    assert world.outcomes() == ["promoted", "asked", ""]
    assert "ann" in world.journal.history()[-3].reason
    assert [one.person for one in world.history()] == ["loop", "loop", "ann"]
    assert len(world.asked()) == 6


def test_a_canary_that_is_rolled_back_ends_the_cycle_with_questions(world: World):
    world.run()
    world.more_records()
    world.run()
    state = world.releases.state()
    world.releases.rollback(by=GUARD, seen=state, reason="errors: 9 points more fail")
    assert world.outcomes() == ["rolled back", "asked", ""]
    move = world.journal.history()[-3]
    assert "guard" in move.reason
    assert "9 points more fail" in move.reason
    assert world.releases.state().live.run == "wine-cycle-0001"


def test_a_canary_that_nobody_decides_is_taken_back(world: World):
    world.run()
    world.more_records()
    world.run()
    world.clock.now += 15 * DAY
    assert world.outcomes()[:2] == ["rolled back", "asked"]
    assert world.history()[-1].kind == "retired"


def test_somebody_elses_canary_is_not_replaced(world: World):
    world.run()
    other = Registered("other", "0" * 64, Path(), 0.0, "ann", {"verdict": {"outcome": "better"}})
    world.releases.release(other, by="ann", seen=world.releases.state(), canary=0.2)
    world.more_records()
    assert "other is a canary already" in world.run()[-1].reason
    assert world.releases.state().canary.run == "other"
    world.releases.rollback(by="ann", seen=world.releases.state())
    world.run()
    assert world.releases.state().canary.run == "wine-cycle-0002"


def answer(world: World, number: int, agrees: bool | None, since: float) -> None:
    """What a shadow said of requests, as a server logs it."""
    shadow = world.releases.state().shadow
    rows = [
        {
            "name": f"{since}-{agrees}-{i}", "request": "r", "service": SERVICE, "at": since,
            "run": shadow.run, "digest": shadow.digest, "place": "shadow", "content": "c",
            "label": "a", "probability": 0.9, "probabilities": {}, "route": "answer",
            "explored": False, "logged": 1.0, "agrees": agrees, "position": 0.5, "seconds": 0.1,
        }
        for i in range(number)
    ]  # fmt: skip
    with world.store.write() as connection:
        connection.execute(insert(predictions), rows)


@pytest.mark.parametrize(("right", "outcome"), [(19, "passed"), (8, "held back")])
def test_a_shadow_is_judged_by_how_often_it_agrees(world: World, right: int, outcome: str):
    world.run()
    changed(world, shadow={"requests": 20, "agree": 0.75})
    world.more_records()
    assert "has begun" in world.run()[-1].reason
    answer(world, right, True, world.clock.now)
    assert f"waits for {20 - right} more" in world.run()[-1].reason
    answer(world, 20 - right, False, world.clock.now)
    assert world.outcomes()[0] == outcome
    assert world.releases.state().shadow is None
    assert (world.releases.state().canary is None) == (outcome == "held back")


# What begins a cycle


def test_new_labels_begin_a_cycle_and_teach_it(world: World):
    world.run()
    changed(world, trigger={"labels": 2})
    queue = Queue(world.store, SERVICE, clock=world.clock)
    first, second, third = queue.lease("ann", 3)
    queue.answer(first.id, "ann", "barolo", key="1")
    assert "1 label since the last fit" in world.run()[-1].reason
    queue.answer(second.id, "ann", "barbera", key="2")
    assert world.outcomes()[:3] == ["triggered", "fine", "fitted"]
    from leaven.data.readers import read_tables

    table = read_tables([world.fits.asked[-1]["answers"]], None).table
    given = dict(zip(table["content"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert given == {first.content: "barolo", second.content: "barbera"}
    world.promote()
    assert world.outcomes()[-1] == ""
    assert "0 labels since the last fit" in world.run()[-1].reason
    row = {
        "service": SERVICE, "prediction": "p", "content": third.content, "label": "barolo",
        "caused": False, "origin": "production", "person": "bot", "at": world.clock.now,
    }  # fmt: skip
    caused = row | {"prediction": "q", "content": "other", "caused": True}
    with world.store.write() as connection:
        connection.execute(insert(feedback), [row, caused])
    assert "1 label since" in world.run()[-1].reason


def test_an_open_alert_begins_a_cycle_once(world: World):
    world.run()
    changed(world, trigger={"alarms": "accuracy"})
    assert world.outcomes() == [""]
    world.more_records()
    row = {
        "fingerprint": "f", "number": 1, "service": SERVICE, "dataset": SERVICE,
        "slo": "accuracy", "severity": "page", "began": world.clock.now,
        "opened": world.clock.now, "finding": {},
    }  # fmt: skip
    with world.store.write() as connection:
        connection.execute(insert(alerts), [row, row | {"fingerprint": "g", "slo": "latency"}])
    steps = world.run()
    assert (steps[0].outcome, steps[0].reason) == ("triggered", "An alert is open: accuracy.")
    world.promote()
    assert world.outcomes()[-1] == ""
    assert world.outcomes() == [""]


def test_drift_begins_a_cycle_and_is_looked_for_once_a_day(world: World, tmp_path: Path):
    world.run()
    came = tmp_path / "came.csv"
    changed(world, trigger={"drift": str(came)})
    assert "no new records" in world.run()[-1].reason
    head, *rows = world.lines
    came.write_text(head + "".join(rows * 2))
    assert world.outcomes() == [""]
    assert "next look is in" in world.run()[-1].reason
    far = [",".join(["999"] * (line.count(","))) + "," + line.rsplit(",", 1)[1] for line in rows]
    came.write_text(head + "".join(far * 2))
    assert world.outcomes() == [""]  # not looked at before the day is over
    world.clock.now += 1.1 * DAY
    world.more_records()
    steps = world.run()
    assert steps[0].outcome == "triggered"
    assert "lie elsewhere" in steps[0].reason
    looks = [one for one in world.journal.history() if one.outcome == "looked for drift"]
    assert [one.told["outcome"] for one in looks] == ["unsure", "shifted"]


def test_nothing_new_begins_no_fit_but_a_person_gets_one(world: World):
    world.run()
    world.clock.now += 8 * DAY
    assert world.outcomes() == ["triggered", "unchanged", ""]
    world.journal.trigger("ann", "another try")
    assert world.outcomes()[:3] == ["triggered", "fine", "fitted"]
    assert sum(world.fits.made.values()) == 2


def test_data_that_cannot_be_used_end_the_cycle_with_the_reason(world: World):
    world.data.unlink()
    steps = world.run()
    assert [step.outcome for step in steps] == ["triggered", "broken", ""]
    assert "wine.csv" in steps[1].reason


def test_a_fit_that_fails_or_never_ends_ends_the_cycle(world: World):
    def fails(data: Any, **_: Any) -> Run:
        raise DataError("one class only")

    def dies(data: Any, **_: Any) -> Run:
        raise MemoryError

    outcomes = [step.outcome for step in world.loop(fails).run()]
    assert outcomes == ["triggered", "fine", "failed", ""]
    changed(world, trigger={"labels": 1})
    world.journal.trigger("ann", "")
    world.run()
    Queue(world.store, SERVICE).answer(
        Queue(world.store, SERVICE).lease("ann")[0].id, "ann", "barolo", key="1"
    )
    assert [step.outcome for step in world.loop(fails).run()][:3] == ["triggered", "fine", "failed"]
    assert "the next may in 60" in world.run()[-1].reason  # not over and over
    changed(world, trigger={"days": 7})
    changed(world, limits={"rest_hours": 0, "tries": 3})
    world.clock.now += 8 * DAY
    for _ in range(3):
        with pytest.raises(MemoryError):
            list(world.loop(dies).run())
    (first, _) = world.loop(dies).run()
    assert first.outcome == "failed"
    assert "begun 3 times and never ended" in first.reason


# What holds it


def test_between_two_cycles_lies_a_rest_unless_a_person_begins_one(world: World):
    changed(world, trigger={"labels": 1}, limits={"rest_hours": 24})
    assert world.outcomes() == [""]
    world.journal.trigger("ann", "")
    world.run()
    queue = Queue(world.store, SERVICE, clock=world.clock)
    queue.answer(queue.lease("ann")[0].id, "ann", "barolo", key="1")
    assert "the next may in 24" in world.run()[-1].reason
    world.clock.now += DAY
    assert world.outcomes()[0] == "triggered"


def test_fits_and_cpu_hours_are_capped_for_persons_too(world: World):
    changed(world, limits={"rest_hours": 0, "fits": 1})
    world.run()
    world.journal.trigger("ann", "")
    assert "1 fit began in 7 days, the most allowed" in world.run()[-1].reason
    changed(world, limits={"rest_hours": 0, "cpu_hours": 1e-6})
    assert "CPU hours in 7 days, the most allowed" in world.run()[-1].reason
    world.clock.now += 8 * DAY
    assert world.outcomes()[0] == "triggered"


def test_money_for_labels_is_kept_to(world: World):
    changed(world, ask={"count": 5, "strategy": "margin", "price": 2.0, "money": 7.0})
    assert "3 questions wait" in world.run()[-2].reason
    world.more_records()
    world.run()
    world.promote()
    steps = world.run()
    assert steps[-2].outcome == "nothing"
    assert "money" in steps[-2].reason
    assert len(world.asked()) == 3


def test_a_loop_that_is_paused_does_nothing_and_goes_on_where_it_stood(world: World):
    world.run()
    world.more_records()
    world.run()
    world.journal.pause("loop", "ann", "holidays")
    world.promote()
    assert world.run()[-1].reason == "ann has paused it. holidays"
    with pytest.raises(DataError, match="ann has paused the loop"):
        world.journal.pause("loop", "ben", "")
    world.journal.resume("loop", "ben", "")
    with pytest.raises(DataError, match="is not paused"):
        world.journal.resume("loop", "ben", "")
    assert world.outcomes() == ["promoted", "asked", ""]
    world.journal.pause("loop", "ann", "")
    world.more_records()
    assert world.outcomes() == [""]


def test_automatic_labels_are_left_out_while_they_are_paused(world: World):
    changed(world, fit={"label": "label", "rules": "rules.toml"})
    world.journal.pause("labelling", "ann", "rules are wrong")
    world.run()
    assert "rules" not in world.fits.asked[-1]
    world.journal.resume("labelling", "ann", "")
    world.clock.now += 8 * DAY
    world.run()
    assert world.fits.asked[-1]["rules"] == "rules.toml"  # other settings: the same data is new


# What a person decides


def test_a_major_change_waits_for_a_person_whose_name_stands_in_the_release(world: World):
    changed(world, gate={"major": ["first", "verdict"]})
    world.fits.outcome = "unproven"
    assert "A person decides" in world.run()[-1].reason
    assert world.outcomes() == [""]
    world.journal.decide("ann", "it is the first", approve=True)
    with pytest.raises(DataError, match="ann was quicker, and has approved it"):
        world.journal.decide("ben", "", approve=False)
    assert world.outcomes() == ["approved", "passed", "promoted", "asked", ""]
    (event,) = world.history()
    assert event.person == "ann"
    assert event.reason.startswith("overridden: Cycle 1 of the loop, release: it is the first")
    with pytest.raises(DataError, match="asks for no decision"):
        world.journal.decide("ann", "", approve=True)


def test_a_change_that_is_refused_or_left_lying_is_not_released(world: World):
    changed(world, gate={"major": ["first"]})
    world.run()
    world.journal.decide("ann", "not now", approve=False)
    assert world.outcomes() == ["refused", "asked", ""]
    world.more_records()
    world.run()
    world.clock.now += 15 * DAY
    assert world.outcomes()[:2] == ["expired", "asked"]
    assert world.history() == []


def doctored(run: Run, **parts: Any) -> Run:
    """The run with another story."""
    story = json.loads(json.dumps(run.story))
    for path, value in parts.items():
        table, name = path.split("__")
        story[table][name] = value
    return Run(run.folder, story)


def test_the_gate_names_what_speaks_against_and_what_is_major(wine: Run):
    clean = doctored(wine, dataset__findings=[], verdict__outcome="better")
    new = doctored(clean, run__id="new")
    assert judge(new, clean, Gate()).outcome == "passed"
    assert "on 40 records that judged both" in judge(new, clean, Gate()).reason
    assert judge(clean, clean, Gate()).against == ("It is the run that is live.",)
    assert judge(new, None, Gate()).major == ("It would be the first release.",)
    unproven = doctored(new, verdict__outcome="unproven")
    assert judge(unproven, clean, Gate()).outcome == "major"
    assert judge(unproven, clean, Gate(major=())).outcome == "held back"
    (other,) = {wine.verdict.method, wine.verdict.baseline} - {wine.verdict.kept}
    method = doctored(new, verdict__kept=other)
    said = judge(method, clean, Gate(loss=0.9)).major
    assert said == (f"The method is {other}, and was {wine.verdict.kept}.",)
    classes = doctored(new, dataset__classes=["barolo", "barbera", "dolcetto"])
    assert judge(classes, clean, Gate()).major == (
        "The classes are others (new: dolcetto; gone: grignolino).",
    )
    grown = doctored(new, dataset__records=1000)
    assert "grown" in judge(grown, clean, Gate()).major[0]
    found = {"name": "time-leak", "severity": "warning", "message": "The future teaches."}
    leaking = doctored(new, dataset__findings=[found])
    assert judge(leaking, clean, Gate()).against == ("The data: The future teaches.",)
    assert judge(new, None, Gate(), "it is gone").major == ("Nothing was compared: it is gone",)


def test_a_run_that_is_worse_than_the_live_one_is_held_back(wine: Run, monkeypatch: Any):
    new = doctored(wine, dataset__findings=[], verdict__outcome="better", run__id="new")
    difference = {"value": -0.2, "low": -0.3, "high": -0.1, "n": 50}
    pair = {"difference": difference, "p_value": 0.001}
    where = "leaven.operate.loop.gate.side_by_side"
    monkeypatch.setattr(where, lambda _: {"pairs": [pair]})
    assert "shown to be worse: −20.0 points" in judge(new, wine, Gate()).reason
    difference |= {"high": 0.02}
    assert "right less often" in judge(new, wine, Gate()).reason
    assert judge(new, wine, Gate(loss=0.3)).outcome == "passed"
    monkeypatch.setattr(where, lambda _: {"pairs": []})
    assert judge(new, wine, Gate()).outcome == "passed"


# One acts at a time


def test_of_two_loops_one_acts_and_who_was_overtaken_writes_nothing(store: Store, tmp_path: Path):
    journal = Journal(store, "tickets")
    first = journal.take(60)
    assert first is not None
    assert journal.take(60) is None
    journal.give_back(first)
    second = journal.take(60)
    assert second is not None
    assert second.token == first.token + 1
    seen = journal.standing()
    for act in (
        lambda: journal.move(seen, first, "triggered", ""),
        lambda: journal.note(seen, first, "", {}),
        lambda: journal.renew(first, 60),
    ):
        with pytest.raises(Overtaken):
            act()
    journal.give_back(first)
    assert journal.take(60) is None  # what is not its own it does not give back
    moved = journal.move(seen, second, "triggered", "now")
    assert (moved.cycle, moved.state) == (1, "checking")
    with pytest.raises(Overtaken):  # nor twice from one state
        journal.move(seen, second, "triggered", "now")
    assert journal.standing() == moved


def test_many_at_once_move_once(store: Store):
    journal = Journal(store, "tickets")
    taken: list[Any] = []

    def take() -> None:
        taken.append(journal.take(60))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(one is not None for one in taken) == 1


def test_a_lease_of_a_process_of_this_machine_that_has_ended_is_taken_at_once(lite: Store):
    journal = Journal(lite, "tickets")
    from leaven.operate.loop.journal import holder

    host = holder().rpartition("/")[0]
    assert journal.take(1000, who=f"{host}/999999999") is not None
    assert journal.acting() is None
    assert told(journal)["waits"] == ["It waits for a trigger."]
    assert journal.take(1000, who="elsewhere/1") is not None
    assert "elsewhere/1 goes on with it." in told(journal)["waits"]
    assert journal.take(1000) is None


def test_a_fit_that_was_overtaken_stops_and_its_result_is_not_kept(world: World):
    def slow(data: Any, *, progress: Any, **how: Any) -> Run:
        world.clock.now += looped._LEASE + 1
        assert world.journal.take(60, who="elsewhere/1") is not None
        progress("a line")
        raise AssertionError("the fit went on")

    steps = list(world.loop(slow).run())
    assert steps[-1].reason == "Another process goes on with it."
    assert world.standing().state == "fitting"


def test_a_persons_word_while_the_loop_works_is_not_lost(world: World):
    def interrupted(data: Any, **how: Any) -> Run:
        if world.standing().wish is None:
            world.journal.trigger("ann", "again")
        return world.fits(data, **how)

    outcomes = [step.outcome for step in world.loop(interrupted).run()]
    assert outcomes[:4] == ["triggered", "fine", "fitted", "passed"]
    assert sum(world.fits.made.values()) == 2  # the second by ann's word
    assert world.fits.made["cycle-0001"] == 1


# Dry run, status, page, command line


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World):
    def rows() -> list[Any]:
        with world.store.read() as connection:
            return connection.execute(select(loop_events)).all()

    outlook = world.loop().outlook()
    assert outlook.says == "A cycle would begin: No cycle has begun yet."
    assert rows() == []
    assert world.fits.asked == []
    changed(world, gate={"major": ["first"]})
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
    changed(world, gate={"major": ["first"]})
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
    changed(world, gate={"major": ["first"]})
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


def test_a_standing_is_what_was_told_in_this_cycle_alone(world: World):
    world.run()
    assert world.standing().told("asking", "added") == 3
    world.more_records()
    world.run()
    assert world.standing().told("asking", "added") is None
    assert replace(world.standing(), number=0).state != REST
