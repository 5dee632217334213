"""Revoke: labels of a source that misled are taken back, and the runs that they taught named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.wording import many
from leaven.operate.incidents.sources import given_in
from leaven.operate.incidents.step import STEPS, Done, Plan, Scene, Step
from leaven.operate.incidents.suspect import SUSPECT, suspect_of


@STEPS.register("revoke")
class Revoke(Step):
    """As `leaven label revoke`: the answers stay in the history, and their records are asked again.

    Of a file that is the data of a run, or its rules, there is nothing to take back: the runs that
    it taught are named.
    """

    title = "Revoke the labels of a source"
    does = "Takes back all labels of a person or an imported file, and lists the runs they taught."
    rank = 50
    takes: ClassVar[Mapping[str, str]] = {
        "person": "whose answers",
        "file": "or which imported file's",
        "run": SUSPECT,
        "queue": "the queue; that of the run's data",
    }

    def plan(self, scene: Scene) -> Plan:
        """How many labels go, and which runs they taught."""
        from leaven.evaluate.lineage import taught_runs
        from leaven.label.queue import Queue, queue_names

        person, file = scene.settings.get("person"), scene.settings.get("file")
        if (person is None) == (file is None):
            raise SettingError("set", "person=NAME or file=NAME, one of the two", person)
        suspect = suspect_of(scene)
        name, source = str(scene.settings.get("queue") or suspect.queue), str(person or file)
        given = []
        if name in queue_names(scene.store):
            given = given_in(Queue(scene.store, name))
        mine = [one for one in given if source == (one.person if person else one.file)]
        runs = taught_runs(suspect.run.folder.resolve().parent, by=source)
        sure = [one.run for one in runs if one.labels]
        if not mine and not sure:
            known = {one.person if person else one.file for one in given} - {""}
            raise UnknownNameError("person" if person else "file", source, known)
        chosen = {
            "person": None if person is None else source, "file": None if file is None else source,
            "queue": name, "labels": len(mine), "runs": [[one.run, one.labels] for one in runs],
        }  # fmt: skip
        taken = many(len(mine), "label", "labels")
        says = f"Takes back {taken} of '{source}' in the queue '{name}'."
        taught = ", ".join(sure[:20]) or "none beside the suspected one"
        return Plan((says, f"They taught these runs: {taught}."), chosen)

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Take them back, all or none; a second call finds none that stands."""
        from leaven.label.queue import Queue, queue_names
        from leaven.label.trust.revoking import revoke

        source = chosen["person"] or chosen["file"]
        if chosen["labels"] and chosen["queue"] in queue_names(scene.store):
            revoke(
                Queue(scene.store, chosen["queue"]), by=scene.by, person=chosen["person"],
                file=chosen["file"], reason=f"{scene.mark}: {scene.incident.reason}"[:1000],
            )  # fmt: skip
        result = {name: chosen[name] for name in ("labels", "person", "file", "runs")}
        taken = many(chosen["labels"], "label", "labels")
        return Done(f"{taken} of '{source}' taken back.", result)
