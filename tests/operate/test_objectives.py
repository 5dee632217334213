"""What is promised: its configuration, error budgets and burn rates, figures and their findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from leaven.core.errors import SettingError, UnknownNameError
from leaven.label.queue import Ask, Queue
from leaven.operate.objectives.config import Objectives, Slo
from leaven.operate.objectives.counting import Counts
from leaven.operate.objectives.indicator import INDICATORS, Subject
from leaven.operate.objectives.judging import judge
from leaven.store.alert_tables import slo_counts
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

NOW = 100 * 86_400.0
HOUR, DAY = 3600.0, 86_400.0


def answer(name: str, at: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "request": name, "service": "tickets", "at": at, "run": "old",
        "digest": "d", "place": "live", "content": name, "label": "a", "probability": 0.9,
        "probabilities": [0.9, 0.1], "route": "answer", "explored": False, "logged": 1.0,
        "agrees": None, "position": None, "seconds": 0.01,
    } | more  # fmt: skip


def failure(name: str, at: float, status: int = 500) -> dict[str, Any]:
    return {
        "request": name, "service": "tickets", "at": at, "run": "old", "digest": "d",
        "place": "live", "position": 0.5, "status": status, "seconds": 0.1,
    }  # fmt: skip


def write(store: Store, table: Any, rows: list[dict[str, Any]]) -> None:
    with store.write() as connection:
        if rows:
            connection.execute(insert(table), rows)


def counted(store: Store, good: int, bad: int, minutes: range, what: str = "errors") -> None:
    """So many requests in each of these minutes, counted back from now."""
    last = int(NOW // 60)
    rows = [
        {"service": "tickets", "what": what, "minute": last - m, "good": good, "bad": bad}
        for m in minutes
    ]
    write(store, slo_counts, rows)


def subject(store: Store, now: float = NOW, **told: Any) -> Subject:
    return Subject(store, "tickets", "mail", "run-1", "runs/a b", told, now)


@pytest.fixture
def lite(whole_sqlite: Path, tmp_path: Path) -> Store:
    file = tmp_path / "labels.db"
    file.write_bytes(whole_sqlite.read_bytes())
    return Store(file)


# Configuration


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"slo": [{"name": "a", "indicator": "errors", "grase": 1}]}, UnknownNameError, "'grace'"),
        ({"route": [{"name": "a", "kind": "webhok"}]}, UnknownNameError, "'webhook'"),
        ({"route": [{"name": "a", "kind": "webhook"}]}, SettingError, "url' must be given"),
        ({"alerts": {"remnd": "4h"}}, UnknownNameError, "'remind'"),
        ({"alerts": {"grace": "3 weeks"}}, SettingError, "'duration' must be seconds"),
        ({"slo": [{"name": "a", "indicator": "errors", "target": 1}]}, SettingError, "target"),
        ({"slo": [{"name": "a", "indicator": "accuracy", "target": 90}]}, SettingError, "share"),
        ({"slo": [{"name": "a", "indicator": "backlog", "days": 9}]}, SettingError, "has none"),
        ({"slo": [{"name": "a", "indicator": "errors"}] * 2}, SettingError, "different"),
        ({"slo": [{"name": "a\nb", "indicator": "errors"}]}, SettingError, "name"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(told: dict[str, Any], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        Objectives.build(told)


def test_a_file_is_read_and_its_other_tables_left_alone(tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    assert [slo.name for slo in Objectives.read().slo] == list(INDICATORS)
    (tmp_path / "leaven.toml").write_text(
        '[canary]\nminutes = 1\n[[slo]]\nname = "fast"\nindicator = "latency"\nwithin = "250ms"\n'
    )
    with pytest.raises(SettingError, match="duration"):
        Objectives.read()
    (tmp_path / "leaven.toml").write_text(
        '[canary]\nminutes = 1\n[[slo]]\nname = "fast"\nindicator = "latency"\n'
        'within = 0.25\nservices = "tickets"\n[alerts]\nremind = "1d"\n'
    )
    told = Objectives.read()
    assert [(s.name, s.target, s.within) for s in told.of("tickets")] == [("fast", 0.99, 0.25)]
    assert told.of("other") == []
    assert told.alerts.remind == DAY
    (tmp_path / "other.toml").write_text("[canary]\nminutes = 1\n")
    with pytest.raises(SettingError, match="a TOML file with"):
        Objectives.read(tmp_path / "other.toml")


# Requests


def test_requests_are_counted_once_and_late_ones_still(store: Store):
    kind = INDICATORS["errors"]
    rows = [answer(f"n{i}", NOW - 90) for i in range(7)]
    rows += [answer(f"n{i}", NOW - 90, place="mirror") for i in range(7)]  # nobody heard these
    rows += [answer(f"m{i}", NOW - 30, request="batch") for i in range(5)]  # one request
    write(store, predictions, rows)
    write(store, failures, [failure(f"f{i}", NOW - 30) for i in range(3)])
    write(store, failures, [failure("unreadable", NOW - 30, status=422)])
    counts = Counts(store, "tickets", kind, None, DAY)
    for _ in range(2):
        counts.catch_up(NOW)
        seen = counts.over(300, NOW)
        assert (seen.good, seen.bad) == (8, 3)
    write(store, predictions, [answer("late", NOW - 90), answer("too late", NOW - 40 * 60)])
    counts.catch_up(NOW + 60)
    assert counts.over(300, NOW + 60).good == 9
    assert counts.over(HOUR, NOW + 60).good == 9
    assert counts.over(120, NOW).total == 4  # the last two minutes, of which the later has begun


def test_the_minute_is_cut_and_not_rounded_on_both_databases(store: Store):
    minute = int(NOW // 60)
    write(store, predictions, [answer(f"n{i}", NOW + 9.9 * i) for i in range(12)])
    Counts(store, "tickets", INDICATORS["errors"], None, DAY).catch_up(NOW + 120)
    with store.read() as connection:
        rows = connection.execute(select(slo_counts.c.minute, slo_counts.c.good))
        found = {row.minute: row.good for row in rows if row.good}
        assert found == {minute: 7, minute + 1: 5}


def test_slow_and_unsure_requests_are_bad_by_their_worst_record(lite: Store):
    write(lite, predictions, [
        answer("a", NOW, seconds=0.4), answer("b", NOW, seconds=0.6),
        answer("c", NOW, request="both"), answer("d", NOW, request="both", route="review"),
        answer("e", NOW, seconds=None), answer("a", NOW, place="shadow", seconds=9.0),
    ])  # fmt: skip
    for name, within, bad in (("latency", 0.5, 1), ("latency", 0.3, 2), ("abstaining", None, 1)):
        counts = Counts(lite, "tickets", INDICATORS[name], within, DAY)
        counts.catch_up(NOW)
        seen = counts.over(300, NOW)
        assert (seen.total, seen.bad) == (4, bad), name


def test_a_later_look_reads_only_what_may_have_changed(lite: Store):
    rows = [answer(f"n{i}", NOW - i * HOUR) for i in range(48)]
    write(lite, predictions, rows)
    counts = Counts(lite, "tickets", INDICATORS["errors"], None, 30 * DAY)
    counts.catch_up(NOW)
    assert counts.over(30 * DAY, NOW).good == 48
    said: list[Any] = []
    event.listen(lite._engine, "before_cursor_execute", lambda *a: said.append(a[3]))
    counts.catch_up(NOW + 60)
    times = [one for some in said for one in some if isinstance(one, int | float) and one > NOW / 2]
    earliest = min(times)
    assert earliest >= NOW - 20 * 60
    counts.catch_up(NOW + 20 * DAY)
    said.clear()
    counts.catch_up(NOW + 20 * DAY + 60)  # nobody came for weeks: that was looked at once
    assert len(said) < 15


SLO = Slo(name="answers", indicator="errors", target=0.999)


@pytest.fixture
def as_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts stay as the test wrote them: there are no requests behind them."""
    monkeypatch.setattr(Counts, "catch_up", lambda self, now: None)


@pytest.mark.usefixtures("as_counted")
@pytest.mark.parametrize(
    ("bad", "minutes", "page", "ticket"),
    [
        (0, range(1), "met", "met"),
        (14, range(60), "met", "met"),  # 14 times, not 14.4
        (15, range(60), "broken", "met"),
        (20, range(6, 60), "met", "met"),  # it has ended: the last 5 minutes are good
        (20, range(5), "met", "met"),  # it has just begun: little of the budget is spent
        (6, range(360), "broken", "met"),
        (5, range(360), "met", "met"),
        (1, range(4320), "met", "broken"),
        (1, range(4310), "met", "met"),
    ],
)
def test_the_burn_rates_of_the_workbook(
    lite: Store, bad: int, minutes: range, page: str, ticket: str
):
    counted(lite, 1000 - bad, bad, minutes)
    counted(lite, 1000, 0, range(minutes.start))
    counted(lite, 1000, 0, range(minutes.stop, 4321))
    found = {one.severity: one for one in judge(SLO, subject(lite), "r/")}
    told = {severity: one.state for severity, one in found.items()}
    assert told == {"page": page, "ticket": ticket}, found["page"].budget["rates"]


@pytest.mark.usefixtures("as_counted")
def test_a_few_bad_requests_open_nothing_and_a_service_without_requests_is_unknown(lite: Store):
    assert {one.state for one in judge(SLO, subject(lite), "r/")} == {"unknown"}
    counted(lite, 10, 2, range(2))
    assert {one.state for one in judge(SLO, subject(lite), "r/")} == {"met"}  # 167 times, but 4
    counted(lite, 0, 1, range(2, 3))
    page, ticket = judge(SLO, subject(lite), "r/")
    assert (page.state, ticket.state) == ("broken", "broken")
    assert page.sentence.startswith("5 of 25 requests failed in 1")
    assert (page.value, page.n) == (0.2, 25)
    assert page.low < 0.2 < page.high
    assert page.budget["left"] == pytest.approx(1 - 200)
    assert page.runbook == "r/errors.md"
    assert page.command == "leaven releases tickets"


# Figures


def of(name: str, store: Store, now: float = NOW, target: Any = None, **told: Any) -> Any:
    more = {} if target is None else {"target": target}
    (found,) = judge(Slo(name="x", indicator=name, **more), subject(store, now, **told), "r/")
    return found


def metrics(low: float, high: float) -> dict[str, Any]:
    told = {"value": (low + high) / 2, "low": low, "high": high, "n": 80}
    return {"accuracy": told, "ece": told}


@pytest.mark.parametrize(
    ("name", "low", "high", "state"),
    [
        ("accuracy", 0.7, 0.79, "broken"),
        ("accuracy", 0.7, 0.85, "unsure"),
        ("accuracy", 0.8, 0.85, "met"),
        ("calibration", 0.06, 0.1, "broken"),
        ("calibration", 0.04, 0.1, "unsure"),
        ("calibration", 0.0, 0.05, "met"),
    ],
)
def test_a_figure_is_broken_where_its_whole_interval_is(
    lite: Store, name: str, low: float, high: float, state: str
):
    base = {"metrics": metrics(0.75, 0.85)}
    found = of(name, lite, metrics=metrics(low, high), baseline=base)
    assert found.state == state
    assert found.target == (0.05 if name == "calibration" else 0.8)  # the baseline's accuracy
    assert " of 80; at " in found.sentence
    assert found.figure.endswith(")")


def test_what_is_not_known_is_said_and_is_no_error(lite: Store):
    found = of("accuracy", lite)
    assert (found.state, found.value) == ("unknown", None)
    assert "without 'accuracy'" in found.sentence
    found = of("accuracy", lite, metrics=metrics(float("nan"), 1), target=0.5)
    assert (found.state, found.value) == ("unknown", None)
    assert "it is no number" in found.sentence
    found = of("accuracy", lite, metrics=metrics(0.8, 0.9))
    assert "Give the objective 'x' a target" in found.sentence
    assert "No pseudo-label is audited yet" in of("pseudo-labels", lite).sentence


def test_an_indicator_that_falls_over_keeps_no_other_from_alerts(
    lite: Store, monkeypatch: pytest.MonkeyPatch
):
    def fall(*_: object) -> Any:
        raise KeyError("gone")

    kind = replace(INDICATORS["backlog"], measure=fall)
    monkeypatch.setitem(INDICATORS._entries, "backlog", kind)
    found = of("backlog", lite)
    assert (found.state, found.sentence) == ("unknown", "The indicator failed: KeyError: 'gone'")
    assert found.promised == ""


def test_what_waits_for_review(lite: Store):
    assert (of("backlog", lite).value, of("waiting", lite).value) == (0, 0.0)
    clock = Clock()
    queue = Queue.made(lite, "mail", classes=["a", "b"], modality="text", clock=clock)
    queue.add([Ask(record=f"r{i}", content=str(i)) for i in range(3)])
    clock.now += DAY
    queue.add([Ask(record="late", content="late")])
    other = Queue.made(lite, "other", classes=["a", "b"], modality="text", clock=clock)
    other.add([Ask(record="r", content="r")])
    found = of("backlog", lite, target=3)
    assert (found.value, found.state, found.command) == (4, "broken", "leaven review 'runs/a b'")
    found = of("waiting", lite, now=1000.0 + 8 * DAY)
    assert (found.value, found.state) == (8 * DAY, "broken")
    assert found.sentence.replace("\u202f", " ").endswith("8 d; at most 7 d is promised.")


def test_the_precision_of_pseudo_labels_is_that_of_the_worst_class(lite: Store):
    queue = Queue.made(lite, "mail", classes=["a", "b"], modality="text", clock=Clock())
    for name, number in (("a", 60), ("b", 15)):
        queue.add([
            Ask(record=f"{name}{i}", content=f"{name}{i}", kind="audit", batch="audit 1",
                origin={"run": "run-1", "named": name, "confidence": 0.97, "at_least": 0.9,
                        "coverage": 0.5, "strategy": "audit"})
            for i in range(number)
        ])  # fmt: skip
    assert "No audit of 'run-1' is answered yet" in of("pseudo-labels", lite).sentence
    for i in range(75):
        (task,) = queue.lease("ann")
        queue.answer(task.id, "ann", "a", key=f"k{i}")
    found = of("pseudo-labels", lite)
    assert found.state == "broken"
    assert (found.value, found.n) == (0.0, 15)
    assert found.low == 0.0 < found.high < 0.9
    assert "'run-1', the worst of 2 classes: b" in found.sentence
