"""Resume automatic labelling, once the mended run serves."""

from __future__ import annotations

from leaven.operate.incidents.pausing import Pausing
from leaven.operate.incidents.step import STEPS


@STEPS.register("resume-labelling")
class ResumeLabelling(Pausing):
    """In the store, as `leaven loop resume --labelling`."""

    title = "Resume automatic labelling"
    does = "Fits of the loop take rules again, and streams accept what they may."
    rank = 80
    what = "labelling"
    pauses = False
    undoes = "pause-labelling"
