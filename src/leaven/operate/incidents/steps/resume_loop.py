"""Let the loop go on."""

from __future__ import annotations

from leaven.operate.incidents.pausing import Pausing
from leaven.operate.incidents.step import STEPS


@STEPS.register("resume-loop")
class ResumeLoop(Pausing):
    """In the store, as `leaven loop resume`."""

    title = "Resume the loop"
    does = "It goes on from where it stood, with the next leaven loop run."
    rank = 90
    what = "loop"
    pauses = False
    undoes = "pause-loop"
