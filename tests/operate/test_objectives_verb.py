"""Objectives by verb and command, on a store with a live run and the log of a server."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leaven import objectives
from leaven.cli import app
from leaven.core.errors import DataError, StoreError, UnknownNameError
from leaven.operate.objectives.indicator import INDICATORS
from leaven.operate.registry import Registered
from leaven.operate.releases import Releases
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.release_tables import registered
from leaven.store.store import Store
from tests.operate.test_objectives import answer, metrics, write

CONFIG = """
[[slo]]
name = "fast"
indicator = "latency"
within = 0.25
runbook = "https://example.org/fast"

[[slo]]
name = "calibrated"
indicator = "calibration"
grace = 0

[[route]]
name = "file"
kind = "log"
file = "alerts.jsonl"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `runs/leaven.db` and `leaven.toml`: a run that is slow and badly calibrated."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaven.toml").write_text(CONFIG)
    (tmp_path / "runs").mkdir()
    store = Store(tmp_path / "runs" / "leaven.db")
    verdict = {"verdict": {"outcome": "better", "sentence": "It is better."}}
    told = {"dataset": {"name": "mail\x1b[31m"}, "metrics": metrics(0.06, 0.1)} | verdict
    run = Registered("run-1", "d", tmp_path, 0.0, "ann", told)
    row = {"run": "run-1", "digest": "d", "folder": "runs/run-1", "at": 0.0, "person": "ann"}
    write(store, registered, [row | {"told": told}])
    for service in ("tickets", "other"):
        made = Releases(store, service)
        made.release(run, by="ann", seen=made.state())
    now = time.time()
    write(store, predictions, [answer(f"n{i}", now - 30, seconds=0.3) for i in range(9)])
    return tmp_path


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["slo", *map(str, words)])


def timeless(shown: str) -> list[str]:
    """The lines that do not hang on the second."""
    return [line for line in shown.splitlines() if ", since " not in line]


def test_a_look_finds_tells_and_is_shown_without_another(home: Path):
    assert "Nobody has looked yet" in run("status").output
    told = objectives.check("tickets")
    assert [(one["slo"], one["severity"]) for one in told["alerts"]] == [
        ("fast", "page"), ("fast", "ticket"), ("calibrated", "ticket"),
    ]  # fmt: skip
    assert told["sent"] == 1
    (line,) = (home / "alerts.jsonl").read_text().splitlines()
    assert json.loads(line)["subject"] == "[page] tickets: 2 alerts opened (fast, calibrated)"
    shown = run("check", "tickets").output
    again = run("status", "tickets").output
    assert timeless(shown) == timeless(again)
    assert shown.startswith("3 alerts are open.")
    assert "9 of 9 requests took over 0.25" in shown
    assert "Read: https://example.org/fast" in shown
    assert len((home / "alerts.jsonl").read_text().splitlines()) == 1
    whole = objectives.status()
    assert [one["state"] for one in whole["findings"]] == ["broken"] * 3
    assert whole["findings"][0]["broken"] is not None


def test_all_services_are_looked_at_and_what_is_required_is_told_by_the_exit_code(home: Path):
    found = run("check", "--json", "--require", "met")
    assert found.exit_code == 1
    told = json.loads(found.output)
    assert {one["service"] for one in told["findings"]} == {"tickets", "other"}
    assert {one["state"] for one in told["findings"] if one["slo"] == "fast"} == {
        "broken", "unknown",
    }  # fmt: skip
    assert run("check", "--require", "all").exit_code == 2
    (home / "leaven.toml").unlink()
    found = objectives.check("other")["findings"]
    assert len(found) == len(INDICATORS) + 3  # those of requests have two severities


def test_truth_and_drift_are_told_by_the_health_of_the_service(home: Path):
    store = Store(home / "runs" / "leaven.db")
    data = {"name": "mail", "classes": ["a", "b"], "modality": "tabular"}
    told = {"dataset": data, "metrics": metrics(0.85, 0.95)}
    row = {"run": "run-2", "digest": "e", "folder": str(home), "at": 0.0, "person": "ann"}
    write(store, registered, [row | {"told": told}])
    verdict = {"verdict": {"outcome": "better", "sentence": ""}}
    made = Releases(store, "mails")
    run = Registered("run-2", "e", home, 0.0, "ann", verdict)
    made.release(run, by="ann", seen=made.state())
    now = time.time()
    mine = {"service": "mails", "run": "run-2", "digest": "e", "explored": True}
    write(store, predictions, [answer(f"m{i}", now - 50, **mine) for i in range(60)])
    write(store, feedback, [
        {"service": "mails", "prediction": f"m{i}", "content": f"m{i}", "caused": False,
         "label": "a" if i % 3 else "b", "origin": "production", "person": "ann", "at": now - 40}
        for i in range(60)
    ])  # fmt: skip
    (home / "leaven.toml").unlink()
    found = {one["slo"]: one for one in objectives.check("mails")["findings"]}
    truth = found["audited-accuracy"]
    assert (truth["state"], truth["severity"], truth["n"]) == ("broken", "page", 60)
    assert truth["value"] == pytest.approx(2 / 3)
    assert truth["target"] == pytest.approx(0.9)  # what the run's evaluation showed
    assert truth["low"] < 2 / 3 < truth["high"] < 0.9
    assert found["drift"]["state"] == "unknown"
    assert "No reference for drift" in found["drift"]["sentence"]
    (home / "leaven.toml").write_text(
        '[[slo]]\nname = "true"\nindicator = "audited-accuracy"\ntarget = 0.5\n'
    )
    (truth,) = objectives.check("mails")["findings"]
    assert (truth["state"], truth["target"]) == ("unsure", 0.5)


def test_alerts_are_listed_open_and_past(home: Path):
    assert run("alerts").output == "No alert is open.\n"
    assert run("alerts", "--all").output == "There was no alert.\n"
    objectives.check()
    shown = run("alerts").output
    assert "page: fast of tickets, since" in shown
    assert "Type: leaven releases tickets" in shown
    assert len(run("alerts", "--all").output.splitlines()) == 5
    told = json.loads(run("alerts", "--json", "--most", "1").output)
    assert [one["finding"]["indicator"] for one in told] == ["calibration"]
    assert "\x1b" not in shown


def test_nobody_is_told_while_it_is_silent(home: Path):
    assert "'reason' must be" in run("silence", "tickets").output
    objectives.check("other")
    with pytest.raises(UnknownNameError, match="Did you mean 'fast'"):
        objectives.silence("tickets", "fst", lasts="1h", by="ann", reason="a move")
    with pytest.raises(UnknownNameError, match="Did you mean 'tickets'"):
        objectives.silence("ticket", lasts="1h", by="ann", reason="a move")
    before = (home / "alerts.jsonl").read_text()
    made = run("silence", "tickets", "--for", "2h", "--reason", "a move", "--by", "ann").output
    assert made.startswith("Silence 1: all objectives of tickets until")
    objectives.check("tickets")
    assert (home / "alerts.jsonl").read_text() == before
    assert "by ann: a move" in run("status", "tickets").output
    assert run("silence", "--end", "1").output == "Silence 1 has ended.\n"
    assert objectives.check("tickets")["sent"] == 1


def test_who_stays_goes_on_where_the_store_fails(home: Path, monkeypatch: pytest.MonkeyPatch):
    paused: list[float] = []
    looks = objectives.watch(every=7, times=3, sleep=paused.append)
    assert len(next(looks)["findings"]) == 6
    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", broken)
        assert next(looks)["problem"] == "The store is away."
    assert "problem" not in next(looks)
    assert paused == [7, 7]
    monkeypatch.setattr(Store, "read", broken)
    with pytest.raises(StoreError):
        objectives.check()


def broken(*_: object) -> Any:
    raise StoreError("The store is away.")


def test_one_line_a_look_for_who_stays(home: Path, monkeypatch: pytest.MonkeyPatch):
    told = [
        {"findings": [{}], "sent": 2, "waiting": [{"messages": 3}],
         "alerts": [{"service": "a", "slo": "b", "severity": "page"}]},
        {"findings": [], "sent": 0, "waiting": [], "alerts": []},
        {"problem": "The store is away."},
    ]  # fmt: skip
    monkeypatch.setattr(objectives, "watch", lambda *_, **more: iter(told))
    lines = run("check", "--every", "60").output.splitlines()
    assert [line.partition(" UTC ")[2] for line in lines] == [
        "1 finding, open: a/b (page), 2 messages sent, 3 waiting",
        "0 findings, no alert",
        "The store is away.",
    ]
    assert json.loads(run("check", "--every", "60", "--json").output.splitlines()[0]) == told[0]


def test_what_a_failed_look_leaves_is_whole(home: Path, monkeypatch: pytest.MonkeyPatch):
    from leaven.operate.objectives import alerting

    def fall(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(alerting, "_write_notices", fall)
        with pytest.raises(RuntimeError):
            objectives.check("tickets")
    assert objectives.alerts() == []
    assert objectives.check("tickets")["sent"] == 1


def test_a_store_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for verb in (objectives.check, objectives.status, objectives.alerts):
        with pytest.raises(DataError, match="Nothing was released yet"):
            verb(store=tmp_path / "none.db")
