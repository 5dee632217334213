"""Times to detect and to mend: by what each is made, and what changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from leaven import incidents
from leaven.core.errors import DataError
from leaven.evaluate.run import Run
from leaven.operate.incidents.incident import Incident, Incidents
from leaven.operate.incidents.times import Times, alert_of, since_of, times_of
from leaven.store.alert_tables import alerts, slo_counts, slo_looks
from leaven.store.store import Store
from tests.operate.incident_world import HOUR, SERVICE, World
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

OPENED = 600_000.0


@pytest.fixture
def kept(store: Store, clock: Clock) -> Incidents:
    clock.now = OPENED
    return Incidents(store, clock=clock)


def write(store: Store, table: Any, **row: Any) -> None:
    with store.write() as connection:
        connection.execute(insert(table), row)


def an_alert(store: Store, **more: Any) -> dict[str, Any]:
    """An alert that opened 100 s before the incident, as it is kept with it."""
    row = {
        "id": 5, "fingerprint": "f", "number": 1, "service": SERVICE, "dataset": SERVICE,
        "slo": "errors", "severity": "page", "began": OPENED - 200, "opened": OPENED - 100,
        "closed": None, "told": None, "finding": {"indicator": "errors", "state": "broken"},
    } | more  # fmt: skip
    write(store, alerts, **row)
    return alert_of(store, 5, SERVICE)


def looked(store: Store, fine: float | None) -> None:
    """What the last look saw: since when it is fine."""
    row = {"service": SERVICE, "slo": "errors", "severity": "page", "at": OPENED + 900,
           "state": "met", "broken": None, "fine": fine, "told": {}}  # fmt: skip
    write(store, slo_looks, fingerprint="f", **row)


def opened(kept: Incidents, **how: Any) -> Incident:
    return kept.open(SERVICE, by="ann", reason="bad", **how)[0]


def stepped(kept: Incidents, clock: Clock, step: str, at: float) -> None:
    clock.now = at
    act = kept.begin(1, step, {}, {}, "ann")
    kept.end(1, act, "done", by="ann", reason="so it was")


def test_without_an_alert_the_opening_detects_and_the_closing_mends(kept: Incidents, clock: Clock):
    incident = opened(kept)
    times = times_of(kept.store, incident)
    assert (times.to_detect, times.to_mend) == (None, None)
    assert (times.began_how, times.mended_how) == ("nobody knows", "not yet")
    assert since_of(kept.store, incident) == OPENED - 86_400


def test_what_a_person_says_counts_first(kept: Incidents):
    alert = an_alert(kept.store)
    times = times_of(kept.store, opened(kept, since=OPENED - HOUR, alert=alert))
    assert times.began_how == "as ann said"
    assert times.to_detect == HOUR - 100
    assert times.detected_how == "alert 5 (errors) opened"


def test_bad_requests_before_the_alert_say_when_it_began(kept: Incidents):
    last = int((OPENED - 100) // 60)
    for minute, bad in ((0, 3), (20, 4), (45, 2), (100, 7)):
        row = {"service": SERVICE, "minute": last - minute, "good": 5, "bad": bad}
        write(kept.store, slo_counts, what="errors", **row)
    write(kept.store, slo_counts, what="latency 0.5", service=SERVICE, minute=last - 60, good=0,
          bad=9)  # fmt: skip
    alert = an_alert(kept.store)
    assert alert["first"] == 60.0 * (last - 45)
    assert alert["how"] == "the first of 9 bad requests before alert 5"
    assert times_of(kept.store, opened(kept, alert=alert)).began == 60.0 * (last - 45)
    with pytest.raises(DataError, match="Alert 5 is of 'wine', not of 'other'"):
        alert_of(kept.store, 5, "other")


def test_a_figure_began_when_it_was_first_seen_broken(kept: Incidents):
    alert = an_alert(kept.store, finding={"indicator": "drift", "state": "broken"})
    times = times_of(kept.store, opened(kept, alert=alert))
    assert (times.began, times.to_detect) == (OPENED - 200, 100)


def test_the_step_after_which_it_was_fine_mends(kept: Incidents, clock: Clock):
    incident = opened(kept, alert=an_alert(kept.store))
    stepped(kept, clock, "pause-labelling", OPENED + 30)
    stepped(kept, clock, "roll-back", OPENED + 300)
    looked(kept.store, None)
    assert times_of(kept.store, kept.get(1)).mended is None
    with kept.store.write() as connection:
        connection.execute(update(slo_looks).values(fine=OPENED + 420))
    stepped(kept, clock, "release", OPENED + 800)
    times = times_of(kept.store, kept.get(1))
    assert (times.to_mend, times.detected) == (300, incident.opened - 100)
    assert times.mended_how == "'roll-back' was done, after which alert 5 was seen to be fine"


def test_it_may_be_fine_by_itself(kept: Incidents, clock: Clock):
    opened(kept, alert=an_alert(kept.store))
    stepped(kept, clock, "sample", OPENED + 30)
    looked(kept.store, OPENED + 60)
    times = times_of(kept.store, kept.get(1))
    assert times.to_mend == 60
    assert times.mended_how.endswith("before any step that mends")


@pytest.mark.parametrize(("state", "mended"), [("met", OPENED + 1500), ("broken", None)])
def test_an_alert_that_closed_was_fine_before(
    kept: Incidents, clock: Clock, state: str, mended: float | None
):
    """But not one that nobody looks at any more, which closes as it was."""
    opened(kept, alert=an_alert(kept.store))
    told = {"closed": OPENED + 2400, "finding": {"state": state}}
    with kept.store.write() as connection:
        connection.execute(update(alerts).values(told))
    assert times_of(kept.store, kept.get(1), settle=900).mended == mended


def test_truths_say_from_when_on_answers_were_wrong(
    store: Store, wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    world = World(store, wine, tmp_path)
    number = world.alert("audited-accuracy", "audited-accuracy")
    told = incidents.open_incident(
        SERVICE, reason="bad", by="ann", alert=number, store=store.address, out=tmp_path / "kept"
    )
    times = told["times"]
    assert times["began_how"].startswith("10 of the 20 truths")
    assert 1700 < times["to_detect"] < 1800
    closed = incidents.close(1, reason="over", by="ben", store=store.address)["times"]
    assert closed["mended"] == closed["closed"]
    assert closed["mended_how"] == "ben closed the incident"
    with store.write() as connection:  # what is looked at later changes what was kept no more
        connection.execute(update(alerts).values(closed=1.0))
    assert incidents.show(1, store=store.address)["times"] == closed
    fields = {name: closed[name] for name in Times.__dataclass_fields__}
    assert Times(**fields).to_mend == closed["to_mend"]
