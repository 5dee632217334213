"""Incidents by verb and command: evidence, checklist, steps, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, text, update
from typer.testing import CliRunner

from leaven import incidents
from leaven.cli import app
from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.core.sealing import MAGIC
from leaven.evaluate.run import Run
from leaven.operate.incidents.causes import ranked
from leaven.operate.incidents.doing import do, outlook
from leaven.operate.incidents.evidence import altered, read_part
from leaven.operate.incidents.sources import sources
from leaven.operate.incidents.step import STEPS
from leaven.operate.incidents.steps.sample import _half_and_half
from leaven.operate.incidents.stricter import stricter
from leaven.operate.loop.journal import Journal
from leaven.operate.objectives.message import Message, News
from leaven.operate.releases import Releases
from leaven.store.audit import AuditLog
from leaven.store.incident_tables import incident_events
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.operate.incident_world import SERVICE, World, rows_of

pytest_plugins = ["tests.store.databases"]


@pytest.fixture
def world(wine: Run, tmp_path: Path, whole_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """On SQLite, where the commands look for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copy(whole_sqlite, tmp_path / "runs" / "leaven.db")
    return World(Store(tmp_path / "runs" / "leaven.db"), wine, tmp_path)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["incident", *map(str, words)])


def opened(world: World, **how: Any) -> dict[str, Any]:
    told = {"reason": "misroutes", "by": "ann", "out": world.home / "kept"} | how
    return incidents.open_incident(SERVICE, store=world.store.address, **told)


def test_evidence_is_copied_with_hashes_and_what_is_not_there_is_listed(world: World):
    (world.home / "leaven.toml").write_text('[alerts]\ngrace = "1m"\n')
    told = opened(world)
    assert told["new"]
    assert not told["problem"]
    folder = Path(told["evidence"]["folder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) >= {
        "releases.json", "runs.json", "data.json", "thresholds.json", "history.json",
        "leaven.toml", "answers.json", "causes.json", "left-out.json", "incident.json",
        "runs/live/run.json", "runs/live/model/manifest.json", "runs/before/run.json",
    }  # fmt: skip
    live = world.runs / "wine-b" / "model"
    for file in live.rglob("*.*"):
        copied = folder / "runs/live/model" / file.relative_to(live)
        assert copied.read_bytes() == file.read_bytes()
        assert not copied.is_symlink()
    runs = {one["place"]: one for one in read_part(folder, "runs.json")}
    assert runs["live"]["as_released"]
    assert runs["live"]["run"] == "wine-b"
    assert runs["before"]["digest"] == world.state().before[-1].digest
    thresholds = read_part(folder, "thresholds.json")
    assert thresholds["answering"]["review"] == {"n": 1, "lowest": 0.5, "highest": 0.5}
    assert thresholds["recipe"]["method"] == "label-spreading"
    seen = read_part(folder, "answers.json")
    assert [row["name"] for row in seen["least sure"][:2]] == ["n0", "n1"]
    assert [row["truth"] for row in seen["sure and contradicted"]] == ["barbera"] * 10
    assert seen["sure and contradicted"][0]["name"] == "n57"
    assert len(seen["random"]) == 50
    wrong = {"run": "wine-b", "said": "barolo", "truth": "barbera", "n": 10, "of": 20}
    assert seen["confused"] == [wrong]
    left = {part for part, _ in told["evidence"]["left_out"]}
    assert left == {"pseudo-labels.json", "records.json"}
    assert told["causes"][0]["step"] == "roll-back"
    assert "'wine-b' went live" in told["causes"][0]["sentence"]


def test_a_second_open_gives_the_open_one_and_what_was_changed_is_noticed(world: World):
    first, second = opened(world), opened(world, reason="other", by="ben")
    assert (second["new"], second["number"], second["by"]) == (False, first["number"], "ann")
    evidence = first["evidence"]
    assert second["evidence"] == evidence
    assert evidence["altered"] == ""
    folder = Path(evidence["folder"])
    (folder / "releases.json").write_text("{}")
    shown = incidents.show(1, store=world.store.address)
    assert "'releases.json'" in shown["evidence"]["altered"]
    assert "was changed" in shown["evidence"]["altered"]
    assert "another than" in altered(folder, "0" * 64)
    shutil.rmtree(folder)
    assert "no evidence" in altered(folder, evidence["digest"])
    log = AuditLog(world.store)
    assert log.check().fault is None
    with world.store.write() as connection:
        mine = incident_events.c.kind == "frozen"
        connection.execute(update(incident_events).where(mine).values(told={"digest": "0"}))
    assert "incident event" in log.check().fault.why


def test_it_opens_where_runs_and_tables_are_gone(world: World):
    shutil.rmtree(world.runs / "wine-b")
    with world.store.write() as connection:
        connection.execute(text("DROP TABLE predictions"))
    told = opened(world)
    assert told["new"]
    assert not told["problem"]
    left = dict(told["evidence"]["left_out"])
    assert "answers.json" in left
    assert "health.json" in left
    runs = read_part(told["evidence"]["folder"], "runs.json")
    assert not runs[0]["as_released"]
    assert "no readable manifest" in runs[0]["problem"]
    assert done(world, "roll-back").startswith("'wine-b' was taken back: 'wine-a' is live")


def done(world: World, step: str, **settings: Any) -> str:
    """Do a step; what came of it."""
    return do(world.scene(**settings), step)[0].reason


def test_the_steps_mend_it_one_after_the_other(
    store: Store, wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    world = World(store, wine, tmp_path)
    world.answered_by("ben", rows_of(world, 8), "barbera")
    world.taught("wine-b", "ben", 12)
    opened(world)
    said = outlook(world.scene(), "roll-back").says
    assert said == ("Takes 'wine-b' back; 'wine-a' is live again.",)
    assert world.serving() == ("wine-b", None)
    assert done(world, "roll-back") == "'wine-b' was taken back: 'wine-a' is live."
    assert world.serving() == ("wine-a", None)

    assert "is paused, by ann" in done(world, "pause-labelling")
    assert set(Journal(world.store, SERVICE).standing().paused) == {"labelling"}

    planned = outlook(world.scene(count=10), "sample")
    assert "10 records" in planned.says[0]
    assert "leaven review" in done(world, "sample", count=10)
    asked = world.asked("incident 1")
    held = {str(world.dataset.ids[row]) for row in rows_of(world, 8)}
    assert len(asked) == 10
    assert not held & set(asked)
    answered = {row["content"] for row in world.answers}
    contents = dict(zip(world.dataset.ids.tolist(), world.dataset.content.tolist(), strict=True))
    assert {contents[one] for one in asked} <= answered

    assert "8 labels of 'ben'" in outlook(world.scene(person="ben"), "revoke").says[0]
    assert done(world, "revoke", person="ben") == "8 labels of 'ben' taken back."
    assert world.act("revoke").result["runs"] == [["wine-b", 12]]

    planned = outlook(world.scene(), "retrain")
    assert "Left out: ben" in planned.says[0]
    assert done(world, "retrain").startswith("'wine-mended'")
    (fit,) = world.fits
    labels = pq.read_table(fit["answers"]).to_pylist()
    assert {row["people"] for row in labels} == {"ops"}
    assert fit["data"] == world.source.story["dataset"]["source"]
    assert "rules" not in fit

    assert done(world, "release", canary=25).startswith("'wine-mended' is the canary, with 25")
    assert world.serving() == ("wine-a", "wine-mended")
    assert "goes on" in done(world, "resume-labelling")
    undone = world.act("pause-labelling")
    assert undone.state == "undone"
    assert "is paused, by ann. Taken back since: " in undone.reason
    assert Journal(world.store, SERVICE).standing().paused == {}
    assert AuditLog(world.store).check().fault is None
    told = incidents.close(1, reason="gold questions", by="ann", store=world.store.address)
    assert not told["open"]
    assert told["times"]["mended_how"] == "ann closed the incident"
    with pytest.raises(DataError, match="ann has closed incident 1"):
        do(world.scene(), "pause-loop")


def test_a_step_is_done_once_and_another_setting_is_another_step(world: World):
    opened(world)
    first = do(world.scene(), "roll-back")
    again = do(world.scene(by="ben"), "roll-back")
    assert (first[1], again[1]) == (True, False)
    assert again[0] == first[0]
    assert outlook(world.scene(), "roll-back").already.startswith("ann has done it")
    with pytest.raises(DataError, match="no earlier run to go back to"):
        do(world.scene(run="wine-a"), "roll-back")
    assert world.serving() == ("wine-a", None)
    assert "serves no more" in do(world.scene(run="wine-b"), "roll-back")[0].reason
    do(world.scene(), "pause-labelling")
    do(world.scene(), "resume-labelling")
    assert do(world.scene(), "pause-labelling")[1]
    assert "labelling" in Journal(world.store, SERVICE).standing().paused
    assert world.act("resume-labelling").state == "undone"


def test_what_others_did_meanwhile_counts(world: World):
    opened(world)
    Journal(world.store, SERVICE).pause("labelling", "ben", "")
    assert "ben has paused" in do(world.scene(), "pause-labelling")[0].reason
    releases = Releases(world.store, SERVICE)
    releases.rollback(by="ben", seen=releases.state())
    assert "serves no more: 'wine-a' is live" in do(world.scene(), "roll-back")[0].reason
    assert len(releases.history()) == 4


def test_a_canary_goes_first_and_a_failure_is_kept(world: World):
    world.release("wine-c", canary=0.1)
    told = opened(world)
    assert "a canary of 10" in told["causes"][0]["sentence"]
    assert "'wine-c' was taken back" in done(world, "roll-back")
    assert world.serving() == ("wine-b", None)
    world.outcome = "worse"  # type: ignore[attr-defined]
    done(world, "retrain")
    with pytest.raises(DataError, match="--set override="):
        do(world.scene(), "release")
    releases = Releases(world.store, SERVICE)
    act = STEPS["release"]
    chosen = act.plan(world.scene(override="it must")).chosen
    world.release("wine-d", canary=0.2)
    with pytest.raises(DataError, match="have changed since"):
        act.act(world.scene(), chosen)
    assert releases.state().canary.run == "wine-d"  # type: ignore[union-attr]


def test_a_fit_that_fails_may_be_begun_anew(world: World):
    opened(world)

    def fails(data: Any, **how: Any) -> Any:
        raise DataError("no label")

    scene = world.scene()
    with pytest.raises(DataError, match="no label"):
        do(replace(scene, fit=fails), "retrain")
    assert (world.act("retrain").state, world.act("retrain").reason) == ("failed", "no label")
    assert do(world.scene(), "retrain")[1]


def test_labels_of_a_source_are_held_against_what_others_know(world: World):
    world.answered_by("ben", rows_of(world, 30), "grignolino")
    world.answered_by("eve", rows_of(world, 6, skip=60), "barolo")
    (found,) = sources(world.store, SERVICE, SERVICE, world.runs / "wine-b")
    assert (found.kind, found.name, found.n, found.wrong) == ("person", "ben", 10, 10)
    assert found.low > 0.7
    told = opened(world)
    mine = [one for one in told["causes"] if one["step"] == "revoke"]
    assert mine[0]["settings"] == {"person": "ben"}
    row = next(one for one in incidents.steps(1, store=world.store.address) if one["why"])
    assert row["step"] == "roll-back"
    commands = [one["command"] for one in incidents.steps(1, store=world.store.address)]
    assert any("revoke --set person=ben --store" in one for one in commands)


def test_steps_stand_in_the_order_of_what_speaks_for_them():
    steps = [(name, step.rank) for name, step in STEPS.items()]
    plain = ranked(steps, [])
    assert plain[0] == "pause-labelling"
    assert plain[-1] == "resume-loop"
    assert set(plain) == set(STEPS)
    found = [{"step": "sample"}, {"step": "roll-back"}, {"step": "sample"}]
    assert ranked(steps, found)[:3] == ["sample", "roll-back", "pause-labelling"]
    assert ranked(steps, found)[-4:] == plain[-4:]


@pytest.mark.parametrize(
    ("method", "kept", "raised"),
    [
        ("fixmatch", {"accept": "AtLeast(0.8)"}, ["AtLeast(0.9)"]),
        ("mean-teacher", {}, ["All", "AtLeast(0.95)"]),
        ("self-training", {}, ["Gaussian(0.999)", "AtLeast(0.95)"]),
        ("supervised", {}, None),
    ],
)
def test_thresholds_become_stricter(method: str, kept: dict[str, Any], raised: list[str] | None):
    told, said = stricter(method, kept)
    assert told == ({} if raised is None else {"accept": raised})
    assert ("where it was" in said) == (raised is not None)


def test_a_step_of_another_package_is_a_step(world: World, monkeypatch: pytest.MonkeyPatch):
    """It stands in the checklist, is done by its name, and takes back what it says."""
    module = world.home / "their_step.py"
    module.write_text(
        "from leaven.operate.incidents.step import STEPS, Done, Plan, Step\n"
        "@STEPS.register('call')\n"
        "class Call(Step):\n"
        "    title, does, rank, undoes = 'Call', 'Calls.', 5, 'pause-loop'\n"
        "    plan = lambda self, scene: Plan(('Calls ann.',), {'who': 'ann'})\n"
        "    act = lambda self, scene, chosen: Done('Called %(who)s.' % chosen)\n"
    )
    monkeypatch.syspath_prepend(world.home)
    point = EntryPoint("call", "their_step", "leaven.incident_steps")
    asked: list[str] = []

    def found(group: str) -> list[EntryPoint]:
        asked.append(group)
        return [point]

    monkeypatch.setattr("leaven.core.registry.entry_points", found)
    monkeypatch.setattr(STEPS, "_filled", False)
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))
    world.opened()
    assert incidents.steps(1)[0]["command"] == "leaven incident do 1 call"
    assert asked == ["leaven.incident_steps"]
    do(world.scene(), "pause-loop")
    assert do(world.scene(), "call")[0].reason == "Called ann."
    assert world.act("pause-loop").state == "undone"


def test_who_is_woken_is_told_how_to_keep_the_evidence():
    news = dict.fromkeys(News.__dataclass_fields__) | {
        "id": 7, "event": "opened", "slo": "right", "severity": "page", "began": 0.0,
        "opened": 60.0,
        "sentence": "It is wrong.", "command": "leaven health x", "runbook": "r.md",
    }  # fmt: skip
    message = Message("k", "it's", "d", 0.0, 60.0, (News(**news),))  # type: ignore[arg-type]
    assert shlex.quote("it's") in message.text
    (line,) = [one for one in message.text.splitlines() if "incident open" in one]
    words = shlex.split(line.partition(": ")[2])
    assert words == ["leaven", "incident", "open", "it's", "--alert", "7", "--reason", "TEXT"]
    ticket = replace(message, news=(replace(message.news[0], severity="ticket"),))
    assert "incident" not in ticket.text


def test_what_cannot_be_is_refused_and_nothing_is_kept(world: World):
    address = world.store.address
    for how, kind, match in (
        ({"reason": " "}, DataError, "Say what is wrong"),
        ({"alert": 7}, DataError, "There is no alert 7"),
        ({"since": "tomorrow"}, SettingError, "'since' must be a past time"),
        ({"since": "2999-01-01"}, SettingError, "'since' must be a past time"),
        ({"reason": "x" * 5000}, SettingError, "'reason' must be text of at most"),
    ):
        with pytest.raises(kind, match=match):
            opened(world, **how)
    with pytest.raises(UnknownNameError, match="Did you mean 'wine'"):
        incidents.open_incident("wime", reason="x", by="ann", store=address)
    assert incidents.every(closed=True, store=address) == []
    with pytest.raises(UnknownNameError, match="'incident' must be one of"):
        incidents.show(3, store=address)
    opened(world)
    for step, settings, match in (
        ("rollback", {}, "Did you mean 'roll-back'"),
        ("sample", {"cuont": 3}, "Did you mean 'count'"),
        ("sample", {"count": 0}, "'count' must be"),
        ("revoke", {}, "person=NAME or file=NAME"),
        ("revoke", {"person": "nobody"}, "'person' must be one of"),
        ("release", {}, "There is no mended run yet"),
        ("retrain", {"methd": 1, "accept": "AtLeast(0.9)"}, None),
    ):
        if match is not None:
            with pytest.raises((SettingError, DataError), match=re.escape(match)):
                do(world.scene(**settings), step)
    assert incidents.show(1, store=address)["acts"] == []


def test_the_commands_say_what_is_there(world: World):
    assert run("list").output == "No incident is open.\n"
    reason = "\x1b[31mbad<script>"
    first = run("open", SERVICE, "--reason", reason, "--by", "ann", "--since", "2h")
    assert first.exit_code == 0, first.output
    assert "Incident 1 of wine is open." in first.output
    assert "Speaks for roll-back" in first.output
    assert "\x1b" not in first.output
    assert (world.runs / "incidents").is_dir()
    assert "is open already, by ann" in run("open", SERVICE, "--reason", "y").output
    assert "\x1b" not in run("list").output
    dry = run("do", 1, "roll-back", "--dry-run")
    assert "Takes 'wine-b' back" in dry.output
    assert world.serving() == ("wine-b", None)
    assert run("do", 1, "roll-back", "--by", "ben").output.startswith("Done. 'wine-b' was taken")
    assert "Nothing was done: ben has" in run("do", 1, "roll-back").output
    checklist = run("steps", 1).output
    assert checklist.startswith("1 Roll back (done by ben")
    assert "Type: leaven incident do 1 sample" in checklist
    assert run("note", 1, "they looked alike", "--by", "eve").output == "Kept in incident 1.\n"
    told = json.loads(run("show", 1, "--json").output)
    assert round(told["times"]["to_detect"] / 3600, 2) == 2.0
    assert "eve: they looked alike" in run("show", 1).output
    assert run("do", 1, "roll-bakc").exit_code == 2
    closed = run("close", 1, "--reason", "mended", "--by", "ann")
    assert "Time to detect: 2" in closed.output
    assert run("list").output == "No incident is open.\n"
    assert "closed" in run("list", "--all").output
    again = json.loads(run("open", SERVICE, "--reason", "y", "--json").output)
    assert again["number"] == 2


def test_evidence_is_encrypted_where_there_is_a_key(world: World, monkeypatch: pytest.MonkeyPatch):
    from leaven.sealing import new_encryption_key

    monkeypatch.setenv("LEAVEN_ENCRYPTION_KEY", new_encryption_key()[0])
    told = incidents.open_incident(SERVICE, reason="secret", by="ann")
    folder = Path(told["evidence"]["folder"])
    assert (folder / "answers.json").read_bytes().startswith(MAGIC)
    assert read_part(folder, "answers.json")["least sure"]
    with world.store.read() as connection:
        query = text("SELECT told FROM incident_events")
        kept = [str(one) for one in connection.execute(query).scalars()]
    assert not any("wine-b" in one for one in kept)
    monkeypatch.delenv("LEAVEN_ENCRYPTION_KEY")
    assert altered(folder, told["evidence"]["digest"]) == ""
    assert AuditLog(world.store).check().fault is None


def test_too_few_answers_leave_records_of_the_run(world: World):
    with world.store.write() as connection:
        few = predictions.c.name.not_in(("n1", "n2"))
        connection.execute(delete(predictions).where(few))
    world.opened()
    assert "of 2 that it answered 2 are at hand" in outlook(world.scene(count=8), "sample").says[0]
    done(world, "sample", count=8)
    asked = world.asked("incident 1")
    assert len(asked) == world.act("sample").result["added"] == 8
    met = {str(world.dataset.ids[row]) for row in world.dataset.unlabelled[1:3]}
    assert met <= set(asked)


def test_half_of_a_sample_is_drawn_from_all_records(world: World):
    """So the share of them that is right is one of all, and not of those the run is sure of."""
    rows = np.arange(100)
    sure = np.linspace(0, 1, 100)
    means = []
    for number in range(40):
        scene = replace(world.scene_of(number), settings={})
        found = _half_and_half(rows, set(range(50)), sure, 20, scene)
        assert len({row for row, _ in found}) == len(found) == 20
        chance = [row for row, by_chance in found if by_chance]
        assert len(chance) == 10
        doubtful = [row for row, by_chance in found if not by_chance]
        assert doubtful == sorted(set(range(50)) - set(chance))[:10]
        means.append(np.mean(chance))
    assert 45 < np.mean(means) < 54
