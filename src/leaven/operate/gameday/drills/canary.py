"""A canary that was taught wrong labels: it is quick, never fails, and is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from leaven.operate.canary.guard import GUARD
from leaven.operate.gameday.drill import BAD, DRILLS, GOOD, Drill, Promise
from leaven.operate.gameday.expected import NO_FAILURE, see_failures
from leaven.operate.gameday.local import DETECTED, INJECTED, MENDED, Local
from leaven.operate.gameday.traffic import Answer
from leaven.operate.manifest import read_manifest
from leaven.operate.releases import Event

_SHARE = 0.2
_MOST = 2000
_PACE = 0.02  # seconds between two requests
_SLACK = 5.0  # seconds for a server to follow what was decided
_POLICY = "[canary]\nrequests = 50\nminutes = 0\nsteps = [50, 100]\n"


def _play(local: Local) -> None:
    local.release(GOOD)
    policy = local.folder / "policy.toml"
    policy.write_text(_POLICY, "utf-8")
    server, traffic = local.serve("--policy", str(policy), "--mirror", "0.3")
    traffic.send(50)
    local.mark(INJECTED, "A run that was taught wrong labels is released as a canary.")
    local.release(BAD, canary=_SHARE)
    before, releases = len(traffic.answers), local.releases
    last = releases.history()[-1]
    with traffic.flowing(pace=_PACE, truth=False):
        while releases.last() == last.number and len(traffic.answers) - before < _MOST:
            local.until(lambda: releases.last() > last.number, 1.0)
        decided = releases.history()[last.number :]
        asked = len(traffic.answers) - before
        if taken := [one for one in decided if (one.person, one.kind) == (GUARD, "retired")]:
            local.mark(DETECTED, f"The guard takes it back: {taken[0].reason}")
            gone = local.until(lambda: traffic.asks("/status").get("canary") is None, 10)
            if gone is not None:
                local.mark(MENDED, "The server answers by the live run alone.")
        local.until(lambda: len(traffic.answers) - before > asked + 100, 20)
    answers = traffic.answers[before:]
    reasons = [f"{one.person}: {one.kind}: {one.reason}" for one in decided]
    server.end()
    local.saw("back", asked if taken else None, asked, "answers", evidence=reasons)
    see_failures(local, traffic.answers)
    _see_versions(local, answers, releases.history())
    _see_own(local, answers)
    refused = local.leaven("promote", local.world.name, "--store", local.database.address)
    again = 0 if refused.failed_well else 1
    local.saw("again", again, len(taken), "tries to promote it", evidence=[refused.said])
    local.saw("reason", sum(not one.reason for one in taken), len(taken), "decisions",
              evidence=reasons)  # fmt: skip


def _see_versions(local: Local, answers: Sequence[Answer], history: Sequence[Event]) -> None:
    """Each answer is by a version that stood, as the history has it, up to some seconds before."""
    stood: dict[str, list[tuple[float, float]]] = {}
    for version in {one.digest for one in history}:
        mine = [(one.at, one.kind in ("live", "canary")) for one in history
                if one.digest == version]  # fmt: skip
        ends = [*mine, (float("inf"), False)]
        stood[version] = [(a[0], b[0]) for a, b in pairwise(ends) if a[1]]
    wrong = [
        one
        for one in answers
        if one.status == 200
        and not any(
            begin <= one.sent + one.seconds and one.sent <= end + _SLACK
            for begin, end in stood.get(one.version, ())
        )
    ]
    evidence = [f"{one.name} by {one.version[:12]} at {one.sent:.1f}" for one in wrong]
    local.saw("version", len(wrong), len(answers), "answers", evidence=evidence)


def _see_own(local: Local, answers: Sequence[Answer]) -> None:
    """Each answer is what the model of its version says."""
    world = local.world
    own = {
        read_manifest(folder / "model").digest: world.said(kind, world.records)
        for kind, folder in world.runs.items()
    }
    good = [one for one in answers if one.status == 200 and one.version in own]
    wrong = [one for one in good if own[one.version][one.row] != one.label]
    evidence = [f"{one.name}: '{one.label}', its model says '{own[one.version][one.row]}'"
                for one in wrong]  # fmt: skip
    local.saw("own", len(wrong), len(good), "answers", evidence=evidence)


DRILLS.add(
    "canary",
    Drill(
        "canary",
        "A run that was taught wrong labels becomes a canary of 20 % of the requests.",
        (
            Promise("back", f"The guard takes it back within {_MOST} answers of the service.",
                    _MOST, "answers", "canary.md"),
            NO_FAILURE,
            Promise("version", "No answer is by a version that did not stand.", 0, "answers",
                    "serving.md"),
            Promise("own", "Each answer is what the model of its version says.", 0, "others",
                    "serving.md"),
            Promise("again", "Nobody promotes what was taken back.", 0, "promotions",
                    "releases.md"),
            Promise("reason", "The history says why it was taken back.", 0, "without a reason",
                    "canary.md"),
        ),
        _play,
        runs=(GOOD, BAD),
    ),
)  # fmt: skip
