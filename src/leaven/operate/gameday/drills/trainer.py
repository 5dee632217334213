"""Fits that are killed (SIGKILL), by hand and in the loop, while a service answers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from leaven.core.errors import RunError
from leaven.operate.gameday.drill import DRILLS, GOOD, Drill, Promise
from leaven.operate.gameday.expected import NO_FAILURE, see_failures
from leaven.operate.gameday.local import INJECTED, MENDED, NOTE, Local
from leaven.operate.gameday.processes import Process
from leaven.operate.loop.journal import Journal

_METHOD, _BUDGET = "fixmatch", "40steps"
#: What a fit has written when it is killed: three of its eight fits on folds, and its model.
_MOMENTS = (("*/work/*/stage.json", 3), ("*/model/*", 1))
_PATIENCE = 240.0  # seconds for a fit
_PACE = 0.2  # seconds between two requests
_SERVICE = "loop"
_CONFIG = """
[loop]
data = {data}
service = "{service}"
runs = {runs}
fit = {{ label = {label}, modality = {modality}, method = "{method}", budget = "{budget}" }}
trigger = {{ days = 7 }}
gate = {{ major = ["first", "verdict"] }}
"""


def _play(local: Local) -> None:
    local.release(GOOD)
    server, traffic = local.serve()
    with traffic.flowing(pace=_PACE, truth=False):
        _fits(local)
        _loop(local)
    see_failures(local, traffic.answers)
    server.end()


def _fits(local: Local) -> None:
    """A fit that nobody disturbs, and beside it the same one killed on its way."""
    words = ("fit", *local.world.reading(GOOD), "--method", _METHOD, "--budget", _BUDGET, "--seed",
             str(local.seed), "--json", "--out")  # fmt: skip
    whole, broken = local.folder / "undisturbed", local.folder / "killed"
    undisturbed = local.start(*words, str(whole))
    half: list[str] = []
    killed = 0
    for files, wanted in _MOMENTS:
        fit = local.start(*words, str(broken))
        found = _found(fit, broken, files, wanted)
        local.until(found, _PATIENCE)
        fit.kill()
        if fit.popen.returncode == -signal.SIGKILL:
            killed += 1
            local.mark(INJECTED, f"The fit is killed once it has written {files}.")
        half += [str(path.relative_to(broken)) for path in broken.glob("*/run.json")]
    again = local.leaven(*words, str(broken))
    local.mark(MENDED, "The same command has gone on to the end.")
    undisturbed.popen.wait(_PATIENCE)
    if undisturbed.end() or again.code:
        raise RunError(f"A fit failed: {undisturbed.lines[-1:]} {again.said}")
    local.saw("half", len(half), killed, "killed fits", evidence=half)
    first, second = _model(whole), _model(broken)
    differ = sorted(name for name in first.keys() | second.keys()
                    if first.get(name) != second.get(name))  # fmt: skip
    local.saw("same", len(differ), len(first) if killed else 0, "files of the model",
              evidence=differ or sorted(first))  # fmt: skip


def _found(fit: Process, out: Path, files: str, wanted: int) -> Callable[[], bool]:
    """Whether a fit has written so many of these, or has ended."""
    return lambda: fit.popen.poll() is not None or len([*out.glob(files)]) >= wanted


def _model(out: Path) -> dict[str, bytes]:
    """The files of the only run's model, by name."""
    found = {}
    for home in out.glob("*/model"):
        files = (path for path in home.rglob("*") if path.is_file())
        found = {str(path.relative_to(home)): path.read_bytes() for path in files}
    return found


def _loop(local: Local) -> None:
    """A loop that is killed while it fits, and called again."""
    world, runs = local.world, local.folder / "loop"
    told = {"data": str(world.tables[GOOD]), "runs": str(runs), "label": world.label,
            "modality": world.modality}  # fmt: skip
    words = {"service": _SERVICE, "method": "logistic", "budget": "50steps"}
    config = local.folder / "loop.toml"
    config.write_text(_CONFIG.format(**{k: json.dumps(v) for k, v in told.items()}, **words))
    command = ("loop", "run", "--config", str(config), "--store", local.database.address)
    loop = local.start(*command)
    journal = Journal(local.store, _SERVICE)
    fitting = local.until(lambda: _state(journal) == "fitting", 60)
    local.until(lambda: bool([*runs.glob("*/*/*/work")]), 20)
    loop.kill()
    local.mark(NOTE, f"The loop is killed while it stands at '{_state(journal)}'.")
    done = local.leaven(*command)
    state = _state(journal)
    if state == "approving":
        local.mark(NOTE, "The loop has gone on, and waits for a person.")
    made = [str(path.relative_to(runs)) for path in runs.glob("*/*/*/run.json")]
    wrong = abs(len(made) - 1) + int(state != "approving") + abs(_cycles(journal) - 1)
    local.saw("loop", wrong, int(fitting is not None), "killed loop",
              note=f"It stands at '{state}'.", evidence=[*made, done.said])  # fmt: skip
    whole = local.leaven("audit", "verify", "--store", local.database.address)
    local.saw("audit", int(bool(whole.code)), 1, "audit log", evidence=[whole.said])


def _state(journal: Journal) -> str:
    return str(journal.standing().state)


def _cycles(journal: Journal) -> int:
    return int(journal.standing().cycle)


DRILLS.add(
    "trainer",
    Drill(
        "trainer",
        "A fit, and a loop that fits, are killed (SIGKILL) while a service answers.",
        (
            Promise("half", "Nothing half made is taken for a run.", 0, "half runs", "files.md"),
            Promise("same", "The same command goes on, and makes the same model bit for bit.", 0,
                    "files that differ", "files.md"),
            Promise("loop", "A killed loop goes on: one cycle, one fit, and a person is asked.", 0,
                    "that are not as they should be", "loop.md"),
            Promise("audit", "The audit log is whole.", 0, "that are not", "audit-log.md"),
            NO_FAILURE,
        ),
        _play,
    ),
)  # fmt: skip
