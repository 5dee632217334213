"""The noun for a pretraining: an encoder that learnt from records without labels, and its worth.

The folder is a run of its own kind: `pretraining.json` (all that was found), `encoder/` (what
`leaven fit --encoder FOLDER` begins with) and `report.html`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaven.core.errors import RunError
from leaven.evaluate.folder import read_json, write_page
from leaven.evaluate.report.pretraining import render_pretraining
from leaven.learn.start import PRETRAINING, Start

__all__ = ["Pretraining"]


class Pretraining:
    """A finished pretraining, read from its folder; `story` is the whole of `pretraining.json`."""

    def __init__(self, folder: Path, story: dict[str, Any]) -> None:
        self.folder, self.story = folder, story

    @classmethod
    def load(cls, folder: str | Path) -> Pretraining:
        """Open the folder. RunError when it is none, or not finished."""
        path = Path(folder) / PRETRAINING
        try:
            story = read_json(path)
            _ = story["pretext"]["name"], story["seen"]["records"], story["run"]["seconds"]
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise RunError(
                f"'{folder}' is no finished pretraining ({broken}). Make one with leaven pretrain."
            ) from broken
        return cls(Path(folder), story)

    def __repr__(self) -> str:
        return f"Pretraining({str(self.folder)!r}: {self.story['sentence']})"

    @property
    def start(self) -> Start:
        """The encoder, for a fit to begin with."""
        return Start.load(self.folder / "encoder")

    def report(self, out: str | Path | None = None) -> Path:
        """Write the report; returns where. One at `out` is never encrypted."""
        return write_page(render_pretraining(self.story), self.folder, out)
