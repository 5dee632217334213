"""Encryption at rest: bytes that only who has the key can read, and nobody can change unnoticed.

What is sealed begins with a header (`MAGIC`, the id of the key, a salt). Then come chunks of
AES-256-GCM, each with its number and whether it is the last one in its nonce, so that none can be
changed, moved, left out or cut off: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015). Each sealed
thing has a key of its own, derived from the key and the salt by HKDF-SHA256 (RFC 5869), so nonces
need no memory of what was sealed before.

What was written earlier, plain or with another key, can be sealed again (`LATER`). Its plaintext
then begins with how it was sealed before: that header and the key of that one thing, or zeros. So
its bytes can be told as they were first written, and digests and signatures of these still hold.

Keys are 32 bytes in base64, in LEAVEN_ENCRYPTION_KEY or a file that it names; of several, parted by
commas or white space, the first seals and all open. They are read once a process (extra `crypto`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from leaven.core.errors import DamagedError, MissingExtraError, SealedError, SettingError

__all__ = [
    "LATER",
    "MAGIC",
    "VARIABLE",
    "Keys",
    "before_of",
    "encryption_keys",
    "first_parts",
    "is_newest",
    "is_sealed",
    "new_encryption_key",
    "opened",
    "sealed",
    "seal_stream",
    "sealing",
    "unseal_stream",
]

#: The environment variable with the keys.
VARIABLE = "LEAVEN_ENCRYPTION_KEY"
#: How all that is sealed begins; the last byte counts up when the format changes.
MAGIC = b"\x8fLEAVEN\x01"
#: How all begins that was sealed later than it was written.
LATER = b"\x8fLEAVEN\x02"
_KEY, _ID, _SALT, _TAG = 32, 8, 16, 16  # bytes
_HEADER = len(MAGIC) + _ID + _SALT
_BEFORE = _HEADER + _KEY  # of how it was sealed before
_CHUNK = 1 << 20  # bytes of plaintext that are sealed at once
_PATH = 4096  # characters of a path at most


@dataclass(frozen=True)
class Keys:
    """The keys by their ids, 16 hex digits; `newest` is the id of the one that seals."""

    newest: str
    by_id: dict[str, bytes] = field(repr=False)


def encryption_keys() -> Keys | None:
    """The keys of this process; None where none is set.

    Raises SettingError for something that is no key, which is not repeated, and MissingExtraError
    where there is a key and the extra `crypto` is missing.
    """
    told = os.environ.get(VARIABLE, "").strip()
    return _keys(told) if told else None


def sealing() -> bool:
    """Whether what is written is sealed."""
    return encryption_keys() is not None


def new_encryption_key() -> tuple[str, str]:
    """A new key in base64, and its id, which says nothing of it."""
    key = secrets.token_bytes(_KEY)
    return base64.b64encode(key).decode("ascii"), _id_of(key)


def is_sealed(start: bytes) -> bool:
    """Whether bytes that begin so are sealed."""
    return start.startswith((MAGIC, LATER))


def is_newest(start: bytes) -> bool:
    """Whether bytes that begin so are sealed with the key that seals now."""
    keys = encryption_keys()
    return keys is not None and is_sealed(start) and _id_in(start) == keys.newest


def sealed(plain: bytes, context: str = "", before: bytes = b"") -> bytes:
    """These bytes sealed with the newest key, where there is one (else SealedError).

    Parameters
    ----------
    context : what they are; they open under the same name only.
    before : of bytes that are sealed again, see `before_of`.
    """
    target = io.BytesIO()
    seal_stream(io.BytesIO(plain), target, context, before)
    return target.getvalue()


def opened(data: bytes, context: str = "", place: str = "") -> bytes:
    """What was sealed.

    Parameters
    ----------
    place : where it is, for whoever reads the error.

    Raises SealedError where no key fits, DamagedError where it is not what was sealed.
    """
    target = io.BytesIO()
    unseal_stream(io.BytesIO(data), target, context, place=place or context)
    return target.getvalue()


def seal_stream(
    source: IO[bytes], target: IO[bytes], context: str = "", before: bytes = b""
) -> None:
    """Seal all that `source` holds from where it stands; a megabyte of it is in memory at a time.

    `before` is that of `before_of` where it is sealed again. Raises SealedError where there is no
    key.
    """
    keys = encryption_keys()
    if keys is None:
        raise SealedError(f"There is no key to encrypt with: set {VARIABLE}.")
    mark = LATER if before else MAGIC
    header = mark + bytes.fromhex(keys.newest) + secrets.token_bytes(_SALT)
    for part in _encrypted(
        source, header, _own_key(keys.by_id[keys.newest], header, context), before
    ):
        target.write(part)


def unseal_stream(
    source: IO[bytes], target: IO[bytes], context: str = "", *, place: str = ""
) -> None:
    """Open what `seal_stream` wrote; raises as `opened`, where `target` may have got a part of it.

    What it got was sealed by who has the key, but may end too early.
    """
    header = source.read(_HEADER)
    skipped = _BEFORE if header.startswith(LATER) else 0
    for block in _decrypted(source, header, context, place):
        target.write(block[skipped:])
        skipped = 0


def before_of(source: IO[bytes], context: str = "", place: str = "") -> bytes:
    """How the bytes from where `source` stands are or were sealed: what `seal_stream` keeps of it.

    Of what was sealed again it is what was kept then. Raises as `opened`.
    """
    header = source.read(_HEADER)
    if not is_sealed(header):
        return bytes(_BEFORE)
    if header.startswith(LATER):
        before = next(_decrypted(source, header, context, place))[:_BEFORE]
        if len(before) < _BEFORE:
            raise DamagedError(f"'{place}' does not say how it was before it was encrypted later.")
        return before
    return header + _own_key(_key_of(header, place), header, context)


def first_parts(plain: IO[bytes], before: bytes) -> Iterator[bytes]:
    """What was sealed again, as its bytes were first written, from its plaintext and `before_of`.

    They are made anew and not kept: whoever changed the plaintext gets other ones.
    """
    header, key = before[:_HEADER], before[_HEADER:]
    if any(header):
        return _encrypted(plain, header, key)
    return (block for _, block, _ in _blocks(plain, _CHUNK))


def _encrypted(
    source: IO[bytes], header: bytes, key: bytes, before: bytes = b""
) -> Iterator[bytes]:
    """The header, then each chunk."""
    cipher = _aes(key)
    yield header
    for number, block, last in _blocks(source, _CHUNK, before):
        yield cipher.encrypt(_nonce(number, last), block, header)


def _decrypted(source: IO[bytes], header: bytes, context: str, place: str) -> Iterator[bytes]:
    """The plaintext of each chunk behind the header."""
    cipher = _aes(_own_key(_key_of(header, place), header, context))
    for number, block, last in _blocks(source, _CHUNK + _TAG):
        try:
            yield cipher.decrypt(_nonce(number, last), block, header)
        except (_invalid_tag(), ValueError) as wrong:
            raise DamagedError(
                f"'{place}' is encrypted, and is not what was written there: it was changed or cut "
                "off. Restore it from a backup."
            ) from wrong


def _key_of(header: bytes, place: str) -> bytes:
    """The key that a header names."""
    if not is_sealed(header) or len(header) < _HEADER:
        raise DamagedError(f"'{place}' is not encrypted as this Leaven does it, or was cut off.")
    wanted = _id_in(header)
    keys = encryption_keys()
    if keys is None:
        raise SealedError(
            f"'{place}' is encrypted. Set {VARIABLE} to the key {wanted}, or to a file of it."
        )
    if wanted not in keys.by_id:
        raise SealedError(
            f"'{place}' is encrypted with the key {wanted}. {VARIABLE} has "
            f"{', '.join(keys.by_id)}. Add the other one there; the first seals, all open."
        )
    return keys.by_id[wanted]


def _id_in(header: bytes) -> str:
    return header[len(MAGIC) : len(MAGIC) + _ID].hex()


def _blocks(source: IO[bytes], size: int, first: bytes = b"") -> Iterator[tuple[int, bytes, bool]]:
    """Number, block, and whether it is the last; one empty block of an empty source.

    `first` is before all that the source holds.
    """
    number, block = 0, first + source.read(size - len(first))
    while True:
        following = source.read(size)
        yield number, block, not following
        if not following:
            return
        number, block = number + 1, following


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _own_key(key: bytes, header: bytes, context: str) -> bytes:
    """The key of one sealed thing."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    salt, info = header[-_SALT:], f"leaven sealed {context}".encode()
    return HKDF(SHA256(), _KEY, salt, info).derive(key)


def _aes(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


@lru_cache(maxsize=16)
def _keys(told: str) -> Keys:
    try:
        import cryptography  # noqa: F401 - who has a key is told at once what is missing
    except ImportError as missing:
        raise MissingExtraError("crypto", f"Encryption, which {VARIABLE} asks for,") from missing
    found: dict[str, bytes] = {}
    try:
        if len(told) < _PATH and Path(told).is_file():
            told = Path(told).read_text("ascii")
        for word in told.replace(",", " ").split():
            key = base64.b64decode(word, validate=True)
            if len(key) != _KEY:
                raise ValueError
            found[_id_of(key)] = key
    except (OSError, UnicodeDecodeError, ValueError, binascii.Error):
        found = {}
    if not found:
        raise SettingError(
            VARIABLE, f"{_KEY} bytes in base64, or a readable file of such", "something else",
            "Make one: leaven key --encryption.",
        )  # fmt: skip
    return Keys(next(iter(found)), found)


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"leaven key id" + key).digest()[:_ID].hex()


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
