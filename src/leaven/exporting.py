"""The verb that makes a run serve without torch: export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.core.progress import Progress
    from leaven.evaluate.run import Run

__all__ = ["export"]


def export(
    run: Run | str | Path,
    target: str = "onnx",
    *,
    data: Any = None,
    label: str | None = None,
    out: str | Path | None = None,
    distilled: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Write a run's model so that it serves without torch and without Leaven.

    Parameters
    ----------
    target : `onnx`; `edge`, with weights of 8 bits besides and what they lose; or `serverless`,
        with a handler.
    data : records by which the exported model is held against the run's own; the run's own ones,
        if they are where they were.
    label : a column of true labels in `data`, by which `edge` says how right both are.
    out : the folder; by default `exported/TARGET` in the run's.
    distilled : export the small model that `leaven distil` made.
    progress : told what is done.

    Returns what was measured, and the `folder`. Raises LeavenError where it cannot be exported.
    """
    from leaven.evaluate.run import Run
    from leaven.operate.export.exported import export as exported

    opened = run if isinstance(run, Run) else Run.load(run)
    listen = progress or (lambda _: None)
    return exported(
        opened, target, data=data, label=label, out=out, distilled=distilled, listen=listen
    )
