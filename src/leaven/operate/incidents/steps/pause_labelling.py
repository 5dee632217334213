"""Pause automatic labelling: nothing more is learnt from what may be wrong."""

from __future__ import annotations

from leaven.operate.incidents.pausing import Pausing
from leaven.operate.incidents.step import STEPS


@STEPS.register("pause-labelling")
class PauseLabelling(Pausing):
    """In the store, as `leaven loop pause --labelling`."""

    title = "Pause automatic labelling"
    does = "Fits of the loop leave out rules, and streams that know the service accept nothing."
    rank = 10
    what = "labelling"
    pauses = True
    undoes = "resume-labelling"
