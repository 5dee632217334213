"""The folder of a run while it is made: one writer, a clock that survives kills, whole files."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from leaven.core.errors import RunError
from leaven.core.files import read_bytes, write_bytes, writing
from leaven.core.sealing import encryption_keys

__all__ = ["RunFolder", "read_json", "write_json", "write_page"]


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


class RunFolder:
    """A run's folder, held by one process at a time.

    `work` holds what is needed to go on after a kill and is removed when the run is done.
    With `fresh` it is emptied
    first. `elapsed` counts the seconds in which a process worked on the run, not those between.
    Entering raises RunError when another process holds it.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self.path = path
        self.work = path / "work"
        self._fresh = fresh
        self._lock: IO[str] | None = None
        self._base = 0.0
        self._since = time.monotonic()
        self._cpu_base = 0.0

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
        clock = self.read("clock.json") or {"seconds": 0.0, "cpu_seconds": 0.0}
        self._base, self._cpu_base = clock["seconds"], clock["cpu_seconds"]
        self._since, self._cpu_since = time.monotonic(), time.process_time()
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
        return self._base + time.monotonic() - self._since

    @property
    def cpu(self) -> float:
        """CPU seconds of work so far."""
        return self._cpu_base + time.process_time() - self._cpu_since

    def tick(self) -> None:
        """Put the clock on disk; called wherever progress is."""
        self.write("clock.json", {"seconds": self.elapsed, "cpu_seconds": self.cpu})

    def read(self, name: str) -> Any:
        """A JSON file of `work`, or None."""
        path = self.work / name
        return read_json(path) if path.exists() else None

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of `work`."""
        write_json(self.work / name, value)
