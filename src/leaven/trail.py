"""The verbs for the audit log: show what was done, and verify that nobody has changed it since."""

from __future__ import annotations

import json
import string
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import SettingError

if TYPE_CHECKING:
    from leaven.store.audit import AuditLog, Head

__all__ = ["entries", "head", "verify"]

_LARGEST = 10_000  # bytes of a file that holds a head


def entries(
    store: str | Path | None = None,
    *,
    who: str | None = None,
    what: str = "",
    about: str | None = None,
    most: int = 50,
) -> list[dict[str, Any]]:
    """The latest acts, the latest first: `number`, `at`, `who`, `what`, `about`, `details`, `hash`.

    Parameters
    ----------
    store : a file or URL, see `Store`; by default `runs/leaven.db`.
    who, about : only of this person; only about this user, token, service or queue.
    what : only acts that begin so: `release`, `people.refused`.
    most : so many.

    Raises DataError where there is no store, SettingError for a number that cannot be used.
    """
    if not 1 <= most <= 100_000:
        raise SettingError("most", "a number from 1 to 100 000", most)
    found = _log(store).entries(who=who, what=what, about=about, most=most)
    return [asdict(one) | {"details": json.loads(one.details)} for one in found]


def head(store: str | Path | None = None) -> dict[str, Any]:
    """The last entry's `number` and `hash`, to be kept elsewhere.

    Where LEAVEN_SIGNING_KEY is set also a `signature` of both and the public `key` of who signs,
    else these are "".
    """
    from leaven.core.signing import sign

    found = _log(store).head()
    signature, key = sign(_message(found))
    return {"number": found.number, "hash": found.hash, "signature": signature, "key": key}


def verify(store: str | Path | None = None, *, expect: str | None = None) -> dict[str, Any]:
    """Read the whole log, and say whether it is still what was written.

    Parameters
    ----------
    expect : the hash of an entry that was kept, `NUMBER:HASH`, or a file of `head`. The log must
        still have it. With LEAVEN_PUBLIC_KEY a file must be signed by that key.

    Returns `whole`, `entries` that were read as whole, `began`, `ended` (seconds since 1970), the
    `head`, and where it is not whole the `broken` entry's number and `why`. Raises SettingError for
    an `expect` that is none, or is not signed as it should be.
    """
    told = asdict(_log(store).check(_expected(expect) if expect is not None else None))
    fault = told.pop("fault") or {"number": None, "why": ""}
    return {"whole": not fault["why"], **told, "broken": fault["number"], "why": fault["why"]}


def _expected(told: str) -> Head:
    from leaven.store.audit import Head

    number, _, hash_ = told.strip().rpartition(":")
    if _is_hash(hash_) and (not number or _is_number(number)):
        return Head(int(number or 0), hash_.lower())
    return _from_file(Path(told))


def _from_file(path: Path) -> Head:
    """The head that a file holds, once its signature was judged."""
    from leaven.core.signing import PUBLIC, public_key, why_not
    from leaven.store.audit import Head

    wanted = "a hash of 64 digits, NUMBER:HASH, or a file of leaven audit show --last --json"
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_LARGEST))
        number, hash_ = str(told["number"]), str(told["hash"])
        signature, key = str(told["signature"]), str(told["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as wrong:
        raise SettingError("expect", wanted, str(path)[:200]) from wrong
    if not _is_hash(hash_) or not _is_number(number):
        raise SettingError("expect", wanted, str(path)[:200])
    found = Head(int(number), hash_.lower())
    if not signature and public_key() is not None:
        raise SettingError("expect", f"signed, for {PUBLIC} is set", f"'{path}' without signature")
    if signature and (why := why_not(_message(found), signature, key)):
        raise SettingError("expect", "signed by who kept it", f"a signature that fails: {why}")
    return found


def _message(head: Head) -> bytes:
    """What is signed: it says what it is, so that no signature of anything else passes for it."""
    return f"leaven audit head {head.number} {head.hash}".encode("ascii")


def _is_hash(told: str) -> bool:
    return len(told) == 64 and set(told) <= set(string.hexdigits)


def _is_number(told: str) -> bool:
    return told.isascii() and told.isdigit() and 0 < len(told) < 12


def _log(store: str | Path | None) -> AuditLog:
    from leaven.store.audit import AuditLog
    from leaven.store.store import store_at

    return AuditLog(store_at(store, "There is no audit log yet"))
