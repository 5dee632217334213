"""The verbs for what comes in later: drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.progress import Listener, Progress

if TYPE_CHECKING:
    from leaven.operate.drift.drift import Drift

__all__ = ["drift"]


def drift(
    reference: str | Path,
    came: Any,
    *,
    label: str | bool | None = None,
    modality: str | None = None,
    time: str | None = None,
    season: str | None = None,
    slice: str | None = None,
    ignore: Sequence[str] = (),
    least: float = 0.03,
    level: float = 0.05,
    look: int = 1,
    keep: str | Path | None = None,
    report: str | Path | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Whether records that came in later are still like those a model was made for.

    Parameters
    ----------
    reference : a run, whose records are the reference and whose encoder looks at them; data; or
        what `keep` wrote.
    came : data, read as the reference was.
    label : the label column of both, which is not looked at; False where there is none.
    time, season : a column of dates, and what repeats in it (hour, weekday, week, month); a
        change of their mix is no drift.
    slice : a column by whose values the records are looked at apart as well.
    ignore : columns that are not looked at.
    least : the share of records that must lie elsewhere to matter.
    level : the share of false findings that is accepted, over all looks at this reference.
    look : how many times this reference was looked at, this one included.
    keep : write the reference to this file, `….drift`, so that its records are not needed again.
    report : write a page to this file.

    Returns `outcome` (shifted, unsure or same), `sentence`, `advice`, `shifts` and `features`.
    Raises DataError for what cannot be read, SettingError and UnknownNameError for wrong settings.
    """
    from leaven.operate.drift.watched import Watched

    tell = progress or (lambda _: None)
    tell(Progress("reading the reference"))
    watched = Watched.of(
        reference, label=label, modality=modality, time=time, season=season, slice=slice,
        ignore=ignore,
    )  # fmt: skip
    if keep is not None:
        watched.keep(Path(keep))
    tell(Progress("reading the new records"))
    records = watched.read(came)
    tell(Progress("comparing"))
    found = watched.compare(records, least=least, level=level, look=look)
    told = _told(found)
    if report is not None:
        told["report"] = str(_written(found, Path(report), watched.name, records.name))
    return told


def _told(found: Drift) -> dict[str, Any]:
    return {
        "outcome": found.outcome,
        "sentence": found.sentence,
        "advice": list(found.advice),
        "reference": found.reference.own.n,
        "came": found.came.n,
        "features": None if found.features is None else asdict(found.features),
        "shifts": [asdict(shift) for shift in found.shifts],
    }


def _written(found: Drift, path: Path, reference: str, came: str) -> Path:
    import leaven
    from leaven.core.files import write_bytes
    from leaven.operate.drift.page import rendered

    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    html = rendered(found, reference=reference, came=came, created=now, leaven=leaven.__version__)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, html.encode())
    return path
