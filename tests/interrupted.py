"""Runs `leaven` in processes that end, or stop, at a chosen moment; a script for test_resume.py.

Reads one JSON object a line: `arguments` of the command line, `output` (a file's stem), and for an
interruption `signal`, `moment` and `within`. Moments are counted from the process's beginning:
each writing, renaming and removing of a file under the folder `within`, and with `steps` each
training step too. Answers each with the exit code (minus the signal for a process that was killed,
null for one that was stopped), its process id and, where it ended by itself, its moments.

All processes are forked from this one, which has loaded everything: each starts at once.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

from leaven.cli import app
from leaven.data.modality import MODALITIES
from leaven.evaluate import curve_plan, stages
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS
from leaven.learn.state import TrainState

_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")


class Moments:
    """Counts moments and sends the signal at the chosen one."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.number, self.asked = 0, asked
        self.within = asked["within"]

    def pass_by(self) -> None:
        self.number += 1
        if self.number == self.asked.get("moment"):
            os.kill(os.getpid(), self.asked["signal"])

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not str(arguments[0]).startswith(self.within):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.pass_by()


def work(asked: dict[str, Any], count: int) -> None:
    """The forked process: never returns."""
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{asked['output']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    moments = Moments(asked)
    sys.addaudithook(moments.audit)
    if asked["steps"]:
        update = TrainState.update_average

        def between(state: TrainState, decay: float) -> None:
            moments.pass_by()
            update(state, decay)

        TrainState.update_average = between  # type: ignore[method-assign]
    try:
        app(asked["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(count, str(moments.number).encode())
    os._exit(code)


def count_time_in_steps() -> None:
    """A stage's clock stands but for training steps: checkpoints fall alike on any machine."""
    taken, update = [0], TrainState.update_average

    def counted(state: TrainState, decay: float) -> None:
        taken[0] += 1
        update(state, decay)

    TrainState.update_average = counted  # type: ignore[method-assign]
    stages.time = SimpleNamespace(monotonic=lambda: float(taken[0]))  # type: ignore[assignment]
    stages.CHECKPOINT_SECONDS = 2.5


def main() -> None:
    """Serve until the input ends."""
    count_time_in_steps()
    curve_plan._WORK = 0  # as few fits for the learning curves as there can be
    for name in ("leaven.api", "leaven.evaluate.made"):
        importlib.import_module(name)
    for registry in (METHODS, ENCODERS, MODALITIES):
        len(registry)
    for line in sys.stdin:
        asked = json.loads(line)
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            work(asked, writer)
        os.close(writer)
        _, status = os.waitpid(process, os.WUNTRACED)
        stopped = os.WIFSTOPPED(status)
        answer = {
            "code": None if stopped else os.waitstatus_to_exitcode(status),
            "process": process,
            "moments": None if stopped else int(os.read(reader, 20) or 0),
        }
        os.close(reader)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
