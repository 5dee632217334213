"""Game days: promises are held as they should be, and a drill sees what is not kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

import leaven
from leaven import gamedays
from leaven.cli import app
from leaven.core.errors import DataError, RunError, SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.operate.gameday import expected
from leaven.operate.gameday.databases import LitePlace
from leaven.operate.gameday.drill import BAD, DRILLS, GOOD, SECONDS, Drill, Promise
from leaven.operate.gameday.drills import canary, drift
from leaven.operate.gameday.judging import BROKEN, KEPT, UNTOLD, Seen, judged, overall, summed
from leaven.operate.gameday.local import INJECTED, MENDED, Local
from leaven.operate.gameday.page import rendered
from leaven.operate.gameday.processes import Group
from leaven.operate.gameday.traffic import Answer, Told, Traffic
from leaven.operate.gameday.world import World, known_data
from leaven.operate.releases import Event
from leaven.releasing import release
from leaven.store.prediction_tables import feedback
from leaven.store.store import Store

DOCS = Path(__file__).parents[2] / "docs"
NONE = Promise("none", "Nothing is lost.", 0, "lost", "serving.md")
SOON = Promise("soon", "It is <soon> there.", 15, SECONDS, "serving.md")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The data that come with it, and both runs."""
    home = tmp_path_factory.mktemp("world")
    made = World.make(home, known_data(), 0)
    runs = {
        kind: leaven.fit(table, label=made.label, method="logistic", out=home / kind,
                         budget="5s").folder
        for kind, table in made.tables.items()
    }  # fmt: skip
    return World(**{**vars(made), "runs": runs})


@pytest.fixture
def local(world: World, tmp_path: Path) -> Iterator[Local]:
    """A set-up of its own for one drill."""
    group = Group(tmp_path, {"LEAVEN_CACHE": "off", "OMP_NUM_THREADS": "1"})
    yield Local(tmp_path, world, LitePlace().make(tmp_path), group, release)
    group.close()


def outcomes(drill: Drill, seen: Local) -> dict[str, str]:
    return {one.name: judged(one, seen.seen.get(one.name)).outcome for one in drill.promises}


def test_a_promise_is_kept_broken_or_could_not_be_told():
    for seen, outcome, figure in (
        (Seen(0, 12, "answers"), KEPT, "0 lost (n 12 answers)"),
        (Seen(2, 12), BROKEN, "2 lost (n 12)"),
        (Seen(None, 12), BROKEN, "never (n 12)"),  # what was waited for did not come
        (Seen(0, 0), UNTOLD, ""),  # nothing could have broken it
        (None, UNTOLD, ""),
    ):
        held = judged(NONE, seen)
        assert (held.outcome, held.figure) == (outcome, figure)
    assert judged(SOON, Seen(15, 1)).outcome == KEPT
    assert judged(SOON, Seen(15.1, 1)).figure.replace("\u202f", " ") == "15.1 s (n 1)"
    assert judged(SOON, None, "It broke.").seen.note == "It broke."
    assert overall([KEPT, UNTOLD, BROKEN]) == BROKEN
    assert overall([KEPT, UNTOLD]) == UNTOLD == overall([])
    assert summed([KEPT, KEPT]) == "All 2 promises were kept."
    assert summed([KEPT, BROKEN, UNTOLD, UNTOLD]) == (
        "Of 4 promises 1 was kept, 1 was not and of 2 it could not be told."
    )


def test_every_drill_says_what_it_promises_and_where_that_is_promised():
    wanted = {"canary", "database", "disk", "drift", "pseudo-labels", "trainer"}
    assert wanted <= {*DRILLS}
    page = (DOCS / "gamedays.md").read_text("utf-8")
    for name, drill in DRILLS.items():
        assert f"`{name}`" in page
        assert drill.name == name
        assert len({one.name for one in drill.promises}) == len(drill.promises) > 3
        assert all((DOCS / one.source).exists() for one in drill.promises)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_whole_drill_on_a_real_service_keeps_what_is_promised(tmp_path: Path):
    told = gamedays.play("database", out=tmp_path / "here", report=tmp_path / "page.html")
    (drill,) = told["drills"]
    assert told["outcome"] == KEPT, drill
    assert drill["detected"] > 0
    assert drill["mended"] > 13
    by_name = {one["name"]: one for one in drill["promises"]}
    assert by_name["failures"]["n"] > 100
    assert by_name["truths"]["n"] > 20
    assert "All 7 promises were kept." in (tmp_path / "page.html").read_text("utf-8")
    assert not running(tmp_path / "here")


def test_a_bad_canary_is_taken_back_and_without_its_guard_that_is_noticed(
    local: Local, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(canary, "_MOST", 150)
    monkeypatch.setattr(canary, "_PACE", 0.005)
    local.words = {"serve": ["--no-guard"]}
    DRILLS["canary"].play(local)
    told = outcomes(DRILLS["canary"], local)
    assert told["back"] == BROKEN
    assert told["again"] == told["reason"] == UNTOLD
    assert told["failures"] == told["version"] == told["own"] == KEPT
    assert local.seen["back"].n >= 150
    assert {one.place for one in local.traffic[0].answers} == {"live", "canary"}


def test_truth_that_was_acknowledged_and_is_not_there_is_found(local: Local):
    traffic = Traffic(1, [{}], [""])
    said = (("p", 200), ("q", 200), ("r", 503))
    traffic.told += [Told(0, 0, status, name, "a") for name, status in said]
    row = {"service": "s", "content": "c", "caused": False, "origin": "production",
           "person": "ann", "at": 0.0}  # fmt: skip
    with Store(local.database.address).write() as connection:
        connection.execute(insert(feedback), [row | {"prediction": "p", "label": "a"}])
    expected.see_truths(local, traffic)
    assert (local.seen["truths"].value, local.seen["truths"].n) == (1, 2)
    assert local.seen["truths"].evidence[0].startswith("q: acknowledged 'a'")
    traffic.answers.append(Answer(0, 0, 500, 0, error="The server failed"))
    expected.see_failures(local, traffic.answers)
    assert local.seen["failures"].evidence == ("500 The server failed",)


def test_an_answer_by_a_version_that_did_not_stand_is_found(local: Local):
    history = [
        Event(1, 0, "live", "a", "A", None, "ann", ""),
        Event(2, 100, "canary", "b", "B", 0.1, "ann", ""),
        Event(3, 200, "retired", "b", "B", None, "guard", ""),
    ]

    def wrong(*answers: tuple[float, str]) -> float | None:
        given = [Answer(at, 0.1, 200, 0, "p", "x", version) for at, version in answers]
        canary._see_versions(local, given, history)
        return local.seen["version"].value

    assert wrong((50, "A"), (150, "B"), (204, "B"), (300, "A")) == 0
    assert wrong((50, "B"), (206, "B"), (300, "C")) == 3


def test_an_answer_that_its_version_does_not_give_is_found(local: Local):
    local.release(GOOD)
    version = local.releases.state().live.digest  # type: ignore[union-attr]
    run = leaven.Run.load(local.world.runs[GOOD])
    import pyarrow as pa

    said = run.predict(pa.Table.from_pylist(list(local.world.records))).argmax(1)
    right, other = run.classes[said[0]], run.classes[1 - said[0]]
    (local.world.runs[BAD] / "model" / "manifest.json").exists() or release(
        local.world.runs[BAD], by="ann", override="x", store=local.database.address, service="other"
    )
    canary._see_own(local, [Answer(0, 0, 200, 0, "p", right, version)])
    assert local.seen["own"].value == 0
    canary._see_own(local, [Answer(0, 0, 200, 0, "p", other, version)])
    assert local.seen["own"].value == 1


@pytest.mark.parametrize(
    ("records", "modality", "column"),
    [
        ([{"x": float(i), "y": 0.5 * i, "z": "a"} for i in range(9)], "tabular", "x"),
        ([{"text": "one two three four five six"}] * 9, "text", "text"),
        ([{"z": "ab"[i % 3 % 2]} for i in range(9)], "tabular", "z"),
    ],
    ids=["numbers", "texts", "words"],
)
def test_records_are_changed_as_it_is_said(
    records: list[dict[str, Any]], modality: str, column: str
):
    world = World("data", modality, "label", ("a", "b"), {}, records, ["a"] * len(records))
    change, columns = drift._change(world, 0)
    after = [change(one) for one in records]
    assert len(columns) == 1
    differ = {name for old, new in zip(records, after, strict=True) for name in old
              if old[name] != new[name]}  # fmt: skip
    assert differ == {*columns}
    assert column in records[0]
    assert drift._change(world, 0)[1] == columns


def quick(name: str, play: Callable[[Local], None]) -> Drill:
    return DRILLS.add(name, Drill(name, "Nothing <b>is</b> done.", (NONE, SOON), play, runs=()))


@pytest.fixture
def drills() -> Iterator[Callable[[str, Callable[[Local], None]], Drill]]:
    """Adds drills that are gone again afterwards."""
    before = dict(DRILLS.items())
    yield quick
    DRILLS._entries.clear()
    DRILLS._entries.update(before)


def test_what_a_drill_saw_before_it_failed_stands_and_the_rest_could_not_be_told(
    drills: Callable[..., Drill], tmp_path: Path
):
    def play(local: Local) -> None:
        local.mark(INJECTED, "It begins.")
        local.saw("none", 0, 5, "things", evidence=["<script>alert(1)</script>"] * 20)
        local.mark(MENDED, "It is mended.")
        raise RunError("The <set-up> broke.")

    drills("half", play)
    told = gamedays.play("half", out=tmp_path / "out")
    (drill,) = told["drills"]
    assert [one["outcome"] for one in drill["promises"]] == [KEPT, UNTOLD]
    assert drill["promises"][1]["note"] == drill["problem"] == "The <set-up> broke."
    assert drill["detected"] is None
    assert 0 <= drill["mended"] < 5
    assert len(drill["promises"][0]["evidence"]) == 8
    assert told["folder"] == str(tmp_path / "out")
    page = rendered(told, "0")
    assert "<script>" not in page
    assert "&lt;set-up&gt;" in page
    assert "<b>is" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_lists_plays_and_says_by_its_exit_code_what_was_not_kept(
    drills: Callable[..., Drill], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runner = CliRunner()
    listed = runner.invoke(app, ["gameday"]).output
    assert "The guard takes it back within 2000 answers" in listed
    assert {one["name"] for one in json.loads(runner.invoke(app, ["gameday", "--json"]).output)
            ["drills"]} == {*DRILLS}  # fmt: skip

    def good(local: Local) -> None:
        local.saw("none", 0, 5)
        local.saw("soon", 3.0, 1)

    def bad(local: Local) -> None:
        good(local)
        local.saw("soon", None, 1, note="It \x1b[31mnever came.")

    drills("good", good)
    drills("bad", bad)
    kept = runner.invoke(app, ["gameday", "good", "--require", "kept"])
    assert kept.exit_code == 0, kept.output
    assert kept.stdout.startswith("All 2 promises were kept.")
    assert not [*tmp_path.glob("leaven-gameday-*")]
    broken = runner.invoke(app, ["gameday", "bad", "--require", "kept"])
    assert broken.exit_code == 1
    assert "\x1b" not in broken.stdout
    (left,) = tmp_path.glob("leaven-gameday-*")
    assert f"Folder: {left}" in broken.stdout
    assert runner.invoke(app, ["gameday", "bad"]).exit_code == 0
    assert runner.invoke(app, ["gameday", "good", "--require", "all"]).exit_code == 2


def test_what_cannot_be_played_is_said_before_anything_is_done(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UnknownNameError, match="Did you mean 'canary'"):
        gamedays.play("canry")
    with pytest.raises(SettingError, match="'out' must be a new or an empty folder"):
        gamedays.play("canary", out=tmp_path)
    with pytest.raises(SettingError, match="'label' must be given together with `data`"):
        gamedays.play("canary", label="kind")
    with pytest.raises(SettingError, match="touches no store") as refused:
        gamedays.play("canary", store="mysql://me:secret@host/name", out=tmp_path / "a")
    assert "secret" not in str(refused.value)
    few = Dataset.from_arrays([[1.0, 2.0]] * 9, ["a", "b", "a"] * 3)
    with pytest.raises(DataError, match="needs 100 records with labels"):
        gamedays.play("canary", data=few, out=tmp_path / "b")
    vectors = Dataset.from_arrays([[1.0, 2.0]] * 9, ["a", "b", "a"] * 3, modality="embedding")
    with pytest.raises(DataError, match="These are embedding records"):
        gamedays.play("canary", data=vectors, out=tmp_path / "c")
    assert (tmp_path / "mine").read_text() == "mine"


def test_labels_are_told_to_the_fits_in_part_and_turned_for_the_bad_one(tmp_path: Path):
    rows = [[float(i), i % 2] for i in range(120)]
    data = Dataset.from_arrays(rows, ["ab"[i % 2] for i in range(120)], name="numbers")
    made = World.make(tmp_path, data, 3)
    good, bad = ([line.split(",")[-1].strip('"') for line in made.tables[kind].read_text()
                  .splitlines()[1:]] for kind in (GOOD, BAD))  # fmt: skip
    assert len(made.records) == len(made.truths) == 60
    assert [bool(one) for one in good] == [True] * 60 + [False] * 60
    assert all({one, other} == {"a", "b"} for one, other in zip(good[:60], bad[:60], strict=True))


def running(folder: Path) -> list[str]:
    """Processes that are at work in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").readlink().is_relative_to(folder):
                found.append((place / "cmdline").read_text())
        except OSError:
            continue
    return found
