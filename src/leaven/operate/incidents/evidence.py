"""Evidence: copies of all that says what was wrong, as it was, with the hash of each.

It is taken in the middle of the night from what may be half broken. So each part is read by
itself, and what cannot be read is listed with the reason.
"""

from __future__ import annotations

import json
import math
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leaven import __version__
from leaven.core.errors import LeavenError, RunError
from leaven.core.files import read_bytes, write_bytes
from leaven.operate.incidents.causes import causes
from leaven.operate.incidents.parts import PARTS, Site
from leaven.operate.manifest import differing, read_manifest, write_manifest

__all__ = ["altered", "freeze", "read_part"]

#: Beside the run's description, the files of a model that is copied whole up to so many bytes.
_LARGEST = 200_000_000
_OF_RUN = ("run.json", "recipe.toml", "model/manifest.json")
_LEFT = "left-out.json"


def freeze(site: Site, folder: Path) -> dict[str, Any]:
    """Take the evidence into `folder`, whole or not at all, or find it taken already.

    A key that cannot sign, or not encrypt, raises LeavenError; nothing of it is kept then.
    Returns `folder`, `host`, the manifest's `digest`, the number of `files`, what was `left_out`
    (pairs of part and reason), and the likely `causes`.
    """
    if not (folder / "manifest.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            _take(site, made)
            made.chmod(0o755)
            made.rename(folder)
        except OSError:
            if not (folder / "manifest.json").is_file():  # else somebody else was quicker
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    manifest = read_manifest(folder)
    return {
        "folder": str(folder.resolve()), "host": socket.gethostname(), "digest": manifest.digest,
        "files": len(manifest.files), "left_out": read_part(folder, _LEFT) or [],
        "causes": read_part(folder, "causes.json") or [],
    }  # fmt: skip


def read_part(folder: str | Path, name: str) -> Any:
    """What a file of the evidence holds; None where it is not there or cannot be read."""
    try:
        return json.loads(read_bytes(Path(folder) / name))
    except (OSError, ValueError, LeavenError):
        return None


def altered(folder: str | Path, digest: str) -> str:
    """Why the evidence is not what was frozen under this digest; "" where it is."""
    place = Path(folder)
    try:
        manifest = read_manifest(place)
        if manifest.digest != digest:
            return f"The manifest in '{place}' is another than the one that was frozen."
        found = differing(place, manifest)
    except RunError:
        return (
            f"There is no evidence in '{place}' that could be read. It may be on another machine."
        )
    return "" if found is None else f"'{found[0]}' in '{place}' {found[1]} since it was frozen."


def _take(site: Site, folder: Path) -> None:
    left: list[list[str]] = []
    parts: dict[str, Any] = {}
    for name, read in PARTS.items():
        try:
            part = read(site)
            content = part if isinstance(part, bytes) else _json(part)
            parts[name] = None if isinstance(part, bytes) else json.loads(content)
            write_bytes(folder / name, content)
        except Exception as failed:  # noqa: BLE001 - what one part meets must not lose the others
            left.append([name, _said(failed)])
    for run in parts.get("runs.json") or []:
        left += _copy_run(run, folder)
    opened = asdict(site.incident)
    about = {name: opened[name] for name in ("number", "service", "reason", "by", "opened",
                                             "since", "alert")}  # fmt: skip
    about |= {"frozen": site.now, "leaven": __version__, "host": socket.gethostname()}
    write_bytes(folder / "incident.json", _json(about))
    try:
        found = [asdict(one) for one in causes(parts, site)]
    except Exception as failed:  # noqa: BLE001 - as above
        found = []
        left.append(["causes.json", _said(failed)])
    write_bytes(folder / "causes.json", _json(found))
    write_bytes(folder / _LEFT, _json(left))
    write_manifest(folder, f"incident {site.incident.number} of {site.service}")


def _copy_run(run: Mapping[str, Any], folder: Path) -> list[list[str]]:
    """Copy what describes a run, and the model of one that answers; what was left out."""
    if "folder" not in run:
        return []
    source, target, left = Path(run["folder"]), folder / "runs" / run["place"], []
    names = list(_OF_RUN)
    model = [path for path in sorted((source / "model").rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in model)
    if run["place"] in ("live", "canary"):
        if size <= _LARGEST:
            names += [path.relative_to(source).as_posix() for path in model]
        else:
            why = f"It has {size:,} bytes; its manifest alone was copied."
            left.append([f"runs/{run['place']}/model", why])
    for name in dict.fromkeys(names):
        try:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
        except OSError as gone:
            left.append([f"runs/{run['place']}/{name}", _said(gone)])
    return left


def _said(failed: Exception) -> str:
    if isinstance(failed, LeavenError):
        return str(failed)
    return f"{type(failed).__name__}: {failed}"


def _json(value: Any) -> bytes:
    return json.dumps(_plain(value), indent=1, allow_nan=False, default=str).encode()


def _plain(value: Any) -> Any:
    """As JSON can hold it: no number that is none."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
