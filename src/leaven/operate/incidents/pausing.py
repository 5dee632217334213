"""What the steps that pause and resume share: the loop's own pauses, kept in the store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from leaven.core.errors import DataError
from leaven.core.wording import duration
from leaven.operate.incidents.step import Done, Plan, Scene, Step
from leaven.operate.loop.journal import Journal

__all__ = ["Pausing"]

_SAID = {"loop": "the loop", "labelling": "automatic labelling"}


class Pausing(Step):
    """Of `what`, the loop or automatic labelling alone: it `pauses` it, or lets it go on."""

    what: ClassVar[str]
    pauses: ClassVar[bool]

    def plan(self, scene: Scene) -> Plan:
        """That it is paused or resumed, unless it is so."""
        event, said = _journal(scene).standing().paused.get(self.what), _SAID[self.what]
        if self.pauses and event is not None:
            since = duration(scene.clock() - event.at)
            already = f"{event.person} has paused {said} of '{scene.service}' {since} ago."
            return Plan((already,), already=already)
        if not self.pauses and event is None:
            already = f"{said.capitalize()} of '{scene.service}' is not paused."
            return Plan((already,), already=already)
        verb = "Pauses" if self.pauses else "Resumes"
        return Plan((f"{verb} {said} of '{scene.service}'. {self.does}",))

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Pause or resume it, unless somebody has."""
        journal, said = _journal(scene), _SAID[self.what]
        with suppress(DataError):  # somebody was quicker
            reason = f"{scene.mark}: {scene.incident.reason}"[:1000]
            (journal.pause if self.pauses else journal.resume)(self.what, scene.by, reason)
        event = journal.standing().paused.get(self.what)
        if self.pauses != (event is not None):
            raise DataError(f"Somebody has changed {said} meanwhile. Look at leaven loop status.")
        stands = "goes on" if event is None else f"is paused, by {event.person}"
        return Done(f"{said.capitalize()} of '{scene.service}' {stands}.")


def _journal(scene: Scene) -> Journal:
    return Journal(scene.store, scene.service, clock=scene.clock)
