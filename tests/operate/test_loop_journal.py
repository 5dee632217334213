"""The journal of a loop: one acts at a time, and what stands is read off the events."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaven.evaluate.run import Run
from leaven.operate.loop import loop as looped
from leaven.operate.loop.journal import Journal, Overtaken
from leaven.operate.loop.states import REST
from leaven.operate.loop.told import told
from leaven.store.store import Store
from tests.operate.loop_world import World

pytest_plugins = ["tests.store.databases"]


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


def test_a_standing_is_what_was_told_in_this_cycle_alone(world: World):
    world.run()
    assert world.standing().told("asking", "added") == 3
    world.more_records()
    world.run()
    assert world.standing().told("asking", "added") is None
    assert replace(world.standing(), number=0).state != REST
