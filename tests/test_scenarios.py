"""Both scenarios end to end on real data: commands, servers, traffic, people, and the report.

Commands run in this process, which has loaded all there is to load; what runs beside them (servers,
the watch over promises, the review page) are processes of their own.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leaven.cli import app

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))

import lines  # noqa: E402
import log_routing  # noqa: E402
import misrouting  # noqa: E402
import scenario  # noqa: E402
import stage  # noqa: E402

#: Real sets that may not be copied into this repository.
SHARED = Path(os.environ.get("LEAVEN_DATA", ROOT.parent / "shared" / "data"))
LOGHUB = SHARED / "loghub_shared" / "logs.parquet"


class Near(stage.Stage):
    """A stage whose commands run in this process."""

    def run(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, list(arguments))
        fault = done.exception if not isinstance(done.exception, SystemExit) else None
        told = "".join(traceback.format_exception(fault)) if fault else ""
        return done.exit_code, done.stdout, done.stderr + told


@pytest.fixture(autouse=True)
def _quick_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of servers looks more often than once in ten seconds."""
    monkeypatch.setattr(stage, "LEAVEN", (sys.executable, str(ROOT / "tests" / "quick_guard.py")))


def play(scene: Any, folder: Path, data: Path | None = None, **more: Any) -> tuple[Near, Any]:
    """A scenario in little time; its stage and what came of it."""
    size = replace(scenario.QUICK, pace=120.0, every=1.0, **more)
    near, read = Near(folder), lines.read_lines(data, size.most)
    came = scene.play(near, read, size)
    scenario.write_report(folder / "report.html", scene.__name__, near, read, size, came)
    return near, came


def check_routing(folder: Path, data: Path | None = None, **more: Any) -> None:
    near, came = play(log_routing, folder, data, **more)
    told = came.outcome
    assert told["failed"] == 0
    assert 0 <= told["rollback"] < 1
    assert told["canary"] >= 2 * scenario.QUICK.requests
    kinds = [kind for kind, _ in told["decisions"]]
    ramp = kinds.index("canary"), kinds.index("live", 1)
    assert kinds[: ramp[0]] == ["live"]
    assert ramp[1] - ramp[0] >= 2, "it went on in steps"
    assert kinds[ramp[1] :] == ["live", "live", "live", "retired"]
    deciders = [person for _, person in told["decisions"]]
    assert set(deciders[ramp[0] + 1 : ramp[1] + 1]) == {"guard"}
    assert "guard" not in deciders[ramp[1] + 1 :]
    page = (folder / "report.html").read_text("utf-8")
    assert "As it should" in page
    assert page.count("<svg") == 6  # three plots, each for a desk and for a phone
    assert page.count("<pre>$ leaven ") == len(near.typed)
    fit = next(one for one in near.typed if "--method mean-teacher" in one.command)
    assert re.search(r"(helped|Not shown|Worse|Likely)", fit.came), "the verdict is told"


def test_a_canary_is_promoted_and_a_bad_release_rolled_back(tmp_path: Path):
    check_routing(tmp_path)


@pytest.mark.skipif(not LOGHUB.is_file(), reason="loghub's logs may not be copied into here")
def test_the_same_with_logs(tmp_path: Path):
    check_routing(tmp_path, LOGHUB, labels=8, steps=30)


def test_an_incident_is_detected_and_mended(tmp_path: Path):
    near, came = play(misrouting, tmp_path)
    told = came.outcome
    assert told["failed"] == 0
    assert told["steps"] == [
        "pause-labelling", "roll-back", "revoke", "sample", "retrain", "release",
        "resume-labelling",
    ]  # fmt: skip
    right = told["right"]
    assert right["bad"].high < min(right["good"].low, right["mended"].low)
    assert told["loose"].high < told["strict"].low
    times = told["times"]
    assert times["detected"] < times["opened"] < times["mended"]
    assert times["to_mend"] > 0
    assert (tmp_path / "postmortem.html").stat().st_size > 10_000
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Time to detect" in page
    assert page.count("<svg") == 4
    labels = [one for one in near.typed if "label export" in one.command]
    assert "100 labels" in labels[-1].came, "people's labels alone are left"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a scenario by a signal is not to end the tests."""
    monkeypatch.setattr(scenario.signal, "signal", lambda *_: None)


@pytest.mark.usefixtures("alone")
def test_a_step_that_fails_ends_the_scenario(tmp_path: Path, monkeypatch, capsys):
    def play(near: stage.Stage, *_: object) -> Any:
        near.leaven("rollback", "<b>routing</b>", came=str)

    monkeypatch.setattr(scenario, "Stage", Near)
    folder = tmp_path / "new"
    monkeypatch.setattr(sys, "argv", ["it.py", "--quick", "--out", str(folder)])
    assert scenario.played("it", play, "A scenario.") == 1
    page = (folder / "report.html").read_text("utf-8")
    assert "A step failed" in page
    assert "ended with 2: Error: Nothing was released yet" in page
    assert "&lt;b&gt;routing" in page
    assert "<b>routing" not in page
    assert str(folder / "report.html") in capsys.readouterr().out
    assert scenario.played("it", play, "A scenario.") == 2, "the folder is there"
    assert "Name another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [("none", None, "content, system and split"), ("text", b"a,b", "content, system and split")],
)
@pytest.mark.usefixtures("alone")
def test_data_that_are_none_are_refused(
    name: str, content: bytes | None, wanted: str, tmp_path: Path, monkeypatch, capsys
):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["it.py", "--data", str(file), "--out", str(tmp_path / "x")])
    assert scenario.played("it", lambda *_: pytest.fail("it was played"), "A scenario.") == 2
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_process_that_ends_at_once_says_why(tmp_path: Path):
    near = Near(tmp_path)
    with (
        near.beside("sreve") as process,
        pytest.raises(stage.Failed, match="No such command 'sreve'"),
    ):
        process.address("Serving at ")


def test_traffic_counts_what_is_not_answered():
    with stage.Traffic("http://127.0.0.1:9", [("text", "team")], pace=500) as traffic:
        while len(traffic.answers) < 3:
            time.sleep(0.01)
    assert traffic.failed == len(traffic.answers)
    assert not traffic.of()
