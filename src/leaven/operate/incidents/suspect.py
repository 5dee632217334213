"""The run that is suspected, and what a step has to know of it: folder, data, queue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import DataError
from leaven.evaluate.run import Run
from leaven.operate.incidents.step import Scene
from leaven.operate.registry import Registry

__all__ = ["SUSPECT", "Suspect", "suspect_of"]

#: What the setting `run` of a step is.
SUSPECT = "the suspected run, by id or folder; the canary or live run of when it was opened"


@dataclass(frozen=True)
class Suspect:
    """A run and the digest of its model, "" where it was named by its folder."""

    run: Run
    digest: str

    @property
    def queue(self) -> str:
        """The queue of its data."""
        return str(self.run.story["dataset"]["name"])

    def data(self, asked: Any) -> str | None:
        """The path of its records, or those that were asked for; None where it had no path."""
        return str(asked or self.run.story["dataset"]["source"] or "") or None


def suspect_of(scene: Scene) -> Suspect:
    """The run that a step is about.

    It is the setting `run`, a folder or the id of a registered run, if there is one; else the
    canary, or the live run, of when the incident was opened. Raises LeavenError where it cannot be
    opened.
    """
    asked = scene.settings.get("run")
    if asked is not None and (Path(str(asked)) / "run.json").is_file():
        return Suspect(Run.load(str(asked)), "")
    then = scene.then()
    named = then.canary or then.live
    if asked is None and named is None:
        raise DataError(
            f"Nothing was live in '{scene.service}' when incident {scene.incident.number} was "
            "opened. Name a run: --set run=FOLDER."
        )
    registry = Registry(scene.store)
    if asked is not None:
        found = registry.get(str(asked))
    else:
        assert named is not None
        found = registry.get(named.run, named.digest)
    return Suspect(Run.load(found.folder), found.digest)
