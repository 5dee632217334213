"""Files of Leaven's own: whole or not there, and encrypted where there is a key.

Libraries that read and write models and tables want a path. So what is sealed passes through a
file in memory that has a path and no name: its plaintext is on no disk, and goes with the process.
Without a key nothing passes through anything: paths are the files' own.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from leaven.core.errors import SealedError
from leaven.core.sealing import (
    LATER,
    MAGIC,
    before_of,
    first_parts,
    is_newest,
    is_sealed,
    seal_stream,
    sealing,
    unseal_stream,
)

__all__ = [
    "cache_folder",
    "first_bytes",
    "first_digest",
    "is_sealed_file",
    "read_bytes",
    "reading",
    "scratch",
    "seal_file",
    "write_bytes",
    "writing",
]

_BLOCK = 1 << 20
_START = 64  # bytes in which a header lies


def cache_folder() -> Path | None:
    """Where Leaven keeps what it can make again; None where the user wants nothing kept.

    LEAVEN_CACHE names the folder, or says `off`; else it is `leaven` in XDG_CACHE_HOME, else
    ~/.cache/leaven.
    """
    named = os.environ.get("LEAVEN_CACHE", "")
    if named == "off":
        return None
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()) / "leaven"


@contextmanager
def writing(path: Path, *, durable: bool = False, plain: bool = False) -> Iterator[Path]:
    """A path to write to: what is there at the end becomes `path`, sealed if there is a key.

    After an error or a kill `path` is as it was.

    Parameters
    ----------
    durable : when this ends, it is on the disk.
    plain : it is not sealed.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        if plain or not sealing():
            yield partial
        else:
            with _memory() as file:
                yield _path_of(file)
                with partial.open("wb") as target:
                    seal_stream(file, target)
        if durable:
            with partial.open("rb") as written:
                os.fsync(written.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """`path`, or where it is sealed a path to its plaintext in memory.

    What has been mapped from it may be used on afterwards. Raises OSError as opening the file does,
    SealedError where no key fits, DamagedError where it is not what was written.
    """
    if not is_sealed_file(path):
        yield path
        return
    with _memory() as file:
        with path.open("rb") as source:
            unseal_stream(source, file, place=str(path))
        file.flush()
        yield _path_of(file)


def is_sealed_file(path: Path) -> bool:
    """Whether the file is encrypted, with whichever key; raises OSError as opening it does."""
    with path.open("rb") as source:
        return is_sealed(source.read(len(MAGIC)))


def first_bytes(path: Path) -> bytes:
    """The bytes that were first written there, also where they were sealed later.

    Who changes what a file holds changes them. Raises as `reading`: what was sealed later takes its
    key.
    """
    return b"".join(_first_parts(path))


def first_digest(path: Path) -> str:
    """SHA-256 in hex of `first_bytes`, which are not held in memory."""
    told = hashlib.sha256()
    for part in _first_parts(path):
        told.update(part)
    return told.hexdigest()


def seal_file(path: Path, scratch: Path) -> bool:
    """Seal a file that is there, plain or with another key, with the newest; whether it was not.

    After a kill it is as it was or sealed. Where somebody else writes it meanwhile, theirs stays.
    Raises SealedError where there is no key, or none that opens it, DamagedError, and OSError.

    Parameters
    ----------
    scratch : a folder on the same disk, for what a kill leaves behind: encrypted, and of no use.
    """
    with path.open("rb") as source:
        found = os.fstat(source.fileno())
        if is_newest(source.read(_START)):
            return False
        source.seek(0)
        before = before_of(source, place=str(path))
    partial = scratch / secrets.token_hex(8)
    try:
        with reading(path) as plain, plain.open("rb") as source, partial.open("wb") as target:
            seal_stream(source, target, before=before)
            target.flush()
            os.fsync(target.fileno())
        shutil.copystat(path, partial)  # what is oldest in a cache goes first
        now = path.stat()
        if (now.st_ino, now.st_mtime_ns, now.st_size) != (
            found.st_ino, found.st_mtime_ns, found.st_size,
        ):  # fmt: skip
            return False
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, see `writing`."""
    with writing(path) as target:
        target.write_bytes(content)


def read_bytes(path: Path) -> bytes:
    """Read a file; raises as `reading`."""
    with reading(path) as plain:
        return plain.read_bytes()


def scratch(prefix: str, folder: Path | None = None) -> IO[bytes]:
    """A file without a name that goes when it is closed and its maps are dropped.

    It lies on disk (in `folder`, by default where temporary files do), where there is a key in
    memory. `prefix` tells who looks for what fills the disk.
    """
    if sealing():
        return _memory()
    file: IO[bytes] = tempfile.TemporaryFile(prefix=prefix, dir=folder)  # noqa: SIM115
    return file


def _first_parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        is_later = source.read(len(LATER)) == LATER
        source.seek(0)
        if not is_later:
            yield from iter(lambda: source.read(_BLOCK), b"")
            return
        before = before_of(source, place=str(path))
    with reading(path) as plain, plain.open("rb") as source:
        yield from first_parts(source, before)


def _memory() -> IO[bytes]:
    if not hasattr(os, "memfd_create"):
        raise SealedError("Encrypted files need Linux: this system has no files in memory.")
    return os.fdopen(os.memfd_create("leaven"), "w+b")


def _path_of(file: IO[bytes]) -> Path:
    return Path(f"/proc/self/fd/{file.fileno()}")
