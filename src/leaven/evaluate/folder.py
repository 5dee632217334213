"""The folder of a run while it is made: one writer, a clock that survives kills, whole files."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from leaven.core.errors import CapError, RunError
from leaven.core.files import read_bytes, write_bytes, writing
from leaven.core.sealing import encryption_keys
from leaven.evaluate.spending import Caps, Meter, Spent

__all__ = ["RunFolder", "folder_bytes", "read_json", "write_json", "write_page"]


def write_json(path: Path, value: Any, *, plain: bool = False) -> None:
    """Write it so that a reader never meets half a file; `plain` is not sealed, see `writing`."""
    with writing(path, durable=True, plain=plain) as target, target.open("w") as file:
        json.dump(value, file, indent=1, allow_nan=False)


def read_json(path: Path) -> Any:
    """What `write_json` wrote; raises ValueError where it is no JSON, and as `reading`."""
    return json.loads(read_bytes(path))


def write_page(page: str, folder: Path, out: str | Path | None) -> Path:
    """Write a report into its folder, as all that lies there, or plain to `out`; returns where."""
    if out is None:
        target = folder / "report.html"
        write_bytes(target, page.encode())
    else:
        target = Path(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    return target


def folder_bytes(path: Path) -> int:
    """The bytes of the files of a run's folder, without those that only its making needs."""
    size = 0
    for one in path.rglob("*"):
        if path / "work" not in one.parents:
            with suppress(FileNotFoundError):  # it went meanwhile
                told = one.lstat()
                size += told.st_size if stat.S_ISREG(told.st_mode) else 0
    return size


class RunFolder:
    """A run's folder, held by one process at a time.

    `work` holds what is needed to go on after a kill and is removed when the run is done.
    With `fresh` it is emptied
    first. `elapsed` counts the seconds in which a process worked on the run, not those between.
    Where `caps` are reached, `tick` ends the work. Entering raises RunError when another process
    holds it.
    """

    def __init__(self, path: Path, fresh: bool = False, caps: Caps | None = None) -> None:
        self.path = path
        self.work = path / "work"
        self._fresh = fresh
        self._lock: IO[str] | None = None
        self._caps = caps
        self._meter = Meter(Spent())

    def __enter__(self) -> RunFolder:
        encryption_keys()  # a wrong one leaves no folder behind
        self.work.mkdir(parents=True, exist_ok=True)
        self._lock = (self.work / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise RunError(
                f"The run '{self.path}' is being made by process {holder}. "
                "Wait for it, or give another folder with --out."
            ) from busy
        if self._fresh:
            self._empty()
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        self._meter = Meter(Spent(**(self.read("clock.json") or {})))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        self._lock.close()

    def _empty(self) -> None:
        """Remove what earlier processes made, but the lock that is held."""
        for old in [*self.path.iterdir(), *self.work.iterdir()]:
            if old == self.work or old.name == "lock":
                continue
            shutil.rmtree(old) if old.is_dir() else old.unlink()

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, over all processes that worked on it."""
        return self._meter.seconds

    @property
    def spent(self) -> Spent:
        """What the work took so far, over all processes that worked on it."""
        return self._meter.spent()

    @property
    def reached(self) -> str:
        """Which cap is reached, as a sentence; "" while none is."""
        return "" if self._caps is None else self._caps.reached(self.spent, self._meter.memory)

    def check(self) -> None:
        """Raise CapError where a cap is reached."""
        if said := self.reached:
            raise CapError(
                f"{said} All that was done is kept in '{self.path}': the same call goes on from "
                "there with a higher cap, or with none.",
                asdict(self.spent),
            )

    def tick(self) -> None:
        """Put the clock on disk; called wherever progress is. CapError where a cap is reached."""
        self.write("clock.json", asdict(self.spent))
        self.check()

    def read(self, name: str) -> Any:
        """A JSON file of `work`, or None."""
        path = self.work / name
        return read_json(path) if path.exists() else None

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of `work`."""
        write_json(self.work / name, value)
