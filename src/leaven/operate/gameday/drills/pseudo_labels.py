"""What labels mean changes under a stream that accepts pseudo-labels, so some become wrong."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from leaven.core.errors import RunError
from leaven.core.wording import many
from leaven.operate.gameday.drill import DRILLS, GOOD, Drill, Promise
from leaven.operate.gameday.local import DETECTED, INJECTED, NOTE, Local
from leaven.operate.gameday.processes import Process
from leaven.operate.scoring.stream import ACCEPTED

_TARGET = 0.9
_CLEAN, _MOST = 1200, 1200  # records, before and after
_AUDITED = 3  # one record in so many brings its truth, drawn at random
_TOGETHER = 50
_AUDITS = 60
_QUIET = 6  # times in a row that none is accepted: it has stopped


class _Stream:
    """A stream that is fed, and what it has answered."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.state = local.folder / "state"
        self._rng = random.Random(local.seed)
        self.number = 0
        self.truths: dict[str, str] = {}
        self.audited: list[tuple[int, str]] = []  # the record's number, and what was said
        self._begin()

    def send(self, number: int, truth_of: dict[str, str]) -> None:
        """Send so many records, and wait for the answers; `truth_of` turns some labels."""
        for _ in range(number // _TOGETHER):
            lines = dict(self._line(truth_of) for _ in range(_TOGETHER))
            for answer in self._asked(list(lines.values())):
                if self._local.world.label in lines[answer["id"]]:
                    self.audited.append((_number(answer["id"]), answer["prediction"]))

    def accepted(self) -> list[dict[str, Any]]:
        """The pseudo-labels so far."""
        file = self.state / ACCEPTED
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    def kill(self) -> None:
        """SIGKILL it while it answers, begin it again, and send what had no answer."""
        lines = dict(self._line({}) for _ in range(_TOGETHER))
        self._write(list(lines.values()))
        self._local.until(lambda: len(self._answers()) > self._heard, 20)
        self._process.kill()
        self._process.end()
        answered = {json.loads(one)["id"] for one in self._answers()}
        self._begin()
        for _ in self._asked([line for name, line in lines.items() if name not in answered]):
            continue

    def end(self) -> None:
        """End it."""
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.close()
        self._process.end()

    def _begin(self) -> None:
        words = ("--accept", "AtLeast(0.9)", "--target", f"{_TARGET * 100:.0f}")
        run = str(self._local.world.runs[GOOD])
        label = ("--label", self._local.world.label)
        told = ("stream", run, *label, *words, "--state", str(self.state))
        self._process: Process = self._local.start(*told, fed=True)
        self._heard = 0

    def _line(self, truth_of: dict[str, str]) -> tuple[str, dict[str, Any]]:
        world = self._local.world
        row = self._rng.randrange(len(world.records))
        self.number += 1
        name = f"record {self.number}"
        self.truths[name] = truth_of.get(world.truths[row], world.truths[row])
        line: dict[str, Any] = {**world.records[row], "id": name}
        if self._rng.randrange(_AUDITED) == 0:
            line[world.label] = self.truths[name]
        return name, line

    def _asked(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._write(lines)
        wanted = self._heard + len(lines)
        if self._local.until(lambda: len(self._answers()) >= wanted, 60) is None:
            raise RunError(f"The stream did not answer: {self._process.lines[-1:]}")
        found = self._answers()[self._heard :]
        self._heard += len(found)
        return [json.loads(one) for one in found]

    def _write(self, lines: list[dict[str, Any]]) -> None:
        pipe = self._process.popen.stdin
        assert pipe is not None
        pipe.write("".join(json.dumps(line, default=str) + "\n" for line in lines))
        pipe.flush()

    def _answers(self) -> list[str]:
        return [line for _, line in self._process.lines if line.startswith("{")]


def _number(name: str) -> int:
    """Of a record, by its name."""
    return int(name.rpartition(" ")[2])


def _play(local: Local) -> None:
    stream = _Stream(local)
    stream.send(_CLEAN // 2, {})
    stream.kill()
    local.mark(NOTE, "The stream is killed (SIGKILL) and begun again.")
    stream.send(_CLEAN // 2, {})
    earned = stream.accepted()
    wrong = [one for one in earned if stream.truths[one["id"]] != one["label"]]
    share = round(100 * len(wrong) / len(earned)) if earned else 0
    local.saw("earned", share, len(earned), "accepted pseudo-labels")
    if earned:
        _turn(local, stream, Counter(one["label"] for one in earned).most_common(1)[0][0])
    stream.end()
    found = stream.accepted()
    doubled = [name for name, times in Counter(one["id"] for one in found).items() if times > 1]
    local.saw("twice", len(doubled), len(found), "accepted pseudo-labels", evidence=doubled)
    _see_fit(local, stream.state / ACCEPTED, len(found))


def _turn(local: Local, stream: _Stream, turned: str) -> None:
    """From here on records of one class are in truth of another."""
    classes = local.world.classes
    other = classes[(classes.index(turned) + 1) % len(classes)]
    local.mark(INJECTED, f"What was '{turned}' is now '{other}'.")
    begun = stream.number

    def accepted() -> list[int]:
        return [_number(one["id"]) for one in stream.accepted()
                if one["label"] == turned and _number(one["id"]) > begun]  # fmt: skip

    last, quiet = begun, 0
    while stream.number < begun + _MOST:
        stream.send(_TOGETHER, {turned: other})
        quiet = 0 if accepted() and max(accepted()) > last else quiet + 1
        last = max([last, *accepted()])
        if quiet == 1:
            local.mark(DETECTED, f"No '{turned}' is accepted any more.")
        if quiet == _QUIET:
            break
    audits = sum(one > begun and one <= last and said == turned for one, said in stream.audited)
    all_audits = sum(one > begun and said == turned for one, said in stream.audited)
    wrong = [name for name in accepted() if stream.truths[f"record {name}"] != turned]
    note = f"{many(len(wrong), 'wrong one was', 'wrong ones were')} accepted until then."
    value = audits if quiet == _QUIET else None
    local.saw("stopped", value, all_audits, f"audits of '{turned}'", note=note)
    rest = Counter(one["label"] for one in stream.accepted() if _number(one["id"]) > begun)
    before = {one["label"] for one in stream.accepted() if _number(one["id"]) <= begun} - {turned}
    stopped = sorted(name for name in before if not rest[name])
    local.saw("others", len(stopped), len(before), "other classes that were accepted",
              evidence=stopped)  # fmt: skip


def _see_fit(local: Local, accepted: Path, number: int) -> None:
    """What a fit makes of the pseudo-labels."""
    if not number:
        return
    out = local.folder / "runs"
    words = ("--answers", str(accepted), "--method", "logistic", "--budget", "50steps")
    done = local.leaven("fit", *local.world.reading(GOOD), *words, "--out", str(out), "--json")
    made = [*out.glob("*/labels.parquet")]
    if done.code or len(made) != 1:
        raise RunError(f"The fit on the accepted pseudo-labels failed: {done.said}")
    origins = Counter(pq.read_table(made[0])["origin"].to_pylist())
    taken = sum(times for origin, times in origins.items() if origin != "given")
    evidence = [f"{times} labels of the run: {origin}" for origin, times in origins.items()]
    local.saw("labels", taken, number, "accepted pseudo-labels", evidence=evidence)


DRILLS.add(
    "pseudo-labels",
    Drill(
        "pseudo-labels",
        "A stream accepts pseudo-labels, and what was one class turns into another: its "
        "pseudo-labels are wrong from then on.",
        (
            Promise("earned", "Before, at most 10 % of what is accepted is wrong.", 10,
                    "% wrong", "predicting.md"),
            Promise("stopped", f"The gate stops the class within {_AUDITS} audits of it.", _AUDITS,
                    "audits", "predicting.md"),
            Promise("others", "The other classes go on being accepted.", 0, "stopped as well",
                    "predicting.md"),
            Promise("twice", "A kill lets nothing be accepted twice.", 0, "twice",
                    "predicting.md"),
            Promise("labels", "A fit takes no pseudo-label for a label.", 0, "taken",
                    "predicting.md"),
        ),
        _play,
    ),
)  # fmt: skip
