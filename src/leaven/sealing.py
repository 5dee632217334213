"""The verbs for encryption at rest: a new key, what lies there already, and a file made plain."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.store.store import Store

__all__ = ["new_encryption_key", "seal", "unseal"]


def new_encryption_key() -> tuple[str, str]:
    """A new key for LEAVEN_ENCRYPTION_KEY, in base64, and its id, by which errors name it."""
    from leaven.core.sealing import new_encryption_key as made

    return made()


def seal(
    folder: str | Path | None = None, *, store: str | None = None, by: str = ""
) -> dict[str, Any]:
    """Encrypt what lies there plain, or under another key, with the first one.

    That is the runs, evidence and labels of loops below the folder, the store, and the cache of
    features. A process that is killed leaves each file and value as it was or encrypted; both are
    read, and both have the digest that was signed or registered. Call it again to go on.

    Parameters
    ----------
    folder : of runs, by default `runs`.
    store : a file or URL, see `Store`; by default `leaven.db` in the folder, if it is there. Its
        audit log says what was encrypted, if anything was.
    by : who does it, for that log.

    Returns `key`, the id of the one that encrypts, how many `files` and `values` were not under it,
    and what is `left` as it was: pairs of place and reason. Raises SealedError where there is no
    key, SettingError for a folder or a store that is not there, RunError where another process does
    the same.
    """
    from leaven.core.errors import LeavenError, SealedError, SettingError
    from leaven.core.files import cache_folder
    from leaven.core.sealing import VARIABLE, encryption_keys
    from leaven.operate.resealing import seal_folder
    from leaven.store.resealing import seal_values
    from leaven.store.store import RUNS, STORE, Store

    keys = encryption_keys()
    if keys is None:
        raise SealedError(f"There is no key to encrypt with: set {VARIABLE}.")
    home, cache = Path(RUNS if folder is None else folder), cache_folder()
    if not home.is_dir():
        raise SettingError("folder", "a folder that is there", str(home))
    address = str(home / STORE) if store is None else store
    there = "://" in address or Path(address).is_file()
    if store is not None and not there:
        raise SettingError("store", "a file that is there, or a URL", store)
    told: dict[str, Any] = {"key": keys.newest, "files": 0, "values": 0, "left": []}
    for one in (home, cache):
        if one is not None and one.is_dir():
            came = seal_folder(one)
            told["files"] += came.files
            told["left"] += map(list, came.left)
    if there:
        try:
            base = Store(address)
            try:
                told["values"] = seal_values(base)
            finally:
                _note(base, by, told)
        except LeavenError as wrong:
            told["left"].append(["the store", str(wrong)])
    return told


def _note(store: Store, by: str, told: dict[str, Any]) -> None:
    """What was encrypted, if anything was, in the audit log."""
    from leaven.store.audit import note

    done = {name: told[name] for name in ("files", "values")}
    if any(done.values()):
        with store.write() as connection:
            details = done | {"left": len(told["left"])}
            note(connection, by, "encryption.sealed", told["key"], details, at=time.time())


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
