"""The verbs for encryption at rest: a new key, and a file of a run for programs that have none."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["new_encryption_key", "unseal"]


def new_encryption_key() -> tuple[str, str]:
    """A new key for LEAVEN_ENCRYPTION_KEY, in base64, and its id, by which errors name it."""
    from leaven.core.sealing import new_encryption_key as made

    return made()


def unseal(file: str | Path, out: str | Path) -> Path:
    """Write what an encrypted file holds to another one, plain; returns where.

    Raises DataError where there is no such file or it is not encrypted, SealedError where no key in
    LEAVEN_ENCRYPTION_KEY fits, DamagedError where it is not what was written; then nothing is.
    """
    from leaven.core.errors import DataError, SettingError
    from leaven.core.files import is_sealed_file, reading, writing

    source, target = Path(file), Path(out)
    if not source.is_file():
        raise DataError(f"There is no file '{source}'.")
    if not is_sealed_file(source):
        raise DataError(f"'{source}' is not encrypted. Read it as it is.")
    if target.resolve() == source.resolve():
        raise SettingError("out", "another file than the encrypted one", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with reading(source) as plain, writing(target, plain=True) as written:
        shutil.copyfile(plain, written)
    return target
