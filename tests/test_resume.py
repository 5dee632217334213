"""A fit that was cut off at any moment goes on, and ends as one that was let be."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leaven.evaluate import stages
from leaven.evaluate.folder import RunFolder
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS
from leaven.learn.state import TrainState

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
STEPS = 10


class Driver:
    """The script beside this file, which forks a process a command; see there."""

    def __init__(self, home: Path) -> None:
        self.home, self.number = home, 0
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("interrupted.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        self.data = home / "points.csv"
        rng = np.random.default_rng(0)
        rows = ["a,b,c,d,label"]
        for i in range(60):
            cells = rng.normal(size=4).round(4) + 1.5 * np.eye(4)[i % 3]
            rows.append(",".join(map(str, cells)) + (f",class {i % 3}" if i < 12 else ","))
        self.data.write_text("\n".join(rows))

    def fit(
        self, out: Path, *, kill: signal.Signals | None = None, moment: int = 0,
        within: Path | None = None, steps: bool = True, method: str = "fixmatch",
    ) -> dict[str, Any]:  # fmt: skip
        """One command; its answer with `out` and `err` added."""
        self.number += 1
        stem = self.home / f"command-{self.number}"
        command = ["fit", self.data, "--label", "label", "--method", method, "--json"]
        command += ["--budget", f"{STEPS}steps", "--out", out]
        asked = {
            "arguments": [str(word) for word in command],
            "output": str(stem),
            "within": str(within or out),
            "steps": steps,
        }
        if kill is not None:
            asked |= {"signal": int(kill), "moment": moment}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        answer: dict[str, Any] = json.loads(self.server.stdout.readline())
        answer["out"] = stem.with_suffix(".out").read_text()
        answer["err"] = stem.with_suffix(".err").read_text()
        return answer


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("commands"))
    yield driver
    assert driver.server.stdin is not None
    driver.server.stdin.close()
    driver.server.wait(20)


@pytest.fixture(scope="module")
def undisturbed(driver: Driver) -> dict[str, Any]:
    """A run that was let be: its moments, its answer and its files."""
    out = driver.home / "undisturbed"
    answer = driver.fit(out)
    assert answer["code"] == 0, answer["err"]
    return answer | {"run": run_in(out)}


def run_in(out: Path) -> Path:
    """The one run's folder under `out`."""
    (run,) = out.iterdir()
    return run


def assert_same(run: Path, other: Path) -> None:
    """The same figures, verdict, history, predictions and models."""
    stories = [json.loads((folder / "run.json").read_text()) for folder in (run, other)]
    for story in stories:
        for stage in story["training"]["stages"]:
            del stage["seconds"], stage["cpu_seconds"]
        story["cost"] = story["cost"]["steps"]
        del story["environment"]["made"]
        for changing in ("folder", "created", "command", "seconds", "cpu_seconds"):
            del story["run"][changing]
    assert stories[0] == stories[1]
    names = sorted(str(p.relative_to(other)) for p in other.rglob("*") if p.is_file())
    assert sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()) == names
    for name in names:
        if name not in ("run.json", "report.html"):
            assert (run / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_the_same(
    driver: Driver, undisturbed: dict[str, Any], tmp_path: Path, seed: int
):
    rng, kills = random.Random(seed), 0
    # The first falls anywhere, so that decoding, folds and the final fits are all hit.
    moment = rng.randrange(1, undisturbed["moments"])
    while (answer := driver.fit(tmp_path, kill=signal.SIGKILL, moment=moment))["code"] != 0:
        assert answer["code"] == -signal.SIGKILL, answer["err"]
        kills += 1
        moment = rng.randrange(20, undisturbed["moments"] // 3)
    assert kills >= 1
    assert_same(run_in(tmp_path), undisturbed["run"])


@pytest.mark.parametrize("method", ["fixmatch", "label-spreading"])
def test_killed_at_each_moment_at_which_files_are_made_it_ends_the_same(
    driver: Driver, undisturbed: dict[str, Any], tmp_path: Path, method: str
):
    """One process after another is killed one file operation later than the last."""
    moment, other = 0, undisturbed["run"]
    if method != "fixmatch":
        assert driver.fit(tmp_path / "other", method=method)["code"] == 0
        other = run_in(tmp_path / "other")
    out = tmp_path / "out"
    while True:
        moment += 1
        answer = driver.fit(out, kill=signal.SIGKILL, moment=moment, steps=False, method=method)
        if answer["code"] == 0:
            break
        assert answer["code"] == -signal.SIGKILL, answer["err"]
    assert moment > 15
    assert_same(run_in(out), other)


def test_killed_while_its_files_are_written_a_run_is_still_made_whole(
    driver: Driver, undisturbed: dict[str, Any], tmp_path: Path
):
    """Whatever was written of the model, the report and the rest, the last of all included."""
    name, fitted = undisturbed["run"].name, tmp_path / "fitted"

    def killed(out: Path, file: str, moment: int) -> None:
        within = out / name / file
        answer = driver.fit(out, kill=signal.SIGKILL, moment=moment, within=within, steps=False)
        assert answer["code"] == -signal.SIGKILL, file

    killed(fitted, "model", 1)
    assert not (fitted / name / "model").exists()
    moments = {"model": 3, "compared": 2, "shown.json": 2, "report.html": 1, "run.json": 2}
    for file, moment in [*moments.items(), ("work", 3), ("work", 4)]:
        out = tmp_path / f"{file}-{moment}"
        shutil.copytree(fitted, out)
        killed(out, file, moment)
        assert (out / name / "evidence.parquet").exists() == (file not in ("model", "compared"))
        assert driver.fit(out)["code"] == 0
        assert_same(run_in(out), undisturbed["run"])


def test_a_second_process_is_told_who_is_at_work(driver: Driver, tmp_path: Path):
    first = driver.fit(tmp_path, kill=signal.SIGSTOP, moment=40)
    try:
        assert first["code"] is None
        second = driver.fit(tmp_path)
    finally:
        os.kill(first["process"], signal.SIGKILL)
    assert second["code"] == 2
    assert json.loads(second["out"])["error"]["type"] == "RunError"
    assert f"is being made by process {first['process']}. Wait for it" in second["err"]
    deadline = time.monotonic() + 30
    while (third := driver.fit(tmp_path))["code"] == 2:  # until the killed one is gone
        assert time.monotonic() < deadline
    assert third["code"] == 0


def test_a_finished_run_is_returned_as_it_is(driver: Driver, undisturbed: dict[str, Any]):
    run = undisturbed["run"]
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    again = driver.fit(run.parent)
    assert again["code"] == 0
    assert json.loads(again["out"]) == json.loads(undisturbed["out"])
    after = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    assert after.keys() == before.keys()
    assert [p for p in after if p.is_file() and after[p] != before[p]] == []


def test_interrupted_by_hand_it_says_so_and_goes_on(
    driver: Driver, undisturbed: dict[str, Any], tmp_path: Path
):
    moment = undisturbed["moments"] // 2
    answer = driver.fit(tmp_path, kill=signal.SIGINT, moment=moment)
    assert answer["code"] == 130
    assert "The same command continues where it stopped." in answer["err"]
    assert "Traceback" not in answer["err"]
    again = driver.fit(tmp_path)
    assert again["code"] == 0
    assert again["moments"] < undisturbed["moments"]
    assert_same(run_in(tmp_path), undisturbed["run"])


def test_a_damaged_checkpoint_is_named(driver: Driver, undisturbed: dict[str, Any], tmp_path: Path):
    moment = 40
    while True:  # until a kill leaves one
        driver.fit(tmp_path, kill=signal.SIGKILL, moment=moment)
        found = list(tmp_path.rglob("checkpoint.safetensors"))
        if found:
            break
        moment += 5
        assert moment < undisturbed["moments"]
        shutil.rmtree(run_in(tmp_path))
    found[0].write_bytes(found[0].read_bytes()[:1000])
    answer = driver.fit(tmp_path)
    assert answer["code"] == 2
    assert f"The checkpoint '{found[0]}' cannot be read" in answer["err"]
    assert "Delete it to begin this stage anew." in answer["err"]
    found[0].unlink()
    assert driver.fit(tmp_path)["code"] == 0
    assert_same(run_in(tmp_path), undisturbed["run"])


def test_the_command_itself_survives_a_kill(
    driver: Driver, undisturbed: dict[str, Any], tmp_path: Path
):
    """Not a forked process but the installed program, killed from outside."""
    command = [sys.executable, "-m", "leaven", "fit", str(driver.data), "--label", "label"]
    command += ["--method", "fixmatch", "--budget", f"{STEPS}steps", "--out", str(tmp_path)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("stage.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert driver.fit(tmp_path)["code"] == 0
    assert_same(run_in(tmp_path), undisturbed["run"])


def test_no_checkpoint_is_written_after_the_last_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Going on from it, a stage would report no steps and no history."""
    saved: list[int] = []
    taken: list[float] = []
    # By this clock each step takes longer than the interval, and nothing else takes any time.
    clock = SimpleNamespace(monotonic=lambda: 100.0 * len(taken))
    monkeypatch.setattr(stages, "time", clock)
    monkeypatch.setattr(TrainState, "update_average", lambda state, decay: taken.append(decay))
    monkeypatch.setattr(TrainState, "save", lambda state, path: saved.append(state.step))
    problem = made_problem(METHODS["supervised"]).problem
    none = np.zeros(0, np.int64)
    stage = stages.Stage("one", "one", "supervised", "supervised", problem.train, none, none, True)
    with RunFolder(tmp_path) as folder:
        fit = stages.fit_stage(stage, problem, folder, stages.Pace(5, {}))
        for _ in fit:
            pass
    assert saved == [1, 2, 3, 4]
