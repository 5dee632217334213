"""What several drills see alike: requests that failed, truth that was lost, answers in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leaven.operate.gameday.drill import SECONDS, Promise
from leaven.operate.gameday.local import Local
from leaven.operate.gameday.traffic import Answer, Traffic

__all__ = ["CAUGHT_UP", "LOST", "NO_FAILURE", "see_failures", "see_log", "see_truths"]

NO_FAILURE = Promise("failures", "No prediction fails.", 0, "failed", "serving.md")
LOST = Promise(
    "truths", "Every truth that was acknowledged is in the store, once.", 0, "lost or doubled",
    "serving.md",
)  # fmt: skip
CAUGHT_UP = Promise(
    "log", "Then all that was answered is in the log within 20 s.", 20, SECONDS, "serving.md"
)


def see_failures(local: Local, answers: Sequence[Answer]) -> None:
    """What came of `NO_FAILURE`."""
    failed = [one for one in answers if one.status != 200]
    evidence = [f"{one.status} {one.error}" for one in failed]
    local.saw(NO_FAILURE.name, len(failed), len(answers), "predictions", evidence=evidence)


def see_truths(local: Local, traffic: Traffic) -> None:
    """What came of `LOST`."""
    there, acknowledged = local.truths(), traffic.acknowledged
    found, times = dict(there), Counter(name for name, _ in there)
    wrong = [
        f"{name}: acknowledged '{label}', in the store {found.get(name)!r} {times[name]} times"
        for name, label in acknowledged.items()
        if found.get(name) != label or times[name] != 1
    ]
    local.saw(LOST.name, len(wrong), len(acknowledged), "acknowledged truths", evidence=wrong)


def see_log(local: Local, traffic: Traffic) -> None:
    """What came of `CAUGHT_UP`, from now on."""
    answered = [one for one in traffic.answers if one.status == 200]
    took = local.until(lambda: local.logged() >= len(answered), CAUGHT_UP.most + 10)
    note = "" if took is not None else f"{local.logged()} are there."
    local.saw(CAUGHT_UP.name, took, len(answered), "answers", note=note)
