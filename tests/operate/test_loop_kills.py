"""A loop that is killed at any moment goes on, and does nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaven.evaluate.run import Run
from leaven.operate.loop.states import REST, STATES, TRANSITIONS, after
from leaven.operate.releases import Releases
from leaven.store.audit import AuditLog
from leaven.store.store import Store
from tests.operate.fate import Fate, Killed
from tests.operate.loop_world import World

pytest_plugins = ["tests.store.databases"]


def test_two_hundred_kills_at_any_transaction_do_nothing_twice(
    store: Store, wine: Run, tmp_path: Path
):
    chance, where = random.Random(7), Counter[str]()
    limits = {"rest_hours": 0, "tries": 99, "fits": 99}
    world = World(store, wine, tmp_path, shadow={"hours": 1}, limits=limits)
    fate, cycles = Fate(store), 0
    wanted = 200 if "sqlite" in store.address else 40
    while fate.kills < wanted:
        fate.left = 10**9
        world.more_records()
        cycles += 1
        while world.standing().cycle < cycles or world.standing().state != REST:
            fate.left = chance.randint(1, 12)
            try:
                world.run()
            except Killed:
                where[world.standing().state] += 1
                world.clock.now += 200  # its lease runs out
                continue
            fate.left = 10**9
            world.clock.now += 3700
            if world.standing().state == "ramping" and world.releases.state().canary is not None:
                world.promote()
    assert fate.kills >= wanted
    assert set(where) == set(STATES) - {"approving"}
    assert world.fits.made == {f"cycle-{n:04d}": 1 for n in range(1, cycles + 1)}
    told = [(one.kind, one.run) for one in world.history()]
    expected = [("live", "wine-cycle-0001")]
    for n in range(2, cycles + 1):
        name = f"wine-cycle-{n:04d}"
        expected += [(kind, name) for kind in ("shadow", "retired", "canary", "live")]
    assert told == expected
    asked = world.asked()
    assert len({record for _, record in asked}) == len(asked) == 3 * cycles
    assert set(Counter(batch for batch, _ in asked).values()) == {3}
    check_journal(world)


def check_journal(world: World) -> None:
    """Each move is one of the table, from where the loop stood."""
    state = REST
    for event in world.journal.history():
        if event.kind == "moved":
            assert after(state, event.outcome).target == event.state
        else:
            assert event.state == state
        state = event.state
    assert AuditLog(world.store).check().fault is None


def test_every_transition_leads_from_and_to_states_and_every_state_ends_at_rest():
    assert {one.source for one in TRANSITIONS} | {one.target for one in TRANSITIONS} == set(STATES)
    assert len({(one.source, one.outcome) for one in TRANSITIONS}) == len(TRANSITIONS)
    ends = {REST}
    for _ in STATES:
        ends |= {one.source for one in TRANSITIONS if one.target in ends}
    assert ends == set(STATES)


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """Forks a process a command, and ends it by SIGKILL at a chosen moment; see the script."""
    script = Path(__file__).parents[1] / "interrupted.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    found = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    yield found
    assert found.stdin is not None
    found.stdin.close()
    found.wait(20)


def test_processes_that_are_killed_go_on_and_fit_release_and_ask_once(
    server: subprocess.Popen[str], tmp_path: Path
):
    (tmp_path / "leaven.toml").write_text(f"""
[loop]
data = "{tmp_path / "points.csv"}"
runs = "{tmp_path / "runs"}"
fit = {{ label = "label", method = "label-propagation" }}
trigger = {{ days = 7 }}
limits = {{ tries = 99 }}
gate = {{ major = ["verdict"] }}
ask = {{ count = 2, strategy = "margin" }}
""")
    rng = random.Random(0)
    rows = [
        f"{rng.gauss(4 * (i % 2), 1):.3f},{rng.gauss(0, 1):.3f},{'ab'[i % 2] if i < 12 else ''}"
        for i in range(40)
    ]
    (tmp_path / "points.csv").write_text("x,y,label\n" + "\n".join(rows) + "\n")
    moments = iter([2, 20, 35, 3, 12, 1])
    for wanted in ("approving", "waiting"):
        while json.loads(status(tmp_path))["state"] != wanted or not cycles(tmp_path):
            asked = {
                "arguments": ["loop", "run", "--config", str(tmp_path / "leaven.toml"), "--json"],
                "output": str(tmp_path / "said"), "within": str(tmp_path / "runs"),
                "steps": False, "signal": int(signal.SIGKILL), "moment": next(moments, 10**9),
            }  # fmt: skip
            assert server.stdin is not None
            assert server.stdout is not None
            print(json.dumps(asked), file=server.stdin, flush=True)
            code = json.loads(server.stdout.readline())["code"]
            assert code in (0, -signal.SIGKILL), (tmp_path / "said.err").read_text()
        if wanted == "approving":
            approve(tmp_path)
    assert next(moments, None) is None  # all of them struck
    (run,) = (tmp_path / "runs" / "loop-points" / "cycle-0001").glob("*/run.json")
    store = Store(tmp_path / "runs" / "leaven.db")
    (event,) = Releases(store, "points").history()
    assert (event.kind, event.person) == ("live", "ann")
    assert event.run == json.loads(run.read_text())["run"]["id"]
    (cycle,) = cycles(tmp_path)
    assert cycle["path"] == [
        "waiting", "checking", "fitting", "judging", "approving", "shadowing", "ramping", "asking",
        "waiting",
    ]  # fmt: skip
    assert AuditLog(store).check().fault is None


def status(home: Path) -> str:
    from leaven import looping

    return json.dumps(looping.status(config=home / "leaven.toml"))


def cycles(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(status(home))["cycles"]
    return found


def approve(home: Path) -> None:
    from leaven import looping

    looping.decide(approve=True, by="ann", config=home / "leaven.toml")
