"""Releases: what stands is what the history says, and of two who decide at once one is refused."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import DataError, SettingError
from leaven.operate.registry import Registered
from leaven.operate.releases import Event, Named, Releases, folded, services
from leaven.store.store import Store

pytest_plugins = ["tests.store.databases"]

_NUMBERS = itertools.count(1)


def run(name: str = "", outcome: str = "better") -> Registered:
    name = name or f"run{next(_NUMBERS)}"
    told = {"verdict": {"outcome": outcome, "sentence": "Not shown to be better."}}
    return Registered(name, name.ljust(64, "0"), Path(), 0.0, "ann", told)


@pytest.fixture
def asked(address: str) -> Releases:
    return Releases(Store(address), "tickets")


def test_a_run_goes_live_a_canary_widens_and_is_promoted(asked: Releases):
    first, second = run("first"), run("second")
    state = asked.release(first, by="ann", seen=asked.state())
    assert state.live == Named(first.run, first.digest)
    state = asked.release(second, by="ann", seen=state, canary=0.1)
    assert (state.live.run, state.canary.run, state.canary.share) == ("first", "second", 0.1)
    state = asked.widen(0.5, by="ann", seen=state)
    assert state.canary.share == 0.5
    state = asked.promote(by="ben", seen=state, reason="two quiet days")
    assert (state.live.run, state.live.share, state.canary) == ("second", 1.0, None)
    assert [one.run for one in state.before] == ["first"]
    told = [(one.number, one.kind, one.run, one.person) for one in asked.history()]
    assert told == [
        (1, "live", "first", "ann"),
        (2, "canary", "second", "ann"),
        (3, "canary", "second", "ann"),
        (4, "live", "second", "ben"),
    ]
    assert asked.last() == 4
    assert services(asked.store) == ["tickets"]


def test_rollback_takes_the_canary_back_and_then_the_live_run(asked: Releases):
    state = asked.release(run("first"), by="ann", seen=asked.state())
    state = asked.release(run("second"), by="ann", seen=state)
    state = asked.release(run("third"), by="ann", seen=state, canary=0.2)
    state = asked.rollback(by="night", seen=state)
    assert (state.live.run, state.canary) == ("second", None)
    state = asked.rollback(by="night", seen=state, reason="wrong teams")
    assert (state.live.run, state.before) == ("first", ())
    assert asked.history()[-1].kind == "retired"
    with pytest.raises(DataError, match="no earlier run to go back to"):
        asked.rollback(by="night", seen=state)


def test_a_shadow_stands_beside_and_is_retired(asked: Releases):
    state = asked.release(run("first"), by="ann", seen=asked.state())
    state = asked.release(run("quiet"), by="ann", seen=state, shadow=True)
    assert (state.live.run, state.shadow.run) == ("first", "quiet")
    with pytest.raises(DataError, match="neither the canary nor the shadow"):
        asked.retire("first", by="ann", seen=state)
    assert asked.retire("quiet", by="ann", seen=state).shadow is None


def test_a_run_that_is_not_better_needs_a_reason_which_is_kept(asked: Releases):
    worse = run("worse", outcome="not shown")
    with pytest.raises(DataError, match="not shown to be better than its baseline .* --override"):
        asked.release(worse, by="ann", seen=asked.state())
    asked.release(worse, by="ann", seen=asked.state(), override="the old model is gone")
    assert asked.history()[0].reason == "overridden: the old model is gone"


def test_what_cannot_be_is_refused(asked: Releases):
    state = asked.state()
    with pytest.raises(DataError, match="Nothing is live"):
        asked.release(run(), by="ann", seen=state, canary=0.1)
    with pytest.raises(DataError, match="no canary"):
        asked.promote(by="ann", seen=state)
    for share in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(SettingError, match="'canary'"):
            asked.release(run(), by="ann", seen=state, canary=share)
    with pytest.raises(SettingError, match="'by'"):
        asked.release(run(), by=" ", seen=state)
    assert asked.history() == []


def test_who_decided_on_an_earlier_state_is_told_who_was_quicker(asked: Releases):
    state = asked.release(run("first"), by="ann", seen=asked.state())
    seen = asked.release(run("second"), by="ann", seen=state, canary=0.1)
    asked.rollback(by="night", seen=seen)
    with pytest.raises(DataError, match="night was quicker: 'second' became retired"):
        asked.promote(by="ben", seen=seen)
    assert asked.state().live.run == "first"


def test_of_many_at_once_one_decides(address: str):
    asked = Releases(Store(address), "tickets")
    state = asked.release(run("first"), by="ann", seen=asked.state())
    seen = asked.release(run("second"), by="ann", seen=state, canary=0.1)
    told: list[str] = []
    start = threading.Barrier(8)

    def decide(number: int) -> None:
        mine = Releases(Store(address) if number % 2 else asked.store, "tickets")
        start.wait()
        try:
            what = mine.promote if number < 4 else mine.rollback
            what(by=f"person {number}", seen=seen)
            told.append("done")
        except DataError as refused:
            told.append(str(refused))

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("done") == 1
    assert sum("was quicker" in one for one in told) == 7
    assert asked.last() == 3


def test_services_do_not_touch_each_other(address: str):
    store = Store(address)
    one, other = Releases(store, "one"), Releases(store, "other")
    one.release(run("a"), by="ann", seen=one.state())
    other.release(run("b"), by="ann", seen=other.state())
    assert (one.state().live.run, other.state().live.run) == ("a", "b")
    assert services(store) == ["one", "other"]


KINDS = st.sampled_from(["shadow", "canary", "live", "retired"])


@given(st.lists(st.tuples(KINDS, st.sampled_from("abc")), max_size=12))
def test_no_run_stands_in_two_places_after_any_history(told: list[tuple[str, str]]):
    """A run that is live is no canary, and none that was retired is gone back to."""
    events = [
        Event(i + 1, 0.0, kind, name, "d", 0.5 if kind == "canary" else None, "ann", "")
        for i, (kind, name) in enumerate(told)
    ]
    state = folded("s", events)
    assert state.number == len(events)
    if events and events[-1].kind == "live":
        name = events[-1].run
        assert state.live.run == name
        others = (state.canary, state.shadow, *state.before)
        assert all(one is None or one.run != name for one in others)
    if events and events[-1].kind == "retired":
        others = (state.canary, state.shadow, *state.before)
        assert all(one is None or one.run != events[-1].run for one in others)
    lives = [one.run for one in events if one.kind == "live"]
    assert (state.live is None) == (not lives)
