"""The verbs for game days: what drills there are, and to play them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leaven.core.progress import Listener

__all__ = ["ALL", "drills", "play"]

#: In place of a name: every drill.
ALL = "all"


def drills() -> list[dict[str, Any]]:
    """Each drill: its `name`, what is done (`says`), and what is promised (`promises`, each as
    `leaven.operate.gameday.drill.Promise`)."""
    from dataclasses import asdict

    from leaven.operate.gameday.drill import DRILLS

    return [
        {"name": name, "says": one.says, "promises": [asdict(each) for each in one.promises]}
        for name, one in DRILLS.items()
    ]


def play(
    name: str = ALL,
    *,
    data: Any = None,
    label: str | None = None,
    out: str | Path | None = None,
    store: str | None = None,
    report: str | Path | None = None,
    seed: int = 0,
    words: Mapping[str, Sequence[str]] | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Bring a fault into a set-up of its own, and hold what was promised against what was seen.

    Parameters
    ----------
    name : one of `drills`, or "all".
    data : records with labels, a table or whatever `leaven.fit` takes; tumours that come with
        scikit-learn if not given. They are read and nothing else.
    label : the column of labels, with `data`.
    out : a new or empty folder, in which everything happens and stays. By default a temporary one,
        which is removed if all was kept.
    store : "sqlite", "postgresql" for a server of its own, or the URL of a PostgreSQL on which
        databases are made and removed.
    report : write a page to this file.
    words : what a command of Leaven gets beside what the drill gives it, by its name, as
        `{"serve": ["--no-guard"]}`: whether a drill notices.

    Returns what `leaven.operate.gameday.playing.play` does, `folder` where one is left, and
    `report`. Raises UnknownNameError for a drill that there is not, SettingError for a folder that
    is not empty, DataError for data that no drill can use, RunError where the runs cannot be
    fitted.
    """
    from leaven.core.errors import SettingError
    from leaven.data.given import given
    from leaven.operate.gameday.drill import DRILLS
    from leaven.operate.gameday.judging import KEPT
    from leaven.operate.gameday.playing import play as played
    from leaven.releasing import release

    names = list(DRILLS) if name == ALL else [name]
    _ = [DRILLS[one] for one in names]  # before anything is read
    if data is None and label is not None:
        raise SettingError("label", "given together with `data`", label)
    read = None if data is None else given(data, label=label, labels=None)
    folder = _folder(out)
    told: dict[str, Any] = {"outcome": ""}
    try:
        told = played(names, folder, release, data=read, store=store, seed=seed, words=words,
                      progress=progress)  # fmt: skip
    finally:
        if out is None and told["outcome"] in (KEPT, ""):
            shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        told["folder"] = str(folder)
    if report is not None:
        import leaven
        from leaven.core.files import write_bytes
        from leaven.operate.gameday.page import rendered

        path = Path(report)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, rendered(told, leaven.__version__).encode())
        told["report"] = str(path)
    return told


def _folder(out: str | Path | None) -> Path:
    """Where it happens."""
    from leaven.core.errors import SettingError

    if out is None:
        return Path(tempfile.mkdtemp(prefix="leaven-gameday-"))
    folder = Path(out).expanduser().resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fix = "A game day touches nothing that is there."
        raise SettingError("out", "a new or an empty folder", str(out), fix)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
