"""The reference for drift of a released run: kept beside it at release, read where it serves.

It is no part of the model: who changes it misleads the watch over what comes in, not the answers.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from leaven.core.errors import DataError, LeavenError
from leaven.operate.drift.directions import DIRECTED
from leaven.operate.drift.keeping import Kept, kept
from leaven.operate.drift.reference import Reference

if TYPE_CHECKING:
    from leaven.evaluate.run import Run

__all__ = ["COUNTED", "REFERENCE", "keep_reference", "kept_of", "reference_of"]

#: Its file, within the run's folder.
REFERENCE = "reference.drift"
#: Modalities of records that are counted: by their columns, or by their directions.
COUNTED = ("tabular", "text", *DIRECTED)
_SAID = logging.getLogger(__name__)


def keep_reference(run: Run) -> str:
    """Write the reference of a run from its records, where there is none yet.

    Returns why there is none, "" where there is: the records may not be at hand any more, be others
    than those of the run, or be nodes of a graph. A release does not hang on it.
    """
    path, told = run.folder / REFERENCE, run.story["dataset"]
    if path.is_file():
        return ""
    if told["modality"] not in COUNTED:
        return f"{told['modality']} records cannot be counted."
    from leaven.operate.drift.watched import Watched  # looks at features too, and loads torch

    try:
        dataset = run.records()
        if dataset.hash != told["hash"]:
            raise DataError(f"The records at '{told['source']}' have changed since the fit.")
        Watched.of(dataset).keep(path)
    except (LeavenError, OSError) as reason:
        _SAID.info("No reference for drift: %s", reason)
        return str(reason)
    return ""


def kept_of(folder: Path) -> Kept | None:
    """What was kept of the run in a folder; None where nothing was.

    Raises DataError for what is damaged, SealedError for what no key opens.
    """
    path = folder / REFERENCE
    return kept(path) if path.is_file() else None


def reference_of(folder: Path) -> Reference | None:
    """The reference alone; None and raises as `kept_of`."""
    found = kept_of(folder)
    return None if found is None else found.reference
