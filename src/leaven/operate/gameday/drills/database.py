"""The store goes away while people ask and tell, and comes back."""

from __future__ import annotations

from leaven.operate.gameday.drill import DRILLS, GOOD, SECONDS, Drill, Promise
from leaven.operate.gameday.expected import CAUGHT_UP, LOST, NO_FAILURE
from leaven.operate.gameday.local import Local
from leaven.operate.gameday.outage import AGAIN, SENT_AWAY, see_outage, through

_AWAY = 13.0  # seconds; a store that is held is waited for 10 s before truth is sent away


def _play(local: Local) -> None:
    local.release(GOOD)
    server, traffic = local.serve()

    def command() -> None:
        told = local.leaven("releases", "--store", local.database.address)
        wrong = int(told.code != 0 and not told.failed_well)
        local.saw("command", wrong, 1, "command", evidence=[told.said])

    what = f"The store is away: {local.database.fault}."
    outage = through(local, traffic, local.away(), what, _AWAY, command)
    during = [one.seconds for one in traffic.answers if outage.began <= one.sent <= outage.ended]
    local.saw("slowest", max(during, default=None), len(during), "predictions meanwhile")
    see_outage(local, server, traffic, outage)


DRILLS.add(
    "database",
    Drill(
        "database",
        f"The store goes away for {_AWAY:.0f} seconds while people ask and tell, and comes back.",
        (
            NO_FAILURE,
            Promise("slowest", "While it is away no prediction takes over 5 s.", 5, SECONDS,
                    "serving.md"),
            SENT_AWAY,
            LOST,
            Promise("command", "A command that cannot reach it says so in a sentence, and ends.",
                    0, "that did not", "serving.md"),
            AGAIN,
            CAUGHT_UP,
        ),
        _play,
    ),
)  # fmt: skip
