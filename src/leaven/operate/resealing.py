"""Encrypting what lies there already: runs, evidence, labels of loops, and the cache of features.

Only files that Leaven itself writes encrypted where there is a key are touched, and found by the
folders that they are in; what somebody asked for by name (`--out`) stays as it is. Each file is
replaced as a whole. So after a kill each is as it was or encrypted, and reads the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from leaven.core.errors import LeavenError, RunError, SealedError
from leaven.core.files import seal_file
from leaven.core.holding import held
from leaven.core.sealing import VARIABLE, sealing

__all__ = ["Resealed", "seal_folder"]

#: What never is encrypted: settings, digests, and who holds a folder.
_PLAIN = {"recipe.toml", "manifest.json", "lock"}
#: One of these is in a folder that is all Leaven's: a run, done or not, a pretraining, evidence.
_MARKS = ("run.json", "pretraining.json", "work/lock", "incident.json")
#: What is Leaven's wherever it lies: labels that a fit is given, and features.
_NAMED = ("labels-*.parquet", "features/*/*.safetensors")
_SCRATCH = ".sealing-"


@dataclass
class Resealed:
    """How many files were encrypted, and those that were left as they are, each with the reason."""

    files: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)


def seal_folder(home: Path) -> Resealed:
    """Encrypt with the newest key what Leaven has written below a folder, plain or with another.

    What is left: a run that a process is making, links, and what no key opens or is damaged. Raises
    SealedError where there is no key, RunError where another process does the same.
    """
    if not sealing():
        raise SealedError(f"There is no key to encrypt with: set {VARIABLE}.")
    came = Resealed()
    with ExitStack() as stack:
        try:
            stack.enter_context(held(home))
        except BlockingIOError as busy:
            raise RunError(f"Another process encrypts '{home}'. Wait for it.") from busy
        for old in home.glob(f"{_SCRATCH}*"):
            shutil.rmtree(old, ignore_errors=True)  # of a process that was killed
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=home)))
        for folder, files in _own(home):
            _seal(folder, files, scratch, came)
    return came


def _own(home: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Leaven's files below a folder, by the folder that holds them."""
    for at, below, names in os.walk(home):
        folder = Path(at)
        if folder.name.startswith(_SCRATCH):
            below.clear()
        elif any((folder / mark).is_file() for mark in _MARKS):
            below.clear()
            files = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
            yield folder, [path for path in files if path.name not in _PLAIN]
        else:
            files = (folder / name for name in sorted(names))
            yield folder, [path for path in files if any(map(path.match, _NAMED))]


def _seal(folder: Path, files: list[Path], scratch: Path, came: Resealed) -> None:
    with ExitStack() as stack:
        lock = folder / "work" / "lock"
        try:
            if lock.is_file():
                stack.enter_context(held(lock))
        except BlockingIOError:
            came.left.append((str(folder), "A process is making this run."))
            return
        for path in files:
            try:
                if path.is_symlink():
                    came.left.append((str(path), "This is a link."))
                else:
                    came.files += seal_file(path, scratch)
            except FileNotFoundError:  # it went meanwhile
                continue
            except (LeavenError, OSError) as wrong:
                came.left.append((str(path), str(wrong)))
