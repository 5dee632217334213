"""Pause the loop: nothing is fitted or released by itself while people work."""

from __future__ import annotations

from leaven.operate.incidents.pausing import Pausing
from leaven.operate.incidents.step import STEPS


@STEPS.register("pause-loop")
class PauseLoop(Pausing):
    """In the store, as `leaven loop pause`."""

    title = "Pause the loop"
    does = "Nothing is fitted, released or asked by itself. A canary that stands stays."
    rank = 20
    what = "loop"
    pauses = True
    undoes = "resume-loop"
