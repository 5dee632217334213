"""Passwords: which are taken, what is kept of one, and secrets that nobody can guess.

What is kept is scrypt's key (RFC 7914) with its salt and its cost beside it, so that a dearer cost
later does not shut anybody out. Secrets that we draw (invitations, tokens, cookies) have 256 random
bits, for which one SHA-256 is enough.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import unicodedata
from dataclasses import dataclass

from leaven.core.errors import SettingError

__all__ = ["Cost", "check_password", "digest", "hashed", "is_right", "new_secret", "stranger"]

_SHORTEST, _LONGEST, _SIGNS = 12, 512, 5
_SALT, _KEY = 16, 64  # bytes
_LARGEST = 256 * 2**20  # bytes that one check may take, whatever a database says


@dataclass(frozen=True)
class Cost:
    """scrypt's cost: 2^`power` blocks of 128 `block` bytes each, `lanes` times; 32 MiB here."""

    power: int = 15
    block: int = 8
    lanes: int = 3


def new_secret() -> str:
    """256 random bits, as a word for links and headers."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret that we drew."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_password(password: str, name: str = "") -> None:
    """SettingError for one that is soon guessed; what was said is not repeated.

    Length is what counts (NIST SP 800-63B, 5.1.1.2): there is no rule of what signs it has.
    """
    told = _plain(password)
    short = len(told) < _SHORTEST or len(told) > _LONGEST or len(set(told)) < _SIGNS
    if short or (name and name.casefold() in told.casefold() and len(told) < len(name) + _SHORTEST):
        raise SettingError(
            "password",
            f"{_SHORTEST} to {_LONGEST} signs, {_SIGNS} different ones, and not one's own name",
            "…",
            "Several words that nobody would guess are easy to keep.",
        )


def hashed(password: str, cost: Cost) -> str:
    """What is kept of a password: `scrypt$power$block$lanes$salt$key`."""
    salt = secrets.token_bytes(_SALT)
    return _written(cost, salt, _key(password, salt, cost))


def stranger(cost: Cost) -> str:
    """What would be kept of a password that nobody has: to judge one takes as long as any."""
    return _written(cost, secrets.token_bytes(_SALT), secrets.token_bytes(_KEY))


def is_right(password: str, kept: str, cost: Cost) -> tuple[bool, bool]:
    """Whether this is the password of which that is kept, and whether it was kept at this cost."""
    kind, power, block, lanes, salt, key = kept.split("$")
    used = Cost(int(power), int(block), int(lanes))
    if kind != "scrypt" or 128 * used.block * 2**used.power > _LARGEST:
        return False, False
    found = _key(password, base64.b64decode(salt), used)
    return secrets.compare_digest(found, base64.b64decode(key)), used == cost


def _written(cost: Cost, salt: bytes, key: bytes) -> str:
    parts = (base64.b64encode(one).decode() for one in (salt, key))
    return "$".join(("scrypt", str(cost.power), str(cost.block), str(cost.lanes), *parts))


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    told = _plain(password).encode("utf-8", "surrogatepass")[: 4 * _LONGEST]
    return hashlib.scrypt(
        told,
        salt=salt,
        n=2**cost.power,
        r=cost.block,
        p=cost.lanes,
        maxmem=2 * _LARGEST,
        dklen=_KEY,
    )


def _plain(password: str) -> str:
    """The same signs, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password)
