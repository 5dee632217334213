"""Signatures: who vouches for bytes. Ed25519 (Bernstein et al. 2012; RFC 8032).

A key is 32 bytes in base64: the private one in LEAVEN_SIGNING_KEY or a file that it names, the
public one in LEAVEN_PUBLIC_KEY likewise (extra `crypto`).
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from leaven.core.errors import MissingExtraError, SettingError

__all__ = ["PUBLIC", "SIGNING", "new_key", "public_key", "sign", "why_not"]

SIGNING, PUBLIC = "LEAVEN_SIGNING_KEY", "LEAVEN_PUBLIC_KEY"
_KEY = 32  # bytes


def new_key() -> tuple[str, str]:
    """A new private key and its public one, in base64. Needs the extra `crypto`."""
    private = _ed25519().Ed25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def public_key() -> str | None:
    """The public key by which what is signed must be known, in base64; None where none is set."""
    key = _key(PUBLIC)
    return None if key is None else _text(key)


def sign(told: bytes) -> tuple[str, str]:
    """The signature of these bytes and the public key of who signs, in base64; both "" without key.

    Raises SettingError for a key that is none, MissingExtraError without the extra `crypto`.
    """
    private = _key(SIGNING)
    if private is None:
        return "", ""
    signer = _ed25519().Ed25519PrivateKey.from_private_bytes(private)
    return _text(signer.sign(told)), _text(signer.public_key().public_bytes_raw())


def why_not(told: bytes, signature: str, key: str) -> str:
    """Why this is no signature of these bytes; "" where it is.

    With a public key in LEAVEN_PUBLIC_KEY it must be of that key, without one of `key`.
    """
    wanted, library = _key(PUBLIC), _ed25519()
    try:
        given = base64.b64decode(key, validate=True)
        if wanted is not None and given != wanted:
            return "it is of another key"
        found = base64.b64decode(signature, validate=True)
        library.Ed25519PublicKey.from_public_bytes(given).verify(found, told)
    except (ValueError, binascii.Error) as wrong:
        return str(wrong)
    except _invalid_signature():
        return "it is of something else"
    return ""


def _key(variable: str) -> bytes | None:
    """The key in a variable, or in the file that it names; SettingError for neither."""
    told = os.environ.get(variable, "").strip()
    if not told:
        return None
    try:
        if len(told) < 4096 and Path(told).is_file():
            told = Path(told).read_text("ascii").strip()
        key = base64.b64decode(told, validate=True)
    except (OSError, UnicodeDecodeError, ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY:
        raise SettingError(
            variable, f"{_KEY} bytes in base64, or a file of such", "something else",
            "Make a pair: leaven key.",
        )  # fmt: skip
    return key


def _text(told: bytes) -> str:
    return base64.b64encode(told).decode("ascii")


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as missing:
        raise MissingExtraError("crypto", "A signature") from missing
    return ed25519


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature
