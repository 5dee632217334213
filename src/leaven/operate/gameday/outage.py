"""What drills see that take something away from a server for a while, and give it back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from leaven.operate.gameday.drill import SECONDS, Promise
from leaven.operate.gameday.expected import see_failures, see_log, see_truths
from leaven.operate.gameday.local import DETECTED, INJECTED, MENDED, NOTE, Local
from leaven.operate.gameday.processes import Process
from leaven.operate.gameday.traffic import Traffic

__all__ = ["AGAIN", "SENT_AWAY", "Outage", "see_outage", "through"]

SENT_AWAY = Promise(
    "sent away", "Truth that cannot be kept is told to come again.", 0, "refused otherwise",
    "serving.md",
)  # fmt: skip
AGAIN = Promise(
    "again", "Truth is acknowledged again within 15 s of the end.", 15, SECONDS, "serving.md"
)
_PACE = 0.05  # seconds between two requests
_FIRST = 20  # truths before it begins
_LATE = 40.0  # seconds until it is given up that truth is taken again


class Outage(NamedTuple):
    """When it began and ended, in seconds since 1970, and how long after that truth was taken."""

    began: float
    ended: float
    took: float | None


def through(
    local: Local,
    traffic: Traffic,
    fault: AbstractContextManager[None],
    what: str,
    seconds: float,
    meanwhile: Callable[[], object],
) -> Outage:
    """People ask and tell, through a fault that lasts so long; `meanwhile` is done in it."""
    with traffic.flowing(pace=_PACE):
        local.until(lambda: len(traffic.acknowledged) >= _FIRST, _LATE)
        with fault:
            began = local.mark(INJECTED, what)
            known = local.until(
                lambda: any(one.retry and one.sent >= began for one in traffic.told), seconds
            )
            if known is not None:
                local.mark(DETECTED, "Truth is told to come again.")
            meanwhile()
            local.until(lambda: False, seconds - (known or seconds))
        ended = local.mark(NOTE, "It has ended.")
        took = local.until(
            lambda: any(one.status == 200 and one.sent > ended for one in traffic.told), _LATE
        )
        if took is not None:
            local.mark(MENDED, "Truth is acknowledged again.")
        local.until(lambda: False, 2.0)
    return Outage(began, ended, took)


def see_outage(local: Local, server: Process, traffic: Traffic, outage: Outage) -> None:
    """What came of the promises that all such drills have; the server is ended."""
    truths = [one for one in traffic.told
              if one.sent <= outage.ended and one.sent + one.seconds >= outage.began]  # fmt: skip
    wrong = [one for one in truths if one.status != 200 and not one.retry]
    refused = [one for one in truths if one.status != 200]
    evidence = [f"{one.status} {one.error}" for one in wrong + refused[:2]]
    local.saw(SENT_AWAY.name, len(wrong), len(truths), "truths meanwhile", evidence=evidence)
    see_failures(local, traffic.answers)
    local.saw(AGAIN.name, outage.took, 1, "outage")
    see_log(local, traffic)
    server.end()
    see_truths(local, traffic)
