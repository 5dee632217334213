"""A full disk, under a server that answers and under a fit.

It is made by a limit on the size of the process's files (RLIMIT_FSIZE), which is lowered while it
runs and raised again: writes fail at once, and no disk of this machine is filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leaven.operate.gameday.drill import DRILLS, GOOD, Drill, Promise
from leaven.operate.gameday.expected import CAUGHT_UP, LOST, NO_FAILURE
from leaven.operate.gameday.local import NOTE, Local
from leaven.operate.gameday.outage import AGAIN, SENT_AWAY, see_outage, through
from leaven.operate.gameday.processes import Process

_FULL = 8.0  # seconds
_ROOM = 20_000  # bytes that a file of the fit may have
_PATIENCE = 120.0  # seconds for the fit to end


def _play(local: Local) -> None:
    local.release(GOOD)
    server, traffic = local.serve()

    def status() -> None:
        problem = str(traffic.asks("/status").get("log", {}).get("problem", ""))
        local.saw("status", int("disk" not in problem), 1, "look", evidence=[problem])

    what = "The disk is full: no write of the server succeeds."
    outage = through(local, traffic, _full(server), what, _FULL, status)
    see_outage(local, server, traffic, outage)
    _fit(local)


@contextmanager
def _full(server: Process) -> Iterator[None]:
    server.no_room(0)
    try:
        yield
    finally:
        server.no_room(-1)


def _fit(local: Local) -> None:
    """A fit that meets a full disk, and the same command once there is room."""
    out = local.folder / "runs"
    words = ("fit", *local.world.reading(GOOD), "--method", "logistic", "--budget", "50steps",
             "--out", str(out), "--json")  # fmt: skip
    fit = local.start(*words)
    fit.no_room(_ROOM)
    fit.popen.wait(_PATIENCE)
    code, said = fit.end(), [line for _, line in fit.lines]
    local.mark(NOTE, f"The fit on a full disk has ended with exit code {code}.")
    errors = [line for line in said if line.startswith("Error: ")]
    is_told = code == 2 and errors and not any("Traceback" in line for line in said)
    local.saw("fit says", int(not is_told), 1, "fit", evidence=errors or said[-3:])
    half = [str(path.relative_to(out)) for path in out.glob("*/run.json")]
    local.saw("fit half", len(half), 1, "fit", evidence=half)
    done = local.leaven(*words)
    made = [str(path.relative_to(out)) for path in out.glob("*/run.json")]
    wrong = int(bool(done.code) or len(made) != 1)
    local.saw("fit again", wrong, 1, "fit", evidence=made or [done.said])


DRILLS.add(
    "disk",
    Drill(
        "disk",
        f"The disk is full for {_FULL:.0f} seconds under a server, and then under a fit; it is "
        "made by a limit on the size of their files.",
        (
            NO_FAILURE,
            SENT_AWAY,
            LOST,
            Promise("status", "The server's status says what is wrong.", 0, "that did not",
                    "serving.md"),
            AGAIN,
            CAUGHT_UP,
            Promise("fit says", "A fit on a full disk says so in a sentence, and ends.", 0,
                    "that did not", "files.md"),
            Promise("fit half", "Nothing half made is taken for a run.", 0, "half runs",
                    "files.md"),
            Promise("fit again", "The same command makes the run once there is room.", 0,
                    "that did not", "files.md"),
        ),
        _play,
        lite=True,
    ),
)  # fmt: skip
