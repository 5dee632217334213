"""The manifest of a run's model: the digest of each file, signed by who vouches for it.

`manifest.json` beside the model says which files it consists of. What is loaded to serve is first
held against it, so that a file that was changed, cut off, added or lost is noticed, and with a
public key also a manifest that somebody else wrote. Signatures are Ed25519 (Bernstein et al. 2012;
RFC 8032), over the manifest's canonical JSON.

A key is 32 bytes in base64: the private one in LEAVEN_SIGNING_KEY or a file that it names, the
public one in LEAVEN_PUBLIC_KEY likewise (extra `sign`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import MissingExtraError, RunError, SettingError
from leaven.evaluate.folder import write_json

__all__ = [
    "FILE",
    "Manifest",
    "new_key",
    "public_key",
    "read_manifest",
    "verified",
    "write_manifest",
]

#: Its name, within the folder that it describes.
FILE = "manifest.json"
SIGNING, PUBLIC = "LEAVEN_SIGNING_KEY", "LEAVEN_PUBLIC_KEY"
_BLOCK = 1 << 20
_KEY = 32  # bytes


@dataclass(frozen=True)
class Manifest:
    """Files of a model by their path within its folder, each with its SHA-256 in hex.

    `run` is the run's id; `signature` (base64) is "" where nobody signed, `key` is the public key
    of who did.
    """

    run: str
    files: dict[str, str]
    signature: str = ""
    key: str = ""

    @property
    def digest(self) -> str:
        """One number for all of it, whoever signed."""
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def signed(self) -> bytes:
        """What a signature is of: run and files, as JSON without spaces and in order."""
        told = {"run": self.run, "files": self.files}
        return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def write_manifest(folder: Path, run: str) -> Manifest:
    """Describe the model in `folder` and sign it, where there is a key to sign with.

    Raises SettingError for a key that is none, MissingExtraError for one without the extra `sign`.
    """
    files = _digests(folder)
    manifest = Manifest(run, files)
    private = _key(SIGNING)
    if private is not None:
        signer = _ed25519().Ed25519PrivateKey.from_private_bytes(private)
        public = signer.public_key().public_bytes_raw()
        signature = signer.sign(manifest.signed)
        manifest = Manifest(run, files, _text(signature), _text(public))
    told = {"run": run, "files": files, "signature": manifest.signature, "key": manifest.key}
    write_json(folder / FILE, told)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the model in `folder`; RunError where there is none that can be read."""
    try:
        told: dict[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
        files = {str(path): str(digest) for path, digest in told["files"].items()}
        return Manifest(str(told["run"]), files, str(told["signature"]), str(told["key"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
        raise RunError(
            f"The model in '{folder}' has no readable manifest: {broken}. Release its run again."
        ) from broken


def verified(folder: Path, digest: str | None = None) -> Manifest:
    """The manifest, after all files of the model were held against it.

    With a public key in LEAVEN_PUBLIC_KEY the signature must be of that key; without one a
    signature must at least be that of the key which the manifest names.

    Parameters
    ----------
    digest : of the manifest, as it was when the run was released.

    Raises RunError for a model that is not what was released.
    """
    manifest = read_manifest(folder)
    if digest is not None and manifest.digest != digest:
        raise RunError(f"The model in '{folder}' is another than the one that was released.")
    there = _digests(folder)
    for path in sorted(set(there) | set(manifest.files)):
        if there.get(path) != manifest.files.get(path):
            how = "is missing" if path not in there else "was added"
            how = "was changed" if path in there and path in manifest.files else how
            raise RunError(
                f"The model in '{folder}' is not as it was released: '{path}' {how}. Restore it, "
                "or release its run again."
            )
    _check_signature(folder, manifest)
    return manifest


def new_key() -> tuple[str, str]:
    """A new private key and its public one, in base64. Needs the extra `sign`."""
    private = _ed25519().Ed25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def public_key() -> str | None:
    """The public key that models must be signed by, in base64; None where none is set."""
    key = _key(PUBLIC)
    return None if key is None else _text(key)


def _check_signature(folder: Path, manifest: Manifest) -> None:
    wanted = _key(PUBLIC)
    if wanted is None and not manifest.signature:
        return
    if not manifest.signature:
        raise RunError(
            f"The model in '{folder}' is not signed, and {PUBLIC} asks for a signature. Sign it: "
            f"set {SIGNING} and release its run again."
        )
    library = _ed25519()
    try:
        key = base64.b64decode(manifest.key, validate=True)
        if wanted is not None and key != wanted:
            raise ValueError("it is of another key")
        signature = base64.b64decode(manifest.signature, validate=True)
        library.Ed25519PublicKey.from_public_bytes(key).verify(signature, manifest.signed)
    except (ValueError, binascii.Error, _invalid_signature()) as wrong:
        why = str(wrong) or "it is not of these files"
        raise RunError(
            f"The signature of the model in '{folder}' does not hold: {why}. Do not serve it."
        ) from wrong


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below the folder, by path; RunError for a link that leads out."""
    if not folder.is_dir():
        raise RunError(f"There is no model in '{folder}'.")
    root = folder.resolve()
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name == FILE or path.is_dir():
            continue
        if not path.resolve().is_relative_to(root):
            raise RunError(f"'{name}' in '{folder}' leads out of it. A model's files lie within.")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        found[name] = digest.hexdigest()
    return found


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
        raise MissingExtraError("sign", "A signature") from missing
    return ed25519


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature
