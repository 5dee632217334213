"""The loop: a cycle, what holds it, and what a person decides."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from leaven.core.errors import DataError
from leaven.label.queue import Queue
from leaven.operate.canary.guard import GUARD
from leaven.operate.registry import Registered
from leaven.store.prediction_tables import predictions
from tests.operate.loop_world import DAY, SERVICE, World

pytest_plugins = ["tests.store.databases"]


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
    world.change(shadow={"requests": 20, "agree": 0.75})
    world.more_records()
    assert "has begun" in world.run()[-1].reason
    answer(world, right, True, world.clock.now)
    assert f"waits for {20 - right} more" in world.run()[-1].reason
    answer(world, 20 - right, False, world.clock.now)
    assert world.outcomes()[0] == outcome
    assert world.releases.state().shadow is None
    assert (world.releases.state().canary is None) == (outcome == "held back")


# What holds it


def test_between_two_cycles_lies_a_rest_unless_a_person_begins_one(world: World):
    world.change(trigger={"labels": 1}, limits={"rest_hours": 24})
    assert world.outcomes() == [""]
    world.journal.trigger("ann", "")
    world.run()
    queue = Queue(world.store, SERVICE, clock=world.clock)
    queue.answer(queue.lease("ann")[0].id, "ann", "barolo", key="1")
    assert "the next may in 24" in world.run()[-1].reason
    world.clock.now += DAY
    assert world.outcomes()[0] == "triggered"


def test_fits_and_cpu_hours_are_capped_for_persons_too(world: World):
    world.change(limits={"rest_hours": 0, "fits": 1})
    world.run()
    world.journal.trigger("ann", "")
    assert "1 fit began in 7 days, the most allowed" in world.run()[-1].reason
    world.change(limits={"rest_hours": 0, "cpu_hours": 1e-6})
    assert "CPU hours in 7 days, the most allowed" in world.run()[-1].reason
    world.clock.now += 8 * DAY
    assert world.outcomes()[0] == "triggered"


def test_money_for_labels_is_kept_to(world: World):
    world.change(ask={"count": 5, "strategy": "margin", "price": 2.0, "money": 7.0})
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
    world.change(fit={"label": "label", "rules": "rules.toml"})
    world.journal.pause("labelling", "ann", "rules are wrong")
    world.run()
    assert "rules" not in world.fits.asked[-1]
    world.journal.resume("labelling", "ann", "")
    world.clock.now += 8 * DAY
    world.run()
    assert world.fits.asked[-1]["rules"] == "rules.toml"  # other settings: the same data is new


# What a person decides


def test_a_major_change_waits_for_a_person_whose_name_stands_in_the_release(world: World):
    world.change(gate={"major": ["first", "verdict"]})
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
    world.change(gate={"major": ["first"]})
    world.run()
    world.journal.decide("ann", "not now", approve=False)
    assert world.outcomes() == ["refused", "asked", ""]
    world.more_records()
    world.run()
    world.clock.now += 15 * DAY
    assert world.outcomes()[:2] == ["expired", "asked"]
    assert world.history() == []
