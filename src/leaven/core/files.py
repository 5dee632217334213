"""Files of Leaven's own: whole or not there, and encrypted where there is a key.

Libraries that read and write models and tables want a path. So what is sealed passes through a
file in memory that has a path and no name: its plaintext is on no disk, and goes with the process.
Without a key nothing passes through anything: paths are the files' own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from leaven.core.errors import SealedError
from leaven.core.sealing import MAGIC, is_sealed, seal_stream, sealing, unseal_stream

__all__ = ["is_sealed_file", "read_bytes", "reading", "scratch", "write_bytes", "writing"]


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


def _memory() -> IO[bytes]:
    if not hasattr(os, "memfd_create"):
        raise SealedError("Encrypted files need Linux: this system has no files in memory.")
    return os.fdopen(os.memfd_create("leaven"), "w+b")


def _path_of(file: IO[bytes]) -> Path:
    return Path(f"/proc/self/fd/{file.fileno()}")
