"""The manifest of a run's model: the digest of each file, signed by who vouches for it.

`manifest.json` beside the model says which files it consists of. What is loaded to serve is first
held against it, so that a file that was changed, cut off, added or lost is noticed, and with a
public key also a manifest that somebody else wrote. Signatures are over the manifest's canonical
JSON, by the keys of `core.signing`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import RunError
from leaven.core.files import first_digest
from leaven.core.signing import PUBLIC, SIGNING, public_key, sign, why_not
from leaven.evaluate.folder import write_json

__all__ = ["FILE", "Manifest", "differing", "read_manifest", "verified", "write_manifest"]

#: Its name, within the folder that it describes.
FILE = "manifest.json"


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

    Raises SettingError for a key that is none, MissingExtraError without the extra `crypto`.
    """
    unsigned = Manifest(run, _digests(folder))
    signature, key = sign(unsigned.signed)
    told: dict[str, Any] = {
        "run": run, "files": unsigned.files, "signature": signature, "key": key,
    }  # fmt: skip
    write_json(folder / FILE, told, plain=True)  # what is encrypted is verified without its key
    return Manifest(**told)


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
    if (found := differing(folder, manifest)) is not None:
        path, how = found
        raise RunError(
            f"The model in '{folder}' is not as it was released: '{path}' {how}. Restore it, "
            "or release its run again."
        )
    _check_signature(folder, manifest)
    return manifest


def differing(folder: Path, manifest: Manifest) -> tuple[str, str] | None:
    """The first file that is not as the manifest has it, and how; None where all are.

    Raises RunError for a folder that is not there, or a link that leads out of it.
    """
    there = _digests(folder)
    for path in sorted(set(there) | set(manifest.files)):
        if there.get(path) != manifest.files.get(path):
            how = "is missing" if path not in there else "was added"
            how = "was changed" if path in there and path in manifest.files else how
            return path, how
    return None


def _check_signature(folder: Path, manifest: Manifest) -> None:
    if not manifest.signature:
        if public_key() is None:
            return
        raise RunError(
            f"The model in '{folder}' is not signed, and {PUBLIC} asks for a signature. Sign it: "
            f"set {SIGNING} and release its run again."
        )
    if why := why_not(manifest.signed, manifest.signature, manifest.key):
        raise RunError(
            f"The signature of the model in '{folder}' does not hold: {why}. Do not serve it."
        )


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below the folder, as it was first written, by path.

    RunError for a link that leads out.
    """
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
        found[name] = first_digest(path)
    return found
